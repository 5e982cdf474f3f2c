/** The group `groups`, and the same as `identity groups`, where gcloud has it. A client of actas's own API. */
import { type Command, Option } from 'commander';
import { ACTAS, type Api, RESOURCE_MANAGER } from './api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from './command.ts';
import { failure, isApiFailure, usageFailure } from './failure.ts';
import { parseFormat, printResource } from './format.ts';
import { addListFlags, column, serverLimit, showList } from './listing.ts';
import type { Session } from './session.ts';
import { collectList } from './values.ts';

interface Group {
  readonly name?: string;
  readonly email?: string;
  readonly displayName?: string;
  readonly description?: string;
}

interface GroupFlags {
  readonly organization?: string;
  readonly displayName?: string;
  readonly description?: string;
}
interface MemberFlags {
  readonly organization?: string;
  readonly groupEmail?: string;
  readonly memberEmail?: readonly string[];
  readonly transitive?: boolean;
}

const COLUMNS = [column<Group>('EMAIL', (group) => group.email ?? ''), column<Group>('DISPLAY_NAME', (group) => group.displayName ?? '')];
const MEMBER_COLUMNS = [column<{ readonly member: string }>('MEMBER', ({ member }) => member)];

export function registerGroupCommands(program: Command, shell: Shell): void {
  registerGroups(program, shell, 'groups');
}

export function registerIdentity(program: Command, shell: Shell): void {
  registerGroups(defineGroup(program, 'identity', 'groups, in the words of gcloud'), shell, 'identity groups');
}

function registerGroups(parent: Command, shell: Shell, prefix: string): void {
  const group = defineGroup(parent, 'groups', 'groups and their members');
  registerCreate(group, shell, prefix);
  registerReads(group, shell, prefix);
  registerChanges(group, shell, prefix);
  registerMemberships(defineGroup(group, 'memberships', 'the members of a group'), shell, `${prefix} memberships`);
}

function withOrganization(command: CliCommand): CliCommand {
  return command.option('--organization <organization>', 'number or domain of the organization (default: the one called like the domain of the address, or the only one)');
}

function registerCreate(group: CliCommand, shell: Shell, prefix: string): void {
  const create = withOrganization(
    defineCommand(group, 'create <email>', { summary: 'create a group', examples: [`actas ${prefix} create team@example.com --display-name="The team"`] }),
  )
    .option('--display-name <text>', 'for people')
    .option('--description <text>', 'what it is for');
  onRun<GroupFlags>(create, shell, async (session, email) => {
    const parent = await organizationOf(session, email);
    const { displayName, description } = session.flags;
    const made = await (await session.api()).send<Group>('POST', ACTAS, `${parent}/groups`, { email, displayName, description });
    session.terminal.note(`Created group [${email}].`);
    await print(session, made);
  });
}

function registerReads(group: CliCommand, shell: Shell, prefix: string): void {
  const list = withOrganization(addListFlags(defineCommand(group, 'list', { summary: "list an organization's groups", examples: [`actas ${prefix} list`] })));
  onRun<GroupFlags & ListFlags>(list, shell, async (session) => {
    const parent = await organizationOf(session, undefined);
    const found = await (await session.api()).list<Group>(ACTAS, `${parent}/groups`, 'groups', { limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, 'No groups here.');
  });
  const describe = withOrganization(defineCommand(group, 'describe <email>', { summary: 'show a group', examples: [`actas ${prefix} describe team@example.com`] }));
  onRun<GroupFlags>(describe, shell, async (session, email) => {
    await print(session, await (await session.api()).get<Group>(ACTAS, await groupName(session, email)));
  });
}

function registerChanges(group: CliCommand, shell: Shell, prefix: string): void {
  const update = withOrganization(
    defineCommand(group, 'update <email>', { summary: "change a group's display name or description", examples: [`actas ${prefix} update team@example.com --display-name=Team`] }),
  )
    .option('--display-name <text>', 'for people; empty removes it')
    .option('--description <text>', 'what it is for; empty removes it');
  onRun<GroupFlags>(update, shell, async (session, email) => {
    const { displayName, description } = session.flags;
    const mask = [...(displayName === undefined ? [] : ['displayName']), ...(description === undefined ? [] : ['description'])];
    if (mask.length === 0) throw failure('Nothing to change.', 'Name what: --display-name, --description.');
    const updated = await (await session.api()).send<Group>('PATCH', ACTAS, await groupName(session, email), { displayName, description }, { updateMask: mask.join(',') });
    session.terminal.note(`Updated group [${email}].`);
    await print(session, updated);
  });
  const remove = withOrganization(
    defineCommand(group, 'delete <email>', { summary: 'delete a group, and with it what its members have through it', examples: [`actas ${prefix} delete team@example.com`] }),
  );
  onRun<GroupFlags>(remove, shell, async (session, email) => {
    const name = await groupName(session, email);
    if (!(await session.terminal.confirm(`You are about to delete group [${email}]. Its members lose what they have through it. Continue?`))) return;
    await (await session.api()).send('DELETE', ACTAS, name);
    session.terminal.note(`Deleted group [${email}].`);
  });
}

function registerMemberships(group: CliCommand, shell: Shell, prefix: string): void {
  const make = (name: string, summary: string, example: string): CliCommand =>
    withOrganization(defineCommand(group, name, { summary, examples: [`actas ${prefix} ${name} --group-email=team@example.com${example}`] })).option(
      '--group-email <email>',
      'the group',
    );
  const withMember = (command: CliCommand): CliCommand =>
    command.addOption(new Option('--member-email <member>', 'address of a user, service account or group; several are parted by commas').argParser(collectList));

  const list = addListFlags(make('list', 'list the members of a group', '')).option('--transitive', 'those of member groups too');
  onRun<MemberFlags & ListFlags>(list, shell, async (session) => {
    const name = await groupName(session, requiredFlag(session.flags.groupEmail, '--group-email <email>'));
    const members = await listMembers(await session.api(), name, session.flags.transitive === true);
    await showList(
      session,
      members.map((member) => ({ member })),
      MEMBER_COLUMNS,
      'This group has no members.',
    );
  });

  for (const { verb, method, done } of [
    { verb: 'add', method: 'addMembers', done: 'Added' },
    { verb: 'delete', method: 'removeMembers', done: 'Removed' },
  ] as const) {
    const command = withMember(make(verb, verb === 'add' ? 'add members to a group' : 'take members out of a group', ' --member-email=dev@example.com'));
    onRun<MemberFlags>(command, shell, async (session) => {
      const { groupEmail, memberEmail } = session.flags;
      const email = requiredFlag(groupEmail, '--group-email <email>');
      const given = memberEmail ?? [];
      if (given.length === 0) throw usageFailure("required option '--member-email <member>' not specified");
      const name = await groupName(session, email);
      const api = await session.api();
      const members = await Promise.all(given.map((one) => memberOf(api, name, one)));
      const answer = await api.send<{ added?: string[]; removed?: string[] }>('POST', ACTAS, `${name}:${method}`, { members });
      const changed = answer.added ?? answer.removed ?? [];
      session.terminal.note(changed.length === 0 ? `Nothing changed in group [${email}].` : `${done} ${changed.join(', ')} ${verb === 'add' ? 'to' : 'from'} group [${email}].`);
      if (session.format !== undefined) await printResource(session.terminal, session.format, answer);
    });
  }
}

/** Members are plain text, and come in pages. */
export async function listMembers(api: Api, name: string, transitive: boolean): Promise<string[]> {
  const members: string[] = [];
  let pageToken: string | undefined;
  do {
    const page: { members?: string[]; nextPageToken?: string } = await api.get(ACTAS, `${name}/members`, { pageSize: 1000, pageToken, ...(transitive ? { transitive } : {}) });
    members.push(...(page.members ?? []));
    pageToken = page.nextPageToken || undefined;
  } while (pageToken !== undefined);
  return members;
}

/** An address alone does not say what it is of: service accounts are told by their domain, groups by being there. */
async function memberOf(api: Api, group: string, given: string): Promise<string> {
  if (/^[a-zA-Z]+:/.test(given)) return given;
  if (/(?:^|[.@])gserviceaccount\.com$/.test(given)) return `serviceAccount:${given}`;
  const other = `${group.slice(0, group.lastIndexOf('/'))}/${given}`;
  try {
    await api.get<Group>(ACTAS, other);
    return `group:${given}`;
  } catch (error) {
    // Who may not read groups can still name one as group:EMAIL.
    if (isApiFailure(error, 'NOT_FOUND') || isApiFailure(error, 'PERMISSION_DENIED') || isApiFailure(error, 'INVALID_ARGUMENT')) return `user:${given}`;
    throw error;
  }
}

async function groupName(session: Session<{ readonly organization?: string }>, email: string): Promise<string> {
  if (/^organizations\/[^/]+\/groups\/[^/]+$/.test(email)) {
    await session.project();
    return email;
  }
  return `${await organizationOf(session, email)}/groups/${email}`;
}

/** `organizations/NUMBER`. */
async function organizationOf(session: Session<{ readonly organization?: string }>, email: string | undefined): Promise<string> {
  await session.project();
  const given = session.flags.organization?.replace(/^organizations\//, '');
  if (given !== undefined && /^\d+$/.test(given)) return `organizations/${given}`;
  const found = await (await session.api()).list<{ name?: string; displayName?: string }>(RESOURCE_MANAGER, 'organizations:search', 'organizations', {});
  const domain = given ?? email?.slice(email.indexOf('@') + 1).toLowerCase();
  const organization = found.find(({ displayName }) => displayName === domain) ?? (given === undefined && found.length === 1 ? found[0] : undefined);
  if (organization?.name === undefined)
    throw usageFailure(
      given === undefined ? 'Which organization? Add --organization=NUMBER.' : `No organization that you may see is called '${given}'.`,
      ...found.map(({ name, displayName }) => `  ${name?.split('/').at(-1) ?? ''}  ${displayName ?? ''}`),
    );
  return organization.name;
}

async function print(session: Session, group: Group): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), group);
}
