/** The official client libraries, unmodified, against a running server: only the address is theirs to know. */
import { ExecutionsClient, JobsClient, TasksClient } from '@google-cloud/run';
import { credentials } from '@grpc/grpc-js';
import { OAuth2Client } from 'google-auth-library';
import type { CallOptions, ClientOptions } from 'google-gax';
import { google } from 'googleapis';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
let auth: OAuth2Client;
beforeAll(async () => {
  server = await startTestServer();
  auth = new OAuth2Client();
  auth.setCredentials({ access_token: server.ownerToken });
});
afterAll(() => server.close());

const PARENT = 'projects/demo/locations/us-central1';

/** gax adds the caller's token over TLS alone; over plain HTTP/2 the header is given with each call, as its `CallOptions` allow. */
function optionsFor(transport: 'gRPC' | 'REST'): { client: ClientOptions; call: CallOptions } {
  const { hostname, port } = new URL(server.url);
  // gax brings its own copy of google-auth-library; the class is the same, its private members make the types differ.
  const authClient = auth as unknown as NonNullable<ClientOptions['authClient']>;
  const shared = { apiEndpoint: hostname, port: Number(port) };
  const client: ClientOptions =
    transport === 'REST' ? { ...shared, protocol: 'http', fallback: true, authClient } : { ...shared, sslCreds: credentials.createInsecure(), authClient };
  return { client, call: { otherArgs: { headers: { authorization: `Bearer ${server.ownerToken}` } } } };
}

describe('@google-cloud/run', () => {
  test.each(['gRPC', 'REST'] as const)('over %s: create, run, wait, read, delete', async (transport) => {
    const { client, call } = optionsFor(transport);
    const jobs = new JobsClient(client);
    const jobId = `client-${transport.toLowerCase()}`;
    const [creating] = await jobs.createJob({ parent: PARENT, jobId, job: { template: { taskCount: 3, template: { containers: [{ image: 'example.com/image' }] } } } }, call);
    const [job] = await creating.promise();
    expect(job).toMatchObject({ name: `${PARENT}/jobs/${jobId}`, terminalCondition: { type: 'Ready' } });
    const [running] = await jobs.runJob({ name: job.name ?? '' }, call);
    const [execution] = await running.promise();
    expect(execution).toMatchObject({ succeededCount: 3, taskCount: 3 });
    const executions = new ExecutionsClient(client);
    const [listed] = await executions.listExecutions({ parent: `${PARENT}/jobs/-` }, call);
    expect(listed.map((e) => e.name)).toContain(execution.name);
    const tasks = new TasksClient(client);
    const [taskList] = await tasks.listTasks({ parent: execution.name ?? '' }, call);
    expect(taskList.map((t) => t.index ?? 0).sort((a, b) => a - b)).toEqual([0, 1, 2]);
    await expect(jobs.getJob({ name: `${PARENT}/jobs/none` }, call)).rejects.toMatchObject({ message: expect.stringContaining("Resource 'none' of kind 'JOB'") });
    const [deleting] = await jobs.deleteJob({ name: job.name ?? '' }, call);
    await deleting.promise();
    await Promise.all([jobs.close(), executions.close(), tasks.close()]);
  });
});

describe('googleapis', () => {
  test('run v2, iam v1 and cloudresourcemanager v3 over REST', async () => {
    const own = new google.auth.OAuth2();
    own.setCredentials({ access_token: server.ownerToken });
    const run = google.run({ version: 'v2', auth: own, rootUrl: `${server.url}/run.googleapis.com/` });
    await run.projects.locations.jobs.create({
      parent: PARENT,
      jobId: 'from-googleapis',
      requestBody: { template: { template: { containers: [{ image: 'example.com/image' }] } } },
    });
    const { data } = await run.projects.locations.jobs.get({ name: `${PARENT}/jobs/from-googleapis` });
    expect(data).toMatchObject({ name: `${PARENT}/jobs/from-googleapis`, template: { taskCount: 1 } });
    const iam = google.iam({ version: 'v1', auth: own, rootUrl: `${server.url}/iam.googleapis.com/` });
    const created = await iam.projects.serviceAccounts.create({
      name: 'projects/demo',
      requestBody: { accountId: 'from-library', serviceAccount: { displayName: 'Made by a library' } },
    });
    expect(created.data.email).toBe('from-library@demo.iam.gserviceaccount.com');
    const manager = google.cloudresourcemanager({ version: 'v3', auth: own, rootUrl: `${server.url}/cloudresourcemanager.googleapis.com/` });
    expect((await manager.projects.get({ name: 'projects/demo' })).data).toMatchObject({ name: 'projects/123456789012', projectId: 'demo', parent: 'folders/222222222222' });
    await expect(iam.projects.serviceAccounts.get({ name: 'projects/-/serviceAccounts/none@demo.iam.gserviceaccount.com' })).rejects.toMatchObject({ code: 404 });
  });

  test('custom roles of iam v1 and deny policies of iam v2', async () => {
    const own = new google.auth.OAuth2();
    own.setCredentials({ access_token: server.ownerToken });
    const rootUrl = `${server.url}/iam.googleapis.com/`;
    const { roles } = google.iam({ version: 'v1', auth: own, rootUrl }).projects;
    const { data: role } = await roles.create({
      parent: 'projects/demo',
      requestBody: { roleId: 'fromLibrary', role: { title: 'Library', stage: 'GA', includedPermissions: ['run.jobs.get'] } },
    });
    const name = role.name ?? '';
    await roles.patch({ name, updateMask: 'title', requestBody: { title: 'Changed', etag: role.etag ?? '' } });
    expect((await roles.get({ name })).data).toMatchObject({ title: 'Changed', includedPermissions: ['run.jobs.get'] });
    expect((await roles.delete({ name })).data).toMatchObject({ deleted: true });
    expect((await roles.list({ parent: 'projects/demo', showDeleted: true, view: 'FULL' })).data.roles).toMatchObject([{ name, deleted: true }]);
    const v2 = google.iam({ version: 'v2', auth: own, rootUrl });
    const parent = `policies/${encodeURIComponent('cloudresourcemanager.googleapis.com/projects/demo')}/denypolicies`;
    const denyRule = { deniedPrincipals: ['principalSet://goog/public:all'], deniedPermissions: ['storage.googleapis.com/objects.get'] };
    const { data: operation } = await v2.policies.createPolicy({ parent, policyId: 'from-library', requestBody: { rules: [{ denyRule }] } });
    expect((await v2.policies.operations.get({ name: operation.name ?? '' })).data).toEqual(operation);
    const { data: policy } = await v2.policies.get({ name: `${parent}/from-library` });
    expect(policy).toMatchObject({ kind: 'DenyPolicy', rules: [{ denyRule }] });
    expect((await v2.policies.update({ name: policy.name ?? '', requestBody: { ...policy, displayName: 'New' } })).data.response).toMatchObject({ displayName: 'New' });
    expect((await v2.policies.listPolicies({ parent })).data.policies).toHaveLength(1);
    await v2.policies.delete({ name: policy.name ?? '' });
    await expect(v2.policies.get({ name: policy.name ?? '' })).rejects.toMatchObject({ code: 404 });
  });
});
