/** Tags and workload identity pools of a seed, made or brought to what is declared, the way of every request. Loaded only for a seed that has some. */
import { isDeepStrictEqual } from 'node:util';
import { type DescMethod, fromJson, type JsonObject, toJson } from '@bufbuild/protobuf';
import { isApiError } from '../errors.ts';
import { TagBindings } from '../gen/google/cloud/resourcemanager/v3/tag_bindings_pb.js';
import { TagKeys } from '../gen/google/cloud/resourcemanager/v3/tag_keys_pb.js';
import { TagValues } from '../gen/google/cloud/resourcemanager/v3/tag_values_pb.js';
import { WorkloadIdentityPools } from '../gen/google/iam/v1/workload_identity_pools_pb.js';
import { OperationSchema } from '../gen/google/longrunning/operations_pb.js';
import type { SeedServices } from '../seed/apply.ts';
import type { Dispatch } from '../server/dispatch.ts';
import type { Api } from '../services/service.ts';

type Transport = Parameters<Dispatch['unary']>[3];
type Ask = (method: DescMethod, request: JsonObject) => Promise<JsonObject>;

export function seedServices(trusted: Dispatch, apis: readonly Api[], transport: Transport): SeedServices {
  const ask: Ask = async (method, request) => {
    const api = apis.find(({ services }) => services.some(({ typeName }) => typeName === method.parent.typeName));
    const service = (await api?.load())?.find(({ desc }) => desc.typeName === method.parent.typeName);
    if (service === undefined) throw new Error(`the service ${method.parent.typeName} is missing`);
    const answer = await trusted.unary(service, method, () => fromJson(method.input, request), transport);
    // Nothing waits for an operation: these are done when they are answered.
    if (method.output.typeName === OperationSchema.typeName) return {};
    const json = toJson(method.output, answer);
    return isObject(json) ? json : {};
  };
  return {
    async applyTagKey({ name, values, ...key }) {
      await applyTag(ask, TAG_KEY, name, { ...key, parent: parentOf(name), shortName: name.slice(name.indexOf('/') + 1) });
      const { name: number = '' } = await ask(TagKeys.method.getNamespacedTagKey, { name });
      for (const value of values) await applyTag(ask, TAG_VALUE, `${name}/${value.shortName}`, { ...value, parent: number });
    },
    async applyTagBinding(parent, tagValueNamespacedName) {
      const { tagBindings } = await ask(TagBindings.method.listTagBindings, { parent, pageSize: 300 });
      const { name: value = '' } = await ask(TagValues.method.getNamespacedTagValue, { name: tagValueNamespacedName });
      const isThere = Array.isArray(tagBindings) && tagBindings.some((each) => isObject(each) && each['tagValue'] === value);
      if (!isThere) await ask(TagBindings.method.createTagBinding, { tagBinding: { parent, tagValueNamespacedName } });
    },
    async applyPool({ name, providers, ...pool }) {
      const parent = name.slice(0, name.indexOf('/workloadIdentityPools/'));
      await applyFederated(ask, POOL, name, parent, pool);
      for (const { id, ...provider } of providers) await applyFederated(ask, PROVIDER, `${name}/providers/${id}`, name, provider);
    },
  };
}

interface TagKind {
  readonly get: DescMethod;
  readonly create: DescMethod;
  readonly update: DescMethod;
  readonly field: string;
}
const TAG_KEY: TagKind = { get: TagKeys.method.getNamespacedTagKey, create: TagKeys.method.createTagKey, update: TagKeys.method.updateTagKey, field: 'tagKey' };
const TAG_VALUE: TagKind = { get: TagValues.method.getNamespacedTagValue, create: TagValues.method.createTagValue, update: TagValues.method.updateTagValue, field: 'tagValue' };

/** Of a tag that is there, the description alone can change. */
async function applyTag(ask: Ask, kind: TagKind, name: string, declared: object): Promise<void> {
  const wanted = plain(declared);
  const before = await found(ask(kind.get, { name }));
  if (before === undefined) await ask(kind.create, { [kind.field]: wanted });
  else if (wanted['description'] !== undefined && wanted['description'] !== (before['description'] ?? ''))
    await ask(kind.update, { [kind.field]: { name: before['name'] ?? '', description: wanted['description'] }, updateMask: 'description' });
}

/** `111111111111/env` is an organization's, `demo/env` a project's. */
function parentOf(namespaced: string): string {
  const owner = namespaced.slice(0, namespaced.indexOf('/'));
  return /^\d+$/.test(owner) ? `organizations/${owner}` : `projects/${owner}`;
}

interface FederatedKind extends TagKind {
  readonly id: string;
}
const POOL: FederatedKind = {
  get: WorkloadIdentityPools.method.getWorkloadIdentityPool,
  create: WorkloadIdentityPools.method.createWorkloadIdentityPool,
  update: WorkloadIdentityPools.method.updateWorkloadIdentityPool,
  field: 'workloadIdentityPool',
  id: 'workloadIdentityPoolId',
};
const PROVIDER: FederatedKind = {
  get: WorkloadIdentityPools.method.getWorkloadIdentityPoolProvider,
  create: WorkloadIdentityPools.method.createWorkloadIdentityPoolProvider,
  update: WorkloadIdentityPools.method.updateWorkloadIdentityPoolProvider,
  field: 'workloadIdentityPoolProvider',
  id: 'workloadIdentityPoolProviderId',
};

async function applyFederated(ask: Ask, { get, create, update, field, id }: FederatedKind, name: string, parent: string, declared: object): Promise<void> {
  const wanted = plain(declared);
  const before = await found(ask(get, { name }));
  if (before === undefined) {
    await ask(create, { parent, [id]: name.slice(name.lastIndexOf('/') + 1), [field]: wanted });
    return;
  }
  // What is false or empty is not in an answer.
  const changed = Object.keys(wanted).filter((key) => !isDeepStrictEqual(wanted[key] || undefined, before[key]));
  if (changed.length > 0) await ask(update, { [field]: { ...wanted, name }, updateMask: changed.join(',') });
}

async function found(reading: Promise<JsonObject>): Promise<JsonObject | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isApiError(error) && error.status === 'NOT_FOUND') return undefined;
    throw error;
  }
}

/** Declared things are JSON already; `undefined` is not. */
function plain(value: object): JsonObject {
  return JSON.parse(JSON.stringify(value));
}

function isObject(value: unknown): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
