/** Projects. The id never changes hands: a deleted project keeps its row, and its id and number are not given out again. */
import { randomInt } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { ProjectsTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type ProjectRow = Selectable<ProjectsTable>;

/** @param key id or number; ids begin with a letter, so the two cannot be confused */
export async function findProject(db: Db, key: string): Promise<ProjectRow | undefined> {
  return (await (/^\d/.test(key) ? selectByNumber : selectById)(db, { key }))[0];
}
const selectByNumber = prepare<ProjectRow, 'key'>(['key'], (db, { key }) => db.selectFrom('projects').selectAll().where('number', '=', key));
const selectById = prepare<ProjectRow, 'key'>(['key'], (db, { key }) => db.selectFrom('projects').selectAll().where('project_id', '=', key));

/** In the order of their ids, from the one after `after`. @param page.parent `organizations/N` or `folders/N`; absent: all */
export async function listProjects(
  db: Db,
  page: { readonly parent?: string; readonly after?: string; readonly limit: number; readonly showDeleted?: boolean },
): Promise<ProjectRow[]> {
  let query = db
    .selectFrom('projects')
    .selectAll()
    .where('project_id', '>', page.after ?? '');
  if (page.parent !== undefined) query = query.where('parent', '=', page.parent);
  if (page.showDeleted !== true) query = query.where('state', '=', 'ACTIVE');
  return query.orderBy('project_id').limit(page.limit).execute();
}

/** Whether an ACTIVE project is directly in the parent. */
export async function hasActiveProject(db: Db, parent: string): Promise<boolean> {
  return (await db.selectFrom('projects').select('project_id').where('parent', '=', parent).where('state', '=', 'ACTIVE').limit(1).executeTakeFirst()) !== undefined;
}

export async function insertProject(db: Db, row: ProjectRow): Promise<void> {
  await db.insertInto('projects').values(row).execute();
}

export async function updateProject(db: Db, projectId: string, change: Partial<Omit<ProjectRow, 'project_id' | 'number'>>): Promise<void> {
  await db.updateTable('projects').set(change).where('project_id', '=', projectId).execute();
}

/** A number of twelve digits that no project has; the caller inserts it in the same transaction. */
export async function claimProjectNumber(db: Db): Promise<string> {
  for (;;) {
    const number = String(randomInt(100_000_000_000, 1_000_000_000_000));
    if ((await findProject(db, number)) === undefined) return number;
  }
}
