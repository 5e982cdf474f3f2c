/** From a job to one execution of it: the overrides of a run applied, and all rows made. Pure but for the uids. */
import { randomInt, randomUUIDv7 } from 'node:crypto';
import { clone, create } from '@bufbuild/protobuf';
import { invalidArgument } from '../../errors.ts';
import { Condition_State, ConditionSchema } from '../../gen/google/cloud/run/v2/condition_pb.js';
import { type Execution, ExecutionSchema } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { type Job, type RunJobRequest_Overrides, type RunJobRequest_Overrides_ContainerOverride } from '../../gen/google/cloud/run/v2/job_pb.js';
import type { Container } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { TaskSchema } from '../../gen/google/cloud/run/v2/task_pb.js';
import { type TaskTemplate, TaskTemplateSchema } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { lastId } from '../../resource-name.ts';
import { etagsAt, resourceEtag } from '../../store/jobs.ts';
import { newTaskRows, type TaskRow } from '../../store/tasks.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { validateArgs, validateEnv } from './validate-containers.ts';
import { MAX_TASKS, validateTimeout } from './validate-job.ts';
import { refuseOutside, violationIn } from './violations.ts';

const SUFFIX_LETTERS = 'abcdefghijklmnopqrstuvwxyz0123456789';

export function randomSuffix(): string {
  return Array.from({ length: 5 }, () => SUFFIX_LETTERS[randomInt(SUFFIX_LETTERS.length)]).join('');
}

/** Whether a run overrides anything, which needs another permission; an empty message overrides nothing. */
export function hasOverrides(overrides: RunJobRequest_Overrides | undefined): overrides is RunJobRequest_Overrides {
  return overrides !== undefined && (overrides.containerOverrides.length > 0 || overrides.taskCount !== 0 || overrides.timeout !== undefined);
}

/** What can be said about overrides without the job. @throws INVALID_ARGUMENT */
export function validateOverrides(overrides: RunJobRequest_Overrides): void {
  const refuse = violationIn('RunJobRequest.overrides');
  refuseOutside(overrides.taskCount, 0, MAX_TASKS, 'task_count', refuse);
  if (overrides.timeout !== undefined) validateTimeout(overrides.timeout, 'timeout', refuse);
  for (const [index, override] of overrides.containerOverrides.entries()) {
    const path = `container_overrides[${index}]`;
    if (override.clearArgs && override.args.length > 0) throw refuse(`${path}.args`, 'must be empty if clear_args is set.');
    if (overrides.containerOverrides.findIndex((other) => other.name === override.name) < index)
      throw refuse(`${path}.name`, `container '${override.name}' is overridden more than once.`);
    validateArgs(override.args, path, refuse);
    validateEnv(override.env, path, refuse);
  }
}

/**
 * @param job ready or reconciling, with its defaults filled in
 * @param overrides checked by `validateOverrides`
 * @throws INVALID_ARGUMENT for an override of a container that the job does not have
 */
export function newExecution(
  job: Job,
  overrides: RunJobRequest_Overrides | undefined,
  given: { readonly name: string; readonly creator: string; readonly now: Micros },
): Execution {
  const { name, creator, now } = given;
  const createTime = toTimestamp(now);
  const taskCount = overrides?.taskCount || job.template?.taskCount || 1;
  const wanted = job.template?.parallelism || taskCount;
  const condition = (type: string, message = '') => create(ConditionSchema, { type, state: Condition_State.CONDITION_PENDING, message, lastTransitionTime: createTime });
  return create(ExecutionSchema, {
    name,
    uid: randomUUIDv7(),
    creator,
    generation: 1n,
    labels: { ...job.template?.labels },
    annotations: { ...job.template?.annotations },
    createTime,
    updateTime: createTime,
    launchStage: job.launchStage,
    job: job.name,
    parallelism: Math.min(wanted, taskCount),
    taskCount,
    template: overridden(job, overrides),
    reconciling: true,
    conditions: [condition('Completed', 'Waiting for execution to complete.'), condition('ResourcesAvailable'), condition('Started'), condition('ContainerReady')],
    etag: resourceEtag(name, now),
  });
}

/** Rows of all tasks of a new execution. */
export function newTasks(execution: Execution, now: Micros): Iterable<TaskRow> {
  const template = execution.template ?? create(TaskTemplateSchema);
  const createTime = toTimestamp(now);
  const shared = create(TaskSchema, {
    generation: 1n,
    labels: execution.labels,
    annotations: execution.annotations,
    createTime,
    updateTime: createTime,
    job: execution.job,
    execution: execution.name,
    containers: template.containers,
    volumes: template.volumes,
    maxRetries: template.retries.value ?? 0,
    serviceAccount: template.serviceAccount,
    executionEnvironment: template.executionEnvironment,
    encryptionKey: template.encryptionKey,
    reconciling: true,
    conditions: [
      create(ConditionSchema, { type: 'Completed', state: Condition_State.CONDITION_PENDING, lastTransitionTime: createTime }),
      create(ConditionSchema, { type: 'Started', state: Condition_State.CONDITION_PENDING, lastTransitionTime: createTime }),
    ],
  });
  if (template.timeout !== undefined) shared.timeout = template.timeout;
  if (template.vpcAccess !== undefined) shared.vpcAccess = template.vpcAccess;
  if (template.nodeSelector !== undefined) shared.nodeSelector = template.nodeSelector;
  if (template.gpuZonalRedundancyDisabled !== undefined) shared.gpuZonalRedundancyDisabled = template.gpuZonalRedundancyDisabled;
  return newTaskRows(shared, execution.uid, namesOfTasks(execution, now));
}

function* namesOfTasks(execution: Execution, now: Micros) {
  const etagOf = etagsAt(now);
  for (let index = 0; index < execution.taskCount; index++) {
    const name = taskName(execution.name, index);
    yield { name, uid: randomUUIDv7(), etag: etagOf(name) };
  }
}

export function taskName(execution: string, index: number): string {
  return `${execution}/tasks/${lastId(execution)}-task${index}`;
}

function overridden(job: Job, overrides: RunJobRequest_Overrides | undefined): TaskTemplate {
  const task = clone(TaskTemplateSchema, job.template?.template ?? create(TaskTemplateSchema));
  if (overrides === undefined) return task;
  if (overrides.timeout !== undefined) task.timeout = overrides.timeout;
  for (const [index, override] of overrides.containerOverrides.entries()) overrideContainer(containerOf(task, override, index), override);
  return task;
}

function containerOf(task: TaskTemplate, override: RunJobRequest_Overrides_ContainerOverride, index: number): Container {
  const path = `overrides.container_overrides[${index}].name`;
  const [only, ...others] = task.containers;
  if (override.name === '') {
    if (only !== undefined && others.length === 0) return only;
    throw invalidArgument(path, 'Must name a container where the job has several.');
  }
  const found = task.containers.find((container) => container.name === override.name);
  if (found === undefined) throw invalidArgument(path, `The job has no container '${override.name}'.`);
  return found;
}

/** Arguments are replaced, variables merged by name: one that is there keeps its place. */
function overrideContainer(container: Container, override: RunJobRequest_Overrides_ContainerOverride): void {
  if (override.clearArgs || override.args.length > 0) container.args = [...override.args];
  for (const variable of override.env) {
    const at = container.env.findIndex((existing) => existing.name === variable.name);
    if (at === -1) container.env.push(variable);
    else container.env[at] = variable;
  }
}
