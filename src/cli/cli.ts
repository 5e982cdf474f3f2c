/** Runs one command line from its words to its exit code, in this process or in a test's. */
import { type Command, CommanderError } from 'commander';
import { commandPath, type Shell } from './command.ts';
import { CliFailure, EXIT } from './failure.ts';
import type { Io } from './io.ts';
import { buildProgram, findCommand, groupOf, hoistCommonFlags } from './program.ts';

/** @param argv without node and script @returns the exit code; everything has been printed */
export async function runCli(argv: readonly string[], io: Io): Promise<number> {
  const shell: Shell = { io, exitCode: EXIT.ok };
  const program = await buildProgram(shell, groupOf(argv));
  const command = findCommand(program, argv);
  const path = ['actas', ...commandPath(command)];
  setErrorOutput(program, io, path);
  try {
    await program.parseAsync(hoistCommonFlags(program, argv), { from: 'user' });
    return shell.exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return usageExit(error);
    if (!(error instanceof CliFailure)) throw error;
    io.err.write(`ERROR: (${path.join('.')}) ${error.message}\n`);
    for (const line of error.lines) io.err.write(`${line}\n`);
    return error.exitCode;
  }
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
