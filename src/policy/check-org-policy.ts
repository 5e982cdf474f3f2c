/** The rules of an organization policy that is about to be set. Source: google/cloud/orgpolicy/v2/orgpolicy.proto */
import { type ApiError, invalidArgument } from '../errors.ts';
import type { Policy, PolicySpec, PolicySpec_PolicyRule } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { type ConstraintDefinition, isManagedConstraint } from './constraint-catalogue.ts';
import { parseTagCondition, TagConditionError } from './org-policy-tags.ts';
import { parseValue } from './org-policy-values.ts';

/** Source: https://docs.cloud.google.com/organization-policy/create-custom-constraints and .../quotas */
const MAX_RULES = 10;
const MAX_VALUES = 500;
const MAX_VALUE_LENGTH = 2048;

/** What is known of the constraint: custom ones are boolean and have no parameters. */
export type CheckedConstraint = Pick<ConstraintDefinition, 'id' | 'kind' | 'supportsIn' | 'supportsUnder' | 'parameters'>;

/** @throws INVALID_ARGUMENT that names the field, what stands there, and what to write */
export function checkOrgPolicy(policy: Policy, constraint: CheckedConstraint): void {
  if (policy.alternate !== undefined) throw invalidArgument('policy.alternate', 'is not offered any more. Use policy.dry_run_spec.');
  if (policy.spec === undefined && policy.dryRunSpec === undefined)
    throw invalidArgument('policy', 'says nothing. Set policy.spec, policy.dry_run_spec or both; to remove a policy, delete it.');
  if (policy.spec !== undefined) checkSpec(policy.spec, constraint, 'policy.spec');
  if (policy.dryRunSpec !== undefined) checkSpec(policy.dryRunSpec, constraint, 'policy.dry_run_spec');
}

function checkSpec(spec: PolicySpec, constraint: CheckedConstraint, at: string): void {
  const { rules, reset, inheritFromParent } = spec;
  if (reset) {
    if (rules.length > 0) throw invalidArgument(`${at}.rules`, 'must be empty where reset is true: the default of the constraint takes the place of all rules.');
    if (inheritFromParent) throw invalidArgument(`${at}.inherit_from_parent`, 'must be false where reset is true.');
    return;
  }
  if (rules.length > MAX_RULES) throw invalidArgument(`${at}.rules`, `has ${rules.length} rules, and may have at most ${MAX_RULES}.`);
  for (const [i, rule] of rules.entries()) checkCondition(rule, `${at}.rules[${i}]`);
  if (constraint.kind === 'boolean') checkBoolean(spec, constraint, at);
  else checkList(spec, constraint, at);
}

function checkCondition({ condition }: PolicySpec_PolicyRule, at: string): void {
  if (condition === undefined) return;
  try {
    parseTagCondition(condition.expression);
  } catch (error) {
    if (error instanceof TagConditionError) throw invalidArgument(`${at}.condition.expression`, `is not valid. ${error.message}`);
    throw error;
  }
}

function checkBoolean({ rules, inheritFromParent }: PolicySpec, constraint: CheckedConstraint, at: string): void {
  const name = `constraints/${constraint.id}`;
  if (inheritFromParent) throw invalidArgument(`${at}.inherit_from_parent`, `can be true only for list constraints, and ${name} is a boolean one.`);
  const enforce = rules.map((rule, i) => {
    if (rule.kind.case !== 'enforce') throw invalidArgument(`${at}.rules[${i}]`, `must set enforce to true or false: ${name} is a boolean constraint.`);
    checkParameters(rule, constraint, `${at}.rules[${i}].parameters`);
    return { value: rule.kind.value, isConditional: rule.condition !== undefined };
  });
  const plain = enforce.filter(({ isConditional }) => !isConditional);
  if (plain.length !== 1) throw invalidArgument(`${at}.rules`, `must have exactly one rule without a condition, but ${plain.length} have none. ${name} is a boolean constraint.`);
  const same = enforce.findIndex(({ value, isConditional }) => isConditional && value === plain[0]?.value);
  if (same >= 0) throw invalidArgument(`${at}.rules[${same}].enforce`, `must be ${plain[0]?.value !== true}: a rule with a condition says the opposite of the rule without one.`);
}

function checkParameters(rule: PolicySpec_PolicyRule, constraint: CheckedConstraint, at: string): void {
  const given = rule.parameters ?? {};
  if (!isManagedConstraint(constraint.id)) {
    if (rule.parameters !== undefined) throw invalidArgument(at, `can be set only for managed constraints, and constraints/${constraint.id} is none.`);
    return;
  }
  const known = Object.keys(constraint.parameters);
  for (const [name, value] of Object.entries(given)) {
    const parameter = Object.hasOwn(constraint.parameters, name) ? constraint.parameters[name] : undefined;
    if (parameter === undefined)
      throw invalidArgument(`${at}.${name}`, `is no parameter of constraints/${constraint.id}, which has ${known.length === 0 ? 'none' : known.join(' and ')}.`);
    const fits = parameter.type === 'boolean' ? typeof value === 'boolean' : Array.isArray(value) && value.every((one) => typeof one === 'string');
    if (!fits) throw invalidArgument(`${at}.${name}`, `must be ${parameter.type === 'boolean' ? 'true or false' : 'a list of strings'}.`);
  }
  if (rule.kind.case === 'enforce' && rule.kind.value && known.length > 0 && Object.keys(given).length === 0)
    throw invalidArgument(at, `must be set where constraints/${constraint.id} is enforced. Its parameters: ${known.join(', ')}.`);
}

function checkList({ rules, inheritFromParent }: PolicySpec, constraint: CheckedConstraint, at: string): void {
  if (rules.length === 0 && !inheritFromParent) throw invalidArgument(`${at}.rules`, 'must have at least one rule, unless reset or inherit_from_parent is true.');
  let count = 0;
  for (const [i, rule] of rules.entries()) {
    const place = `${at}.rules[${i}]`;
    if (rule.parameters !== undefined) throw invalidArgument(`${place}.parameters`, `can be set only for managed constraints, and constraints/${constraint.id} is none.`);
    const { kind } = rule;
    if (kind.case === 'allowAll' || kind.case === 'denyAll') {
      if (!kind.value) throw invalidArgument(`${place}.${kind.case === 'allowAll' ? 'allow_all' : 'deny_all'}`, 'must be true, or left out.');
      continue;
    }
    if (kind.case !== 'values') throw invalidArgument(place, `must set values, allow_all or deny_all: constraints/${constraint.id} is a list constraint.`);
    const values = [...kind.value.allowedValues, ...kind.value.deniedValues];
    if (values.length === 0) throw invalidArgument(`${place}.values`, 'must name at least one value in allowed_values or denied_values.');
    for (const value of values) checkValue(value, constraint, `${place}.values`);
    count += values.length;
  }
  if (count > MAX_VALUES) throw invalidArgument(`${at}.rules`, `name ${count} values, and may name at most ${MAX_VALUES}.`);
}

function checkValue(value: string, constraint: CheckedConstraint, at: string): void {
  const refuse = (description: string): ApiError => invalidArgument(at, `${JSON.stringify(value.slice(0, 200))} ${description}`);
  const { kind, text } = parseValue(value);
  if (text === '') throw refuse('is empty.');
  if (value.length > MAX_VALUE_LENGTH) throw refuse(`has ${value.length} characters, and may have at most ${MAX_VALUE_LENGTH}.`);
  if (kind === 'in' && !constraint.supportsIn) throw refuse(`is a value group, which constraints/${constraint.id} does not take. Name the values themselves.`);
  if (kind !== 'under') return;
  if (!constraint.supportsUnder) throw refuse(`is a subtree, which constraints/${constraint.id} does not take. Name the values themselves.`);
  if (!/^(?:projects\/[a-z0-9.:-]+|folders\/\d+|organizations\/\d+)$/.test(text)) throw refuse('must be under:projects/ID, under:folders/NUMBER or under:organizations/NUMBER.');
}
