/** The decision engine on a state: an answer with its explanation, in the form of `actas.v1.AccessExplanation`, to somebody who may read everything. */
import { createAuthorizer, type ExplainingAuthorizer } from '../policy/authorizer.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import type { Question } from '../policy/decision.ts';
import type { BindingExplanation, DenyRuleExplanation, Explanation } from '../policy/explanation.ts';
import type { Tag } from '../policy/tag.ts';
import { type PolicyState, sourceOf } from './state.ts';

/** Its fields are those of `actas.v1.AccessExplanation`. */
export interface StateAnswer {
  readonly access: string;
  readonly [field: string]: unknown;
}

export interface StateQuestion extends Omit<Question, 'time'> {
  /** RFC 3339; now where absent. */
  readonly time?: string | undefined;
  readonly tags?: readonly { readonly key: string; readonly value: string; readonly keyId?: string | undefined; readonly valueId?: string | undefined }[] | undefined;
}

/** @returns what explains an answer; made once for a state */
export function explainer(state: PolicyState): (question: StateQuestion) => Promise<StateAnswer> {
  const catalogue = loadCatalogue();
  const authorizers = new Map<string, ExplainingAuthorizer>();
  return async ({ time, tags = [], ...question }) => {
    const key = JSON.stringify(tags);
    const authorizer = authorizers.get(key) ?? createAuthorizer({ source: sourceOf(state, tags.map(toTag)), catalogue });
    authorizers.set(key, authorizer);
    return toJson(await authorizer.explain({ ...question, ...(time === undefined ? {} : { time: Date.parse(time) * 1000 }) }));
  };
}

function toTag({ key, value, keyId = '', valueId = '' }: NonNullable<StateQuestion['tags']>[number]): Tag {
  return { key, value, keyId: keyId === '' ? `tagKeys/${key}` : keyId, valueId: valueId === '' ? `tagValues/${key}/${value}` : valueId };
}

function toJson({ question, decision, outcome, resources, changes }: Explanation): StateAnswer {
  return {
    principal: question.member,
    permission: question.permission,
    fullResourceName: question.resource,
    access: outcome === 'unreachable' ? 'UNKNOWN_INFO' : decision.allowed ? 'GRANTED' : 'NOT_GRANTED',
    resources: resources.map(({ resource, bindings, denyRules }) => ({ fullResourceName: resource, bindings: bindings.map(bindingJson), denyRules: denyRules.map(ruleJson) })),
    changes,
  };
}

function bindingJson({ role, members, holdsPermission, match, condition, grants }: BindingExplanation): object {
  return {
    role,
    members,
    roleState: holdsPermission === undefined ? 'ROLE_UNKNOWN' : holdsPermission ? 'HOLDS' : 'DOES_NOT_HOLD',
    membership: match === undefined ? 'NOT_INCLUDED' : 'INCLUDED',
    path: match?.path ?? [],
    access: grants ? 'GRANTED' : 'NOT_GRANTED',
    ...(condition === undefined ? {} : { condition: { title: condition.title, expression: condition.expression }, conditionResult: condition }),
  };
}

function ruleJson({ policy, rule, description, namesPermission, match, exception, condition, denies }: DenyRuleExplanation): object {
  return {
    policy,
    rule,
    description,
    namesPermission,
    denied: match === undefined ? 'NOT_INCLUDED' : 'INCLUDED',
    excepted: exception === undefined ? 'NOT_INCLUDED' : 'INCLUDED',
    state: denies ? 'DENIED' : 'NOT_DENIED',
    ...(condition === undefined ? {} : { condition: { title: condition.title }, conditionResult: condition }),
  };
}
