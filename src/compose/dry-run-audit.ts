/** What an organization policy in dry run would have refused, in the audit trail: an entry of its own beside that of the request. */
import { randomUUID } from 'node:crypto';
import type { DryRunFinding } from '../policy/org-policy.ts';
import type { LogStore } from '../store/log-store.ts';
import type { Clock } from '../timestamp.ts';

/** The method by which such entries are found: `dryRun`, as in Google's policy audit logs. */
export const DRY_RUN_METHOD = 'google.cloud.orgpolicy.v2.dryRun';

export function dryRunAudit(logs: Pick<LogStore, 'audit'>, clock: Clock): (finding: DryRunFinding) => void {
  return ({ constraint, resource, value, member }) => {
    logs.audit({
      timeMicros: clock.now(),
      principal: member ?? '',
      method: DRY_RUN_METHOD,
      resource,
      // The constraint stands where a request's permissions do, so that the trail can be searched by it.
      permissions: [{ permission: value === undefined ? `constraints/${constraint}` : `constraints/${constraint}=${value}`, resource, granted: false }],
      status: 'FAILED_PRECONDITION',
      latencyMs: 0,
      requestId: randomUUID(),
      door: 'internal',
      delegation: [],
    });
  };
}
