/** Executions and tasks in v1. */
import { create } from '@bufbuild/protobuf';
import type { Namespaces } from '../../../gen/google/cloud/run/v1/namespaces_pb.js';
import { CancelExecutionRequestSchema, DeleteExecutionRequestSchema, ExecutionSchema } from '../../../gen/google/cloud/run/v2/execution_pb.js';
import type { Db } from '../../../store/database.ts';
import { executionFromRow, findExecution, listExecutions } from '../../../store/executions.ts';
import { findTask, listTasks, taskFromRow } from '../../../store/tasks.ts';
import type { Methods } from '../../service.ts';
import { executionMethods as v2Methods } from '../executions.ts';
import { missing, requireLocation, resource } from '../places.ts';
import type { RunDeps } from '../run-deps.ts';
import { PREFIX } from './annotations.ts';
import { cursor, deleted, metadataOf } from './jobs.ts';
import type { LabelSelector } from './label-selector.ts';
import { listObjects } from './listing.ts';
import { executionToV1, taskToV1Object } from './objects.ts';
import { checkOn, executionAccess, executionName, parseNamespace, parseObject, requireProject, requireRegion } from './places.ts';

type NamespaceMethods = Methods<typeof Namespaces>;
type ExecutionMethods = Pick<NamespaceMethods, 'getExecution' | 'listExecutions' | 'deleteExecution' | 'cancelExecution'>;
type TaskMethods = Pick<NamespaceMethods, 'getTask' | 'listTasks'>;

export function executionMethods(deps: RunDeps): ExecutionMethods & TaskMethods {
  return { ...reads(deps), ...changes(deps), ...taskMethods(deps) };
}

/** `access` of a list: decided on the job where the selector names one, else on the region. */
function onList(permission: string) {
  return {
    checks({ parent, region }: { readonly parent: string; readonly region: string }) {
      return [{ permission, resource: resource(`projects/${parseNamespace(parent)}/locations/${region === '' ? '-' : region}`), asked: parent }];
    },
  };
}

function reads({ store }: RunDeps): Pick<ExecutionMethods, 'getExecution' | 'listExecutions'> {
  return {
    getExecution: {
      access: executionAccess(store, 'run.executions.get'),
      async handle(request) {
        const { project, id } = parseObject('executions', request.name);
        const name = await executionName(store.read, project, requireRegion(request.region), id);
        const row = await findExecution(store.read, name);
        if (row === undefined) throw missing(name);
        return executionToV1(executionFromRow(row), (await requireProject(store.read, row.project_id)).number);
      },
    },
    listExecutions: {
      access: onList('run.executions.list'),
      async handle(request) {
        if (request.region !== '') requireLocation(request.region);
        const project = await requireProject(store.read, parseNamespace(request.parent));
        return listObjects('Execution', request, {
          read: (after, limit, selector) =>
            listExecutions(store.read, {
              projectId: project.project_id,
              limit,
              ...place(request.region),
              ...ofJob(selector, project.project_id, request.region),
              ...cursor(after),
            }),
          keyOf: (row) => [row.create_time, row.uid],
          toV1: (row) => executionToV1(executionFromRow(row), project.number),
        });
      },
    },
  };
}

function place(region: string): { readonly location?: string } {
  return region === '' ? {} : { location: region };
}

/** Most lists are of one job, which has an index of its own. */
function ofJob(selector: LabelSelector, project: string, region: string): { readonly job?: string } {
  const job = selector.valueOf(`${PREFIX}job`);
  return job === undefined || region === '' ? {} : { job: `projects/${project}/locations/${region}/jobs/${job}` };
}

function changes(deps: RunDeps): Pick<ExecutionMethods, 'deleteExecution' | 'cancelExecution'> {
  const { store } = deps;
  const v2 = v2Methods(deps);
  const named = async ({ name, region }: { readonly name: string; readonly region: string }) => {
    const { project, id } = parseObject('executions', name);
    return { id, name: await executionName(store.read, project, requireRegion(region), id) };
  };
  return {
    deleteExecution: {
      access: executionAccess(store, 'run.executions.delete'),
      async handle(request, call) {
        const { id, name } = await named(request);
        const operation = await served(v2.deleteExecution).handle(create(DeleteExecutionRequestSchema, { name }), call);
        return deleted('execution', id, metadataOf(operation, ExecutionSchema).uid);
      },
    },
    cancelExecution: {
      access: executionAccess(store, 'run.executions.cancel'),
      async handle(request, call) {
        const { name } = await named(request);
        const operation = await served(v2.cancelExecution).handle(create(CancelExecutionRequestSchema, { name }), call);
        const execution = metadataOf(operation, ExecutionSchema);
        return executionToV1(execution, (await requireProject(store.read, name.split('/')[1] ?? '')).number);
      },
    },
  };
}

function served<M extends object>(method: M | 'unimplemented'): M {
  if (method === 'unimplemented') throw new Error('a method of v2 that v1 needs is not served');
  return method;
}

function taskMethods({ store }: RunDeps): TaskMethods {
  const taskName = async ({ name, region }: { readonly name: string; readonly region: string }) => {
    const { project, id } = parseObject('tasks', name);
    return `${await executionName(store.read, project, region, id.replace(/-task\d+$/, ''))}/tasks/${id}`;
  };
  return {
    getTask: {
      access: { checks: async (request) => [checkOn('run.tasks.get', await taskName(request), request.name)] },
      async handle(request) {
        requireRegion(request.region);
        const name = await taskName(request);
        const row = await findTask(store.read, name);
        if (row === undefined) throw missing(name);
        return taskToV1Object(taskFromRow(row), (await requireProject(store.read, name.split('/')[1] ?? '')).number);
      },
    },
    listTasks: {
      access: onList('run.tasks.list'),
      async handle(request) {
        if (request.region !== '') requireLocation(request.region);
        const project = await requireProject(store.read, parseNamespace(request.parent));
        return listObjects('Task', request, {
          read: async (after, limit, selector) =>
            listTasks(store.read, {
              projectId: project.project_id,
              limit,
              ...place(request.region),
              ...ofJob(selector, project.project_id, request.region),
              ...(await ofExecution(store.read, selector, project.project_id, request.region)),
              ...taskCursor(after),
            }),
          keyOf: (row) => [row.execution_create_time, row.execution_uid, row.task_index],
          toV1: (row) => taskToV1Object(taskFromRow(row), project.number),
        });
      },
    },
  };
}

/** gcloud lists the tasks of one execution, by its label. */
async function ofExecution(db: Db, selector: LabelSelector, project: string, region: string): Promise<{ readonly execution?: string }> {
  const execution = selector.valueOf(`${PREFIX}execution`);
  return execution === undefined || region === '' ? {} : { execution: await executionName(db, project, region, execution) };
}

function taskCursor(after: readonly (string | number)[] | undefined) {
  const [createTime, executionUid, index] = after ?? [];
  return typeof createTime === 'number' && typeof executionUid === 'string' && typeof index === 'number' ? { after: { createTime, executionUid, index } } : {};
}
