/** What conditions come to for callers: checked when they are set, in force with the next request, and limits on what a delegated administrator may grant. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

const DEV = { as: 'user:dev@example.com' };
const PROJECT = '/cloudresourcemanager.googleapis.com/v1/projects/demo';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

interface Binding {
  readonly role: string;
  readonly members: readonly string[];
  readonly condition?: { readonly title: string; readonly expression: string };
}

/** Puts bindings beside those that are there. */
async function bind(bindings: readonly Binding[], as?: { as: string }) {
  const { bindings: before = [], etag } = (await server.call('POST', `${PROJECT}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } })).json;
  return server.call('POST', `${PROJECT}:setIamPolicy`, { policy: { version: 3, etag, bindings: [...before, ...bindings] } }, as);
}
const onlyIf = (expression: string, role = 'roles/run.viewer'): Binding => ({ role, members: [DEV.as], condition: { title: 'only if', expression } });

describe('conditions', () => {
  test('one that cannot be used is refused where it is set, and nothing is kept', async () => {
    const { status, json } = await bind([onlyIf("resource.nam == 'x'")]);
    expect(status).toBe(400);
    expect(json.error.message).toBe("Invalid condition expression for role roles/run.viewer: undeclared reference to 'resource.nam' (at character 9).");
    expect((await server.call('POST', `${PROJECT}:getIamPolicy`, {})).text).not.toContain('run.viewer');
  });

  test('a grant that is over grants nothing, and one that is not does', async () => {
    expect((await bind([onlyIf("request.time < timestamp('2020-01-01T00:00:00Z')")])).status).toBe(200);
    expect((await server.call('GET', JOBS, undefined, DEV)).status).toBe(403);
    expect((await bind([onlyIf("request.time > timestamp('2020-01-01T00:00:00Z')")])).status).toBe(200);
    expect((await server.call('GET', JOBS, undefined, DEV)).status).toBe(200);
  });

  test('no version below 3 sees it, and it is shown whole to version 3', async () => {
    const { json } = await server.call('POST', `${PROJECT}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } });
    expect(json.bindings.filter((one: Binding) => one.condition !== undefined)).toHaveLength(2);
  });
});

describe('a delegated administrator', () => {
  const delegate = { as: 'user:delegate@example.com' };
  const limited = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/run.invoker'])";

  test('grants and revokes what it may, and nothing else', async () => {
    const role = 'roles/resourcemanager.projectIamAdmin';
    expect((await bind([{ role, members: [delegate.as], condition: { title: 'invokers', expression: limited } }])).status).toBe(200);
    expect((await bind([{ role: 'roles/run.invoker', members: ['user:a@example.com'] }], delegate)).status).toBe(200);

    const owner = await bind([{ role: 'roles/owner', members: [delegate.as] }], delegate);
    expect(owner.status).toBe(403);
    const both = await bind(
      [
        { role: 'roles/run.invoker', members: ['user:b@example.com'] },
        { role: 'roles/run.admin', members: ['user:b@example.com'] },
      ],
      delegate,
    );
    expect(both.status).toBe(403);
    // The words are those of any other denial of the same permission.
    const other = await bind([{ role: 'roles/run.invoker', members: ['user:a@example.com'] }], { as: 'user:nobody@example.com' });
    expect(owner.json.error.message).toBe(other.json.error.message.replaceAll('nobody', 'delegate'));

    // To take everything away is to revoke what it may not; so is to lift its own limit.
    expect((await server.call('POST', `${PROJECT}:setIamPolicy`, { policy: { version: 3, bindings: [] } }, delegate)).status).toBe(403);
    expect((await bind([{ role, members: [delegate.as] }], delegate)).status).toBe(403);
    const { bindings } = (await server.call('POST', `${PROJECT}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } })).json;
    expect(bindings.find((one: Binding) => one.role === 'roles/run.invoker').members).toEqual(['user:a@example.com']);
  });

  test('is not widened by what another writes meanwhile', async () => {
    const { bindings, etag } = (await server.call('POST', `${PROJECT}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } })).json;
    await bind([{ role: 'roles/run.admin', members: ['user:c@example.com'] }]);
    // Read before that write: it would take the new grant away.
    expect((await server.call('POST', `${PROJECT}:setIamPolicy`, { policy: { version: 3, bindings } }, delegate)).status).toBe(403);
    expect((await server.call('POST', `${PROJECT}:setIamPolicy`, { policy: { version: 3, etag, bindings } }, delegate)).status).toBe(409);
  });
});
