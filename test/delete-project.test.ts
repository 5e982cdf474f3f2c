/** What the deletion of a project ends, and what undeleting brings back. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const JOBS = '/run.googleapis.com/v2/projects/ending/locations/us-central1/jobs';
const V3 = '/cloudresourcemanager.googleapis.com/v3';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

test('executions end, accounts are refused, nothing new begins; undeleting takes that back', async () => {
  await server.call('POST', `${V3}/projects`, { projectId: 'ending', parent: 'folders/222222222222' });
  const account = 'worker-sa@ending.iam.gserviceaccount.com';
  await server.call('POST', '/iam.googleapis.com/v1/projects/ending/serviceAccounts', { accountId: 'worker-sa' });
  const token = await server.tokenOf(`serviceAccount:${account}`);
  const asAccount = async () => (await server.call('GET', JOBS, undefined, { as: null, headers: { authorization: `Bearer ${token}` } })).status;
  expect(await asAccount()).toBe(403);
  const container = { image: 'example.com/i', env: [{ name: 'FAKE_DURATION_MS', value: '60000' }] };
  await server.call('POST', `${JOBS}?jobId=long`, { template: { template: { containers: [container] } } });
  const { json } = await server.call('POST', `${JOBS}/long:run`, {});
  const execution = async () => (await server.call('GET', `/run.googleapis.com/v2/${json.metadata.name}`)).json;
  await until('the task runs', async () => (await execution()).runningCount === 1);

  expect((await server.call('DELETE', `${V3}/projects/ending`)).status).toBe(200);
  await until('the task is cancelled', async () => (await execution()).cancelledCount === 1);
  expect(await asAccount()).toBe(401);
  expect((await server.call('POST', `${JOBS}?jobId=another`, { template: { template: { containers: [container] } } })).status).toBe(404);
  expect((await server.call('POST', `${JOBS}/long:run`, {})).status).toBe(404);

  expect((await server.call('POST', `${V3}/projects/ending:undelete`, {})).status).toBe(200);
  expect(await asAccount()).toBe(403);
  expect((await server.call('POST', `${JOBS}/long:run`, {})).status).toBe(200);
});
