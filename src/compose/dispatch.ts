/** What dispatch needs. */

import type { Config } from '../config.ts';
import { parsePrincipal } from '../identity/principal.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import type { AuditEntry, DispatchDeps } from '../server/dispatch.ts';
import type { Metrics } from '../server/metrics.ts';
import type { Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import { findServiceAccountName } from '../store/service-accounts.ts';
import { systemClock } from '../timestamp.ts';
import { createAuditTrail } from './audit-trail.ts';
import type { Identity } from './identity.ts';

export function dispatchDeps(parts: {
  config: Config;
  store: Store;
  logs: LogStore;
  identity: Identity;
  authorizer: Authorizer;
  catalogue: RoleCatalogue;
  metrics: Metrics;
  log: Log;
  /** In the place of the logs. */
  audit: ((entry: AuditEntry) => void) | undefined;
}): DispatchDeps {
  const { config, store, logs, identity, authorizer, catalogue, metrics, log } = parts;
  const [anonymous, again] = config.anonymousAs;
  const trail = parts.audit ?? createAuditTrail({ store, logs, home: `projects/${config.project}` });
  return {
    authenticate: (token, host) => identity.authenticator.authenticate(token, host),
    ...(anonymous === undefined ? {} : { anonymous: { principal: { ...parsePrincipal(anonymous), anonymous: true }, maySetPolicies: again !== undefined } }),
    authorizer,
    catalogue,
    look: { serviceAccount: (project, key) => findServiceAccountName(store.read, project, key) },
    clock: systemClock,
    log,
    audit(entry: AuditEntry) {
      metrics.observe(entry);
      trail(entry);
    },
  };
}
