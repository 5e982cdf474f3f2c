/** What every list command shares: `--filter`, `--sort-by`, `--limit` on the client as in gcloud, then a table for people or `--format`. */
import { Option } from 'commander';
import type { CliCommand, ListFlags } from './command.ts';
import { parseFilter, sortBy } from './filter.ts';
import { flattened } from './flatten.ts';
import { asJson, type Format, printList } from './format.ts';
import { isRecord } from './json.ts';
import type { Session } from './session.ts';
import { integerBetween } from './values.ts';

/** @param uri whether what is listed has addresses to print */
export function addListFlags(command: CliCommand, uri = false): CliCommand {
  if (uri) command.option('--uri', "print the resources' addresses alone, as gcloud does");
  return command
    .addOption(new Option('--filter <expression>', "show what matches: --filter='name:hello AND createTime>2026-01-01'"))
    .addOption(new Option('--sort-by <fields>', 'sort by these fields; a tilde reverses one: --sort-by=~createTime'))
    .option('--limit <count>', 'show at most this many', integerBetween(1, Number.MAX_SAFE_INTEGER))
    .addOption(
      new Option('--page-size <count>', 'how many to ask for at once; makes no difference to what is shown').argParser(integerBetween(1, Number.MAX_SAFE_INTEGER)).hideHelp(),
    );
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
  // Filters and sorting see what `--flatten` makes.
  if (format !== undefined && format.flatten.length > 0)
    return printList(terminal, { ...format, flatten: [] }, arranged(flattened(items.map(asJson), format.flatten).filter(isRecord), flags));
  await showRows(session, arranged(items, flags), columns, none);
}

function isOwn(format: Format): boolean {
  return format.kind === 'table' && format.columns.length === 0;
}

/** The command's own table of what is left to show; or, with a format, that. */
export async function showRows<T extends object>(session: Session<ListFlags>, shown: readonly T[], columns: readonly TableColumn<T>[], none: string): Promise<void> {
  const { format, terminal } = session;
  if (format !== undefined && !isOwn(format)) return printList(terminal, format, shown);
  if (shown.length === 0) return terminal.note(none);
  await terminal.table(
    columns.map((each) => each.label),
    shown.map((item) => columns.map((each) => each.read(item))),
  );
}

/** What is left of a list after `--filter`, `--sort-by` and `--limit`. */
export function arranged<T extends object>(items: readonly T[], flags: ListFlags): T[] {
  const predicate = flags.filter === undefined ? undefined : parseFilter(flags.filter);
  const kept = predicate === undefined ? items : items.filter((item) => predicate(asJson(item)));
  if (flags.sortBy === undefined) return kept.slice(0, flags.limit ?? kept.length);
  const byJson = new Map(kept.map((item) => [asJson(item), item]));
  const ordered = sortBy([...byJson.keys()], flags.sortBy).flatMap((json) => byJson.get(json) ?? []);
  return ordered.slice(0, flags.limit ?? ordered.length);
}
