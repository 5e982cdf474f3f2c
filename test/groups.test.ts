/** actas.v1.Groups through both doors, and what a deleted group or account leaves behind. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Groups } from '../src/gen/actas/v1/groups_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const ORGANIZATION = 'organizations/111111111111';
const BASE = `/actas/v1/${ORGANIZATION}/groups`;
const PROJECT = '/cloudresourcemanager.googleapis.com/v1/projects/demo';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const make = (email: string, more: object = {}) => server.call('POST', BASE, { email, ...more });
const add = (group: string, ...members: string[]) => server.call('POST', `${BASE}/${group}:addMembers`, { members });
const members = async (group: string, query = '') => (await server.call('GET', `${BASE}/${group}/members${query}`)).json.members ?? [];

describe('over REST', () => {
  test('a group is created, read in any case, listed, changed and deleted', async () => {
    const made = await make('Team@Example.com', { displayName: 'Team' });
    const name = `${ORGANIZATION}/groups/team@example.com`;
    expect(made.json).toMatchObject({ name, email: 'team@example.com', displayName: 'Team', uid: expect.stringMatching(/^1\d{20}$/), etag: expect.any(String) });
    expect((await server.call('GET', `${BASE}/TEAM@example.com`)).json).toEqual(made.json);
    expect((await server.call('GET', BASE)).json.groups).toEqual([made.json]);
    expect((await make('team@example.com')).json.error).toMatchObject({ status: 'ALREADY_EXISTS', message: 'Group team@example.com already exists.' });
    const changed = await server.call('PATCH', `${BASE}/team@example.com?updateMask=description`, { description: 'All of us', displayName: 'ignored', etag: made.json.etag });
    expect(changed.json).toMatchObject({ displayName: 'Team', description: 'All of us' });
    expect((await server.call('PATCH', `${BASE}/team@example.com`, { displayName: 'x', etag: made.json.etag })).json.error).toMatchObject({ status: 'ABORTED' });
    expect((await server.call('GET', `/actas/v1/organizations/999/groups/team@example.com`)).status).toBe(403);
    expect((await server.call('DELETE', `${BASE}/team@example.com`)).json).toEqual({});
    expect((await server.call('GET', `${BASE}/team@example.com`)).json.error).toMatchObject({ status: 'NOT_FOUND', message: `Group '${name}' was not found.` });
  });

  test('members come, go, and are listed in pages and through other groups', async () => {
    for (const email of ['outer@example.com', 'inner@example.com']) await make(email);
    expect((await add('outer@example.com', 'user:B@example.com', 'user:a@example.com', 'group:inner@example.com')).json).toEqual({
      added: ['group:inner@example.com', 'user:a@example.com', 'user:b@example.com'],
    });
    expect((await add('outer@example.com', 'user:a@example.com', 'user:c@example.com')).json).toEqual({ added: ['user:c@example.com'] });
    await add('inner@example.com', 'user:z@example.com', 'user:a@example.com');
    expect(await members('outer@example.com', '?transitive=true')).toEqual([
      'group:inner@example.com',
      'user:a@example.com',
      'user:b@example.com',
      'user:c@example.com',
      'user:z@example.com',
    ]);
    const first = (await server.call('GET', `${BASE}/outer@example.com/members?pageSize=3`)).json;
    expect(first.members).toEqual(['group:inner@example.com', 'user:a@example.com', 'user:b@example.com']);
    expect(await members('outer@example.com', `?pageSize=3&pageToken=${first.nextPageToken}`)).toEqual(['user:c@example.com']);
    const gone = await server.call('POST', `${BASE}/outer@example.com:removeMembers`, { members: ['user:A@example.com', 'user:nobody@example.com'] });
    expect(gone.json).toEqual({ removed: ['user:a@example.com'] });
  });

  test('a group is never in itself: the way around is named', async () => {
    for (const email of ['one@example.com', 'two@example.com', 'three@example.com']) await make(email);
    await add('one@example.com', 'group:two@example.com');
    await add('two@example.com', 'group:three@example.com');
    const answer = await add('three@example.com', 'user:x@example.com', 'group:one@example.com');
    expect(answer.json.error).toMatchObject({
      status: 'INVALID_ARGUMENT',
      message:
        'members: one@example.com cannot be a member of three@example.com, which would come to be in itself: three@example.com > one@example.com > two@example.com > three@example.com.',
    });
    expect(await members('three@example.com')).toEqual([]);
    expect((await add('one@example.com', 'group:ONE@example.com')).json.error.message).toContain('one@example.com > one@example.com');
  });

  test.each([
    [{ email: 'nobody' }, 'is not an e-mail address'],
    [{ email: 'a@b.example', displayName: 'x'.repeat(74) }, 'at most 73 characters'],
    [{ email: 'a@b.example', colour: 'red' }, 'Unknown name'],
  ])('refuses the group %j', async (group, message) => {
    expect((await server.call('POST', BASE, group)).json.error).toMatchObject({ code: 400, message: expect.stringContaining(message) });
  });
  test.each(['dev@example.com', 'allUsers', 'domain:example.com', 'user:nobody', 'serviceAccount:none-such@demo.iam.gserviceaccount.com', ''])(
    'refuses the member %j',
    async (member) => {
      await make('strict@example.com');
      expect((await add('strict@example.com', member)).json.error).toMatchObject({ code: 400, status: 'INVALID_ARGUMENT' });
      expect(await members('strict@example.com')).toEqual([]);
    },
  );
});

test('over gRPC it is the same', async () => {
  const client = createClient(Groups, await server.grpc());
  const group = await client.createGroup({ parent: ORGANIZATION, group: { email: 'grpc@example.com' } });
  expect(await client.getGroup({ name: group.name })).toEqual(group);
  expect(await client.addMembers({ name: group.name, members: ['user:a@example.com'] })).toMatchObject({ added: ['user:a@example.com'] });
  expect(await client.listMembers({ name: group.name })).toMatchObject({ members: ['user:a@example.com'] });
  expect((await client.listGroups({ parent: ORGANIZATION, pageSize: 1000 })).groups.map(({ email }) => email)).toContain('grpc@example.com');
  expect(await client.updateGroup({ group: { name: group.name, displayName: 'New' } })).toMatchObject({ displayName: 'New' });
  expect(await client.removeMembers({ name: group.name, members: ['user:a@example.com'] })).toMatchObject({ removed: ['user:a@example.com'] });
  await client.deleteGroup({ name: group.name });
  await expect(client.getGroup({ name: group.name })).rejects.toMatchObject({ code: 5 });
});

test('denied without actas.groups.*, alike for groups that exist and that do not', async () => {
  await make('there@example.com');
  const as = { as: 'user:dev@example.com' };
  const there = await server.call('GET', `${BASE}/there@example.com`, undefined, as);
  expect(there.json.error.message).toBe(`Permission 'actas.groups.get' denied on resource '${ORGANIZATION}/groups/there@example.com' (or it may not exist).`);
  expect(there.json.error.details[1].message).toContain('actas organizations add-iam-policy-binding 111111111111 --member=user:dev@example.com --role=roles/actas.groupsViewer');
  expect((await server.call('GET', `${BASE}/gone1@example.com`, undefined, as)).text).toBe(there.text.replaceAll('there', 'gone1'));
});

test('a later group or account of the same address inherits neither grants nor denials nor memberships', async () => {
  await make('old@example.com');
  await make('holder@example.com');
  const { uid } = (await server.call('GET', `${BASE}/old@example.com`)).json;
  const account = (await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'member-sa' })).json;
  await add('holder@example.com', 'group:old@example.com', `serviceAccount:${account.email}`);
  const before = (await server.call('POST', `${PROJECT}:getIamPolicy`, {})).json;
  await server.call('POST', `${PROJECT}:setIamPolicy`, { policy: { ...before, bindings: [...before.bindings, { role: 'roles/run.viewer', members: ['group:old@example.com'] }] } });
  const deny = '/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies';
  const rule = {
    deniedPrincipals: ['principalSet://goog/public:all'],
    exceptionPrincipals: ['principalSet://goog/group/old@example.com', `principal://iam.googleapis.com/projects/-/serviceAccounts/${account.email}`],
    deniedPermissions: ['storage.googleapis.com/objects.get'],
  };
  await server.call('POST', `${deny}?policyId=except`, { rules: [{ denyRule: rule }] });

  await server.call('DELETE', `${BASE}/old@example.com`);
  await server.call('DELETE', `/iam.googleapis.com/v1/${account.name}`);
  await make('old@example.com');

  expect((await server.call('POST', `${PROJECT}:getIamPolicy`, {})).json.bindings).toContainEqual({
    role: 'roles/run.viewer',
    members: [`deleted:group:old@example.com?uid=${uid}`],
  });
  expect(await members('holder@example.com')).toEqual([`deleted:group:old@example.com?uid=${uid}`, `deleted:serviceAccount:${account.email}?uid=${account.uniqueId}`]);
  expect((await server.call('GET', `${deny}/except`)).json.rules[0].denyRule.exceptionPrincipals).toEqual([
    `deleted:principalSet://goog/group/old@example.com?uid=${uid}`,
    `deleted:principal://iam.googleapis.com/projects/-/serviceAccounts/${account.email}?uid=${account.uniqueId}`,
  ]);
  await server.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${account.uniqueId}:undelete`, {});
  expect(await members('holder@example.com')).toContain(`serviceAccount:${account.email}`);
});
