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
import { getExecution, jobName } from './names.ts';

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
const HELPER = "it is about a helper program of gcloud's. Nothing is installed here to follow logs.";
const LOG_FILTER = 'in the Logging query language, and further to what the logs are of';

/** Whose logs: a job's, or those of one execution. */
interface Of {
  readonly group: CliCommand;
  readonly noun: 'job' | 'execution';
  /** As examples write it. */
  readonly example: string;
  readonly path: string;
  /** @param given the command's argument */
  scope(session: Session<LogFlags>, given: string): Promise<LogScope>;
}

/** `run jobs logs ...`. */
export function registerLogs(jobs: CliCommand, shell: Shell): void {
  const of: Of = { group: defineGroup(jobs, 'logs', 'what jobs wrote'), noun: 'job', example: 'hello', path: 'run jobs logs', scope: scopeOf };
  for (const command of [registerRead(of, shell), registerTail(of, shell)]) command.option('--execution <execution>', 'of this execution only');
}

/** `run jobs executions logs ...`. */
export function registerExecutionLogs(executions: CliCommand, shell: Shell): void {
  const of: Of = {
    group: defineGroup(executions, 'logs', 'what executions wrote'),
    noun: 'execution',
    example: 'hello-x7k2p',
    path: 'run jobs executions logs',
    async scope(session, given) {
      const execution = await getExecution(session, given);
      const [, project = '', , region = '', , job = '', , id = ''] = (execution.name ?? '').split('/');
      const { logFilter } = session.flags;
      return { project, region, job, execution: id, ...(logFilter === undefined ? {} : { extra: logFilter }) };
    },
  };
  registerRead(of, shell);
  registerTail(of, shell);
}

function registerRead({ group, noun, example, path, scope: resolve }: Of, shell: Shell): CliCommand {
  const read = withRegion(
    defineCommand(group, `read <${noun}>`, {
      summary: `print the logs of ${noun === 'job' ? 'a job' : 'an execution'}`,
      description: `Prints the newest log entries of ${noun === 'job' ? 'a job' : 'an execution'} of the last day, oldest first. --order=asc takes the oldest instead.`,
      examples: [`actas ${path} read ${example}`, `actas ${path} read ${example} --log-filter='severity>=WARNING' --freshness=1h --limit=20`],
    }),
  )
    .option('--limit <count>', `at most this many entries (default: ${DEFAULT_LIMIT})`, integerBetween(1, Number.MAX_SAFE_INTEGER))
    .addOption(new Option('--order <order>', 'take the newest (desc) or the oldest (asc)').choices(['asc', 'desc']).default('desc'))
    .option('--freshness <duration>', 'how far back: 30m, 12h, 7d (default: 1d)', parseDuration)
    .option('--log-filter <filter>', LOG_FILTER);
  return onRun<LogFlags>(read, shell, async (session, given) => {
    const scope = await resolve(session, given);
    const order = session.flags.order ?? 'desc';
    const since = new Date(Date.now() - (session.flags.freshness ?? DAY_SECONDS) * 1000).toISOString();
    const entries = await readEntries(await session.api(), scope, { since, order, limit: session.flags.limit ?? DEFAULT_LIMIT });
    await show(session, order === 'desc' ? entries.reverse() : entries);
    if (entries.length === 0) session.terminal.note(`No log entries of ${scope.execution === undefined ? `job [${scope.job}]` : `execution [${scope.execution}]`} in this time.`);
  });
}

function registerTail({ group, noun, example, path, scope: resolve }: Of, shell: Shell): CliCommand {
  const tail = withRegion(
    defineCommand(group, `tail <${noun}>`, {
      summary: `follow the logs of ${noun === 'job' ? 'a job' : 'an execution'} until Ctrl-C`,
      examples: [`actas ${path} tail ${example}`, `actas ${path} tail ${example} --log-filter='severity>=WARNING'`],
    }),
  ).option('--log-filter <filter>', LOG_FILTER);
  tail.refusedFlags = { '--show-exec-error': HELPER, '--no-show-exec-error': HELPER };
  return onRun<LogFlags>(tail, shell, async (session, given) => {
    const scope = await resolve(session, given);
    // Of one execution everything is wanted, of a job what comes from now on.
    const since = scope.execution === undefined ? {} : { since: new Date(0).toISOString() };
    await follow(session, rangeOf(scope), { windowSeconds: TAIL_WINDOW_SECONDS, ...since }, (entries) => show(session, entries));
    return EXIT.interrupted;
  });
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
