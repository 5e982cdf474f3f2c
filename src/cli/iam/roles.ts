/** The group `iam roles`. A client of google.iam.admin.v1. */
import { type Command, Option } from 'commander';
import { IAM } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { readDocument } from '../documents.ts';
import { failure, usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import { isList, isRecord } from '../json.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import type { Session } from '../session.ts';
import { collectList } from '../values.ts';
import { type RolePlace, roleName, roleParent, withOrganization } from './role-names.ts';

export interface Role {
  readonly name?: string;
  readonly title?: string;
  readonly description?: string;
  readonly stage?: string;
  readonly includedPermissions?: readonly string[];
  readonly etag?: string;
  readonly deleted?: boolean;
}

interface RoleFlags extends RolePlace {
  readonly title?: string;
  readonly description?: string;
  readonly stage?: string;
  readonly permissions?: readonly string[];
  readonly addPermissions?: readonly string[];
  readonly removePermissions?: readonly string[];
  readonly file?: string;
}

const STAGES = ['ALPHA', 'BETA', 'GA', 'DEPRECATED', 'DISABLED', 'EAP'];
export const ROLE_COLUMNS = [
  column<Role>('NAME', (role) => role.name ?? ''),
  column<Role>('TITLE', (role) => role.title ?? ''),
  column<Role>('STAGE', (role) => (role.deleted === true ? 'DELETED' : (role.stage ?? 'ALPHA'))),
];

export function registerRoles(iam: Command, shell: Shell): void {
  const group = defineGroup(iam, 'roles', 'custom roles, and what predefined ones hold');
  registerReads(group, shell);
  registerCreate(group, shell);
  registerUpdate(group, shell);
  registerDeletion(group, shell);
  registerCopy(group, shell);
}

function withContent(command: CliCommand): CliCommand {
  return command
    .option('--title <text>', 'for people')
    .option('--description <text>', 'what it is for')
    .addOption(new Option('--stage <stage>', STAGES.join(', ')).argParser((text: string) => text.toUpperCase()))
    .option('--permissions <permissions>', 'all that it holds: run.jobs.get,run.jobs.run', collectList)
    .addOption(new Option('--file <file>', 'the role as JSON or YAML; - reads from stdin').conflicts(['title', 'description', 'stage', 'permissions']));
}

function registerReads(group: CliCommand, shell: Shell): void {
  const list = withOrganization(
    addListFlags(
      defineCommand(group, 'list', {
        summary: 'list predefined roles, or the custom roles of a project or organization',
        description: 'Lists the custom roles of the project or organization that is named; where none is, the predefined roles.',
        examples: ['actas iam roles list --project=demo', 'actas iam roles list --organization=111111111111 --show-deleted', "actas iam roles list --filter='name:roles/run.'"],
      }),
    ),
  ).option('--show-deleted', 'deleted ones too');
  onRun<ListFlags & RolePlace & { readonly showDeleted?: boolean }>(list, shell, async (session) => {
    const { organization, project, showDeleted } = session.flags;
    const isCustom = organization !== undefined || project !== undefined;
    const path = isCustom ? `${await roleParent(session)}/roles` : 'roles';
    if (!isCustom) await session.project();
    const query = { pageSize: 1000, ...(showDeleted === true ? { showDeleted } : {}) };
    const found = await (await session.api()).list<Role>(IAM, path, 'roles', { query, limit: serverLimit(session.flags) });
    await showList(session, found, ROLE_COLUMNS, 'No custom roles here.');
  });
  const describe = withOrganization(
    defineCommand(group, 'describe <role>', {
      summary: 'show a role and its permissions',
      examples: ['actas iam roles describe roles/run.invoker', 'actas iam roles describe jobRunner --project=demo'],
    }),
  );
  onRun<RolePlace>(describe, shell, async (session, given) => print(session, await (await session.api()).get<Role>(IAM, await roleName(session, given))));
}

function registerCreate(group: CliCommand, shell: Shell): void {
  const create = withContent(
    withOrganization(
      defineCommand(group, 'create <role>', {
        summary: 'create a custom role',
        examples: [
          'actas iam roles create jobRunner --title="Job runner" --permissions=run.jobs.get,run.jobs.run',
          'actas iam roles create jobRunner --organization=111111111111 --file=role.yaml',
        ],
      }),
    ),
  );
  onRun<RoleFlags>(create, shell, async (session, roleId) => {
    const parent = await roleParent(session);
    const { name: _name, etag: _etag, ...role } = await contentOf(session);
    const made = await (await session.api()).send<Role>('POST', IAM, `${parent}/roles`, { roleId, role: { title: roleId, ...role } });
    session.terminal.note(`Created role [${roleId}].`);
    await print(session, made);
  });
}

function registerUpdate(group: CliCommand, shell: Shell): void {
  const update = withContent(
    withOrganization(
      defineCommand(group, 'update <role>', {
        summary: 'change a custom role',
        examples: [
          'actas iam roles update jobRunner --add-permissions=run.executions.cancel',
          'actas iam roles update jobRunner --stage=DISABLED',
          'actas iam roles update jobRunner --file=role.yaml',
        ],
      }),
    ),
  )
    .addOption(new Option('--add-permissions <permissions>', 'what it is to hold as well').argParser(collectList).conflicts(['permissions', 'file']))
    .addOption(new Option('--remove-permissions <permissions>', 'what it is not to hold any more').argParser(collectList).conflicts(['permissions', 'file']));
  onRun<RoleFlags>(update, shell, async (session, given) => {
    const name = await roleName(session, given);
    const api = await session.api();
    const { addPermissions, removePermissions } = session.flags;
    const { name: _name, ...content } = await contentOf(session);
    let role: Role = content;
    if (addPermissions !== undefined || removePermissions !== undefined) {
      // Read and written under one etag, so that what somebody else adds meanwhile is not lost.
      const before = await api.get<Role>(IAM, name);
      const taken = new Set(removePermissions);
      const permissions = [...(before.includedPermissions ?? []), ...(addPermissions ?? [])].filter((permission) => !taken.has(permission));
      role = { ...role, includedPermissions: [...new Set(permissions)].sort(), ...(before.etag === undefined ? {} : { etag: before.etag }) };
    }
    const mask = Object.keys(role).filter((key) => key !== 'etag');
    if (mask.length === 0) throw failure('Nothing to change.', 'Name what: --title, --description, --stage, --permissions, --add-permissions, --remove-permissions, --file.');
    const updated = await api.send<Role>('PATCH', IAM, name, role, { updateMask: mask.join(',') });
    session.terminal.note(`Updated role [${given}].`);
    await print(session, updated);
  });
}

function registerDeletion(group: CliCommand, shell: Shell): void {
  const remove = withOrganization(
    defineCommand(group, 'delete <role>', { summary: 'delete a custom role; undelete brings it back for 7 days', examples: ['actas iam roles delete jobRunner --project=demo'] }),
  );
  onRun<RolePlace>(remove, shell, async (session, given) => {
    const name = await roleName(session, given);
    if (!(await session.terminal.confirm(`You are about to delete role [${name}], and whoever has it will lose it. Continue?`))) return;
    const deleted = await (await session.api()).send<Role>('DELETE', IAM, name);
    session.terminal.note(`Deleted role [${given}]. Its id is taken for 37 days.`);
    await print(session, deleted);
  });
  const undelete = withOrganization(
    defineCommand(group, 'undelete <role>', { summary: 'bring a deleted custom role back', examples: ['actas iam roles undelete jobRunner --project=demo'] }),
  );
  onRun<RolePlace>(undelete, shell, async (session, given) => {
    const restored = await (await session.api()).send<Role>('POST', IAM, `${await roleName(session, given)}:undelete`, {});
    session.terminal.note(`Restored role [${given}].`);
    await print(session, restored);
  });
}

interface CopyFlags {
  readonly source?: string;
  readonly destination?: string;
  readonly sourceProject?: string;
  readonly sourceOrganization?: string;
  readonly destProject?: string;
  readonly destOrganization?: string;
}

function registerCopy(group: CliCommand, shell: Shell): void {
  const copy = defineCommand(group, 'copy', {
    summary: 'create a custom role from another role',
    examples: ['actas iam roles copy --source=roles/run.invoker --destination=jobRunner --dest-project=demo'],
  })
    .option('--source <role>', 'roles/ID, or the id of a custom role')
    .option('--destination <role>', 'the id of the new role')
    .option('--source-project <project>', 'the project that has the source')
    .addOption(new Option('--source-organization <number>', 'the organization that has the source').conflicts('sourceProject'))
    .option('--dest-project <project>', 'the project that gets the new role')
    .addOption(new Option('--dest-organization <number>', 'the organization that gets the new role').conflicts('destProject'));
  onRun<CopyFlags>(copy, shell, async (session) => {
    const { flags } = session;
    const source = requiredFlag(flags.source, '--source <role>');
    const destination = requiredFlag(flags.destination, '--destination <role>');
    const project = await session.project();
    const place = (organization: string | undefined, named: string | undefined) => (organization === undefined ? `projects/${named ?? project}` : `organizations/${organization}`);
    const name = source.includes('/') ? source : `${place(flags.sourceOrganization, flags.sourceProject)}/roles/${source}`;
    const api = await session.api();
    const { title = destination, description = '', stage, includedPermissions = [] } = await api.get<Role>(IAM, name);
    const role = { title, description, includedPermissions, ...(stage === undefined ? {} : { stage }) };
    const made = await api.send<Role>('POST', IAM, `${place(flags.destOrganization, flags.destProject)}/roles`, { roleId: destination, role });
    session.terminal.note(`Created role [${destination}].`);
    await print(session, made);
  });
}

/** What the flags or the file say of a role. Only what is said is in it. */
async function contentOf(session: Session<RoleFlags>): Promise<Role> {
  const { file, title, description, stage, permissions } = session.flags;
  if (stage !== undefined && !STAGES.includes(stage)) throw usageFailure(`'${stage}' is not a launch stage.`, `Use ${STAGES.join(', ')}.`);
  if (file === undefined)
    return {
      ...(title === undefined ? {} : { title }),
      ...(description === undefined ? {} : { description }),
      ...(stage === undefined ? {} : { stage }),
      ...(permissions === undefined ? {} : { includedPermissions: permissions }),
    };
  const document = await readDocument(session, file);
  if (!isRecord(document) || (document['includedPermissions'] !== undefined && !isList(document['includedPermissions'])))
    throw failure(`${file} does not hold a role.`, 'It has the form that describe prints: title, description, stage, includedPermissions.');
  const { deleted: _deleted, ...role } = document;
  // Whatever else the file holds is sent as it is; the server checks it.
  return role;
}

async function print(session: Session, role: Role): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), role);
}
