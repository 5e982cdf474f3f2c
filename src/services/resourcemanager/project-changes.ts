/** Changes of projects that both versions of the API make. */
import { failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import type { Db, Tx } from '../../store/database.ts';
import { listOrganizations } from '../../store/organizations.ts';
import { findProject, type ProjectRow, updateProject } from '../../store/projects.ts';
import type { Micros } from '../../timestamp.ts';
import type { Check } from '../service.ts';
import { checkProjectTexts, newProjectEtag } from './create-project.ts';
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
  change: { readonly displayName?: string; readonly labels?: Readonly<Record<string, string>> },
  now: Micros,
): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state !== 'ACTIVE') throw inactive('Cannot update an inactive project.', row);
  checkProjectTexts({ displayName: change.displayName ?? '', labels: change.labels ?? {} });
  return write(tx, row, { display_name: change.displayName ?? row.display_name, labels: change.labels === undefined ? row.labels : JSON.stringify(change.labels) }, now);
}

/** Marks the project; its resources stay, and its accounts' tokens are refused until it is undeleted. */
export async function deleteProject(tx: Tx, key: string, now: Micros): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state !== 'ACTIVE') throw inactive('Cannot delete an inactive project.', row);
  return write(tx, row, { state: 'DELETE_REQUESTED', delete_time: now }, now);
}

export async function undeleteProject(tx: Tx, key: string, now: Micros): Promise<ProjectRow> {
  const row = await getProject(tx.db, key);
  if (row.state === 'ACTIVE') throw inactive('Cannot undelete an active project.', row);
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
