/**
 * How much of an explanation a caller may see. An allow policy is shown to who holds its `getIamPolicy`, deny policies to who holds iam.denypolicies.get
 * where they are attached, a group's members to who holds actas.groups.get on its organization, a custom role to who holds iam.roles.get.
 *
 * Invariants: what is not shown has no say in what is answered, so that no answer depends on it: it makes `UNKNOWN_INFO`. That something is hidden is said
 * once, however much there is, and likewise where nothing exists: to who may read nothing the answer is the same to the byte whether there is anything or not.
 * Sources: google/cloud/policytroubleshooter/iam/v3/troubleshooter.proto, https://cloud.google.com/policy-intelligence/docs/troubleshoot-access#permissions
 */
import type { Binding, Policy } from '../gen/google/iam/v1/policy_pb.js';
import type { DenyRule } from '../gen/google/iam/v2/deny_pb.js';
import type { Policy as DenyPolicy } from '../gen/google/iam/v2/policy_pb.js';
import { denialForms, memberOfPrincipal } from '../policy/deny-rule.ts';
import type { BindingExplanation, ConditionExplanation, DenyRuleExplanation, Explanation, ResourceExplanation } from '../policy/explanation.ts';
import { normalMember } from '../policy/member.ts';
import type { Call, Check } from './service.ts';

/** Of a policy, a binding, or all of them together. */
export type AllowState = 'GRANTED' | 'NOT_GRANTED' | 'UNKNOWN_CONDITIONAL' | 'UNKNOWN_INFO';
export type DenyState = 'DENIED' | 'NOT_DENIED' | 'UNKNOWN_INFO';
/** Whether a member names the principal that is asked about. `unknown`: the caller may not read that group. */
export type Membership = 'included' | 'notIncluded' | 'unknown';

export interface VisibleBinding {
  readonly binding: Binding;
  /** Undefined: not known, or not to be seen. */
  readonly holdsPermission: boolean | undefined;
  /** By member, as it is written. */
  readonly memberships: ReadonlyMap<string, Membership>;
  readonly membership: Membership;
  /** The way from the principal to the member that names it. */
  readonly path: readonly string[];
  readonly condition: ConditionExplanation | undefined;
  readonly state: AllowState;
}

export interface VisibleDenyRule {
  readonly rule: DenyRule;
  readonly description: string;
  readonly deniedPermissions: ReadonlyMap<string, boolean>;
  readonly exceptionPermissions: ReadonlyMap<string, boolean>;
  readonly deniedPrincipals: ReadonlyMap<string, Membership>;
  readonly exceptionPrincipals: ReadonlyMap<string, Membership>;
  readonly condition: ConditionExplanation | undefined;
  readonly state: DenyState;
}

export interface VisibleDenyPolicy {
  readonly policy: DenyPolicy;
  readonly rules: readonly VisibleDenyRule[];
  readonly state: DenyState;
}

/** A resource of which the caller may see something. */
export interface VisibleResource {
  readonly resource: string;
  /** Undefined: the caller may not read it. */
  readonly allow: { readonly policy: Policy | undefined; readonly bindings: readonly VisibleBinding[]; readonly state: AllowState } | undefined;
  /** Undefined: the caller may not read them, or there can be none on such a resource. */
  readonly deny: { readonly policies: readonly VisibleDenyPolicy[]; readonly state: DenyState } | undefined;
}

export interface VisibleExplanation {
  /** Nearest first. */
  readonly resources: readonly VisibleResource[];
  /** Whether there are policies, or may be, that the caller cannot see. */
  readonly hidden: { readonly allow: boolean; readonly deny: boolean };
  readonly allow: AllowState;
  readonly deny: DenyState;
  /** Both together. */
  readonly access: AllowState;
  /** The principal's groups that the caller may read, each with the way to it. */
  readonly groups: Explanation['groups'];
}

/** What a caller may read, each thing asked about once. */
export interface Visibility {
  allowPolicy(resource: string): Promise<boolean>;
  denyPolicies(resource: string): Promise<boolean>;
  role(name: string): Promise<boolean>;
  /** @param group `group:EMAIL` in normal form */
  group(group: string): Promise<boolean>;
}

/** @param organizationOf of a group's e-mail: `organizations/N`, undefined where there is no such group */
export function visibilityOf(call: Pick<Call, 'isAllowed'>, organizationOf: (group: string) => Promise<string | undefined>): Visibility {
  const asked = new Map<string, Promise<boolean>>();
  const may = (check: Check): Promise<boolean> => {
    const key = `${check.permission} ${check.resource}`;
    const known = asked.get(key) ?? call.isAllowed(check);
    asked.set(key, known);
    return known;
  };
  return {
    allowPolicy: (resource) => may({ permission: readPermission(resource), resource }),
    denyPolicies: (resource) => may({ permission: 'iam.denypolicies.get', resource }),
    async role(name) {
      const holder = /^(?<holder>(?:projects|organizations)\/[^/]+)\/roles\//.exec(name)?.groups?.['holder'];
      // Predefined roles are no secret.
      return holder === undefined || may({ permission: 'iam.roles.get', resource: `//cloudresourcemanager.googleapis.com/${holder}` });
    },
    async group(group) {
      const organization = await organizationOf(group.slice('group:'.length));
      return organization !== undefined && may({ permission: 'actas.groups.get', resource: `//cloudresourcemanager.googleapis.com/${organization}` });
    },
  };
}

/** `//run.googleapis.com/projects/p/locations/l/jobs/j` is read with run.jobs.getIamPolicy, a project with resourcemanager.projects.getIamPolicy. */
function readPermission(resource: string): string {
  const [host = '', ...segments] = resource.slice(2).split('/');
  const service = host === 'cloudresourcemanager.googleapis.com' ? 'resourcemanager' : host.slice(0, host.indexOf('.'));
  const kind = segments.at(-2) ?? '';
  return `${service}.${service === 'run' ? kind.toLowerCase() : kind}.getIamPolicy`;
}

export async function showExplanation(explanation: Explanation, visibility: Visibility): Promise<VisibleExplanation> {
  const membership = await membershipOf(explanation, visibility);
  const resources: VisibleResource[] = [];
  // Where nothing exists nothing can be read either.
  const hidden = { allow: explanation.outcome === 'unreachable', deny: explanation.outcome === 'unreachable' };
  for (const each of explanation.resources) {
    const takesDenials = /^\/\/cloudresourcemanager\.googleapis\.com\/(?:projects|folders|organizations)\//.test(each.resource);
    const [mayAllow, mayDeny] = await Promise.all([visibility.allowPolicy(each.resource), takesDenials && visibility.denyPolicies(each.resource)]);
    if (!mayAllow) hidden.allow = true;
    if (takesDenials && !mayDeny) hidden.deny = true;
    const allow = mayAllow ? await showAllow(each, membership, visibility) : undefined;
    const deny = mayDeny ? showDeny(each, explanation.question.permission, membership) : undefined;
    if (allow !== undefined || deny !== undefined) resources.push({ resource: each.resource, allow, deny });
  }
  const allow = allowOf([...resources.flatMap((each) => each.allow?.state ?? []), ...(hidden.allow ? ['UNKNOWN_INFO' as const] : [])]);
  const deny = denyOf([...resources.flatMap((each) => each.deny?.state ?? []), ...(hidden.deny ? ['UNKNOWN_INFO' as const] : [])]);
  const groups = explanation.groups.filter(({ member }) => membership(member) === 'included');
  return { resources, hidden, allow, deny, access: accessOf(allow, deny), groups };
}

function accessOf(allow: AllowState, deny: DenyState): AllowState {
  if (deny === 'DENIED' || allow === 'NOT_GRANTED') return 'NOT_GRANTED';
  return deny === 'UNKNOWN_INFO' ? 'UNKNOWN_INFO' : allow;
}

/** Any grant is one; otherwise what is not known decides. */
function allowOf(states: readonly AllowState[]): AllowState {
  return (['GRANTED', 'UNKNOWN_INFO', 'UNKNOWN_CONDITIONAL'] as const).find((state) => states.includes(state)) ?? 'NOT_GRANTED';
}

function denyOf(states: readonly DenyState[]): DenyState {
  return (['DENIED', 'UNKNOWN_INFO'] as const).find((state) => states.includes(state)) ?? 'NOT_DENIED';
}

type MembershipOf = (normal: string | undefined) => Membership;

/** Whether a member in normal form names the principal, as far as the caller may know. A group that is reached through another is known where all on the way are. */
async function membershipOf(explanation: Explanation, visibility: Visibility): Promise<MembershipOf> {
  const names = new Set(explanation.names);
  const [self] = explanation.names;
  const ways = new Map(explanation.groups.map(({ member, path }) => [member, path.filter((one) => one !== self)]));
  const written = explanation.resources.flatMap(({ policy, denyPolicies }) => [
    ...(policy?.bindings ?? []).flatMap(({ members }) => members.map(normalMember)),
    ...denyPolicies.flatMap(({ rules }) => rules.flatMap(({ kind }) => (kind.case === 'denyRule' ? principalsOf(kind.value) : []))),
  ]);
  const groups = [...new Set([...written, ...ways.keys()])].filter((member) => member.startsWith('group:'));
  const readable = new Map(await Promise.all(groups.map(async (group) => [group, await visibility.group(group)] as const)));
  return (member) => {
    if (member === undefined) return 'notIncluded';
    if (!member.startsWith('group:') || member === self) return names.has(member) ? 'included' : 'notIncluded';
    const way = ways.get(member) ?? [member];
    if (!way.every((group) => readable.get(group) === true)) return 'unknown';
    return ways.has(member) ? 'included' : 'notIncluded';
  };
}

function principalsOf({ deniedPrincipals, exceptionPrincipals }: DenyRule): string[] {
  return [...deniedPrincipals.map((one) => memberOfPrincipal(one, false)), ...exceptionPrincipals.map((one) => memberOfPrincipal(one, true))].filter((one) => one !== undefined);
}

function combined(memberships: ReadonlyMap<string, Membership>): Membership {
  const all = [...memberships.values()];
  return (['included', 'unknown'] as const).find((one) => all.includes(one)) ?? 'notIncluded';
}

async function showAllow(explained: ResourceExplanation, membership: MembershipOf, visibility: Visibility): Promise<VisibleResource['allow']> {
  const bindings: VisibleBinding[] = [];
  for (const [position, binding] of (explained.policy?.bindings ?? []).entries()) {
    const told = explained.bindings.find((each) => each.position === position);
    // What the explanation leaves out concerns neither the permission nor the principal.
    const holdsPermission = (await visibility.role(binding.role)) ? (told === undefined ? false : told.holdsPermission) : undefined;
    const memberships = new Map(binding.members.map((member) => [member, membership(normalMember(member))]));
    const named = combined(memberships);
    const path = told?.match?.path ?? [];
    const mayShow = named === 'included' && path.every((one) => !one.startsWith('group:') || membership(one) === 'included');
    bindings.push({
      binding,
      holdsPermission,
      memberships,
      membership: named,
      path: mayShow ? path : [],
      condition: told?.condition,
      state: bindingState(holdsPermission, named, told),
    });
  }
  return { policy: explained.policy, bindings, state: allowOf(bindings.map(({ state }) => state)) };
}

function bindingState(holds: boolean | undefined, membership: Membership, told: BindingExplanation | undefined): AllowState {
  if (holds === false || membership === 'notIncluded' || told?.condition?.result === 'false') return 'NOT_GRANTED';
  if (holds === undefined || membership === 'unknown') return 'UNKNOWN_INFO';
  return told?.condition?.result === 'failed' ? 'UNKNOWN_CONDITIONAL' : 'GRANTED';
}

function showDeny(explained: ResourceExplanation, permission: string, membership: MembershipOf): VisibleResource['deny'] {
  const forms = new Set(denialForms(permission));
  const policies = explained.denyPolicies.map((policy): VisibleDenyPolicy => {
    const rules = policy.rules.flatMap(({ kind, description }, place) => {
      if (kind.case !== 'denyRule') return [];
      const told = explained.denyRules.find((each) => each.policy === policy.name && each.rule === place);
      return [showRule(kind.value, description, forms, membership, told)];
    });
    return { policy, rules, state: denyOf(rules.map(({ state }) => state)) };
  });
  return { policies, state: denyOf(policies.map(({ state }) => state)) };
}

function showRule(rule: DenyRule, description: string, forms: ReadonlySet<string>, membership: MembershipOf, told: DenyRuleExplanation | undefined): VisibleDenyRule {
  const deniedPermissions = new Map(rule.deniedPermissions.map((one) => [one, forms.has(one)]));
  const exceptionPermissions = new Map(rule.exceptionPermissions.map((one) => [one, forms.has(one)]));
  const deniedPrincipals = new Map(rule.deniedPrincipals.map((one) => [one, membership(memberOfPrincipal(one, false))]));
  const exceptionPrincipals = new Map(rule.exceptionPrincipals.map((one) => [one, membership(memberOfPrincipal(one, true))]));
  const names = [...deniedPermissions.values()].includes(true) && ![...exceptionPermissions.values()].includes(true);
  const [denied, excepted] = [combined(deniedPrincipals), combined(exceptionPrincipals)];
  // A condition that fails lets the rule apply, as the decision has it.
  const applies = names && denied !== 'notIncluded' && excepted !== 'included' && told?.condition?.result !== 'false';
  const state = !applies ? 'NOT_DENIED' : denied === 'unknown' || excepted === 'unknown' ? 'UNKNOWN_INFO' : 'DENIED';
  return { rule, description, deniedPermissions, exceptionPermissions, deniedPrincipals, exceptionPrincipals, condition: told?.condition, state };
}
