/**
 * What a policy must be to be set: Google's limits and, where known, its words. Pure: whether a member exists is for the service to say.
 * Deviation: `roles/owner` may be given to a user without an invitation, and a project may be left without an owner.
 * Deviation: a predefined role that the catalogue does not list is accepted and kept; decisions report it as not evaluated.
 */
import { invalidArgument, invalidRequest } from '../errors.ts';
import type { Binding, Policy } from '../gen/google/iam/v1/policy_pb.js';
import { hasConditions, isVersion } from './allow-policy.ts';
import { CelIssue } from './cel/program.ts';
import { compileCondition } from './condition.ts';
import { memberForm, normalMember } from './member.ts';

/** What the policy is set on. */
export type PolicyHolder = 'organization' | 'folder' | 'project' | 'serviceAccount' | 'job' | 'tag' | 'secret';

/** Source: https://docs.cloud.google.com/iam/quotas. Every appearance of a principal counts, exemptions from auditing included. */
const MAX_PRINCIPALS = 1500;
/** Distinct groups, and every appearance of a domain. */
const MAX_GROUPS_AND_DOMAINS = 250;
/** Bindings of one role to one principal that differ in their conditions. */
const MAX_CONDITIONAL_GRANTS = 20;
const BASIC_ROLES = new Set(['roles/owner', 'roles/editor', 'roles/viewer']);
const ROLE = /^(?:roles\/[A-Za-z0-9_.]{1,128}|(?:projects|organizations)\/[a-z0-9.:-]{1,64}\/roles\/[A-Za-z0-9_.]{3,64})$/;
const WITHCOND = '_withcond_';

/**
 * @param policy as it came in the request; undefined where the request has none
 * @throws INVALID_ARGUMENT
 */
export function checkPolicy(policy: Policy | undefined, where: PolicyHolder): asserts policy is Policy {
  if (policy === undefined) throw invalidArgument('policy', 'The request has no policy.');
  if (!isVersion(policy.version)) throw invalidArgument('policy.version', `Specified policy version (${policy.version}) is invalid. Valid versions are 0, 1 and 3.`);
  for (const binding of policy.bindings) checkBinding(binding, where);
  if (hasConditions(policy) && policy.version < 3)
    throw invalidRequest(
      `Specified policy version (${policy.version}) must be at least 3 based on the policy's contents. For more information, please refer to https://cloud.google.com/iam/help/allow-policies/versions.`,
    );
  checkLimits(policy);
}

function checkBinding(binding: Binding, where: PolicyHolder): void {
  const { role, members, condition } = binding;
  if (role === '') throw invalidArgument('policy.bindings.role', 'A binding has no role.');
  if (!ROLE.test(role) || role.includes(WITHCOND))
    throw invalidRequest(`Role ${role} is not supported for this resource.`, [
      { field: 'policy.bindings.role', description: 'Write roles/ID, projects/PROJECT/roles/ID or organizations/NUMBER/roles/ID.' },
    ]);
  for (const member of members) checkMember(member, where);
  if (condition === undefined) return;
  if (condition.expression.trim() === '') throw invalidArgument('policy.bindings.condition.expression', 'A condition needs an expression.');
  if (condition.title === '') throw invalidArgument('policy.bindings.condition.title', 'A condition needs a title.');
  const compiled = compileCondition(condition.expression);
  if (compiled instanceof CelIssue)
    throw invalidRequest(`Invalid condition expression for role ${role}: ${compiled.message}.`, [
      { field: 'policy.bindings.condition.expression', description: `${compiled.message}: ${condition.expression.slice(0, 200)}` },
    ]);
  if (BASIC_ROLES.has(role)) throw invalidArgument('policy.bindings.condition', `Conditions cannot be added to the basic role ${role}.`);
  if (members.includes('allUsers') || members.includes('allAuthenticatedUsers'))
    throw invalidArgument('policy.bindings.condition', 'Conditions cannot be added to bindings of allUsers or allAuthenticatedUsers.');
}

function checkMember(member: string, where: PolicyHolder): void {
  const form = memberForm(member);
  const isPublic = form === 'public';
  if (where === 'project' && (isPublic || form === 'unknown' || form === 'bucketRole')) {
    // Recorded, for allUsers and for members without a type.
    throw invalidRequest('Policy members must be of the form "<type>:<value>".', [
      {
        field: 'policy.bindings.member',
        description: "Policy members must be prefixed of the form '<type>:<value>', where <type> is 'domain', 'group', 'serviceAccount', or 'user'.",
      },
    ]);
  }
  // Recorded for jobs: https://github.com/hashicorp/terraform-provider-google/issues/13592
  if ((where === 'job' && isPublic) || form === 'bucketRole')
    throw invalidRequest(`Member ${member} is invalid due to membership type restrictions on the resource.`, [
      { field: 'policy.bindings.member', description: `${member} cannot be a member here.` },
    ]);
  if (form === 'unknown')
    throw invalidRequest(`The member ${member} is of an unknown type. Please set a valid type prefix for the member.`, [
      { field: 'policy.bindings.member', description: 'Write user:EMAIL, serviceAccount:EMAIL, group:EMAIL or domain:DOMAIN.' },
    ]);
  if (form === 'malformed')
    throw invalidRequest(`Invalid member ${member}.`, [
      { field: 'policy.bindings.member', description: `What follows ${member.slice(0, member.indexOf(':') + 1)} is not a valid name.` },
    ]);
}

function checkLimits(policy: Policy): void {
  const appearances = [
    ...policy.bindings.flatMap((binding) => binding.members),
    ...policy.auditConfigs.flatMap((config) => config.auditLogConfigs.flatMap((log) => log.exemptedMembers)),
  ];
  if (appearances.length > MAX_PRINCIPALS)
    throw invalidRequest(`The number of members in the policy (${appearances.length}) exceeds the maximum allowed limit (${MAX_PRINCIPALS}), resulting in an invalid IAM policy.`);
  const groups = new Set(appearances.filter((member) => member.startsWith('group:')).map(normalMember)).size + appearances.filter((member) => member.startsWith('domain:')).length;
  if (groups > MAX_GROUPS_AND_DOMAINS)
    throw invalidRequest(
      `The number of groups and domains in the policy (${groups}) exceeds the maximum allowed limit (${MAX_GROUPS_AND_DOMAINS}), resulting in an invalid IAM policy.`,
    );
  const conditional = new Map<string, number>();
  for (const binding of policy.bindings) {
    if (binding.condition === undefined) continue;
    for (const member of new Set(binding.members)) {
      const key = `${binding.role} ${normalMember(member)}`;
      const count = (conditional.get(key) ?? 0) + 1;
      conditional.set(key, count);
      if (count > MAX_CONDITIONAL_GRANTS)
        throw invalidRequest(
          `The number of conditional bindings of role ${binding.role} to ${member} exceeds the maximum allowed limit (${MAX_CONDITIONAL_GRANTS}), resulting in an invalid IAM policy.`,
        );
    }
  }
}
