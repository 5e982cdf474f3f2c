/** Cloud Billing as Terraform asks it with each project. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const info = (project: string) => `/cloudbilling.googleapis.com/v1/projects/${project}/billingInfo`;

test('nobody pays for a project, by its id or number', async () => {
  // That billing is not enabled is said by leaving it out, as proto3's JSON does.
  for (const project of ['demo', '123456789012']) expect((await server.call('GET', info(project))).json).toEqual({ name: 'projects/demo/billingInfo', projectId: 'demo' });
});

test('who may not read the project is refused, and one that is deleted is not found', async () => {
  expect(await server.call('GET', info('demo'), undefined, { as: 'user:dev@example.com' })).toMatchObject({
    status: 403,
    json: { error: { status: 'PERMISSION_DENIED', message: 'The caller does not have permission' } },
  });
  expect((await server.call('GET', info('No_Project'))).json.error.message).toContain('name: "projects/No_Project" is not a project.');
  await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/projects', { projectId: 'soon-gone' });
  await server.call('DELETE', '/cloudresourcemanager.googleapis.com/v1/projects/soon-gone');
  expect(await server.call('GET', info('soon-gone'))).toMatchObject({ status: 404 });
});

test('a billing account is refused by name, for there is none', async () => {
  const answer = await server.call('PUT', info('demo'), { billingAccountName: 'billingAccounts/000000-000000-000000' });
  expect(answer).toMatchObject({ status: 501, json: { error: { message: expect.stringContaining('UpdateProjectBillingInfo') } } });
});
