/** What changes folders: `resource-manager folders create|update|move|delete|undelete`. A client of Resource Manager v3. */
import { type Operation, RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, onRun, requiredFlag, type Shell } from '../command.ts';
import { addParentFlags, finishOperation, type ParentFlags, printYaml, requiredParent, withCollection } from './operations.ts';

interface Folder {
  readonly name?: string;
  readonly displayName?: string;
}

interface FolderFlags extends ParentFlags {
  readonly displayName?: string;
}

const PREFIX = 'actas resource-manager folders';

export function registerFolderChanges(group: CliCommand, shell: Shell): void {
  const create = defineCommand(group, 'create', { summary: 'create a folder', examples: [`${PREFIX} create --display-name="Data" --organization=111111111111`] });
  create.option('--display-name <text>', 'unique in its parent');
  addParentFlags(create, 'it lies in');
  onRun<FolderFlags>(create, shell, async (session) => {
    const displayName = requiredFlag(session.flags.displayName, '--display-name <text>');
    const parent = requiredParent(session.flags);
    await session.project();
    const folder = await finishOperation<Folder>(session, RESOURCE_MANAGER, `Creating folder [${displayName}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, 'folders', { displayName, parent }),
    );
    await printYaml(session, folder);
  });

  const update = defineCommand(group, 'update <folder-id>', { summary: 'rename a folder', examples: [`${PREFIX} update 222222222222 --display-name="Data 2"`] });
  update.option('--display-name <text>', 'unique in its parent');
  onRun<FolderFlags>(update, shell, async (session, given) => {
    const displayName = requiredFlag(session.flags.displayName, '--display-name <text>');
    await session.project();
    const folder = await finishOperation<Folder>(session, RESOURCE_MANAGER, `Updating folder [${given}]`, (api) =>
      api.send<Operation>('PATCH', RESOURCE_MANAGER, withCollection('folders', given), { displayName }, { updateMask: 'display_name' }),
    );
    await printYaml(session, folder);
  });

  const move = defineCommand(group, 'move <folder-id>', {
    summary: 'move a folder with all that is in it',
    examples: [`${PREFIX} move 222222222222 --organization=111111111111`],
  });
  addParentFlags(move, 'it is moved to');
  onRun<ParentFlags>(move, shell, async (session, given) => {
    const destinationParent = requiredParent(session.flags);
    await session.project();
    const folder = await finishOperation<Folder>(session, RESOURCE_MANAGER, `Moving folder [${given}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, `${withCollection('folders', given)}:move`, { destinationParent }),
    );
    await printYaml(session, folder);
  });
  registerFolderEnds(group, shell);
}

function registerFolderEnds(group: CliCommand, shell: Shell): void {
  const remove = defineCommand(group, 'delete <folder-id>', { summary: 'delete an empty folder; undelete brings it back', examples: [`${PREFIX} delete 222222222222`] });
  onRun(remove, shell, async (session, given) => {
    await session.project();
    if (!(await session.terminal.confirm(`You are about to delete folder [${given}]. Continue?`))) return;
    await finishOperation(session, RESOURCE_MANAGER, `Deleting folder [${given}]`, (api) => api.send<Operation>('DELETE', RESOURCE_MANAGER, withCollection('folders', given)));
    session.terminal.note(`Bring it back:  ${session.hint(`resource-manager folders undelete ${given}`)}`);
  });

  const undelete = defineCommand(group, 'undelete <folder-id>', { summary: 'bring a deleted folder back', examples: [`${PREFIX} undelete 222222222222`] });
  onRun(undelete, shell, async (session, given) => {
    await session.project();
    const folder = await finishOperation<Folder>(session, RESOURCE_MANAGER, `Restoring folder [${given}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, `${withCollection('folders', given)}:undelete`, {}),
    );
    await printYaml(session, folder);
  });
}
