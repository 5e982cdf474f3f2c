/**
 * google.iam.v2.Policies: deny policies of projects, folders and organizations, and their operations. They are kept here and looked at by the
 * decision engine; what they deny, no allow policy gives back.
 *
 * Invariants: a change is done when its operation is answered; responses name a project by its number, requests by either; limits are of the
 * resource's policies together, in the transaction that writes.
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { aborted, alreadyExists, invalidArgument, notFound } from '../../errors.ts';
import { Policies, type Policy, PolicyOperationMetadataSchema, PolicySchema } from '../../gen/google/iam/v2/policy_pb.js';
import { type Operation, OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { decodePageToken, encodePageToken } from '../../page-token.ts';
import type { Db, Store, Tx } from '../../store/database.ts';
import { deleteDenyPolicy, findDenyPolicy, listDenyPolicies, updateDenyPolicy } from '../../store/deny-policies.ts';
import { findFolder } from '../../store/folders.ts';
import { insertOperation, operationToRow } from '../../store/operations.ts';
import { findOrganization } from '../../store/organizations.ts';
import { findProject } from '../../store/projects.ts';
import { fromTimestamp, type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Check, defineService } from '../service.ts';
import { type AttachmentPoint, attachedResource, denyPolicyName, parseAttachedParent, parseDenyPolicyName } from './deny-names.ts';
import { type ConditionFault, checkAttachedLimits, checkDenyPolicy, checkDenyPolicyId } from './deny-rules.ts';
import type { KnownPermissions } from './known-permissions.ts';

/** "IAM ignores this value and uses the value 1000": google/iam/v2/policy.proto, ListPoliciesRequest.page_size. */
const PAGE = 1000;

export interface DenyPolicyDeps {
  readonly store: Store;
  readonly known: KnownPermissions;
  readonly conditionFault: ConditionFault;
}

export function createDenyPolicyService(deps: DenyPolicyDeps): AnyService {
  const { store } = deps;
  return defineService<typeof Policies>({
    desc: Policies,
    host: 'iam.googleapis.com',
    legacyErrors: false,
    denied: denyPolicyDenied,
    methods: {
      listPolicies: {
        access: { checks: ({ parent }) => [denyCheck('list', parseAttachedParent(parent))] },
        handle: ({ parent, pageToken }) => list(store.read, parent, pageToken),
      },
      getPolicy: {
        access: { checks: ({ name }) => [denyCheck('get', parseDenyPolicyName(name).point)] },
        handle: async ({ name }) => (await requirePolicy(store.read, name)).policy,
      },
      createPolicy: {
        access: { checks: ({ parent }) => [denyCheck('create', parseAttachedParent(parent))] },
        handle: ({ parent, policyId, policy }, call) => createDenyPolicy(deps, { point: parseAttachedParent(parent), id: policyId, policy }, call.now()),
      },
      updatePolicy: {
        access: { checks: ({ policy }) => [denyCheck('update', parseDenyPolicyName(policy?.name ?? '', 'policy.name').point)] },
        handle: ({ policy }, call) => replaceDenyPolicy(deps, policy, call.now()),
      },
      deletePolicy: {
        access: { checks: ({ name }) => [denyCheck('delete', parseDenyPolicyName(name).point)] },
        handle: ({ name, etag }, call) => removeDenyPolicy(store, name, etag, call.now()),
      },
    },
  });
}

/** In Google's words, recorded for create: https://github.com/GoogleCloudPlatform/nodejs-docs-samples/issues/3144 */
export function denyPolicyDenied({ permission, asked }: Required<Check>): string {
  return `Permission ${permission.replace(/^iam\./, 'iam.googleapis.com/')} denied on resource cloudresourcemanager.googleapis.com/${asked}`;
}

/** Deny policies are for who holds iam.denypolicies.* on the resource that they are attached to. */
export function denyCheck(verb: 'create' | 'get' | 'list' | 'update' | 'delete', point: AttachmentPoint): Check {
  return { permission: `iam.denypolicies.${verb}`, resource: attachedResource(point), asked: `${point.kind}/${point.id}` };
}

/** An attachment point that exists: as it is stored by, and as answers name it. */
interface Attached {
  readonly stored: AttachmentPoint;
  readonly shown: AttachmentPoint;
}

/** @throws NOT_FOUND */
async function attached(db: Db, point: AttachmentPoint): Promise<Attached> {
  const { kind, id } = point;
  if (kind === 'projects') {
    const project = await findProject(db, id);
    if (project !== undefined) return { stored: { kind, id: project.project_id }, shown: { kind, id: project.number } };
  } else if ((kind === 'folders' ? await findFolder(db, id) : await findOrganization(db, id)) !== undefined) return { stored: point, shown: point };
  throw notFound(`Resource '${kind}/${id}' was not found.`);
}

async function requirePolicy(db: Db, name: string): Promise<Attached & { readonly key: string; readonly policy: Policy }> {
  const { point, id } = parseDenyPolicyName(name);
  const at = await attached(db, point);
  const key = denyPolicyName(at.stored, id);
  const policy = await findDenyPolicy(db, key);
  if (policy === undefined) throw notFound(`Policy '${denyPolicyName(at.shown, id)}' was not found.`);
  return { ...at, key, policy };
}

async function list(db: Db, parent: string, pageToken: string) {
  const { stored } = await attached(db, parseAttachedParent(parent));
  const query = ['denypolicies', stored.kind, stored.id];
  const after = decodePageToken(query, pageToken)?.[0];
  const found = await listDenyPolicies(db, attachedResource(stored), { limit: PAGE + 1, ...(after === undefined ? {} : { after: String(after) }) });
  const page = found.slice(0, PAGE);
  // Recorded: a list has no rules.
  return { policies: page.map(({ policy }) => ({ ...policy, rules: [] })), nextPageToken: found.length > PAGE ? encodePageToken(query, [page.at(-1)?.key ?? '']) : '' };
}

async function createDenyPolicy(deps: DenyPolicyDeps, request: { point: AttachmentPoint; id: string; policy: Policy | undefined }, now: Micros): Promise<Operation> {
  const { id, policy } = request;
  if (policy === undefined) throw invalidArgument('policy', 'required field not present.');
  checkDenyPolicyId(id);
  checkDenyPolicy(policy, deps.known, deps.conditionFault);
  return deps.store.write(async (tx) => {
    const { stored, shown } = await attached(tx.db, request.point);
    const key = denyPolicyName(stored, id);
    const name = denyPolicyName(shown, id);
    if ((await findDenyPolicy(tx.db, key)) !== undefined) throw alreadyExists(`Policy '${name}' already exists.`);
    const { displayName, annotations, rules } = policy;
    const made = create(PolicySchema, { name, uid: randomUUID(), kind: 'DenyPolicy', displayName, annotations, rules });
    checkAttachedLimits([...(await listDenyPolicies(tx.db, attachedResource(stored))).map((other) => other.policy), made]);
    return finished(tx, await updateDenyPolicy(tx.db, key, attachedResource(stored), made, { createTime: now, updateTime: now }), now);
  });
}

/** "You can update only the rules and the display name for the policy"; the etag must be the current one (google/iam/v2/policy.proto). */
async function replaceDenyPolicy(deps: DenyPolicyDeps, policy: Policy | undefined, now: Micros): Promise<Operation> {
  if (policy === undefined) throw invalidArgument('policy', 'required field not present.');
  checkDenyPolicy(policy, deps.known, deps.conditionFault);
  return deps.store.write(async (tx) => {
    const before = await requirePolicy(tx.db, policy.name);
    checkEtag(before.policy, policy.etag);
    const next = create(PolicySchema, { ...before.policy, displayName: policy.displayName, rules: policy.rules });
    const others = (await listDenyPolicies(tx.db, attachedResource(before.stored))).filter(({ key }) => key !== before.key);
    checkAttachedLimits([...others.map((other) => other.policy), next]);
    const createTime = before.policy.createTime === undefined ? now : fromTimestamp(before.policy.createTime);
    return finished(tx, await updateDenyPolicy(tx.db, before.key, attachedResource(before.stored), next, { createTime, updateTime: now }), now);
  });
}

async function removeDenyPolicy(store: Store, name: string, etag: string, now: Micros): Promise<Operation> {
  return store.write(async (tx) => {
    const { key, policy } = await requirePolicy(tx.db, name);
    if (etag !== '') checkEtag(policy, etag);
    await deleteDenyPolicy(tx.db, key);
    return finished(tx, create(PolicySchema, { ...policy, deleteTime: toTimestamp(now) }), now);
  });
}

function checkEtag(current: Policy, etag: string): void {
  if (etag !== current.etag) throw aborted('There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.');
}

/** Recorded: the operation is done at once, and named below the policy. */
async function finished(tx: Tx, policy: Policy, now: Micros): Promise<Operation> {
  const operation = create(OperationSchema, {
    name: `${policy.name}/operations/${randomBytes(8).toString('hex')}`,
    done: true,
    metadata: anyPack(PolicyOperationMetadataSchema, create(PolicyOperationMetadataSchema, { createTime: toTimestamp(now) })),
    result: { case: 'response', value: anyPack(PolicySchema, policy) },
  });
  // In no project's list: the rows of Cloud Run's operations have a project and a location.
  await insertOperation(tx.db, { ...operationToRow(operation, policy.name, now), project_id: '', location: '' });
  tx.touch('policies');
  return operation;
}
