/** Expressions beside IAM's conditions: of custom constraints (on a resource's fields), and of workload identity providers (on a token's claims). */
import { CONTAINS, ENDS_WITH, STANDARD_FUNCTIONS, STARTS_WITH, STRING_FUNCTIONS, TIME_FUNCTIONS } from './cel/function.ts';
import { MATCHES } from './cel/matches.ts';
import { type CelIssue, type CelProgram, compileCel, type Dialect } from './cel/program.ts';
import type { CelMap } from './cel/value.ts';

/** What a custom constraint is evaluated on: the resource as JSON, in the API's spelling. Fields that have no value are missing, so `has` tells. */
export interface ConstraintContext {
  readonly resource: CelMap;
}

/** "Max length of the condition is 1000 characters." Source: google/cloud/orgpolicy/v2/constraint.proto */
const CONSTRAINT: Dialect<ConstraintContext> = {
  variables: { resource: { type: { map: 'dyn' }, read: ({ resource }) => resource } },
  functions: [STARTS_WITH, ENDS_WITH, CONTAINS, MATCHES, ...STANDARD_FUNCTIONS, ...TIME_FUNCTIONS],
  result: 'bool',
  maxLogicalOperators: 100,
  macros: true,
  maxLength: 1000,
};

/** @returns the condition of a custom constraint, or what is wrong with it */
export function compileConstraint(expression: string): CelProgram<ConstraintContext> | CelIssue {
  return compileCel(expression, CONSTRAINT);
}

/** What a provider's expressions are evaluated on. `google` and `attribute` are what the mapping made, for the attribute condition. */
export interface AssertionContext {
  /** The token's claims. */
  readonly assertion: CelMap;
  readonly google?: CelMap;
  readonly attribute?: CelMap;
}

/** "The maximum length of an attribute mapping expression is 2048 characters"; of the condition 4096. Source: google/iam/admin/v1 WorkloadIdentityPoolProvider */
function assertionDialect(result: Dialect<AssertionContext>['result'], maxLength: number, mapped: boolean): Dialect<AssertionContext> {
  return {
    variables: {
      assertion: { type: { map: 'dyn' }, read: ({ assertion }) => assertion },
      ...(mapped ? { google: { type: { map: 'dyn' }, read: ({ google = {} }) => google }, attribute: { type: { map: 'dyn' }, read: ({ attribute = {} }) => attribute } } : {}),
    },
    functions: [...STRING_FUNCTIONS, MATCHES, ...STANDARD_FUNCTIONS, ...TIME_FUNCTIONS],
    result,
    maxLogicalOperators: 100,
    macros: true,
    maxLength,
  };
}
const MAPPING = assertionDialect('string', 2048, false);
const GROUPS_MAPPING = assertionDialect({ list: 'string' }, 2048, false);
const ATTRIBUTE_CONDITION = assertionDialect('bool', 4096, true);

/** @param target `google.subject`, `google.groups` (the one that is a list), `attribute.x` @returns the expression of an attribute mapping, or what is wrong with it */
export function compileMapping(target: string, expression: string): CelProgram<AssertionContext> | CelIssue {
  return compileCel(expression, target === 'google.groups' ? GROUPS_MAPPING : MAPPING);
}

/** @returns the attribute condition of a provider, or what is wrong with it */
export function compileAttributeCondition(expression: string): CelProgram<AssertionContext> | CelIssue {
  return compileCel(expression, ATTRIBUTE_CONDITION);
}
