/** Jobs, executions and tasks as v1 shows them, and a v1 job as v2 stores it. What is stored is v2's; v1 is a view of it. */
import { createHash } from 'node:crypto';
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Timestamp, timestampDate } from '@bufbuild/protobuf/wkt';
import { invalidArgument } from '../../../errors.ts';
import { LaunchStage } from '../../../gen/google/api/launch_stage_pb.js';
import {
  type ExecutionReferenceSchema,
  type ExecutionSchema,
  type Job,
  type JobSchema,
  type JobStatusSchema,
  type ObjectMetaSchema as MetaSchema,
  ObjectMetaSchema,
  type TaskSchema,
} from '../../../gen/google/cloud/run/v1/resources_pb.js';
import { type Condition, Condition_ExecutionReason, Condition_State } from '../../../gen/google/cloud/run/v2/condition_pb.js';
import type { Execution as V2Execution } from '../../../gen/google/cloud/run/v2/execution_pb.js';
import type { Job as V2Job, JobSchema as V2JobSchema } from '../../../gen/google/cloud/run/v2/job_pb.js';
import type { Task as V2Task } from '../../../gen/google/cloud/run/v2/task_pb.js';
import type { BinaryAuthorization } from '../../../gen/google/cloud/run/v2/vendor_settings_pb.js';
import { lastId } from '../../../resource-name.ts';
import { fromTimestamp, type Micros } from '../../../timestamp.ts';
import { callersLabels, LOCATION_LABEL, type Pairs, PREFIX, platformAnnotations, readAnnotations, UPDATED_LABEL } from './annotations.ts';
import { conditionToV1, jobConditions } from './conditions.ts';
import { executionSpecToV1, taskToV1, templateToV1, templateToV2 } from './task-spec.ts';

export const API_VERSION = 'run.googleapis.com/v1';
const PATH = '/apis/run.googleapis.com/v1';

/** @param job as sent @param parent `projects/P/locations/R`, for what v1 may name by its id alone @throws INVALID_ARGUMENT for another kind, and for what v2 has no place for */
export function jobToV2(job: Job, parent = ''): MessageInitShape<typeof V2JobSchema> {
  if (job.apiVersion !== API_VERSION) throw invalidArgument('apiVersion', `must be ${API_VERSION}, but is ${JSON.stringify(job.apiVersion)}.`);
  if (job.kind !== 'Job') throw invalidArgument('kind', `must be Job, but is ${JSON.stringify(job.kind)}.`);
  const meta = job.metadata ?? create(ObjectMetaSchema);
  const annotations = readAnnotations(meta.annotations, 'Job', 'metadata.annotations');
  const template = templateToV2(job.spec?.template, parent);
  const { startExecutionToken: start = '', runExecutionToken: run = '' } = job.spec ?? {};
  if (start !== '' && run !== '') throw invalidArgument('spec', 'has both a start_execution_token and a run_execution_token.');
  return {
    client: annotations.take('client-name') ?? '',
    clientVersion: annotations.take('client-version') ?? '',
    launchStage: stageFrom(annotations.take('launch-stage')),
    ...binaryFrom(annotations.take('binary-authorization'), annotations.take('binary-authorization-breakglass')),
    labels: callersLabels(meta.labels, 'metadata.labels'),
    annotations: annotations.rest(),
    template,
    ...(start !== '' ? { createExecution: { case: 'startExecutionToken', value: start } } : run !== '' ? { createExecution: { case: 'runExecutionToken', value: run } } : {}),
  };
}

function stageFrom(text: string | undefined): LaunchStage {
  if (text === undefined || text === '') return LaunchStage.LAUNCH_STAGE_UNSPECIFIED;
  if (text === 'ALPHA') return LaunchStage.ALPHA;
  if (text === 'BETA') return LaunchStage.BETA;
  if (text === 'GA') return LaunchStage.GA;
  throw invalidArgument('metadata.annotations', `Annotation 'run.googleapis.com/launch-stage' with value ${JSON.stringify(text)} must be ALPHA, BETA or GA.`);
}

function binaryFrom(policy: string | undefined, breakglassJustification = ''): Pick<MessageInitShape<typeof V2JobSchema>, 'binaryAuthorization'> {
  if (policy === undefined && breakglassJustification === '') return {};
  if (policy === undefined || policy === '') return { binaryAuthorization: { breakglassJustification } };
  const method = policy === 'default' ? ({ case: 'useDefault', value: true } as const) : ({ case: 'policy', value: policy } as const);
  return { binaryAuthorization: { binauthzMethod: method, breakglassJustification } };
}

function binaryTo(settings: BinaryAuthorization | undefined): Record<string, string> {
  if (settings === undefined) return {};
  const { binauthzMethod: method, breakglassJustification } = settings;
  return {
    'binary-authorization': method.case === 'policy' ? method.value : method.case === 'useDefault' && method.value ? 'default' : '',
    'binary-authorization-breakglass': breakglassJustification,
  };
}

/** @param projectNumber answers name the namespace by it @param statusOf the job whose status is shown, null for an empty one, as the first answer to a creation has it */
export function jobToV1(job: V2Job, projectNumber: string, statusOf: V2Job | null = job): MessageInitShape<typeof JobSchema> {
  const { client, clientVersion } = job;
  const byClient = { 'client-name': client, 'client-version': clientVersion };
  const annotations = platformAnnotations({
    ...byClient,
    creator: job.creator,
    lastModifier: job.lastModifier,
    'operation-id': operationId(job),
    // As in v2 the stage says what the job needs; GA is not said.
    'launch-stage': job.launchStage === LaunchStage.BETA ? 'BETA' : job.launchStage === LaunchStage.ALPHA ? 'ALPHA' : '',
    ...binaryTo(job.binaryAuthorization),
  });
  const updated: Pairs = job.updateTime === undefined ? {} : { [UPDATED_LABEL]: rfc3339(job.updateTime) };
  const { case: token, value: suffix } = job.createExecution;
  return {
    apiVersion: API_VERSION,
    kind: 'Job',
    metadata: {
      ...metaOf('jobs', job, projectNumber),
      labels: { ...job.labels, [LOCATION_LABEL]: locationOf(job.name), ...updated },
      annotations: { ...job.annotations, ...annotations },
    },
    spec: { ...(job.template === undefined ? {} : { template: templateToV1(job.template, platformAnnotations(byClient)) }), ...(token === undefined ? {} : { [token]: suffix }) },
    status: statusOf === null ? {} : jobStatus(statusOf),
  };
}

function jobStatus(job: V2Job): MessageInitShape<typeof JobStatusSchema> {
  const { latestCreatedExecution: latest } = job;
  return {
    observedGeneration: Number(job.observedGeneration || 1n),
    conditions: jobConditions(job.terminalCondition, job.reconciling, job.createTime),
    executionCount: job.executionCount,
    ...(latest === undefined || latest.name === '' ? {} : { latestCreatedExecution: referenceOf(latest) }),
  };
}

function referenceOf(latest: NonNullable<V2Job['latestCreatedExecution']>): MessageInitShape<typeof ExecutionReferenceSchema> {
  const { name, createTime, completionTime, deleteTime, completionStatus } = latest;
  return {
    name: lastId(name),
    // The same numbers under the same names.
    completionStatus: completionStatus as number,
    ...(createTime === undefined ? {} : { creationTimestamp: createTime }),
    ...(completionTime === undefined ? {} : { completionTimestamp: completionTime }),
    ...(deleteTime === undefined ? {} : { deletionTimestamp: deleteTime }),
  };
}

export function executionToV1(execution: V2Execution, projectNumber: string): MessageInitShape<typeof ExecutionSchema> {
  const { spec, annotations } = executionSpecToV1(execution.template, execution.taskCount, execution.parallelism);
  const { startTime, completionTime } = execution;
  return {
    apiVersion: API_VERSION,
    kind: 'Execution',
    metadata: {
      ...metaOf('executions', execution, projectNumber),
      labels: { ...execution.labels, [LOCATION_LABEL]: locationOf(execution.name), [`${PREFIX}job`]: lastId(execution.job) },
      annotations: { ...execution.annotations, ...annotations, ...platformAnnotations({ creator: execution.creator, lastModifier: execution.creator }) },
    },
    spec,
    status: {
      observedGeneration: Number(execution.observedGeneration || 1n),
      conditions: execution.conditions.map(conditionToV1),
      ...(startTime === undefined ? {} : { startTime }),
      ...(completionTime === undefined ? {} : { completionTime }),
      runningCount: execution.runningCount,
      succeededCount: execution.succeededCount,
      failedCount: execution.failedCount,
      cancelledCount: execution.cancelledCount,
      retriedCount: execution.retriedCount,
      logUri: execution.logUri,
    },
  };
}

export function taskToV1Object(task: V2Task, projectNumber: string): MessageInitShape<typeof TaskSchema> {
  const { spec } = taskToV1({ ...task, retries: { case: 'maxRetries', value: task.maxRetries } });
  const { startTime, completionTime, scheduledTime, lastAttemptResult: last } = task;
  return {
    apiVersion: API_VERSION,
    kind: 'Task',
    metadata: {
      ...metaOf('tasks', task, projectNumber),
      labels: {
        ...task.labels,
        [LOCATION_LABEL]: locationOf(task.name),
        [`${PREFIX}job`]: lastId(task.job),
        [`${PREFIX}execution`]: lastId(task.execution),
        [`${PREFIX}runningState`]: runningState(task),
      },
      annotations: { ...task.annotations, ...(scheduledTime === undefined ? {} : { [`${PREFIX}scheduled-time`]: rfc3339(scheduledTime) }) },
    },
    spec,
    status: {
      observedGeneration: Number(task.observedGeneration || 1n),
      conditions: task.conditions.map(conditionToV1),
      ...(startTime === undefined ? {} : { startTime }),
      ...(completionTime === undefined ? {} : { completionTime }),
      index: task.index,
      retried: task.retried,
      logUri: task.logUri,
      // With a status always: gcloud cannot do without it.
      ...(last === undefined ? {} : { lastAttemptResult: { status: last.status ?? {}, exitCode: last.exitCode, termSignal: last.termSignal } }),
    },
  };
}

/** Pending, Running, Succeeded, Failed, Cancelled (it ran when its execution was ended) or Abandoned (it never did). */
export function runningState(task: V2Task): string {
  const completed = task.conditions.find(({ type }) => type === 'Completed');
  if (completed?.state === Condition_State.CONDITION_SUCCEEDED) return 'Succeeded';
  if (completed?.state !== Condition_State.CONDITION_FAILED) return task.startTime === undefined ? 'Pending' : 'Running';
  if (!isCancelled(completed)) return 'Failed';
  return task.startTime === undefined ? 'Abandoned' : 'Cancelled';
}

function isCancelled({ reasons }: Condition): boolean {
  return reasons.case === 'executionReason' && (reasons.value === Condition_ExecutionReason.CANCELLED || reasons.value === Condition_ExecutionReason.DELETED);
}

interface Timed {
  readonly name: string;
  readonly uid: string;
  readonly generation: bigint;
  readonly createTime?: Timestamp | undefined;
  readonly updateTime?: Timestamp | undefined;
  readonly deleteTime?: Timestamp | undefined;
}

function metaOf(collection: 'jobs' | 'executions' | 'tasks', from: Timed, projectNumber: string): MessageInitShape<typeof MetaSchema> {
  const name = lastId(from.name);
  return {
    name,
    namespace: projectNumber,
    selfLink: `${PATH}/namespaces/${projectNumber}/${collection}/${name}`,
    uid: from.uid,
    resourceVersion: resourceVersion(from.updateTime),
    generation: Number(from.generation),
    ...(from.createTime === undefined ? {} : { creationTimestamp: from.createTime }),
    ...(from.deleteTime === undefined ? {} : { deletionTimestamp: from.deleteTime, ...(collection === 'jobs' ? { finalizers: ['JobFinalizer'] } : {}) }),
  };
}

/** The time of the last change as eight bytes in base64, as Cloud Run's are. */
export function resourceVersion(time: Timestamp | undefined): string {
  if (time === undefined) return '';
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(fromTimestamp(time)));
  return bytes.toString('base64url');
}

/** @returns the time in a resource version; undefined for any other text */
export function versionTime(version: string): Micros | undefined {
  const bytes = Buffer.from(version, 'base64url');
  return bytes.length === 8 && bytes.toString('base64url') === version ? Number(bytes.readBigUInt64BE()) : undefined;
}

/** Google's tells which call changed the job last; here it follows from the job and its generation, and so changes with every change. */
function operationId({ uid, generation }: V2Job): string {
  const hex = createHash('sha256').update(`${uid}/${generation}`).digest('hex');
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-4${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

function locationOf(name: string): string {
  return name.split('/')[3] ?? '';
}

/** With six digits of a second, as all times here. */
function rfc3339(time: Timestamp): string {
  const micros = fromTimestamp(time);
  return `${timestampDate(time).toISOString().slice(0, 19)}.${String(micros % 1_000_000).padStart(6, '0')}Z`;
}
