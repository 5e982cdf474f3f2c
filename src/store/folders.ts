/** Folders of the resource hierarchy. The number never changes hands: a deleted folder keeps its row, and its number is not given out again. */
import { randomBytes, randomInt } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { FoldersTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type FolderRow = Selectable<FoldersTable>;

export async function findFolder(db: Db, number: string): Promise<FolderRow | undefined> {
  return (await selectByNumber(db, { number }))[0];
}
const selectByNumber = prepare<FolderRow, 'number'>(['number'], (db, { number }) => db.selectFrom('folders').selectAll().where('number', '=', number));

/** In the order of their numbers (as text), from the one after `after`. */
export async function listFolders(db: Db, page: { readonly after?: string; readonly limit: number }): Promise<FolderRow[]> {
  return db
    .selectFrom('folders')
    .selectAll()
    .where('number', '>', page.after ?? '')
    .orderBy('number')
    .limit(page.limit)
    .execute();
}

/** Those directly in a folder or organization, in the order of their display names. @param parent `organizations/N` or `folders/N` @param page.after the display name and number of one */
export async function listFoldersIn(
  db: Db,
  parent: string,
  page: { readonly after?: { readonly displayName: string; readonly number: string }; readonly limit: number; readonly showDeleted: boolean },
): Promise<FolderRow[]> {
  const { after } = page;
  let query = db.selectFrom('folders').selectAll().where('parent', '=', parent);
  if (!page.showDeleted) query = query.where('state', '=', 'ACTIVE');
  if (after !== undefined)
    query = query.where((e) => e.or([e('display_name', '>', after.displayName), e.and([e('display_name', '=', after.displayName), e('number', '>', after.number)])]));
  return query.orderBy('display_name').orderBy('number').limit(page.limit).execute();
}

/** An ACTIVE folder of this name directly in the parent. */
export async function findFolderByName(db: Db, parent: string, displayName: string): Promise<FolderRow | undefined> {
  return db.selectFrom('folders').selectAll().where('parent', '=', parent).where('display_name', '=', displayName).where('state', '=', 'ACTIVE').executeTakeFirst();
}

/** How many folders are directly in a folder or organization. @param state absent: deleted ones count as well */
export async function countFoldersIn(db: Db, parent: string, state?: FolderRow['state']): Promise<number> {
  let query = db
    .selectFrom('folders')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('parent', '=', parent);
  if (state !== undefined) query = query.where('state', '=', state);
  return (await query.executeTakeFirstOrThrow()).count;
}

/** What is directly in each of these folders. @param parents `folders/N`; at most a few hundred */
export async function listChildFolders(db: Db, parents: readonly string[]): Promise<Pick<FolderRow, 'number' | 'state'>[]> {
  return parents.length === 0 ? [] : db.selectFrom('folders').select(['number', 'state']).where('parent', 'in', parents).execute();
}

/** A new folder, ACTIVE, under a new etag. */
export async function insertFolder(db: Db, folder: Pick<FolderRow, 'number' | 'parent' | 'display_name' | 'create_time'>): Promise<FolderRow> {
  const row: FolderRow = { ...folder, state: 'ACTIVE', update_time: folder.create_time, delete_time: null, etag: newEtag() };
  await db.insertInto('folders').values(row).execute();
  return row;
}

/** Changes the row, under a new etag. @returns the new etag */
export async function updateFolder(db: Db, number: string, change: Partial<Omit<FolderRow, 'number' | 'etag'>>): Promise<string> {
  const etag = newEtag();
  await db
    .updateTable('folders')
    .set({ ...change, etag })
    .where('number', '=', number)
    .execute();
  return etag;
}

/** A number of twelve digits that no folder has; the caller inserts it in the same transaction. */
export async function claimFolderNumber(db: Db): Promise<string> {
  for (;;) {
    const number = String(randomInt(100_000_000_000, 1_000_000_000_000));
    if ((await findFolder(db, number)) === undefined) return number;
  }
}

/** As Google's are: weak, quoted, opaque. */
function newEtag(): string {
  return `W/"${randomBytes(8).toString('hex')}"`;
}
