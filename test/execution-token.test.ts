/** A deploy that starts an execution by a token, through both doors: the operation ends when the execution has started, or has completed. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Jobs } from '../src/gen/google/cloud/run/v2/job_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const PARENT = 'projects/demo/locations/us-central1';
const JOBS = `/run.googleapis.com/v2/${PARENT}/jobs`;
const jobOf = (env: Record<string, string>) => ({
  template: { template: { maxRetries: 0, containers: [{ image: 'busybox', env: Object.entries(env).map(([name, value]) => ({ name, value })) }] } },
});
const finished = (name: string) =>
  until('the operation is done', async () => {
    const { json } = await server.call('GET', `/run.googleapis.com/v2/${name}`);
    return json.done === true ? json : undefined;
  });

test('REST: startExecutionToken on create, runExecutionToken on update, and a run that fails', async () => {
  const created = await server.call('POST', `${JOBS}?jobId=token`, { ...jobOf({ FAKE_DURATION_MS: '60000' }), startExecutionToken: 'v1' });
  expect(created.json.metadata.startExecutionToken).toBe('v1');
  const ready = await finished(created.json.name);
  expect(ready.response).toMatchObject({ startExecutionToken: 'v1', terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' } });
  expect((await server.call('GET', `${JOBS}/token/executions/token-v1`)).json).toMatchObject({ runningCount: 1 });

  const patched = await server.call('PATCH', `${JOBS}/token`, { ...jobOf({ FAKE_DURATION_MS: '0' }), runExecutionToken: 'v2' });
  await finished(patched.json.name);
  expect((await server.call('GET', `${JOBS}/token/executions/token-v2`)).json).toMatchObject({ succeededCount: 1 });

  const failing = await server.call('PATCH', `${JOBS}/token`, { ...jobOf({ FAKE_EXIT_CODE: '3' }), runExecutionToken: 'v3' });
  expect((await finished(failing.json.name)).error).toMatchObject({ code: 10, message: expect.stringContaining('Task token-v3-task0 failed with exit code: 3') });
  // The job itself is in order: it runs on request.
  expect((await server.call('POST', `${JOBS}/token:run`, {})).status).toBe(200);
});

test('gRPC: the same', async () => {
  const client = createClient(Jobs, await server.grpc());
  const operation = await client.createJob({
    parent: PARENT,
    jobId: 'token-grpc',
    job: { template: { template: { containers: [{ image: 'busybox' }] } }, createExecution: { case: 'runExecutionToken', value: 'first' } },
  });
  expect((await finished(operation.name)).response).toMatchObject({
    runExecutionToken: 'first',
    executionCount: 1,
    latestCreatedExecution: { completionStatus: 'EXECUTION_SUCCEEDED' },
  });
});

test('v1 asks for the same permission, and starts the same execution', async () => {
  const as = 'user:updater@example.com';
  const roles = '/iam.googleapis.com/v1/projects/demo/roles';
  const role = { title: 'no runs', includedPermissions: ['run.jobs.create', 'run.jobs.get', 'iam.serviceAccounts.actAs'] };
  expect((await server.call('POST', roles, { roleId: 'noRuns', role })).status).toBe(200);
  const project = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
  const { json: policy } = await server.call('POST', `${project}:getIamPolicy`, {});
  policy.bindings.push({ role: 'projects/demo/roles/noRuns', members: [as] });
  expect((await server.call('POST', `${project}:setIamPolicy`, { policy })).status).toBe(200);
  const create = (name: string, spec: object) =>
    server.call(
      'POST',
      '/us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/demo/jobs',
      {
        apiVersion: 'run.googleapis.com/v1',
        kind: 'Job',
        metadata: { name },
        spec: { ...spec, template: { spec: { template: { spec: { containers: [{ image: 'busybox' }] } } } } },
      },
      { as },
    );
  expect((await create('v1-plain', {})).status).toBe(200);
  const refused = await create('v1-token', { runExecutionToken: 'first' });
  expect([refused.status, refused.json.error.message]).toEqual([403, expect.stringContaining("'run.jobs.run'")]);
  policy.bindings.push({ role: 'roles/run.invoker', members: [as] });
  delete policy.etag;
  await server.call('POST', `${project}:setIamPolicy`, { policy });
  expect((await create('v1-token', { runExecutionToken: 'first' })).status).toBe(200);
  expect((await server.call('GET', `${JOBS}/v1-token/executions/v1-token-first`)).status).toBe(200);
});
