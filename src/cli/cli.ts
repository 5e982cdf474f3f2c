/** Runs one command line from its words to its exit code, in this process or in a test's. */
import { type Command, CommanderError } from 'commander';
import { CliCommand, commandPath, REFUSED_EVERYWHERE, type Shell } from './command.ts';
import { CliFailure, EXIT, usageFailure } from './failure.ts';
import type { Io } from './io.ts';
import { buildProgram, findCommand, firstWordAt, groupOf, hoistCommonFlags } from './program.ts';

/** @param line without node and script @returns the exit code; everything has been printed */
export async function runCli(line: readonly string[], io: Io): Promise<number> {
  // A line copied from gcloud's documentation may begin with a release track; there is one track here.
  const track = firstWordAt(line);
  const untracked = line[track] === 'alpha' || line[track] === 'beta' ? line.toSpliced(track, 1) : line;
  // commander's own `help` knows one level of commands only.
  const argv = untracked[0] === 'help' ? [...untracked.slice(1), '--help'] : untracked;
  const shell: Shell = { io, exitCode: EXIT.ok };
  const program = await buildProgram(shell, groupOf(argv));
  const command = findCommand(program, argv);
  const path = ['actas', ...commandPath(command)];
  setErrorOutput(program, io, path);
  try {
    await program.parseAsync(checkedFlags(command, hoistCommonFlags(program, argv)), { from: 'user' });
    return shell.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error);
    if (!(error instanceof CliFailure)) throw error;
    io.err.write(`ERROR: (${path.join('.')}) ${error.message}\n`);
    for (const line of error.lines) io.err.write(`${line}\n`);
    return error.exitCode;
  }
}

/**
 * What commander does not say well by itself: a flag of gcloud that is not served is refused with the reason, and an unknown
 * `--imge=busybox` is taken apart, since commander compares the whole word with its flags and would find nothing near it.
 * @throws usage
 */
function checkedFlags(command: Command, argv: readonly string[]): string[] {
  const checked: string[] = [];
  for (let at = 0; at < argv.length; at += 1) {
    const word = argv[at] ?? '';
    if (word === '--') return [...checked, ...argv.slice(at)];
    const isOwn =
      !(command instanceof CliCommand && command.passesOn) ||
      at < commandPath(command).length ||
      command.options.some(({ long, short }) => [long, short].includes(word.split('=', 1)[0]));
    if (!isOwn) return [...checked, ...argv.slice(at)];
    const [flag = ''] = word.split('=', 1);
    const known = command.options.find((option) => option.long === flag || option.short === flag);
    const refusal = refusalOf(command, flag);
    if (known === undefined && refusal !== undefined) throw usageFailure(`${flag} is not supported: ${refusal}`);
    const negated =
      known === undefined && word.startsWith('--no-') ? command.options.find(({ long, required }) => long === `--${word.slice('--no-'.length)}` && !required) : undefined;
    if (negated !== undefined) {
      // gcloud has it for every flag without a value: the last one counts.
      for (let before = checked.indexOf(negated.long ?? ''); before !== -1; before = checked.indexOf(negated.long ?? '')) checked.splice(before, 1);
    } else if (known !== undefined) {
      checked.push(word);
      if (known.required && word === flag && at + 1 < argv.length) checked.push(argv[(at += 1)] ?? '');
    } else if (flag.startsWith('--') && word !== flag) checked.push(flag, word.slice(flag.length + 1));
    else checked.push(word);
  }
  return checked;
}

function refusalOf(command: Command, flag: string): string | undefined {
  if (!(command instanceof CliCommand) || command.name() === 'up') return undefined;
  return command.refusedFlags[flag] ?? REFUSED_EVERYWHERE[flag];
}

/** commander has printed help, the version, or what is wrong with the line. */
function usageExit(error: CommanderError): number {
  return error.code === 'commander.helpDisplayed' || error.code === 'commander.version' ? EXIT.ok : EXIT.usage;
}

function setErrorOutput(program: Command, io: Io, path: readonly string[]): void {
  const outputError = (text: string): void => {
    io.err.write(`ERROR: (${path.join('.')}) ${text.replace(/^error: /, '')}`);
    io.err.write(`Run '${path.join(' ')} --help' for its flags.\n`);
  };
  // The settings are copied when a command is made, so each gets them by itself.
  const visit = (command: Command): void => {
    command.configureOutput({ outputError });
    for (const child of command.commands) visit(child);
  };
  visit(program);
}
