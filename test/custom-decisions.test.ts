/** What custom roles, imported roles, groups and deny policies come to: a caller asks before and after each change, and the next answer is the new one. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Roles } from '../src/gen/actas/v1/roles_pb.js';
import { IAM } from '../src/gen/google/iam/admin/v1/iam_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const DEV = { as: 'user:dev@example.com' };
const PROJECT = '/cloudresourcemanager.googleapis.com/v1/projects/demo';
const ROLES = '/iam.googleapis.com/v1/projects/demo/roles';
const GROUPS = '/actas/v1/organizations/111111111111/groups';
const DENY = '/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** Whether the developer may list the project's jobs. */
async function mayList(): Promise<boolean> {
  const { status, text } = await server.call('GET', '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs', undefined, DEV);
  expect([200, 403], text).toContain(status);
  return status === 200;
}
async function bind(role: string, member: string, path = PROJECT) {
  const { bindings = [], etag } = (await server.call('POST', `${path}:getIamPolicy`, {})).json;
  return server.call('POST', `${path}:setIamPolicy`, { policy: { etag, bindings: [...bindings, { role, members: [member] }] } });
}

/** The organization's policy with the role that keeps tags. */
async function withTagAdmin() {
  const { bindings, etag } = (await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/organizations/111111111111:getIamPolicy', {})).json;
  return { policy: { etag, bindings: [...bindings, { role: 'roles/resourcemanager.tagAdmin', members: ['user:owner@example.com'] }] } };
}
async function finished(path: string, body: object) {
  const started = await server.call('POST', path, body);
  const { response } = (await server.call('GET', `/cloudresourcemanager.googleapis.com/v3/${started.json.name}`)).json;
  return response;
}

test('a custom role grants what it holds, while it is there and not disabled', async () => {
  const role = 'projects/demo/roles/lister';
  await server.call('POST', ROLES, { roleId: 'lister', role: { stage: 'GA', includedPermissions: ['run.jobs.get'] } });
  expect((await bind(role, DEV.as)).status).toBe(200);
  expect(await mayList()).toBe(false);
  await server.call('PATCH', `${ROLES}/lister?updateMask=includedPermissions`, { includedPermissions: ['run.jobs.list'] });
  expect(await mayList()).toBe(true);
  await server.call('PATCH', `${ROLES}/lister?updateMask=stage`, { stage: 'DISABLED' });
  expect(await mayList()).toBe(false);
  await server.call('PATCH', `${ROLES}/lister?updateMask=stage`, { stage: 'GA' });
  await server.call('DELETE', `${ROLES}/lister`);
  expect(await mayList()).toBe(false);
  await server.call('POST', `${ROLES}/lister:undelete`, {});
  expect(await mayList()).toBe(true);
  await server.call('DELETE', `${ROLES}/lister`);
});

test('a custom role is bound only below what has it, and only while it is there', async () => {
  await server.call('POST', '/iam.googleapis.com/v1/organizations/111111111111/roles', { roleId: 'anywhere', role: { includedPermissions: ['run.jobs.get'] } });
  await server.call('POST', ROLES, { roleId: 'here', role: { includedPermissions: ['run.jobs.get'] } });
  await server.call('POST', ROLES, { roleId: 'gone', role: {} });
  await server.call('DELETE', `${ROLES}/gone`);
  expect((await bind('organizations/111111111111/roles/anywhere', 'user:a@example.com')).status).toBe(200);
  expect((await bind('projects/demo/roles/here', 'user:a@example.com')).status).toBe(200);
  const account = (await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'bound-sa' })).json.name;
  expect((await bind('projects/demo/roles/here', 'user:a@example.com', `/iam.googleapis.com/v1/${account}`)).status).toBe(200);
  for (const [role, path] of [
    ['projects/demo/roles/nosuch', PROJECT],
    ['projects/demo/roles/gone', PROJECT],
    ['projects/demo/roles/here', '/cloudresourcemanager.googleapis.com/v1/organizations/111111111111'],
    ['organizations/999/roles/anywhere', PROJECT],
  ] as const)
    expect((await bind(role, 'user:b@example.com', path)).json.error).toMatchObject({ code: 400, message: `Role (${role}) does not exist in the resource's hierarchy.` });
  // Below the organization are its folders, and its tag keys with their values.
  await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/organizations/111111111111:setIamPolicy', await withTagAdmin());
  const key = (await finished('/cloudresourcemanager.googleapis.com/v3/tagKeys', { parent: 'organizations/111111111111', shortName: 'env' })).name;
  const value = (await finished('/cloudresourcemanager.googleapis.com/v3/tagValues', { parent: key, shortName: 'prod' })).name;
  for (const path of [key, value, 'folders/222222222222']) {
    const url = `/cloudresourcemanager.googleapis.com/v3/${path}`;
    expect((await bind('organizations/111111111111/roles/anywhere', 'user:a@example.com', url)).json.error).toBeUndefined();
    expect((await bind('projects/demo/roles/here', 'user:a@example.com', url)).status).toBe(400);
  }
  // What the policy has already does not stand in the way of a later change.
  await server.call('DELETE', `${ROLES}/here`);
  expect((await bind('roles/viewer', 'user:a@example.com')).status).toBe(200);
});

test('a role that the catalogue lacks grants once it is imported', async () => {
  expect((await bind('roles/newproduct.lister', DEV.as)).status).toBe(200);
  expect(await mayList()).toBe(false);
  await server.call('POST', '/actas/v1/roles:import', { roles: [{ name: 'roles/newproduct.lister', includedPermissions: ['run.jobs.list'] }] });
  expect(await mayList()).toBe(true);
  await server.call('DELETE', '/actas/v1/roles/newproduct.lister');
  expect(await mayList()).toBe(false);
});

test('members of a group, through other groups too, have what it has', async () => {
  for (const email of ['outer@example.com', 'inner@example.com']) await server.call('POST', GROUPS, { email });
  expect((await bind('roles/run.viewer', 'group:outer@example.com')).status).toBe(200);
  await server.call('POST', `${GROUPS}/inner@example.com:addMembers`, { members: [DEV.as] });
  expect(await mayList()).toBe(false);
  await server.call('POST', `${GROUPS}/outer@example.com:addMembers`, { members: ['group:inner@example.com'] });
  expect(await mayList()).toBe(true);
  await server.call('POST', `${GROUPS}/inner@example.com:removeMembers`, { members: [DEV.as] });
  expect(await mayList()).toBe(false);
  await server.call('POST', `${GROUPS}/outer@example.com:addMembers`, { members: [DEV.as] });
  expect(await mayList()).toBe(true);
});

test('a deny policy takes away what a role gives, but not from exceptions', async () => {
  expect(await mayList()).toBe(true);
  const denyRule = { deniedPrincipals: ['principalSet://goog/group/outer@example.com'], deniedPermissions: ['run.googleapis.com/jobs.list'] };
  const made = await server.call('POST', `${DENY}?policyId=no-lists`, { rules: [{ denyRule }] });
  expect(made.status, made.text).toBe(200);
  expect(await mayList()).toBe(false);
  const excepted = { ...denyRule, exceptionPrincipals: ['principal://goog/subject/dev@example.com'] };
  await server.call('PUT', `${DENY}/no-lists`, { rules: [{ denyRule: excepted }], etag: made.json.response.etag });
  expect(await mayList()).toBe(true);
  await server.call('PUT', `${DENY}/no-lists`, { rules: [{ denyRule }], etag: (await server.call('GET', `${DENY}/no-lists`)).json.etag });
  expect(await mayList()).toBe(false);
  await server.call('DELETE', `${DENY}/no-lists`);
  expect(await mayList()).toBe(true);
});

test('a group that is gone gives nothing, and its successor nothing of its own', async () => {
  await server.call('DELETE', `${GROUPS}/outer@example.com`);
  expect(await mayList()).toBe(false);
  await server.call('POST', GROUPS, { email: 'outer@example.com' });
  await server.call('POST', `${GROUPS}/outer@example.com:addMembers`, { members: [DEV.as] });
  expect(await mayList()).toBe(false);
});

test('roles over gRPC are those of REST', async () => {
  const iam = createClient(IAM, await server.grpc());
  const made = await iam.createRole({ parent: 'projects/demo', roleId: 'overGrpc', role: { title: 'gRPC', includedPermissions: ['run.jobs.get'] } });
  expect(await iam.getRole({ name: made.name })).toEqual(made);
  expect((await server.call('GET', `${ROLES}/overGrpc`)).json).toMatchObject({
    title: 'gRPC',
    includedPermissions: ['run.jobs.get'],
    etag: Buffer.from(made.etag).toString('base64'),
  });
  expect(await iam.updateRole({ name: made.name, role: { title: 'New' }, updateMask: { paths: ['title'] } })).toMatchObject({ title: 'New' });
  expect(await iam.deleteRole({ name: made.name })).toMatchObject({ deleted: true });
  expect(await iam.undeleteRole({ name: made.name })).toMatchObject({ deleted: false });
  expect((await iam.listRoles({ parent: 'projects/demo' })).roles.map(({ name }) => name)).toContain(made.name);
  expect((await iam.queryGrantableRoles({ fullResourceName: '//cloudresourcemanager.googleapis.com/projects/demo', pageSize: 1000 })).roles.map(({ name }) => name)).toContain(
    made.name,
  );
  const imports = createClient(Roles, await server.grpc());
  expect(await imports.importRoles({ roles: [{ name: 'roles/over.grpc', includedPermissions: ['a.b.c'] }] })).toMatchObject({ imported: ['roles/over.grpc'], unchanged: 0 });
  expect((await imports.listImportedRoles({})).roles.map(({ name }) => name)).toEqual(['roles/over.grpc']);
  await imports.deleteImportedRole({ name: 'roles/over.grpc' });
});
