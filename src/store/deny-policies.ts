/** Deny policies (google.iam.v2), by their names with projects by id. They are few on each resource, and read together. */
import { randomBytes } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { type Policy, PolicySchema } from '../gen/google/iam/v2/policy_pb.js';
import { type Micros, toTimestamp } from '../timestamp.ts';
import type { Db } from './database.ts';

/** What stands in a row, as the message of the API: name (projects by number), etag and times included. */
export async function findDenyPolicy(db: Db, key: string): Promise<Policy | undefined> {
  const row = await db.selectFrom('deny_policies').selectAll().where('name', '=', key).executeTakeFirst();
  return row === undefined ? undefined : fromRow(row);
}

/** In the order of their names, from the one after `after`. @param resource full name of what they are attached to, projects by id */
export async function listDenyPolicies(
  db: Db,
  resource: string,
  page: { readonly after?: string; readonly limit?: number } = {},
): Promise<{ readonly key: string; readonly policy: Policy }[]> {
  const query = db
    .selectFrom('deny_policies')
    .selectAll()
    .where('resource', '=', resource)
    .where('name', '>', page.after ?? '')
    .orderBy('name');
  const rows = await (page.limit === undefined ? query : query.limit(page.limit)).execute();
  return rows.map((row) => ({ key: row.name, policy: fromRow(row) }));
}

/** Puts the policy under its key, whether or not there was one, with a new etag. @returns what is stored now */
export async function updateDenyPolicy(
  db: Db,
  key: string,
  resource: string,
  policy: Policy,
  times: { readonly createTime: Micros; readonly updateTime: Micros },
): Promise<Policy> {
  // Beginning with the time, so that it grows with every change; base64, as gcloud reads it.
  const etag = Buffer.concat([Buffer.from(times.updateTime.toString(16).padStart(14, '0'), 'hex'), randomBytes(2)]).toString('base64');
  const row = {
    resource,
    uid: policy.uid,
    body: toBinary(PolicySchema, create(PolicySchema, { ...policy, etag: '' })),
    etag,
    create_time: times.createTime,
    update_time: times.updateTime,
  };
  await db
    .insertInto('deny_policies')
    .values({ name: key, ...row })
    .onConflict((c) => c.column('name').doUpdateSet(row))
    .execute();
  return fromRow(row);
}

export async function deleteDenyPolicy(db: Db, key: string): Promise<void> {
  await db.deleteFrom('deny_policies').where('name', '=', key).execute();
}

function fromRow(row: { readonly body: Uint8Array; readonly etag: string; readonly create_time: Micros; readonly update_time: Micros }): Policy {
  return create(PolicySchema, { ...fromBinary(PolicySchema, row.body), etag: row.etag, createTime: toTimestamp(row.create_time), updateTime: toTimestamp(row.update_time) });
}
