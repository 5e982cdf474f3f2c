/** The quotas of Cloud Run, where the configuration wants them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer({ maxJobs: '2', maxRunningExecutions: '1' });
});
afterAll(() => server.close());

const jobs = (region: string) => `/run.googleapis.com/v2/projects/demo/locations/${region}/jobs`;
const BODY = { template: { template: { containers: [{ image: 'busybox', env: [{ name: 'FAKE_DURATION_MS', value: '60000' }] }] } } };

test('hold for one region, and say which limit it was', async () => {
  const create = async (region: string, id: string) => (await server.call('POST', `${jobs(region)}?jobId=${id}`, BODY)).json;
  for (const id of ['a', 'b']) expect(await create('us-central1', id)).not.toHaveProperty('error');
  expect(await create('us-central1', 'c')).toMatchObject({
    error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: "Quota exceeded for jobs in project 'demo' and region 'us-central1': the limit is 2." },
  });
  expect(await create('europe-west1', 'c')).not.toHaveProperty('error');
  const run = async (region: string, id: string) => (await server.call('POST', `${jobs(region)}/${id}:run`, {})).json;
  expect(await run('us-central1', 'a')).not.toHaveProperty('error');
  expect(await run('us-central1', 'b')).toMatchObject({ error: { code: 429, message: expect.stringContaining('running executions') } });
  expect(await run('europe-west1', 'c')).not.toHaveProperty('error');
});
