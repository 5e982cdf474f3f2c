/** `audit`: who asked for what, and whether it was granted. The trail is in the logs; this writes the filters. */
import { Option } from 'commander';
import { type CliCommand, defineCommand, defineGroup, onRun, type Shell } from './command.ts';
import { EXIT } from './failure.ts';
import { follow } from './follow.ts';
import { showAuditEntry } from './log-line.ts';
import { readLogEntries } from './log-reading.ts';
import { type ParentFlags, parentOf, showEntries, withParent } from './logging.ts';
import { integerBetween, parseDuration } from './values.ts';

interface AuditFlags extends ParentFlags {
  readonly principal?: string;
  readonly permission?: string;
  readonly resource?: string;
  readonly method?: string;
  readonly outcome?: keyof typeof OUTCOMES;
  readonly limit?: number;
  /** Seconds. */
  readonly freshness?: number;
}

const LOGS = ['cloudaudit.googleapis.com/activity', 'cloudaudit.googleapis.com/data_access', 'cloudaudit.googleapis.com/policy', 'actas.internal/calls'];
const OUTCOMES = {
  ok: 'protoPayload.metadata.status="OK"',
  denied: '(protoPayload.metadata.status=("PERMISSION_DENIED" OR "UNAUTHENTICATED") OR log_id("cloudaudit.googleapis.com/policy"))',
  error: 'NOT protoPayload.metadata.status="OK"',
} as const;
const DEFAULT_LIMIT = 100;
const DAY_SECONDS = 86_400;
const TAIL_WINDOW_SECONDS = 0.2;

export function registerAudit(program: CliCommand, shell: Shell): void {
  const audit = defineGroup(program, 'audit', 'who asked for what, and whether it was granted');
  const query = withFilters(
    defineCommand(audit, 'query', {
      summary: 'print what was called, oldest first',
      description: 'Prints the newest calls of the last day, oldest first. Reads need the permission logging.privateLogEntries.list.',
      examples: [
        'actas audit query --outcome=denied',
        'actas audit query --principal=user:dev@example.com --permission=run.jobs.run --freshness=7d',
        'actas audit query --resource=jobs/hello --format=json',
      ],
    }),
  )
    .option('--limit <count>', `at most this many (default: ${DEFAULT_LIMIT})`, integerBetween(1, Number.MAX_SAFE_INTEGER))
    .option('--freshness <duration>', 'how far back: 30m, 12h, 7d (default: 1d)', parseDuration);
  onRun<AuditFlags>(query, shell, async (session) => {
    const since = new Date(Date.now() - (session.flags.freshness ?? DAY_SECONDS) * 1000).toISOString();
    const range = { resourceNames: [await parentOf(session)], filter: `timestamp>="${since}" AND ${auditFilter(session.flags)}` };
    const entries = await readLogEntries(await session.api(), range, { order: 'desc', limit: session.flags.limit ?? DEFAULT_LIMIT });
    await showEntries(session, entries.toReversed(), showAuditEntry);
    if (entries.length === 0) session.terminal.note('No such call in this time.');
  });
  const tail = withFilters(
    defineCommand(audit, 'tail', {
      summary: 'follow what is called until Ctrl-C',
      examples: ['actas audit tail', 'actas audit tail --outcome=denied --principal=user:dev@example.com'],
    }),
  );
  onRun<AuditFlags>(tail, shell, async (session) => {
    const range = { resourceNames: [await parentOf(session)], filter: auditFilter(session.flags) };
    await follow(session, range, { windowSeconds: TAIL_WINDOW_SECONDS }, (entries) => showEntries(session, entries, showAuditEntry));
    return EXIT.interrupted;
  });
}

function withFilters(command: CliCommand): CliCommand {
  return withParent(command)
    .option('--principal <member>', 'calls by this member or e-mail address, or on its behalf')
    .option('--permission <permission>', 'calls that needed this permission')
    .option('--resource <name>', 'calls about resources whose name contains this')
    .option('--method <name>', 'calls of methods whose name contains this')
    .addOption(new Option('--outcome <outcome>', 'how they ended').choices(Object.keys(OUTCOMES)));
}

export function auditFilter({ principal, permission, resource, method, outcome }: AuditFlags): string {
  const quoted = (text: string): string => JSON.stringify(text);
  const clauses = [`(${LOGS.map((log) => `log_id(${quoted(log)})`).join(' OR ')})`];
  if (principal !== undefined) {
    const caller = 'protoPayload.authenticationInfo';
    const fields = [`${caller}.principalSubject`, `${caller}.principalEmail`, `${caller}.serviceAccountDelegationInfo.principalSubject`];
    clauses.push(`(${fields.map((field) => `${field}=${quoted(principal)}`).join(' OR ')})`);
  }
  if (permission !== undefined) clauses.push(`protoPayload.authorizationInfo.permission=${quoted(permission)}`);
  if (resource !== undefined) clauses.push(`protoPayload.metadata.resource:${quoted(resource)}`);
  if (method !== undefined) clauses.push(`protoPayload.methodName:${quoted(method)}`);
  if (outcome !== undefined) clauses.push(OUTCOMES[outcome]);
  return clauses.join(' AND ');
}
