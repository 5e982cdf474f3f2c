/** Reads a project as it is: what `actas export` writes and `actas import` compares with. Keys and secrets are never asked for. */
import { type Api, IAM, IAM_V2, ORG_POLICY, RESOURCE_MANAGER, RUN, SECRETS } from './api.ts';
import { hasTagKeys, type LeaveOut, readGroups, readPools, readTagBindings, readTagKeys } from './export-parts.ts';
import type { ServiceAccount } from './iam/iam.ts';
import type { Role } from './iam/roles.ts';
import { isRecord, type Json } from './json.ts';
import type { Binding, Policy } from './policy.ts';

export type JsonRecord = { readonly [key: string]: Json };

export interface NodePolicy {
  /** `projects/demo`, `projects/demo/serviceAccounts/EMAIL`, `projects/demo/locations/L/jobs/J`, ... */
  readonly resource: string;
  readonly bindings: readonly Binding[];
}

/** In the form of a seed file (docs/configuration.md). */
export interface Snapshot {
  readonly organizations: readonly JsonRecord[];
  readonly folders: readonly JsonRecord[];
  readonly projects: readonly { readonly id: string; readonly number: string; readonly parent?: string; readonly displayName?: string; readonly labels?: JsonRecord }[];
  readonly serviceAccounts: readonly {
    readonly project: string;
    readonly id: string;
    readonly displayName?: string;
    readonly description?: string;
    readonly disabled?: boolean;
  }[];
  readonly roles: readonly Role[];
  readonly policies: readonly NodePolicy[];
  readonly denyPolicies: readonly JsonRecord[];
  readonly groups: readonly JsonRecord[];
  readonly tagKeys: readonly JsonRecord[];
  readonly tagBindings: readonly JsonRecord[];
  readonly workloadIdentityPools: readonly JsonRecord[];
  readonly customConstraints: readonly JsonRecord[];
  readonly orgPolicies: readonly JsonRecord[];
  /** Global ones, without what they hold. */
  readonly secrets?: readonly JsonRecord[];
  /** v2, without what a server writes. */
  readonly jobs: readonly JsonRecord[];
}

interface Project {
  readonly name?: string;
  readonly projectId?: string;
  readonly displayName?: string;
  readonly labels?: JsonRecord;
  readonly parent?: string;
}

/** @param withAncestors also what decides from above: the policies and roles of folders and organization @throws ApiFailure for what the caller may not read */
export async function readProject(api: Api, id: string, withAncestors: boolean, leaveOut: LeaveOut): Promise<Snapshot> {
  const project = await api.get<Project>(RESOURCE_MANAGER, `projects/${id}`);
  const number = project.name?.split('/')[1] ?? '';
  const { organizations, folders } = withAncestors ? await readAncestors(api, project.parent) : { organizations: [], folders: [] };
  const nodes = [
    ...organizations.map((node) => `organizations/${textOf(node['number'])}`),
    ...folders.map((node) => `folders/${textOf(node['number'])}`),
    `projects/${project.projectId ?? id}`,
  ];
  const accounts = await api.list<ServiceAccount>(IAM, `projects/${id}/serviceAccounts`, 'accounts', { query: { pageSize: 100 } });
  const jobs = await api.list<JsonRecord>(RUN, `projects/${id}/locations/-/jobs`, 'jobs');
  const resources = [...nodes, ...accounts.map(({ email }) => `projects/${id}/serviceAccounts/${email ?? ''}`), ...jobs.map((job) => nameOf(job))];
  return {
    organizations,
    folders,
    projects: [
      {
        id,
        number,
        ...(withAncestors && project.parent !== undefined ? { parent: project.parent } : {}),
        ...(project.displayName === undefined ? {} : { displayName: project.displayName }),
        ...(project.labels === undefined ? {} : { labels: project.labels }),
      },
    ],
    serviceAccounts: accounts.filter(({ email }) => email?.endsWith(`@${id}.iam.gserviceaccount.com`)).map((account) => declaredAccount(id, account)),
    roles: await readRoles(api, nodes),
    policies: (await Promise.all(resources.map((resource) => readPolicy(api, resource)))).filter(({ bindings }) => bindings.length > 0),
    denyPolicies: (await Promise.all(nodes.map((node) => readDenyPolicies(api, node)))).flat(),
    groups: (await Promise.all(nodes.filter(isOrganization).map((node) => readGroups(api, node, leaveOut)))).flat(),
    tagKeys: (await Promise.all(nodes.filter(hasTagKeys).map((node) => readTagKeys(api, node, leaveOut)))).flat(),
    tagBindings: (await Promise.all(nodes.map((node) => readTagBindings(api, node, leaveOut)))).flat(),
    workloadIdentityPools: await readPools(api, project.projectId ?? id, leaveOut),
    customConstraints: (await Promise.all(nodes.filter(isOrganization).map((node) => api.list<JsonRecord>(ORG_POLICY, `${node}/customConstraints`, 'customConstraints'))))
      .flat()
      .map((constraint) => without(constraint, ['updateTime', 'etag'])),
    orgPolicies: (await Promise.all(nodes.map((node) => readOrgPolicies(api, node)))).flat(),
    jobs: jobs.map(declaredJobV2).toSorted(byName),
  };
}

const isOrganization = (node: string): boolean => node.startsWith('organizations/');
const byName = (a: JsonRecord, b: JsonRecord): number => (nameOf(a) < nameOf(b) ? -1 : 1);

async function readAncestors(api: Api, parent: string | undefined): Promise<Pick<Snapshot, 'organizations' | 'folders'>> {
  const folders: JsonRecord[] = [];
  let at = parent;
  while (at?.startsWith('folders/') === true) {
    const folder: { readonly displayName?: string; readonly parent?: string } = await api.get(RESOURCE_MANAGER, at);
    folders.unshift({ number: at.slice('folders/'.length), displayName: folder.displayName ?? '', parent: folder.parent ?? '' });
    at = folder.parent;
  }
  if (at === undefined) return { organizations: [], folders };
  const { displayName = '' }: { readonly displayName?: string } = await api.get(RESOURCE_MANAGER, at);
  return { organizations: [{ number: at.slice('organizations/'.length), displayName }], folders };
}

function declaredAccount(project: string, { email = '', displayName, description, disabled }: ServiceAccount) {
  return {
    project,
    id: email.slice(0, email.indexOf('@')),
    ...(displayName === undefined ? {} : { displayName }),
    ...(description === undefined ? {} : { description }),
    ...(disabled === true ? { disabled } : {}),
  };
}

async function readRoles(api: Api, nodes: readonly string[]): Promise<Role[]> {
  const holders = nodes.filter((node) => !node.startsWith('folders/'));
  const found = await Promise.all(holders.map((node) => api.list<Role>(IAM, `${node}/roles`, 'roles', { query: { view: 'FULL' } })));
  return found
    .flat()
    .filter(({ deleted }) => deleted !== true)
    .map(({ etag: _etag, deleted: _deleted, ...role }) => role);
}

export async function readPolicy(api: Api, resource: string): Promise<NodePolicy> {
  const options = { 'options.requestedPolicyVersion': 3 };
  const { bindings = [] } = resource.includes('/jobs/')
    ? await api.get<Policy>(RUN, `${resource}:getIamPolicy`, options)
    : resource.includes('/secrets/')
      ? await api.get<Policy>(SECRETS, `${resource}:getIamPolicy`, options)
      : resource.includes('/serviceAccounts/')
        ? await api.send<Policy>('POST', IAM, `${resource}:getIamPolicy`, undefined, options)
        : await api.send<Policy>('POST', RESOURCE_MANAGER, `${resource}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } });
  return { resource, bindings };
}

/** What a seed says of a secret; the rest is the server's, or would be over when it is read again (`expireTime`). */
const SECRET_FIELDS = ['labels', 'annotations', 'replication', 'topics', 'versionDestroyTtl'];

/** Global secrets of a project and their policies. What they hold is never asked for. */
export async function readSecrets(api: Api, project: string): Promise<{ readonly secrets: readonly JsonRecord[]; readonly policies: readonly NodePolicy[] }> {
  const found = await api.list<JsonRecord>(SECRETS, `projects/${project}/secrets`, 'secrets');
  const secrets = found.map(
    (secret): JsonRecord => ({
      name: `projects/${project}/secrets/${nameOf(secret).split('/').at(-1) ?? ''}`,
      ...Object.fromEntries(SECRET_FIELDS.flatMap((key): [string, Json][] => (secret[key] === undefined ? [] : [[key, secret[key]]]))),
    }),
  );
  return { secrets, policies: (await Promise.all(secrets.map((secret) => readPolicy(api, nameOf(secret))))).filter(({ bindings }) => bindings.length > 0) };
}

/** The name that a declared deny policy has: its attachment point plain, a project by its id. */
export function denyPolicyName(node: string, id: string): string {
  return `${node}/denyPolicies/${id}`;
}

/** @param node `projects/demo` */
export function denyCollection(node: string): string {
  return `policies/${encodeURIComponent(`cloudresourcemanager.googleapis.com/${node}`)}/denypolicies`;
}

async function readDenyPolicies(api: Api, node: string): Promise<JsonRecord[]> {
  // A list has no rules, so each is read.
  const listed = await api.list<JsonRecord>(IAM_V2, denyCollection(node), 'policies');
  const ids = listed.map((policy) => nameOf(policy).split('/').at(-1) ?? '');
  const found = await Promise.all(ids.map((id) => api.get<JsonRecord>(IAM_V2, `${denyCollection(node)}/${id}`)));
  return found.map((policy, i) => ({ ...without(policy, ['uid', 'kind', 'etag', 'createTime', 'updateTime']), name: denyPolicyName(node, ids[i] ?? '') }));
}

async function readOrgPolicies(api: Api, node: string): Promise<JsonRecord[]> {
  const listed = await api.list<JsonRecord>(ORG_POLICY, `${node}/policies`, 'policies');
  return listed.map((policy) => {
    const spec = (key: string): JsonRecord => (isRecord(policy[key]) ? { [key]: without(policy[key], ['etag', 'updateTime']) } : {});
    return { name: `${node}/policies/${nameOf(policy).split('/').at(-1) ?? ''}`, ...spec('spec'), ...spec('dryRunSpec') };
  });
}

/** Everything else is the server's, or would start an execution (`startExecutionToken`). */
const JOB_FIELDS = ['name', 'labels', 'annotations', 'binaryAuthorization', 'template'];

function declaredJobV2(job: JsonRecord): JsonRecord {
  return Object.fromEntries(JOB_FIELDS.flatMap((key): [string, Json][] => (job[key] === undefined ? [] : [[key, job[key]]])));
}

/** The empty text where there is none. */
export function nameOf(record: JsonRecord): string {
  return textOf(record['name']);
}

/** A number as its digits; the empty text for anything else. */
export function textOf(value: Json | undefined): string {
  return typeof value === 'string' ? value : typeof value === 'number' ? String(value) : '';
}

export function without(record: JsonRecord, keys: readonly string[]): JsonRecord {
  return Object.fromEntries(Object.entries(record).filter(([key]) => !keys.includes(key)));
}

/** Members and addresses that hold the number of a project, and what stands before and behind it: default accounts, service agents, identities of its pools. */
export const NUMBERED = /^(serviceAccount:(?:service-)?|principal(?:Set)?:\/\/iam\.googleapis\.com\/projects\/|)(\d+)((?:-compute)?@[\w.-]+|\/.+)$/;

/** What Google binds by itself in a project's policy: its default account and its agents. Their addresses have the project's number, which another project's is not. */
export function isGivenByGoogle(role: string, member: string, number: string): boolean {
  return (
    (role === 'roles/editor' && member === `serviceAccount:${number}-compute@developer.gserviceaccount.com`) ||
    (/^roles\/[\w.]+\.serviceAgent$|^roles\/run\.serviceAgent$/.test(role) && new RegExp(`^serviceAccount:service-${number}@`).test(member))
  );
}
