/** The group `projects`. A client of Resource Manager v3. */
import { type Command, Option } from 'commander';
import { type Operation, RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';

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
    const found = await (await session.api()).list<Project>(RESOURCE_MANAGER, 'projects:search', 'projects', { limit: serverLimit(session.flags) });
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

interface CreateFlags {
  readonly name?: string;
  readonly folder?: string;
  readonly organization?: string;
}

function registerCreate(group: CliCommand, shell: Shell): void {
  const create = defineCommand(group, 'create <project-id>', {
    summary: 'create a project',
    examples: ['actas projects create staging --folder=222222222222', 'actas projects create staging --organization=111111111111 --name="Staging area"'],
  })
    .option('--name <text>', 'display name (default: the id)')
    .option('--folder <id>', 'the folder that it lies in')
    .addOption(new Option('--organization <id>', 'the organization that it lies in').conflicts('folder'));
  onRun<CreateFlags>(create, shell, async (session, id) => {
    const { terminal, flags } = session;
    // Announces the target; the new project itself is named by the argument.
    await session.project();
    const parent = flags.folder !== undefined ? `folders/${bare(flags.folder)}` : flags.organization !== undefined ? `organizations/${bare(flags.organization)}` : undefined;
    const api = await session.api();
    const stages = terminal.stages();
    await stages.start(`Creating project [${id}]...`);
    try {
      const operation = await api.send<Operation>('POST', RESOURCE_MANAGER, 'projects', {
        projectId: id,
        displayName: flags.name ?? id,
        ...(parent === undefined ? {} : { parent }),
      });
      const project = await api.finish<Project>(RESOURCE_MANAGER, operation);
      stages.done();
      if (session.format !== undefined) return await printResource(terminal, session.format, project);
      terminal.note(
        `Created project [${project.projectId ?? id}], number ${project.name?.split('/').at(-1) ?? 'unknown'}.\nUse it with --project=${id}, or export ACTAS_PROJECT=${id}`,
      );
    } catch (error) {
      stages.fail();
      throw error;
    }
  });
}

function projectId(given: string): string {
  return given.replace(/^projects\//, '');
}

function bare(given: string): string {
  return given.replace(/^(?:folders|organizations)\//, '');
}
