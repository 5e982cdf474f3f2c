/** Why a decision is what it is: plain data, for whoever shows it (Policy Troubleshooter, `actas why`, `actas who-can`). */
import type { Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { Policy as DenyPolicy } from '../gen/google/iam/v2/policy_pb.js';
import type { Decision, Question } from './decision.ts';

/** How a member of a policy names the caller. */
export interface Match {
  /** As the policy writes it. */
  readonly member: string;
  /** From the caller to that member: `['user:a@x.org', 'group:inner@x.org', 'group:outer@x.org']`; two where nothing is between, one where it is the caller itself. */
  readonly path: readonly string[];
}

export interface ConditionExplanation {
  readonly title: string;
  readonly expression: string;
  /** `failed`: it could not be evaluated; `reason` says why. */
  readonly result: 'true' | 'false' | 'failed';
  readonly reason?: string;
  /** The parts of its `&&` and `||`, each by itself; a result that is neither true nor false is the reason why there is none. */
  readonly clauses: readonly { readonly expression: string; readonly result: string }[];
}

export interface BindingExplanation {
  /** Its place in the policy. */
  readonly position: number;
  readonly role: string;
  readonly members: readonly string[];
  /** Undefined: not known, the role is not in the catalogue or only in part. */
  readonly holdsPermission: boolean | undefined;
  /** Undefined: no member of it names the caller. */
  readonly match: Match | undefined;
  readonly condition: ConditionExplanation | undefined;
  /** Whether this binding, a deny rule apart, grants the permission. */
  readonly grants: boolean;
}

export interface DenyRuleExplanation {
  /** Name of the deny policy, and the rule's place in it. */
  readonly policy: string;
  readonly rule: number;
  readonly description: string;
  readonly namesPermission: boolean;
  readonly match: Match | undefined;
  /** The exception that lets the caller be. */
  readonly exception: Match | undefined;
  readonly condition: ConditionExplanation | undefined;
  readonly denies: boolean;
}

/** What one resource says: only bindings and rules that concern the permission or the caller. */
export interface ResourceExplanation {
  /** Full resource name, projects by id. */
  readonly resource: string;
  /** As it was read; undefined where there is none, or an empty one. */
  readonly policy: Policy | undefined;
  /** Those that have rules. */
  readonly denyPolicies: readonly DenyPolicy[];
  readonly bindings: readonly BindingExplanation[];
  readonly denyRules: readonly DenyRuleExplanation[];
}

/** One change that would by itself turn a denial into a grant. */
export interface Change {
  readonly kind: 'addBinding' | 'addToGroup' | 'changeCondition' | 'addException';
  /** A sentence for people. */
  readonly sentence: string;
  /** For a shell; begins with `#` where no single command does it. */
  readonly command: string;
  /** How many other permissions it gives the caller beside the one asked for. Changes are in this order. */
  readonly gives: number;
}

export interface Explanation {
  readonly question: Question;
  readonly decision: Decision;
  /** `denied`: by a deny rule. `unreachable`: the resource's project, folder or organization is not known here, and then nothing is allowed. */
  readonly outcome: 'allowed' | 'denied' | 'noGrant' | 'unreachable';
  /** Every member that names the caller, in normal form: itself, its groups, its domain, everybody. */
  readonly names: readonly string[];
  /** The caller's groups, each with the way to it. */
  readonly groups: readonly Match[];
  /** Nearest first. */
  readonly resources: readonly ResourceExplanation[];
  /** Empty where it is allowed, and where no single change would do. */
  readonly changes: readonly Change[];
}

/** One who holds a permission, or a set of callers that does. */
export interface Holder {
  /** `user:`, `serviceAccount:` and `principal:` are one; `domain:`, `allUsers`, `principalSet:` and groups that nobody is known to be in are sets. */
  readonly member: string;
  readonly isSet: boolean;
  /** False where a deny rule takes it away, or every condition is false at the moment. Of sets a denial is not known. */
  readonly allowed: boolean;
  readonly deniedBy: Decision['deniedBy'];
  /** Every binding by which it holds it, nearest first. */
  readonly by: readonly { readonly role: string; readonly resource: string; readonly path: readonly string[]; readonly condition: ConditionExplanation | undefined }[];
}

export interface WhoCan {
  readonly outcome: 'known' | 'unreachable';
  /** By member. */
  readonly holders: readonly Holder[];
  /** Bindings of roles of which it is not known whether they hold the permission. */
  readonly unevaluatedRoles: Decision['unevaluatedRoles'];
}
