/**
 * How a command is declared: name, words, examples, flags, and what it does. Every command of the CLI is made by
 * `defineCommand`, so that each has examples, the common flags, and one way to fail.
 */
import { Command, Help, Option } from 'commander';
import { EXIT, usageFailure } from './failure.ts';
import type { Io } from './io.ts';
import { type CommonFlags, createSession, type Session } from './session.ts';
import { collectList } from './values.ts';

/** What the commands of one invocation share. */
export interface Shell {
  readonly io: Io;
  /** What the command that ran wants the process to exit with. */
  exitCode: number;
}

/** A command that remembers its examples. */
export class CliCommand extends Command {
  /** Whole command lines, without a prompt; a line that begins with `#` explains the next one. */
  examples: readonly string[] = [];
  /** Flags that gcloud has here and this program does not, each with the reason and what to do instead. */
  refusedFlags: Readonly<Record<string, string>> = {};
  /** What stands behind its own flags belongs to another program, and is handed on as it is. */
  passesOn = false;

  override createCommand(name?: string): CliCommand {
    return new CliCommand(name);
  }

  override createHelp(): Help {
    return new HelpWithExamples();
  }
}

class HelpWithExamples extends Help {
  /** A command's own flags first. */
  override visibleOptions(command: Command): Option[] {
    return super.visibleOptions(command).toSorted((left, right) => Number(left.helpGroupHeading === COMMON_GROUP) - Number(right.helpGroupHeading === COMMON_GROUP));
  }

  override formatHelp(command: Command, helper: Help): string {
    const text = super.formatHelp(command, helper);
    if (!(command instanceof CliCommand) || command.examples.length === 0) return text;
    return `${text}\n${helper.styleTitle('Examples:')}\n${command.examples.map((line) => `  ${line}`).join('\n')}\n`;
  }
}

export interface CommandWords {
  /** One line, as the group's help lists it. */
  readonly summary: string;
  /** More for the command's own help; the summary where absent. */
  readonly description?: string;
  readonly examples: readonly [string, ...string[]];
}

export const COMMON_GROUP = 'Common flags:';

/** Flags that may stand anywhere on the line, as gcloud's global flags may. `true` where a value follows. */
export const COMMON_FLAGS: Readonly<Record<string, boolean>> = {
  '--project': true,
  '--format': true,
  '--flatten': true,
  '--quiet': false,
  '-q': false,
  '--as': true,
  '--account': true,
  '--impersonate-service-account': true,
  '--data-dir': true,
  '--region': true,
};

/** gcloud's flags for every command that this program has no use for, each with what to do instead. */
export const REFUSED_EVERYWHERE: Readonly<Record<string, string>> = {
  '--access-token-file': 'put the token into ACTAS_TOKEN: ACTAS_TOKEN=$(cat FILE) actas ...',
  '--billing-project': 'nothing is billed here.',
  '--configuration': 'there are no named configurations. Set ACTAS_PROJECT, ACTAS_REGION and ACTAS_URL.',
  '--document': 'the help is by --help, the whole of it in docs/cli.md.',
  '--flags-file': 'write the flags on the line.',
  '--log-http': 'the control plane logs requests with actas up --log-level=debug.',
  '--trace-token': 'nothing is traced at Google.',
  '--user-output-enabled': 'use --quiet, and --format=none for no result.',
  '--no-user-output-enabled': 'use --quiet, and --format=none for no result.',
  '--verbosity': 'use --quiet for results alone.',
};

/** @param nameAndArgs commander's notation, `create <job>` */
export function defineCommand(group: Command, nameAndArgs: string, words: CommandWords): CliCommand {
  const command = group.command(nameAndArgs);
  if (!(command instanceof CliCommand)) throw new TypeError('A group must be made by defineGroup.');
  command.summary(words.summary).description(words.description ?? words.summary);
  command.examples = words.examples;
  const common = [
    new Option('--project <project>', "project (default: ACTAS_PROJECT, else the control plane's)"),
    new Option('--format <format>', 'json, yaml, table(...), value(...), csv(...), list, flattened, none; export for jobs'),
    new Option('--flatten <keys>', 'an item for each value of these lists: --flatten=bindings[].members').argParser(collectList),
    new Option('-q, --quiet', 'ask nothing, and print results only'),
    new Option('--as <principal>', 'call as this principal, for example user:alice@example.com'),
    new Option('--account <email>', 'as --as, in the words of gcloud').hideHelp(),
    new Option('--impersonate-service-account <accounts>', 'call as this service account, by its token; before it, separated by commas, delegates'),
    new Option('--data-dir <directory>', 'the control plane that runs on this directory'),
  ];
  for (const option of common) command.addOption(option.helpGroup(COMMON_GROUP));
  return command;
}

/** Adds `--region` to a command about Cloud Run resources. */
export function withRegion(command: CliCommand): CliCommand {
  return command.addOption(new Option('--region <region>', 'region (default: ACTAS_REGION, else us-central1)').helpGroup(COMMON_GROUP));
}

/**
 * The value of a flag that must be given. Not commander's own check, which comes before the one for unknown flags and so
 * would hide that `--imge` was meant for `--image`.
 * @throws usage
 */
export function requiredFlag(value: string | undefined, flag: string): string {
  if (value === undefined || value === '') throw usageFailure(`required option '${flag}' not specified`);
  return value;
}

export interface ListFlags {
  readonly filter?: string;
  readonly limit?: number;
  readonly sortBy?: string;
  /** Of the lists that have it: the addresses alone. */
  readonly uri?: boolean;
}

/** A group of commands, `run jobs`. It does nothing by itself. */
export function defineGroup(parent: Command, name: string, summary: string): CliCommand {
  const group = parent.command(name);
  if (!(group instanceof CliCommand)) throw new TypeError('A group must be made from a CliCommand.');
  group.summary(summary).description(summary);
  return group;
}

/**
 * What the command does. The flags' type must match the options declared beside it.
 * @param run gets the session and the positional arguments, required ones never empty; returns an exit code other than 0, or nothing
 */
export function onRun<F extends object>(
  command: CliCommand,
  shell: Shell,
  run: (session: Session<F>, first: string, second: string, third: string) => Promise<number | undefined | void>,
): CliCommand {
  command.action(async () => {
    const session = createSession<F>(shell.io, command.opts<F & CommonFlags>());
    const [first = '', second = '', third = ''] = command.args;
    shell.exitCode = (await run(session, first, second, third)) ?? EXIT.ok;
  });
  return command;
}

/** `run jobs create`, without the program's own name. */
export function commandPath(command: Command): string[] {
  const names: string[] = [];
  for (let at: Command | null = command; at?.parent != null; at = at.parent) names.unshift(at.name());
  return names;
}
