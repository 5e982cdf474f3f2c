/**
 * What `actas import` does for one declared thing: reads what is there, and says the one call that makes it as declared, or that none is needed.
 * Each is looked at right before it is made, since a policy needs the account that came before it.
 */
import { type Api, IAM, IAM_V2, type Operation, ORG_POLICY, RESOURCE_MANAGER, RUN, SECRETS } from './api.ts';
import { denyCollection, isGivenByGoogle, type JsonRecord, nameOf, readPolicy, type Snapshot, without } from './export-read.ts';
import { ApiFailure, failure, isApiFailure } from './failure.ts';
import type { ServiceAccount } from './iam/iam.ts';
import type { Role } from './iam/roles.ts';
import { isList, isRecord, type Json } from './json.ts';
import type { Binding } from './policy.ts';
import { exportedJob } from './run/export.ts';
import { type DeclaredJob, findV1Job, sendV1Job, whenReady } from './run/replace.ts';

export interface Change {
  /** `create`, `update`, ... */
  readonly verb: string;
  apply(): Promise<unknown>;
}

/** One declared thing. */
export interface Item {
  /** `service account hello-sa@...` */
  readonly title: string;
  /** @returns undefined where nothing is to be done */
  look(api: Api): Promise<Change | undefined>;
}

export async function find<T extends object>(read: Promise<T>): Promise<T | undefined> {
  try {
    return await read;
  } catch (error) {
    if (isApiFailure(error, 'NOT_FOUND')) return undefined;
    throw error;
  }
}

/** Equal as JSON, whatever the order of keys. */
export function isSame(a: unknown, b: unknown): boolean {
  return canonical(a) === canonical(b);
}

function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, each: unknown) =>
    typeof each === 'object' && each !== null && !Array.isArray(each) ? Object.fromEntries(Object.entries(each).toSorted(([a], [b]) => (a < b ? -1 : 1))) : each,
  );
}

/** Not made here: their numbers are given out by the server. @param name `projects/demo` */
export function placeItem(name: string): Item {
  return {
    title: name,
    async look(api) {
      if ((await find(api.get(RESOURCE_MANAGER, name))) === undefined)
        throw failure(`${name} does not exist.`, 'Make it first, or start on an empty data directory with the whole file:  actas up --seed=FILE');
      return undefined;
    },
  };
}

export function accountItem(declared: Snapshot['serviceAccounts'][number]): Item {
  const email = `${declared.id}@${declared.project}.iam.gserviceaccount.com`;
  const name = `projects/${declared.project}/serviceAccounts/${email}`;
  const texts = { displayName: declared.displayName, description: declared.description };
  const setState = (api: Api) => api.send('POST', IAM, `${name}:${declared.disabled === true ? 'disable' : 'enable'}`, {});
  return {
    title: `service account ${email}`,
    async look(api) {
      const before = await find(api.get<ServiceAccount>(IAM, name));
      if (before === undefined)
        return {
          verb: 'create',
          async apply() {
            await api.send('POST', IAM, `projects/${declared.project}/serviceAccounts`, { accountId: declared.id, serviceAccount: texts });
            if (declared.disabled === true) await setState(api);
          },
        };
      const fields = (['displayName', 'description'] as const).filter((field) => texts[field] !== undefined && texts[field] !== (before[field] ?? ''));
      const isOther = declared.disabled !== undefined && declared.disabled !== (before.disabled ?? false);
      if (fields.length === 0 && !isOther) return undefined;
      return {
        verb: 'update',
        async apply() {
          if (fields.length > 0) await api.send('PATCH', IAM, name, { serviceAccount: texts, updateMask: fields.join(',') });
          if (isOther) await setState(api);
        },
      };
    },
  };
}

export function roleItem({ name = '', ...role }: Role): Item {
  return {
    title: `role ${name}`,
    async look(api) {
      const before = await find(api.get<Role>(IAM, name));
      const [parent = '', roleId = ''] = name.split('/roles/');
      if (before === undefined) return { verb: 'create', apply: () => api.send('POST', IAM, `${parent}/roles`, { roleId, role }) };
      const content = ({ title = '', description = '', stage = 'ALPHA', includedPermissions = [] }: Role) => [title, description, stage, [...includedPermissions].toSorted()];
      if (before.deleted !== true && isSame(content({ ...before, ...role }), content(before))) return undefined;
      return {
        verb: 'update',
        async apply() {
          if (before.deleted === true) await api.send('POST', IAM, `${name}:undelete`, {});
          return api.send('PATCH', IAM, name, role, { updateMask: Object.keys(role).join(',') });
        },
      };
    },
  };
}

/** The declared bindings take the place of the resource's, except what a project's policy has from its beginning. @param numberOf of projects here, by id @param caller whose own bindings stay, where the rest could not be done without them */
export function policyItem(resource: string, bindings: readonly Binding[], numberOf: (project: string) => Promise<string>, caller?: string): Item {
  return {
    title: `allow policy of ${resource}`,
    async look(api) {
      const before = (await find(readPolicy(api, resource)))?.bindings ?? [];
      const [kind, id = '', ...more] = resource.split('/');
      const number = kind === 'projects' && more.length === 0 ? await numberOf(id) : '';
      const given = before.flatMap(({ role = '', members = [], condition }) => {
        const kept = condition === undefined ? members.filter((member) => member === caller || isGivenByGoogle(role, member, number)) : [];
        return kept.length > 0 ? [{ role, members: kept }] : [];
      });
      const wanted = merged([...bindings, ...given]);
      if (isSame(wanted, merged(before))) return undefined;
      return { verb: before.length === 0 ? 'set' : 'change', apply: () => writePolicy(api, resource, wanted) };
    },
  };
}

/** One binding for each role and condition, all in one order. */
function merged(bindings: readonly Binding[]): Binding[] {
  const found = new Map<string, Binding & { members: string[] }>();
  for (const { role = '', members = [], condition } of bindings) {
    const key = canonical([role, condition ?? null]);
    const before = found.get(key)?.members ?? [];
    const all = [...new Set([...before, ...members.map(folded)])].toSorted();
    found.set(key, { role, members: all, ...(condition === undefined ? {} : { condition }) });
  }
  return [...found].toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([, binding]) => binding);
}

/** Addresses are kept in lower case. */
export function folded(member: string): string {
  const [type = '', ...rest] = member.split(':');
  return /^(?:user|group|serviceAccount|domain)$/.test(type) ? `${type}:${rest.join(':').toLowerCase()}` : member;
}

async function writePolicy(api: Api, resource: string, bindings: readonly Binding[]): Promise<void> {
  const prefix = resource.includes('/jobs/') ? RUN : resource.includes('/secrets/') ? SECRETS : resource.includes('/serviceAccounts/') ? IAM : RESOURCE_MANAGER;
  await api.send('POST', prefix, `${resource}:setIamPolicy`, { policy: { version: 3, bindings }, updateMask: 'bindings' });
}

/** A secret without what it holds. @param declared with its name, by the project's id */
export function secretItem(declared: JsonRecord): Item {
  const name = nameOf(declared);
  const [parent = '', secretId = ''] = name.split('/secrets/');
  const body = without(declared, ['name', 'valueFrom']);
  return {
    title: `secret ${name}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(SECRETS, name));
      if (before === undefined) {
        const made = parent.includes('/locations/') || body['replication'] !== undefined ? body : { ...body, replication: { automatic: {} } };
        return { verb: 'create', apply: () => api.send('POST', SECRETS, `${parent}/secrets`, made, { secretId }) };
      }
      const changed = ['labels', 'annotations', 'topics', 'versionDestroyTtl'].filter((field) => body[field] !== undefined && !isSame(body[field], before[field]));
      return changed.length === 0 ? undefined : { verb: 'update', apply: () => api.send('PATCH', SECRETS, name, body, { updateMask: changed.join(',') }) };
    },
  };
}

export function denyItem(declared: JsonRecord): Item {
  const [node = '', id = ''] = nameOf(declared).split('/denyPolicies/');
  const name = `${denyCollection(node)}/${id}`;
  const body = without(declared, ['name']);
  return {
    title: `deny policy ${id} of ${node}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(IAM_V2, name));
      if (before === undefined)
        return { verb: 'create', apply: async () => api.finish(IAM_V2, await api.send<Operation>('POST', IAM_V2, denyCollection(node), body, { policyId: id })) };
      const content = (policy: JsonRecord) => [policy['displayName'] ?? '', policy['annotations'] ?? {}, policy['rules'] ?? []];
      if (isSame(content(before), content(body))) return undefined;
      return { verb: 'update', apply: async () => api.finish(IAM_V2, await api.send<Operation>('PUT', IAM_V2, name, { ...body, etag: before['etag'] ?? '' })) };
    },
  };
}

/** An organization policy or a custom constraint. @param collection `policies` or `customConstraints` */
export function orgPolicyItem(declared: JsonRecord, collection: 'policies' | 'customConstraints'): Item {
  const name = nameOf(declared);
  const title = collection === 'policies' ? 'organization policy' : 'custom constraint';
  return {
    title: `${title} ${name}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(ORG_POLICY, name));
      if (before === undefined) return { verb: 'create', apply: () => api.send('POST', ORG_POLICY, `${name.split(`/${collection}/`)[0]}/${collection}`, declared) };
      const content = (policy: JsonRecord) => bare(without(policy, ['name', 'etag', 'updateTime']));
      if (isSame(content(before), content(declared))) return undefined;
      const query = collection === 'policies' ? { updateMask: '*' } : {};
      return { verb: 'update', apply: () => api.send('PATCH', ORG_POLICY, name, declared, query) };
    },
  };
}

/** Without etags and times inside. */
function bare(record: JsonRecord): JsonRecord {
  return Object.fromEntries(Object.entries(record).map(([key, value]): [string, Json] => [key, isRecord(value) ? without(value, ['etag', 'updateTime']) : value]));
}

/** A job of v2, with its name. */
export function jobItem(declared: JsonRecord): Item {
  const name = nameOf(declared);
  const body = without(declared, ['name']);
  const content = (job: JsonRecord) => [job['labels'] ?? {}, job['annotations'] ?? {}, job['binaryAuthorization'] ?? {}, withoutClient(job['template'])];
  return {
    title: `job ${name}`,
    async look(api) {
      const before = await find(api.get<JsonRecord>(RUN, name));
      const [parent = '', jobId = ''] = name.split('/jobs/');
      if (before === undefined) return { verb: 'create', apply: async () => api.finish(RUN, await api.send<Operation>('POST', RUN, `${parent}/jobs`, body, { jobId })) };
      // The server fills in what the file leaves out, so it is asked what would be there.
      const { metadata } = await api.send<Operation>('PATCH', RUN, name, body, { validateOnly: true });
      const after: { readonly [key: string]: Json } = { ...metadata };
      if (isSame(content(after), content(before))) return undefined;
      return { verb: 'update', apply: async () => api.finish(RUN, await api.send<Operation>('PATCH', RUN, name, body)) };
    },
  };
}

function withoutClient(template: Json | undefined): JsonRecord {
  return isRecord(template) ? without(template, ['client', 'clientVersion']) : {};
}

/** A job of v1. @param region where it is to be */
export function v1JobItem(declared: DeclaredJob, project: string, region: string): Item {
  return {
    title: `job ${declared.name} in ${region}`,
    async look(api) {
      const before = await findV1Job(api, project, region, declared.name);
      const apply = async () => {
        const job = await whenReady(api, project, region, await sendV1Job(api, project, region, declared, before));
        const ready = job.status?.conditions?.find(({ type }) => type === 'Ready');
        if (ready?.status === 'False') throw new ApiFailure('FAILED_PRECONDITION', ready.message ?? 'the job is not ready', []);
      };
      if (before === undefined) return { verb: 'create', apply };
      const after = await sendV1Job(api, project, region, declared, before, { dryRun: 'all' });
      return isSame(exportedJob({ ...after }), exportedJob({ ...before })) ? undefined : { verb: 'update', apply };
    },
  };
}

/** A list of objects, or nothing. @throws failure */
export function recordsOf(value: Json | undefined, place: string): readonly JsonRecord[] {
  if (value === undefined || value === null) return [];
  if (!isList(value) || !value.every(isRecord)) throw failure(`${place} is no list of objects.`);
  return value;
}
