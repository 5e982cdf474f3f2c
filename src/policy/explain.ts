/** The decision once more, told in full: every binding and deny rule that concerns it, and which single changes would turn a denial. Slow beside `decide`, and never used for it. */
import type { Caller } from './caller.ts';
import type { RoleCatalogue } from './catalogue.ts';
import { CelIssue, type CelProgram } from './cel/program.ts';
import { CelFailure, showValue } from './cel/value.ts';
import { bindingHolds, type CompiledBinding, type CompiledDenyRule, denialApplies } from './compiled-policy.ts';
import type { ConditionContext } from './condition.ts';
import type { Decision, Question } from './decision.ts';
import { denialForms, memberOfPrincipal } from './deny-rule.ts';
import type { BindingExplanation, Change, ConditionExplanation, DenyRuleExplanation, Explanation, Match, ResourceExplanation } from './explanation.ts';
import { normalMember } from './member.ts';
import type { Chain } from './policy-graph.ts';
import { remedyFor } from './remedy.ts';
import { type CompiledRole, countPermissions, roleHolds } from './role-set.ts';

/** What an explanation is made of: the same that the decision was made on. */
export interface Explained {
  readonly question: Question;
  readonly decision: Decision;
  readonly chain: Chain;
  readonly caller: Caller;
  readonly context: ConditionContext;
  /** From the role set of the chain. */
  readonly permissionNumber: number;
  readonly catalogue: RoleCatalogue;
}

export function explainDecision(explained: Explained): Explanation {
  const { question, decision, chain, caller } = explained;
  const resources = chain.nodes.map((node): ResourceExplanation => {
    const bindings = (node.allow?.bindings ?? []).map((binding, position) => explainBinding(binding, position, explained));
    const denyRules = (node.deny?.rules ?? []).map((rule) => explainRule(rule, explained));
    return {
      resource: node.resource,
      policy: node.allow?.policy,
      denyPolicies: node.deny?.policies ?? [],
      bindings: bindings.filter(({ holdsPermission, match }) => holdsPermission !== false || match !== undefined),
      denyRules: denyRules.filter(({ namesPermission, match }) => namesPermission || match !== undefined),
    };
  });
  const outcome = chain.broken ? 'unreachable' : decision.allowed ? 'allowed' : decision.deniedBy === undefined ? 'noGrant' : 'denied';
  const groups = [...caller.paths].map(([group, path]) => ({ member: group, path: [caller.member, ...path] }));
  return { question, decision, outcome, names: caller.forms, groups, resources, changes: changesFor(outcome, resources, explained) };
}

function explainBinding(binding: CompiledBinding, position: number, { question, caller, context, permissionNumber }: Explained): BindingExplanation {
  const holdsPermission = roleHolds(binding.role, question.permission, permissionNumber);
  const match = matchOf(binding.members, normalMember, caller);
  const condition = explainCondition(binding.condition, binding.expr, bindingHolds(binding, context), context);
  return {
    position,
    role: binding.role.name,
    members: binding.members,
    holdsPermission,
    match,
    condition,
    grants: holdsPermission === true && match !== undefined && (condition === undefined || condition.result === 'true'),
  };
}

function explainRule(rule: CompiledDenyRule, { question, caller, context }: Explained): DenyRuleExplanation {
  const forms = denialForms(question.permission);
  const namesPermission = rule.denied.has(forms) && !rule.exceptionPermissions.has(forms);
  const match = matchOf(rule.deniedPrincipals, (principal) => memberOfPrincipal(principal, false), caller);
  const exception = matchOf(rule.exceptionPrincipals, (principal) => memberOfPrincipal(principal, true), caller);
  const condition = explainCondition(rule.condition, rule.expr, denialApplies(rule, context), context);
  return {
    policy: rule.policy,
    rule: rule.rule,
    description: rule.description,
    namesPermission,
    match,
    exception,
    condition,
    denies: namesPermission && match !== undefined && exception === undefined && condition?.result !== 'false',
  };
}

/** The first of the caller's names that stands there, the most particular first. */
function matchOf(written: readonly string[], normalize: (member: string) => string | undefined, caller: Caller): Match | undefined {
  for (const form of caller.forms) {
    const member = written.find((one) => normalize(one) === form);
    if (member === undefined) continue;
    const path = caller.paths.get(form) ?? (form === caller.member ? [] : [form]);
    return { member, path: [caller.member, ...path] };
  }
  return undefined;
}

/** @param holds what the condition came to */
export function explainCondition<C>(
  condition: CelProgram<C> | CelIssue | undefined,
  expr: { readonly title: string; readonly expression: string } | undefined,
  holds: boolean | CelFailure,
  context: C,
): ConditionExplanation | undefined {
  if (condition === undefined || expr === undefined) return undefined;
  const { title, expression } = expr;
  const clauses =
    condition instanceof CelIssue
      ? []
      : condition
          .explain(context)
          .map((clause) => ({ expression: clause.expression, result: clause.result instanceof CelFailure ? clause.result.message : showValue(clause.result) }));
  if (holds instanceof CelFailure) return { title, expression, result: 'failed', reason: holds.message, clauses };
  return { title, expression, result: holds ? 'true' : 'false', clauses };
}

function changesFor(outcome: Explanation['outcome'], resources: readonly ResourceExplanation[], explained: Explained): readonly Change[] {
  const changes = outcome === 'noGrant' ? grantChanges(resources, explained) : outcome === 'denied' ? exceptionChanges(resources, explained) : [];
  return [...changes].sort((a, b) => a.gives - b.gives);
}

function grantChanges(resources: readonly ResourceExplanation[], explained: Explained): Change[] {
  const { question, caller, catalogue } = explained;
  const changes: Change[] = [];
  const remedy = remedyFor({ ...question, member: caller.member }, catalogue);
  if (!remedy.command.startsWith('#')) {
    const role = /--role=(?<role>\S+)/.exec(remedy.command)?.groups?.['role'] ?? '';
    changes.push({ kind: 'addBinding', sentence: remedy.sentence, command: remedy.command, gives: Math.max(0, (catalogue.role(role)?.permissions.size ?? 1) - 1) });
  }
  const email = /^(?:user|serviceAccount):(?<email>[^\s'"$`\\]+)$/.exec(caller.member)?.groups?.['email'];
  for (const { resource, bindings } of resources) {
    for (const binding of bindings) {
      if (binding.holdsPermission !== true) continue;
      const gives = othersOf(explained, ({ name }) => name === binding.role);
      if (binding.match !== undefined && binding.condition !== undefined && !binding.grants)
        changes.push({
          kind: 'changeCondition',
          sentence: `${binding.role} is bound to ${binding.match.member} on ${resource}, under the condition ${JSON.stringify(binding.condition.title)}, which is ${binding.condition.result}. Change it, or bind the role without it.`,
          command: `# change the condition ${JSON.stringify(binding.condition.title)} of ${binding.role} in the policy of ${resource}`,
          gives,
        });
      if (binding.match === undefined && email !== undefined && (binding.condition === undefined || binding.condition.result === 'true'))
        for (const group of binding.members.filter((member) => member.startsWith('group:')))
          changes.push({
            kind: 'addToGroup',
            sentence: `${group} holds ${binding.role} on ${resource}. Add the caller to it.`,
            command: `actas groups memberships add --group-email=${group.slice('group:'.length)} --member-email=${email}`,
            gives: othersOf(explained, (_role, members) => members.some((member) => normalMember(member) === normalMember(group))),
          });
    }
  }
  return changes;
}

/** One exception does where one rule denies, and where something would grant it then. */
function exceptionChanges(resources: readonly ResourceExplanation[], { caller }: Explained): Change[] {
  const denying = resources.flatMap(({ denyRules }) => denyRules.filter(({ denies }) => denies));
  const [rule, another] = denying;
  if (rule === undefined || another !== undefined || !resources.some(({ bindings }) => bindings.some(({ grants }) => grants))) return [];
  const principal = principalOf(caller.member);
  if (principal === undefined) return [];
  return [
    {
      kind: 'addException',
      sentence: `Rule ${rule.rule + 1} of the deny policy ${rule.policy} denies it to ${rule.match?.member ?? ''}. Add ${principal} to its exceptionPrincipals.`,
      command: `# add ${JSON.stringify(principal)} to rules[${rule.rule}].denyRule.exceptionPrincipals of ${rule.policy}`,
      gives: 0,
    },
  ];
}

function principalOf(member: string): string | undefined {
  if (member.startsWith('user:')) return `principal://goog/subject/${member.slice('user:'.length)}`;
  if (member.startsWith('serviceAccount:')) return `principal://iam.googleapis.com/projects/-/serviceAccounts/${member.slice('serviceAccount:'.length)}`;
  return member.startsWith('principal://') ? member : undefined;
}

/** Permissions beside the one that is asked about, in the roles of those bindings along this chain: custom and imported ones as they are stored. */
function othersOf({ chain }: Explained, isMeant: (role: CompiledRole, members: readonly string[]) => boolean): number {
  const bindings = chain.nodes.flatMap(({ allow }) => allow?.bindings ?? []);
  return Math.max(0, countPermissions(bindings.filter(({ role, members }) => isMeant(role, members)).map(({ role }) => role)) - 1);
}
