/** Policies as decisions read them: members as numbers, roles as bit sets, conditions as closures. Made once per change of the policy. */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { Policy as DenyPolicy } from '../gen/google/iam/v2/policy_pb.js';
import type { Expr } from '../gen/google/type/expr_pb.js';
import { CelIssue } from './cel/program.ts';
import { CelFailure } from './cel/value.ts';
import { type Condition, type ConditionContext, compileCondition, compileDenialCondition, conditionHolds, type TagCondition } from './condition.ts';
import type { Decision } from './decision.ts';
import { denialForms, memberOfPrincipal, PermissionPatterns } from './deny-rule.ts';
import { normalMember } from './member.ts';
import { MemberIndex, type MemberNumbers } from './member-index.ts';
import { type CompiledRole, MAX_PERMISSION } from './role-set.ts';

export interface CompiledBinding {
  readonly role: CompiledRole;
  /** As they are written. */
  readonly members: readonly string[];
  /** A CelIssue where the expression cannot be used: such a condition never holds. */
  readonly condition: Condition | CelIssue | undefined;
  readonly expr: Expr | undefined;
}

/** One member of one binding. */
export interface AllowEntry {
  readonly binding: CompiledBinding;
  /** As it is written. */
  readonly member: string;
  /** What is answered where it grants, made when it first does. */
  granted: Decision | undefined;
}

export interface CompiledAllow {
  /** Tells it from every other policy that was compiled. */
  readonly stamp: number;
  /** As it was read. */
  readonly policy: Policy;
  readonly bindings: readonly CompiledBinding[];
  readonly entries: readonly AllowEntry[];
  /** Beside each entry the number of its member, and of its role. */
  readonly members: Int32Array;
  readonly roles: Int32Array;
  /** A bit for each role number that is among `roles`. */
  readonly named: Int32Array;
  /** Of entries, each labelled with the number of its role. */
  readonly index: MemberIndex;
}

export interface CompiledDenyRule {
  /** `policies/.../denypolicies/ID`, and the rule's place in it. */
  readonly policy: string;
  readonly rule: number;
  readonly description: string;
  readonly deniedPrincipals: readonly string[];
  readonly exceptionPrincipals: readonly string[];
  /** Numbers of the members that are denied, and of those that are excepted. */
  readonly principals: ReadonlySet<number>;
  readonly exceptions: ReadonlySet<number>;
  readonly denied: PermissionPatterns;
  readonly exceptionPermissions: PermissionPatterns;
  readonly condition: TagCondition | CelIssue | undefined;
  readonly expr: Expr | undefined;
  /** What is answered where it denies. */
  readonly denial: Decision;
}

/** The deny policies of one resource. */
export interface AttachedDeny {
  /** As they were read. */
  readonly policies: readonly DenyPolicy[];
  readonly rules: readonly CompiledDenyRule[];
}

/** The deny rules of a resource's project and of all that is above it: they only change together, so one look tells which concern a permission. */
export class CompiledDeny {
  readonly rules: readonly CompiledDenyRule[];
  /** By permission, for there are few rules and each concerns few permissions. */
  #concerning = new Map<string, readonly CompiledDenyRule[]>();

  constructor(rules: readonly CompiledDenyRule[]) {
    this.rules = rules;
  }

  /** The rules that deny a permission to somebody. */
  concerning(permission: string): readonly CompiledDenyRule[] {
    const known = this.#concerning.get(permission);
    if (known !== undefined) return known;
    if (this.#concerning.size >= MAX_PERMISSIONS) this.#concerning = new Map();
    const forms = denialForms(permission);
    const rules = this.rules.filter((rule) => rule.denied.has(forms) && !rule.exceptionPermissions.has(forms));
    if (permission.length <= MAX_PERMISSION) this.#concerning.set(permission, rules.length === 0 ? NO_RULES : rules);
    return rules;
  }
}
const NO_RULES: readonly never[] = [];
/** About as many as there are; whoever asks for others has them looked at anew. */
const MAX_PERMISSIONS = 10_000;

/** Conditions are parsed once, however often the policies that hold them change. */
const MAX_EXPRESSIONS = 10_000;

export class Compiler {
  readonly #numbers: MemberNumbers;
  #conditions = new Map<string, Condition | CelIssue>();
  #stamps = 0;

  constructor(numbers: MemberNumbers) {
    this.#numbers = numbers;
  }

  #condition(expression: string): Condition | CelIssue {
    const known = this.#conditions.get(expression);
    if (known !== undefined) return known;
    if (this.#conditions.size >= MAX_EXPRESSIONS) this.#conditions = new Map();
    const condition = compileCondition(expression);
    this.#conditions.set(expression, condition);
    return condition;
  }

  /** @param roles every role that the policy names */
  allow(policy: Policy, roles: ReadonlyMap<string, CompiledRole>): CompiledAllow | undefined {
    if (policy.bindings.length === 0) return undefined;
    const bindings: CompiledBinding[] = [];
    const entries: AllowEntry[] = [];
    const members: number[] = [];
    const labels: number[] = [];
    for (const binding of policy.bindings) {
      const role = roles.get(binding.role);
      if (role === undefined) throw new Error(`${binding.role} was not loaded`);
      const { condition: expr } = binding;
      const compiled = { role, members: binding.members, condition: expr === undefined ? undefined : this.#condition(expr.expression), expr };
      bindings.push(compiled);
      for (const member of binding.members) {
        members.push(this.#numbers.number(normalMember(member)));
        labels.push(role.number);
        entries.push({ binding: compiled, member, granted: undefined });
      }
    }
    this.#stamps += 1;
    return {
      stamp: this.#stamps,
      policy,
      bindings,
      entries,
      members: Int32Array.from(members),
      roles: Int32Array.from(labels),
      named: roleBits(labels),
      index: new MemberIndex(members, labels),
    };
  }

  /** @param resource that the policies are attached to */
  deny(policies: readonly DenyPolicy[], resource: string): AttachedDeny {
    const rules: CompiledDenyRule[] = [];
    for (const policy of policies) {
      policy.rules.forEach(({ kind, description }, rule) => {
        if (kind.case !== 'denyRule') return;
        const { deniedPrincipals, exceptionPrincipals, deniedPermissions, exceptionPermissions, denialCondition } = kind.value;
        rules.push({
          policy: policy.name,
          rule,
          description,
          deniedPrincipals,
          exceptionPrincipals,
          principals: this.#principals(deniedPrincipals, false),
          exceptions: this.#principals(exceptionPrincipals, true),
          denied: new PermissionPatterns(deniedPermissions),
          exceptionPermissions: new PermissionPatterns(exceptionPermissions),
          condition: denialCondition === undefined || denialCondition.expression.trim() === '' ? undefined : compileDenialCondition(denialCondition.expression),
          expr: denialCondition,
          denial: Object.freeze({ allowed: false, unevaluatedRoles: NO_RULES, deniedBy: Object.freeze({ policy: policy.name, rule, resource }) }),
        });
      });
    }
    return { rules, policies };
  }

  #principals(principals: readonly string[], areExceptions: boolean): ReadonlySet<number> {
    const members = principals.map((principal) => memberOfPrincipal(principal, areExceptions)).filter((member) => member !== undefined);
    return new Set(members.map((member) => this.#numbers.number(member)));
  }
}

function roleBits(roles: readonly number[]): Int32Array {
  const bits = new Int32Array((roles.reduce((most, role) => Math.max(most, role), 0) >>> 5) + 1);
  for (const role of roles) bits[role >>> 5] = (bits[role >>> 5] ?? 0) | (1 << (role & 31));
  return bits;
}

/** Whether a binding's condition holds: true where it has none, and otherwise false or why it could not be evaluated. */
export function bindingHolds(binding: CompiledBinding, context: ConditionContext): boolean | CelFailure {
  const { condition } = binding;
  if (condition === undefined) return true;
  return condition instanceof CelIssue ? new CelFailure(condition.message) : conditionHolds(condition, context);
}

/**
 * Whether a deny rule's condition lets it apply. One that cannot be evaluated does: a denial that fails open would be none.
 * Source: https://cloud.google.com/iam/docs/deny-overview#denial-conditions ("evaluates to true, or cannot be evaluated")
 */
export function denialApplies(rule: CompiledDenyRule, context: ConditionContext): true | false | CelFailure {
  const { condition } = rule;
  if (condition === undefined) return true;
  return condition instanceof CelIssue ? new CelFailure(condition.message) : conditionHolds(condition, context);
}
