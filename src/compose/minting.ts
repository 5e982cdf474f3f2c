/** Who lets the metadata server make tokens: the service agent of the task's project, by its grants, as long as the account's project lets its accounts be used elsewhere. */
import type { Credentials } from '../metadata/credentials.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import type { OrgPolicies } from '../policy/org-policy.ts';
import type { Store } from '../store/database.ts';
import { findServiceAccount, serviceAccountResource, serviceAgentEmail } from '../store/service-accounts.ts';

const PERMISSIONS = { access: 'iam.serviceAccounts.getAccessToken', id: 'iam.serviceAccounts.getOpenIdToken' } as const;

/** The same questions as at a deploy, asked anew: policies may have changed since. */
export function createMintPermission(parts: { readonly store: Store; readonly authorizer: Authorizer; readonly orgPolicies: OrgPolicies }): Credentials['canMint'] {
  const { store, authorizer, orgPolicies } = parts;
  return async (email, project, kind) => {
    const account = await findServiceAccount(store.read, email);
    if (account === undefined) return false;
    const question = { member: `serviceAccount:${serviceAgentEmail(project.number)}`, permission: PERMISSIONS[kind], resource: serviceAccountResource(account) };
    if (!(await authorizer.decide(question)).allowed) return false;
    return (
      account.project_id === project.id ||
      !(await orgPolicies.isEnforced('iam.disableCrossProjectServiceAccountUsage', `//cloudresourcemanager.googleapis.com/projects/${account.project_id}`))
    );
  };
}
