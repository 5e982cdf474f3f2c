/** An explanation drawn for people: the hierarchy from the top down, and at each resource what it has to say. Plain text, the same everywhere. */

type Known = 'GRANTED' | 'NOT_GRANTED' | 'UNKNOWN_CONDITIONAL' | 'UNKNOWN_INFO';

export interface ConditionResult {
  readonly result?: string;
  readonly reason?: string;
  readonly clauses?: readonly { readonly expression?: string; readonly result?: string }[];
}

/** `actas.v1.AccessExplanation`, as JSON. */
export interface Why {
  readonly principal?: string;
  readonly permission?: string;
  readonly fullResourceName?: string;
  readonly access?: string;
  readonly resources?: readonly WhyResource[];
  readonly allowPoliciesHidden?: boolean;
  readonly denyPoliciesHidden?: boolean;
  readonly changes?: readonly { readonly sentence?: string; readonly command?: string; readonly gives?: number }[];
}

export interface WhyResource {
  readonly fullResourceName?: string;
  readonly allowPolicyHidden?: boolean;
  readonly bindings?: readonly WhyBinding[];
  readonly denyRules?: readonly WhyDenyRule[];
}

export interface WhyBinding {
  readonly role?: string;
  readonly members?: readonly string[];
  readonly roleState?: string;
  readonly membership?: string;
  readonly path?: readonly string[];
  readonly condition?: { readonly title?: string; readonly expression?: string };
  readonly conditionResult?: ConditionResult;
  readonly access?: string;
}

export interface WhyDenyRule {
  readonly policy?: string;
  readonly rule?: number;
  readonly description?: string;
  readonly namesPermission?: boolean;
  readonly denied?: string;
  readonly excepted?: string;
  readonly condition?: { readonly title?: string };
  readonly conditionResult?: ConditionResult;
  readonly state?: string;
}

const HEADLINES: { readonly [state in Known]: readonly [string, string] } = {
  GRANTED: ['YES', 'has'],
  NOT_GRANTED: ['NO', 'does not have'],
  UNKNOWN_CONDITIONAL: ['NO', 'does not have, for a condition could not be evaluated,'],
  UNKNOWN_INFO: ['UNKNOWN', 'may or may not have'],
};

/** Lines without colour. */
export function drawExplanation(why: Why): string[] {
  const [word, verb] = HEADLINES[knownState(why.access)];
  const lines = [`${word}: ${why.principal ?? ''} ${verb} ${why.permission ?? ''} on ${shortResource(why.fullResourceName ?? '')}.`, ''];
  const resources = [...(why.resources ?? [])].reverse();
  const notes = hiddenNotes(why);
  if (notes.length > 0) lines.push(...notes, '');
  for (const [depth, resource] of resources.entries()) {
    const [head, inner] = depth === 0 ? ['', ''] : [`${'   '.repeat(depth - 1)}└─ `, '   '.repeat(depth)];
    const isLast = depth === resources.length - 1;
    lines.push(`${head}${shortResource(resource.fullResourceName ?? '')}`);
    for (const line of describeResource(resource)) lines.push(`${inner}${isLast ? ' ' : '│'}  ${line}`.trimEnd());
  }
  const changes = why.changes ?? [];
  if (resources.length > 0 && changes.length > 0) lines.push('');
  if (changes.length > 0) lines.push(changes.length === 1 ? 'What would grant it:' : 'What would grant it, each by itself; what gives least first:');
  for (const [place, { sentence = '', command = '', gives = 0 }] of changes.entries())
    lines.push(`${place + 1}. ${sentence}`, `     ${command}`, `     gives ${gives === 0 ? 'nothing else' : gives === 1 ? '1 other permission' : `${gives} other permissions`}`);
  while (lines.at(-1) === '') lines.pop();
  return lines.map(printable);
}

/** Titles and descriptions are whatever somebody wrote: no control character, nor a mark that turns the direction of writing, reaches a terminal. */
export function printable(line: string): string {
  return line.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '?');
}

function knownState(access: string | undefined): Known {
  return access === 'GRANTED' || access === 'NOT_GRANTED' || access === 'UNKNOWN_CONDITIONAL' ? access : 'UNKNOWN_INFO';
}

function hiddenNotes({ allowPoliciesHidden, denyPoliciesHidden, resources }: Why): string[] {
  if (allowPoliciesHidden !== true && denyPoliciesHidden !== true) return [];
  const what = allowPoliciesHidden === true ? (denyPoliciesHidden === true ? 'allow and deny policies' : 'allow policies') : 'deny policies';
  if ((resources ?? []).length === 0) return [`You may not read the policies that decide this${allowPoliciesHidden === true ? ', or there is no such resource' : ''}.`];
  return [`There are ${what} above or beside what is shown that you may not read.`];
}

/** `project demo`, `service account x@demo.iam.gserviceaccount.com`, `job hello (us-central1, demo)`. */
export function shortResource(name: string): string {
  const { host = '', path = '' } = /^\/\/(?<host>[^/]+)\/(?<path>.*)$/.exec(name)?.groups ?? {};
  const [kind = '', id = '', second, third = '', fourth, fifth = ''] = path.split('/');
  if (host === 'cloudresourcemanager.googleapis.com' && second === undefined) return `${KINDS[kind] ?? kind} ${id}`;
  if (host === 'iam.googleapis.com' && second === 'serviceAccounts') return `service account ${third}`;
  if (host === 'run.googleapis.com' && second === 'locations' && fourth === 'jobs' && path.split('/').length === 6) return `job ${fifth} (${third}, project ${id})`;
  return name;
}

const KINDS: Readonly<Record<string, string>> = { projects: 'project', folders: 'folder', organizations: 'organization', tagKeys: 'tag key', tagValues: 'tag value' };

function describeResource({ allowPolicyHidden, bindings = [], denyRules = [] }: WhyResource): string[] {
  const lines = denyRules.filter(({ namesPermission }) => namesPermission === true).flatMap(describeRule);
  if (allowPolicyHidden === true) lines.push('? its allow policy is not yours to read');
  lines.push(...bindings.filter(({ roleState }) => roleState !== 'DOES_NOT_HOLD').flatMap(describeBinding));
  const others = bindings.filter(({ roleState, membership }) => roleState === 'DOES_NOT_HOLD' && membership === 'INCLUDED');
  if (others.length > 0) lines.push(`- also bound here, without the permission: ${[...new Set(others.map(({ role }) => role ?? ''))].join(', ')}`);
  return lines.length === 0 ? ['- nothing here concerns it'] : lines;
}

/** Members that are shown of a binding that does not name the principal. */
const MOST_MEMBERS = 4;

function describeBinding(binding: WhyBinding): string[] {
  const { role = '', members = [], roleState, membership, path = [], access } = binding;
  const holds = roleState === 'ROLE_UNKNOWN' ? 'is not known here, and grants nothing' : 'holds it';
  const shown = members.length > MOST_MEMBERS ? `${members.slice(0, MOST_MEMBERS).join(', ')} and ${members.length - MOST_MEMBERS} more` : members.join(', ');
  const condition = describeCondition(binding.condition?.title, binding.conditionResult);
  if (membership === 'NOT_INCLUDED') return [`- ${role} ${holds}, but is bound to ${shown} alone`, ...(condition.length > 0 ? condition.slice(0, 1) : [])];
  if (membership === 'MEMBER_UNKNOWN') return [`? ${role} ${holds}, bound to ${shown}; who is in these groups is not yours to read`, ...condition];
  const way = path.length > 1 ? `, by way of ${path.join(' > ')}` : '';
  const who = path.length > 1 ? '' : `, bound to ${members.find((member) => member === path[0]) ?? path[0] ?? shown}`;
  return [`${access === 'GRANTED' ? '+' : '-'} ${role} ${access === 'GRANTED' ? 'grants it' : holds}${who}${way}`, ...condition];
}

function describeCondition(title: string | undefined, result: ConditionResult | undefined): string[] {
  if (result === undefined) return title === undefined ? [] : [`    under the condition "${title}"`];
  const said = result.result === 'failed' ? `cannot be evaluated: ${result.reason ?? ''}` : `is ${result.result ?? 'unknown'}`;
  const clauses = (result.clauses ?? []).length > 1 ? (result.clauses ?? []) : [];
  const clause = result.clauses?.length === 1 ? [`        ${result.clauses[0]?.expression ?? ''}`] : [];
  return [`    the condition "${title ?? ''}" ${said}`, ...clause, ...clauses.map(({ expression = '', result: value = '' }) => `        ${expression}  ->  ${value}`)];
}

function describeRule(rule: WhyDenyRule): string[] {
  const name = `deny rule ${(rule.rule ?? 0) + 1} of ${rule.policy?.split('/').at(-1) ?? ''}${rule.description ? ` ("${rule.description}")` : ''}`;
  const condition = describeCondition(rule.condition?.title, rule.conditionResult);
  if (rule.state === 'DENIED') return [`! ${name} denies it`, ...condition];
  if (rule.state === 'DENY_UNKNOWN') return [`? ${name} may deny it; who is in its groups is not yours to read`, ...condition];
  if (rule.denied === 'NOT_INCLUDED') return [`- ${name} denies it to others`];
  if (rule.excepted === 'INCLUDED') return [`- ${name} excepts the principal`];
  return [`- ${name} does not apply`, ...condition];
}
