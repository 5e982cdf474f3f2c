/** A deny policy of a seed, made or brought to what is declared, the way of every request. Loaded only for a seed that has one. */
import { create, equals, fromJson, type JsonObject, type Message, type MessageShape } from '@bufbuild/protobuf';
import { isApiError } from '../errors.ts';
import { CreatePolicyRequestSchema, GetPolicyRequestSchema, Policies, type Policy, PolicySchema, UpdatePolicyRequestSchema } from '../gen/google/iam/v2/policy_pb.js';
import type { Dispatch } from '../server/dispatch.ts';
import type { Api } from '../services/service.ts';

type Transport = Parameters<Dispatch['unary']>[3];

/** @param node `projects/demo` @throws ApiError */
export async function applySeedDenyPolicy(trusted: Dispatch, apis: readonly Api[], transport: Transport, node: string, id: string, declared: JsonObject): Promise<void> {
  const api = apis.find(({ services }) => services.some(({ typeName }) => typeName === Policies.typeName));
  const service = (await api?.load())?.find(({ desc }) => desc.typeName === Policies.typeName);
  if (service === undefined) throw new Error('the deny policy service is missing');
  const parent = `policies/${encodeURIComponent(`cloudresourcemanager.googleapis.com/${node}`)}/denypolicies`;
  const policy = fromJson(PolicySchema, declared);
  const before = await trusted
    .unary(service, Policies.method.getPolicy, () => create(GetPolicyRequestSchema, { name: `${parent}/${id}` }), transport)
    .catch((error: unknown) => {
      if (isApiError(error) && error.status === 'NOT_FOUND') return undefined;
      throw error;
    });
  if (before === undefined) {
    await trusted.unary(service, Policies.method.createPolicy, () => create(CreatePolicyRequestSchema, { parent, policyId: id, policy }), transport);
    return;
  }
  if (!isPolicy(before) || sameContent(before, policy)) return;
  const next = { ...policy, name: `${parent}/${id}`, etag: before.etag };
  await trusted.unary(service, Policies.method.updatePolicy, () => create(UpdatePolicyRequestSchema, { policy: next }), transport);
}

function isPolicy(message: Message): message is MessageShape<typeof PolicySchema> {
  return message.$typeName === PolicySchema.typeName;
}

function sameContent(a: Policy, b: Policy): boolean {
  const bare = ({ displayName, annotations, rules }: Policy) => create(PolicySchema, { displayName, annotations, rules });
  return equals(PolicySchema, bare(a), bare(b));
}
