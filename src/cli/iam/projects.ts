/** The group `projects`. A client of Resource Manager v3. */
import type { Command } from 'commander';
import { type Operation, RESOURCE_MANAGER, RESOURCE_MANAGER_V1 } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import { collectPairs } from '../values.ts';
import { addParentFlags, finishOperation, type ParentFlags, parentOf } from './operations.ts';
import { registerProjectChanges } from './project-changes.ts';

interface Project {
  readonly name?: string;
  readonly projectId?: string;
  readonly parent?: string;
  readonly state?: string;
  readonly displayName?: string;
}

const COLUMNS = [
  column<Project>('PROJECT_ID', (project) => project.projectId ?? ''),
  column<Project>('NAME', (project) => project.displayName ?? ''),
  column<Project>('PROJECT_NUMBER', (project) => project.name?.split('/').at(-1) ?? ''),
  column<Project>('PARENT', (project) => project.parent ?? ''),
];

export function registerProjects(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'projects', 'projects and their policies');
  const list = addListFlags(
    defineCommand(group, 'list', { summary: 'list the projects that the caller may see', examples: ['actas projects list', 'actas projects list --format="value(projectId)"'] }),
  );
  onRun<ListFlags>(list, shell, async (session) => {
    await session.project();
    const found = await (await session.api()).list<Project>(RESOURCE_MANAGER, 'projects:search', 'projects', {
      query: { query: 'state:ACTIVE' },
      limit: serverLimit(session.flags),
    });
    await showList(session, found, COLUMNS, 'No projects that you may see.');
  });

  const describe = defineCommand(group, 'describe <project-id>', {
    summary: 'show a project',
    examples: ['actas projects describe demo', 'actas projects describe demo --format="value(name.basename())"'],
  });
  onRun(describe, shell, async (session, given) => {
    await session.project();
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), await (await session.api()).get<Project>(RESOURCE_MANAGER, `projects/${projectId(given)}`));
  });
  registerCreate(group, shell);
  registerProjectChanges(group, shell);
  registerAncestors(group, shell);
  registerPolicy(
    group,
    shell,
    {
      noun: 'project',
      argument: '<project-id>',
      example: 'demo',
      async resolve(session, given) {
        await session.project();
        return { shown: projectId(given), name: `projects/${projectId(given)}` };
      },
      get: (api, name) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } }),
      set: (api, name, policy, updateMask) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
    },
    'projects',
  );
}

interface CreateFlags extends ParentFlags {
  readonly name?: string;
  readonly labels?: ReadonlyMap<string, string>;
}

function registerCreate(group: CliCommand, shell: Shell): void {
  const create = defineCommand(group, 'create <project-id>', {
    summary: 'create a project',
    examples: ['actas projects create staging --folder=222222222222', 'actas projects create staging --organization=111111111111 --name="Staging area"'],
  })
    .option('--name <text>', 'display name (default: the id)')
    .option('--labels <pairs>', 'KEY=VALUE,...', collectPairs);
  addParentFlags(create, 'it lies in');
  onRun<CreateFlags>(create, shell, async (session, id) => {
    const { terminal, flags } = session;
    // Announces the target; the new project itself is named by the argument.
    await session.project();
    const parent = parentOf(flags);
    const body = {
      projectId: id,
      displayName: flags.name ?? id,
      ...(flags.labels === undefined ? {} : { labels: Object.fromEntries(flags.labels) }),
      ...(parent === undefined ? {} : { parent }),
    };
    const project = await finishOperation<Project>(session, RESOURCE_MANAGER, `Creating project [${id}]`, (api) => api.send<Operation>('POST', RESOURCE_MANAGER, 'projects', body));
    if (session.format !== undefined) return await printResource(terminal, session.format, project);
    terminal.note(
      `Created project [${project.projectId ?? id}], number ${project.name?.split('/').at(-1) ?? 'unknown'}.\nUse it with --project=${id}, or export ACTAS_PROJECT=${id}`,
    );
  });
}

interface Ancestor {
  readonly resourceId?: { readonly type?: string; readonly id?: string };
}

const ANCESTOR_COLUMNS = [column<Ancestor>('ID', (ancestor) => ancestor.resourceId?.id ?? ''), column<Ancestor>('TYPE', (ancestor) => ancestor.resourceId?.type ?? '')];

function registerAncestors(group: CliCommand, shell: Shell): void {
  const ancestors = defineCommand(group, 'get-ancestors <project-id>', {
    summary: 'show the project and what it lies in, up to the organization',
    examples: ['actas projects get-ancestors demo'],
  });
  onRun(ancestors, shell, async (session, given) => {
    await session.project();
    const { ancestor = [] } = await (await session.api()).send<{ ancestor?: Ancestor[] }>('POST', RESOURCE_MANAGER_V1, `projects/${projectId(given)}:getAncestry`, {});
    await showList(session, ancestor, ANCESTOR_COLUMNS, 'It lies in nothing.');
  });
}

function projectId(given: string): string {
  return given.replace(/^projects\//, '');
}
