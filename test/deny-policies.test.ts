/** google.iam.v2.Policies through both doors. */

import { anyUnpack } from '@bufbuild/protobuf/wkt';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Policies, PolicySchema } from '../src/gen/google/iam/v2/policy_pb.js';
import { Operations } from '../src/gen/google/longrunning/operations_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const NUMBER = '123456789012';
const POINT = 'cloudresourcemanager.googleapis.com%2Fprojects%2F';
const PARENT = `policies/${POINT}demo/denypolicies`;
/** Paths as they are sent: encoded once (in the name itself), or twice as gcloud does. */
const URL_ONCE = `/iam.googleapis.com/v2/${PARENT}`;
const URL_TWICE = `/iam.googleapis.com/v2/${PARENT.replaceAll('%', '%25')}`;
const RULE = { deniedPermissions: ['run.googleapis.com/jobs.run'], deniedPrincipals: ['principal://goog/subject/dev@example.com'] };
const rules = (...changes: object[]) => changes.map((change) => ({ denyRule: { ...RULE, ...change } }));

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const post = (id: string, policy: object, url = URL_ONCE) => server.call('POST', `${url}?policyId=${id}`, policy);

describe('over REST', () => {
  test('a policy is created, read, listed, replaced and deleted, each by an operation that is done at once', async () => {
    const made = await post('first', { displayName: 'First', rules: [{ description: 'No runs', denyRule: RULE }] }, URL_TWICE);
    const name = `policies/${POINT}${NUMBER}/denypolicies/first`;
    expect(made.json).toMatchObject({
      done: true,
      name: expect.stringMatching(new RegExp(`^${name}/operations/[0-9a-f]+$`)),
      metadata: { '@type': 'type.googleapis.com/google.iam.v2.PolicyOperationMetadata', createTime: expect.any(String) },
      response: { '@type': 'type.googleapis.com/google.iam.v2.Policy', name, kind: 'DenyPolicy', displayName: 'First', rules: [{ description: 'No runs', denyRule: RULE }] },
    });
    const { etag } = made.json.response;
    for (const url of [URL_ONCE, URL_TWICE, URL_ONCE.replace('demo', NUMBER)]) {
      const { '@type': _type, ...policy } = made.json.response;
      expect((await server.call('GET', `${url}/first`)).json).toEqual(policy);
      const { rules: _rules, ...listed } = policy;
      expect((await server.call('GET', url)).json.policies).toContainEqual(listed);
    }
    const operation = await server.call('GET', `/iam.googleapis.com/v2/${made.json.name}`);
    expect(operation.json).toEqual(made.json);

    expect((await server.call('PUT', `${URL_ONCE}/first`, { rules: rules({}) })).json.error).toMatchObject({ status: 'ABORTED' });
    const changed = await server.call('PUT', `${URL_ONCE}/first`, { displayName: 'Second', rules: rules({}, {}), etag });
    expect(changed.json.response).toMatchObject({ displayName: 'Second', uid: made.json.response.uid, createTime: made.json.response.createTime });
    expect(changed.json.response.etag).not.toBe(etag);
    expect((await server.call('DELETE', `${URL_ONCE}/first?etag=${encodeURIComponent(etag)}`)).json.error).toMatchObject({ status: 'ABORTED' });
    expect((await server.call('DELETE', `${URL_ONCE}/first`)).json.response).toMatchObject({ name, deleteTime: expect.any(String), rules: rules({}, {}) });
    expect((await server.call('GET', `${URL_ONCE}/first`)).json.error).toMatchObject({ status: 'NOT_FOUND', message: `Policy '${name}' was not found.` });
  });

  test('folders and organizations have theirs, by number', async () => {
    for (const node of ['folders/222222222222', 'organizations/111111111111']) {
      const url = URL_ONCE.replace('projects%2Fdemo', node.replace('/', '%2F'));
      expect((await post('top', { rules: rules({}) }, url)).json.response.name).toBe(`policies/cloudresourcemanager.googleapis.com%2F${node.replace('/', '%2F')}/denypolicies/top`);
      expect((await server.call('GET', url)).json.policies).toHaveLength(1);
      expect((await server.call('DELETE', `${url}/top`)).status).toBe(200);
    }
  });

  test('a taken id, and one that is none', async () => {
    expect((await post('taken', { rules: rules({}) })).status).toBe(200);
    expect((await post('taken', { rules: rules({}) })).json.error).toMatchObject({ code: 409, status: 'ALREADY_EXISTS' });
    for (const id of ['', 'ab', '1st', 'Caps', 'a_b', 'x'.repeat(64)]) expect((await post(id, { rules: rules({}) })).json.error).toMatchObject({ status: 'INVALID_ARGUMENT' });
    await server.call('DELETE', `${URL_ONCE}/taken`);
  });
});

describe('what a policy must be', () => {
  test.each<[string, object, string]>([
    [
      'a principal in the form of allow policies',
      { rules: rules({ deniedPrincipals: ['user:dev@example.com'] }) },
      'policy.rules[0].deny_rule.denied_principals: "user:dev@example.com" is not a principal.',
    ],
    ['nobody', { rules: rules({ deniedPrincipals: [] }) }, 'names nobody'],
    [
      'all accounts of a project, which nobody would be',
      { rules: rules({ deniedPrincipals: ['principalSet://cloudresourcemanager.googleapis.com/projects/123456789012/type/ServiceAccount'] }) },
      'is not served in deny rules',
    ],
    [
      'an account by its number, which nobody would be',
      { rules: rules({ deniedPrincipals: ['principal://iam.googleapis.com/projects/-/serviceAccounts/123456789012345678901'] }) },
      'is not served in deny rules',
    ],
    ['everybody as an exception', { rules: rules({ exceptionPrincipals: ['principalSet://goog/public:all'] }) }, 'principalSet://goog/public:all cannot be an exception.'],
    ['a permission in the form of allow policies', { rules: rules({ deniedPermissions: ['run.jobs.run'] }) }, '"run.jobs.run" is not a permission of a deny rule.'],
    ['a permission that is none', { rules: rules({ deniedPermissions: ['run.googleapis.com/jobs.fly'] }) }, 'run.googleapis.com/jobs.fly is not a permission that is known.'],
    ['no permission', { rules: rules({ deniedPermissions: [] }) }, 'names no permission'],
    ['a rule of no kind', { rules: [{ description: 'x' }] }, 'needs a denyRule'],
    ['a condition without expression', { rules: rules({ denialCondition: { title: 'x' } }) }, 'a condition needs an expression'],
    [
      'a condition on what only allow policies know',
      { rules: rules({ denialCondition: { title: 'x', expression: 'request.time < timestamp("2030-01-01T00:00:00Z")' } }) },
      'A denial condition can use tag functions only',
    ],
    [
      'what nobody could ever delete again',
      { rules: rules({ deniedPrincipals: ['principalSet://goog/public:all'], deniedPermissions: ['iam.googleapis.com/denypolicies.*'] }) },
      'so nobody could ever delete this policy',
    ],
    ['a long name', { displayName: 'x'.repeat(64), rules: rules({}) }, 'policy.display_name: must have at most 63 characters'],
    ['a long description', { rules: [{ description: 'x'.repeat(257), denyRule: RULE }] }, 'policy.rules[0].description: must have at most 256 characters'],
    ['a long annotation', { annotations: { a: 'x'.repeat(256) }, rules: rules({}) }, 'policy.annotations["a"]: must have at most 255 characters'],
    ['too many rules', { rules: Array.from({ length: 501 }, () => ({ denyRule: RULE })) }, 'must have at most 500 rules'],
  ])('refuses %s', async (_name, policy, message) => {
    const answer = await post('refused', policy);
    expect(answer.json.error).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT', message: expect.stringContaining(message) });
    expect((await server.call('GET', `${URL_ONCE}/refused`)).status).toBe(404);
  });

  test.each([
    'principalSet://goog/public:all',
    'principalSet://goog/group/team@example.com',
    'principal://iam.googleapis.com/projects/-/serviceAccounts/a@demo.iam.gserviceaccount.com',
    'principalSet://goog/cloudIdentityCustomerId/C01Abc35',
    'principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/pool/*',
    'principal://iam.googleapis.com/locations/global/workforcePools/pool/subject/s',
    'deleted:principal://goog/subject/alice@example.com?uid=1234567890',
  ])('takes %s', async (principal) => {
    const permissions = [
      'cloudresourcemanager.googleapis.com/projects.delete',
      'iam.googleapis.com/serviceAccounts.actAs',
      'storage.googleapis.com/*.*',
      'run.googleapis.com/jobs.*',
    ];
    expect((await post('taken', { rules: rules({ deniedPrincipals: [principal], deniedPermissions: permissions }) })).status).toBe(200);
    expect((await server.call('DELETE', `${URL_ONCE}/taken`)).status).toBe(200);
  });

  test('the limits are of all policies of a resource together', async () => {
    const many = Array.from({ length: 1300 }, (_, i) => `principal://goog/subject/u${i}@example.com`);
    expect((await post('half', { rules: rules({ deniedPrincipals: many }) })).status).toBe(200);
    const over = await post('other', { rules: rules({ deniedPrincipals: many }) });
    expect(over.json.error).toMatchObject({ status: 'RESOURCE_EXHAUSTED', message: expect.stringContaining('(2600) exceeds the maximum allowed limit (2500)') });
    await server.call('DELETE', `${URL_ONCE}/half`);
  });

  test.each([
    'policies/x/denypolicies',
    'policies/run.googleapis.com%2Fprojects%2Fdemo/denypolicies',
    `policies/${POINT}demo/allowpolicies`,
    'policies/cloudresourcemanager.googleapis.com%2Ffolders%2Fdemo/denypolicies',
  ])('refuses the attachment point of %s', async (parent) => {
    const answer = await server.call('GET', `/iam.googleapis.com/v2/${parent}`);
    expect(answer.json.error).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('ATTACHMENT_POINT') });
  });
});

test('a denial is in Google’s words, and the same whether there is a policy or not', async () => {
  await post('there', { rules: rules({}) });
  const as = { as: 'user:nobody@elsewhere.example' };
  const there = await server.call('GET', `${URL_ONCE}/there`, undefined, as);
  expect(there.json.error).toMatchObject({
    code: 403,
    message: 'Permission iam.googleapis.com/denypolicies.get denied on resource cloudresourcemanager.googleapis.com/projects/demo',
  });
  expect((await server.call('GET', `${URL_ONCE}/gone`, undefined, as)).text).toBe(there.text);
  await server.call('DELETE', `${URL_ONCE}/there`);
});

test('over gRPC it is the same', async () => {
  const transport = await server.grpc();
  const client = createClient(Policies, transport);
  const created = await client.createPolicy({ parent: PARENT, policyId: 'by-grpc', policy: { rules: [{ kind: { case: 'denyRule', value: RULE } }] } });
  const policy = created.result.case === 'response' ? anyUnpack(created.result.value, PolicySchema) : undefined;
  expect(policy).toMatchObject({ name: `policies/${POINT}${NUMBER}/denypolicies/by-grpc`, kind: 'DenyPolicy' });
  expect(await client.getPolicy({ name: `${PARENT}/by-grpc` })).toEqual(policy);
  expect((await client.listPolicies({ parent: PARENT })).policies.map(({ name }) => name)).toEqual([policy?.name]);
  expect(await createClient(Operations, transport).getOperation({ name: created.name })).toEqual(created);
  const updated = await client.updatePolicy({ policy: { name: `${PARENT}/by-grpc`, etag: policy?.etag ?? '', displayName: 'New', rules: policy?.rules ?? [] } });
  expect(updated.done).toBe(true);
  await client.deletePolicy({ name: `${PARENT}/by-grpc` });
  await expect(client.getPolicy({ name: `${PARENT}/by-grpc` })).rejects.toMatchObject({ code: 5 });
});
