/** The decision engine on the store. */
import { createAuthorizer } from '../policy/authorizer.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import { defaultOrgPolicies } from '../policy/org-policy.ts';
import type { Store } from '../store/database.ts';
import { createPolicySource } from '../store/hierarchy.ts';

export function createPolicy(store: Store) {
  const catalogue = loadCatalogue();
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue });
  store.onCommit('policies', () => authorizer.invalidate());
  store.onCommit('hierarchy', () => authorizer.invalidate());
  return { catalogue, authorizer, orgPolicies: defaultOrgPolicies() };
}
