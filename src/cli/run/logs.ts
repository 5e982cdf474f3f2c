/** `run jobs logs read` and `tail`. */
import { Option } from 'commander';
import { type CliCommand, defineCommand, defineGroup, onRun, type Shell, withRegion } from '../command.ts';
import { EXIT, usageFailure } from '../failure.ts';
import { follow } from '../follow.ts';
import { printList } from '../format.ts';
import type { LogEntry } from '../log-reading.ts';
import type { Session } from '../session.ts';
import { integerBetween, parseDuration } from '../values.ts';
import { type LogScope, rangeOf, readEntries, showEntry } from './log-entries.ts';
import { jobName } from './names.ts';

interface LogFlags {
  readonly execution?: string;
  readonly logFilter?: string;
  readonly limit?: number;
  readonly order?: 'asc' | 'desc';
  /** Seconds. */
  readonly freshness?: number;
}

const DEFAULT_LIMIT = 1000;
const DAY_SECONDS = 86_400;
/** Short, since the tasks of a job run on one machine. */
const TAIL_WINDOW_SECONDS = 0.5;

export function registerLogs(jobs: CliCommand, shell: Shell): void {
  const group = defineGroup(jobs, 'logs', 'what jobs wrote');
  const read = withRegion(
    defineCommand(group, 'read <job>', {
      summary: "print a job's logs",
      description: `Prints a job's newest log entries of the last day, oldest first. --order=asc takes the oldest instead.`,
      examples: [
        'actas run jobs logs read hello',
        'actas run jobs logs read hello --execution=hello-x7k2p --limit=20',
        `actas run jobs logs read hello --log-filter='severity>=WARNING' --freshness=1h`,
      ],
    }),
  )
    .option('--limit <count>', `at most this many entries (default: ${DEFAULT_LIMIT})`, integerBetween(1, Number.MAX_SAFE_INTEGER))
    .addOption(new Option('--order <order>', 'take the newest (desc) or the oldest (asc)').choices(['asc', 'desc']).default('desc'))
    .option('--freshness <duration>', 'how far back: 30m, 12h, 7d (default: 1d)', parseDuration);
  addScopeFlags(read);
  onRun<LogFlags>(read, shell, async (session, given) => {
    const scope = await scopeOf(session, given);
    const order = session.flags.order ?? 'desc';
    const since = new Date(Date.now() - (session.flags.freshness ?? DAY_SECONDS) * 1000).toISOString();
    const entries = await readEntries(await session.api(), scope, { since, order, limit: session.flags.limit ?? DEFAULT_LIMIT });
    await show(session, order === 'desc' ? entries.reverse() : entries);
    if (entries.length === 0) session.terminal.note(`No log entries of job [${scope.job}] in this time.`);
  });

  const tail = withRegion(
    defineCommand(group, 'tail <job>', {
      summary: "follow a job's logs until Ctrl-C",
      examples: ['actas run jobs logs tail hello', 'actas run jobs logs tail hello --execution=hello-x7k2p'],
    }),
  );
  addScopeFlags(tail);
  onRun<LogFlags>(tail, shell, async (session, given) => {
    const scope = await scopeOf(session, given);
    // Of one execution everything is wanted, of a job what comes from now on.
    const since = scope.execution === undefined ? {} : { since: new Date(0).toISOString() };
    await follow(session, rangeOf(scope), { windowSeconds: TAIL_WINDOW_SECONDS, ...since }, (entries) => show(session, entries));
    return EXIT.interrupted;
  });
}

function addScopeFlags(command: CliCommand): void {
  command.option('--execution <execution>', 'of this execution only').option('--log-filter <filter>', 'in the Logging query language, and further to the job');
}

async function scopeOf(session: Session<LogFlags>, given: string): Promise<LogScope> {
  const { execution, logFilter } = session.flags;
  if (execution === '') throw usageFailure('--execution needs the name of an execution.');
  const { job, project, region } = await jobName(session, given);
  return {
    project,
    region,
    job,
    ...(execution === undefined ? {} : { execution: execution.split('/').at(-1) ?? execution }),
    ...(logFilter === undefined ? {} : { extra: logFilter }),
  };
}

async function show(session: Session, entries: readonly LogEntry[]): Promise<void> {
  if (session.format !== undefined) {
    if (entries.length > 0) await printList(session.terminal, session.format, entries);
    return;
  }
  for (const entry of entries) session.terminal.print(showEntry(entry));
}
