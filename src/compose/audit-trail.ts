/**
 * Takes what dispatch learned of a call to the logs: whose log it belongs to, and which one. Activity is kept always, data access where the policies of the resource or of
 * what is above it have an auditConfig for it, refusals by organization policies in a log of their own.
 * Every other call is kept as well, in a log of ours, for those who may see private entries.
 */

import { STATUS } from '../errors.ts';
import type { AuditConfig } from '../gen/google/iam/v1/policy_pb.js';
import { type AuditEntry as Audited, NO_METHOD } from '../server/dispatch.ts';
import type { Store } from '../store/database.ts';
import { createPolicySource, listAncestors } from '../store/hierarchy.ts';
import type { AuditEntry, AuditLogId } from '../store/log-entry.ts';
import type { LogStore } from '../store/log-store.ts';
import { type AuditType, createAuditTypes, LOG_TYPES } from './audit-category.ts';

/** The permission to attach an account, and the method under which IAM records that it was asked about. */
const ACT_AS = 'iam.serviceAccounts.actAs';
const MAX_KNOWN = 10_000;

/** A resource that has logs, by its id, and the configs that hold for it. */
interface Parent {
  readonly name: string;
  readonly configs: readonly AuditConfig[];
}

export interface AuditTrailDeps {
  readonly store: Store;
  readonly logs: Pick<LogStore, 'audit'>;
  /** Where calls are kept that are about no project, folder or organization: `projects/ID`. */
  readonly home: string;
}

export function createAuditTrail({ store, logs, home }: AuditTrailDeps): (entry: Audited) => void {
  const findParent = createParents(store, home);
  const auditTypeOf = createAuditTypes();
  const keep = (asked: string, entry: Omit<AuditEntry, 'parent' | 'log'>, choose: (parent: Parent) => AuditLogId): void => {
    const made = (parent: Parent): AuditEntry => ({ ...entry, parent: parent.name, log: choose(parent) });
    const parent = findParent(asked);
    logs.audit(parent instanceof Promise ? parent.then(made) : made(parent));
  };
  return (audited) => {
    const { time, principal = '', delegation, service, method, checks, status, message, latencyMs, requestId, door, peer, userAgent = '' } = audited;
    // Where no method was reached, there may be a host that was meant.
    const resource = checks[0]?.resource ?? (method === NO_METHOD && service !== '' ? `//${service}` : '');
    const code = status === 'OK' ? 0 : STATUS[status].code;
    const entry = { timeMicros: time, principal, delegation, service, method, resource, permissions: checks, status, code, message, latencyMs, requestId, door, peer, userAgent };
    const isOfGoogle = service.endsWith('.googleapis.com') && method !== NO_METHOD;
    const type = auditTypeOf(
      checks.map(({ permission }) => permission),
      method,
    );
    keep(parentOf(resource), entry, (parent) => {
      if (audited.isPolicyViolation) return 'policy';
      if (!isOfGoogle || principal === '') return 'calls';
      return type === 'ADMIN_WRITE' ? 'activity' : isConfigured(parent.configs, service, type, principal) ? 'data_access' : 'calls';
    });
    // IAM keeps an entry of its own of each attachment, where the account is (https://docs.cloud.google.com/iam/docs/attach-service-accounts).
    for (const check of checks)
      if (check.permission === ACT_AS)
        keep(
          parentOf(check.resource),
          {
            ...entry,
            service: 'iam.googleapis.com',
            method: ACT_AS,
            resource: check.resource,
            permissions: [check],
            status: check.granted ? 'OK' : 'PERMISSION_DENIED',
            code: check.granted ? 0 : STATUS.PERMISSION_DENIED.code,
            message: check.granted ? '' : `Permission '${ACT_AS}' denied on resource (or it may not exist).`,
            requestId: `${requestId}-act-as`,
          },
          () => 'activity',
        );
  };
}

/** The project, folder or organization in a full resource name; empty where there is none. */
export function parentOf(resource: string): string {
  const account = /\/projects\/-\/serviceAccounts\/[^/@]+@([^/]+)$/.exec(resource)?.[1];
  if (account !== undefined) return account.endsWith('.iam.gserviceaccount.com') ? `projects/${account.slice(0, -'.iam.gserviceaccount.com'.length)}` : '';
  const [, kind = '', id = ''] = /^\/\/[^/]+\/(projects|namespaces|folders|organizations)\/([^/:]+)/.exec(resource) ?? [];
  if (kind === '' || id === '-') return '';
  return `${kind === 'namespaces' ? 'projects' : kind}/${id}`;
}

/** "If there are AuditConfigs for both allServices and a specific service, the union of the two is used": google/iam/v1/policy.proto. */
function isConfigured(configs: readonly AuditConfig[], service: string, type: Exclude<AuditType, 'ADMIN_WRITE'>, principal: string): boolean {
  const all = configs.filter((config) => config.service === service || config.service === 'allServices').flatMap(({ auditLogConfigs }) => auditLogConfigs);
  const wanted = all.filter(({ logType }) => logType === LOG_TYPES[type]);
  return wanted.length > 0 && !wanted.some(({ exemptedMembers }) => exemptedMembers.includes(principal));
}

function createParents(store: Store, home: string): (asked: string) => Parent | Promise<Parent> {
  const known = new Map<string, Parent>();
  const source = createPolicySource(store.read);
  let generation = 0;
  const forget = (): void => {
    generation++;
    known.clear();
  };
  store.onCommit('policies', forget);
  store.onCommit('hierarchy', forget);
  const look = async (asked: string): Promise<Parent> => {
    const begun = generation;
    const project = asked.startsWith('projects/') ? await source.project(asked.slice('projects/'.length)) : undefined;
    // What was asked of a project that does not exist is no project's.
    const name = asked === '' || (asked.startsWith('projects/') && project === undefined) ? home : project === undefined ? asked : `projects/${project.projectId}`;
    const above = name === home && project === undefined ? [] : await listAncestors(store.read, project === undefined ? await parentName(asked) : project.parent);
    const policies = await Promise.all([name, ...above].map((one) => source.policy(`//cloudresourcemanager.googleapis.com/${one}`)));
    const parent = { name, configs: policies.flatMap((policy) => policy?.auditConfigs ?? []) };
    if (known.size >= MAX_KNOWN) known.clear();
    if (begun === generation) known.set(asked, parent);
    return parent;
  };
  const parentName = async (name: string): Promise<string | null> => (name.startsWith('folders/') ? ((await source.folder(name.slice('folders/'.length)))?.parent ?? null) : null);
  return (asked) => known.get(asked) ?? look(asked);
}
