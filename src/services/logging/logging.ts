/**
 * google.logging.v2: reading the logs of tasks. Lines come in through the runner; nothing is written here.
 *
 * Must not know: how lines are kept or when they go.
 */
import { invalidArgument, invalidRequest } from '../../errors.ts';
import { LoggingServiceV2 } from '../../gen/google/logging/v2/logging_pb.js';
import { pageSize } from '../../page-token.ts';
import type { LogStore } from '../../store/log-store.ts';
import { type AnyService, defineService } from '../service.ts';
import { toLogEntry } from './entries.ts';
import { parseFilter } from './filter.ts';

export interface LoggingDeps {
  readonly logs: Pick<LogStore, 'query'>;
  /** @param project id or number @returns its id, undefined where there is none */
  findProjectId(project: string): Promise<string | undefined>;
}

const MAX_RESOURCES = 100;
const PROJECT = /^projects\/([^/\s]{1,64})(?:\/locations\/[^/\s]{1,64}\/buckets\/[^/\s]{1,100}\/views\/[^/\s]{1,100})?$/;

export function createLoggingService(deps: LoggingDeps): AnyService {
  return defineService<typeof LoggingServiceV2>({
    desc: LoggingServiceV2,
    host: 'logging.googleapis.com',
    legacyErrors: false,
    denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '${asked}' (or it may not exist).`,
    methods: {
      listLogEntries: {
        access: {
          checks: (request) =>
            projectsOf(request.resourceNames).map((project) => ({ permission: 'logging.logEntries.list', resource: `//cloudresourcemanager.googleapis.com/projects/${project}` })),
        },
        async handle(request, call) {
          const found = await Promise.all(projectsOf(request.resourceNames).map((project) => deps.findProjectId(project)));
          const projectIds = [...new Set(found.filter((id) => id !== undefined))];
          const where = parseFilter(request.filter, projectIds);
          const { entries, nextPageToken } = await deps.logs.query(
            {
              projectIds,
              order: orderOf(request.orderBy),
              pageSize: pageSize(request.pageSize, 50, 1000),
              pageToken: request.pageToken,
              ...(where === undefined ? {} : { where }),
            },
            call.signal,
          );
          return { entries: entries.map(toLogEntry), nextPageToken };
        },
      },
      deleteLog: 'unimplemented',
      writeLogEntries: 'unimplemented',
      listMonitoredResourceDescriptors: 'unimplemented',
      listLogs: 'unimplemented',
      tailLogEntries: 'unimplemented',
    },
  });
}

/** @throws INVALID_ARGUMENT for none, too many, or what is no project: logs of folders and organizations hold no task's lines */
function projectsOf(resourceNames: readonly string[]): readonly string[] {
  if (resourceNames.length === 0) throw invalidArgument('resource_names', 'at least one resource name is needed, for example projects/my-project.');
  if (resourceNames.length > MAX_RESOURCES) throw invalidArgument('resource_names', `at most ${MAX_RESOURCES} resource names are taken.`);
  return [...new Set(resourceNames)].map((name) => {
    const project = PROJECT.exec(name)?.[1];
    if (project === undefined) throw invalidArgument('resource_names', `${JSON.stringify(name.slice(0, 200))} is not supported. Write projects/PROJECT_ID.`);
    return project;
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
