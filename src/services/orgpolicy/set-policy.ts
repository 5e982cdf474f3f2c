/** Setting and removing a policy: the same for both versions of the API, and for the seed. */
import { clone } from '@bufbuild/protobuf';
import { aborted, notFound } from '../../errors.ts';
import { type Policy, PolicySchema } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { type CheckedConstraint, checkOrgPolicy } from '../../policy/check-org-policy.ts';
import { findConstraint, isCustomConstraint } from '../../policy/constraint-catalogue.ts';
import { findCustomConstraint } from '../../store/custom-constraints.ts';
import type { Db, Tx } from '../../store/database.ts';
import { insertCrossProjectLien } from '../../store/liens.ts';
import { deleteOrgPolicy, updateOrgPolicy } from '../../store/org-policies.ts';
import type { Micros } from '../../timestamp.ts';
import type { Node } from './nodes.ts';

const CROSS_PROJECT = 'iam.disableCrossProjectServiceAccountUsage';

/** The constraint of a policy, custom ones of the node's own organization among them. @throws NOT_FOUND */
export async function getConstraint(db: Db, node: Node, id: string): Promise<CheckedConstraint> {
  const known = findConstraint(id);
  if (known !== undefined) return known;
  if (isCustomConstraint(id) && node.organization !== undefined && (await findCustomConstraint(db, `${node.organization}/customConstraints/${id}`)) !== undefined)
    return { id, kind: 'boolean', supportsIn: false, supportsUnder: false, parameters: {} };
  throw notFound(
    isCustomConstraint(id)
      ? `Constraint constraints/${id} does not exist in ${node.organization ?? 'the project, which is in no organization'}. Create it with actas org-policies set-custom-constraint.`
      : `Constraint constraints/${id} does not exist. The constraints of ${node.name}:constraints list those that do.`,
  );
}

/** @throws INVALID_ARGUMENT for a policy that breaks a rule, NOT_FOUND for a constraint that does not exist */
export async function setOrgPolicy(tx: Tx, node: Node, id: string, policy: Policy, now: Micros): Promise<Policy> {
  checkOrgPolicy(policy, await getConstraint(tx.db, node, id));
  tx.touch('policies');
  // Deviation: a folder or organization whose policy turns the constraint off places no lien on the projects below it: Google's pages disagree on whether it can be set there.
  // A lien that was placed stays when the constraint is enforced again: jobs elsewhere may still run as the project's accounts.
  if (id === CROSS_PROJECT && node.projectId !== undefined && isTurnedOff(policy)) await insertCrossProjectLien(tx.db, node.name.slice('projects/'.length), now);
  return updateOrgPolicy(tx.db, node.name, id, policy, now);
}

/** Whether any rule turns the constraint off: one with a condition does for accounts that have the tag. */
function isTurnedOff({ spec }: Policy): boolean {
  return spec?.rules.some(({ kind }) => kind.case === 'enforce' && !kind.value) ?? false;
}

export async function removeOrgPolicy(tx: Tx, node: Node, id: string): Promise<void> {
  tx.touch('policies');
  await deleteOrgPolicy(tx.db, node.name, id);
}

/** @param etags that the caller sent; empty ones do not count @throws ABORTED */
export function refuseStale(stored: Policy, etags: readonly (string | undefined)[]): void {
  if (etags.some((etag) => etag !== undefined && etag !== '' && etag !== stored.etag))
    throw aborted(`The etag does not match that of the policy ${stored.name}: somebody else has changed it. Read it again, and retry the whole read-modify-write.`);
}

/** What a full policy leaves of one that is stored: everything that the mask does not name. @param paths empty: the whole policy */
export function maskedPolicy(stored: Policy, given: Policy, paths: readonly ('spec' | 'dryRunSpec')[]): Policy {
  const next = clone(PolicySchema, given);
  if (paths.length === 0) return next;
  for (const field of ['spec', 'dryRunSpec'] as const) {
    if (paths.includes(field)) continue;
    if (stored[field] === undefined) delete next[field];
    else next[field] = stored[field];
  }
  return next;
}
