/** The answers of v1, and of v2alpha1, which is v1 with conditions evaluated. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { TroubleshootIamPolicyResponseSchema } from '../../gen/google/cloud/policytroubleshooter/v1/checker_pb.js';
import {
  AccessState,
  type BindingExplanation_AnnotatedMembershipSchema,
  HeuristicRelevance,
  BindingExplanation_Membership as Membership,
  BindingExplanation_RolePermission as RolePermission,
} from '../../gen/google/cloud/policytroubleshooter/v1/explanations_pb.js';
import type { TroubleshootIamPolicyResponseSchema as AlphaResponseSchema } from '../../gen/google/cloud/policytroubleshooter/v2alpha1/troubleshooter_pb.js';
import type { AllowState, VisibleBinding, VisibleExplanation } from '../visible-explanation.ts';
import { explainCondition } from './condition.ts';

const { HIGH, NORMAL } = HeuristicRelevance;
const STATES: { readonly [state in AllowState]: AccessState } = {
  GRANTED: AccessState.GRANTED,
  NOT_GRANTED: AccessState.NOT_GRANTED,
  UNKNOWN_CONDITIONAL: AccessState.UNKNOWN_CONDITIONAL,
  UNKNOWN_INFO: AccessState.UNKNOWN_INFO_DENIED,
};
const MEMBERSHIPS = { included: Membership.INCLUDED, notIncluded: Membership.NOT_INCLUDED, unknown: Membership.UNKNOWN_INFO_DENIED } as const;

/** v1 evaluates no conditions: a binding that has one grants "only if" it is true. */
export function answerV1(shown: VisibleExplanation): MessageInitShape<typeof TroubleshootIamPolicyResponseSchema> {
  const unevaluated: VisibleExplanation = {
    ...shown,
    resources: shown.resources.map((each) => {
      if (each.allow === undefined) return each;
      const bindings = each.allow.bindings.map(withoutEvaluation);
      return { ...each, allow: { ...each.allow, bindings, state: strongest(bindings.map(({ state }) => state)) } };
    }),
  };
  const states = unevaluated.resources.flatMap((each) => each.allow?.state ?? []);
  const allow = strongest([...states, ...(shown.hidden.allow ? ['UNKNOWN_INFO' as const] : [])]);
  return answer(
    { ...unevaluated, allow, access: shown.deny === 'DENIED' || allow === 'NOT_GRANTED' ? 'NOT_GRANTED' : shown.deny === 'UNKNOWN_INFO' ? 'UNKNOWN_INFO' : allow },
    false,
  );
}

export function answerV2Alpha(shown: VisibleExplanation): MessageInitShape<typeof AlphaResponseSchema> {
  return answer(shown, true);
}

function strongest(states: readonly AllowState[]): AllowState {
  return (['GRANTED', 'UNKNOWN_INFO', 'UNKNOWN_CONDITIONAL'] as const).find((state) => states.includes(state)) ?? 'NOT_GRANTED';
}

function withoutEvaluation(binding: VisibleBinding): VisibleBinding {
  const { holdsPermission, membership } = binding;
  if (binding.binding.condition === undefined || holdsPermission === false || membership === 'notIncluded') return binding;
  return { ...binding, state: holdsPermission === undefined || membership === 'unknown' ? 'UNKNOWN_INFO' : 'UNKNOWN_CONDITIONAL' };
}

/**
 * Deviation: both versions answer NOT_GRANTED where a deny policy denies it, though they show no deny policies. Google's v1 looks at allow policies alone.
 * @param evaluated whether conditions are shown with what they came to
 */
function answer(shown: VisibleExplanation, evaluated: boolean): MessageInitShape<typeof AlphaResponseSchema> & MessageInitShape<typeof TroubleshootIamPolicyResponseSchema> {
  const policies = shown.resources.flatMap(({ resource, allow }) => {
    if (allow === undefined) return [];
    const { policy, bindings, state } = allow;
    const isHigh = bindings.some(isRelevant);
    return [
      {
        access: STATES[state],
        fullResourceName: resource,
        ...(policy === undefined ? {} : { policy }),
        bindingExplanations: bindings.map((binding) => explainBinding(binding, evaluated)),
        relevance: isHigh ? HIGH : NORMAL,
      },
    ];
  });
  return {
    access: STATES[shown.access],
    // One for all that the caller may not read: how many there are says how deep the project lies, and whether it is there.
    explainedPolicies: [...policies, ...(shown.hidden.allow ? [{ access: AccessState.UNKNOWN_INFO_DENIED }] : [])],
  };
}

function isRelevant({ holdsPermission, membership }: VisibleBinding): boolean {
  return holdsPermission !== false && membership !== 'notIncluded';
}

function explainBinding(shown: VisibleBinding, evaluated: boolean) {
  const { binding, holdsPermission, memberships, condition, state } = shown;
  const rolePermission = holdsPermission === undefined ? RolePermission.UNKNOWN_INFO_DENIED : holdsPermission ? RolePermission.INCLUDED : RolePermission.NOT_INCLUDED;
  const annotated: Record<string, MessageInitShape<typeof BindingExplanation_AnnotatedMembershipSchema>> = {};
  for (const [member, membership] of memberships) annotated[member] = { membership: MEMBERSHIPS[membership], relevance: membership === 'notIncluded' ? NORMAL : HIGH };
  const explained = evaluated ? explainCondition(condition) : undefined;
  return {
    access: STATES[state],
    role: binding.role,
    rolePermission,
    rolePermissionRelevance: holdsPermission === false ? NORMAL : HIGH,
    memberships: annotated,
    relevance: isRelevant(shown) ? HIGH : NORMAL,
    ...(binding.condition === undefined ? {} : { condition: binding.condition }),
    ...(explained === undefined ? {} : { conditionExplanation: explained }),
  };
}
