/** What a control plane's own store knows of accounts and projects. */
import type { Db } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import { findServiceAccount } from '../../store/service-accounts.ts';
import type { RunFacts } from './question.ts';
import type { RunDeps } from './run-deps.ts';

export function storeFacts({ store, orgPolicies }: Pick<RunDeps, 'orgPolicies'> & { readonly store: { readonly read: Db } }): RunFacts {
  return {
    account: (email) => findServiceAccount(store.read, email),
    project: (key) => findProject(store.read, key),
    isEnforced: (constraint, resource) => orgPolicies.isEnforced(constraint, resource),
  };
}
