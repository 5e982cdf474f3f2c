/** The group `resource-manager tags`: keys, values, what they are bound to, and what holds them. A client of Resource Manager v3. */
import { Option } from 'commander';
import { type Api, type Operation, RESOURCE_MANAGER } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { failure, usageFailure } from '../failure.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { type Policy, registerPolicy } from '../policy.ts';
import type { Session } from '../session.ts';
import { collectPairs } from '../values.ts';
import { finishOperation, printYaml } from './operations.ts';
import { registerTagBindings } from './tag-bindings.ts';

export interface Tag {
  readonly name?: string;
  readonly shortName?: string;
  readonly namespacedName?: string;
  readonly description?: string;
}

interface TagFlags {
  readonly parent?: string;
  readonly description?: string;
  readonly purpose?: string;
  readonly purposeData?: ReadonlyMap<string, string>;
}

/** What differs between keys and values. */
interface TagKind {
  readonly collection: 'tagKeys' | 'tagValues';
  /** The command group. */
  readonly group: 'keys' | 'values';
  readonly noun: 'tag key' | 'tag value';
  /** Parts of a namespaced name. */
  readonly parts: 2 | 3;
  readonly parentHelp: string;
  readonly example: string;
  readonly parentExample: string;
}

const KEYS: TagKind = {
  collection: 'tagKeys',
  group: 'keys',
  noun: 'tag key',
  parts: 2,
  parentHelp: 'organizations/NUMBER or projects/ID',
  example: '111111111111/env',
  parentExample: 'organizations/111111111111',
};
const VALUES: TagKind = {
  collection: 'tagValues',
  group: 'values',
  noun: 'tag value',
  parts: 3,
  parentHelp: 'the key: tagKeys/NUMBER or its namespaced name',
  example: '111111111111/env/prod',
  parentExample: '111111111111/env',
};

const COLUMNS = [column<Tag>('NAME', (tag) => tag.name ?? ''), column<Tag>('SHORT_NAME', (tag) => tag.shortName ?? ''), column<Tag>('DESCRIPTION', (tag) => tag.description ?? '')];

export function registerTags(parent: CliCommand, shell: Shell): void {
  const tags = defineGroup(parent, 'tags', 'tag keys and values, and what they are bound to');
  for (const kind of [KEYS, VALUES]) {
    const group = defineGroup(tags, kind.group, `${kind.noun}s and their policies`);
    registerCreate(group, shell, kind);
    registerReads(group, shell, kind);
    registerChanges(group, shell, kind);
    registerPolicy(
      group,
      shell,
      {
        noun: kind.noun,
        argument: '<name>',
        example: kind.example,
        async resolve(session, given) {
          await session.project();
          const name = await tagName(await session.api(), kind, given);
          return { shown: given, name };
        },
        get: (api, name) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } }),
        set: (api, name, policy, updateMask) => api.send<Policy>('POST', RESOURCE_MANAGER, `${name}:setIamPolicy`, { policy, ...(updateMask === undefined ? {} : { updateMask }) }),
      },
      `resource-manager tags ${kind.group}`,
    );
  }
  registerTagBindings(tags, shell);
  registerHolds(tags, shell);
}

/** `tagKeys/123` of that, or of a namespaced name. */
async function tagName(api: Api, { collection, parts, noun, example }: TagKind, given: string): Promise<string> {
  if (new RegExp(`^${collection}/\\d+$`).test(given)) return given;
  if (given.split('/').length !== parts)
    throw usageFailure(`'${given}' is not the name of a ${noun}.`, `Write ${collection}/NUMBER, or its namespaced name, for example ${example}.`);
  const found = await api.get<Tag>(RESOURCE_MANAGER, `${collection}/namespaced`, { name: given });
  return found.name ?? given;
}

/** @param given `tagValues/NUMBER`, or a namespaced name */
export async function tagValueName(session: Session, given: string): Promise<string> {
  return tagName(await session.api(), VALUES, given);
}

async function parentName(session: Session, kind: TagKind, given: string | undefined): Promise<string> {
  const parent = requiredFlag(given, '--parent <parent>');
  return kind === VALUES ? tagName(await session.api(), KEYS, parent) : parent;
}

function registerCreate(group: CliCommand, shell: Shell, kind: TagKind): void {
  const { collection, noun, parentHelp, parentExample } = kind;
  const create = defineCommand(group, 'create <short-name>', {
    summary: `create a ${noun}`,
    examples: [`actas resource-manager tags ${kind.group} create ${kind === KEYS ? 'env' : 'prod'} --parent=${parentExample}`],
  })
    .option('--parent <parent>', parentHelp)
    .option('--description <text>', 'for people');
  if (kind === KEYS) create.option('--purpose <purpose>', 'GCE_FIREWALL').option('--purpose-data <pairs>', 'what the purpose needs: network=PROJECT/NETWORK', collectPairs);
  onRun<TagFlags>(create, shell, async (session, shortName) => {
    await session.project();
    const { description, purpose, purposeData } = session.flags;
    const parent = await parentName(session, kind, session.flags.parent);
    const body = { parent, shortName, description, purpose, ...(purposeData === undefined ? {} : { purposeData: Object.fromEntries(purposeData) }) };
    const tag = await finishOperation<Tag>(session, RESOURCE_MANAGER, `Creating ${noun} [${shortName}]`, (api) => api.send<Operation>('POST', RESOURCE_MANAGER, collection, body));
    await printYaml(session, tag);
  });
}

function registerReads(group: CliCommand, shell: Shell, kind: TagKind): void {
  const prefix = `actas resource-manager tags ${kind.group}`;
  const list = addListFlags(defineCommand(group, 'list', { summary: `list ${kind.noun}s`, examples: [`${prefix} list --parent=${kind.parentExample}`] }));
  list.option('--parent <parent>', kind.parentHelp);
  onRun<ListFlags & TagFlags>(list, shell, async (session) => {
    await session.project();
    const parent = await parentName(session, kind, session.flags.parent);
    const found = await (await session.api()).list<Tag>(RESOURCE_MANAGER, kind.collection, kind.collection, { query: { parent }, limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, `No ${kind.noun}s here.`);
  });

  const describe = defineCommand(group, 'describe <name>', { summary: `show a ${kind.noun}`, examples: [`${prefix} describe ${kind.example}`] });
  onRun(describe, shell, async (session, given) => {
    await session.project();
    const api = await session.api();
    await printYaml(session, await api.get<Tag>(RESOURCE_MANAGER, await tagName(api, kind, given)));
  });
}

function registerChanges(group: CliCommand, shell: Shell, kind: TagKind): void {
  const prefix = `actas resource-manager tags ${kind.group}`;
  const update = defineCommand(group, 'update <name>', {
    summary: `change a ${kind.noun}'s description`,
    examples: [`${prefix} update ${kind.example} --description="Where it runs"`],
  });
  update.option('--description <text>', 'for people; empty removes it');
  onRun<TagFlags>(update, shell, async (session, given) => {
    const { description } = session.flags;
    if (description === undefined) throw failure('Nothing to change.', 'Name what: --description.');
    await session.project();
    const name = await tagName(await session.api(), kind, given);
    const tag = await finishOperation<Tag>(session, RESOURCE_MANAGER, `Updating ${kind.noun} [${given}]`, (api) =>
      api.send<Operation>('PATCH', RESOURCE_MANAGER, name, { description }, { updateMask: 'description' }),
    );
    await printYaml(session, tag);
  });

  const remove = defineCommand(group, 'delete <name>', { summary: `delete a ${kind.noun}`, examples: [`${prefix} delete ${kind.example}`] });
  onRun(remove, shell, async (session, given) => {
    await session.project();
    const name = await tagName(await session.api(), kind, given);
    if (!(await session.terminal.confirm(`You are about to delete ${kind.noun} [${given}]. Continue?`))) return;
    await finishOperation(session, RESOURCE_MANAGER, `Deleting ${kind.noun} [${given}]`, (api) => api.send<Operation>('DELETE', RESOURCE_MANAGER, name));
  });
}

interface Hold {
  readonly name?: string;
  readonly holder?: string;
  readonly origin?: string;
}

interface HoldFlags {
  readonly holder?: string;
  readonly origin?: string;
  readonly helpLink?: string;
}

const HOLD_COLUMNS = [column<Hold>('NAME', (hold) => hold.name ?? ''), column<Hold>('HOLDER', (hold) => hold.holder ?? ''), column<Hold>('ORIGIN', (hold) => hold.origin ?? '')];

function registerHolds(tags: CliCommand, shell: Shell): void {
  const group = defineGroup(tags, 'holds', 'uses of tag values that keep them from being deleted');
  const create = defineCommand(group, 'create <tag-value>', {
    summary: 'hold a tag value',
    examples: ['actas resource-manager tags holds create 111111111111/env/prod --holder=//compute.googleapis.com/projects/demo/regions/r/instanceGroupManagers/g'],
  })
    .option('--holder <name>', 'full resource name of what uses the value')
    .option('--origin <text>', 'who says so')
    .option('--help-link <url>', 'where to read how to end it');
  onRun<HoldFlags>(create, shell, async (session, given) => {
    const { origin, helpLink } = session.flags;
    const holder = requiredFlag(session.flags.holder, '--holder <name>');
    await session.project();
    const value = await tagValueName(session, given);
    const hold = await finishOperation<Hold>(session, RESOURCE_MANAGER, `Holding tag value [${given}]`, (api) =>
      api.send<Operation>('POST', RESOURCE_MANAGER, `${value}/tagHolds`, { holder, origin, helpLink }),
    );
    await printYaml(session, hold);
  });

  const list = addListFlags(
    defineCommand(group, 'list <tag-value>', { summary: "list a tag value's holds", examples: ['actas resource-manager tags holds list 111111111111/env/prod'] }),
  )
    .option('--holder <name>', 'those of this holder')
    .addOption(new Option('--origin <text>', 'those of this origin'));
  onRun<ListFlags & HoldFlags>(list, shell, async (session, given) => {
    const { holder, origin } = session.flags;
    await session.project();
    const value = await tagValueName(session, given);
    const terms = Object.entries({ holder, origin }).flatMap(([field, text]) => (text === undefined ? [] : [`${field}=${JSON.stringify(text)}`]));
    const query = terms.length === 0 ? {} : { filter: terms.join(' AND ') };
    const found = await (await session.api()).list<Hold>(RESOURCE_MANAGER, `${value}/tagHolds`, 'tagHolds', { query, limit: serverLimit(session.flags) });
    await showList(session, found, HOLD_COLUMNS, 'No holds here.');
  });

  const remove = defineCommand(group, 'delete <hold>', { summary: 'end a hold', examples: ['actas resource-manager tags holds delete tagValues/281470000000001/tagHolds/ID'] });
  onRun(remove, shell, async (session, name) => {
    await session.project();
    await finishOperation(session, RESOURCE_MANAGER, `Deleting hold [${name}]`, (api) => api.send<Operation>('DELETE', RESOURCE_MANAGER, name));
  });
}
