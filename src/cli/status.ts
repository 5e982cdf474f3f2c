/** `actas status`: what runs, where, on what; exit code 3 where nothing does. */
import type { Command } from 'commander';
import { ACTAS } from './api.ts';
import { type CliCommand, defineCommand, onRun, type Shell } from './command.ts';
import { printResource } from './format.ts';
import type { ServerStatus } from './session.ts';

export function registerStatus(program: Command, shell: Shell): void {
  const status: CliCommand = defineCommand(program, 'status', {
    summary: 'show the control plane that runs',
    description: 'Shows the control plane that runs. Exit code 0 if it serves, 3 if none does.',
    examples: ['actas status', 'actas status --format=json', 'actas status --quiet || actas up --detach'],
  });
  onRun(status, shell, async (session) => {
    const { terminal } = session;
    const target = await session.target();
    const answer = await target.api.get<ServerStatus>(ACTAS, 'status');
    if (session.format !== undefined) return printResource(terminal, session.format, answer);
    for (const warning of answer.driver?.warnings ?? []) terminal.warn(warning);
    if (answer.anonymousAs !== undefined) terminal.warn(`Callers without a token are taken for ${answer.anonymousAs}.`);
    if (session.flags.quiet === true) return;
    const rows: (readonly [string, string | number | undefined])[] = [
      ['Version', answer.version],
      ['Address', answer.url ?? target.url],
      ['Project', answer.project],
      ['Driver', driverWords(answer.driver)],
      ['Google names', answer.taskGoogleNames === undefined ? undefined : `lead tasks ${answer.taskGoogleNames}`],
      ['Data directory', answer.dataDir],
      ['Process', answer.pid],
      ['Running since', answer.startTime],
      ['Tasks running', answer.runningAttempts],
    ];
    terminal.print(`${terminal.style.green('✔')} actas serves ${target.label === 'local' ? 'on this machine' : `at ${target.label}`}\n`);
    for (const [label, value] of rows) if (value !== undefined && value !== '') terminal.print(`${`${label}:`.padEnd(16)} ${value}`);
  });
}

function driverWords(driver: ServerStatus['driver']): string | undefined {
  const { name = '', description = '' } = driver ?? {};
  if (description === '') return name;
  return description.includes(name) ? description : `${name}: ${description}`;
}
