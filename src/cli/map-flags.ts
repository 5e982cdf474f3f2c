/** The flags by which gcloud changes a mapping: `--update-labels`, `--remove-labels`, `--clear-labels`. */
import { Option } from 'commander';
import type { CliCommand } from './command.ts';
import { collectList, collectPairs } from './values.ts';

/** A change of a mapping, as the three flags say it. */
export interface MapChange {
  readonly update?: ReadonlyMap<string, string> | undefined;
  readonly remove?: readonly string[] | undefined;
  readonly clear?: boolean | undefined;
}

/** @param name of the mapping in flags: `labels`, `version-aliases` */
export function addMapFlags(command: CliCommand, name: string): CliCommand {
  return command
    .addOption(new Option(`--update-${name} <pairs>`, `${name.replace('-', ' ')} to set: KEY=VALUE,...`).argParser(collectPairs))
    .addOption(new Option(`--remove-${name} <keys>`, `${name.replace('-', ' ')} to remove`).argParser(collectList))
    .option(`--clear-${name}`, `remove all ${name.replace('-', ' ')}, before others are set`);
}

export function isChange({ update, remove, clear }: MapChange): boolean {
  return update !== undefined || remove !== undefined || clear === true;
}

export function changedMap(before: Readonly<Record<string, string>>, { update, remove, clear }: MapChange): Record<string, string> {
  const kept = Object.entries(clear === true ? {} : before).filter(([key]) => remove?.includes(key) !== true);
  return Object.fromEntries([...kept, ...(update ?? [])]);
}
