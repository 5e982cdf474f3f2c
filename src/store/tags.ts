/**
 * Tag keys, their values, what values are bound to, and what holds them. A binding is stored on the resource itself; what a resource inherits
 * is found by whoever walks up its ancestry. All of it may decide about access, so every change touches `policies`.
 */
import { randomInt } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Db } from './database.ts';
import type { TagBindingsTable, TagKeysTable, TagValuesTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type TagKeyRow = Selectable<TagKeysTable>;
export type TagValueRow = Selectable<TagValuesTable>;
export type TagBindingRow = Selectable<TagBindingsTable>;

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

export async function insertTagKey(db: Db, row: TagKeyRow): Promise<void> {
  await db.insertInto('tag_keys').values(row).execute();
}

/** @param key number or namespaced name, which has slashes */
export async function findTagValue(db: Db, key: string): Promise<TagValueRow | undefined> {
  return db
    .selectFrom('tag_values')
    .selectAll()
    .where(key.includes('/') ? 'namespaced_name' : 'number', '=', key)
    .executeTakeFirst();
}

export async function insertTagValue(db: Db, row: TagValueRow): Promise<void> {
  await db.insertInto('tag_values').values(row).execute();
}

export async function insertTagBinding(db: Db, row: TagBindingRow): Promise<void> {
  await db.insertInto('tag_bindings').values(row).execute();
}
