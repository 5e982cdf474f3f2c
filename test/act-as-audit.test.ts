/** Every question whether a caller may act as an account leaves an entry of its own in the audit trail, as IAM's does. */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
let logs: DatabaseSync;
beforeAll(async () => {
  server = await startTestServer();
  logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
});
afterAll(async () => {
  logs.close();
  await server.close();
});

const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const SA = 'audited@demo.iam.gserviceaccount.com';
const RESOURCE = `//iam.googleapis.com/projects/demo/serviceAccounts/${SA}`;
const DEV = 'user:dev@example.com';
const BODY = { template: { template: { containers: [{ image: 'busybox' }], serviceAccount: SA } } };

function entries(): { principal: unknown; status: unknown; granted: unknown }[] {
  return logs
    .prepare("SELECT principal, status, permissions ->> '$[0].granted' AS granted FROM audit WHERE method = 'iam.serviceAccounts.actAs' AND resource = ? ORDER BY id")
    .all(RESOURCE)
    .map(({ principal, status, granted }) => ({ principal, status, granted }));
}

test('create, update and rehearsals, granted or not; a run asks nothing', async () => {
  await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'audited' });
  const project = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
  const { json: policy } = await server.call('POST', `${project}:getIamPolicy`, {});
  policy.bindings.push({ role: 'roles/run.developer', members: [DEV] });
  await server.call('POST', `${project}:setIamPolicy`, { policy });

  expect((await server.call('POST', `${JOBS}?jobId=audited`, BODY, { as: DEV })).status).toBe(403);
  const grant = { policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: [DEV] }] } };
  expect((await server.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${SA}:setIamPolicy`, grant)).status).toBe(200);
  expect((await server.call('POST', `${JOBS}?jobId=audited&validateOnly=true`, BODY, { as: DEV })).status).toBe(200);
  expect((await server.call('POST', `${JOBS}?jobId=audited`, BODY, { as: DEV })).status).toBe(200);
  expect((await server.call('PATCH', `${JOBS}/audited`, { ...BODY, labels: { a: 'b' } }, { as: DEV })).status).toBe(200);
  expect((await server.call('POST', `${JOBS}/audited:run`, {}, { as: DEV })).status).toBe(200);

  const granted = { principal: DEV, status: 'OK', granted: 1 };
  await until('the entries are kept', () => entries().length >= 4);
  expect(entries()).toEqual([{ principal: DEV, status: 'PERMISSION_DENIED', granted: 0 }, granted, granted, granted]);
  // The call's own entry names the check as well.
  const ofCall = logs.prepare("SELECT permissions FROM audit WHERE method = 'google.cloud.run.v2.Jobs.UpdateJob'").get();
  expect(JSON.parse(String(ofCall?.['permissions']))).toContainEqual({ permission: 'iam.serviceAccounts.actAs', resource: RESOURCE, granted: true });
});
