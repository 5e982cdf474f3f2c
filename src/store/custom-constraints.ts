/** Custom constraints of organizations, by their name. */
import { clone, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type CustomConstraint, CustomConstraintSchema } from '../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import { type Micros, toTimestamp } from '../timestamp.ts';
import type { Db } from './database.ts';

/** @param name `organizations/N/customConstraints/custom.x` */
export async function findCustomConstraint(db: Db, name: string): Promise<CustomConstraint | undefined> {
  const row = await db.selectFrom('custom_constraints').select('body').where('name', '=', name).executeTakeFirst();
  return row === undefined ? undefined : fromBinary(CustomConstraintSchema, row.body);
}

/** In the order of their names, from the one after `after`. @param parent `organizations/N` */
export async function listCustomConstraints(db: Db, parent: string, page: { readonly after?: string; readonly limit?: number } = {}): Promise<CustomConstraint[]> {
  let query = db
    .selectFrom('custom_constraints')
    .select('body')
    .where('parent', '=', parent)
    .where('name', '>', page.after ?? '')
    .orderBy('name');
  if (page.limit !== undefined) query = query.limit(page.limit);
  return (await query.execute()).map(({ body }) => fromBinary(CustomConstraintSchema, body));
}

/** Sets the constraint, whether or not there was one of its name. @returns what is now stored, with its time */
export async function updateCustomConstraint(db: Db, parent: string, constraint: CustomConstraint, now: Micros): Promise<CustomConstraint> {
  const stored = clone(CustomConstraintSchema, constraint);
  stored.updateTime = toTimestamp(now);
  const row = { body: toBinary(CustomConstraintSchema, stored), update_time: now };
  await db
    .insertInto('custom_constraints')
    .values({ name: stored.name, parent, ...row })
    .onConflict((c) => c.column('name').doUpdateSet(row))
    .execute();
  return stored;
}

export async function deleteCustomConstraint(db: Db, name: string): Promise<void> {
  await db.deleteFrom('custom_constraints').where('name', '=', name).execute();
}
