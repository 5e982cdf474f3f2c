/** google.cloud.run.v2.Tasks: read only. */
import type { GetTaskRequestSchema, ListTasksRequestSchema, ListTasksResponseSchema, TaskSchema, Tasks } from '../../gen/google/cloud/run/v2/task_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import { findExecution } from '../../store/executions.ts';
import { findTask, listTasks, listTasksOfExecution, type TaskCursor, taskFromRow } from '../../store/tasks.ts';
import type { Methods, Unary } from '../service.ts';
import { DEFAULT_PAGE, deletedSince, MAX_PAGE } from './list-page.ts';
import { ANY, missing, parseExecutionName, parseTaskName, projectId, requireLocation, resource } from './places.ts';
import type { RunDeps } from './run-deps.ts';

export function taskMethods(deps: RunDeps): Methods<typeof Tasks> {
  return { getTask: getTask(deps), listTasks: list(deps) };
}

function getTask({ store }: RunDeps): Unary<typeof GetTaskRequestSchema, typeof TaskSchema> {
  return {
    access: {
      checks: ({ name }) => {
        parseTaskName(name, 'name');
        return [{ permission: 'run.tasks.get', resource: resource(name) }];
      },
    },
    async handle(request) {
      const { projects, locations, jobs, executions, tasks } = parseTaskName(request.name, 'name');
      // A task is called after its execution, which is called after its job.
      const execution = executions === ANY ? tasks.replace(/-task\d+$/, '') : executions;
      const job = jobs === ANY ? execution.slice(0, Math.max(0, execution.lastIndexOf('-'))) : jobs;
      const name = `projects/${await projectId(store.read, projects)}/locations/${locations}/jobs/${job}/executions/${execution}/tasks/${tasks}`;
      const row = await findTask(store.read, name);
      if (row === undefined) throw missing(name);
      return taskFromRow(row);
    },
  };
}

function list({ store }: RunDeps): Unary<typeof ListTasksRequestSchema, typeof ListTasksResponseSchema> {
  return {
    access: {
      checks: ({ parent }) => {
        parseExecutionName(parent, 'parent');
        return [{ permission: 'run.tasks.list', resource: resource(parent) }];
      },
    },
    async handle(request, call) {
      const { projects, locations, jobs, executions } = parseExecutionName(request.parent, 'parent');
      if (locations !== ANY) requireLocation(locations);
      const size = pageSize(request.pageSize, DEFAULT_PAGE, MAX_PAGE);
      const query = ['tasks', request.parent, request.showDeleted];
      const after = cursorOf(decodePageToken(query, request.pageToken));
      const place = `projects/${await projectId(store.read, projects)}/locations/${locations}`;
      const rows = await read({ place, jobs, executions, locations }, { after, limit: size + 1, ...deletedSince(request.showDeleted, call.now()) });
      const last = rows.length > size ? rows[size - 1] : undefined;
      return {
        tasks: rows.slice(0, size).map(taskFromRow),
        nextPageToken: last === undefined ? '' : encodePageToken(query, [last.execution_create_time, last.execution_uid, last.task_index]),
      };
    },
  };

  async function read(
    where: { readonly place: string; readonly jobs: string; readonly executions: string; readonly locations: string },
    window: { readonly after: TaskCursor | undefined; readonly limit: number; readonly deletedSince?: number },
  ): Promise<Awaited<ReturnType<typeof listTasks>>> {
    const { place, executions } = where;
    const { after, limit } = window;
    const jobId = where.jobs === ANY && executions !== ANY ? executions.slice(0, Math.max(0, executions.lastIndexOf('-'))) : where.jobs;
    const job = `${place}/jobs/${jobId}`;
    if (executions !== ANY) {
      const name = `${job}/executions/${executions}`;
      const execution = await findExecution(store.read, name);
      if (execution !== undefined) {
        const rows = await listTasksOfExecution(store.read, { executionUid: execution.uid, limit, ...(after === undefined ? {} : { afterIndex: after.index }) });
        return rows.map((row) => ({ ...row, execution_create_time: execution.create_time }));
      }
      if (window.deletedSince === undefined) throw missing(name);
    }
    return listTasks(store.read, {
      projectId: place.split('/')[1] ?? '',
      ...(where.locations === ANY ? {} : { location: where.locations }),
      ...(jobId === ANY ? {} : { job }),
      ...(executions === ANY ? {} : { execution: `${job}/executions/${executions}` }),
      limit,
      ...(after === undefined ? {} : { after }),
      ...(window.deletedSince === undefined ? {} : { deletedSince: window.deletedSince }),
    });
  }
}

function cursorOf(token: readonly (string | number)[] | undefined): TaskCursor | undefined {
  const [createTime, executionUid, index] = token ?? [];
  return typeof createTime === 'number' && typeof executionUid === 'string' && typeof index === 'number' ? { createTime, executionUid, index } : undefined;
}
