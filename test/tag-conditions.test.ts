/** Tags where they decide: a grant under a condition on tags follows the tag, wherever on the way up it is bound. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

const V3 = '/cloudresourcemanager.googleapis.com/v3';
const DEV = 'user:dev@example.com';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

async function finish(path: string, body: unknown): Promise<string> {
  const started = await server.call('POST', `${V3}/${path}`, body);
  return (await server.call('GET', `${V3}/${started.json.name}`)).json.response.name;
}

test('a conditional grant is there while the tag is bound to the resource or above it', async () => {
  const key = await finish('tagKeys', { parent: 'organizations/111111111111', shortName: 'env' });
  const [prod, dev] = [await finish('tagValues', { parent: key, shortName: 'prod' }), await finish('tagValues', { parent: key, shortName: 'dev' })];
  const policy = (await server.call('POST', `${V3}/projects/demo:getIamPolicy`, { options: { requestedPolicyVersion: 3 } })).json;
  const condition = { title: 'in dev', expression: "resource.matchTag('111111111111/env', 'dev')" };
  const set = await server.call('POST', `${V3}/projects/demo:setIamPolicy`, {
    policy: { ...policy, version: 3, bindings: [...policy.bindings, { role: 'roles/run.viewer', members: [DEV], condition }] },
  });
  expect(set.status).toBe(200);
  const jobs = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
  const mayList = async () => (await server.call('GET', jobs, undefined, { as: DEV })).status === 200;
  const bind = (parent: string, tagValue: string) => server.call('POST', `${V3}/tagBindings`, { parent: `//cloudresourcemanager.googleapis.com/${parent}`, tagValue });
  const unbind = (parent: string, tagValue: string) =>
    server.call('DELETE', `${V3}/tagBindings/${encodeURIComponent(`//cloudresourcemanager.googleapis.com/${parent}`)}/${tagValue}`);

  expect(await mayList()).toBe(false);
  await bind('organizations/111111111111', dev);
  expect(await mayList()).toBe(true);
  // Nearer to the resource, another value of the key hides the inherited one.
  await bind('projects/123456789012', prod);
  expect(await mayList()).toBe(false);
  await unbind('projects/123456789012', prod);
  expect(await mayList()).toBe(true);
  // A folder between brings its tags along when the project moves into it.
  const folder = await finish('folders', { parent: 'organizations/111111111111', displayName: 'production' });
  await bind(folder, prod);
  await server.call('POST', `${V3}/projects/demo:move`, { destinationParent: folder });
  expect(await mayList()).toBe(false);
  await server.call('POST', `${V3}/projects/demo:move`, { destinationParent: 'folders/222222222222' });
  expect(await mayList()).toBe(true);
  await unbind('organizations/111111111111', dev);
  expect(await mayList()).toBe(false);
});
