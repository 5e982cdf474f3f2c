/** The official client libraries, unmodified, against a running server: only the address is theirs to know. */
import { JobsClient, ExecutionsClient, TasksClient } from '@google-cloud/run';
import { OAuth2Client } from 'google-auth-library';
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

describe('@google-cloud/run', () => {
  // gax wants TLS unless it is told about plain credentials; REST ("fallback") and gRPC are its two transports.
  const options = async (fallback: boolean) => {
    const { hostname, port } = new URL(server.url);
    if (fallback) return { apiEndpoint: hostname, port: Number(port), protocol: 'http', fallback: true as const, authClient: auth };
    const { credentials, Metadata } = await import('@grpc/grpc-js');
    const call = credentials.createFromMetadataGenerator((_params, callback) => { const metadata = new Metadata(); metadata.set('authorization', `Bearer ${server.ownerToken}`); callback(null, metadata); });
    // grpc-js refuses call credentials on a plain channel; a wrapper adds the header instead.
    void call;
    return { apiEndpoint: hostname, port: Number(port), sslCreds: credentials.createInsecure(), authClient: auth };
  };

  test.each([['gRPC', false], ['REST', true]] as const)('over %s: create, run, wait, read, delete', async (name, fallback) => {
    const settings = await options(fallback);
    const otherArgs = { otherArgs: { headers: { authorization: `Bearer ${server.ownerToken}` } } };
    const jobs = new JobsClient(settings);
    const jobId = `client-${name.toLowerCase()}`;
    const [creating] = await jobs.createJob({ parent: PARENT, jobId, job: { template: { taskCount: 3, template: { containers: [{ image: 'example.com/image' }] } } } }, otherArgs);
    const [job] = await creating.promise();
    expect(job).toMatchObject({ name: `${PARENT}/jobs/${jobId}`, terminalCondition: { type: 'Ready' } });
    const [running] = await jobs.runJob({ name: job.name ?? '' }, otherArgs);
    const [execution] = await running.promise();
    expect(execution).toMatchObject({ succeededCount: 3, taskCount: 3 });
    const executions = new ExecutionsClient(settings);
    const [listed] = await executions.listExecutions({ parent: `${PARENT}/jobs/-` }, otherArgs);
    expect(listed.map((e) => e.name)).toContain(execution.name);
    const tasks = new TasksClient(settings);
    const [taskList] = await tasks.listTasks({ parent: execution.name ?? '' }, otherArgs);
    expect(taskList.map((t) => t.index ?? 0).sort()).toEqual([0, 1, 2]);
    await expect(jobs.getJob({ name: `${PARENT}/jobs/none` }, otherArgs)).rejects.toMatchObject({ message: expect.stringContaining("Resource 'none' of kind 'JOB'") });
    const [deleting] = await jobs.deleteJob({ name: job.name ?? '' }, otherArgs);
    await deleting.promise();
    await Promise.all([jobs.close(), executions.close(), tasks.close()]);
  });
});

describe('googleapis', () => {
  test('run v2, iam v1 and cloudresourcemanager v3 over REST', async () => {
    const run = google.run({ version: 'v2', auth, rootUrl: `${server.url}/run.googleapis.com/` });
    await run.projects.locations.jobs.create({ parent: PARENT, jobId: 'from-googleapis', requestBody: { template: { template: { containers: [{ image: 'example.com/image' }] } } } });
    const { data } = await run.projects.locations.jobs.get({ name: `${PARENT}/jobs/from-googleapis` });
    expect(data).toMatchObject({ name: `${PARENT}/jobs/from-googleapis`, template: { taskCount: 1 } });
    const iam = google.iam({ version: 'v1', auth, rootUrl: `${server.url}/iam.googleapis.com/` });
    const created = await iam.projects.serviceAccounts.create({ name: 'projects/demo', requestBody: { accountId: 'from-library', serviceAccount: { displayName: 'Made by a library' } } });
    expect(created.data.email).toBe('from-library@demo.iam.gserviceaccount.com');
    const manager = google.cloudresourcemanager({ version: 'v3', auth, rootUrl: `${server.url}/cloudresourcemanager.googleapis.com/` });
    expect((await manager.projects.get({ name: 'projects/demo' })).data).toMatchObject({ name: 'projects/123456789012', projectId: 'demo', parent: 'folders/222222222222' });
    await expect(iam.projects.serviceAccounts.get({ name: 'projects/-/serviceAccounts/none@demo.iam.gserviceaccount.com' })).rejects.toMatchObject({ code: 404 });
  });
});
