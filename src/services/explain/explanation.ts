/** An explanation as the API says it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import {
  type AccessChangeSchema,
  type AccessExplanationSchema,
  AccessState,
  type ConditionResultSchema,
  DenyState,
  type ExplainedResourceSchema,
  MemberState,
  RoleState,
} from '../../gen/actas/v1/explain_pb.js';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { ConditionExplanation, Explanation } from '../../policy/explanation.ts';
import { remedyFor } from '../../policy/remedy.ts';
import type { AllowState, Membership, VisibleExplanation, VisibleResource } from '../visible-explanation.ts';

export const ACCESS: { readonly [state in AllowState]: AccessState } = {
  GRANTED: AccessState.GRANTED,
  NOT_GRANTED: AccessState.NOT_GRANTED,
  UNKNOWN_CONDITIONAL: AccessState.UNKNOWN_CONDITIONAL,
  UNKNOWN_INFO: AccessState.UNKNOWN_INFO,
};
const MEMBERS: { readonly [membership in Membership]: MemberState } = {
  included: MemberState.INCLUDED,
  notIncluded: MemberState.NOT_INCLUDED,
  unknown: MemberState.MEMBER_UNKNOWN,
};
const DENIALS = { DENIED: DenyState.DENIED, NOT_DENIED: DenyState.NOT_DENIED, UNKNOWN_INFO: DenyState.DENY_UNKNOWN } as const;

/** @param about.isCaller whether the caller asks about itself: what it gets is no more than a try would tell it */
export function toExplanation(
  explanation: Explanation,
  shown: VisibleExplanation,
  about: { readonly isCaller: boolean; readonly catalogue: RoleCatalogue },
): MessageInitShape<typeof AccessExplanationSchema> {
  const { question, decision } = explanation;
  const isOwn = about.isCaller && shown.access === 'UNKNOWN_INFO';
  const access = isOwn ? (decision.allowed ? 'GRANTED' : 'NOT_GRANTED') : shown.access;
  return {
    principal: question.member,
    permission: question.permission,
    fullResourceName: question.resource,
    access: ACCESS[access],
    resources: shown.resources.map(toResource),
    allowPoliciesHidden: shown.hidden.allow,
    denyPoliciesHidden: shown.hidden.deny,
    groups: shown.groups.map(({ member, path }) => ({ group: member, path: [...path] })),
    changes: access === 'GRANTED' ? [] : changesFor(explanation, shown, about.catalogue),
  };
}

/** All of them where the caller sees everything that they rest on, otherwise what a denial would say: computed from the question alone. */
function changesFor({ question, changes }: Explanation, shown: VisibleExplanation, catalogue: RoleCatalogue): MessageInitShape<typeof AccessChangeSchema>[] {
  const sees = !shown.hidden.allow && !shown.hidden.deny && shown.access !== 'UNKNOWN_INFO' && shown.resources.every(isWholly);
  if (sees) return changes.map((change) => ({ ...change }));
  if (shown.deny === 'DENIED') return [];
  const { sentence, command } = remedyFor(question, catalogue);
  const role = /--role=(?<role>[\w./]+)/.exec(command)?.groups?.['role'];
  return [{ kind: 'addBinding', sentence, command, gives: Math.max(0, (role === undefined ? 1 : (catalogue.role(role)?.permissions.size ?? 1)) - 1) }];
}

/** Whether nothing of it is unknown to the caller: a group that may not be read would show in the changes. */
function isWholly({ allow, deny }: VisibleResource): boolean {
  return allow?.state !== 'UNKNOWN_INFO' && deny?.state !== 'UNKNOWN_INFO' && (allow?.bindings ?? []).every(({ memberships }) => ![...memberships.values()].includes('unknown'));
}

function toResource({ resource, allow, deny }: VisibleResource): MessageInitShape<typeof ExplainedResourceSchema> {
  const takesDenials = /^\/\/cloudresourcemanager\.googleapis\.com\/(?:projects|folders|organizations)\//.test(resource);
  return {
    fullResourceName: resource,
    allowPolicyHidden: allow === undefined,
    denyPoliciesHidden: takesDenials && deny === undefined,
    bindings: (allow?.bindings ?? [])
      .filter(({ holdsPermission, membership }) => holdsPermission !== false || membership !== 'notIncluded')
      .map(({ binding, holdsPermission, membership, path, condition, state }) => ({
        role: binding.role,
        members: binding.members,
        roleState: holdsPermission === undefined ? RoleState.ROLE_UNKNOWN : holdsPermission ? RoleState.HOLDS : RoleState.DOES_NOT_HOLD,
        membership: MEMBERS[membership],
        path: [...path],
        access: ACCESS[state],
        ...(binding.condition === undefined ? {} : { condition: binding.condition }),
        ...toCondition(condition),
      })),
    denyRules: (deny?.policies ?? []).flatMap(({ policy, rules }) =>
      rules
        .map((each, rule) => ({ ...each, place: rule, names: [...each.deniedPermissions.values()].includes(true) && ![...each.exceptionPermissions.values()].includes(true) }))
        .filter(({ names, deniedPrincipals }) => names || [...deniedPrincipals.values()].includes('included'))
        .map(({ rule, place, names, description, deniedPrincipals, exceptionPrincipals, condition, state }) => ({
          policy: policy.name,
          rule: place,
          description,
          namesPermission: names,
          denied: MEMBERS[strongest(deniedPrincipals)],
          excepted: MEMBERS[strongest(exceptionPrincipals)],
          state: DENIALS[state],
          ...(rule.denialCondition === undefined ? {} : { condition: rule.denialCondition }),
          ...toCondition(condition),
        })),
    ),
  };
}

function strongest(memberships: ReadonlyMap<string, Membership>): Membership {
  const all = [...memberships.values()];
  return (['included', 'unknown'] as const).find((one) => all.includes(one)) ?? 'notIncluded';
}

export function toCondition(condition: ConditionExplanation | undefined): { conditionResult?: MessageInitShape<typeof ConditionResultSchema> } {
  if (condition === undefined) return {};
  const { result, reason = '', clauses } = condition;
  return { conditionResult: { result, reason, clauses: clauses.map((clause) => ({ ...clause })) } };
}
