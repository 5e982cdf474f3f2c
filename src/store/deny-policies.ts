/** Deny policies (google.iam.v2), by their names with projects by id. They are few on each resource, and read together. */
import { randomBytes } from 'node:crypto';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { sql } from 'kysely';
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

/** Writes `to` wherever a deny rule names `from`. @param from, to policy members; the rules have them in the form of IAM v2 */
export async function renamePrincipal(db: Db, from: string, to: string, now: Micros): Promise<void> {
  const [old, next] = [toPrincipal(from), toPrincipal(to)];
  if (old === undefined || next === undefined) return;
  const rows = await db
    .selectFrom('deny_policies')
    .selectAll()
    .where(sql<boolean>`instr(body, ${Buffer.from(old)}) > 0`)
    .execute();
  for (const row of rows) {
    const policy = fromRow(row);
    for (const { kind } of policy.rules) {
      if (kind.case !== 'denyRule') continue;
      const renamed = (principals: readonly string[]) => principals.map((principal) => (principal === old ? next : principal));
      kind.value.deniedPrincipals = renamed(kind.value.deniedPrincipals);
      kind.value.exceptionPrincipals = renamed(kind.value.exceptionPrincipals);
    }
    await updateDenyPolicy(db, row.name, row.resource, policy, { createTime: row.create_time, updateTime: now });
  }
}

/** Source: https://docs.cloud.google.com/iam/docs/principal-identifiers#v2 */
function toPrincipal(member: string): string | undefined {
  const { deleted = '', type, email = '', uid = '' } = /^(?<deleted>deleted:)?(?<type>user|group|serviceAccount):(?<email>[^?]+)(?<uid>\?uid=\d+)?$/.exec(member)?.groups ?? {};
  if (type === 'group') return `${deleted}principalSet://goog/group/${email}${uid}`;
  if (type === 'serviceAccount') return `${deleted}principal://iam.googleapis.com/projects/-/serviceAccounts/${email}${uid}`;
  return type === 'user' ? `${deleted}principal://goog/subject/${email}${uid}` : undefined;
}

function fromRow(row: { readonly body: Uint8Array; readonly etag: string; readonly create_time: Micros; readonly update_time: Micros }): Policy {
  return create(PolicySchema, { ...fromBinary(PolicySchema, row.body), etag: row.etag, createTime: toTimestamp(row.create_time), updateTime: toTimestamp(row.update_time) });
}
