/** Organization policies of Resource Manager v1, over the rows of version 2. An etag that is left out sets or clears whatever is there. */
import { clone } from '@bufbuild/protobuf';
import { aborted, invalidArgument } from '../../errors.ts';
import { type Policy, PolicySchema } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { OrgPolicies } from '../../gen/google/cloudresourcemanager/v1/org_policies_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import { isCustomConstraint, isManagedConstraint, listConstraints } from '../../policy/constraint-catalogue.ts';
import { findOrgPolicy, listOrgPolicies } from '../../store/org-policies.ts';
import { type AnyService, type Check, defineService, type Methods } from '../service.ts';
import { getNode, nodeCheck, parseParent } from './nodes.ts';
import type { OrgPolicyDeps } from './orgpolicy.ts';
import { getConstraint, removeOrgPolicy, setOrgPolicy } from './set-policy.ts';
import { etagOf, etagText, fromV1, parseConstraint, toV1, toV1Constraint } from './v1-shape.ts';

const PAGE = 1000;

export function createOrgPoliciesV1Service(deps: OrgPolicyDeps): AnyService {
  return defineService<typeof OrgPolicies>({
    desc: OrgPolicies,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: true,
    // As of the rest of this version. Source: https://github.com/GoogleCloudPlatform/community/issues/1339
    denied: () => 'The caller does not have permission',
    methods: { ...readMethods(deps), ...writeMethods(deps) },
  });
}

const check = (permission: string, resource: string): readonly Check[] => [nodeCheck(permission, parseParent(resource, 'resource'), resource)];

function readMethods({
  store,
  orgPolicies,
}: OrgPolicyDeps): Pick<Methods<typeof OrgPolicies>, 'getOrgPolicy' | 'getEffectiveOrgPolicy' | 'listOrgPolicies' | 'listAvailableOrgPolicyConstraints'> {
  return {
    getOrgPolicy: {
      access: { checks: ({ resource }) => check('orgpolicy.policy.get', resource) },
      async handle({ resource, constraint }) {
        const id = parseConstraint(constraint, 'constraint');
        const node = await getNode(store.read, resource);
        const { kind } = await getConstraint(store.read, node, id);
        const policy = await findOrgPolicy(store.read, node.name, id);
        return toV1(id, kind, policy?.spec, etagOf(policy));
      },
    },
    getEffectiveOrgPolicy: {
      access: { checks: ({ resource }) => check('orgpolicy.policy.get', resource) },
      async handle({ resource, constraint }) {
        const id = parseConstraint(constraint, 'constraint');
        const node = await getNode(store.read, resource);
        const { kind } = await getConstraint(store.read, node, id);
        return toV1(id, kind, (await orgPolicies.effective(id, kind, node.name)).live, undefined);
      },
    },
    listOrgPolicies: {
      access: { checks: ({ resource }) => check('orgpolicy.policies.list', resource) },
      async handle({ resource, pageSize: size, pageToken }) {
        const node = await getNode(store.read, resource);
        const page = nextPage(await listOrgPolicies(store.read, node.name), (policy) => constraintOf(policy), ['listOrgPolicies', node.name], size, pageToken);
        const policies = [];
        for (const policy of page.items) {
          const id = constraintOf(policy);
          // A constraint that is gone was a custom one, and those are boolean.
          const kind = listConstraints().find((one) => one.id === id)?.kind ?? 'boolean';
          policies.push(toV1(id, kind, policy.spec, policy.etag));
        }
        return { policies, nextPageToken: page.nextPageToken };
      },
    },
    listAvailableOrgPolicyConstraints: {
      access: { checks: ({ resource }) => check('orgpolicy.constraints.list', resource) },
      async handle({ resource, pageSize: size, pageToken }) {
        const node = await getNode(store.read, resource);
        const all = listConstraints().filter(({ id }) => !isManagedConstraint(id));
        const page = nextPage(all, ({ id }) => id, ['listAvailableOrgPolicyConstraints', node.name], size, pageToken);
        return { constraints: page.items.map(toV1Constraint), nextPageToken: page.nextPageToken };
      },
    },
  };
}

function writeMethods({ store }: OrgPolicyDeps): Pick<Methods<typeof OrgPolicies>, 'setOrgPolicy' | 'clearOrgPolicy'> {
  return {
    setOrgPolicy: {
      access: { checks: ({ resource }) => check('orgpolicy.policy.set', resource) },
      async handle({ resource, policy }, call) {
        if (policy === undefined) throw invalidArgument('policy', 'must be set.');
        const id = parseConstraint(policy.constraint, 'policy.constraint');
        if (isManagedConstraint(id) || isCustomConstraint(id))
          throw invalidArgument(
            'policy.constraint',
            `constraints/${id} cannot be set with this version of the API. Use orgpolicy.googleapis.com, version 2: actas org-policies set-policy.`,
          );
        const next = fromV1(policy);
        return store.write(async (tx) => {
          const node = await getNode(tx.db, resource);
          const { kind } = await getConstraint(tx.db, node, id);
          const stored = await findOrgPolicy(tx.db, node.name, id);
          refuseStale(stored, policy.etag, `${node.name}/policies/${id}`);
          // What this version cannot say, a dry run, stays as it is.
          if (stored?.dryRunSpec !== undefined) next.dryRunSpec = stored.dryRunSpec;
          const set = await setOrgPolicy(tx, node, id, next, call.now());
          return toV1(id, kind, set.spec, set.etag);
        });
      },
    },
    clearOrgPolicy: {
      access: { checks: ({ resource }) => check('orgpolicy.policy.set', resource) },
      async handle({ resource, constraint, etag }, call) {
        const id = parseConstraint(constraint, 'constraint');
        await store.write(async (tx) => {
          const node = await getNode(tx.db, resource);
          const stored = await findOrgPolicy(tx.db, node.name, id);
          refuseStale(stored, etag, `${node.name}/policies/${id}`);
          if (stored?.dryRunSpec === undefined) return removeOrgPolicy(tx, node, id);
          const left = clone(PolicySchema, stored);
          delete left.spec;
          await setOrgPolicy(tx, node, id, left, call.now());
        });
        return {};
      },
    },
  };
}

function constraintOf(policy: Policy): string {
  return policy.name.slice(policy.name.lastIndexOf('/') + 1);
}

/** @throws ABORTED */
function refuseStale(stored: Policy | undefined, etag: Uint8Array, name: string): void {
  if (etag.length > 0 && etagText(etag) !== etagOf(stored))
    throw aborted(`The etag does not match that of the policy ${name}: somebody else has changed it. Read it again, and retry the whole read-modify-write.`);
}

/** @param items in the order of their keys */
function nextPage<T>(
  items: readonly T[],
  keyOf: (item: T) => string,
  query: readonly string[],
  size: number,
  token: string,
): { readonly items: T[]; readonly nextPageToken: string } {
  const limit = pageSize(size, PAGE, PAGE);
  const after = decodePageToken(query, token)?.[0];
  const rest = after === undefined ? items : items.filter((item) => keyOf(item) > String(after));
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  return { items: page, nextPageToken: rest.length > limit && last !== undefined ? encodePageToken(query, [keyOf(last)]) : '' };
}
