/**
 * Entries of the audit trail as Cloud Logging shapes them: google.cloud.audit.AuditLog in a protoPayload. Made here, on the logs' own thread, so that a call
 * pays for no more than handing over what was learned of it. What Google's message has no field for (latency, door, delegation as members) is in `metadata`.
 * Sources: google/cloud/audit/audit_log.proto, https://docs.cloud.google.com/logging/docs/audit/understanding-audit-logs
 */
import type { Micros } from '../timestamp.ts';
import type { AuditEntry, AuditedPermission, AuditLogId, LogHead, NewLogEntry } from './log-entry.ts';
import { SEVERITIES } from './log-line.ts';

export const AUDIT_LOG_IDS: Readonly<Record<AuditLogId, string>> = {
  activity: 'cloudaudit.googleapis.com/activity',
  data_access: 'cloudaudit.googleapis.com/data_access',
  policy: 'cloudaudit.googleapis.com/policy',
  system_event: 'cloudaudit.googleapis.com/system_event',
  // Deviation: calls that Google keeps no audit log of (reads without an auditConfig, our own APIs) are kept in a log of this program's name.
  calls: 'actas.internal/calls',
};

/** The trail as a table, for who opens the file with sqlite3. What is no audit entry may be looked at before it is left out, and need not be JSON. */
export const AUDIT_VIEW = `CREATE VIEW IF NOT EXISTS audit AS SELECT entries.id AS id, entries.time_ns / 1000 AS time, coalesce(payload ->> '$.authenticationInfo.principalSubject', '') AS principal,
    payload ->> '$.methodName' AS method, payload ->> '$.metadata.resource' AS resource,
    (SELECT json_group_array(json_patch(json_object('permission', value ->> '$.permission', 'resource', '//' || (value ->> '$.resourceAttributes.service') || '/' || (value ->> '$.resourceAttributes.name'),
      'granted', json(iif(value ->> '$.granted', 'true', 'false'))), json_object('member', value ->> '$.resourceAttributes.labels.member'))) FROM json_each(payload, '$.authorizationInfo')) AS permissions,
    payload ->> '$.metadata.status' AS status, payload ->> '$.metadata.latencyMs' AS latency_ms, payload ->> '$.metadata.requestId' AS request_id, payload ->> '$.metadata.door' AS door,
    coalesce(payload -> '$.metadata.delegation', '[]') AS delegation
  FROM (SELECT id, time_ns, stream, iif(kind = 'proto', payload, 'null') AS payload FROM entries) AS entries JOIN streams ON streams.id = entries.stream WHERE streams.log_id IN (${Object.values(
    AUDIT_LOG_IDS,
  )
    .map((id) => `'${id}'`)
    .join(', ')});`;

export interface AuditWriter {
  /** Inside a transaction of the caller. */
  insert(entries: readonly AuditEntry[], receiveTime: Micros): void;
}

export function createAuditWriter(write: (entries: readonly NewLogEntry[], receiveTime: Micros) => void): AuditWriter {
  // The same calls come again and again.
  const heads = new Map<string, LogHead>();
  const headFor = (entry: AuditEntry): LogHead => {
    const key = `${entry.parent} ${entry.log} ${entry.service} ${entry.method} ${entry.status === 'OK'} ${entry.resource}`;
    const known = heads.get(key);
    if (known !== undefined) return known;
    const head = headOf(entry);
    if (heads.size >= MAX_HEADS) heads.clear();
    heads.set(key, head);
    return head;
  };
  return {
    insert: (entries, receiveTime) =>
      write(
        entries.map((entry) => toEntry(entry, headFor(entry))),
        receiveTime,
      ),
  };
}

const MAX_HEADS = 5000;

const AUDIT_LOG_TYPE = 'type.googleapis.com/google.cloud.audit.AuditLog';

function toEntry(entry: AuditEntry, head: LogHead): NewLogEntry {
  const { timeMicros, requestId } = entry;
  return { head, timeNs: BigInt(timeMicros) * 1000n, insertId: requestId, kind: 'proto', payload: JSON.stringify(toAuditLog(entry)) };
}

function headOf({ parent, log, resource, service, method, status }: AuditEntry): LogHead {
  const severity = status !== 'OK' ? SEVERITIES.ERROR : log === 'activity' || log === 'policy' ? SEVERITIES.NOTICE : SEVERITIES.INFO;
  return { parent, logId: AUDIT_LOG_IDS[log], ...monitoredResource(parent, resource, service, method), labels: {}, severity };
}

/** What the resource is to Cloud Logging; `audited_resource` where it has no type of its own. */
function monitoredResource(parent: string, resource: string, service: string, method: string): Pick<LogHead, 'resourceType' | 'resourceLabels'> {
  const [kind = '', id = ''] = parent.split('/');
  const project: Readonly<Record<string, string>> = kind === 'projects' ? { project_id: id } : {};
  const job = /^\/\/run\.googleapis\.com\/projects\/[^/]+\/locations\/([^/]+)\/jobs\/([^/]+)/.exec(resource);
  if (job !== null) return { resourceType: 'cloud_run_job', resourceLabels: { ...project, location: job[1] ?? '', job_name: job[2] ?? '' } };
  const account = /^\/\/iam\.googleapis\.com\/projects\/[^/]+\/serviceAccounts\/([^/]+)/.exec(resource);
  if (account !== null && method !== 'iam.serviceAccounts.actAs')
    return { resourceType: 'service_account', resourceLabels: { ...project, email_id: account[1] ?? '', unique_id: '' } };
  if (/^\/\/cloudresourcemanager\.googleapis\.com\/(?:projects|folders|organizations)\/[^/]+$/.test(resource)) {
    if (kind === 'projects') return { resourceType: 'project', resourceLabels: project };
    return kind === 'folders' ? { resourceType: 'folder', resourceLabels: { folder_id: id } } : { resourceType: 'organization', resourceLabels: { organization_id: id } };
  }
  return { resourceType: 'audited_resource', resourceLabels: { ...project, method, service } };
}

function toAuditLog(entry: AuditEntry): object {
  const { principal, service, method, resource, permissions, status, message, code, peer, userAgent, delegation, metadata = {} } = entry;
  return {
    '@type': AUDIT_LOG_TYPE,
    serviceName: service,
    methodName: method,
    resourceName: bare(resource),
    ...(code === 0 ? { status: {} } : { status: { code, message } }),
    authenticationInfo: authentication(principal, delegation),
    ...(permissions.length === 0 ? {} : { authorizationInfo: permissions.map(authorization) }),
    requestMetadata: {
      ...(peer === '' ? {} : { callerIp: peer }),
      ...(userAgent === '' ? {} : { callerSuppliedUserAgent: userAgent }),
      requestAttributes: {},
      destinationAttributes: {},
    },
    metadata: {
      resource,
      status,
      latencyMs: Math.round(entry.latencyMs * 1000) / 1000,
      requestId: entry.requestId,
      door: entry.door,
      ...(delegation.length === 0 ? {} : { delegation }),
      ...metadata,
    },
  };
}

function authentication(principal: string, delegation: readonly string[]): object {
  if (principal === '') return {};
  return {
    ...emailOf(principal),
    principalSubject: principal,
    // Who asked first comes first, as Google lists it.
    ...(delegation.length === 0
      ? {}
      : {
          serviceAccountDelegationInfo: delegation.map((member) => ({
            principalSubject: member,
            ...('principalEmail' in emailOf(member) ? { firstPartyPrincipal: emailOf(member) } : {}),
          })),
        }),
  };
}
function emailOf(member: string): { readonly principalEmail?: string } {
  const email = /^(?:user|serviceAccount):(\S+@\S+)$/.exec(member)?.[1];
  return email === undefined ? {} : { principalEmail: email };
}

function authorization({ permission, resource, granted, member }: AuditedPermission): object {
  const [, service = '', name = resource] = /^\/\/([^/]+)\/(.*)$/.exec(resource) ?? [];
  return {
    resource: name,
    permission,
    granted,
    // Its `labels` say about whom, where not about the caller.
    resourceAttributes: { service, name, ...(member === undefined ? {} : { labels: { member } }) },
  };
}
function bare(resource: string): string {
  return resource.replace(/^\/\/[^/]+\//, '');
}
