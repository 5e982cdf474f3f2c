/** What the owner of a project tries against what the organization above it says: deny rules, constraints, tags that conditions look at, liens, groups. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../harness/server.ts';

const MALLORY = 'user:mallory@example.com';
const EVIL = 'evil-project';
const ORGANIZATION = 'organizations/111111111111';
const FULL = `//cloudresourcemanager.googleapis.com/projects/${EVIL}`;
const CRM1 = '/cloudresourcemanager.googleapis.com/v1';
const CRM = '/cloudresourcemanager.googleapis.com/v3';
const ORG = '/orgpolicy.googleapis.com/v2';
const IAM = '/iam.googleapis.com/v1';
const GROUPS = `/actas/v1/${ORGANIZATION}/groups`;
const denyUrl = (point: string) => `/iam.googleapis.com/v2/policies/${encodeURIComponent(`cloudresourcemanager.googleapis.com/${point}`)}/denypolicies`;

let server: TestServer;
let number = '';
let value = '';
const owner = async (verb: string, path: string, body?: object) => {
  const answer = await server.call(verb, path, body);
  if (answer.status !== 200) throw new Error(`${verb} ${path}: ${answer.text}`);
  return answer.json;
};
const mallory = (verb: string, path: string, body?: object) => server.call(verb, path, body, { as: MALLORY });
const may = async (permission: string) =>
  ((await mallory('POST', `${CRM}/projects/${EVIL}:testIamPermissions`, { permissions: [permission] })).json.permissions ?? []).length === 1;
async function grant(node: string, role: string, member: string, expression?: string): Promise<void> {
  const policy = await owner('POST', `${CRM}/${node}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } });
  const condition = expression === undefined ? {} : { condition: { title: 'x', expression } };
  await owner('POST', `${CRM}/${node}:setIamPolicy`, { policy: { ...policy, version: 3, bindings: [...(policy.bindings ?? []), { role, members: [member], ...condition }] } });
}

beforeAll(async () => {
  server = await startTestServer();
  await owner('POST', `${CRM}/projects`, { projectId: EVIL, parent: ORGANIZATION });
  number = String((await owner('GET', `${CRM}/projects/${EVIL}`)).name).slice('projects/'.length);
  await grant(`projects/${EVIL}`, 'roles/owner', MALLORY);
  await grant(ORGANIZATION, 'roles/orgpolicy.policyAdmin', 'user:owner@example.com');
  await grant(ORGANIZATION, 'roles/resourcemanager.tagAdmin', 'user:owner@example.com');
  await grant(ORGANIZATION, 'roles/iam.denyAdmin', 'user:owner@example.com');
  await owner('POST', `${CRM}/tagKeys`, { parent: ORGANIZATION, shortName: 'env' });
  const key = await owner('GET', `${CRM}/tagKeys/namespaced?name=111111111111/env`);
  await owner('POST', `${CRM}/tagValues`, { parent: key.name, shortName: 'prod' });
  value = (await owner('GET', `${CRM}/tagValues/namespaced?name=111111111111/env/prod`)).name;
});
afterAll(() => server.close());

test('a deny rule above is neither taken back, nor escaped by a grant, an exception of one own or another name of the permission', async () => {
  const rule = {
    deniedPermissions: ['run.googleapis.com/jobs.delete'],
    deniedPrincipals: ['principalSet://goog/public:all'],
    exceptionPrincipals: ['principal://goog/subject/owner@example.com'],
  };
  expect(await may('run.jobs.delete')).toBe(true);
  await owner('POST', `${denyUrl(ORGANIZATION)}?policyId=no-deletes`, { rules: [{ denyRule: rule }] });
  expect(await may('run.jobs.delete')).toBe(false);
  for (const [verb, path, body] of [
    ['DELETE', `${denyUrl(ORGANIZATION)}/no-deletes`, undefined],
    ['PUT', `${denyUrl(ORGANIZATION)}/no-deletes`, { rules: [] }],
    ['POST', `${denyUrl(`projects/${EVIL}`)}?policyId=mine`, { rules: [{ denyRule: { ...rule, exceptionPrincipals: ['principal://goog/subject/mallory@example.com'] } }] }],
    ['POST', `${CRM}/projects/${EVIL}:move`, { destinationParent: 'folders/222222222222' }],
    ['PUT', `${CRM1}/projects/${EVIL}`, { projectId: EVIL, name: 'Evil project', parent: { type: 'folder', id: '222222222222' } }],
  ] as const)
    expect((await mallory(verb, path, body)).status, `${verb} ${path}`).toBe(403);
  await mallory('POST', `${IAM}/projects/${EVIL}/roles`, { roleId: 'deleter', role: { includedPermissions: ['run.jobs.delete'] } });
  await grant(`projects/${EVIL}`, `projects/${EVIL}/roles/deleter`, MALLORY);
  expect(await may('run.jobs.delete')).toBe(false);
  for (const permission of ['run.jobs.DELETE', 'Run.jobs.delete', 'run.jobs.delete ', 'run.googleapis.com.jobs.delete']) {
    const answer = await mallory('POST', `${CRM}/projects/${EVIL}:testIamPermissions`, { permissions: [permission] });
    expect(answer.json.permissions ?? [], permission).toEqual([]);
  }
  // By another member of the same groups, another spelling of the address, and as a group.
  for (const member of ['user:MALLORY@example.com', 'user:mallory@EXAMPLE.com']) {
    const answer = await server.call('POST', `${CRM}/projects/${EVIL}:testIamPermissions`, { permissions: ['run.jobs.delete'] }, { as: member });
    expect(answer.json.permissions ?? []).toEqual([]);
  }
  await owner('DELETE', `${denyUrl(ORGANIZATION)}/no-deletes`);
  expect(await may('run.jobs.delete')).toBe(true);
});

test('a constraint above is not turned off by the owner of a project, in either version, by a dry run, a reset or a tag', async () => {
  const constraint = 'iam.disableServiceAccountKeyCreation';
  await owner('POST', `${ORG}/${ORGANIZATION}/policies`, { name: `${ORGANIZATION}/policies/${constraint}`, spec: { rules: [{ enforce: true }] } });
  await owner('POST', `${IAM}/projects/${EVIL}/serviceAccounts`, { accountId: 'some-account' });
  const account = `${IAM}/projects/${EVIL}/serviceAccounts/some-account@${EVIL}.iam.gserviceaccount.com`;
  for (const [verb, path, body] of [
    ['POST', `${ORG}/projects/${EVIL}/policies`, { name: `projects/${EVIL}/policies/${constraint}`, spec: { rules: [{ enforce: false }] } }],
    ['POST', `${ORG}/projects/${EVIL}/policies`, { name: `projects/${number}/policies/${constraint}`, spec: { reset: true } }],
    ['POST', `${ORG}/projects/${EVIL}/policies`, { name: `${ORGANIZATION}/policies/${constraint}`, spec: { rules: [{ enforce: false }] } }],
    ['PATCH', `${ORG}/${ORGANIZATION}/policies/${constraint}`, { name: `projects/${EVIL}/policies/${constraint}`, spec: { rules: [{ enforce: false }] } }],
    ['DELETE', `${ORG}/${ORGANIZATION}/policies/${constraint}`, undefined],
    ['POST', `${CRM1}/projects/${EVIL}:setOrgPolicy`, { policy: { constraint: `constraints/${constraint}`, booleanPolicy: { enforced: false } } }],
    ['POST', `${CRM1}/projects/${EVIL}:clearOrgPolicy`, { constraint: `constraints/${constraint}` }],
    ['POST', `${CRM1}/${ORGANIZATION}:clearOrgPolicy`, { constraint: `constraints/${constraint}` }],
  ] as const)
    expect((await mallory(verb, path, body)).status, `${verb} ${path} ${JSON.stringify(body)}`).toBe(403);
  for (const [path, body] of [
    [`${account}/keys`, {}],
    [`${account}/keys`, { keyAlgorithm: 'KEY_ALG_RSA_2048' }],
    [account.replace(EVIL, number).concat('/keys'), {}],
    [account.replace(EVIL, '-').concat('/keys'), {}],
  ] as const)
    expect((await mallory('POST', path, body)).json.error?.status, path).toBe('FAILED_PRECONDITION');
  await owner('DELETE', `${ORG}/${ORGANIZATION}/policies/${constraint}`);
});

test('a tag that conditions look at is not given to oneself, nor imitated', async () => {
  await grant(ORGANIZATION, 'roles/storage.admin', MALLORY, "resource.matchTag('111111111111/env', 'prod')");
  const holds = () => may('storage.buckets.setIamPolicy');
  const before = await holds();
  for (const [verb, path, body] of [
    ['POST', `${CRM}/tagBindings`, { parent: `//cloudresourcemanager.googleapis.com/projects/${number}`, tagValue: value }],
    ['POST', `${CRM}/tagBindings`, { parent: FULL, tagValueNamespacedName: '111111111111/env/prod' }],
    ['POST', `${CRM}/tagKeys`, { parent: ORGANIZATION, shortName: 'other' }],
    ['POST', `${CRM}/tagValues`, { parent: value, shortName: 'mine' }],
    ['POST', `${CRM}/${value}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/resourcemanager.tagUser', members: [MALLORY] }] } }],
  ] as const)
    expect([400, 403], `${verb} ${path}`).toContain((await mallory(verb, path, body)).status);
  // A key of one's own of the same short name, and names that would end in the same text.
  expect((await mallory('POST', `${CRM}/tagKeys`, { parent: `projects/${EVIL}`, shortName: 'env' })).status).toBe(200);
  for (const shortName of ['111111111111/env', '../111111111111/env', 'env/prod', 'env\u0000'])
    expect((await mallory('POST', `${CRM}/tagKeys`, { parent: `projects/${EVIL}`, shortName })).status, shortName).toBe(400);
  const key = await mallory('GET', `${CRM}/tagKeys/namespaced?name=${EVIL}/env`);
  expect((await mallory('POST', `${CRM}/tagValues`, { parent: key.json.name, shortName: 'prod' })).status).toBe(200);
  const mine = await mallory('GET', `${CRM}/tagValues/namespaced?name=${EVIL}/env/prod`);
  expect((await mallory('POST', `${CRM}/tagBindings`, { parent: FULL, tagValue: mine.json.name })).status).toBe(200);
  expect(await holds()).toBe(before);
  await owner('POST', `${CRM}/tagBindings`, { parent: FULL, tagValue: value });
  expect(await may('storage.buckets.setIamPolicy')).toBe(true);
});

test("a lien keeps a project from being deleted by each way, and another project's lien is not removed by its name", async () => {
  const lien = await owner('POST', `${CRM1}/liens`, { parent: 'projects/demo', restrictions: ['resourcemanager.projects.delete'], reason: 'x', origin: 'x' });
  for (const path of [`${CRM}/projects/demo`, `${CRM}/projects/123456789012`, `${CRM1}/projects/demo`, `${CRM1}/projects/123456789012`])
    expect((await server.call('DELETE', path)).json.error, path).toMatchObject({ status: 'FAILED_PRECONDITION' });
  const id = String(lien.name).slice('liens/'.length);
  for (const name of [id, id.replace('123456789012', number), `p${number}-l0/../${id}`, `${id}%00`, id.toUpperCase()])
    expect([400, 403, 404], name).toContain((await mallory('DELETE', `${CRM1}/liens/${name}`)).status);
  expect((await server.call('GET', `${CRM1}/liens/${id}`)).status).toBe(200);
});

test('groups that would contain each other, also when both are asked for at once', async () => {
  for (const email of ['a@example.com', 'b@example.com', 'c@example.com']) await owner('POST', GROUPS, { email });
  const add = (group: string, member: string) => server.call('POST', `${GROUPS}/${group}:addMembers`, { members: [member] });
  expect((await add('a@example.com', 'group:A@example.com')).status).toBe(400);
  const both = await Promise.all([add('a@example.com', 'group:b@example.com'), add('b@example.com', 'group:c@example.com'), add('c@example.com', 'group:a@example.com')]);
  expect(both.map(({ status }) => status).toSorted((x, y) => x - y)).toEqual([200, 200, 400]);
  expect((await mallory('POST', `${GROUPS}/a@example.com:addMembers`, { members: [MALLORY] })).status).toBe(403);
  // What was granted to a group that is gone is not granted to the next of its name.
  await owner('POST', `${GROUPS}/a@example.com:addMembers`, { members: ['user:late@example.com'] });
  await grant('projects/demo', 'roles/logging.viewer', 'group:a@example.com');
  const sees = async () =>
    (await server.call('POST', `${CRM}/projects/demo:testIamPermissions`, { permissions: ['logging.logEntries.list'] }, { as: 'user:late@example.com' })).json.permissions ?? [];
  expect(await sees()).toEqual(['logging.logEntries.list']);
  await owner('DELETE', `${GROUPS}/a@example.com`);
  expect(await sees()).toEqual([]);
  await owner('POST', GROUPS, { email: 'a@example.com' });
  await owner('POST', `${GROUPS}/a@example.com:addMembers`, { members: ['user:late@example.com'] });
  expect(await sees()).toEqual([]);
});
