/** What dispatch needs. */

import type { Config } from '../config.ts';
import { parsePrincipal } from '../identity/principal.ts';
import type { Authorizer } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { type AuditEntry, type DispatchDeps, NO_METHOD } from '../server/dispatch.ts';
import type { Metrics } from '../server/metrics.ts';
import type { Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import { findServiceAccountName } from '../store/service-accounts.ts';
import { systemClock } from '../timestamp.ts';
import type { Identity } from './identity.ts';

/** The permission to attach an account, and the method under which IAM records that it was asked about. */
const ACT_AS = 'iam.serviceAccounts.actAs';

export function dispatchDeps(parts: {
  config: Config;
  store: Store;
  logs: LogStore;
  identity: Identity;
  authorizer: Authorizer;
  catalogue: RoleCatalogue;
  metrics: Metrics;
  log: Log;
}): DispatchDeps {
  const { config, store, logs, identity, authorizer, catalogue, metrics, log } = parts;
  const [anonymous, again] = config.anonymousAs;
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
      const { time: timeMicros, principal = '', delegation, service, method, checks, status, latencyMs, requestId, door } = entry;
      // Where no method was reached, there may be a host that was meant.
      const resource = checks[0]?.resource ?? (method === NO_METHOD && service !== '' ? `//${service}` : '');
      logs.audit({ timeMicros, principal, delegation, method, resource, permissions: checks, status, latencyMs, requestId, door });
      // IAM keeps an entry of its own of each attachment, where the account is (https://docs.cloud.google.com/iam/docs/attach-service-accounts).
      for (const check of checks)
        if (check.permission === ACT_AS)
          logs.audit({
            timeMicros,
            principal,
            delegation,
            method: ACT_AS,
            resource: check.resource,
            permissions: [check],
            status: check.granted ? 'OK' : 'PERMISSION_DENIED',
            latencyMs,
            requestId,
            door,
          });
    },
  };
}
