/** Changes of projects that both versions of the API make. */
import { aborted, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import type { Db, Tx } from '../../store/database.ts';
import { updateExecutionsToEnd } from '../../store/executions.ts';
import { listLiens, PROJECT_DELETE } from '../../store/liens.ts';
import { listOrganizations } from '../../store/organizations.ts';
import { findProject, type ProjectRow, updateProject } from '../../store/projects.ts';
import { MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';
import type { Call, Check } from '../service.ts';
import { checkParent, checkProjectTexts, newProjectEtag } from './create-project.ts';
import { parseNode } from './names.ts';
import { nodeCheck } from './node-policies.ts';

/** @param key id or number @throws NOT_FOUND, which only a caller who may see the project's parent can meet */
export async function getProject(db: Db, key: string): Promise<ProjectRow> {
  const row = await findProject(db, key);
  if (row === undefined) throw notFound(`Project 'projects/${key}' was not found.`);
  return row;
}

/** Where a project goes that names no parent: as on Google, the caller's organization, which here must be the only one. @throws INVALID_ARGUMENT */
export async function resolveParent(db: Db, parent: string): Promise<string> {
  if (parent !== '') return parent;
  const [only, ...others] = await listOrganizations(db, { limit: 2 });
  if (only === undefined || others.length > 0)
    throw invalidRequest('field [parent] has issue [name the folder or organization that the project is created in]', [
      { field: 'parent', description: 'must be folders/NUMBER or organizations/NUMBER' },
    ]);
  return `organizations/${only.number}`;
}

/** @param parent as resolved */
export function createCheck(parent: string): Check {
  return nodeCheck('resourcemanager.projects.create', parseNode(parent, ['folders', 'organizations'], 'parent'));
}

export async function changeProject(
  tx: Tx,
  key: string,
  change: { readonly displayName?: string; readonly labels?: Readonly<Record<string, string>>; readonly move?: Move; readonly etag?: string },
  now: Micros,
): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state !== 'ACTIVE') throw inactive('Cannot update an inactive project.', row);
  if (change.etag !== undefined && change.etag !== '' && change.etag !== row.etag)
    throw aborted(`The etag ${JSON.stringify(change.etag)} of project '${row.project_id}' is not the current one: it was changed meanwhile. Read it again, and retry.`);
  if (change.move !== undefined && change.move.from !== row.parent) throw aborted(`Project '${row.project_id}' was moved meanwhile. Read it again, and retry.`);
  if (change.move !== undefined) await checkParent(tx, change.move.to);
  checkProjectTexts({ displayName: change.displayName ?? '', labels: change.labels ?? {} });
  const labels = change.labels === undefined ? row.labels : JSON.stringify(change.labels);
  return write(tx, row, { display_name: change.displayName ?? row.display_name, labels, parent: change.move?.to ?? row.parent }, now);
}

/** From one place to another; `from` is the parent that the caller was allowed to take the project out of. */
interface Move {
  readonly from: string | null;
  readonly to: string;
}

/**
 * What moving a project takes beside leaving its parent, which `authorizeLeaving` asks about.
 * Source: the comment on MoveProject in google/cloud/resourcemanager/v3/projects.proto.
 * @param key id or number @param destination `folders/N` or `organizations/N`
 */
export function moveChecks(key: string, destination: string): Check[] {
  return [nodeCheck(MOVE, parseNode(`projects/${key}`, ['projects'], 'name')), nodeCheck(MOVE, parseNode(destination, ['folders', 'organizations'], 'destination_parent'))];
}

/** A project that has no parent yet gets new superiors, which takes the right to set its policy. @returns the parent that the caller may take it out of @throws NOT_FOUND, PERMISSION_DENIED */
export async function authorizeLeaving(db: Db, key: string, call: Call): Promise<string | null> {
  const { parent, project_id } = await getProject(db, key);
  await call.authorize(
    parent === null
      ? nodeCheck('resourcemanager.projects.setIamPolicy', { kind: 'projects', id: project_id })
      : nodeCheck(MOVE, parseNode(parent, ['folders', 'organizations'], 'parent')),
  );
  return parent;
}
const MOVE = 'resourcemanager.projects.move';

/** More than anybody places; the message names one of them. */
const MAX_LIENS = 1000;
const UNDELETE_MICROS = 30 * 24 * 3600 * MICROS_PER_SECOND;

/** Marks the project; what runs in it ends, its resources stay, and its accounts' tokens are refused until it is undeleted. @throws FAILED_PRECONDITION while a lien is on it */
export async function deleteProject(tx: Tx, key: string, now: Micros): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state !== 'ACTIVE') throw inactive('Cannot delete an inactive project.', row);
  const [lien] = (await listLiens(tx.db, { parent: `projects/${row.number}`, limit: MAX_LIENS })).filter(({ restrictions }) => restrictions.includes(PROJECT_DELETE));
  if (lien !== undefined) {
    const description = `A lien to prevent deletion was placed on the project by [${lien.origin}]. Remove the lien to allow deletion.`;
    throw failedPrecondition(description, { type: 'LIEN', subject: lien.name, description });
  }
  await updateExecutionsToEnd(tx.db, row.project_id);
  tx.touch('work');
  return write(tx, row, { state: 'DELETE_REQUESTED', delete_time: now }, now);
}

export async function undeleteProject(tx: Tx, key: string, now: Micros): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state === 'ACTIVE') throw inactive('Cannot undelete an active project.', row);
  // Deviation: after 30 days a deleted project can no longer be restored, but it is still shown as DELETE_REQUESTED.
  if (row.delete_time !== null && now - row.delete_time > UNDELETE_MICROS)
    throw inactive(`Cannot undelete project '${row.project_id}': it was deleted more than 30 days ago.`, row);
  if (row.parent !== null) await checkParent(tx, row.parent);
  return write(tx, row, { state: 'ACTIVE', delete_time: null }, now);
}

async function write(tx: Tx, row: ProjectRow, change: Partial<ProjectRow>, now: Micros): Promise<ProjectRow> {
  const stamped = { ...change, update_time: now, etag: newProjectEtag() };
  await updateProject(tx.db, row.project_id, stamped);
  tx.touch('hierarchy');
  tx.touch('serviceAccounts');
  return { ...row, ...stamped };
}

function inactive(message: string, row: ProjectRow) {
  return failedPrecondition(message, { type: 'lifecycleState', subject: `projects/${row.project_id}`, description: `The project is ${row.state}.` });
}
