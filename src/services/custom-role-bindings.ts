/** That a policy binds custom roles only where they are: those of the resource's own project and of its organization. */
import { invalidRequest } from '../errors.ts';
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import { parseResource } from '../policy/resource.ts';
import type { Db } from '../store/database.ts';
import { listAncestors } from '../store/hierarchy.ts';
import { findProject } from '../store/projects.ts';
import { findRole } from '../store/roles.ts';
import { findTagParent } from '../store/tags.ts';

/**
 * Roles that the policy had already are left alone: one may have been deleted since.
 * @param resource full name of what the policy is set on, projects by id
 * @throws INVALID_ARGUMENT
 */
export async function refuseForeignRoles(db: Db, resource: string, next: Policy, current: Policy | undefined): Promise<void> {
  const before = new Set(current?.bindings.map(({ role }) => role));
  const added = new Set(next.bindings.map(({ role }) => role).filter((role) => !role.startsWith('roles/') && !before.has(role)));
  if (added.size === 0) return;
  const parents = await listRoleParents(db, resource);
  for (const role of added) {
    const row = await findRole(db, role);
    if (row === undefined || row.delete_time !== null || !parents.includes(row.parent))
      throw invalidRequest(`Role (${role}) does not exist in the resource's hierarchy.`, [
        { field: 'policy.bindings.role', description: 'Custom roles are bound in the project or organization that has them, or below it.' },
      ]);
  }
}

async function listRoleParents(db: Db, resource: string): Promise<readonly string[]> {
  const root = parseResource(resource)?.root;
  // A tag value is below its key, and a key below an organization or a project.
  let at: string | undefined = root === undefined ? undefined : `${root.kind}/${root.id}`;
  while (at?.startsWith('tag') === true) at = (await findTagParent(db, at))?.parent;
  const [kind, id = ''] = at?.split('/') ?? [];
  if (at === undefined || kind === 'organizations') return at === undefined ? [] : [at];
  if (kind === 'folders') return listAncestors(db, at);
  const project = await findProject(db, id);
  return project === undefined ? [] : [`projects/${project.project_id}`, ...(await listAncestors(db, project.parent))];
}
