/** Folders and organizations: `resource-manager folders`, `resource-manager organizations`, and `organizations`, as gcloud has both. */
import { type Command, Option } from 'commander';
import { RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, type Shell } from '../command.ts';
import { parseFormat, printResource } from '../format.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import { registerFolderChanges } from './folders.ts';
import { registerLiens } from './liens.ts';
import { registerOrgPoliciesV1 } from './org-policies-v1.ts';
import { registerTags } from './tags.ts';

interface Container {
  readonly name?: string;
  readonly displayName?: string;
  readonly parent?: string;
  readonly state?: string;
}

type Collection = 'folders' | 'organizations';

const LIST_COLUMNS = [
  column<Container>('DISPLAY_NAME', (container) => container.displayName ?? ''),
  column<Container>('ID', (container) => container.name?.split('/').at(-1) ?? ''),
];
const FOLDER_COLUMNS = [LIST_COLUMNS[0], column<Container>('PARENT', (container) => container.parent ?? ''), LIST_COLUMNS[1]].filter((each) => each !== undefined);

export function registerResourceManager(program: Command, shell: Shell): void {
  const group = defineGroup(program, 'resource-manager', 'folders, organizations, tags, liens and policies');
  registerCollection(group, shell, 'folders', 'resource-manager folders');
  registerCollection(group, shell, 'organizations', 'resource-manager organizations');
  registerOrgPoliciesV1(group, shell);
  registerLiens(group, shell);
  registerTags(group, shell);
}

export function registerOrganizations(program: Command, shell: Shell): void {
  registerCollection(program, shell, 'organizations', 'organizations');
}

function registerCollection(parent: Command, shell: Shell, collection: Collection, prefix: string): void {
  const noun = collection === 'folders' ? 'folder' : 'organization';
  const example = collection === 'folders' ? '222222222222' : '111111111111';
  const group = defineGroup(parent, collection, `${collection} and their policies`);
  registerReads(group, shell, collection, prefix);
  if (collection === 'folders') registerFolderChanges(group, shell);
  registerPolicy(
    group,
    shell,
    {
      noun,
      argument: `<${noun}-id>`,
      example,
      async resolve(session, given) {
        await session.project();
        const name = given.startsWith(`${collection}/`) ? given : `${collection}/${given}`;
        return { name, shown: name.split('/').at(-1) ?? name };
      },
      get: (api, name) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } }),
      set: (api, name, policy, updateMask) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
    },
    prefix,
  );
}

interface FolderFlags extends ListFlags {
  readonly organization?: string;
  readonly folder?: string;
}

function registerReads(group: CliCommand, shell: Shell, collection: Collection, prefix: string): void {
  const noun = collection === 'folders' ? 'folder' : 'organization';
  const example = collection === 'folders' ? '222222222222' : '111111111111';
  const list = addListFlags(defineCommand(group, 'list', { summary: `list the ${collection} that the caller may see`, examples: [`actas ${prefix} list`] }));
  if (collection === 'folders')
    list.option('--organization <id>', 'those directly in this organization').addOption(new Option('--folder <id>', 'those directly in this folder').conflicts('organization'));
  onRun<FolderFlags>(list, shell, async (session) => {
    const { flags } = session;
    await session.project();
    const parent = flags.folder !== undefined ? `folders/${flags.folder}` : flags.organization !== undefined ? `organizations/${flags.organization}` : undefined;
    const api = await session.api();
    const options = { limit: serverLimit(flags) };
    const found =
      parent === undefined
        ? await api.list<Container>(RESOURCE_MANAGER, `${collection}:search`, collection, collection === 'folders' ? { ...options, query: { query: 'state:ACTIVE' } } : options)
        : await api.list<Container>(RESOURCE_MANAGER, collection, collection, { ...options, query: { parent } });
    await showList(session, found, collection === 'folders' ? FOLDER_COLUMNS : LIST_COLUMNS, `No ${collection} that you may see.`);
  });

  const describe = defineCommand(group, `describe <${noun}-id>`, { summary: `show ${noun === 'folder' ? 'a' : 'an'} ${noun}`, examples: [`actas ${prefix} describe ${example}`] });
  onRun(describe, shell, async (session, given) => {
    await session.project();
    const name = given.startsWith(`${collection}/`) ? given : `${collection}/${given}`;
    await printResource(session.terminal, session.format ?? parseFormat('yaml'), await (await session.api()).get<Container>(RESOURCE_MANAGER, name));
  });
}
