/** Jobs in v1: each method says in v2's words what is to be done, and shows the result in v1's. */
import { randomUUID } from 'node:crypto';
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { aborted, invalidArgument } from '../../../errors.ts';
import type { Namespaces, RunJobRequest, StatusSchema } from '../../../gen/google/cloud/run/v1/namespaces_pb.js';
import { type Job, JobSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import { ExecutionSchema } from '../../../gen/google/cloud/run/v2/execution_pb.js';
import {
  CreateJobRequestSchema,
  DeleteJobRequestSchema,
  type RunJobRequest_OverridesSchema,
  RunJobRequestSchema,
  UpdateJobRequestSchema,
  type Job as V2Job,
  JobSchema as V2JobSchema,
} from '../../../gen/google/cloud/run/v2/job_pb.js';
import { OperationSchema } from '../../../gen/google/longrunning/operations_pb.js';
import { lastId } from '../../../resource-name.ts';
import { createDecoder } from '../../../store/decoder.ts';
import { findJob, jobFromRow, listJobs, resourceEtag } from '../../../store/jobs.ts';
import type { Methods } from '../../service.ts';
import { createJob, deleteJob, updateJobMethod } from '../change-job.ts';
import { hasOverrides, randomSuffix } from '../new-execution.ts';
import { missing, projectId, requireLocation, resource } from '../places.ts';
import type { RunDeps } from '../run-deps.ts';
import { runJob } from '../run-job.ts';
import { validateJobId } from '../validate-job.ts';
import { envToV2 } from './containers.ts';
import { listObjects } from './listing.ts';
import { executionToV1, jobToV1, jobToV2, versionTime } from './objects.ts';
import { checkOn, parseNamespace, parseObject, requireProject, requireRegion } from './places.ts';
import { readSecretAliases } from './secrets.ts';

type JobMethods = Pick<Methods<typeof Namespaces>, 'createJob' | 'getJob' | 'listJobs' | 'replaceJob' | 'deleteJob' | 'runJob'>;
type Overrides = MessageInitShape<typeof RunJobRequest_OverridesSchema>;

export function jobMethods(deps: RunDeps): JobMethods {
  return { createJob: createJobV1(deps), getJob: getJobV1(deps), listJobs: listJobsV1(deps), replaceJob: replaceJobV1(deps), deleteJob: deleteJobV1(deps), runJob: runJobV1(deps) };
}

const nameOf = (project: string, region: string, job: string) => `projects/${project}/locations/${region}/jobs/${job}`;

/** `access` of the methods on one job. */
function onJob<R extends { readonly region: string; readonly name: string }>(permission: string | ((request: R) => string)) {
  return {
    checks(request: R) {
      const { project, id } = parseObject('jobs', request.name);
      return [checkOn(typeof permission === 'string' ? permission : permission(request), nameOf(project, request.region, id), request.name)];
    },
  };
}

function createJobV1(deps: RunDeps): JobMethods['createJob'] {
  const v2 = createJob(deps);
  return {
    access: {
      checks({ parent, region, job }) {
        const project = parseNamespace(parent);
        const { name = '' } = job?.metadata ?? {};
        return [{ permission: 'run.jobs.create', resource: resource(`projects/${project}/locations/${region}`), asked: `${parent}/jobs/${name}` }];
      },
    },
    async handle(request, call) {
      const asked = parseNamespace(request.parent);
      const region = requireRegion(request.region);
      const project = await requireProject(deps.store.read, asked);
      const job = requireJob(request.job);
      refuseOtherNamespace(job, [project.project_id, project.number]);
      const { name: given = '', generateName = '' } = job.metadata ?? {};
      const jobId = given === '' && generateName !== '' ? generatedName(generateName) : given;
      validateJobId(jobId, 'CreateJobRequest');
      const isDry = isDryRun(request.dryRun);
      const parent = `projects/${project.project_id}/locations/${region}`;
      const sent = create(CreateJobRequestSchema, { parent, jobId, job: jobToV2(job, parent), validateOnly: isDry });
      const operation = await v2.handle(sent, call);
      const stored = isDry ? metadataOf(operation, V2JobSchema) : await read(deps, nameOf(project.project_id, region, jobId));
      return jobToV1(stored, project.number, null);
    },
  };
}

function getJobV1({ store }: RunDeps): JobMethods['getJob'] {
  const jobs = createDecoder(V2JobSchema);
  const shown = new WeakMap<V2Job, ReturnType<typeof create<typeof JobSchema>>>();
  return {
    access: onJob('run.jobs.get'),
    async handle({ name, region }) {
      const { project, id } = parseObject('jobs', name);
      const v2Name = nameOf(await projectId(store.read, project), requireRegion(region), id);
      const row = await findJob(store.read, v2Name);
      if (row === undefined) throw missing(v2Name);
      // The same object while the row is the same, so that its JSON is made once.
      const job = jobs.decode(row.uid, row.body);
      const known = shown.get(job);
      if (known !== undefined) return known;
      const made = create(JobSchema, jobToV1(job, (await requireProject(store.read, row.project_id)).number));
      shown.set(job, made);
      return made;
    },
  };
}

function listJobsV1({ store }: RunDeps): JobMethods['listJobs'] {
  return {
    access: {
      checks({ parent, region }) {
        const place = `projects/${parseNamespace(parent)}/locations/${region === '' ? '-' : region}`;
        return [{ permission: 'run.jobs.list', resource: resource(place), asked: parent }];
      },
    },
    async handle(request) {
      if (request.region !== '') requireLocation(request.region);
      const project = await requireProject(store.read, parseNamespace(request.parent));
      const where = { projectId: project.project_id, ...(request.region === '' ? {} : { location: request.region }) };
      return listObjects('Job', request, {
        read: (after, limit) => listJobs(store.read, { ...where, limit, ...cursor(after) }),
        keyOf: (row) => [row.create_time, row.uid],
        toV1: (row) => jobToV1(jobFromRow(row), project.number),
      });
    },
  };
}

/** Where a list that is sorted by creation time goes on. */
export function cursor(after: readonly (string | number)[] | undefined) {
  const [createTime, uid] = after ?? [];
  return typeof createTime === 'number' && typeof uid === 'string' ? { after: { createTime, uid } } : {};
}

function replaceJobV1(deps: RunDeps): JobMethods['replaceJob'] {
  const v2 = updateJobMethod(deps);
  return {
    access: onJob('run.jobs.update'),
    async handle(request, call) {
      const { project: asked, id } = parseObject('jobs', request.name);
      const project = await requireProject(deps.store.read, asked);
      const name = nameOf(project.project_id, requireRegion(request.region), id);
      const job = requireJob(request.job);
      refuseOtherNamespace(job, [project.project_id, project.number]);
      if ((job.metadata?.name ?? '') !== id) throw invalidArgument('metadata.name', `must be ${id}, as in the path, but is ${JSON.stringify(job.metadata?.name ?? '')}.`);
      const before = await read(deps, name);
      const etag = etagOf(before, job.metadata?.resourceVersion ?? '');
      const isDry = isDryRun(request.dryRun);
      const operation = await v2.handle(create(UpdateJobRequestSchema, { job: { ...jobToV2(job, name.slice(0, name.indexOf('/jobs/'))), name, etag }, validateOnly: isDry }), call);
      const after = isDry ? metadataOf(operation, V2JobSchema) : await read(deps, name);
      // Recorded: the answer has the status from before.
      return jobToV1(after, project.number, before);
    },
  };
}

/** The etag under which v2 knows the version. Empty: whatever is current. @throws ABORTED for a version that can be none of this job's */
function etagOf(job: V2Job, version: string): string {
  if (version === '') return '';
  const time = versionTime(version);
  if (time === undefined) throw aborted(`Conflict for resource '${lastId(job.name)}': version '${version.slice(0, 100)}' was specified, which is no version.`);
  return resourceEtag(job.name, time);
}

function deleteJobV1(deps: RunDeps): JobMethods['deleteJob'] {
  const v2 = deleteJob(deps);
  return {
    access: onJob('run.jobs.delete'),
    async handle(request, call) {
      const { project, id } = parseObject('jobs', request.name);
      const name = nameOf(await projectId(deps.store.read, project), requireRegion(request.region), id);
      const { uid } = await read(deps, name);
      await v2.handle(create(DeleteJobRequestSchema, { name, validateOnly: isDryRun(request.dryRun) }), call);
      return deleted('job', id, uid);
    },
  };
}

/** What a deletion answers (recorded). */
export function deleted(kind: string, name: string, uid: string): MessageInitShape<typeof StatusSchema> {
  return { status: 'Success', reason: randomUUID(), details: { group: 'v1', kind, name, uid } };
}

function runJobV1(deps: RunDeps): JobMethods['runJob'] {
  const v2 = runJob(deps);
  return {
    access: onJob((request: RunJobRequest) =>
      hasOverrides(create(RunJobRequestSchema, { overrides: overridesOf(request) ?? {} }).overrides) ? 'run.jobs.runWithOverrides' : 'run.jobs.run',
    ),
    async handle(request, call) {
      const { project: asked, id } = parseObject('jobs', request.name);
      const project = await requireProject(deps.store.read, asked);
      const overrides = overridesOf(request);
      const name = nameOf(project.project_id, requireRegion(request.region), id);
      const operation = await v2.handle(create(RunJobRequestSchema, { name, ...(overrides === undefined ? {} : { overrides }) }), call);
      const execution = metadataOf(operation, ExecutionSchema);
      return executionToV1(execution, project.number);
    },
  };
}

function overridesOf({ overrides }: RunJobRequest): Overrides | undefined {
  if (overrides === undefined) return undefined;
  const secrets = readSecretAliases(undefined);
  return {
    taskCount: overrides.taskCount,
    ...(overrides.timeoutSeconds === 0 ? {} : { timeout: { seconds: BigInt(overrides.timeoutSeconds) } }),
    containerOverrides: overrides.containerOverrides.map(({ name, args, env, clearArgs }, index) => ({
      name,
      args,
      clearArgs,
      env: env.map((variable, at) => envToV2(variable, secrets, `overrides.container_overrides[${index}].env[${at}]`)),
    })),
  };
}

/** What an operation of v2 is about. */
export function metadataOf<D extends DescMessage>(operation: MessageInitShape<typeof OperationSchema>, schema: D): MessageShape<D> {
  const { metadata, name } = create(OperationSchema, operation);
  const found = metadata === undefined ? undefined : anyUnpack(metadata, schema);
  if (found === undefined) throw new Error(`operation ${name} is not about a ${schema.typeName}`);
  return found;
}

async function read({ store }: RunDeps, name: string): Promise<V2Job> {
  const row = await findJob(store.read, name);
  if (row === undefined) throw missing(name);
  return jobFromRow(row);
}

function requireJob(job: Job | undefined): Job {
  if (job === undefined) throw invalidArgument('job', 'The request has no job.');
  return job;
}

/** A body may name its namespace, which must then be that of the path. */
function refuseOtherNamespace(job: Job, names: readonly string[]): void {
  const namespace = job.metadata?.namespace ?? '';
  if (namespace !== '' && !names.includes(namespace))
    throw invalidArgument('metadata.namespace', `must be ${names.join(' or ')}, as in the path, but is ${JSON.stringify(namespace)}.`);
}

/** Source: discovery document of run v1, `generateName`: fewer than 31 characters. */
function generatedName(prefix: string): string {
  if (prefix.length > 30) throw invalidArgument('metadata.generateName', `must have at most 30 characters, but has ${prefix.length}.`);
  return `${prefix}${randomSuffix()}`;
}

function isDryRun(text: string): boolean {
  if (text !== '' && text !== 'all') throw invalidArgument('dry_run', `must be all or empty, but is ${JSON.stringify(text)}.`);
  return text === 'all';
}
