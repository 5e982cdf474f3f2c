/** Creating, changing, deleting and undeleting custom roles: what each does to the rows. */
import { aborted, alreadyExists, failedPrecondition, invalidArgument, notFound, resourceExhausted } from '../../errors.ts';
import type { CreateRoleRequest, DeleteRoleRequest, UndeleteRoleRequest, UpdateRoleRequest } from '../../gen/google/iam/admin/v1/iam_pb.js';
import type { Db, Store, Tx } from '../../store/database.ts';
import { findOrganization } from '../../store/organizations.ts';
import { findProject } from '../../store/projects.ts';
import { countRoles, deleteRole, findRole, insertRole, listRoles, newRoleEtag, ROLE_KEPT_MICROS, type RoleRow, updateRole } from '../../store/roles.ts';
import { MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';
import type { Call } from '../service.ts';
import type { KnownPermissions } from './known-permissions.ts';
import { checkRoleId, parseRoleName, parseRoleParent, type RoleName, type RoleParent } from './role-names.ts';
import { checkPermissions, checkRoleTexts, contentOf, MAX_ROLES, type RoleContent } from './role-rules.ts';

/** Source: https://docs.cloud.google.com/iam/docs/creating-custom-roles ("Undeleting a custom role") */
export const UNDELETE_MICROS = 7 * 24 * 3600 * MICROS_PER_SECOND;

export interface RoleChangeDeps {
  readonly store: Store;
  readonly known: KnownPermissions;
}

/** The parent as roles are stored by it: projects by id. @throws NOT_FOUND */
export async function storedParent(db: Db, { kind, id }: RoleParent): Promise<string> {
  const key = kind === 'projects' ? (await findProject(db, id))?.project_id : (await findOrganization(db, id))?.number;
  if (key === undefined) throw notFound(`Resource '${kind}/${id}' was not found.`);
  return `${kind}/${key}`;
}

/** The row of a custom role, deleted ones that can still be undeleted included. @throws NOT_FOUND */
export async function getRoleRow(db: Db, name: RoleName & { readonly parent: RoleParent }, now: Micros): Promise<RoleRow> {
  const stored = `${await storedParent(db, name.parent)}/roles/${name.id}`;
  const row = await findRole(db, stored);
  if (row === undefined || (row.delete_time !== null && now - row.delete_time > UNDELETE_MICROS)) throw roleNotFound(stored);
  return row;
}

export function roleNotFound(name: string) {
  return notFound(`The role named ${name} was not found.`);
}

/** @throws INVALID_ARGUMENT, ALREADY_EXISTS, FAILED_PRECONDITION for the id of a role that was deleted lately, RESOURCE_EXHAUSTED */
export async function createRole({ store, known }: RoleChangeDeps, request: CreateRoleRequest, call: Call): Promise<RoleRow> {
  const parent = parseRoleParent(request.parent);
  checkRoleId(request.roleId);
  if (request.role === undefined) throw invalidArgument('role', 'required field not present.');
  // Recorded: https://github.com/pulumi/pulumi-google-native/issues/209
  if (request.role.name !== '') throw invalidArgument('role.name', 'Must not specify role.name.');
  const content = contentOf(request.role);
  checkRoleTexts(content);
  const now = call.now();
  return store.write(async (tx) => {
    warnOf(checkPermissions(content, parent, known, await importedPermissions(tx.db, content, known)), call);
    const stored = await storedParent(tx.db, parent);
    const name = `${stored}/roles/${request.roleId}`;
    await requireFree(tx.db, name, now);
    if ((await countRoles(tx.db, stored)) >= MAX_ROLES) throw resourceExhausted(`Maximum number of roles reached. Maximum is: ${MAX_ROLES}`);
    const row: RoleRow = { name, parent: stored, ...columnsOf(content), etag: newRoleEtag(), create_time: now, update_time: now, delete_time: null };
    await insertRole(tx.db, row);
    tx.touch('policies');
    return row;
  });
}

async function requireFree(db: Db, name: string, now: Micros): Promise<void> {
  const before = await findRole(db, name);
  if (before === undefined) return;
  const id = name.slice(name.lastIndexOf('/') + 1);
  if (before.delete_time === null) throw alreadyExists(`A role named ${id} in ${before.parent} already exists.`);
  // Recorded: https://github.com/GoogleCloudPlatform/gke-autoneg-controller/issues/71
  if (now - before.delete_time < ROLE_KEPT_MICROS) throw failedPrecondition(`You can't create a role_id (${id}) which has been marked for deletion.`);
  await deleteRole(db, name, now);
}

const PATHS: Readonly<Record<string, keyof RoleContent>> = {
  title: 'title',
  description: 'description',
  stage: 'stage',
  included_permissions: 'permissions',
  includedPermissions: 'permissions',
};
/** May stand in a mask, and change nothing: they are the server's, or of the read-modify-write. */
const IGNORED_PATHS = new Set(['name', 'etag', 'deleted']);

/** @throws INVALID_ARGUMENT, NOT_FOUND, FAILED_PRECONDITION for a deleted role, ABORTED for a stale etag */
export async function changeRole({ store, known }: RoleChangeDeps, request: UpdateRoleRequest, call: Call): Promise<RoleRow> {
  const name = customName(request.name, 'update');
  const { role } = request;
  if (role === undefined) throw invalidArgument('role', 'required field not present.');
  const given = contentOf(role);
  const fields = fieldsOf(request.updateMask?.paths ?? [], role);
  const now = call.now();
  return store.write(async (tx) => {
    const before = await getRoleRow(tx.db, name, now);
    if (role.name !== '' && role.name !== request.name && role.name !== before.name)
      throw invalidArgument('role.name', `${JSON.stringify(role.name)} is not the role that is updated.`);
    checkEtag(before, role.etag);
    if (before.delete_time !== null) throw failedPrecondition(`You can't update role_id (${before.name}) as it is deleted.`);
    const current = rowContent(before);
    const next: RoleContent = { ...current, ...Object.fromEntries([...fields].map((field) => [field, given[field]])) };
    checkRoleTexts(next);
    const elsewhere = await importedPermissions(tx.db, next, known);
    warnOf(checkPermissions(next, name.parent, known, new Set([...current.permissions, ...elsewhere])), call);
    const row: RoleRow = { ...before, ...columnsOf(next), etag: newRoleEtag(), update_time: now };
    return replace(tx, row);
  });
}

/** What the catalogue does not know, but a role that was imported holds. */
async function importedPermissions(db: Db, content: RoleContent, known: KnownPermissions): Promise<ReadonlySet<string>> {
  if (content.permissions.every((permission) => known.knowledge(permission) === 'known')) return new Set();
  const imported = new Set((await listRoles(db, { parent: '' })).flatMap((row) => rowContent(row).permissions));
  return new Set(content.permissions.filter((permission) => imported.has(permission) && known.knowledge(permission) !== 'known'));
}

/** Without a mask: every field that the role has (AIP-134). */
function fieldsOf(paths: readonly string[], role: { title: string; description: string; stage: number; includedPermissions: readonly string[] }): ReadonlySet<keyof RoleContent> {
  const fields = new Set<keyof RoleContent>();
  for (const path of paths) {
    if (path === '*') return new Set(Object.values(PATHS));
    const field = PATHS[path];
    if (field !== undefined) fields.add(field);
    else if (!IGNORED_PATHS.has(path))
      throw invalidArgument('update_mask', `${JSON.stringify(path)} is not a field of a role that can be changed. Use title, description, stage and included_permissions.`);
  }
  if (paths.length > 0) return fields;
  if (role.title !== '') fields.add('title');
  if (role.description !== '') fields.add('description');
  if (role.stage !== 0) fields.add('stage');
  if (role.includedPermissions.length > 0) fields.add('permissions');
  return fields;
}

/** @throws NOT_FOUND, FAILED_PRECONDITION for one that is deleted already, ABORTED for a stale etag */
export async function removeRole({ store }: RoleChangeDeps, request: DeleteRoleRequest, call: Call): Promise<RoleRow> {
  const name = customName(request.name, 'delete');
  const now = call.now();
  return store.write(async (tx) => {
    const before = await getRoleRow(tx.db, name, now);
    checkEtag(before, request.etag);
    // Recorded: https://github.com/GoogleCloudPlatform/k8s-config-connector/issues/338
    if (before.delete_time !== null) throw failedPrecondition(`You can't delete role_id (${before.name}) as it is already deleted.`);
    return replace(tx, { ...before, delete_time: now, etag: newRoleEtag() });
  });
}

/** @throws NOT_FOUND, FAILED_PRECONDITION for one that is not deleted, ABORTED for a stale etag */
export async function restoreRole({ store }: RoleChangeDeps, request: UndeleteRoleRequest, call: Call): Promise<RoleRow> {
  const name = customName(request.name, 'undelete');
  const now = call.now();
  return store.write(async (tx) => {
    const before = await getRoleRow(tx.db, name, now);
    checkEtag(before, request.etag);
    if (before.delete_time === null) throw failedPrecondition(`You can't undelete role_id (${before.name}) as it is not deleted.`);
    return replace(tx, { ...before, delete_time: null, update_time: now, etag: newRoleEtag() });
  });
}

async function replace(tx: Tx, row: RoleRow): Promise<RoleRow> {
  await updateRole(tx.db, row);
  tx.touch('policies');
  return row;
}

function customName(name: string, verb: string): RoleName & { readonly parent: RoleParent } {
  const { parent, id } = parseRoleName(name);
  if (parent === undefined) throw invalidArgument('name', `${name} is a predefined role: nobody can ${verb} it.`);
  return { parent, id };
}

function checkEtag(row: RoleRow, etag: Uint8Array): void {
  if (etag.length > 0 && Buffer.from(etag).toString('base64') !== row.etag)
    throw aborted('There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.');
}

function columnsOf({ permissions, ...texts }: RoleContent) {
  return { ...texts, permissions: JSON.stringify(permissions) };
}

/** Read from a row, whose JSON is ours. */
export function rowContent(row: RoleRow): RoleContent {
  const permissions: readonly string[] = JSON.parse(row.permissions);
  return { title: row.title, description: row.description, stage: row.stage, permissions };
}

function warnOf(unlisted: readonly string[], call: Call): void {
  if (unlisted.length === 0) return;
  const some = unlisted.slice(0, 5).join(', ');
  const more = unlisted.length > 5 ? ` and ${unlisted.length - 5} more` : '';
  call.warn(`${some}${more}: not in the role catalogue, so nobody here can tell whether there is such a permission.`);
}
