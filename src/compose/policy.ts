/** The decision engine on the store. */
import { createAuthorizer } from '../policy/authorizer.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import { createOrgPolicies } from '../policy/org-policy.ts';
import type { Store } from '../store/database.ts';
import { createPolicySource } from '../store/hierarchy.ts';
import type { LogStore } from '../store/log-store.ts';
import { createOrgPolicyReader } from '../store/org-policies.ts';
import { systemClock } from '../timestamp.ts';
import { dryRunAudit } from './dry-run-audit.ts';

export function createPolicy(store: Store, logs: Pick<LogStore, 'audit'>) {
  const catalogue = loadCatalogue();
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue });
  const orgPolicies = createOrgPolicies({ source: createOrgPolicyReader(store.read), onDryRun: dryRunAudit(logs, systemClock) });
  for (const topic of ['policies', 'hierarchy'] as const) {
    store.onCommit(topic, () => {
      authorizer.invalidate();
      orgPolicies.invalidate();
    });
  }
  return { catalogue, authorizer, orgPolicies };
}
