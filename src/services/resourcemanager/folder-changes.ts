/**
 * Changes of folders that both versions of the API make, under Google's rules: names are unique among the active folders of a parent, ten active
 * folders above each other (20 with deleted ones), 300 in one parent, nothing moves into itself, and only an empty folder is deleted.
 * Sources: the comments of google/cloud/resourcemanager/v3/folders.proto; the words of a taken name:
 * https://github.com/GoogleCloudPlatform/k8s-config-connector/issues/405, of the other rules our own; the violations' types are the names of
 * FolderOperationError in google/cloud/resourcemanager/v2.
 * Deviation: a folder rule that is broken is answered at once, where Google may report it in the finished operation.
 */
import { create } from '@bufbuild/protobuf';
import { type ApiError, aborted, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import type { Db, Tx } from '../../store/database.ts';
import { claimFolderNumber, countFoldersIn, type FolderRow, findFolder, findFolderByName, insertFolder, listChildFolders, updateFolder } from '../../store/folders.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findOrganization } from '../../store/organizations.ts';
import { updatePolicy } from '../../store/policies.ts';
import { hasActiveProject } from '../../store/projects.ts';
import type { Micros } from '../../timestamp.ts';
import { fieldIssue } from './create-project.ts';
import { nodeResource, parseNode } from './names.ts';

const MAX_ACTIVE_HEIGHT = 10;
const MAX_HEIGHT = 20;
const MAX_CHILDREN = 300;
const DISPLAY_NAME = /^[\p{L}\p{N}](?:[\p{L}\p{N}_ -]{0,28}[\p{L}\p{N}])?$/u;
/** Given to whoever creates a folder. Source: https://cloud.google.com/resource-manager/docs/creating-managing-folders */
const CREATOR_ROLES = ['roles/resourcemanager.folderAdmin', 'roles/resourcemanager.folderEditor'];

/** @throws NOT_FOUND, which only a caller who may see the folder's parent can meet */
export async function getFolder(db: Db, name: string): Promise<FolderRow> {
  const row = await findFolder(db, parseNode(name, ['folders']).id);
  if (row === undefined) throw notFound(`Folder '${name}' was not found.`);
  return row;
}

/** @param creator policy member who gets the roles of a folder's creator */
export async function createFolder(tx: Tx, folder: { readonly parent: string; readonly displayName: string; readonly creator: string }, now: Micros): Promise<FolderRow> {
  checkDisplayName(folder.displayName);
  await checkPlace(tx.db, { parent: folder.parent, displayName: folder.displayName, below: NOTHING });
  const row = await insertFolder(tx.db, { number: await claimFolderNumber(tx.db), parent: folder.parent, display_name: folder.displayName, create_time: now });
  const policy = create(PolicySchema, { version: 1, bindings: CREATOR_ROLES.map((role) => ({ role, members: [folder.creator] })) });
  await updatePolicy(tx.db, nodeResource({ kind: 'folders', id: row.number }), policy, now);
  tx.touch('hierarchy');
  tx.touch('policies');
  return row;
}

/** @param etag as the caller last saw it; empty: whichever it is @throws ABORTED, FAILED_PRECONDITION, INVALID_ARGUMENT */
export async function renameFolder(tx: Tx, name: string, change: { readonly displayName: string; readonly etag: string }, now: Micros): Promise<FolderRow> {
  const row = await getFolder(tx.db, name);
  if (change.etag !== '' && change.etag !== row.etag)
    throw aborted(`The etag ${JSON.stringify(change.etag)} of ${name} is not the current one: it was changed meanwhile. Read it again, and retry.`);
  if (row.state !== 'ACTIVE') throw violated(row.parent, row, 'RESOURCE_DELETED_VIOLATION', `The folder is ${row.state}.`);
  checkDisplayName(change.displayName);
  if (change.displayName !== row.display_name) await checkName(tx.db, row.parent, change.displayName, row);
  return write(tx, row, { display_name: change.displayName }, now);
}

/** @param move `from` is the parent that the caller was allowed to take it out of */
export async function moveFolder(tx: Tx, name: string, move: { readonly from: string; readonly to: string }, now: Micros): Promise<FolderRow> {
  const row = await getFolder(tx.db, name);
  const destination = move.to;
  if (row.parent !== move.from) throw aborted(`Folder '${name}' was moved meanwhile. Read it again, and retry.`);
  if (row.state !== 'ACTIVE') throw violated(destination, row, 'RESOURCE_DELETED_VIOLATION', `The folder is ${row.state}.`);
  if (destination === row.parent)
    throw invalidRequest(`destination_parent: ${name} is in ${destination} already.`, [{ field: 'destination_parent', description: 'is the current parent' }]);
  const above = await listAncestors(tx.db, destination);
  if (above.includes(`folders/${row.number}`)) throw violated(destination, row, 'CYCLE_INTRODUCED_VIOLATION', 'The folder would be in itself.');
  await checkPlace(tx.db, { parent: destination, displayName: row.display_name, below: await heightsBelow(tx.db, row), moving: row });
  return write(tx, row, { parent: destination }, now);
}

/** A folder that is being deleted already stays so. @throws FAILED_PRECONDITION unless nothing active is in it */
export async function deleteFolder(tx: Tx, name: string, now: Micros): Promise<FolderRow> {
  const row = await getFolder(tx.db, name);
  if (row.state !== 'ACTIVE') return row;
  const self = `folders/${row.number}`;
  if ((await countFoldersIn(tx.db, self, 'ACTIVE')) > 0 || (await hasActiveProject(tx.db, self)))
    throw violated(row.parent, row, 'FOLDER_TO_DELETE_NON_EMPTY_VIOLATION', 'The folder still holds active folders or projects. Delete or move them first.');
  return write(tx, row, { state: 'DELETE_REQUESTED', delete_time: now }, now);
}

/** An active folder stays so. @throws FAILED_PRECONDITION where its parent is not active, or its place is taken */
export async function undeleteFolder(tx: Tx, name: string, now: Micros): Promise<FolderRow> {
  const row = await getFolder(tx.db, name);
  if (row.state === 'ACTIVE') return row;
  await checkPlace(tx.db, { parent: row.parent, displayName: row.display_name, below: await heightsBelow(tx.db, row), moving: row });
  return write(tx, row, { state: 'ACTIVE', delete_time: null }, now);
}

async function write(tx: Tx, row: FolderRow, change: Partial<Omit<FolderRow, 'number' | 'etag'>>, now: Micros): Promise<FolderRow> {
  const stamped = { ...change, update_time: now };
  const etag = await updateFolder(tx.db, row.number, stamped);
  tx.touch('hierarchy');
  return { ...row, ...stamped, etag };
}

function checkDisplayName(displayName: string): void {
  if (!DISPLAY_NAME.test(displayName))
    throw fieldIssue('display_name', 'display_name must be 1 to 30 letters, digits, spaces, hyphens and underscores, and begin and end with a letter or digit');
}

/** Levels of folders below one, itself not counted. */
interface Heights {
  readonly active: number;
  readonly all: number;
}
const NOTHING: Heights = { active: 0, all: 0 };

interface Place {
  readonly parent: string;
  readonly displayName: string;
  readonly below: Heights;
  /** The folder that comes there; absent: a new one. */
  readonly moving?: FolderRow;
}

async function checkPlace(db: Db, { parent, displayName, below, moving }: Place): Promise<void> {
  await checkParent(db, parent, moving);
  await checkName(db, parent, displayName, moving);
  // A deleted folder that comes back is among the children already.
  const joins = moving === undefined || moving.parent !== parent ? 1 : 0;
  if ((await countFoldersIn(db, parent)) + joins > MAX_CHILDREN)
    throw violated(parent, moving, 'MAX_CHILD_FOLDERS_VIOLATION', `The parent would hold more than ${MAX_CHILDREN} folders.`);
  const above = (await listAncestors(db, parent)).filter((name) => name.startsWith('folders/')).length;
  if (above + 1 + below.active > MAX_ACTIVE_HEIGHT)
    throw violated(parent, moving, 'ACTIVE_FOLDER_HEIGHT_VIOLATION', `More than ${MAX_ACTIVE_HEIGHT} active folders would be above each other.`);
  if (above + 1 + below.all > MAX_HEIGHT)
    throw violated(parent, moving, 'DELETED_FOLDER_HEIGHT_VIOLATION', `More than ${MAX_HEIGHT} folders would be above each other, those being deleted counted.`);
}

async function checkName(db: Db, parent: string, displayName: string, moving: FolderRow | undefined): Promise<void> {
  const taken = await findFolderByName(db, parent, displayName);
  if (taken !== undefined && taken.number !== moving?.number)
    throw violated(parent, moving, 'FOLDER_NAME_UNIQUENESS_VIOLATION', 'The folder operation violates display name uniqueness within the parent.');
}

async function checkParent(db: Db, parent: string, moving: FolderRow | undefined): Promise<void> {
  const { kind, id } = parseNode(parent, ['folders', 'organizations'], 'parent');
  const row = kind === 'folders' ? await findFolder(db, id) : await findOrganization(db, id);
  if (row === undefined) throw failedPrecondition(`Parent ${parent} does not exist.`, { type: 'parent', subject: parent, description: 'does not exist' });
  if ('state' in row && row.state !== 'ACTIVE') throw violated(parent, moving, 'PARENT_DELETED_VIOLATION', `The parent is ${row.state}.`);
}

/** How deep a folder is inside. A level at a time, as deep as the limits let it be. */
async function heightsBelow(db: Db, row: FolderRow): Promise<Heights> {
  let level = [{ number: row.number, state: row.state }];
  let active = 0;
  let all = 0;
  while (all < MAX_HEIGHT) {
    const next = await listChildFolders(
      db,
      level.map(({ number }) => `folders/${number}`),
    );
    if (next.length === 0) break;
    all += 1;
    // Only an empty folder is deleted, so that no active one is below a deleted one.
    if (next.some(({ state }) => state === 'ACTIVE')) active += 1;
    level = next;
  }
  return { active, all };
}

function violated(parent: string, row: FolderRow | undefined, type: string, why: string): ApiError {
  const folder = row === undefined ? '' : `folders/${row.number}`;
  return failedPrecondition(`Folder reservation failed for parent [${parent}], folder [${folder}] due to constraint: ${why}`, {
    type,
    subject: folder === '' ? parent : folder,
    description: why,
  });
}
