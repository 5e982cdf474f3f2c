/** What changes projects: `projects update|move|delete|undelete`. A client of Resource Manager v3. */
import { type Operation, RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, onRun, type Shell } from '../command.ts';
import { failure } from '../failure.ts';
import { addMapFlags, changedMap, isChange } from '../map-flags.ts';
import { addParentFlags, finishOperation, type ParentFlags, printYaml, requiredParent } from './operations.ts';

interface Project {
  readonly displayName?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

interface UpdateFlags {
  readonly name?: string;
  readonly updateLabels?: ReadonlyMap<string, string>;
  readonly removeLabels?: readonly string[];
  readonly clearLabels?: boolean;
}

export function registerProjectChanges(group: CliCommand, shell: Shell): void {
  const update = defineCommand(group, 'update <project-id>', {
    summary: "change a project's display name or labels",
    examples: ['actas projects update demo --name="Demonstration"', 'actas projects update demo --update-labels=env=dev --remove-labels=old'],
  }).option('--name <text>', 'display name');
  addMapFlags(update, 'labels');
  onRun<UpdateFlags>(update, shell, async (session, given) => {
    const { flags } = session;
    const change = { update: flags.updateLabels, remove: flags.removeLabels, clear: flags.clearLabels };
    const changesLabels = isChange(change);
    const mask = [...(flags.name === undefined ? [] : ['display_name']), ...(changesLabels ? ['labels'] : [])];
    if (mask.length === 0) throw failure('Nothing to change.', 'Name what: --name, --update-labels, --remove-labels, --clear-labels.');
    await session.project();
    const name = projectName(given);
    const before = changesLabels ? ((await (await session.api()).get<Project>(RESOURCE_MANAGER, name)).labels ?? {}) : {};
    const labels = changesLabels ? changedMap(before, change) : undefined;
    const project = await finishOperation<Project>(session, RESOURCE_MANAGER, `Updating project [${given}]`, (api) =>
      api.send<Operation>('PATCH', RESOURCE_MANAGER, name, { displayName: flags.name, labels }, { updateMask: mask.join(',') }),
    );
    await printYaml(session, project);
  });

  const move = defineCommand(group, 'move <project-id>', { summary: 'move a project', examples: ['actas projects move demo --organization=111111111111'] });
  addParentFlags(move, 'it is moved to');
  onRun<ParentFlags>(move, shell, async (session, given) => {
    const destinationParent = requiredParent(session.flags);
    await session.project();
    if (!(await session.terminal.confirm(`Project [${given}] will inherit other policies and tags under [${destinationParent}]. Continue?`))) return;
    const project = await finishOperation<Project>(session, RESOURCE_MANAGER, `Moving project [${given}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, `${projectName(given)}:move`, { destinationParent }),
    );
    await printYaml(session, project);
  });
  registerProjectEnds(group, shell);
}

function registerProjectEnds(group: CliCommand, shell: Shell): void {
  const remove = defineCommand(group, 'delete <project-id>', { summary: 'delete a project; undelete brings it back for 30 days', examples: ['actas projects delete staging'] });
  onRun(remove, shell, async (session, given) => {
    await session.project();
    if (!(await session.terminal.confirm(`Project [${given}] will be deleted, and its accounts stop working. Continue?`))) return;
    await finishOperation(session, RESOURCE_MANAGER, `Deleting project [${given}]`, (api) => api.send<Operation>('DELETE', RESOURCE_MANAGER, projectName(given)));
    session.terminal.note(`Bring it back within 30 days:  ${session.hint(`projects undelete ${given}`)}`);
  });

  const undelete = defineCommand(group, 'undelete <project-id>', { summary: 'bring a deleted project back', examples: ['actas projects undelete staging'] });
  onRun(undelete, shell, async (session, given) => {
    await session.project();
    const project = await finishOperation<Project>(session, RESOURCE_MANAGER, `Restoring project [${given}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, `${projectName(given)}:undelete`, {}),
    );
    await printYaml(session, project);
  });
}

function projectName(given: string): string {
  return given.startsWith('projects/') ? given : `projects/${given}`;
}
