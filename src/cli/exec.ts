/** `actas exec`, `actas gcloud`, `actas terraform`: run a program so that what it says to Google comes here. Nothing that it says to a Google API reaches the real one. */
import { spawn } from 'node:child_process';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { clientEnvironment } from './client-environment.ts';
import { type CliCommand, type CommandWords, defineCommand, onRun, type Shell, withRegion } from './command.ts';
import { NODE_PROXY_FILE } from './diagnosis.ts';
import { CliFailure, usageFailure } from './failure.ts';
import type { Session } from './session.ts';

/** As shells do: not found. */
const NOT_FOUND = 127;

export function registerExec(program: Command, shell: Shell): void {
  const exec = passing(program, 'exec [command...]', {
    summary: 'run a command whose calls to Google come here',
    description:
      "Runs a command with the variables of `actas env`, and ends with its exit code. Calls to Google's APIs come to this control plane, served or not, and never reach the real Google.",
    examples: [
      'actas exec -- node job.mjs',
      'actas exec --as=user:dev@example.com -- python3 job.py',
      'actas exec --impersonate-service-account=hello-sa@demo.iam.gserviceaccount.com -- go run .',
    ],
  });
  onRun(exec, shell, async (session) => {
    const [command, ...args] = exec.args;
    if (command === undefined) throw usageFailure('There is no command to run.', 'Write it after two dashes: actas exec -- COMMAND');
    return runHere(session, command, args, true);
  });
}

/** @param name of the program, which is also the command's */
export function registerProgram(program: Command, shell: Shell, name: 'gcloud' | 'terraform', words: CommandWords & { readonly missing: string }): void {
  const command = passing(program, `${name} [arguments...]`, words);
  onRun(command, shell, async (session) => {
    try {
      return await runHere(session, name, command.args, false);
    } catch (error) {
      if (error instanceof CliFailure && error.exitCode === NOT_FOUND) throw new CliFailure(NOT_FOUND, error.message, [words.missing]);
      throw error;
    }
  });
}

/** A command that hands on whatever stands behind its own flags. */
function passing(program: Command, nameAndArgs: string, words: CommandWords): CliCommand {
  program.enablePositionalOptions();
  const command = withRegion(defineCommand(program, nameAndArgs, words));
  command.passesOn = true;
  command.passThroughOptions().allowUnknownOption();
  return command;
}

/**
 * Has Node programs read that file first, for what Node's own variables do not lead here. For one command alone: in a shell that outlives this installation every
 * `node` would fail, as the file would be gone.
 */
function nodeOptions(given = ''): string {
  // The syntax of the variable: double quotes, and a backslash before those and itself (nodejs.org/api/cli.html#node_optionsoptions).
  const file = fileURLToPath(new URL(NODE_PROXY_FILE, import.meta.url)).replace(/["\\]/g, '\\$&');
  const word = `--require="${file}"`;
  return given.includes(word) ? given : `${given} ${word}`.trim();
}

async function runHere(session: Session, command: string, args: readonly string[], java: boolean): Promise<number> {
  const { set, unset, notes } = await clientEnvironment(session, { mode: 'proxy', java });
  for (const note of notes) session.terminal.warn(note);
  const env: Record<string, string | undefined> = { ...session.io.env, ...set, NODE_OPTIONS: nodeOptions(session.io.env['NODE_OPTIONS']) };
  for (const name of unset) delete env[name];
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', env });
    // Ctrl-C reaches it by itself, as it is in the same process group; it decides what that means.
    const ignore = session.io.onInterrupt(() => undefined);
    const handOn = (signal: NodeJS.Signals): void => void child.kill(signal);
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.on(signal, handOn);
    const done = (): void => {
      ignore();
      for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, handOn);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      done();
      reject(new CliFailure(error.code === 'ENOENT' ? NOT_FOUND : 126, `${command} cannot be run: ${error.code === 'ENOENT' ? 'there is no such program' : error.message}.`));
    });
    child.once('close', (code, signal) => {
      done();
      resolve(code ?? 128 + (signal === null ? 0 : constants.signals[signal]));
    });
  });
}
