/** Organization policies in the words of Resource Manager v1, which `gcloud resource-manager org-policies` speaks. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OrgPolicies } from '../src/gen/google/cloudresourcemanager/v1/org_policies_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const V1 = '/cloudresourcemanager.googleapis.com/v1';
const V2 = '/orgpolicy.googleapis.com/v2';
const CROSS = 'iam.disableCrossProjectServiceAccountUsage';
const EGRESS = 'run.allowedVPCEgress';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const call = async (node: string, verb: string, body: object, as?: string) => server.call('POST', `${V1}/${node}:${verb}`, body, as === undefined ? {} : { as });
const set = (node: string, policy: object) => call(node, 'setOrgPolicy', { policy });

describe('version 1', () => {
  test('a boolean policy, with and without the prefix of its constraint', async () => {
    const unset = await call('projects/demo', 'getOrgPolicy', { constraint: `constraints/${CROSS}` });
    expect(unset.json).toEqual({ constraint: `constraints/${CROSS}`, etag: 'ACAB' });
    expect((await call('projects/demo', 'getEffectiveOrgPolicy', { constraint: CROSS })).json).toEqual({ constraint: `constraints/${CROSS}`, booleanPolicy: { enforced: true } });

    const off = await set('projects/demo', { constraint: `constraints/${CROSS}`, booleanPolicy: { enforced: false } });
    expect(off.json).toEqual({ constraint: `constraints/${CROSS}`, etag: expect.stringMatching(/^[A-Za-z0-9+/]{12}$/), updateTime: expect.any(String), booleanPolicy: {} });
    expect((await server.call('GET', `${V2}/projects/demo/policies/${CROSS}`)).json).toMatchObject({ etag: off.json.etag, spec: { rules: [{ enforce: false }] } });
    expect((await call('projects/demo', 'getEffectiveOrgPolicy', { constraint: CROSS })).json.booleanPolicy).toEqual({});
    expect((await call('projects/123456789012', 'listOrgPolicies', {})).json).toEqual({ policies: [off.json] });

    expect((await set('projects/demo', { constraint: CROSS, booleanPolicy: {}, etag: 'ACAB' })).json.error).toMatchObject({ code: 409, status: 'ABORTED' });
    expect((await set('projects/demo', { constraint: CROSS, booleanPolicy: { enforced: true }, etag: off.json.etag })).json.booleanPolicy).toEqual({ enforced: true });
    expect((await call('projects/demo', 'clearOrgPolicy', { constraint: CROSS, etag: off.json.etag })).status).toBe(409);
    for (let i = 0; i < 2; i += 1) expect(await call('projects/demo', 'clearOrgPolicy', { constraint: CROSS })).toMatchObject({ status: 200, json: {} });
  });

  test('a policy that is not set can be set with the etag that was read', async () => {
    expect((await set('folders/222222222222', { constraint: CROSS, booleanPolicy: { enforced: true }, etag: 'ACAB' })).status).toBe(200);
    expect((await call('folders/222222222222', 'clearOrgPolicy', { constraint: CROSS })).status).toBe(200);
  });

  test('turning the constraint off places the lien on the project, once, and turning it on leaves it', async () => {
    await set('projects/demo', { constraint: CROSS, booleanPolicy: {} });
    await set('projects/demo', { constraint: CROSS, booleanPolicy: {} });
    await set('projects/demo', { constraint: CROSS, booleanPolicy: { enforced: true } });
    const liens = await server.call('GET', '/cloudresourcemanager.googleapis.com/v3/liens?parent=projects/123456789012');
    expect(liens.json.liens).toMatchObject([{ origin: 'iam.googleapis.com/cross-project-service-accounts', restrictions: ['resourcemanager.projects.delete'] }]);
    await call('projects/demo', 'clearOrgPolicy', { constraint: CROSS });
  });

  test('a list policy', async () => {
    const policy = { constraint: `constraints/${EGRESS}`, listPolicy: { allowedValues: ['all-traffic'], deniedValues: ['is:x'], inheritFromParent: true } };
    const stored = await set('organizations/111111111111', policy);
    expect(stored.json).toMatchObject(policy);
    expect((await set('folders/222222222222', { constraint: EGRESS, listPolicy: { allValues: 'DENY' } })).json.listPolicy).toEqual({ allValues: 'DENY' });
    expect((await call('projects/demo', 'getEffectiveOrgPolicy', { constraint: EGRESS })).json).toEqual({ constraint: `constraints/${EGRESS}`, listPolicy: { allValues: 'DENY' } });
    expect((await set('folders/222222222222', { constraint: EGRESS, restoreDefault: {} })).json.restoreDefault).toEqual({});
    expect((await call('projects/demo', 'getEffectiveOrgPolicy', { constraint: EGRESS })).json.listPolicy).toEqual({ allValues: 'ALLOW' });
    for (const node of ['organizations/111111111111', 'folders/222222222222']) await call(node, 'clearOrgPolicy', { constraint: EGRESS });
  });

  test('a dry run of version 2 outlives what version 1 does', async () => {
    const name = `projects/demo/policies/${EGRESS}`;
    await server.call('POST', `${V2}/projects/demo/policies`, { name, spec: { rules: [{ allowAll: true }] }, dryRunSpec: { rules: [{ denyAll: true }] } });
    await set('projects/demo', { constraint: EGRESS, listPolicy: { deniedValues: ['x'] } });
    expect((await server.call('GET', `${V2}/${name}`)).json).toMatchObject({ spec: { rules: [{ values: { deniedValues: ['x'] } }] }, dryRunSpec: { rules: [{ denyAll: true }] } });
    await call('projects/demo', 'clearOrgPolicy', { constraint: EGRESS });
    const left = (await server.call('GET', `${V2}/${name}`)).json;
    expect(left).toMatchObject({ dryRunSpec: { rules: [{ denyAll: true }] } });
    expect(left).not.toHaveProperty('spec');
    await server.call('DELETE', `${V2}/${name}`);
  });

  test('pages', async () => {
    const names: string[] = [];
    for (let pageToken = ''; ; ) {
      const { constraints, nextPageToken } = (await call('projects/demo', 'listAvailableOrgPolicyConstraints', { pageSize: 20, pageToken })).json;
      names.push(...constraints.map((one: { name: string }) => one.name));
      if (nextPageToken === undefined) break;
      pageToken = nextPageToken;
    }
    expect(names.length).toBeGreaterThan(40);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toContain('constraints/iam.disableServiceAccountCreation');
    expect(names.some((name) => name.includes('.managed.'))).toBe(false);
  });

  test.each([
    ['nothing', { constraint: CROSS }, 'policy: says nothing'],
    ['all and some', { constraint: EGRESS, listPolicy: { allValues: 'ALLOW', allowedValues: ['a'] } }, 'has all_values and values'],
    ['a managed constraint', { constraint: 'iam.managed.disableServiceAccountKeyUpload', booleanPolicy: { enforced: true } }, 'cannot be set with this version of the API'],
    ['the kind of another constraint', { constraint: CROSS, listPolicy: { allValues: 'ALLOW' } }, 'is a boolean constraint'],
    ['no constraint', { booleanPolicy: {} }, 'policy.constraint'],
  ])('%s is refused', async (_case, policy, message) => {
    expect(await set('projects/demo', policy)).toMatchObject({ status: 400, json: { error: { status: 'INVALID_ARGUMENT', message: expect.stringContaining(message) } } });
  });

  test('a denial names nothing, and lists the reason', async () => {
    const denied = await call('projects/demo', 'setOrgPolicy', { policy: { constraint: CROSS, booleanPolicy: {} } }, 'user:nobody@elsewhere.example');
    expect(denied).toMatchObject({ status: 403, json: { error: { message: 'The caller does not have permission', errors: [{ reason: 'forbidden' }] } } });
    expect((await call('projects/none-such', 'getOrgPolicy', { constraint: CROSS })).status).toBe(403);
  });

  test('through gRPC', async () => {
    const client = createClient(OrgPolicies, await server.grpc());
    const policy = await client.setOrgPolicy({
      resource: 'projects/demo',
      policy: { constraint: EGRESS, policyType: { case: 'listPolicy', value: { allowedValues: ['all-traffic'] } } },
    });
    expect((await client.getOrgPolicy({ resource: 'projects/demo', constraint: EGRESS })).etag).toEqual(policy.etag);
    expect((await client.listOrgPolicies({ resource: 'projects/demo' })).policies).toHaveLength(1);
    await client.clearOrgPolicy({ resource: 'projects/demo', constraint: EGRESS, etag: policy.etag });
  });
});
