/** What an organization policy in dry run would have refused, in the audit trail: an entry of its own beside that of the request. */
import { randomUUID } from 'node:crypto';
import { STATUS } from '../errors.ts';
import type { DryRunFinding } from '../policy/org-policy.ts';
import type { LogStore } from '../store/log-store.ts';
import type { Clock } from '../timestamp.ts';
import { parentOf } from './audit-trail.ts';

/** The method by which such entries are found: `dryRun`, as in Google's policy audit logs. */
export const DRY_RUN_METHOD = 'google.cloud.orgpolicy.v2.dryRun';

/** @param home where findings about no project, folder or organization are kept */
export function dryRunAudit(logs: Pick<LogStore, 'audit'>, clock: Clock, home: string): (finding: DryRunFinding) => void {
  return ({ constraint, resource, value, member }) => {
    const parent = parentOf(resource);
    logs.audit({
      parent: parent === '' ? home : parent,
      log: 'policy',
      timeMicros: clock.now(),
      principal: member ?? '',
      service: 'orgpolicy.googleapis.com',
      method: DRY_RUN_METHOD,
      resource,
      // The constraint stands where a request's permissions do, so that the trail can be searched by it.
      permissions: [{ permission: value === undefined ? `constraints/${constraint}` : `constraints/${constraint}=${value}`, resource, granted: false }],
      status: 'FAILED_PRECONDITION',
      code: STATUS.FAILED_PRECONDITION.code,
      message: `An organization policy in dry run would have refused this: constraints/${constraint}.`,
      latencyMs: 0,
      requestId: randomUUID(),
      door: 'internal',
      delegation: [],
      peer: '',
      userAgent: '',
      metadata: { dryRun: true },
    });
  };
}
