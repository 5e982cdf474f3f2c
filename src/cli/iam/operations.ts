/** Operations of Resource Manager and Service Usage on the command line, and the flags that name a parent. */
import { Option } from 'commander';
import type { Api, Operation } from '../api.ts';
import type { CliCommand } from '../command.ts';
import { usageFailure } from '../failure.ts';
import { parseFormat, printResource } from '../format.ts';
import type { Session } from '../session.ts';

/** Starts an operation, shows that it goes on, and waits for its end. @returns its response */
export async function finishOperation<T extends object>(session: Session, prefix: string, title: string, start: (api: Api) => Promise<Operation>): Promise<T> {
  const api = await session.api();
  const stages = session.terminal.stages();
  await stages.start(`${title}...`);
  try {
    const response = await api.finish<T>(prefix, await start(api));
    stages.done();
    return response;
  } catch (error) {
    stages.fail();
    throw error;
  }
}

/** The resource as `--format` says, else as YAML. */
export async function printYaml(session: Session, resource: object): Promise<void> {
  await printResource(session.terminal, session.format ?? parseFormat('yaml'), resource);
}

export interface ParentFlags {
  readonly folder?: string;
  readonly organization?: string;
}

/** @param what `it lies in`, `it is moved to` */
export function addParentFlags(command: CliCommand, what: string): CliCommand {
  return command.option('--folder <id>', `the folder that ${what}`).addOption(new Option('--organization <id>', `the organization that ${what}`).conflicts('folder'));
}

/** @returns `folders/N` or `organizations/N`; undefined where neither was named */
export function parentOf(flags: ParentFlags): string | undefined {
  if (flags.folder !== undefined) return withCollection('folders', flags.folder);
  return flags.organization === undefined ? undefined : withCollection('organizations', flags.organization);
}

/** @throws usage where neither was named */
export function requiredParent(flags: ParentFlags): string {
  const parent = parentOf(flags);
  if (parent === undefined) throw usageFailure('Name the parent: --folder=ID or --organization=ID.');
  return parent;
}

/** `folders/5` of `5` or `folders/5`. */
export function withCollection(collection: string, given: string): string {
  return given.startsWith(`${collection}/`) ? given : `${collection}/${given}`;
}
