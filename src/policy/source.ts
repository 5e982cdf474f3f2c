/** Where policies and what they depend on come from; the decision engine's only way to the world. An answer is trusted until `Authorizer.invalidate`. */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { Policy as DenyPolicy } from '../gen/google/iam/v2/policy_pb.js';
import type { Tag } from './tag.ts';

/** A role that is stored: a custom one, or one that was imported in the place of a predefined one. */
export interface StoredRole {
  readonly permissions: readonly string[];
  /** False for one that is deleted or DISABLED: it grants nothing. */
  readonly active: boolean;
}

export interface PolicySource {
  /** By full resource name, projects by id. Undefined: none was ever set. */
  policy(resource: string): Promise<Policy | undefined>;
  /** `parent` is `folders/N`, `organizations/N`, or null at the top. */
  project(idOrNumber: string): Promise<{ projectId: string; number: string; parent: string | null } | undefined>;
  folder(number: string): Promise<{ parent: string } | undefined>;
  /** @param name `tagKeys/N` or `tagValues/N` @returns what it is below: `organizations/N`, `projects/N` or `tagKeys/N`. Absent: there are no tags. */
  tag?(name: string): Promise<{ parent: string } | undefined>;
  /** Deny policies that are attached to a project, folder or organization. @param resource as for `policy` */
  denyPolicies?(resource: string): Promise<readonly DenyPolicy[]>;
  /** The tags bound to a resource itself. @param resource as for `policy` */
  tags?(resource: string): Promise<readonly Tag[]>;
  /** @param name `projects/ID/roles/R`, `organizations/N/roles/R`, or `roles/R` for one that was imported */
  role?(name: string): Promise<StoredRole | undefined>;
  /** The groups that hold a member directly, as policy members: `group:team@example.com`. @param member in normal form */
  groupsOf?(member: string): Promise<readonly string[]>;
  /** The direct members of a group. @param group `group:EMAIL` in normal form */
  membersOf?(group: string): Promise<readonly string[]>;
}
