import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMessage, isMessage, type Message, type MessageShape } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  LintPolicyResponseSchema,
  ListRolesResponseSchema,
  QueryGrantableRolesResponseSchema,
  QueryTestablePermissionsResponseSchema,
  RoleSchema,
} from '../../gen/google/iam/admin/v1/iam_pb.js';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import { loadCatalogue } from '../../policy/catalogue.ts';
import { openStore, type Store } from '../../store/database.ts';
import { insertOrganization } from '../../store/organizations.ts';
import { findPolicy, updatePolicy } from '../../store/policies.ts';
import { insertProject } from '../../store/projects.ts';
import { deleteExpired } from '../../store/retention.ts';
import { findRole, insertRole } from '../../store/roles.ts';
import { callUnary, createFakeCall, createFakeClock, type Decide, type FakeCall, type FakeClock } from '../fake-call.ts';
import type { AnyService } from '../service.ts';
import { createIamService } from './iam.ts';
import { createKeyFixture } from './key-fixture.ts';

const CATALOGUE = loadCatalogue();
const DAY = 24 * 3600 * 1_000_000;
const RUNNER = { title: 'Runner', stage: 2, includedPermissions: ['run.jobs.run', 'run.jobs.get'] };
const NAME = 'projects/demo/roles/runner';

let dir: string;
let store: Store;
let clock: FakeClock;
let service: AnyService;
let last: FakeCall;

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'roles-'));
  store = await openStore(dir);
  clock = createFakeClock();
  service = createIamService({ store, catalogue: CATALOGUE, ...createKeyFixture(store) });
  await store.write(async ({ db }) => {
    await insertOrganization(db, { number: '111111111111', display_name: 'example.com', create_time: 1 });
    await insertProject(db, {
      project_id: 'demo',
      number: '123456789012',
      parent: 'organizations/111111111111',
      display_name: 'demo',
      labels: '{}',
      state: 'ACTIVE',
      create_time: 1,
      update_time: 1,
      delete_time: null,
      etag: 'x',
    });
  });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function call(method: string, request: Record<string, unknown>, decide: Decide = () => true) {
  last = createFakeCall({ clock, decide });
  return callUnary(service, method, request, last, { serviceAccount: async () => undefined });
}
/** Restores the type that callUnary forgets. */
function typed<D extends DescMessage>(schema: D, message: Message): MessageShape<D> {
  if (!isMessage(message, schema)) throw new Error(`a ${message.$typeName} where a ${schema.typeName} was awaited`);
  return message;
}
const role = async (method: string, request: Record<string, unknown>) => typed(RoleSchema, await call(method, request));
const make = (role: object = RUNNER, roleId = 'runner', parent = 'projects/demo') => call('createRole', { parent, roleId, role });
const refused = (status: string, message: string) => expect.objectContaining({ status, message });

describe('a custom role', () => {
  test('is created, read under id and number, and found in lists', async () => {
    const made = await role('createRole', { parent: 'projects/123456789012', roleId: 'runner', role: { ...RUNNER, description: 'Runs jobs.' } });
    expect(made).toMatchObject({ name: NAME, title: 'Runner', description: 'Runs jobs.', stage: 2, includedPermissions: ['run.jobs.get', 'run.jobs.run'], deleted: false });
    expect(made.etag.length).toBe(8);
    expect(await role('getRole', { name: 'projects/123456789012/roles/runner' })).toEqual(made);
    await make({ title: 'Viewer of the organization', includedPermissions: ['resourcemanager.organizations.get'] }, 'orgViewer', 'organizations/111111111111');
    const basic = typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo' }));
    expect(basic.roles.map(({ name, includedPermissions }) => ({ name, includedPermissions }))).toEqual([{ name: NAME, includedPermissions: [] }]);
    const full = typed(ListRolesResponseSchema, await call('listRoles', { parent: 'organizations/111111111111', view: 1 }));
    expect(full.roles[0]).toMatchObject({ name: 'organizations/111111111111/roles/orgViewer', includedPermissions: ['resourcemanager.organizations.get'] });
  });

  test('lists in pages that know their query', async () => {
    for (const id of ['aaa', 'bbb', 'ccc']) await make(RUNNER, id);
    const first = typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo', pageSize: 2 }));
    expect(first.roles.map(({ name }) => name)).toEqual(['projects/demo/roles/aaa', 'projects/demo/roles/bbb']);
    const second = typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo', pageSize: 2, pageToken: first.nextPageToken }));
    expect(second).toMatchObject({ roles: [{ name: 'projects/demo/roles/ccc' }], nextPageToken: '' });
    await expect(call('listRoles', { parent: 'projects/demo', view: 1, pageToken: first.nextPageToken })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test.each([
    ['a mask', { updateMask: { paths: ['title'] }, role: { title: 'New' } }, { title: 'New', stage: 2, includedPermissions: ['run.jobs.get', 'run.jobs.run'] }],
    [
      'a mask in JSON spelling',
      { updateMask: { paths: ['includedPermissions'] }, role: { includedPermissions: ['run.jobs.list'] } },
      { title: 'Runner', includedPermissions: ['run.jobs.list'] },
    ],
    ['a mask that empties', { updateMask: { paths: ['included_permissions', 'stage'] }, role: {} }, { title: 'Runner', stage: 0, includedPermissions: [] }],
    ['no mask: what is given', { role: { description: 'More' } }, { title: 'Runner', description: 'More', stage: 2, includedPermissions: ['run.jobs.get', 'run.jobs.run'] }],
  ])('is changed by %s', async (_name, change, expected) => {
    const before = typed(RoleSchema, await make());
    const after = await role('updateRole', { name: NAME, ...change });
    expect(after).toMatchObject(expected);
    expect(after.etag).not.toEqual(before.etag);
    expect(await role('getRole', { name: NAME })).toEqual(after);
  });

  test('a stale etag is refused by every change, and nothing happens', async () => {
    await make();
    const etag = Uint8Array.of(1, 2, 3);
    const aborted = refused('ABORTED', 'There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.');
    await expect(call('updateRole', { name: NAME, role: { title: 'x', etag } })).rejects.toEqual(aborted);
    await expect(call('deleteRole', { name: NAME, etag })).rejects.toEqual(aborted);
    const current = await role('getRole', { name: NAME });
    expect(current).toMatchObject({ title: 'Runner', deleted: false });
    expect(await role('updateRole', { name: NAME, role: { title: 'x', etag: current.etag } })).toMatchObject({ title: 'x' });
  });

  test('deleted, it is shown as such for seven days and can be undeleted, then not; its id is taken for thirty more', async () => {
    await make();
    expect(await role('deleteRole', { name: NAME })).toMatchObject({ deleted: true, includedPermissions: ['run.jobs.get', 'run.jobs.run'] });
    await expect(call('deleteRole', { name: NAME })).rejects.toEqual(refused('FAILED_PRECONDITION', `You can't delete role_id (${NAME}) as it is already deleted.`));
    await expect(call('updateRole', { name: NAME, role: { title: 'x' } })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await expect(make()).rejects.toEqual(refused('FAILED_PRECONDITION', "You can't create a role_id (runner) which has been marked for deletion."));
    expect(typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo' })).roles).toEqual([]);
    expect(typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo', showDeleted: true })).roles).toMatchObject([{ name: NAME, deleted: true }]);
    clock.advance(6 * DAY);
    expect(await role('undeleteRole', { name: NAME })).toMatchObject({ deleted: false });
    await expect(call('undeleteRole', { name: NAME })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await call('deleteRole', { name: NAME });
    clock.advance(8 * DAY);
    await expect(call('undeleteRole', { name: NAME })).rejects.toEqual(refused('NOT_FOUND', `The role named ${NAME} was not found.`));
    await expect(make()).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    expect(typed(ListRolesResponseSchema, await call('listRoles', { parent: 'projects/demo', showDeleted: true })).roles).toEqual([]);
  });

  test.each(['a new one of the same id', 'the retention'])('37 days after its deletion %s takes its bindings away', async (how) => {
    const resource = '//cloudresourcemanager.googleapis.com/projects/demo';
    await make();
    const bindings = [
      { role: NAME, members: ['user:a@example.com'] },
      { role: 'roles/viewer', members: ['user:a@example.com'] },
    ];
    await store.write(async ({ db }) => updatePolicy(db, resource, create(PolicySchema, { bindings }), 1));
    await call('deleteRole', { name: NAME });
    clock.advance(38 * DAY);
    if (how === 'the retention') {
      await deleteExpired(store, clock.now());
      expect(await findRole(store.read, NAME)).toBeUndefined();
    } else expect(typed(RoleSchema, await make())).toMatchObject({ deleted: false });
    expect((await findPolicy(store.read, resource))?.bindings.map((binding) => binding.role)).toEqual(['roles/viewer']);
  });
});

describe('what a custom role must be', () => {
  test.each([
    ['an id with a hyphen', { roleId: 'test-1' }, /^The role_id "test-1" is invalid\. It doesn't match pattern "\[a-zA-Z0-9_\\\.\]\{3,64\}"\./],
    ['a name', { role: { ...RUNNER, name: NAME } }, /Must not specify role\.name\./],
    ['no role', { role: undefined }, /required field not present/],
    ['a permission that is none', { role: { includedPermissions: ['run.jobs.fly'] } }, /^Permission run\.jobs\.fly is not valid\.$/],
    ['a wildcard', { role: { includedPermissions: ['compute.*'] } }, /^Permission compute\.\* is not valid\.$/],
    ['what no project can hold', { role: { includedPermissions: ['resourcemanager.projects.list'] } }, /^Permission resourcemanager\.projects\.list is not valid\.$/],
    ['a long title', { role: { title: 'x'.repeat(101) } }, /at most 100 characters/],
    ['a long description', { role: { description: 'x'.repeat(301) } }, /at most 300 characters/],
    ['too many permissions', { role: { includedPermissions: Array.from({ length: 3001 }, (_, i) => `unheard.of.p${i}`) } }, /at most 3000 permissions/],
    ['too much text', { role: { includedPermissions: Array.from({ length: 400 }, (_, i) => `unheard.of.${'p'.repeat(200)}${i}`) } }, /at most 65536 bytes/],
    ['a stage that is none', { role: { stage: 99 } }, /not a launch stage/],
    ['a folder', { parent: 'folders/222222222222' }, /has no roles of its own/],
  ])('refuses %s', async (_name, change, message) => {
    await expect(call('createRole', { parent: 'projects/demo', roleId: 'runner', role: RUNNER, ...change })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: expect.stringMatching(message),
    });
    expect(await findRole(store.read, NAME)).toBeUndefined();
  });

  test('an id is given once, and 300 times', async () => {
    await make();
    await expect(make()).rejects.toEqual(refused('ALREADY_EXISTS', 'A role named runner in projects/demo already exists.'));
    await store.write(async ({ db }) => {
      const row = await findRole(db, NAME);
      if (row !== undefined) for (let i = 1; i < 300; i += 1) await insertRole(db, { ...row, name: `${NAME}${i}` });
    });
    await expect(make(RUNNER, 'one_more')).rejects.toEqual(refused('RESOURCE_EXHAUSTED', 'Maximum number of roles reached. Maximum is: 300'));
  });

  test('a permission of a service that is not listed completely is taken, with a warning', async () => {
    await make({ includedPermissions: ['appengine.applications.create'] });
    expect(last.warnings).toEqual(['appengine.applications.create: not in the role catalogue, so nobody here can tell whether there is such a permission.']);
  });
});

describe('predefined roles', () => {
  test('are read by anybody who is known, and changed by nobody', async () => {
    expect(typed(RoleSchema, await call('getRole', { name: 'roles/run.invoker' }, () => false))).toMatchObject({
      name: 'roles/run.invoker',
      title: 'Cloud Run Invoker',
      stage: 2,
      etag: Uint8Array.of(0),
      includedPermissions: ['run.instances.invoke', 'run.jobs.run', 'run.routes.invoke'],
    });
    await expect(call('getRole', { name: 'roles/no.such' })).rejects.toEqual(refused('NOT_FOUND', 'The role named roles/no.such was not found.'));
    await expect(call('getRole', { name: 'role/x' })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: expect.stringContaining('The role name must be in the form "roles/{role}"'),
    });
    await expect(call('deleteRole', { name: 'roles/run.invoker' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await call('getRole', { name: 'roles/owner' });
    expect(last.warnings).toEqual(['roles/owner holds more than is listed: the catalogue has its permissions for some services only.']);
  });

  test('pages hold all of them once, in order', async () => {
    const names: string[] = [];
    let pageToken = '';
    do {
      const page = typed(ListRolesResponseSchema, await call('listRoles', { pageSize: 150, pageToken }));
      names.push(...page.roles.map(({ name }) => name));
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(names).toEqual([...CATALOGUE.roles()].map(({ name }) => name));
  });
});

describe('queries', () => {
  const testable = async (fullResourceName: string, pageSize = 1000) =>
    typed(QueryTestablePermissionsResponseSchema, await call('queryTestablePermissions', { fullResourceName, pageSize }));

  test('testable permissions differ by the kind of resource', async () => {
    const project = '//cloudresourcemanager.googleapis.com/projects/demo';
    const first = await testable(project, 10);
    expect(first.permissions).toHaveLength(10);
    const all = new Set<string>();
    let pageToken = '';
    do {
      const page = typed(QueryTestablePermissionsResponseSchema, await call('queryTestablePermissions', { fullResourceName: project, pageSize: 1000, pageToken }));
      for (const { name } of page.permissions) all.add(name);
      pageToken = page.nextPageToken;
    } while (pageToken !== '');
    expect(all.has('run.jobs.run') && all.has('iam.serviceAccounts.actAs')).toBe(true);
    expect(all.has('resourcemanager.projects.list') || all.has('resourcemanager.organizations.get')).toBe(false);
    const account = (await testable('//iam.googleapis.com/projects/demo/serviceAccounts/a@demo.iam.gserviceaccount.com')).permissions.map(({ name }) => name);
    expect(account).toContain('iam.serviceAccounts.actAs');
    expect(account.every((name) => /^iam\.serviceAccount(s|Keys|ApiKeyBindings)\./.test(name))).toBe(true);
    // gcloud names the endpoint that it was given as the host.
    expect((await testable('//127.0.0.1:8787/projects/demo', 10)).permissions).toEqual(first.permissions);
    for (const bad of ['', 'projects/demo', '//x/projects', '//x/projects/demo/jobs']) await expect(testable(bad)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('grantable roles: those that mean something there, custom ones for who may list them', async () => {
    await make();
    await make({ includedPermissions: ['iam.serviceAccounts.actAs'] }, 'actor', 'organizations/111111111111');
    const account = '//iam.googleapis.com/projects/demo/serviceAccounts/a@demo.iam.gserviceaccount.com';
    const grantable = async (fullResourceName: string, decide?: Decide) =>
      typed(QueryGrantableRolesResponseSchema, await call('queryGrantableRoles', { fullResourceName, pageSize: 1000 }, decide)).roles.map(({ name }) => name);
    const onAccount = await grantable(account);
    expect(onAccount).toEqual(expect.arrayContaining(['organizations/111111111111/roles/actor', 'roles/iam.serviceAccountUser', 'roles/owner']));
    expect(onAccount).not.toContain(NAME);
    expect(onAccount).not.toContain('roles/run.invoker');
    expect(await grantable('//cloudresourcemanager.googleapis.com/projects/demo')).toEqual(
      expect.arrayContaining([NAME, 'roles/run.invoker', 'organizations/111111111111/roles/actor']),
    );
    const stranger = await grantable(account, () => false);
    expect(stranger).toEqual(onAccount.filter((name) => name.startsWith('roles/')));
    expect(await grantable(account.replace('projects/demo', 'projects/unknown'), () => false)).toEqual(stranger);
  });

  test('auditable services', async () => {
    expect(await call('queryAuditableServices', { fullResourceName: '//cloudresourcemanager.googleapis.com/projects/demo' })).toMatchObject({
      services: expect.arrayContaining([expect.objectContaining({ name: 'run.googleapis.com' })]),
    });
  });
});

describe('lintPolicy', () => {
  const lint = async (expression: string, fullResourceName = '', title = 'x') =>
    typed(LintPolicyResponseSchema, await call('lintPolicy', { fullResourceName, lintObject: { case: 'condition', value: { expression, title } } })).lintResults.map(
      ({ validationUnitName, severity, fieldName }) => [validationUnitName.split('/')[1], severity, fieldName],
    );
  const PROJECT = '//cloudresourcemanager.googleapis.com/projects/demo';

  test('says nothing of a good condition, and where a bad one is bad', async () => {
    expect(await lint("resource.matchTag('111111111111/env', 'prod') && request.time < timestamp('2030-01-01T00:00:00Z')", PROJECT)).toEqual([]);
    expect(await lint('request.colour == "red"')).toEqual([['ConditionCompileCheck', 1, 'condition.expression']]);
    expect(await lint('1 +', '', '')).toEqual([
      ['ConditionTitleCheck', 1, 'condition.title'],
      ['ConditionCompileCheck', 1, 'condition.expression'],
    ]);
    expect(await lint('')).toHaveLength(1);
  });

  test('warns of attributes that the resource does not offer', async () => {
    const expression = "resource.name.startsWith('projects/demo')";
    expect(await lint(expression, PROJECT)).toEqual([]);
    expect(await lint(expression, '//secretmanager.googleapis.com/projects/demo/secrets/s')).toEqual([]);
    expect(await lint(expression, '//run.googleapis.com/projects/demo/locations/us-central1/jobs/j')).toEqual([['ConditionAttributeCheck', 2, 'condition.expression']]);
    await expect(lint('true', 'nonsense')).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(call('lintPolicy', {})).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

test('denials speak as Google does, and ask for what was named', async () => {
  const denied = (permission: string, asked: string) => service.denied({ permission, asked, resource: '' });
  expect(denied('iam.roles.create', 'projects/demo')).toBe("You don't have permission to create a role in projects/demo.");
  expect(denied('iam.roles.get', NAME)).toBe(`You don't have permission to get the role at ${NAME}.`);
  await expect(call('getRole', { name: NAME }, () => false)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  expect(last.asked).toEqual([{ permission: 'iam.roles.get', resource: `//iam.googleapis.com/${NAME}`, asked: NAME }]);
});
