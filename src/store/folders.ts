/** Folders of the resource hierarchy. They come from the seed. */
import type { Insertable, Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { FoldersTable } from './schema.ts';

export type FolderRow = Selectable<FoldersTable>;

export async function findFolder(db: Db, number: string): Promise<FolderRow | undefined> {
  return db.selectFrom('folders').selectAll().where('number', '=', number).executeTakeFirst();
}

/** In the order of their numbers (as text), from the one after `after`. @param page.parent `organizations/N` or `folders/N`; absent: all */
export async function listFolders(db: Db, page: { readonly parent?: string; readonly after?: string; readonly limit: number }): Promise<FolderRow[]> {
  let query = db
    .selectFrom('folders')
    .selectAll()
    .where('number', '>', page.after ?? '');
  if (page.parent !== undefined) query = query.where('parent', '=', page.parent);
  return query.orderBy('number').limit(page.limit).execute();
}

export async function insertFolder(db: Db, row: Insertable<FoldersTable>): Promise<void> {
  await db.insertInto('folders').values(row).execute();
}

export async function updateFolder(db: Db, number: string, change: Partial<Omit<FolderRow, 'number'>>): Promise<void> {
  await db.updateTable('folders').set(change).where('number', '=', number).execute();
}
