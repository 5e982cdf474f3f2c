/**
 * The allow policy of any resource: `get-iam-policy`, `set-iam-policy`, `add-iam-policy-binding`, `remove-iam-policy-binding`.
 * A binding is added by read, change, write with the etag that was read; a concurrent change (ABORTED) starts again.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { Option } from 'commander';
import type { Api } from './api.ts';
import { type CliCommand, type CommandWords, defineCommand, type ListFlags, onRun, requiredFlag, type Shell } from './command.ts';
import { readDocument } from './documents.ts';
import { failure, isApiFailure, usageFailure } from './failure.ts';
import { parseFormat, printResource } from './format.ts';
import { isList, isRecord, type Json } from './json.ts';
import { addListFlags, showList } from './listing.ts';
import { splitOutside } from './projection.ts';
import type { Session } from './session.ts';

export interface Condition {
  title?: string;
  description?: string;
  expression?: string;
}

export interface Binding {
  role?: string;
  members?: string[];
  condition?: Condition;
}

export interface Policy {
  version?: number;
  etag?: string;
  bindings?: Binding[];
  auditConfigs?: object[];
}

/** Reaches the policy of one kind of resource. */
export interface PolicyKind {
  /** `job`, `service account`: for the words. */
  readonly noun: string;
  /** The positional argument, `<job>`. */
  readonly argument: string;
  readonly example: string;
  /** Region or other flags of this kind. */
  flags?(command: CliCommand): CliCommand;
  /** @returns what to print as the resource's name, and its resource name */
  resolve(session: Session, given: string): Promise<{ readonly shown: string; readonly name: string }>;
  get(api: Api, name: string): Promise<Policy>;
  set(api: Api, name: string, policy: Policy, updateMask: string | undefined): Promise<Policy>;
}

interface BindingFlags {
  readonly member?: string;
  readonly role?: string;
  readonly condition?: string;
  readonly conditionFromFile?: string;
  readonly all?: boolean;
}

export function registerPolicy(group: CliCommand, shell: Shell, kind: PolicyKind, prefix: string): void {
  const make = (name: string, words: CommandWords): CliCommand => {
    const command = defineCommand(group, name, words);
    return kind.flags?.(command) ?? command;
  };
  const get = make(`get-iam-policy ${kind.argument}`, {
    summary: `print a ${kind.noun}'s allow policy`,
    examples: [`actas ${prefix} get-iam-policy ${kind.example}`, `actas ${prefix} get-iam-policy ${kind.example} --format=json > policy.json`],
  });
  onRun<ListFlags>(addListFlags(get), shell, async (session, given) => {
    const { name } = await kind.resolve(session, given);
    const policy = await kind.get(await session.api(), name);
    const { filter, sortBy, limit } = session.flags;
    if (filter === undefined && sortBy === undefined && limit === undefined) return printPolicy(session, policy);
    await showList({ ...session, format: session.format ?? parseFormat('yaml') }, [policy], [], 'Nothing matches.');
  });

  const set = make(`set-iam-policy ${kind.argument} <file>`, {
    summary: `replace a ${kind.noun}'s allow policy by a JSON or YAML file`,
    description: `Replaces a ${kind.noun}'s allow policy by a JSON or YAML file; - reads from stdin. With the etag that get-iam-policy printed, a change made in between is refused instead of lost.`,
    examples: [`actas ${prefix} set-iam-policy ${kind.example} policy.json`],
  });
  onRun(set, shell, async (session, given, file) => {
    const { shown, name } = await kind.resolve(session, given);
    const policy = await readPolicy(session, file);
    if (policy.etag === undefined) session.terminal.warn('The file has no etag: a change made since it was read would be lost.');
    if (!(await session.terminal.confirm(`The allow policy of ${kind.noun} [${shown}] will be replaced. Continue?`))) return;
    const mask = Object.keys(policy)
      .filter((key) => key !== 'version')
      .join(',');
    const updated = await kind.set(await session.api(), name, { ...policy, version: 3 }, mask);
    session.terminal.note(`Updated IAM policy for ${kind.noun} [${shown}].`);
    await printPolicy(session, updated);
  });

  for (const verb of ['add', 'remove'] as const) {
    const summary = verb === 'add' ? `grant a role on a ${kind.noun}` : `take a role on a ${kind.noun} away`;
    const command = make(`${verb}-iam-policy-binding ${kind.argument}`, {
      summary,
      examples: [`actas ${prefix} ${verb}-iam-policy-binding ${kind.example} --member=user:alice@example.com --role=roles/viewer`],
    })
      .option('--member <member>', 'user:EMAIL, serviceAccount:EMAIL, group:EMAIL, domain:DOMAIN, allUsers, ...')
      .option('--role <role>', 'roles/run.developer, projects/PROJECT/roles/ROLE')
      .option('--condition <condition>', `expression=EXPRESSION,title=TITLE,description=DESCRIPTION; None: without`)
      .addOption(new Option('--condition-from-file <file>', 'the same as a JSON or YAML file').conflicts('condition'));
    if (verb === 'remove') command.addOption(new Option('--all', 'whatever its condition').conflicts(['condition', 'conditionFromFile']));
    onRun<BindingFlags>(command, shell, (session, given) => changeBinding(session, kind, verb, given));
  }
}

const MOST_TRIES = 6;

async function changeBinding(session: Session<BindingFlags>, kind: PolicyKind, verb: 'add' | 'remove', given: string): Promise<void> {
  const { all } = session.flags;
  const member = requiredFlag(session.flags.member, '--member <member>');
  const role = requiredFlag(session.flags.role, '--role <role>');
  if (!/^(?:[a-zA-Z]+:.+|allUsers|allAuthenticatedUsers)$/.test(member))
    throw usageFailure(`'${member}' is not a member.`, 'Write user:EMAIL, serviceAccount:EMAIL, group:EMAIL, domain:DOMAIN, allUsers or allAuthenticatedUsers.');
  if (!/^(?:roles|(?:projects|organizations)\/[^/]+\/roles)\/[^/]+$/.test(role)) throw usageFailure(`'${role}' is not a role.`, `Did you mean roles/${role}?`);
  const condition = await readCondition(session);
  const { shown, name } = await kind.resolve(session, given);
  const api = await session.api();
  for (let attempt = 1; ; attempt += 1) {
    const policy = await kind.get(api, name);
    const bindings = structuredClone(policy.bindings ?? []);
    if (verb === 'add') addMember(bindings, role, member, condition);
    else if (!removeMember(bindings, role, member, condition, all === true))
      throw failure('Policy binding with the specified principal, role, and condition not found!', ...otherConditions(bindings, role, member));
    try {
      const updated = await kind.set(api, name, { ...policy, bindings: bindings.filter((binding) => (binding.members ?? []).length > 0), version: 3 }, undefined);
      session.terminal.note(`Updated IAM policy for ${kind.noun} [${shown}].`);
      return await printPolicy(session, updated);
    } catch (error) {
      if (!isApiFailure(error, 'ABORTED') || attempt === MOST_TRIES) throw error;
      await delay(50 * 2 ** attempt * (0.5 + Math.random()));
    }
  }
}

export function addMember(bindings: Binding[], role: string, member: string, condition: Condition | undefined): void {
  const binding = bindings.find((each) => each.role === role && sameCondition(each.condition, condition));
  if (binding === undefined) bindings.push({ role, members: [member], ...(condition === undefined ? {} : { condition }) });
  else if (!(binding.members ?? []).includes(member)) binding.members = [...(binding.members ?? []), member];
}

/** @returns whether there was anything to remove */
export function removeMember(bindings: readonly Binding[], role: string, member: string, condition: Condition | undefined, all: boolean): boolean {
  let found = false;
  for (const binding of bindings) {
    if (binding.role !== role || !(all || sameCondition(binding.condition, condition)) || !(binding.members ?? []).includes(member)) continue;
    binding.members = (binding.members ?? []).filter((each) => each !== member);
    found = true;
  }
  return found;
}

function otherConditions(bindings: readonly Binding[], role: string, member: string): string[] {
  const titles = bindings
    .filter((binding) => binding.role === role && (binding.members ?? []).includes(member))
    .map((binding) => binding.condition?.title ?? 'without a condition');
  return titles.length === 0 ? [] : [`There is one with another condition: ${titles.join(', ')}. Name it with --condition, or remove each with --all.`];
}

function sameCondition(left: Condition | undefined, right: Condition | undefined): boolean {
  return (left?.expression ?? '') === (right?.expression ?? '') && (left?.title ?? '') === (right?.title ?? '') && (left?.description ?? '') === (right?.description ?? '');
}

async function readCondition(session: Session<BindingFlags>): Promise<Condition | undefined> {
  const { condition, conditionFromFile } = session.flags;
  if (conditionFromFile !== undefined) return conditionOf(await readDocument(session, conditionFromFile));
  if (condition === undefined || condition === 'None') return undefined;
  const escape = /^\^([^^]+)\^/.exec(condition);
  const fields = splitOutside(condition.slice(escape?.[0].length ?? 0), escape?.[1]?.charAt(0) ?? ',').map((part): [string, string] => [
    part.slice(0, part.indexOf('=')).trim(),
    part.slice(part.indexOf('=') + 1).replace(/^(['"])(.*)\1$/s, '$2'),
  ]);
  return conditionOf(Object.fromEntries(fields));
}

function conditionOf(document: Json): Condition {
  const field = (name: string): string | undefined => (isRecord(document) && typeof document[name] === 'string' ? document[name] : undefined);
  const [expression, title, description] = [field('expression'), field('title'), field('description')];
  if (expression === undefined || title === undefined)
    throw usageFailure('A condition needs an expression and a title.', `For example --condition='expression=request.time < timestamp("2027-01-01T00:00:00Z"),title=until-2027'`);
  return { expression, title, ...(description === undefined ? {} : { description }) };
}

async function readPolicy(session: Session, file: string): Promise<Policy> {
  const document = await readDocument(session, file);
  if (!isRecord(document) || (document['bindings'] !== undefined && !isList(document['bindings'])))
    throw failure(`${file} does not hold an allow policy.`, 'It has the form that get-iam-policy prints: bindings, each with a role and its members, and an etag.');
  // Whatever the file holds is sent as it is; the server checks it.
  return document;
}

async function printPolicy(session: Session, policy: Policy): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), policy);
}
