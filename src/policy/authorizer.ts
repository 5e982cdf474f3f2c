/**
 * Who may do what: the decision engine. A permission is denied if a deny rule on the resource's project, folders or organization denies it to the caller; otherwise
 * it is granted if an allow policy on the resource or on anything above it binds a role that holds it to the caller, under a condition that is true.
 * Invariants: a chain that cannot be walked to its end denies; a condition that fails never allows, and never lifts a denial; what could not be evaluated is
 * named, never counted as either answer. What a decision needs is cached, and then the answer is synchronous; decisions themselves are not.
 * It must not know stores, calls or wordings.
 */
import type { Micros } from '../timestamp.ts';
import { type Caller, holdsAny, numbersOf, readCaller } from './caller.ts';
import type { RoleCatalogue } from './catalogue.ts';
import { CelFailure } from './cel/value.ts';
import { type AllowEntry, bindingHolds, type CompiledAllow, Compiler, denialApplies } from './compiled-policy.ts';
import type { ConditionContext } from './condition.ts';
import type { Decision, Question } from './decision.ts';
import { explainDecision } from './explain.ts';
import type { Explanation, WhoCan } from './explanation.ts';
import { MemberNumbers, mayHave } from './member-index.ts';
import { type Chain, PolicyGraph } from './policy-graph.ts';
import { createRoleSet, type RoleSet, roleHolds } from './role-set.ts';
import type { PolicySource } from './source.ts';
import { listHolders } from './who-can.ts';

/** What has changed. Undefined: anything. */
export type PolicyChange = { readonly policyOf: string } | 'groups' | undefined;

export type { Decision, Question } from './decision.ts';

export interface Authorizer {
  /** A value where everything needed is cached, otherwise a promise. Rejects only with what the source throws, and then nothing is cached. */
  decide(question: Question): Promise<Decision> | Decision;
  /**
   * To be called after every committed change of what decisions depend on: each decision asked for from then on reads it again.
   * @param change what it was: the less it may have been, the less is read again
   */
  invalidate(change?: PolicyChange): void;
}

/** Tells more than answers: slower, and only for callers who may read the policies that it shows. */
export interface ExplainingAuthorizer extends Authorizer {
  /** Why the decision is what it is, and which single changes would turn a denial. @throws what the source throws */
  explain(question: Question): Promise<Explanation>;
  /** Everybody who has a permission on a resource. @throws what the source throws */
  whoCan(question: Omit<Question, 'member' | 'sets'>): Promise<WhoCan>;
}

const NOTHING: readonly never[] = Object.freeze([]);
const DENIED: Decision = Object.freeze({ allowed: false, unevaluatedRoles: NOTHING });

/** Callers that are kept. */
const MAX_CALLERS = 20_000;
/** Characters of all of a caller's names: one who has more is read each time. */
const MAX_CALLER_KEY = 8192;
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

export function createAuthorizer(options: AuthorizerOptions): ExplainingAuthorizer {
  const { source, catalogue } = options;
  const now = options.now ?? (() => Date.now() * 1000);
  let state = createState(options);

  const read = async (question: Question): Promise<{ began: State; chain: Chain; caller: Caller }> => {
    const began = state;
    const { callers } = began;
    const key = callerKey(question);
    const [chain, caller] = await Promise.all([began.graph.load(question.resource), callers.get(key) ?? readCaller(source, question.member, question.sets ?? NOTHING)]);
    if (callers.size >= MAX_CALLERS) callers.clear();
    if (key.length <= MAX_CALLER_KEY) callers.set(key, caller);
    if (began.numbers.size > MAX_MEMBERS && state === began) state = createState(options);
    return { began, chain, caller };
  };
  const load = async (question: Question): Promise<Decision> => {
    const { began, chain, caller } = await read(question);
    return evaluate(began, chain, caller, question, now);
  };

  return {
    decide(question) {
      const chain = state.graph.find(question.resource);
      if (chain === undefined) return load(question);
      const caller = state.callers.get(callerKey(question));
      return caller === undefined ? load(question) : evaluate(state, chain, caller, question, now);
    },
    async explain(question) {
      const { began, chain, caller } = await read(question);
      const decision = evaluate(began, chain, caller, question, now);
      const permissionNumber = began.roles.permissionNumber(question.permission);
      return explainDecision({ question, decision, chain, caller, context: conditionContext(chain, question, now), permissionNumber, catalogue });
    },
    async whoCan(question) {
      const { began, chain } = await read({ ...question, member: 'allUsers' });
      const context = conditionContext(chain, { ...question, member: 'allUsers' }, now);
      const { permission } = question;
      return listHolders({
        source,
        chain,
        context,
        permission,
        permissionNumber: began.roles.permissionNumber(permission),
        decide: ({ member }) => this.decide({ ...question, member, time: context.time }),
      });
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
  // Written so that no name can be taken for two: an identity from outside may have any character in it, a line end too.
  return sets === undefined || sets.length === 0 ? member : JSON.stringify([member, ...sets]);
}

function evaluate(state: State, chain: Chain, caller: Caller, question: Question, now: () => Micros): Decision {
  if (chain.broken) return DENIED;
  const numbers = numbersOf(caller, state.numbers);
  return findDenial(chain, numbers, question, now) ?? findGrant(state, chain, caller, question, now);
}

/** What conditions are evaluated on; made when one is met. */
export function conditionContext(chain: Chain, question: Question, now: () => Micros): ConditionContext {
  return { time: question.time ?? now(), resource: chain.attributes, tags: chain.tags, request: question.request, modifiedGrantsByRole: question.modifiedGrantsByRole };
}

function findDenial(chain: Chain, numbers: readonly number[], question: Question, now: () => Micros): Decision | undefined {
  if (chain.deny === undefined) return undefined;
  for (const rule of chain.deny.concerning(question.permission)) {
    if (!hasAny(rule.principals, numbers) || hasAny(rule.exceptions, numbers)) continue;
    if (rule.condition === undefined || denialApplies(rule, conditionContext(chain, question, now)) !== false) return rule.denial;
  }
  return undefined;
}

/** In policies with more entries a caller's names are not looked up one by one each time. */
const LONG_POLICY = 64;

function hasAny(set: ReadonlySet<number>, numbers: readonly number[]): boolean {
  for (const number of numbers) if (set.has(number)) return true;
  return false;
}

/** What was found on the way to a denial, for whoever answers it. */
interface Findings {
  unevaluated: { role: string; resource: string }[] | undefined;
  failed: { role: string; resource: string; reason: string }[] | undefined;
}

/** One search for a grant: what is asked, and what was met so far. */
interface Search {
  readonly state: State;
  readonly chain: Chain;
  readonly caller: Caller;
  readonly question: Question;
  readonly now: () => Micros;
  context: ConditionContext | undefined;
  findings: Findings | undefined;
}

function findGrant(state: State, chain: Chain, caller: Caller, question: Question, now: () => Micros): Decision {
  const candidates = state.roles.candidates(question.permission);
  const search: Search = { state, chain, caller, question, now, context: undefined, findings: undefined };
  for (const { allow, resource, place } of chain.nodes) {
    if (allow === undefined) continue;
    const granted = allow.entries.length > LONG_POLICY ? lookUp(search, allow, resource, place, candidates) : goThrough(search, allow, resource, candidates);
    if (granted !== undefined) return granted;
  }
  if (search.findings === undefined) return DENIED;
  const { unevaluated = NOTHING, failed } = search.findings;
  return { allowed: false, unevaluatedRoles: unevaluated, ...(failed === undefined ? {} : { failedConditions: failed }) };
}

/** Every entry of a short policy in its turn, if any of its roles may do: whether its own may, whether it may be the caller's, and then whether it is. */
function goThrough(search: Search, allow: CompiledAllow, resource: string, candidates: Uint32Array): Decision | undefined {
  if (!meets(allow.named, candidates)) return undefined;
  const { entries, roles, members } = allow;
  const { numbers, filter } = search.caller;
  for (let position = 0; position < roles.length; position++) {
    const role = roles[position] ?? 0;
    if (((candidates[role >>> 5] ?? 0) & (1 << (role & 31))) === 0) continue;
    const member = members[position] ?? 0;
    if (!mayHave(filter, member) || !numbers.includes(member)) continue;
    const granted = tryEntry(search, entries[position], resource);
    if (granted !== undefined) return granted;
  }
  return undefined;
}

/** Whether two sets of role numbers have one in common. */
function meets(named: Int32Array, candidates: Uint32Array): boolean {
  for (let word = 0; word < named.length; word++) if (((named[word] ?? 0) & (candidates[word] ?? 0)) !== 0) return true;
  return false;
}

/** The caller's names one by one in the index of a long policy, if it binds a role to any of them that may do. */
function lookUp(search: Search, allow: CompiledAllow, resource: string, place: number, candidates: Uint32Array): Decision | undefined {
  if (!holdsAny(search.caller, place, allow, candidates)) return undefined;
  const { entries, index } = allow;
  const { items, labels } = index;
  for (const number of search.caller.numbers) {
    let at = index.find(number);
    if (at < 0) continue;
    for (let position = items[at] ?? -1; position >= 0; position = items[++at] ?? -1) {
      const role = labels[at] ?? 0;
      if (((candidates[role >>> 5] ?? 0) & (1 << (role & 31))) === 0) continue;
      const granted = tryEntry(search, entries[position], resource);
      if (granted !== undefined) return granted;
    }
  }
  return undefined;
}

/** What an entry that names the caller grants, if its role and its condition do; what else comes of it is noted. */
function tryEntry(search: Search, entry: AllowEntry | undefined, resource: string): Decision | undefined {
  if (entry === undefined) return undefined;
  const { binding, member } = entry;
  const { permission } = search.question;
  const condition = binding.condition === undefined ? true : bindingHolds(binding, (search.context ??= conditionContext(search.chain, search.question, search.now)));
  if (condition === false) return undefined;
  if (condition === true && roleHolds(binding.role, permission, search.state.roles.permissionNumber(permission)) === true)
    return (entry.granted ??= Object.freeze({ allowed: true, unevaluatedRoles: NOTHING, grantedBy: Object.freeze({ role: binding.role.name, resource, member }) }));
  note((search.findings ??= { unevaluated: undefined, failed: undefined }), binding.role.name, resource, condition);
  return undefined;
}

/** Each role of a resource is named once. */
function note(findings: Findings, role: string, resource: string, condition: true | CelFailure): void {
  if (condition instanceof CelFailure) (findings.failed ??= []).push({ role, resource, reason: condition.message });
  else if (findings.unevaluated?.some((seen) => seen.role === role && seen.resource === resource) !== true) (findings.unevaluated ??= []).push({ role, resource });
}
