/** google.cloud.run.v2.Jobs: what each method asks for and answers. Changes are in change-job.ts, runs in run-job.ts. */

import { type GetJobRequestSchema, JobSchema, type Jobs, type ListJobsRequestSchema, type ListJobsResponseSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import type {
  GetIamPolicyRequestSchema,
  SetIamPolicyRequestSchema,
  TestIamPermissionsRequestSchema,
  TestIamPermissionsResponseSchema,
} from '../../gen/google/iam/v1/iam_policy_pb.js';
import type { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import type { Db } from '../../store/database.ts';
import { createDecoder } from '../../store/decoder.ts';
import { findJob, type JobRow, jobFromRow, listJobs } from '../../store/jobs.ts';
import { getPolicy, setPolicy, testPermissions } from '../iam-policy.ts';
import type { Methods, Unary } from '../service.ts';
import { createJob, deleteJob, updateJobMethod } from './change-job.ts';
import { listPage } from './list-page.ts';
import { ANY, missing, parseJobName, parseLocationName, projectId, requireLocation, resource, storedName } from './places.ts';
import type { RunDeps } from './run-deps.ts';
import { runJob } from './run-job.ts';

export function jobMethods(deps: RunDeps): Methods<typeof Jobs> {
  return {
    createJob: createJob(deps),
    getJob: getJob(deps),
    listJobs: list(deps),
    updateJob: updateJobMethod(deps),
    deleteJob: deleteJob(deps),
    runJob: runJob(deps),
    getIamPolicy: getIamPolicy(deps),
    setIamPolicy: setIamPolicy(deps),
    testIamPermissions: testIamPermissions(),
  };
}

async function requireJob(db: Db, name: string): Promise<JobRow> {
  const row = await findJob(db, name);
  if (row === undefined) throw missing(name);
  return row;
}

function getJob({ store }: RunDeps): Unary<typeof GetJobRequestSchema, typeof JobSchema> {
  const jobs = createDecoder(JobSchema);
  return {
    access: {
      checks: ({ name }) => {
        parseJobName(name, 'name');
        return [{ permission: 'run.jobs.get', resource: resource(name) }];
      },
    },
    async handle({ name }) {
      const row = await requireJob(store.read, await storedName(store.read, name));
      return jobs.decode(row.uid, row.body);
    },
  };
}

function list({ store }: RunDeps): Unary<typeof ListJobsRequestSchema, typeof ListJobsResponseSchema> {
  return {
    access: {
      checks: ({ parent }) => {
        parseLocationName(parent, 'parent');
        return [{ permission: 'run.jobs.list', resource: resource(parent) }];
      },
    },
    async handle(request, call) {
      const { projects, locations } = parseLocationName(request.parent, 'parent');
      if (locations !== ANY) requireLocation(locations);
      const where = { projectId: await projectId(store.read, projects), ...(locations === ANY ? {} : { location: locations }) };
      const page = await listPage('jobs', request, call.now(), (window) => listJobs(store.read, { ...where, ...window }));
      return { jobs: page.rows.map(jobFromRow), nextPageToken: page.nextPageToken };
    },
  };
}

function onPolicy(permission: string) {
  return {
    checks: (request: { readonly resource: string }) => {
      parseJobName(request.resource, 'resource');
      return [{ permission, resource: resource(request.resource) }];
    },
  };
}

function getIamPolicy({ store, catalogue }: RunDeps): Unary<typeof GetIamPolicyRequestSchema, typeof PolicySchema> {
  return {
    access: onPolicy('run.jobs.getIamPolicy'),
    async handle(request, call) {
      const name = await storedName(store.read, request.resource);
      await requireJob(store.read, name);
      return getPolicy(store, resource(name), request, catalogue, call);
    },
  };
}

function setIamPolicy({ store, catalogue, constraints }: RunDeps): Unary<typeof SetIamPolicyRequestSchema, typeof PolicySchema> {
  return {
    access: onPolicy('run.jobs.setIamPolicy'),
    async handle(request, call) {
      const name = await storedName(store.read, request.resource);
      const check = { permission: 'run.jobs.setIamPolicy', resource: resource(request.resource) };
      return setPolicy(store, request, { resource: resource(name), where: 'job', check, ensure: (db) => requireJob(db, name), catalogue, constraints }, call);
    },
  };
}

function testIamPermissions(): Unary<typeof TestIamPermissionsRequestSchema, typeof TestIamPermissionsResponseSchema> {
  return {
    access: { authenticated: true, why: 'The proto says that no permission is required: the answer tells callers only what they themselves may do.' },
    async handle(request, call) {
      parseJobName(request.resource, 'resource');
      return { permissions: await testPermissions(resource(request.resource), request.permissions, call) };
    },
  };
}
