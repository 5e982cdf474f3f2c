/** Whether a member may hand out roles somewhere: who can do that can give itself anything. */
import type { Authorizer } from './authorizer.ts';

const RESOURCE_MANAGER = '//cloudresourcemanager.googleapis.com';
/** Asked of each kind of resource, its own policy and those of what it holds. */
const PERMISSIONS: Readonly<Record<'organizations' | 'folders' | 'projects', readonly string[]>> = {
  organizations: ['resourcemanager.organizations.setIamPolicy'],
  folders: ['resourcemanager.folders.setIamPolicy'],
  projects: ['resourcemanager.projects.setIamPolicy', 'iam.serviceAccounts.setIamPolicy', 'run.jobs.setIamPolicy', 'secretmanager.secrets.setIamPolicy'],
};

/** @param roots ids or numbers @returns the first permission that is granted and where, `projects/demo`; grants on single jobs or accounts are not looked at */
export async function findSettablePolicy(
  authorizer: Pick<Authorizer, 'decide'>,
  member: string,
  roots: Readonly<Record<keyof typeof PERMISSIONS, readonly string[]>>,
): Promise<{ permission: string; resource: string } | undefined> {
  for (const kind of ['organizations', 'folders', 'projects'] as const)
    for (const id of roots[kind])
      for (const permission of PERMISSIONS[kind]) {
        const resource = `${kind}/${id}`;
        if ((await authorizer.decide({ member, permission, resource: `${RESOURCE_MANAGER}/${resource}` })).allowed) return { permission, resource };
      }
  return undefined;
}
