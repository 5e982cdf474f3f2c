/**
 * Who may do what: the decision engine. A permission is denied if a deny rule on the resource's project, folders or organization denies it to the caller; otherwise
 * it is granted if an allow policy on the resource or on anything above it binds a role that holds it to the caller, under a condition that is true.
 * Invariants: a chain that cannot be walked to its end denies; a condition that fails never allows, and never lifts a denial; what could not be evaluated is
 * named, never counted as either answer. What a decision needs is cached, and then the answer is synchronous; decisions themselves are not.
 * It must not know stores, calls or wordings.
 */
import type { Micros } from '../timestamp.ts';
import { type Caller, numbersOf, readCaller } from './caller.ts';
import type { RoleCatalogue } from './catalogue.ts';
import { CelFailure } from './cel/value.ts';
import { bindingHolds, Compiler, denialApplies } from './compiled-policy.ts';
import type { ConditionContext } from './condition.ts';
import { denialForms } from './deny-rule.ts';
import { normalMember } from './member.ts';
import { MemberNumbers } from './member-index.ts';
import { type Chain, PolicyGraph } from './policy-graph.ts';
import { createRoleSet, type RoleSet, roleHolds } from './role-set.ts';
import type { PolicySource } from './source.ts';

export interface Question {
  /** Policy member: `user:alice@example.com`, `serviceAccount:x@p.iam.gserviceaccount.com`, `principal://...`, `group:...`, `allUsers`. */
  readonly member: string;
  /** Further members that name a federated caller: `principalSet://.../attribute.repository/x`, `group:...`. */
  readonly sets?: readonly string[] | undefined;
  readonly permission: string;
  /** Full resource name; the project as id or number. */
  readonly resource: string;
  /** `request.time` of conditions; the authorizer's clock where absent. */
  readonly time?: Micros | undefined;
  /** `request.host` and `request.path` of conditions, where something is invoked. */
  readonly request?: { readonly host: string; readonly path: string } | undefined;
  /** Where a policy is to be set: the roles that this would grant or revoke. */
  readonly modifiedGrantsByRole?: readonly string[] | undefined;
}

export interface Decision {
  readonly allowed: boolean;
  /**
   * Where not allowed: the bindings of this member that might have granted it and could not be evaluated, for the catalogue lacks the role,
   * or knows it only in part and not for this permission's service. Such a binding never allows; whoever answers a denial names it. Empty where allowed.
   */
  readonly unevaluatedRoles: readonly { readonly role: string; readonly resource: string }[];
  /** Where allowed: the nearest binding that grants it, and the member in it that matched. */
  readonly grantedBy?: { readonly role: string; readonly resource: string; readonly member: string };
  /** Where a deny rule denied it. */
  readonly deniedBy?: { readonly policy: string; readonly rule: number; readonly resource: string };
  /** Where not allowed: bindings that would have granted it if their condition had not failed, with why. */
  readonly failedConditions?: readonly { readonly role: string; readonly resource: string; readonly reason: string }[];
}

/** What has changed. Undefined: anything. */
export type PolicyChange = { readonly policyOf: string } | 'groups' | undefined;

export interface Authorizer {
  /** A value where everything needed is cached, otherwise a promise. Rejects only with what the source throws, and then nothing is cached. */
  decide(question: Question): Promise<Decision> | Decision;
  /**
   * To be called after every committed change of what decisions depend on: each decision asked for from then on reads it again.
   * @param change what it was: the less it may have been, the less is read again
   */
  invalidate(change?: PolicyChange): void;
}

const NOTHING: readonly never[] = Object.freeze([]);
const DENIED: Decision = Object.freeze({ allowed: false, unevaluatedRoles: NOTHING });

/** Callers that are kept. */
const MAX_CALLERS = 50_000;
/** Numbers of members that no policy has any more are kept too; past this everything is read again. */
const MAX_MEMBERS = 1_000_000;

/** Everything read since the last change of anything. A question that began before a change goes on with the state that it began with, which nobody else looks at any more. */
export interface State {
  readonly numbers: MemberNumbers;
  readonly roles: RoleSet;
  readonly graph: PolicyGraph;
  /** By member and sets. */
  callers: Map<string, Caller>;
}

export interface AuthorizerOptions {
  readonly source: PolicySource;
  readonly catalogue: RoleCatalogue;
  /** Microseconds since the epoch. */
  readonly now?: () => Micros;
}

export function createAuthorizer(options: AuthorizerOptions): Authorizer {
  const { source } = options;
  const now = options.now ?? (() => Date.now() * 1000);
  let state = createState(options);

  const load = async (question: Question): Promise<Decision> => {
    const began = state;
    const { callers } = began;
    const key = callerKey(question);
    const [chain, caller] = await Promise.all([began.graph.load(question.resource), callers.get(key) ?? readCaller(source, question.member, question.sets ?? NOTHING)]);
    if (callers.size >= MAX_CALLERS) callers.clear();
    callers.set(key, caller);
    if (began.numbers.size > MAX_MEMBERS && state === began) state = createState(options);
    return evaluate(began, chain, caller, question, now);
  };

  return {
    decide(question) {
      const chain = state.graph.find(question.resource);
      if (chain === undefined) return load(question);
      const caller = state.callers.get(callerKey(question));
      return caller === undefined ? load(question) : evaluate(state, chain, caller, question, now);
    },
    invalidate(change) {
      if (change === undefined) state = createState(options);
      // A new map: a caller that is being read for the old one must not come into this.
      else if (change === 'groups') state.callers = new Map();
      else state.graph.invalidate(change.policyOf);
    },
  };
}

function createState({ source, catalogue }: AuthorizerOptions): State {
  const numbers = new MemberNumbers();
  const roles = createRoleSet(catalogue);
  return { numbers, roles, graph: new PolicyGraph(source, roles, new Compiler(numbers)), callers: new Map() };
}

function callerKey({ member, sets }: Question): string {
  return sets === undefined || sets.length === 0 ? member : `${member}\n${sets.join('\n')}`;
}

function evaluate(state: State, chain: Chain, caller: Caller, question: Question, now: () => Micros): Decision {
  if (chain.broken) return DENIED;
  const numbers = numbersOf(caller, state.numbers);
  return findDenial(chain, numbers, question, now) ?? findGrant(state, chain, caller, numbers, question, now);
}

/** What conditions are evaluated on; made when one is met. */
export function conditionContext(chain: Chain, question: Question, now: () => Micros): ConditionContext {
  return { time: question.time ?? now(), resource: chain.attributes, tags: chain.tags, request: question.request, modifiedGrantsByRole: question.modifiedGrantsByRole };
}

function findDenial(chain: Chain, numbers: readonly number[], question: Question, now: () => Micros): Decision | undefined {
  let forms: readonly string[] | undefined;
  for (const { deny, resource } of chain.nodes) {
    if (deny === undefined) continue;
    const { index, rules } = deny;
    for (const number of numbers) {
      let at = index.find(number);
      if (at < 0) continue;
      for (let position = index.items[at] ?? -1; position >= 0; position = index.items[++at] ?? -1) {
        const rule = rules[position];
        if (rule === undefined || numbers.some((one) => rule.exceptions.has(one))) continue;
        forms ??= denialForms(question.permission);
        if (!rule.denied.has(forms) || rule.exceptionPermissions.has(forms)) continue;
        if (rule.condition !== undefined && denialApplies(rule, conditionContext(chain, question, now)) === false) continue;
        return { allowed: false, unevaluatedRoles: NOTHING, deniedBy: { policy: rule.policy, rule: rule.rule, resource } };
      }
    }
  }
  return undefined;
}

function findGrant(state: State, chain: Chain, caller: Caller, numbers: readonly number[], question: Question, now: () => Micros): Decision {
  const { permission } = question;
  const bit = state.roles.permissionNumber(permission);
  let context: ConditionContext | undefined;
  let unevaluated: { role: string; resource: string }[] | undefined;
  let failed: { role: string; resource: string; reason: string }[] | undefined;
  for (const { allow, resource } of chain.nodes) {
    if (allow === undefined) continue;
    const { index, bindings } = allow;
    for (const number of numbers) {
      let at = index.find(number);
      if (at < 0) continue;
      for (let position = index.items[at] ?? -1; position >= 0; position = index.items[++at] ?? -1) {
        const binding = bindings[position];
        if (binding === undefined) continue;
        const { role } = binding;
        const holds = roleHolds(role, permission, bit);
        if (holds === false) continue;
        const condition = binding.condition === undefined ? true : bindingHolds(binding, (context ??= conditionContext(chain, question, now)));
        if (condition === false) continue;
        if (condition === true && holds === true)
          return { allowed: true, unevaluatedRoles: NOTHING, grantedBy: { role: role.name, resource, member: matchedMember(state, caller, number, binding.members) } };
        if (condition instanceof CelFailure) {
          failed ??= [];
          failed.push({ role: role.name, resource, reason: condition.message });
        } else {
          unevaluated ??= [];
          if (!unevaluated.some((seen) => seen.role === role.name && seen.resource === resource)) unevaluated.push({ role: role.name, resource });
        }
      }
    }
  }
  if (unevaluated === undefined && failed === undefined) return DENIED;
  return { allowed: false, unevaluatedRoles: unevaluated ?? NOTHING, ...(failed === undefined ? {} : { failedConditions: failed }) };
}

/** The member as the policy writes it. */
function matchedMember(state: State, caller: Caller, number: number, members: readonly string[]): string {
  const form = caller.forms.find((one) => state.numbers.find(one) === number) ?? '';
  return members.includes(form) ? form : (members.find((member) => normalMember(member) === form) ?? form);
}
