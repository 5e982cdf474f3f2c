/** `logging`: entries and logs, in the words of gcloud. */
import { Option } from 'commander';
import { LOGGING } from './api.ts';
import { type CliCommand, defineCommand, defineGroup, onRun, requiredFlag, type Shell } from './command.ts';
import { EXIT, usageFailure } from './failure.ts';
import { follow } from './follow.ts';
import { printList } from './format.ts';
import { jsonObject, showLogEntry } from './log-line.ts';
import { type LogEntry, readLogEntries } from './log-reading.ts';
import type { Session } from './session.ts';
import { collectPairs, integerBetween, parseDuration, parseList } from './values.ts';

export interface ParentFlags {
  readonly folder?: string;
  readonly organization?: string;
}
interface ReadFlags extends ParentFlags {
  readonly resourceNames?: string[];
  readonly limit?: number;
  readonly order: 'asc' | 'desc';
  /** Seconds. */
  readonly freshness?: number;
  readonly bufferWindow?: number;
}
interface WriteFlags extends ParentFlags {
  readonly payloadType: 'text' | 'json';
  readonly severity: string;
  readonly monitoredResourceType: string;
  readonly monitoredResourceLabels?: ReadonlyMap<string, string>;
}

const SEVERITIES = ['DEFAULT', 'DEBUG', 'INFO', 'NOTICE', 'WARNING', 'ERROR', 'CRITICAL', 'ALERT', 'EMERGENCY'];
const DAY_SECONDS = 86_400;
const DEFAULT_WINDOW_SECONDS = 2;

export function registerLogging(program: CliCommand, shell: Shell): void {
  const logging = defineGroup(program, 'logging', 'log entries and logs, in the words of gcloud');
  registerRead(logging, shell);
  registerTail(logging, shell);
  registerWrite(logging, shell);
  registerLogs(logging, shell);
}

export function withParent(command: CliCommand): CliCommand {
  return command.option('--folder <number>', 'of a folder instead of a project').option('--organization <number>', 'of an organization instead of a project');
}

/** `projects/P`, or the folder or organization that the flags name. */
export async function parentOf(session: Session<ParentFlags>): Promise<string> {
  const { folder, organization } = session.flags;
  if (folder !== undefined && organization !== undefined) throw usageFailure('--folder and --organization exclude each other.');
  if (folder !== undefined) return `folders/${folder}`;
  return organization === undefined ? `projects/${await session.project()}` : `organizations/${organization}`;
}

/** Prints entries by `--format`, else as lines. */
export async function showEntries(session: Session, entries: readonly LogEntry[], line: (entry: LogEntry) => string): Promise<void> {
  if (session.format !== undefined) {
    if (entries.length > 0) await printList(session.terminal, session.format, entries);
    return;
  }
  for (const entry of entries) session.terminal.print(line(entry));
}

function registerRead(logging: CliCommand, shell: Shell): void {
  const read = withParent(
    defineCommand(logging, 'read [filter]', {
      summary: 'print log entries, the newest first',
      description: 'Prints log entries, the newest first. Without a time in the filter those of the last day, unless --order=asc.',
      examples: [
        'actas logging read --limit=10',
        `actas logging read 'severity>=ERROR AND resource.type="cloud_run_job"' --freshness=2h`,
        `actas logging read 'log_id("cloudaudit.googleapis.com/activity")' --format=json`,
      ],
    }),
  )
    .option('--resource-names <names>', 'of these projects, folders and organizations, separated by commas', parseList)
    .option('--limit <count>', 'at most this many entries', integerBetween(1, Number.MAX_SAFE_INTEGER))
    .addOption(new Option('--order <order>', 'newest (desc) or oldest (asc) first').choices(['asc', 'desc']).default('desc'))
    .option('--freshness <duration>', 'how far back: 30m, 12h, 7d (default: 1d)', parseDuration);
  onRun<ReadFlags>(read, shell, async (session, filter) => {
    const { order, limit, freshness, resourceNames } = session.flags;
    const since = new Date(Date.now() - (freshness ?? DAY_SECONDS) * 1000).toISOString();
    // As gcloud: a filter that names a time, and the oldest first, mean all of them.
    const clauses = [...(order === 'asc' || filter.includes('timestamp') ? [] : [`timestamp>="${since}"`]), ...(filter.trim() === '' ? [] : [`(${filter})`])];
    const range = { resourceNames: resourceNames ?? [await parentOf(session)], filter: clauses.join(' AND ') };
    await showEntries(session, await readLogEntries(await session.api(), range, { order, ...(limit === undefined ? {} : { limit }) }), showLogEntry);
  });
}

function registerTail(logging: CliCommand, shell: Shell): void {
  const tail = withParent(
    defineCommand(logging, 'tail [filter]', {
      summary: 'follow log entries until Ctrl-C',
      examples: ['actas logging tail', `actas logging tail 'severity>=WARNING' --buffer-window=0s`],
    }),
  )
    .option('--resource-names <names>', 'of these projects, folders and organizations, separated by commas', parseList)
    .option('--buffer-window <duration>', 'how long entries are held to be put in order (default: 2s)', parseDuration);
  onRun<ReadFlags>(tail, shell, async (session, filter) => {
    const range = { resourceNames: session.flags.resourceNames ?? [await parentOf(session)], filter };
    await follow(session, range, { windowSeconds: session.flags.bufferWindow ?? DEFAULT_WINDOW_SECONDS }, (entries) => showEntries(session, entries, showLogEntry));
    return EXIT.interrupted;
  });
}

function registerWrite(logging: CliCommand, shell: Shell): void {
  const write = withParent(
    defineCommand(logging, 'write <log> <message>', {
      summary: 'write one log entry',
      examples: ['actas logging write my-log "A simple entry"', `actas logging write my-log '{"key": "value"}' --payload-type=json --severity=ERROR`],
    }),
  )
    .addOption(new Option('--payload-type <type>', 'what the message is').choices(['text', 'json']).default('text'))
    .addOption(
      new Option('--severity <severity>', `one of ${SEVERITIES.join(', ')}`)
        .default('DEFAULT')
        .argParser((given: string) => (SEVERITIES.includes(given.toUpperCase()) ? given.toUpperCase() : refuseSeverity(given))),
    )
    .option('--monitored-resource-type <type>', 'what the entry is about', 'global')
    .option('--monitored-resource-labels <labels>', 'its labels, KEY=VALUE separated by commas', collectPairs);
  onRun<WriteFlags>(write, shell, async (session, log, message) => {
    const { payloadType, severity, monitoredResourceType: type, monitoredResourceLabels: labels } = session.flags;
    const jsonPayload = payloadType === 'json' ? jsonObject(message) : undefined;
    if (payloadType === 'json' && jsonPayload === undefined) throw usageFailure('The message is no JSON object.', `For example '{"key": "value"}'`);
    const entry = {
      logName: logName(await parentOf(session), log),
      resource: { type, labels: Object.fromEntries(labels ?? []) },
      severity,
      ...(jsonPayload === undefined ? { textPayload: message } : { jsonPayload }),
    };
    await (await session.api()).send('POST', LOGGING, 'entries:write', { entries: [entry] });
    session.terminal.note('Created log entry.');
  });
}

function refuseSeverity(given: string): never {
  throw usageFailure(`--severity is one of ${SEVERITIES.join(', ')}, and not ${JSON.stringify(given)}.`);
}

function registerLogs(logging: CliCommand, shell: Shell): void {
  const logs = defineGroup(logging, 'logs', 'logs that have entries');
  const list = withParent(defineCommand(logs, 'list', { summary: 'list logs', examples: ['actas logging logs list'] })).option(
    '--limit <count>',
    'at most this many',
    integerBetween(1, Number.MAX_SAFE_INTEGER),
  );
  onRun<ReadFlags>(list, shell, async (session) => {
    const { limit } = session.flags;
    const api = await session.api();
    const names: string[] = [];
    let pageToken: string | undefined;
    do {
      const page: { logNames?: string[]; nextPageToken?: string } = await api.get(LOGGING, `${await parentOf(session)}/logs`, { pageToken });
      names.push(...(page.logNames ?? []));
      pageToken = page.nextPageToken;
    } while (pageToken !== undefined && names.length < (limit ?? Number.POSITIVE_INFINITY));
    const found = names.slice(0, limit);
    if (session.format !== undefined)
      await printList(
        session.terminal,
        session.format,
        found.map((name) => ({ name })),
      );
    else
      await session.terminal.table(
        ['NAME'],
        found.map((name) => [name]),
      );
  });
  const remove = withParent(defineCommand(logs, 'delete <log>', { summary: 'delete the entries of a log', examples: ['actas logging logs delete my-log'] }));
  onRun<ParentFlags>(remove, shell, async (session, log) => {
    const name = logName(await parentOf(session), requiredFlag(log, 'log'));
    if (!(await session.terminal.confirm(`Really delete all log entries from [${log}]?`))) return;
    await (await session.api()).send('DELETE', LOGGING, name);
    session.terminal.note(`Deleted [${log}].`);
  });
}

/** A log by its id, or its whole name. */
function logName(parent: string, log: string): string {
  return /^(?:projects|folders|organizations)\/[^/]+\/logs\//.test(log) ? log : `${parent}/logs/${log.includes('%') ? log : encodeURIComponent(log)}`;
}
