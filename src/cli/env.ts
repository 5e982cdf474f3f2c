/** `actas env`: prints what makes a shell's clients come here. */
import type { Command } from 'commander';
import { type ClientEnvironment, clientEnvironment, type Mode } from './client-environment.ts';
import { type CliCommand, defineCommand, onRun, type Shell, withRegion } from './command.ts';
import { usageFailure } from './failure.ts';

interface EnvFlags {
  readonly shell?: string;
  readonly mode?: string;
}

export function registerEnv(program: Command, shell: Shell): void {
  const env: CliCommand = withRegion(
    defineCommand(program, 'env', {
      summary: 'print what makes gcloud, Terraform and client libraries come here',
      description:
        'Prints variables for a shell: a proxy and a trusted certificate authority (--mode=proxy), or overridden endpoints for gcloud and Terraform (--mode=direct), and credentials of the caller. The access token in them is good for an hour, the credentials file until it is revoked.',
      examples: ['eval "$(actas env)"', 'eval "$(actas env --as=user:dev@example.com)"', 'actas env --shell=fish | source', 'actas env --shell=json'],
    }),
  )
    .option('--shell <shell>', 'bash, zsh, fish or json (default: from $SHELL)')
    .option('--mode <mode>', 'proxy or direct (default: proxy)');
  onRun<EnvFlags>(env, shell, async (session) => {
    const render = rendererOf(session.flags.shell ?? shellOf(session.io.env['SHELL']));
    const found = await clientEnvironment(session, { mode: modeOf(session.flags.mode), java: true });
    session.terminal.print(render(found));
    for (const note of found.notes) session.terminal.warn(note);
  });
}

function shellOf(path = ''): string {
  return path.endsWith('/fish') ? 'fish' : 'bash';
}

/** @throws usage */
function modeOf(mode = 'proxy'): Mode {
  if (mode !== 'proxy' && mode !== 'direct') throw usageFailure(`--mode=${mode} is none.`, 'Write --mode=proxy or --mode=direct.');
  return mode;
}

/** @throws usage */
function rendererOf(shell: string): (environment: ClientEnvironment) => string {
  switch (shell) {
    case 'bash':
    case 'zsh':
      return ({ set, unset }) => [...unset.map((name) => `unset ${name}`), ...Object.entries(set).map(([name, value]) => `export ${name}=${quote(value)}`)].join('\n');
    case 'fish':
      return ({ set, unset }) => [...unset.map((name) => `set -e ${name}`), ...Object.entries(set).map(([name, value]) => `set -gx ${name} ${quoteFish(value)}`)].join('\n');
    case 'json':
      return ({ set, unset }) => JSON.stringify({ set, unset }, undefined, 2);
    default:
      throw usageFailure(`--shell=${shell} is not known.`, 'Write bash, zsh, fish or json.');
  }
}

function quote(value: string): string {
  return `'${value.replaceAll("'", `'\\''`)}'`;
}

function quoteFish(value: string): string {
  return `'${value.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}
