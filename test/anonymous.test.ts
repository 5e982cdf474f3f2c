/** `--anonymous-as`: a name for callers without a token, on loopback, aloud, and never for a container. */

import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TaskListeners } from '../src/runner/driver.ts';
import { createFakeDriver } from '../src/runner/fake/driver.ts';
import { OWNER, startTestServer, type TestServer } from './harness/server.ts';

const DEV = 'user:dev@example.com';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const HEADER = 'x-actas-anonymous-as';

const stateDir = mkdtempSync(join(tmpdir(), 'actas-anonymous-'));
let server: TestServer;
let listeners: TaskListeners | undefined;
beforeAll(async () => {
  const fake = createFakeDriver({ stateDir });
  const driver: typeof fake = {
    ...fake,
    open(options) {
      ({ listeners } = options);
      return fake.open(options);
    },
  };
  server = await startTestServer({ anonymousAs: [DEV] }, { driver });
});
afterAll(async () => {
  await server.close();
  rmSync(stateDir, { recursive: true, force: true });
});

async function bind(id: string, role: string): Promise<void> {
  const path = `/cloudresourcemanager.googleapis.com/v3/projects/${id}`;
  const policy = (await server.call('POST', `${path}:getIamPolicy`, {})).json;
  const answer = await server.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: [...(policy.bindings ?? []), { role, members: [DEV] }] } });
  expect(answer.status, answer.text).toBe(200);
}

test('a caller without a token is that principal, and every answer says so', async () => {
  const denied = await server.call('GET', JOBS, undefined, { as: null });
  expect(denied.status).toBe(403);
  await bind('demo', 'roles/run.admin');
  const allowed = await server.call('GET', JOBS, undefined, { as: null });
  expect(allowed.status).toBe(200);
  const status = await server.call('GET', '/actas/v1/status', undefined, { as: null });
  expect(status.json).toMatchObject({ principal: DEV, anonymousAs: DEV });
  const foreign = await server.call('GET', JOBS, undefined, { as: null, headers: { origin: 'https://evil.example' } });
  expect(foreign.status).toBe(403);
  for (const answer of [denied, allowed, status, foreign, await server.call('GET', '/healthz')]) expect(answer.headers.get(HEADER)).toBe(DEV);
});

test('it cannot hand out roles, whatever it was granted since the start, nor have tokens', async () => {
  const created = await server.call('POST', `${JOBS}?jobId=open`, { template: { template: { containers: [{ image: 'example.com/i' }] } } });
  expect(created.status, created.text).toBe(200);
  const set = await server.call('POST', `${JOBS}/open:setIamPolicy`, { policy: {} }, { as: null });
  expect(set.status).toBe(403);
  expect(set.text).toContain('repeat --anonymous-as');
  const tag = { parent: '//cloudresourcemanager.googleapis.com/projects/demo', tagValue: 'tagValues/1' };
  for (const [path, body] of [
    ['/actas/v1/organizations/111111111111/groups', {}],
    ['/iam.googleapis.com/v1/projects/demo/roles', {}],
    // Each changes what a policy comes to, or who somebody from outside is.
    ['/cloudresourcemanager.googleapis.com/v3/tagBindings', tag],
    ['/orgpolicy.googleapis.com/v2/projects/demo/policies', { name: 'projects/demo/policies/iam.disableServiceAccountKeyCreation' }],
    ['/cloudresourcemanager.googleapis.com/v1/projects/demo:setOrgPolicy', { policy: { constraint: 'constraints/iam.disableServiceAccountKeyCreation' } }],
    ['/iam.googleapis.com/v1/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=lent-pool', {}],
    ['/iam.googleapis.com/v1/projects/demo/locations/global/workloadIdentityPools/lent-pool/providers?workloadIdentityPoolProviderId=lent', {}],
  ] as const)
    expect((await server.call('POST', path, body, { as: null })).text, path).toContain('repeat --anonymous-as');
  const email = 'lent-sa@demo.iam.gserviceaccount.com';
  await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'lent-sa' });
  for (const role of ['roles/iam.serviceAccountTokenCreator', 'roles/iam.serviceAccountKeyAdmin']) await bind('demo', role);
  const credentials = `/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}`;
  for (const path of [
    `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${email}/keys`,
    ...['generateAccessToken', 'signJwt', 'signBlob'].map((method) => `${credentials}:${method}`),
  ])
    expect((await server.call('POST', path, {}, { as: null })).text, path).toContain('repeat --anonymous-as');
  expect((await server.call('POST', `${credentials}:generateAccessToken`, { scope: ['https://www.googleapis.com/auth/cloud-platform'] }, { as: DEV })).status).toBe(200);
  expect((await server.call('POST', `${JOBS}/open:testIamPermissions`, { permissions: ['run.jobs.get', 'run.jobs.setIamPolicy'] }, { as: null })).json).toEqual({
    permissions: ['run.jobs.get'],
  });
  expect((await server.call('POST', `${JOBS}/open:setIamPolicy`, { policy: {} }, { as: DEV })).status).toBe(200);
  expect((await server.call('POST', '/actas/v1/tokens:issue', { principal: OWNER }, { as: null })).status).toBe(403);
});

test('a token that is not good is refused, not taken for none', async () => {
  expect((await server.call('GET', JOBS, undefined, { as: null, headers: { authorization: 'Bearer actas_at_nonsense' } })).status).toBe(401);
});

test("through the tasks' listener everybody needs a token, on loopback too", async () => {
  const tasks = createServer((socket) => listeners?.api(socket));
  await new Promise<void>((resolve) => tasks.listen(0, '127.0.0.1', resolve));
  const address = tasks.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const get = (headers: Record<string, string>) => fetch(`http://127.0.0.1:${address.port}${JOBS}`, { headers: { connection: 'close', ...headers } });
  const without = await get({});
  expect(without.status).toBe(401);
  expect(without.headers.get(HEADER)).toBeNull();
  expect((await get({ 'x-forwarded-for': '127.0.0.1' })).status).toBe(401);
  expect((await get({ authorization: `Bearer ${server.ownerToken}` })).status).toBe(200);
  await new Promise((resolve) => tasks.close(resolve));
});

test('one who may set IAM policies is refused, unless named twice', async () => {
  await expect(startTestServer({ anonymousAs: [OWNER] })).rejects.toThrow(
    /this principal may set IAM policies \(resourcemanager\.organizations\.setIamPolicy on organizations\/111111111111\).*Repeat the flag/,
  );
  const open = await startTestServer({ anonymousAs: [OWNER, OWNER] });
  const policy = (await open.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:getIamPolicy', {}, { as: null })).json;
  expect((await open.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', { policy }, { as: null })).status).toBe(200);
  await open.close();
});
