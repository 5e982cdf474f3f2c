/**
 * Conditions of IAM: which attributes and functions they may use, checked when a policy is set and evaluated when a decision depends on them.
 * The general part, which other kinds of expressions share, is cel/program.ts; `dialects.ts` has those of custom constraints and of identity providers.
 *
 * Invariants: only a value that is `=== true` grants; a failure, or anything else, does not, and can be told.
 * Source: https://cloud.google.com/iam/docs/conditions-attribute-reference
 */
import type { Micros } from '../timestamp.ts';
import { type CelFunction, ENDS_WITH, EXTRACT, STARTS_WITH, TIME_FUNCTIONS } from './cel/function.ts';
import { type CelIssue, type CelProgram, type CelVariable, compileCel, type Dialect } from './cel/program.ts';
import { timestampFromMicros } from './cel/time.ts';
import { CelAbsent, CelFailure, type CelResult, type CelType, isList } from './cel/value.ts';
import type { Tag } from './tag.ts';

/** What tag functions look at. */
export interface TagContext {
  /** The tags in effect on the resource: its own, and those it inherits under other keys. */
  readonly tags: readonly Tag[];
}

/** What a condition is evaluated on. */
export interface ConditionContext extends TagContext {
  readonly time: Micros;
  /** Only what the resource offers: see `resourceAttributes`. */
  readonly resource: ResourceAttributes;
  /** Where somebody invokes something: the address that was called. */
  readonly request?: { readonly host: string; readonly path: string } | undefined;
  /** Where a policy is being set: the roles that the caller grants or revokes. */
  readonly modifiedGrantsByRole?: readonly string[] | undefined;
}

/** `resource.name`, `resource.type`, `resource.service`: each is missing where the service does not offer it. */
export interface ResourceAttributes {
  readonly name?: string;
  readonly type?: string;
  readonly service?: string;
}

const MODIFIED_GRANTS = 'iam.googleapis.com/modifiedGrantsByRole';

function attribute(type: CelType, name: string, read: (context: ConditionContext) => CelResult | undefined): CelVariable<ConditionContext> {
  const absent = new CelAbsent(`${name} is not offered by this resource or request`);
  return { type, read: (context) => read(context) ?? absent };
}

/** A function of tags, on one or two strings. */
function onTags(name: string, args: number, matches: (tag: Tag, key: string, value: string) => boolean): CelFunction<TagContext> {
  return {
    name: `resource.${name}`,
    args: Array.from({ length: args }, () => 'string'),
    result: 'bool',
    readsContext: true,
    call: ([key, value = ''], { tags }) => typeof key === 'string' && typeof value === 'string' && tags.some((tag) => matches(tag, key, value)),
  };
}

/** `resource.matchTag('111111111111/env', 'prod')`, `resource.matchTagId('tagKeys/1', 'tagValues/2')`. */
const TAG_FUNCTIONS: readonly CelFunction<TagContext>[] = [
  onTags('matchTag', 2, (tag, key, value) => tag.key === key && tag.value === value),
  onTags('matchTagId', 2, (tag, key, value) => tag.keyId === key && tag.valueId === value),
  onTags('hasTagKey', 1, (tag, key) => tag.key === key),
  onTags('hasTagKeyId', 1, (tag, key) => tag.keyId === key),
];

/** Google's limits leave room for lists of names in an expression; this bounds the work of its check. */
const MAX_LENGTH = 8192;
const MAX_LOGICAL_OPERATORS = 12;

const CONDITION: Dialect<ConditionContext> = {
  variables: {
    'request.time': { type: 'timestamp', read: ({ time }) => timestampFromMicros(time) },
    'request.host': attribute('string', 'request.host', ({ request }) => request?.host),
    'request.path': attribute('string', 'request.path', ({ request }) => request?.path),
    'resource.name': attribute('string', 'resource.name', ({ resource }) => resource.name),
    'resource.type': attribute('string', 'resource.type', ({ resource }) => resource.type),
    'resource.service': attribute('string', 'resource.service', ({ resource }) => resource.service),
    // Of Identity-Aware Proxy alone, which is not served: they may stand in a policy, and never grant.
    'request.auth.access_levels': attribute({ list: 'string' }, 'request.auth.access_levels', () => undefined),
    'destination.ip': attribute('string', 'destination.ip', () => undefined),
    'destination.port': attribute('int', 'destination.port', () => undefined),
  },
  functions: [
    ...TAG_FUNCTIONS,
    STARTS_WITH,
    ENDS_WITH,
    EXTRACT,
    ...TIME_FUNCTIONS,
    {
      name: 'api.getAttribute',
      args: ['string', 'dyn'],
      result: 'dyn',
      readsContext: true,
      call: ([name, otherwise = null], { modifiedGrantsByRole }) => (name === MODIFIED_GRANTS ? (modifiedGrantsByRole ?? otherwise) : otherwise),
    },
    {
      name: 'hasOnly',
      target: { list: 'string' },
      args: [{ list: 'string' }],
      result: 'bool',
      call: ([list = null, allowed = null]) => isList(list) && isList(allowed) && list.every((one) => allowed.includes(one)),
    },
  ],
  result: 'bool',
  maxLogicalOperators: MAX_LOGICAL_OPERATORS,
  macros: false,
  maxLength: MAX_LENGTH,
};

/** Denial conditions: tag functions only. Source: https://cloud.google.com/iam/docs/deny-overview#denial-conditions */
const DENIAL: Dialect<TagContext> = {
  variables: {},
  functions: TAG_FUNCTIONS,
  result: 'bool',
  operators: new Set(['_&&_', '_||_', '!_']),
  maxLogicalOperators: MAX_LOGICAL_OPERATORS,
  macros: false,
  maxLength: MAX_LENGTH,
};

export type Condition = CelProgram<ConditionContext>;
export type TagCondition = CelProgram<TagContext>;

/** @returns the condition of an allow policy's binding, or what is wrong with it */
export function compileCondition(expression: string): Condition | CelIssue {
  return compileCel(expression, CONDITION);
}

/** @returns the `denialCondition` of a deny rule, or what is wrong with it */
export function compileDenialCondition(expression: string): TagCondition | CelIssue {
  return compileCel(expression, DENIAL);
}

/** Whether a condition holds: true, or why not (false: it came to false). */
export function conditionHolds<C>(condition: CelProgram<C>, context: C): boolean | CelFailure {
  const result = condition.evaluate(context);
  return result === true || result instanceof CelFailure ? result : false;
}
