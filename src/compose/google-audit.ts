/** Tokens of real accounts in the audit trail: one entry for each that a task was handed, or refused, without the token. */
import { randomUUID } from 'node:crypto';
import { STATUS } from '../errors.ts';
import type { GoogleHandout } from '../metadata/credentials.ts';
import type { LogStore } from '../store/log-store.ts';
import { serviceAgentEmail } from '../store/service-accounts.ts';
import type { Clock } from '../timestamp.ts';

const KINDS = {
  access: { method: 'google.iam.credentials.v1.IAMCredentials.GenerateAccessToken', permission: 'iam.serviceAccounts.getAccessToken' },
  id: { method: 'google.iam.credentials.v1.IAMCredentials.GenerateIdToken', permission: 'iam.serviceAccounts.getOpenIdToken' },
} as const;

export function googleAudit(logs: Pick<LogStore, 'audit'>, clock: Clock): (handout: GoogleHandout) => void {
  return ({ task, real, kind, granted, status, latencyMs }) => {
    const { method, permission } = KINDS[kind];
    logs.audit({
      parent: `projects/${task.projectId}`,
      // Where Google keeps it, but always: a real token has left the house, whatever the policies say of audit.
      log: 'data_access',
      service: 'iamcredentials.googleapis.com',
      timeMicros: clock.now(),
      principal: `serviceAccount:${task.serviceAccount.email}`,
      method,
      // The real one, which is none of ours; what was asked about here stands below.
      resource: `//iam.googleapis.com/projects/-/serviceAccounts/${real.account}`,
      permissions: [
        {
          permission,
          resource: `//iam.googleapis.com/projects/-/serviceAccounts/${task.serviceAccount.email}`,
          granted,
          member: `serviceAccount:${serviceAgentEmail(task.projectNumber)}`,
        },
      ],
      status,
      code: status === 'OK' ? 0 : STATUS[status].code,
      message: '',
      latencyMs,
      requestId: randomUUID(),
      door: 'internal',
      delegation: [],
      peer: '',
      userAgent: '',
    });
  };
}
