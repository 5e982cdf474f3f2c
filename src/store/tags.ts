/**
 * Tag keys, their values, what values are bound to, and what holds them. A binding is stored on the resource itself; what a resource inherits
 * is found by whoever walks up its ancestry. All of it may decide about access, so every change touches `policies`.
 */
import { randomInt } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { TagBindingsTable, TagHoldsTable, TagKeysTable, TagValuesTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type TagKeyRow = Selectable<TagKeysTable>;
export type TagValueRow = Selectable<TagValuesTable>;
export type TagBindingRow = Selectable<TagBindingsTable>;
export type TagHoldRow = Selectable<TagHoldsTable>;

/** Rows with a number above `after`, in the order of their numbers as text. */
interface Page {
  readonly after?: string | undefined;
  readonly limit: number;
}

/** One tag that is bound to a resource, in the form in which conditions and organization policies ask for it. */
export interface BoundTag {
  /** `tagKeys/123`. */
  readonly keyId: string;
  /** Namespaced name of the key: `111111111111/env`, or `demo/env` for a project's. */
  readonly key: string;
  /** `tagValues/456`. */
  readonly valueId: string;
  /** Short name of the value. */
  readonly value: string;
}

/**
 * The tags that are bound to a resource itself, at most one for each key. What it inherits from its ancestors is not among them.
 * @param resource full resource name as policies are stored by: projects by id, service accounts by e-mail
 */
export async function listTags(db: Db, resource: string): Promise<BoundTag[]> {
  return (await selectTags(db, { resource })).map((row) => ({
    keyId: `tagKeys/${row.keyNumber}`,
    key: row.key,
    valueId: `tagValues/${row.valueNumber}`,
    value: row.value,
  }));
}
const selectTags = prepare<{ readonly keyNumber: string; readonly key: string; readonly valueNumber: string; readonly value: string }, 'resource'>(
  ['resource'],
  (db, { resource }) =>
    db
      .selectFrom('tag_bindings')
      .innerJoin('tag_keys', 'tag_keys.number', 'tag_bindings.key_number')
      .innerJoin('tag_values', 'tag_values.number', 'tag_bindings.value_number')
      .select(['tag_keys.number as keyNumber', 'tag_keys.namespaced_name as key', 'tag_values.number as valueNumber', 'tag_values.short_name as value'])
      .where('tag_bindings.resource', '=', resource)
      .orderBy('tag_bindings.key_number'),
);

/** What a key or value is below, for decisions about it. @param name `tagKeys/N` or `tagValues/N` */
export async function findTagParent(db: Db, name: string): Promise<{ parent: string } | undefined> {
  const [collection, number = ''] = name.split('/');
  if (collection === 'tagKeys') return db.selectFrom('tag_keys').select('parent').where('number', '=', number).executeTakeFirst();
  const value = await db.selectFrom('tag_values').select('key_number').where('number', '=', number).executeTakeFirst();
  return value === undefined ? undefined : { parent: `tagKeys/${value.key_number}` };
}

/** A number of 15 digits, as Google's are of about that length, that neither a key nor a value has; the caller inserts it in the same transaction. */
export async function claimTagNumber(db: Db): Promise<string> {
  for (;;) {
    const number = String(281_470_000_000_000 + randomInt(10_000_000_000));
    if ((await findTagKey(db, number)) === undefined && (await findTagValue(db, number)) === undefined) return number;
  }
}

/** @param key number or namespaced name, which has a slash */
export async function findTagKey(db: Db, key: string): Promise<TagKeyRow | undefined> {
  return db
    .selectFrom('tag_keys')
    .selectAll()
    .where(key.includes('/') ? 'namespaced_name' : 'number', '=', key)
    .executeTakeFirst();
}

/** @param page.parent `organizations/N` or `projects/NUMBER` */
export async function listTagKeys(db: Db, page: Page & { readonly parent: string }): Promise<TagKeyRow[]> {
  return db
    .selectFrom('tag_keys')
    .selectAll()
    .where('parent', '=', page.parent)
    .where('number', '>', page.after ?? '')
    .orderBy('number')
    .limit(page.limit)
    .execute();
}

export async function insertTagKey(db: Db, row: TagKeyRow): Promise<void> {
  await db.insertInto('tag_keys').values(row).execute();
}

export async function updateTagKey(db: Db, number: string, change: Pick<TagKeyRow, 'description' | 'etag' | 'update_time'>): Promise<void> {
  await db.updateTable('tag_keys').set(change).where('number', '=', number).execute();
}

export async function deleteTagKey(db: Db, number: string): Promise<void> {
  await db.deleteFrom('tag_keys').where('number', '=', number).execute();
}

/** @param key number or namespaced name, which has slashes */
export async function findTagValue(db: Db, key: string): Promise<TagValueRow | undefined> {
  return db
    .selectFrom('tag_values')
    .selectAll()
    .where(key.includes('/') ? 'namespaced_name' : 'number', '=', key)
    .executeTakeFirst();
}

export async function listTagValues(db: Db, page: Page & { readonly keyNumber: string }): Promise<TagValueRow[]> {
  return db
    .selectFrom('tag_values')
    .selectAll()
    .where('key_number', '=', page.keyNumber)
    .where('number', '>', page.after ?? '')
    .orderBy('number')
    .limit(page.limit)
    .execute();
}

export async function insertTagValue(db: Db, row: TagValueRow): Promise<void> {
  await db.insertInto('tag_values').values(row).execute();
}

export async function updateTagValue(db: Db, number: string, change: Pick<TagValueRow, 'description' | 'etag' | 'update_time'>): Promise<void> {
  await db.updateTable('tag_values').set(change).where('number', '=', number).execute();
}

export async function deleteTagValue(db: Db, number: string): Promise<void> {
  await db.deleteFrom('tag_values').where('number', '=', number).execute();
}

/** The bindings of one resource, in the order of their values' numbers. */
export async function listTagBindings(db: Db, page: Page & { readonly resource: string }): Promise<TagBindingRow[]> {
  return db
    .selectFrom('tag_bindings')
    .selectAll()
    .where('resource', '=', page.resource)
    .where('value_number', '>', page.after ?? '')
    .orderBy('value_number')
    .limit(page.limit)
    .execute();
}

export async function insertTagBinding(db: Db, row: TagBindingRow): Promise<void> {
  await db.insertInto('tag_bindings').values(row).execute();
}

/** @returns whether there was one */
export async function deleteTagBinding(db: Db, resource: string, valueNumber: string): Promise<boolean> {
  return (await db.deleteFrom('tag_bindings').where('resource', '=', resource).where('value_number', '=', valueNumber).executeTakeFirst()).numDeletedRows > 0n;
}

/** `deletePolicy` calls it with every deletion of a resource. @returns whether there were any */
export async function deleteTagBindingsOf(db: Db, resource: string): Promise<boolean> {
  return (await db.deleteFrom('tag_bindings').where('resource', '=', resource).executeTakeFirst()).numDeletedRows > 0n;
}

/** Gives the tags of one name to another, which has none. */
export async function moveTagBindings(db: Db, from: string, to: string): Promise<void> {
  await db.updateTable('tag_bindings').set({ resource: to }).where('resource', '=', from).execute();
}

/** A resource that a value is bound to, if any. */
export async function findTagBindingOf(db: Db, valueNumber: string): Promise<TagBindingRow | undefined> {
  return db.selectFrom('tag_bindings').selectAll().where('value_number', '=', valueNumber).limit(1).executeTakeFirst();
}

export async function findTagHold(db: Db, name: string): Promise<TagHoldRow | undefined> {
  return db.selectFrom('tag_holds').selectAll().where('name', '=', name).executeTakeFirst();
}

/** In the order of their names. @param page.after a name */
export async function listTagHolds(db: Db, page: Page & { readonly valueNumber: string }): Promise<TagHoldRow[]> {
  return db
    .selectFrom('tag_holds')
    .selectAll()
    .where('value_number', '=', page.valueNumber)
    .where('name', '>', page.after ?? '')
    .orderBy('name')
    .limit(page.limit)
    .execute();
}

/** The hold of this holder and origin on a value. */
export async function findTagHoldOf(db: Db, hold: Pick<TagHoldRow, 'value_number' | 'holder' | 'origin'>): Promise<TagHoldRow | undefined> {
  return db
    .selectFrom('tag_holds')
    .selectAll()
    .where('value_number', '=', hold.value_number)
    .where('holder', '=', hold.holder)
    .where('origin', '=', hold.origin)
    .executeTakeFirst();
}

export async function insertTagHold(db: Db, row: TagHoldRow): Promise<void> {
  await db.insertInto('tag_holds').values(row).execute();
}

export async function deleteTagHold(db: Db, name: string): Promise<void> {
  await db.deleteFrom('tag_holds').where('name', '=', name).execute();
}
