/** The resource hierarchy as the decision engine reads it: who is whose parent, and which policy each carries. */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { Db } from './database.ts';
import { findFolder } from './folders.ts';
import { findPolicy } from './policies.ts';
import { findProject } from './projects.ts';
import { findTagParent } from './tags.ts';

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
  };
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
