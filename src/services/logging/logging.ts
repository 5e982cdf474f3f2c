/**
 * google.logging.v2.LoggingServiceV2. Lines of tasks and the audit trail come in by other ways; here they are read, and what callers hand in is kept.
 *
 * Must not know: how entries are kept or when they go.
 */
import { failedPrecondition, invalidArgument, invalidRequest, notFound } from '../../errors.ts';
import { LoggingServiceV2 } from '../../gen/google/logging/v2/logging_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { LogStore } from '../../store/log-store.ts';
import { type AnyService, defineService } from '../service.ts';
import { PAYLOAD_FILES, toLogEntry } from './entries.ts';
import { parseFilter } from './filter.ts';
import { checkOf, existing, type FindProject, isAuditLog, logNameOf, parentsOf, scopeOf } from './log-parents.ts';
import { RESOURCE_DESCRIPTORS } from './resource-descriptors.ts';
import { createTail } from './tail.ts';
import { writeChecks, writeEntries } from './write.ts';

export interface LoggingDeps {
  readonly logs: Pick<LogStore, 'query' | 'write' | 'tail' | 'listLogs' | 'deleteLog' | 'onWrite'>;
  readonly findProject: FindProject;
}

const MAX_LOGS = 1000;
/** Each costs memory and a look at what arrives. */
const MAX_TAIL_SESSIONS = 100;

export function createLoggingService(deps: LoggingDeps): AnyService {
  const { logs, findProject } = deps;
  const tail = createTail({ logs, findProject, maxSessions: MAX_TAIL_SESSIONS });
  return defineService<typeof LoggingServiceV2>({
    desc: LoggingServiceV2,
    host: 'logging.googleapis.com',
    legacyErrors: false,
    anyOf: PAYLOAD_FILES,
    denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '${asked}' (or it may not exist).`,
    methods: {
      listLogEntries: {
        access: { checks: (request) => parentsOf(request.resourceNames).map((parent) => checkOf(parent, 'logging.logEntries.list')) },
        async handle(request, call) {
          const { parents, hidden, projects } = await scopeOf(parentsOf(request.resourceNames), call, findProject);
          const where = parseFilter(request.filter, projects);
          const query = { parents, hidden, order: orderOf(request.orderBy), pageSize: pageSize(request.pageSize, 50, 1000), pageToken: request.pageToken };
          const { entries, nextPageToken } = await logs.query({ ...query, ...(where === undefined ? {} : { where }) }, call.signal);
          return { entries: entries.map(toLogEntry), nextPageToken };
        },
      },
      tailLogEntries: {
        access: { checks: (request) => parentsOf(request.resourceNames).map((parent) => checkOf(parent, 'logging.logEntries.list')) },
        handleStream: tail,
      },
      writeLogEntries: {
        access: { checks: writeChecks },
        async handle(request, call) {
          await writeEntries(request, call, deps);
          return {};
        },
      },
      listLogs: {
        access: { checks: (request) => parentsOf([request.parent, ...request.resourceNames]).map((parent) => checkOf(parent, 'logging.logs.list')) },
        async handle(request, call) {
          const { parents, hidden } = await scopeOf(parentsOf([request.parent, ...request.resourceNames]), call, findProject);
          const after = String(decodePageToken(parents, request.pageToken)?.[0] ?? '');
          const names = (await logs.listLogs(parents, call.signal)).filter((name) => name > after && !hidden.includes(decodeURIComponent(name)));
          const size = request.pageSize > 0 ? Math.min(request.pageSize, MAX_LOGS) : MAX_LOGS;
          const logNames = names.slice(0, size);
          return { logNames, nextPageToken: names.length > size ? encodePageToken(parents, [logNames.at(-1) ?? '']) : '' };
        },
      },
      deleteLog: {
        access: { checks: (request) => [checkOf(logNameOf(request.logName, 'log_name'), 'logging.logs.delete')] },
        async handle(request, call) {
          const log = logNameOf(request.logName, 'log_name');
          if (isAuditLog(log.logId)) throw failedPrecondition(`Audit logs cannot be deleted: ${request.logName}. They go by age and size alone.`);
          const parent = await existing(log, findProject);
          const name = `${parent}/logs/${encodeURIComponent(log.logId)}`;
          if (!(await logs.listLogs([parent], call.signal)).includes(name)) throw notFound(`Log ${name} does not exist`);
          await logs.deleteLog(parent, log.logId);
          return {};
        },
      },
      listMonitoredResourceDescriptors: {
        access: { authenticated: true, why: 'what resources there are is no secret, and belongs to no project' },
        async handle(request) {
          const after = Number(decodePageToken([], request.pageToken)?.[0] ?? 0);
          const size = pageSize(request.pageSize, 100, 1000);
          if (!Number.isSafeInteger(after) || after < 0) throw invalidArgument('page_token', 'The page token is not valid for this request.');
          const more = after + size < RESOURCE_DESCRIPTORS.length;
          return { resourceDescriptors: RESOURCE_DESCRIPTORS.slice(after, after + size), nextPageToken: more ? encodePageToken([], [after + size]) : '' };
        },
      },
    },
  });
}

function orderOf(orderBy: string): 'asc' | 'desc' {
  const words = orderBy.trim().split(/\s+/);
  if (orderBy.trim() === '' || (words[0] === 'timestamp' && (words.length === 1 || (words.length === 2 && words[1]?.toLowerCase() === 'asc')))) return 'asc';
  if (words[0] === 'timestamp' && words.length === 2 && words[1]?.toLowerCase() === 'desc') return 'desc';
  throw invalidRequest(`order_by: ${JSON.stringify(orderBy.slice(0, 200))} is not supported. Write "timestamp asc" or "timestamp desc".`, [
    { field: 'order_by', description: 'must be timestamp asc or timestamp desc' },
  ]);
}
