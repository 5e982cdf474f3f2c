/** What every list command shares: `--filter`, `--sort-by`, `--limit` on the client as in gcloud, then a table for people or `--format`. */
import { Option } from 'commander';
import type { CliCommand, ListFlags } from './command.ts';
import { parseFilter, sortBy } from './filter.ts';
import { asJson, printList } from './format.ts';
import type { Session } from './session.ts';
import { integerBetween } from './values.ts';

export function addListFlags(command: CliCommand): CliCommand {
  return command
    .addOption(new Option('--filter <expression>', "show what matches: --filter='name:hello AND createTime>2026-01-01'"))
    .addOption(new Option('--sort-by <fields>', 'sort by these fields; a tilde reverses one: --sort-by=~createTime'))
    .option('--limit <count>', 'show at most this many', integerBetween(1, Number.MAX_SAFE_INTEGER));
}

/** How many to ask the server for: all, where a filter or an order is applied here. */
export function serverLimit(flags: ListFlags): number | undefined {
  return flags.filter === undefined && flags.sortBy === undefined ? flags.limit : undefined;
}

/** A column of a command's own table. */
export function column<T extends object>(label: string, read: (item: T) => string): TableColumn<T> {
  return { label, read };
}

export interface TableColumn<T extends object> {
  readonly label: string;
  readonly read: (item: T) => string;
}

/** @param none what to tell a person where there is nothing, on stderr */
export async function showList<T extends object>(session: Session<ListFlags>, items: readonly T[], columns: readonly TableColumn<T>[], none: string): Promise<void> {
  const { flags, format, terminal } = session;
  const shown = arranged(items, flags);
  const own = format === undefined || (format.kind === 'table' && format.columns.length === 0);
  if (!own) return printList(terminal, format, shown);
  if (shown.length === 0) return terminal.note(none);
  await terminal.table(
    columns.map((each) => each.label),
    shown.map((item) => columns.map((each) => each.read(item))),
  );
}

function arranged<T extends object>(items: readonly T[], flags: ListFlags): T[] {
  const predicate = flags.filter === undefined ? undefined : parseFilter(flags.filter);
  const kept = predicate === undefined ? items : items.filter((item) => predicate(asJson(item)));
  if (flags.sortBy === undefined) return kept.slice(0, flags.limit ?? kept.length);
  const byJson = new Map(kept.map((item) => [asJson(item), item]));
  const ordered = sortBy([...byJson.keys()], flags.sortBy).flatMap((json) => byJson.get(json) ?? []);
  return ordered.slice(0, flags.limit ?? ordered.length);
}
