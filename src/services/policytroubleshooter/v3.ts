/** The answers of v3: allow and deny policies. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  AllowAccessState,
  type AllowBindingExplanationSchema,
  DenyAccessState,
  type DenyRuleExplanationSchema,
  type ExplainedAllowPolicySchema,
  type ExplainedDenyResourceSchema,
  HeuristicRelevance,
  MembershipMatchingState,
  TroubleshootIamPolicyResponse_OverallAccessState as Overall,
  PermissionPatternMatchingState,
  RolePermissionInclusionState,
  type TroubleshootIamPolicyRequest,
  type TroubleshootIamPolicyResponseSchema,
} from '../../gen/google/cloud/policytroubleshooter/iam/v3/troubleshooter_pb.js';
import type { Question } from '../../policy/decision.ts';
import { permissionOfV2 } from '../../policy/deny-rule.ts';
import type { AllowState, DenyState, Membership, VisibleBinding, VisibleDenyRule, VisibleExplanation } from '../visible-explanation.ts';
import { explainCondition } from './condition.ts';

const { HIGH, NORMAL } = HeuristicRelevance;
const ALLOW: { readonly [state in AllowState]: AllowAccessState } = {
  GRANTED: AllowAccessState.GRANTED,
  NOT_GRANTED: AllowAccessState.NOT_GRANTED,
  UNKNOWN_CONDITIONAL: AllowAccessState.UNKNOWN_CONDITIONAL,
  UNKNOWN_INFO: AllowAccessState.UNKNOWN_INFO,
};
const OVERALL: { readonly [state in AllowState]: Overall } = {
  GRANTED: Overall.CAN_ACCESS,
  NOT_GRANTED: Overall.CANNOT_ACCESS,
  UNKNOWN_CONDITIONAL: Overall.UNKNOWN_CONDITIONAL,
  UNKNOWN_INFO: Overall.UNKNOWN_INFO,
};
const DENY: { readonly [state in DenyState]: DenyAccessState } = {
  DENIED: DenyAccessState.DENIED,
  NOT_DENIED: DenyAccessState.NOT_DENIED,
  UNKNOWN_INFO: DenyAccessState.UNKNOWN_INFO,
};
const MEMBERSHIPS: { readonly [membership in Membership]: MembershipMatchingState } = {
  included: MembershipMatchingState.MEMBERSHIP_MATCHED,
  notIncluded: MembershipMatchingState.MEMBERSHIP_NOT_MATCHED,
  unknown: MembershipMatchingState.MEMBERSHIP_UNKNOWN_INFO,
};

/** @param question as the request was understood */
export function answerV3(request: TroubleshootIamPolicyRequest, question: Question, shown: VisibleExplanation): MessageInitShape<typeof TroubleshootIamPolicyResponseSchema> {
  const { allow, deny, access, hidden, resources } = shown;
  const allowed = resources.flatMap(({ resource, allow: found }): MessageInitShape<typeof ExplainedAllowPolicySchema>[] =>
    found === undefined
      ? []
      : [
          {
            allowAccessState: ALLOW[found.state],
            fullResourceName: resource,
            bindingExplanations: found.bindings.map(explainBinding),
            relevance: found.bindings.some(isRelevant) ? HIGH : NORMAL,
            ...(found.policy === undefined ? {} : { policy: found.policy }),
          },
        ],
  );
  const denied = resources.flatMap(({ resource, deny: found }) => (found === undefined ? [] : [explainDenyResource(resource, found)]));
  return {
    overallAccessState: OVERALL[access],
    ...(request.accessTuple === undefined ? {} : { accessTuple: { ...request.accessTuple, permissionFqdn: permissionOfV2(question.permission) } }),
    allowPolicyExplanation: {
      allowAccessState: ALLOW[allow],
      // One for all that the caller may not read: how many there are says how deep the project lies, and whether it is there.
      explainedPolicies: [...allowed, ...(hidden.allow ? [{ allowAccessState: AllowAccessState.UNKNOWN_INFO }] : [])],
      relevance: deny === 'DENIED' ? NORMAL : HIGH,
    },
    denyPolicyExplanation: {
      denyAccessState: DENY[deny],
      explainedResources: [...denied, ...(hidden.deny ? [{ denyAccessState: DenyAccessState.UNKNOWN_INFO }] : [])],
      relevance: deny === 'NOT_DENIED' ? NORMAL : HIGH,
      // Deviation: every permission can be denied here; Google's deny policies support a list of them.
      permissionDeniable: true,
    },
  };
}

function isRelevant({ holdsPermission, membership }: VisibleBinding): boolean {
  return holdsPermission !== false && membership !== 'notIncluded';
}

function annotate(membership: Membership) {
  return { membership: MEMBERSHIPS[membership], relevance: membership === 'notIncluded' ? NORMAL : HIGH };
}

function annotateAll(memberships: ReadonlyMap<string, Membership>) {
  return Object.fromEntries([...memberships].map(([member, membership]) => [member, annotate(membership)]));
}

function explainBinding(shown: VisibleBinding): MessageInitShape<typeof AllowBindingExplanationSchema> {
  const { binding, holdsPermission, memberships, membership, condition, state } = shown;
  const { ROLE_PERMISSION_INCLUDED, ROLE_PERMISSION_NOT_INCLUDED, ROLE_PERMISSION_UNKNOWN_INFO } = RolePermissionInclusionState;
  const explained = explainCondition(condition);
  return {
    allowAccessState: ALLOW[state],
    role: binding.role,
    rolePermission: holdsPermission === undefined ? ROLE_PERMISSION_UNKNOWN_INFO : holdsPermission ? ROLE_PERMISSION_INCLUDED : ROLE_PERMISSION_NOT_INCLUDED,
    rolePermissionRelevance: holdsPermission === false ? NORMAL : HIGH,
    combinedMembership: annotate(membership),
    memberships: annotateAll(memberships),
    relevance: isRelevant(shown) ? HIGH : NORMAL,
    ...(binding.condition === undefined ? {} : { condition: binding.condition }),
    ...(explained === undefined ? {} : { conditionExplanation: explained }),
  };
}

function explainDenyResource(resource: string, found: NonNullable<VisibleExplanation['resources'][number]['deny']>): MessageInitShape<typeof ExplainedDenyResourceSchema> {
  return {
    denyAccessState: DENY[found.state],
    fullResourceName: resource,
    explainedPolicies: found.policies.map(({ policy, rules, state }) => ({
      denyAccessState: DENY[state],
      policy,
      ruleExplanations: rules.map(explainRule),
      relevance: state === 'NOT_DENIED' ? NORMAL : HIGH,
    })),
    relevance: found.state === 'NOT_DENIED' ? NORMAL : HIGH,
  };
}

function explainRule(shown: VisibleDenyRule): MessageInitShape<typeof DenyRuleExplanationSchema> {
  const { rule, deniedPermissions, exceptionPermissions, deniedPrincipals, exceptionPrincipals, condition, state } = shown;
  const explained = explainCondition(condition);
  return {
    denyAccessState: DENY[state],
    combinedDeniedPermission: annotatePermission([...deniedPermissions.values()].includes(true)),
    deniedPermissions: annotatePermissions(deniedPermissions),
    combinedExceptionPermission: annotatePermission([...exceptionPermissions.values()].includes(true)),
    exceptionPermissions: annotatePermissions(exceptionPermissions),
    combinedDeniedPrincipal: annotate(strongest(deniedPrincipals)),
    deniedPrincipals: annotateAll(deniedPrincipals),
    combinedExceptionPrincipal: annotate(strongest(exceptionPrincipals)),
    exceptionPrincipals: annotateAll(exceptionPrincipals),
    relevance: state === 'NOT_DENIED' ? NORMAL : HIGH,
    ...(rule.denialCondition === undefined ? {} : { condition: rule.denialCondition }),
    ...(explained === undefined ? {} : { conditionExplanation: explained }),
  };
}

function strongest(memberships: ReadonlyMap<string, Membership>): Membership {
  const all = [...memberships.values()];
  return (['included', 'unknown'] as const).find((one) => all.includes(one)) ?? 'notIncluded';
}

function annotatePermission(matches: boolean) {
  const { PERMISSION_PATTERN_MATCHED, PERMISSION_PATTERN_NOT_MATCHED } = PermissionPatternMatchingState;
  return { permissionMatchingState: matches ? PERMISSION_PATTERN_MATCHED : PERMISSION_PATTERN_NOT_MATCHED, relevance: matches ? HIGH : NORMAL };
}

function annotatePermissions(patterns: ReadonlyMap<string, boolean>) {
  return Object.fromEntries([...patterns].map(([pattern, matches]) => [pattern, annotatePermission(matches)]));
}
