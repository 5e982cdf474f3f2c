/** Organization policies, by the node that carries them and the constraint. One row serves v1 and v2 of the API. */
import { randomBytes } from 'node:crypto';
import { clone, fromBinary, toBinary } from '@bufbuild/protobuf';
import type { CustomConstraint } from '../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import { type Policy, PolicySchema } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { type Micros, toTimestamp } from '../timestamp.ts';
import { listCustomConstraints } from './custom-constraints.ts';
import type { Db } from './database.ts';
import { findFolder } from './folders.ts';
import { listOrganizations } from './organizations.ts';
import { findProject } from './projects.ts';
import { type BoundTag, listTags } from './tags.ts';

/** They come from a seed, which a person wrote. */
const MAX_ORGANIZATIONS = 1000;

/** @param node `projects/NUMBER`, `folders/N`, `organizations/N` @param constraint without `constraints/` @returns with name, etags and times */
export async function findOrgPolicy(db: Db, node: string, constraint: string): Promise<Policy | undefined> {
  const row = await db.selectFrom('org_policies').select(['body']).where('resource', '=', node).where('constraint_id', '=', constraint).executeTakeFirst();
  return row === undefined ? undefined : fromBinary(PolicySchema, row.body);
}

/** In the order of their constraints, from the one after `after`. */
export async function listOrgPolicies(db: Db, node: string, page: { readonly after?: string; readonly limit?: number } = {}): Promise<Policy[]> {
  let query = db
    .selectFrom('org_policies')
    .select('body')
    .where('resource', '=', node)
    .where('constraint_id', '>', page.after ?? '')
    .orderBy('constraint_id');
  if (page.limit !== undefined) query = query.limit(page.limit);
  return (await query.execute()).map(({ body }) => fromBinary(PolicySchema, body));
}

/** Sets the policy, whether or not there was one, under a new etag. The name, etags and times of what is given do not count. @returns what is now stored */
export async function updateOrgPolicy(db: Db, node: string, constraint: string, policy: Policy, now: Micros): Promise<Policy> {
  const stored = clone(PolicySchema, policy);
  stored.name = `${node}/policies/${constraint}`;
  stored.etag = randomBytes(9).toString('base64');
  for (const spec of [stored.spec, stored.dryRunSpec]) {
    if (spec === undefined) continue;
    spec.etag = stored.etag;
    spec.updateTime = toTimestamp(now);
  }
  const row = { body: toBinary(PolicySchema, stored), etag: stored.etag, update_time: now };
  await db
    .insertInto('org_policies')
    .values({ resource: node, constraint_id: constraint, ...row })
    .onConflict((c) => c.columns(['resource', 'constraint_id']).doUpdateSet(row))
    .execute();
  return stored;
}

export async function deleteOrgPolicy(db: Db, node: string, constraint: string): Promise<void> {
  await db.deleteFrom('org_policies').where('resource', '=', node).where('constraint_id', '=', constraint).execute();
}

export interface OrgPolicyReader {
  project(idOrNumber: string): Promise<{ projectId: string; number: string; parent: string | null } | undefined>;
  folder(number: string): Promise<{ parent: string } | undefined>;
  orgPolicies(node: string): Promise<Policy[]>;
  customConstraints(organization: string): Promise<CustomConstraint[]>;
  organizations(): Promise<{ number: string; domain: string }[]>;
  tags(resource: string): Promise<BoundTag[]>;
}

/** What the evaluation of organization policies reads. */
export function createOrgPolicyReader(db: Db): OrgPolicyReader {
  return {
    async project(idOrNumber) {
      const row = await findProject(db, idOrNumber);
      return row === undefined ? undefined : { projectId: row.project_id, number: row.number, parent: row.parent };
    },
    async folder(number) {
      const row = await findFolder(db, number);
      return row === undefined ? undefined : { parent: row.parent };
    },
    orgPolicies: (node) => listOrgPolicies(db, node),
    customConstraints: (organization) => listCustomConstraints(db, organization),
    organizations: async () => (await listOrganizations(db, { limit: MAX_ORGANIZATIONS })).map((row) => ({ number: row.number, domain: row.display_name })),
    tags: (resource) => listTags(db, resource),
  };
}
