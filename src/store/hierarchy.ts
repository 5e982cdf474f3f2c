/** The resource hierarchy as the decision engine reads it: who is whose parent, and which policy each carries. */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { Policy as DenyPolicy } from '../gen/google/iam/v2/policy_pb.js';
import type { Db } from './database.ts';
import { listDenyPolicies } from './deny-policies.ts';
import { findFolder } from './folders.ts';
import { findPolicy } from './policies.ts';
import { findProject } from './projects.ts';
import { findRole } from './roles.ts';
import { type BoundTag, findTagParent, listTags } from './tags.ts';

/** Deeper than Google allows (ten folders); a cycle in a broken database must not hang a request. */
const MAX_DEPTH = 20;

export interface HierarchySource {
  /** @param resource full resource name, projects by id */
  policy(resource: string): Promise<Policy | undefined>;
  /** @returns `parent` as `folders/N` or `organizations/N`, null at the top */
  project(idOrNumber: string): Promise<{ projectId: string; number: string; parent: string | null } | undefined>;
  folder(number: string): Promise<{ parent: string } | undefined>;
  /** @param name `tagKeys/N` or `tagValues/N` */
  tag(name: string): Promise<{ parent: string } | undefined>;
  /** @param resource full resource name that they are attached to */
  denyPolicies(resource: string): Promise<readonly DenyPolicy[]>;
  /** Bound to the resource itself. */
  tags(resource: string): Promise<readonly BoundTag[]>;
  /** Custom and imported roles. `active`: neither deleted nor DISABLED */
  role(name: string): Promise<{ permissions: readonly string[]; active: boolean } | undefined>;
  /** @param member in normal form @returns `group:EMAIL` of the groups that hold it directly */
  groupsOf(member: string): Promise<readonly string[]>;
  /** @param group `group:EMAIL` @returns its direct members */
  membersOf(group: string): Promise<readonly string[]>;
}

export function createPolicySource(db: Db): HierarchySource {
  return {
    policy: (resource) => findPolicy(db, resource),
    async project(idOrNumber) {
      const row = await findProject(db, idOrNumber);
      return row === undefined ? undefined : { projectId: row.project_id, number: row.number, parent: row.parent };
    },
    async folder(number) {
      const row = await findFolder(db, number);
      return row === undefined ? undefined : { parent: row.parent };
    },
    tag: (name) => findTagParent(db, name),
    denyPolicies: async (resource) => (await listDenyPolicies(db, resource)).map(({ policy }) => policy),
    tags: (resource) => listTags(db, resource),
    async role(name) {
      const row = await findRole(db, name);
      return row === undefined ? undefined : { permissions: permissionsOf(row.permissions), active: row.delete_time === null && row.stage !== 'DISABLED' };
    },
    async groupsOf(member) {
      const rows = await db.selectFrom('group_members').select('group_email').where('member', '=', member).orderBy('group_email').execute();
      return rows.map(({ group_email }) => `group:${group_email}`);
    },
    async membersOf(group) {
      const rows = await db.selectFrom('group_members').select('member').where('group_email', '=', group.slice('group:'.length)).orderBy('member').execute();
      return rows.map(({ member }) => member);
    },
  };
}

function permissionsOf(column: string): readonly string[] {
  const parsed: unknown = JSON.parse(column);
  return Array.isArray(parsed) ? parsed.filter((one) => typeof one === 'string') : [];
}

/** The names above a project or folder, nearest first: `folders/N`, ..., `organizations/N`. @param parent of the one that is asked about */
export async function listAncestors(db: Db, parent: string | null): Promise<string[]> {
  const names: string[] = [];
  let next = parent;
  while (next !== null && names.length < MAX_DEPTH) {
    names.push(next);
    const folder: { parent: string } | undefined = next.startsWith('folders/') ? await findFolder(db, next.slice('folders/'.length)) : undefined;
    next = folder?.parent ?? null;
  }
  return names;
}
