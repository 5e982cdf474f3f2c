/** Names of roles and of what holds custom ones, taken apart at the edge. */
import { invalidRequest } from '../../errors.ts';

/** What has custom roles. */
export interface RoleParent {
  readonly kind: 'projects' | 'organizations';
  /** A project's id or number, an organization's number. */
  readonly id: string;
}

export interface RoleName {
  /** Undefined for a predefined role. */
  readonly parent: RoleParent | undefined;
  readonly id: string;
}

const ROLE = /^(?:(?<parent>(?:projects\/[a-z0-9][a-z0-9.:-]{0,62}|organizations\/\d{1,20}))\/)?roles\/(?<id>[A-Za-z0-9_.]{1,128})$/;
const PARENT = /^(?<kind>projects|organizations)\/(?<id>[a-z0-9][a-z0-9.:-]{0,62})$/;

/** @throws INVALID_ARGUMENT in Google's words (https://github.com/GoogleCloudPlatform/k8s-config-connector/issues/210) */
export function parseRoleName(name: string): RoleName {
  const { id, parent } = ROLE.exec(name)?.groups ?? {};
  if (id === undefined)
    throw invalidRequest('The role name must be in the form "roles/{role}", "organizations/{organization_id}/roles/{role}", or "projects/{project_id}/roles/{role}".', [
      { field: 'name', description: `${JSON.stringify(name)} is not the name of a role.` },
    ]);
  return { id, parent: parent === undefined ? undefined : parseRoleParent(parent) };
}

/** @throws INVALID_ARGUMENT */
export function parseRoleParent(parent: string): RoleParent {
  const { kind, id = '' } = PARENT.exec(parent)?.groups ?? {};
  if ((kind !== 'projects' && kind !== 'organizations') || (kind === 'organizations' && !/^\d+$/.test(id)))
    throw invalidRequest(`parent: ${JSON.stringify(parent)} has no roles of its own. Write projects/PROJECT_ID or organizations/NUMBER.`, [
      { field: 'parent', description: 'must be projects/PROJECT_ID or organizations/NUMBER' },
    ]);
  return { kind, id };
}

/** @throws INVALID_ARGUMENT in Google's words (the same place) */
export function checkRoleId(id: string): void {
  if (!/^[a-zA-Z0-9_.]{3,64}$/.test(id)) {
    const message = `The role_id "${id}" is invalid. It doesn't match pattern "[a-zA-Z0-9_\\.]{3,64}". The role_id must be 3 to 64 characters long and can be a mix of uppercase and lowercase English letters, digits, underscores and periods.`;
    throw invalidRequest(message, [{ field: 'role_id', description: message }]);
  }
}
