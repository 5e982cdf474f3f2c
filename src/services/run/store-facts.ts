/** What a control plane's own store knows of accounts and projects. */
import type { Asker } from '../../policy/org-policy.ts';
import type { Db } from '../../store/database.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';
import { findServiceAccount } from '../../store/service-accounts.ts';
import type { RunFacts } from './question.ts';
import type { RunDeps } from './run-deps.ts';

/**
 * @param asker who asks organization policies, for the report of their dry runs
 * @param read a project that was read for the same request: most accounts are of the job's own
 */
export function storeFacts({ store, orgPolicies }: Pick<RunDeps, 'orgPolicies'> & { readonly store: { readonly read: Db } }, asker: Asker, read?: ProjectRow): RunFacts {
  return {
    account: (email) => findServiceAccount(store.read, email),
    project: (key) => (key === read?.project_id ? Promise.resolve(read) : findProject(store.read, key)),
    isEnforced: (constraint, resource) => orgPolicies.isEnforced(constraint, resource, asker),
  };
}
