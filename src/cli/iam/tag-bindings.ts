/** The group `resource-manager tags bindings`: which tags a resource has. */
import { type Operation, RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { finishOperation, printYaml } from './operations.ts';
import { tagValueName } from './tags.ts';

interface Binding {
  readonly name?: string;
  readonly parent?: string;
  readonly tagValue?: string;
}

interface EffectiveTag {
  readonly namespacedTagKey?: string;
  readonly namespacedTagValue?: string;
  readonly tagValue?: string;
  readonly inherited?: boolean;
}

interface BindingFlags {
  readonly parent?: string;
  readonly tagValue?: string;
  readonly location?: string;
  readonly effective?: boolean;
}

const COLUMNS = [column<Binding>('TAG_VALUE', (binding) => binding.tagValue ?? ''), column<Binding>('PARENT', (binding) => binding.parent ?? '')];
const EFFECTIVE_COLUMNS = [
  column<EffectiveTag>('TAG_KEY', (tag) => tag.namespacedTagKey ?? ''),
  column<EffectiveTag>('TAG_VALUE', (tag) => tag.namespacedTagValue ?? ''),
  column<EffectiveTag>('INHERITED', (tag) => (tag.inherited === true ? 'True' : 'False')),
];
const PARENT_HELP = 'full resource name, //cloudresourcemanager.googleapis.com/projects/123';
const EXAMPLE = '--tag-value=111111111111/env/prod --parent=//cloudresourcemanager.googleapis.com/projects/demo';

export function registerTagBindings(tags: CliCommand, shell: Shell): void {
  const group = defineGroup(tags, 'bindings', 'which tags a resource has');
  for (const verb of ['create', 'delete'] as const) {
    const command = defineCommand(group, verb, {
      summary: verb === 'create' ? 'tag a resource' : 'take a tag off a resource',
      examples: [`actas resource-manager tags bindings ${verb} ${EXAMPLE}`],
    })
      .option('--tag-value <name>', 'tagValues/NUMBER or its namespaced name')
      .option('--parent <name>', PARENT_HELP)
      .option('--location <location>', "the resource's region or zone; every one leads to the same bindings");
    onRun<BindingFlags>(command, shell, async (session) => {
      const given = requiredFlag(session.flags.tagValue, '--tag-value <name>');
      const parent = requiredFlag(session.flags.parent, '--parent <name>');
      await session.project();
      const tagValue = await tagValueName(session, given);
      if (verb === 'delete') {
        const name = `tagBindings/${encodeURIComponent(parent)}/${tagValue}`;
        await finishOperation(session, RESOURCE_MANAGER, `Taking [${given}] off`, (api) => api.send<Operation>('DELETE', RESOURCE_MANAGER, name));
        return;
      }
      const binding = await finishOperation<Binding>(session, RESOURCE_MANAGER, `Binding [${given}]`, (api) =>
        api.send<Operation>('POST', RESOURCE_MANAGER, 'tagBindings', { parent, tagValue }),
      );
      await printYaml(session, binding);
    });
  }

  const list = addListFlags(
    defineCommand(group, 'list', {
      summary: "list a resource's tags",
      examples: [
        'actas resource-manager tags bindings list --parent=//cloudresourcemanager.googleapis.com/projects/demo',
        'actas resource-manager tags bindings list --parent=//run.googleapis.com/projects/demo/locations/us-central1/jobs/hello --effective',
      ],
    }),
  )
    .option('--parent <name>', PARENT_HELP)
    .option('--effective', 'with those that it inherits')
    .option('--location <location>', "the resource's region or zone; every one leads to the same bindings");
  onRun<ListFlags & BindingFlags>(list, shell, async (session) => {
    const { flags } = session;
    const query = { parent: requiredFlag(flags.parent, '--parent <name>') };
    await session.project();
    const api = await session.api();
    const options = { query, limit: serverLimit(flags) };
    if (flags.effective === true)
      return showList(session, await api.list<EffectiveTag>(RESOURCE_MANAGER, 'effectiveTags', 'effectiveTags', options), EFFECTIVE_COLUMNS, 'No tags here.');
    await showList(session, await api.list<Binding>(RESOURCE_MANAGER, 'tagBindings', 'tagBindings', options), COLUMNS, 'No tags here.');
  });
}
