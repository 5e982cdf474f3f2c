/**
 * Organization policies as Google has them in force, for the engine's own checks. Of each constraint that a check asks about the effective policy is
 * read; what is above the project is in it already. Custom constraints are not read: their definitions are the organization's.
 */
import { create, fromJson } from '@bufbuild/protobuf';
import { PolicySchema } from '../../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { createOrgPolicies, type OrgPolicyEngine } from '../../policy/org-policy.ts';
import { Untold } from '../../services/untold.ts';
import { ORG_POLICY } from '../api.ts';
import { asMessageJson, type Google } from './google.ts';

/** Throws Untold for what the caller may not read, and for rules that depend on tags. */
export function createLiveOrgPolicies(google: Google): OrgPolicyEngine {
  const engines = new Map<string, OrgPolicyEngine>();
  const engineOf = (constraint: string): OrgPolicyEngine => {
    const known = engines.get(constraint);
    if (known !== undefined) return known;
    const made = createOrgPolicies({
      source: {
        // The name by which it is asked is good for a node's name as well: nothing is looked for above it.
        project: async (key) => ({ projectId: key, number: key, parent: null }),
        folder: async () => undefined,
        orgPolicies: async (node) => [await effectivePolicy(google, node, constraint)],
        customConstraints: async () => [],
        organizations: async () => [],
        tags: async () => [],
      },
    });
    engines.set(constraint, made);
    return made;
  };
  return {
    ...engineOf(''),
    enforcement: (constraint, resource) => engineOf(constraint).enforcement(constraint, resource),
    isEnforced: (constraint, resource, asker) => engineOf(constraint).isEnforced(constraint, resource, asker),
    isValueAllowed: (constraint, resource, value, asker) => engineOf(constraint).isValueAllowed(constraint, resource, value, asker),
    isAnyAllowed: (constraint, resource, values, asker, shown) => engineOf(constraint).isAnyAllowed(constraint, resource, values, asker, shown),
    values: (constraint, resource) => engineOf(constraint).values(constraint, resource),
    effective: (constraint, kind, node) => engineOf(constraint).effective(constraint, kind, node),
    customConstraints: async () => [],
  };
}

/** @param node `projects/P` */
async function effectivePolicy(google: Google, node: string, constraint: string) {
  const name = `${node}/policies/${constraint}`;
  const answer = await google.find<object>(ORG_POLICY, `${name}:getEffectivePolicy`);
  if (answer === undefined) throw new Untold(`${constraint} of ${node} is not to be found.`);
  const { spec } = fromJson(PolicySchema, asMessageJson(answer), { ignoreUnknownFields: true });
  if (spec?.rules.some(({ condition }) => condition !== undefined) === true) throw new Untold(`${constraint} of ${node} depends on tags, which are not read.`);
  return create(PolicySchema, spec === undefined ? { name } : { name, spec });
}
