/** The group `resource-manager liens`: what keeps a project from being deleted. A client of Resource Manager v1. */
import { RESOURCE_MANAGER_V1 } from '../api.ts';
import { type CliCommand, defineCommand, defineGroup, type ListFlags, onRun, requiredFlag, type Shell } from '../command.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { collectList } from '../values.ts';
import { printYaml } from './operations.ts';

interface Lien {
  readonly name?: string;
  readonly restrictions?: readonly string[];
  readonly reason?: string;
  readonly origin?: string;
}

interface LienFlags {
  readonly restrictions?: readonly string[];
  readonly reason?: string;
  readonly origin?: string;
}

const COLUMNS = [column<Lien>('NAME', (lien) => shortName(lien.name)), column<Lien>('ORIGIN', (lien) => lien.origin ?? ''), column<Lien>('REASON', (lien) => lien.reason ?? '')];

export function registerLiens(parent: CliCommand, shell: Shell): void {
  const group = defineGroup(parent, 'liens', 'what keeps projects from being deleted');
  const create = defineCommand(group, 'create', {
    summary: 'keep a project from being deleted',
    examples: ['actas resource-manager liens create --restrictions=resourcemanager.projects.delete --reason="production"'],
  })
    .option('--restrictions <list>', 'what nobody may do while the lien is there: resourcemanager.projects.delete', collectList)
    .option('--reason <text>', 'why, for people')
    .option('--origin <text>', 'who placed it (default: the caller)');
  onRun<LienFlags>(create, shell, async (session) => {
    const parentName = `projects/${await session.project()}`;
    const { reason, origin } = session.flags;
    const restrictions = requiredFlag(session.flags.restrictions?.join(','), '--restrictions <list>').split(',');
    const from = origin ?? (await session.target()).principal ?? 'actas';
    const lien = await (await session.api()).send<Lien>('POST', RESOURCE_MANAGER_V1, 'liens', { parent: parentName, restrictions, reason, origin: from });
    session.terminal.note(`Created lien [${shortName(lien.name)}].`);
    await printYaml(session, lien);
  });

  const list = addListFlags(defineCommand(group, 'list', { summary: "list a project's liens", examples: ['actas resource-manager liens list --project=demo'] }));
  onRun<ListFlags>(list, shell, async (session) => {
    const query = { parent: `projects/${await session.project()}` };
    const found = await (await session.api()).list<Lien>(RESOURCE_MANAGER_V1, 'liens', 'liens', { query, limit: serverLimit(session.flags) });
    await showList(session, found, COLUMNS, 'No liens here.');
  });

  const remove = defineCommand(group, 'delete <lien>', {
    summary: 'remove a lien',
    examples: ['actas resource-manager liens delete p123456789012-l4c5520899e37c4db7bfeecfaf268f103'],
  });
  onRun(remove, shell, async (session, given) => {
    await session.project();
    const name = given.startsWith('liens/') ? given : `liens/${given}`;
    await (await session.api()).send('DELETE', RESOURCE_MANAGER_V1, name);
    session.terminal.note(`Deleted lien [${shortName(name)}].`);
  });
}

function shortName(name: string | undefined): string {
  return (name ?? '').replace(/^liens\//, '');
}
