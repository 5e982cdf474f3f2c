/**
 * Which audit log a call belongs to. Google asks the type of the permission that the method needs; of those that we know, the type is told by the action.
 * Sources: https://docs.cloud.google.com/logging/docs/audit (types of audit logs), https://docs.cloud.google.com/run/docs/audit-logging (methods by permission type).
 */
import { AuditLogConfig_LogType } from '../gen/google/iam/v1/policy_pb.js';

/** The types of AuditLogConfig, and the one that needs none. */
export type AuditType = 'ADMIN_READ' | 'DATA_READ' | 'DATA_WRITE' | 'ADMIN_WRITE';

const READS = /^(?:get|list|search|query|test|check|lint|export|describe|fetch|lookup|analyze|troubleshoot|use)/i;
/** Permissions on what users keep, not on what says how it is kept. */
const DATA_READS =
  /^(?:secretmanager\.versions\.access|logging\.(?:logEntries|privateLogEntries|views)\.(?:list|access)|storage\.objects\.(?:get|list)|pubsub\.subscriptions\.consume|iam\.serviceAccounts\.(?:getAccessToken|getOpenIdToken|signBlob|signJwt|implicitDelegation)|datastore\.entities\.(?:get|list)|bigquery\.tables\.getData)$/;
const DATA_WRITES =
  /^(?:logging\.logEntries\.create|storage\.objects\.(?:create|delete|update)|pubsub\.topics\.publish|datastore\.entities\.(?:create|update|delete)|bigquery\.tables\.updateData|run\.routes\.invoke)$/;

/** @param permissions that were asked about; the one that weighs most decides @param method full RPC name, which decides where no permission was asked about */
function auditTypeOf(permissions: readonly string[], method: string): AuditType {
  if (permissions.length === 0) return READS.test(method.split('.').at(-1) ?? '') ? 'ADMIN_READ' : 'ADMIN_WRITE';
  const types = permissions.map(typeOf);
  return (['ADMIN_WRITE', 'DATA_WRITE', 'DATA_READ'] as const).find((type) => types.includes(type)) ?? 'ADMIN_READ';
}

/** How a permission's type is told: kept by the caller, for the same few are asked about all the time. */
export function createAuditTypes(): (permissions: readonly string[], method: string) => AuditType {
  const known = new Map<string, AuditType>();
  return (permissions, method) => {
    const key = permissions.length === 0 ? method : permissions.join(' ');
    let type = known.get(key);
    if (type === undefined) {
      type = auditTypeOf(permissions, method);
      if (known.size >= MAX_KNOWN) known.clear();
      known.set(key, type);
    }
    return type;
  };
}

const MAX_KNOWN = 2000;

function typeOf(permission: string): AuditType {
  if (DATA_READS.test(permission)) return 'DATA_READ';
  if (DATA_WRITES.test(permission)) return 'DATA_WRITE';
  return READS.test(permission.split('.').at(-1) ?? '') ? 'ADMIN_READ' : 'ADMIN_WRITE';
}

export const LOG_TYPES: Readonly<Record<Exclude<AuditType, 'ADMIN_WRITE'>, AuditLogConfig_LogType>> = {
  ADMIN_READ: AuditLogConfig_LogType.ADMIN_READ,
  DATA_READ: AuditLogConfig_LogType.DATA_READ,
  DATA_WRITE: AuditLogConfig_LogType.DATA_WRITE,
};
