/** What a seed says about organization policies: the baseline of an organization, custom constraints, and policies. */
import { clone, create, type DescMessage, equals, fromJson, type JsonObject, type MessageShape } from '@bufbuild/protobuf';
import { invalidRequest } from '../errors.ts';
import { CustomConstraintSchema } from '../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import { type Policy, PolicySchema } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { createOrgPolicies } from '../policy/org-policy.ts';
import { checkCustomConstraint } from '../services/orgpolicy/check-custom-constraint.ts';
import { getNode, parsePolicyName } from '../services/orgpolicy/nodes.ts';
import { setOrgPolicy } from '../services/orgpolicy/set-policy.ts';
import { isEditorWithheld } from '../services/resourcemanager/create-project.ts';
import { findCustomConstraint, updateCustomConstraint } from '../store/custom-constraints.ts';
import type { Tx } from '../store/database.ts';
import { createOrgPolicyReader, findOrgPolicy } from '../store/org-policies.ts';
import type { Micros } from '../timestamp.ts';

/** @param declared a CustomConstraint of the v2 API, with its name @throws ApiError */
export async function applyCustomConstraint(tx: Tx, declared: JsonObject, now: Micros): Promise<void> {
  const constraint = checkCustomConstraint(read(CustomConstraintSchema, declared));
  const parent = constraint.name.split('/customConstraints/')[0] ?? '';
  await getNode(tx.db, parent);
  const before = await findCustomConstraint(tx.db, constraint.name);
  if (before !== undefined) {
    const bare = clone(CustomConstraintSchema, before);
    delete bare.updateTime;
    if (equals(CustomConstraintSchema, bare, constraint)) return;
  }
  tx.touch('policies');
  await updateCustomConstraint(tx.db, parent, constraint, now);
}

/** Sets the policy; one that says the same already keeps its etag. @param declared a Policy of the v2 API, with its name @throws ApiError */
export async function applyOrgPolicy(tx: Tx, declared: JsonObject, now: Micros): Promise<void> {
  const policy = read(PolicySchema, declared);
  const { parent, constraint } = parsePolicyName(policy.name);
  const node = await getNode(tx.db, parent);
  const before = await findOrgPolicy(tx.db, node.name, constraint);
  if (before !== undefined && equals(PolicySchema, bare(before), bare(policy))) return;
  await setOrgPolicy(tx, node, constraint, policy, now);
}

/** Whether what is declared so far keeps the default service account of a project in `parent` from becoming an editor. */
export async function isEditorWithheldBySeed(tx: Tx, parent: string | null): Promise<boolean> {
  return parent !== null && isEditorWithheld(createOrgPolicies({ source: createOrgPolicyReader(tx.db) }), parent, { member: '' });
}

function read<D extends DescMessage>(desc: D, declared: JsonObject): MessageShape<D> {
  try {
    return fromJson(desc, declared);
  } catch (error) {
    throw invalidRequest(error instanceof Error ? error.message : String(error));
  }
}

function bare(policy: Policy): Policy {
  const copy = create(PolicySchema, {});
  for (const field of ['spec', 'dryRunSpec'] as const) {
    const spec = policy[field];
    if (spec === undefined) continue;
    const { updateTime: _, ...rest } = spec;
    copy[field] = { ...rest, etag: '' };
  }
  return copy;
}
