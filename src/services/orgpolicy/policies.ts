/** Policies of version 2: create, read, list, update, delete, and what is in force. */

import { alreadyExists, invalidArgument } from '../../errors.ts';
import type { OrgPolicy, Policy } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { findOrgPolicy, listOrgPolicies } from '../../store/org-policies.ts';
import type { Methods } from '../service.ts';
import { entityNotFound, getNode, nodeCheck, parseParent, parsePolicyName } from './nodes.ts';
import type { OrgPolicyDeps } from './orgpolicy.ts';
import { getConstraint, maskedPolicy, refuseStale, removeOrgPolicy, setOrgPolicy } from './set-policy.ts';

type PolicyMethods = Pick<Methods<typeof OrgPolicy>, 'createPolicy' | 'getPolicy' | 'getEffectivePolicy' | 'listPolicies' | 'updatePolicy' | 'deletePolicy'>;

/** What needs no mask is a policy as a whole. `policy.` before a field is how gcloud writes it, though the proto calls the paths relative to the policy. */
const MASK: Readonly<Record<string, 'spec' | 'dryRunSpec'>> = { spec: 'spec', dry_run_spec: 'dryRunSpec', dryRunSpec: 'dryRunSpec' };

export function policyMethods(deps: OrgPolicyDeps): PolicyMethods {
  return { ...readMethods(deps), ...writeMethods(deps) };
}

function readMethods({ store, orgPolicies }: OrgPolicyDeps): Pick<PolicyMethods, 'getPolicy' | 'getEffectivePolicy' | 'listPolicies'> {
  return {
    getPolicy: {
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.policy.get', parsePolicyName(name).parent, name)] },
      async handle({ name }) {
        const { parent, constraint } = parsePolicyName(name);
        const node = await getNode(store.read, parent);
        return found(await findOrgPolicy(store.read, node.name, constraint));
      },
    },
    getEffectivePolicy: {
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.policy.get', parsePolicyName(name).parent, name)] },
      async handle({ name }) {
        const { parent, constraint: id } = parsePolicyName(name);
        const node = await getNode(store.read, parent);
        const { kind } = await getConstraint(store.read, node, id);
        const { live, dryRun } = await orgPolicies.effective(id, kind, node.name);
        return { name: `${node.name}/policies/${id}`, spec: live, ...(dryRun === undefined ? {} : { dryRunSpec: dryRun }) };
      },
    },
    listPolicies: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.policies.list', parseParent(parent), parent)] },
      // The size of a page is ignored, as the proto says it is.
      handle: async ({ parent }) => ({ policies: await listOrgPolicies(store.read, (await getNode(store.read, parseParent(parent))).name) }),
    },
  };
}

function writeMethods({ store }: OrgPolicyDeps): Pick<PolicyMethods, 'createPolicy' | 'updatePolicy' | 'deletePolicy'> {
  return {
    createPolicy: {
      access: { checks: ({ parent }) => [nodeCheck('orgpolicy.policies.create', parseParent(parent), parent)] },
      async handle({ parent, policy }, call) {
        const name = parsePolicyName(policy?.name ?? '', 'policy.name');
        return store.write(async (tx) => {
          const node = await getNode(tx.db, parseParent(parent));
          if (name.parent !== parent && (await getNode(tx.db, name.parent)).name !== node.name)
            throw invalidArgument('policy.name', `${JSON.stringify(policy?.name)} is not a policy of ${parent}, which the request names as its parent.`);
          if ((await findOrgPolicy(tx.db, node.name, name.constraint)) !== undefined) throw alreadyExists('Requested entity already exists');
          return setOrgPolicy(tx, node, name.constraint, given(policy), call.now());
        });
      },
    },
    updatePolicy: {
      access: { checks: ({ policy }) => [nodeCheck('orgpolicy.policies.update', parsePolicyName(policy?.name ?? '', 'policy.name').parent, policy?.name ?? '')] },
      async handle({ policy, updateMask }, call) {
        const { parent, constraint } = parsePolicyName(policy?.name ?? '', 'policy.name');
        const paths = maskPaths(updateMask?.paths ?? []);
        return store.write(async (tx) => {
          const node = await getNode(tx.db, parent);
          const stored = found(await findOrgPolicy(tx.db, node.name, constraint));
          const next = given(policy);
          refuseStale(stored, [next.etag, next.spec?.etag, next.dryRunSpec?.etag]);
          // Deviation: an update mask of `policy.spec` leaves the dry run as it is, as the proto words it. Recordings whose origin is doubtful lost the dry run.
          return setOrgPolicy(tx, node, constraint, maskedPolicy(stored, next, paths), call.now());
        });
      },
    },
    deletePolicy: {
      access: { checks: ({ name }) => [nodeCheck('orgpolicy.policies.delete', parsePolicyName(name).parent, name)] },
      async handle({ name, etag }) {
        const { parent, constraint } = parsePolicyName(name);
        await store.write(async (tx) => {
          const node = await getNode(tx.db, parent);
          refuseStale(found(await findOrgPolicy(tx.db, node.name, constraint)), [etag]);
          await removeOrgPolicy(tx, node, constraint);
        });
        return {};
      },
    },
  };
}

/** @throws NOT_FOUND */
function found(policy: Policy | undefined): Policy {
  // Deviation: a project is named by its number, as the proto says. Recordings whose origin is doubtful name it as the request did.
  if (policy === undefined) throw entityNotFound();
  return policy;
}

function given(policy: Policy | undefined): Policy {
  if (policy === undefined) throw invalidArgument('policy', 'must be set.');
  return policy;
}

/** @returns the fields that are overwritten; none: all @throws INVALID_ARGUMENT */
function maskPaths(paths: readonly string[]): ('spec' | 'dryRunSpec')[] {
  if (paths.includes('*')) return [];
  return paths.map((path) => {
    const field = MASK[path.replace(/^policy\./, '')];
    if (field === undefined) throw invalidArgument('update_mask', `${JSON.stringify(path)} cannot be updated. Write policy.spec, policy.dry_run_spec or *.`);
    return field;
  });
}
