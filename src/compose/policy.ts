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

/** @param home `projects/ID`, where audit entries are kept that belong to nothing else */
export function createPolicy(store: Store, logs: Pick<LogStore, 'audit'>, home: string) {
  const catalogue = loadCatalogue();
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue, now: systemClock.now });
  const orgPolicies = createOrgPolicies({ source: createOrgPolicyReader(store.read), onDryRun: dryRunAudit(logs, systemClock, home) });
  const everything = () => {
    authorizer.invalidate();
    orgPolicies.invalidate();
  };
  store.onCommit('policies', (resources) => {
    // Every write of one allow policy says whose it was; whatever else decides (roles, tags, deny and organization policies) does not.
    if (resources === undefined) everything();
    else for (const policyOf of resources) authorizer.invalidate({ policyOf });
  });
  store.onCommit('groups', () => authorizer.invalidate('groups'));
  store.onCommit('hierarchy', everything);
  return { catalogue, authorizer, orgPolicies };
}
