/** What a custom role must be: Google's limits and, where known, its words. Pure. */
import { invalidArgument, invalidRequest } from '../../errors.ts';
import { type Role, Role_RoleLaunchStage } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { type KnownPermissions, parsePermissionTarget } from './known-permissions.ts';
import type { RoleParent } from './role-names.ts';

/** Source: https://docs.cloud.google.com/iam/quotas and https://docs.cloud.google.com/iam/docs/understanding-custom-roles */
export const MAX_ROLES = 300;
const MAX_PERMISSIONS = 3000;
const MAX_TOTAL_BYTES = 64 * 1024;
const MAX_TITLE = 100;
const MAX_DESCRIPTION = 300;

/** The fields of a role that a caller may choose, in the form in which they are kept. */
export interface RoleContent {
  readonly title: string;
  readonly description: string;
  /** Name of Role.RoleLaunchStage. */
  readonly stage: string;
  /** Sorted, none twice. */
  readonly permissions: readonly string[];
}

export function contentOf(role: Role): RoleContent {
  return { title: role.title, description: role.description, stage: stageName(role.stage), permissions: [...new Set(role.includedPermissions)].sort() };
}

function stageName(stage: Role_RoleLaunchStage): string {
  const name: string | undefined = Role_RoleLaunchStage[stage];
  if (name === undefined) throw invalidArgument('role.stage', `${stage} is not a launch stage. Use ALPHA, BETA, GA, DEPRECATED, DISABLED or EAP.`);
  return name;
}

/** @throws INVALID_ARGUMENT where a text is too long, or all of it together */
export function checkRoleTexts(content: RoleContent): void {
  const tooLong = (field: string, most: number, has: number) => {
    if (has > most) throw invalidArgument(`role.${field}`, `must have at most ${most} characters, but has ${has}.`);
  };
  tooLong('title', MAX_TITLE, Array.from(content.title).length);
  tooLong('description', MAX_DESCRIPTION, Array.from(content.description).length);
  const { length } = content.permissions;
  if (length > MAX_PERMISSIONS) throw invalidArgument('role.included_permissions', `must have at most ${MAX_PERMISSIONS} permissions, but has ${length}.`);
  const bytes = [content.title, content.description, ...content.permissions].reduce((sum, text) => sum + Buffer.byteLength(text), 0);
  if (bytes > MAX_TOTAL_BYTES)
    throw invalidArgument('role', `the title, the description and the names of the permissions must have at most ${MAX_TOTAL_BYTES} bytes together, but have ${bytes}.`);
}

/**
 * Deviation: a permission of a service whose permissions the role catalogue does not list completely is accepted in a custom role, with a warning; Google refuses one that does not exist.
 * Deviation: every permission that is known may be in a custom role; Google has some that are NOT_SUPPORTED there.
 * @param before permissions that the role has already, or that are known from elsewhere: they are left alone
 * @returns those that may exist, but are not known here
 * @throws INVALID_ARGUMENT in Google's words, recorded: https://github.com/hashicorp/terraform-provider-google/issues/14033
 */
export function checkPermissions(content: RoleContent, parent: RoleParent, known: KnownPermissions, before: ReadonlySet<string> = new Set()): string[] {
  const target = parsePermissionTarget(`//cloudresourcemanager.googleapis.com/${parent.kind}/${parent.id}`);
  const unlisted: string[] = [];
  for (const permission of content.permissions) {
    if (before.has(permission)) continue;
    const knowledge = known.knowledge(permission);
    if (knowledge === 'unknown' || target?.isTestable(permission) === false)
      throw invalidRequest(`Permission ${permission} is not valid.`, [
        {
          field: 'role.included_permissions',
          description: knowledge === 'unknown' ? `${JSON.stringify(permission)} is not a permission that is known.` : `${permission} has no effect in a role of a project.`,
        },
      ]);
    if (knowledge === 'unlisted') unlisted.push(permission);
  }
  return unlisted;
}
