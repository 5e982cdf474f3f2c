import { create, toJson } from '@bufbuild/protobuf';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Job, JobSchema, Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import { Operations } from '../../gen/google/longrunning/operations_pb.js';
import { createFixture, DEFAULT_ACCOUNT, type Fixture, HELLO, PARENT, unpackJob } from './run-fixture.ts';

let f: Fixture;
beforeAll(async () => {
  f = await createFixture({ limits: { jobsPerRegion: 40 } });
});
afterAll(() => f.close());
let count = 0;
let jobId = '';
let name = '';
beforeEach(() => {
  jobId = `job-${count++}`;
  name = `${PARENT}/jobs/${jobId}`;
  f.checked.length = 0;
  f.denied.clear();
});
const createIt = (job: object = HELLO) => f.call(Jobs, 'createJob', { parent: PARENT, jobId, job });
const patch = (job: object = HELLO) => f.call(Jobs, 'updateJob', { job: { name, ...job } });
const toJsonObject = (job: Job): { readonly [key: string]: unknown } => Object(toJson(JobSchema, job));
const get = () => f.call(Jobs, 'getJob', { name });

describe('the recorded life of a job', () => {
  const template = {
    taskCount: 1,
    template: {
      containers: [{ image: 'us-docker.pkg.dev/cloudrun/container/hello', resources: { limits: { cpu: '1000m', memory: '512Mi' } } }],
      executionEnvironment: 'EXECUTION_ENVIRONMENT_GEN2',
      maxRetries: 3,
      serviceAccount: DEFAULT_ACCOUNT,
      timeout: '600s',
    },
  };

  it('says what is missing', async () => {
    await expect(get()).rejects.toMatchObject({ status: 'NOT_FOUND', message: `Resource '${jobId}' of kind 'JOB' in region 'us-central1' in project 'demo' does not exist.` });
  });

  it('create, patch and delete answer and end as recorded', async () => {
    const created = await createIt();
    expect(created.name).toMatch(/^projects\/demo\/locations\/us-central1\/operations\/[0-9a-f-]{36}$/);
    expect(created.done).toBe(false);
    const first = unpackJob(created.metadata);
    const { createTime, updateTime, etag, ...rest } = toJsonObject(first);
    expect(rest).toEqual({
      name,
      generation: '1',
      creator: 'dev@example.com',
      lastModifier: 'dev@example.com',
      latestCreatedExecution: {},
      launchStage: 'GA',
      reconciling: true,
      terminalCondition: { state: 'CONDITION_PENDING' },
      template,
    });
    expect(createTime).toEqual(updateTime);
    expect(etag).toMatch(new RegExp(`^"[A-Za-z0-9_-]+/${Buffer.from(name).toString('base64url')}"$`));

    await f.settle(name);
    const done = await f.call(Operations, 'getOperation', { name: created.name });
    expect(done.done).toBe(true);
    expect(unpackJob(done.metadata)).toMatchObject({ uid: '', observedGeneration: 1n, reconciling: false, etag });
    if (done.result.case !== 'response') throw new Error('no response');
    expect(unpackJob(done.result.value).uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(await get()).toEqual(unpackJob(done.result.value));

    const patched = unpackJob((await patch({ template: { template: { containers: [{ ...HELLO.template.template.containers[0], name: 'container-name' }] } } })).metadata);
    expect(patched).toMatchObject({ generation: 2n, observedGeneration: 1n, reconciling: true, uid: '', terminalCondition: { type: 'Ready', state: 1 } });
    expect(patched.terminalCondition?.lastTransitionTime).toEqual(unpackJob(done.metadata).terminalCondition?.lastTransitionTime);
    expect(patched.etag).not.toBe(etag);
    await f.settle(name);

    const deleted = await f.call(Jobs, 'deleteJob', { name });
    const gone = unpackJob(deleted.metadata);
    expect(gone).toMatchObject({ generation: 3n, observedGeneration: 2n, reconciling: true, terminalCondition: { type: 'Ready', state: 1 } });
    expect(Number(gone.expireTime?.seconds) - Number(gone.deleteTime?.seconds)).toBe(30 * 24 * 3600);
    // Until the deletion is finished the job is there, and its name taken.
    expect((await get()).deleteTime).toEqual(gone.deleteTime);
    await expect(createIt()).rejects.toMatchObject({ status: 'ALREADY_EXISTS' });
    await f.settle(name);
    await expect(get()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect((await createIt()).done).toBe(false);
  });

  it('fills in the probe of the recorded job with a port', async () => {
    const operation = await createIt({
      labels: { 'cnrm-test': 'true' },
      template: {
        template: { containers: [{ ...HELLO.template.template.containers[0], name: 'hello', startupProbe: { probeType: { case: 'httpGet', value: { path: '/', port: 8080 } } } }] },
      },
    });
    const job = unpackJob(operation.metadata);
    expect(job.labels).toEqual({ 'cnrm-test': 'true' });
    expect(job.template?.labels).toEqual({});
    expect(job.template?.template?.containers[0]?.startupProbe).toMatchObject({ failureThreshold: 3, periodSeconds: 10, timeoutSeconds: 1, initialDelaySeconds: 0 });
  });

  it('keeps variables in order and secrets as named', async () => {
    const env = [
      { name: 'FOO', values: { case: 'value' as const, value: 'bar' } },
      { name: 'SECRET_ENV_VAR', values: { case: 'valueSource' as const, value: { secretKeyRef: { secret: 'projects/123456789012/secrets/s', version: '1' } } } },
    ];
    await createIt({ template: { template: { containers: [{ ...HELLO.template.template.containers[0], env }] } } });
    expect((await get()).template?.template?.containers[0]?.env).toMatchObject(env);
  });
});

describe('update', () => {
  it('gives what it leaves out the defaults again', async () => {
    await createIt({ labels: { a: 'b' }, template: { taskCount: 5, template: { ...HELLO.template.template, retries: { case: 'maxRetries', value: 0 } } } });
    await f.settle(name);
    await patch();
    expect(await get()).toMatchObject({ labels: {}, template: { taskCount: 1, template: { retries: { value: 3 } } } });
  });

  it('that changes nothing keeps the generation and is done at once', async () => {
    await createIt();
    const before = await f.settle(name);
    const operation = await patch();
    expect(operation.done).toBe(true);
    expect(await get()).toEqual(before);
    expect((await f.call(Operations, 'getOperation', { name: operation.name })).done).toBe(true);
  });

  it('that changes nothing tries a failed job again', async () => {
    await createIt();
    await f.settle(name, "Image 'x' not found.");
    expect((await patch()).done).toBe(false);
    expect(await get()).toMatchObject({ generation: 1n, reconciling: true, terminalCondition: { message: '', state: 1 } });
  });

  it('refuses a stale etag with the two versions', async () => {
    await createIt();
    const { etag } = await f.settle(name);
    await patch({ ...HELLO, labels: { a: 'b' }, etag });
    await expect(patch({ ...HELLO, etag })).rejects.toMatchObject({
      status: 'ABORTED',
      message: expect.stringMatching(new RegExp(`^Conflict for resource '${jobId}': version '\\d{16}' was specified but current version is '\\d{16}'\\.$`)),
    });
    await expect(f.call(Jobs, 'deleteJob', { name, etag })).rejects.toMatchObject({ status: 'ABORTED' });
    await expect(f.call(Jobs, 'runJob', { name, etag: 'made up' })).rejects.toMatchObject({ status: 'ABORTED' });
  });

  it('of two at once with the same etag, one wins', async () => {
    await createIt();
    const { etag } = await f.settle(name);
    const outcomes = await Promise.allSettled([patch({ ...HELLO, labels: { who: 'a' }, etag }), patch({ ...HELLO, labels: { who: 'b' }, etag })]);
    expect(outcomes.map((outcome) => outcome.status).sort()).toEqual(['fulfilled', 'rejected']);
    expect((await get()).generation).toBe(2n);
  });

  it('of two at once without etag, both count', async () => {
    await createIt();
    await Promise.all([patch({ ...HELLO, labels: { who: 'a' } }), patch({ ...HELLO, labels: { who: 'b' } })]);
    expect((await get()).generation).toBe(3n);
    // All three operations end with the job's next reconciliation.
    await f.settle(name);
    const { operations } = await f.call(Operations, 'listOperations', { name: PARENT, filter: 'done:false' });
    expect(operations.filter((operation) => unpackJob(operation.metadata).name === name)).toEqual([]);
  });

  it('creates with allow_missing, which needs both permissions', async () => {
    await expect(patch()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    f.checked.length = 0;
    const operation = await f.call(Jobs, 'updateJob', { job: { name, ...HELLO }, allowMissing: true });
    expect(f.checked.slice(0, 2)).toEqual([`run.jobs.create //run.googleapis.com/${name}`, `run.jobs.update //run.googleapis.com/${name}`]);
    expect(unpackJob(operation.metadata).generation).toBe(1n);
  });
});

describe('validate_only', () => {
  it('stores nothing, and answers with what would be', async () => {
    const operation = await f.call(Jobs, 'createJob', { parent: PARENT, jobId, job: HELLO, validateOnly: true });
    expect(operation.done).toBe(true);
    expect(unpackJob(operation.metadata).template?.taskCount).toBe(1);
    await expect(get()).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await expect(f.call(Operations, 'getOperation', { name: operation.name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await createIt();
    await expect(f.call(Jobs, 'createJob', { parent: PARENT, jobId, job: HELLO, validateOnly: true })).rejects.toMatchObject({
      status: 'ALREADY_EXISTS',
      message: `Resource '${jobId}' already exists.`,
    });
    const before = await f.settle(name);
    await f.call(Jobs, 'updateJob', { job: { name, ...HELLO, labels: { a: 'b' } }, validateOnly: true });
    await f.call(Jobs, 'deleteJob', { name, validateOnly: true });
    await f.call(Jobs, 'runJob', { name, validateOnly: true });
    expect(await get()).toEqual(before);
  });
});

describe('who may', () => {
  it('asks for actAs on create and on every update, then for the service agent', async () => {
    const account = `//iam.googleapis.com/projects/demo/serviceAccounts/${DEFAULT_ACCOUNT}`;
    const expected = [
      `iam.serviceAccounts.actAs ${account}`,
      `serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com iam.serviceAccounts.getAccessToken ${account}`,
    ];
    await createIt();
    expect(f.checked).toEqual([`run.jobs.create //run.googleapis.com/${name.replace(/\/jobs\/.*/, '')}`, ...expected]);
    f.checked.length = 0;
    await patch();
    expect(f.checked).toEqual([`run.jobs.update //run.googleapis.com/${name}`, ...expected]);
  });

  it.each([
    ['run.jobs.create', () => `Permission 'run.jobs.create' denied on resource '${name}' (or resource may not exist).`],
    ['iam.serviceAccounts.actAs', () => `Permission 'iam.serviceaccounts.actAs' denied on service account ${DEFAULT_ACCOUNT} (or it may not exist).`],
    [
      'serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com iam.serviceAccounts.getAccessToken',
      () => expect.stringContaining(`Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${DEFAULT_ACCOUNT}.`),
    ],
  ])('refuses a create without %s', async (permission, message) => {
    f.denied.add(permission);
    await expect(createIt()).rejects.toMatchObject({ status: 'PERMISSION_DENIED', message: message() });
  });

  it('tells a missing account like a forbidden one', async () => {
    const email = 'nobody@demo.iam.gserviceaccount.com';
    const job = { template: { template: { ...HELLO.template.template, serviceAccount: email } } };
    await expect(createIt(job)).rejects.toMatchObject({
      status: 'PERMISSION_DENIED',
      message: `Permission 'iam.serviceaccounts.actAs' denied on service account ${email} (or it may not exist).`,
    });
  });

  it('asks who reads an image of a repository that we know', async () => {
    const image = 'us-docker.pkg.dev/other/repo/app:1';
    const job = { template: { template: { containers: [{ image }] } } };
    const permission = 'artifactregistry.repositories.downloadArtifacts';
    f.denied.add(permission);
    await expect(createIt(job)).rejects.toMatchObject({ message: expect.stringContaining(`User must have permission to read the image, ${image}.`) });
    f.denied.clear();
    f.denied.add(`serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com ${permission}`);
    await expect(createIt(job)).rejects.toMatchObject({
      message: expect.stringMatching(/^Google Cloud Run Service Agent must have .* Note that us-docker\.pkg\.dev\/other\/repo is not in project demo\. Permission must be granted/),
    });
    expect(f.checked.at(-1)).toContain(`${permission} //artifactregistry.googleapis.com/projects/other/locations/us/repositories/repo`);
    f.denied.clear();
    expect((await createIt(job)).done).toBe(false);
  });
});

describe('names and lists', () => {
  it('takes the project by number and answers with its id', async () => {
    await f.call(Jobs, 'createJob', { parent: 'projects/123456789012/locations/us-central1', jobId, job: HELLO });
    expect((await f.call(Jobs, 'getJob', { name: `projects/123456789012/locations/us-central1/jobs/${jobId}` })).name).toBe(name);
  });

  it('names a location that there is not', async () => {
    await expect(f.call(Jobs, 'createJob', { parent: 'projects/demo/locations/us-centrall', jobId, job: HELLO })).rejects.toMatchObject({
      status: 'NOT_FOUND',
      message: expect.stringContaining("Location 'us-centrall' does not exist."),
    });
    await expect(f.call(Jobs, 'getJob', { name: 'projects/demo/locations/mars/jobs/j' })).rejects.toMatchObject({ message: expect.stringContaining("'mars'") });
    await expect(f.call(Jobs, 'getJob', { name: 'jobs/j' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  it('pages newest first, with locations and deleted ones on request', async () => {
    const ids = ['list-a', 'list-b', 'list-c'];
    for (const id of ids) await f.call(Jobs, 'createJob', { parent: 'projects/demo/locations/europe-west1', jobId: id, job: HELLO });
    const parent = 'projects/demo/locations/europe-west1';
    const one = await f.call(Jobs, 'listJobs', { parent, pageSize: 2 });
    const two = await f.call(Jobs, 'listJobs', { parent, pageSize: 2, pageToken: one.nextPageToken });
    expect([...one.jobs, ...two.jobs].map((job) => job.name)).toEqual(ids.reverse().map((id) => `${parent}/jobs/${id}`));
    expect(two.nextPageToken).toBe('');
    await expect(f.call(Jobs, 'listJobs', { parent: PARENT, pageToken: one.nextPageToken })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    expect((await f.call(Jobs, 'listJobs', { parent: 'projects/123456789012/locations/-' })).jobs.length).toBeGreaterThan(3);
    await f.call(Jobs, 'deleteJob', { name: `${parent}/jobs/list-b` });
    await f.settle(`${parent}/jobs/list-b`);
    expect((await f.call(Jobs, 'listJobs', { parent })).jobs).toHaveLength(2);
    expect((await f.call(Jobs, 'listJobs', { parent, showDeleted: true })).jobs).toHaveLength(3);
    f.now += 31 * 24 * 3600 * 1e6;
    expect((await f.call(Jobs, 'listJobs', { parent, showDeleted: true })).jobs).toHaveLength(2);
  });

  it('keeps to the configured number of jobs', async () => {
    const parent = 'projects/demo/locations/us-west1';
    for (let i = 0; i < 40; i++) await f.call(Jobs, 'createJob', { parent, jobId: `many-${i}`, job: HELLO });
    await expect(f.call(Jobs, 'createJob', { parent, jobId: 'one-too-many', job: HELLO })).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
  });
});

describe('policies of a job', () => {
  it('are set, read, and gone with the job', async () => {
    await expect(f.call(Jobs, 'getIamPolicy', { resource: name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await createIt();
    await f.settle(name);
    await f.call(Jobs, 'setIamPolicy', { resource: name, policy: { bindings: [{ role: 'roles/run.invoker', members: ['user:a@example.com'] }] } });
    expect((await f.call(Jobs, 'getIamPolicy', { resource: name })).bindings).toMatchObject([{ role: 'roles/run.invoker', members: ['user:a@example.com'] }]);
    f.denied.add('run.jobs.delete');
    expect((await f.call(Jobs, 'testIamPermissions', { resource: name, permissions: ['run.jobs.run', 'run.jobs.delete'] })).permissions).toEqual(['run.jobs.run']);
    f.denied.clear();
    await f.call(Jobs, 'deleteJob', { name });
    await f.settle(name);
    await createIt();
    expect((await f.call(Jobs, 'getIamPolicy', { resource: name })).bindings).toEqual([]);
  });
});

it('drops what is output only', async () => {
  await createIt(create(JobSchema, { ...HELLO, uid: 'mine', generation: 9n, creator: 'me', executionCount: 7, reconciling: true, conditions: [{ type: 'x' }] }));
  expect(await get()).toMatchObject({ generation: 1n, creator: 'dev@example.com', executionCount: 0, conditions: [] });
});
