/** The commands about roles, deny policies and groups, each against a control plane that answers. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const actas = (line: string, stdin?: string): Promise<Ran> =>
  run(line.split(' '), { env: { ACTAS_URL: server.url, ACTAS_TOKEN: server.ownerToken }, ...(stdin === undefined ? {} : { stdin }) });
/** What a command prints as JSON; it must have gone well. */
async function json(line: string, stdin?: string) {
  const { code, out, err } = await actas(`${line} --format=json`, stdin);
  expect(code, err).toBe(0);
  return JSON.parse(out);
}
function file(name: string, text: string): string {
  const path = join(server.dataDir, name);
  writeFileSync(path, text);
  return path;
}

describe('iam roles', () => {
  test('create, describe, update, list, delete, undelete and copy', async () => {
    const made = await json('iam roles create jobRunner --title=Runner --stage=ga --permissions=run.jobs.run,run.jobs.get');
    expect(made).toMatchObject({ name: 'projects/demo/roles/jobRunner', title: 'Runner', stage: 'GA', includedPermissions: ['run.jobs.get', 'run.jobs.run'] });
    expect(await json('iam roles describe jobRunner')).toEqual(made);
    expect(await json('iam roles update jobRunner --add-permissions=run.jobs.list --remove-permissions=run.jobs.get')).toMatchObject({
      includedPermissions: ['run.jobs.list', 'run.jobs.run'],
    });
    expect(await json('iam roles update jobRunner --stage=DISABLED')).toMatchObject({ stage: 'DISABLED', title: 'Runner' });
    expect((await actas('iam roles update jobRunner')).err).toContain('Nothing to change.');
    expect(await json('iam roles list --project=demo')).toMatchObject([{ name: 'projects/demo/roles/jobRunner' }]);
    expect(await json('iam roles delete jobRunner --quiet')).toMatchObject({ deleted: true });
    expect(await json('iam roles list --project=demo')).toEqual([]);
    expect((await actas('iam roles list --project=demo --show-deleted')).out).toMatch(/projects\/demo\/roles\/jobRunner\s+Runner\s+DELETED/);
    expect(await json('iam roles undelete jobRunner')).not.toHaveProperty('deleted');
    const copied = await json('iam roles copy --source=roles/run.invoker --destination=invoker2 --dest-organization=111111111111');
    expect(copied).toMatchObject({
      name: 'organizations/111111111111/roles/invoker2',
      title: 'Cloud Run Invoker',
      includedPermissions: ['run.instances.invoke', 'run.jobs.run', 'run.routes.invoke'],
    });
    expect(await json('iam roles describe invoker2 --organization=111111111111')).toEqual(copied);
  });

  test('a role from a file, from stdin, and what describe printed written back', async () => {
    const yaml = 'title: From a file\nstage: BETA\nincludedPermissions: [run.jobs.get]\n';
    expect(await json(`iam roles create fromFile --file=${file('role.yaml', yaml)}`)).toMatchObject({ title: 'From a file', stage: 'BETA' });
    const described = await actas('iam roles describe fromFile');
    expect(await json('iam roles update fromFile --file=-', described.out.replace('From a file', 'Changed'))).toMatchObject({
      title: 'Changed',
      includedPermissions: ['run.jobs.get'],
    });
    const stale = await actas('iam roles update fromFile --file=-', described.out);
    expect(stale).toMatchObject({ code: 1, err: expect.stringContaining('There were concurrent policy changes') });
  });

  test('predefined roles, and what there is for a resource', async () => {
    expect(await json('iam roles list --filter=name:roles/run.jobsExecutor')).toHaveLength(2);
    expect((await json('iam list-grantable-roles //cloudresourcemanager.googleapis.com/projects/demo --limit=5')).length).toBe(5);
    expect(await json('iam list-testable-permissions projects/demo --filter=name=run.jobs.run')).toEqual([{ name: 'run.jobs.run', stage: 'GA' }]);
    expect((await json('iam list-testable-permissions projects/demo')).length).toBeGreaterThan(1000);
  });

  test.each([
    ['iam roles create bad-id', 1, 'The role_id "bad-id" is invalid.'],
    ['iam roles create some --stage=later', 2, "'LATER' is not a launch stage."],
    ['iam roles describe some --organization=1 --project=demo', 2, 'not both'],
    ['iam roles describe jobs/x', 2, "'jobs/x' is not a role."],
    ['iam roles describe nosuch', 5, 'The role named projects/demo/roles/nosuch was not found.'],
    ['iam roles copy --source=roles/run.invoker', 2, "required option '--destination <role>' not specified"],
  ])('%s', async (line, code, message) => {
    expect(await actas(line)).toMatchObject({ code, err: expect.stringContaining(message) });
  });
});

test('iam policies: create, list, get, update, delete', async () => {
  const at = '--attachment-point=cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo --kind=denypolicies';
  const policy = {
    displayName: 'No runs',
    rules: [{ denyRule: { deniedPrincipals: ['principal://goog/subject/dev@example.com'], deniedPermissions: ['run.googleapis.com/jobs.run'] } }],
  };
  const made = await json(`iam policies create no-runs --policy-file=- ${at}`, JSON.stringify(policy));
  expect(made).toMatchObject({ ...policy, kind: 'DenyPolicy' });
  expect((await actas(`iam policies list --attachment-point=projects/demo`)).out).toMatch(/no-runs\s+No runs/);
  const got = await actas(`iam policies get no-runs ${at}`);
  expect(await json(`iam policies update no-runs --policy-file=- ${at}`, got.out.replace('No runs', 'None'))).toMatchObject({ displayName: 'None' });
  expect(await actas(`iam policies update no-runs --policy-file=- ${at}`, got.out)).toMatchObject({ code: 1, err: expect.stringContaining('concurrent') });
  const blind = await actas(`iam policies update no-runs --policy-file=- ${at}`, JSON.stringify(policy));
  expect(blind).toMatchObject({ code: 0, err: expect.stringContaining('The file has no etag') });
  expect((await actas(`iam policies delete no-runs --quiet ${at}`)).code).toBe(0);
  expect(await actas(`iam policies get no-runs ${at}`)).toMatchObject({ code: 5 });
  expect(await actas('iam policies list --attachment-point=projects/demo --kind=accessboundarypolicies')).toMatchObject({ code: 2 });
  expect(await actas('iam policies list')).toMatchObject({ code: 2, err: expect.stringContaining('--attachment-point') });
});

test.each(['groups', 'identity groups'])('%s: create, memberships, describe, update, list, delete', async (group) => {
  expect(await json(`${group} create team@example.com --display-name=Team`)).toMatchObject({ name: 'organizations/111111111111/groups/team@example.com', displayName: 'Team' });
  await actas(`${group} create core@example.com`);
  const added = await json(
    `${group} memberships add --group-email=team@example.com --member-email=dev@example.com,core@example.com,123456789012-compute@developer.gserviceaccount.com`,
  );
  expect(added.added).toEqual(['group:core@example.com', 'serviceAccount:123456789012-compute@developer.gserviceaccount.com', 'user:dev@example.com']);
  await actas(`${group} memberships add --group-email=core@example.com --member-email=user:one@example.com`);
  expect((await actas(`${group} memberships list --group-email=team@example.com --transitive`)).out).toContain('user:one@example.com');
  expect((await actas(`${group} memberships delete --group-email=team@example.com --member-email=dev@example.com`)).err).toContain(
    'Removed user:dev@example.com from group [team@example.com].',
  );
  expect(await json(`${group} update team@example.com --description=All`)).toMatchObject({ displayName: 'Team', description: 'All' });
  expect(await json(`${group} describe team@example.com --organization=example.com`)).toMatchObject({ description: 'All' });
  expect((await json(`${group} list`)).map(({ email }: { email: string }) => email)).toEqual(['core@example.com', 'team@example.com']);
  for (const email of ['team@example.com', 'core@example.com']) expect((await actas(`${group} delete ${email} --quiet`)).code).toBe(0);
  expect((await actas(`${group} describe team@example.com`)).code).toBe(5);
  expect(await actas(`${group} list --organization=nowhere.example`)).toMatchObject({ code: 2, err: expect.stringContaining("called 'nowhere.example'") });
});

describe('roles import', () => {
  const ROLE = { name: 'roles/appengine.appAdmin', title: 'App Engine Admin', stage: 'GA', includedPermissions: ['appengine.applications.get', 'appengine.services.update'] };

  test('reads what gcloud prints, in each of its forms; the roles are read like any other', async () => {
    const listed = JSON.stringify([{ name: 'roles/bare', title: 'No permissions' }, { name: 'projects/demo/roles/own', includedPermissions: ['run.jobs.get'] }, ROLE]);
    const first = await actas(`roles import ${file('roles.json', listed)}`);
    expect(first).toMatchObject({ code: 0, err: expect.stringContaining('Imported 1 role.') });
    expect(first.err).toContain('roles/bare: without permissions, passed over.');
    expect(first.err).toContain('projects/demo/roles/own: not predefined.');
    expect((await actas(`roles import ${file('roles.json', listed)}`)).err).toContain('Imported 0 roles; 1 role unchanged.');
    const yaml = `---\nname: roles/a.one\nincludedPermissions:\n- a.b.c\n---\nname: roles/a.two\nstage: BETA\nincludedPermissions:\n- a.b.d\n`;
    expect(await json('roles import -', yaml)).toEqual({ imported: ['roles/a.one', 'roles/a.two'] });
    expect(await json('roles import -', JSON.stringify({ roles: [{ ...ROLE, title: 'New' }] }))).toEqual({ imported: [ROLE.name] });
    expect((await json('roles list')).map(({ name }: { name: string }) => name)).toEqual(['roles/a.one', 'roles/a.two', 'roles/appengine.appAdmin']);
    expect(await json('iam roles describe roles/appengine.appAdmin')).toMatchObject({ ...ROLE, title: 'New', etag: 'AA==' });
    // What an imported role holds is known: no warning, and no refusal.
    const own = await actas('iam roles create appReader --permissions=appengine.applications.get');
    expect(own).toMatchObject({ code: 0, err: expect.not.stringContaining('not in the role catalogue') });
    for (const name of ['roles/a.one', 'a.two', ROLE.name]) expect((await actas(`roles remove ${name}`)).code).toBe(0);
    expect(await actas('roles remove roles/a.one')).toMatchObject({ code: 5, err: expect.stringContaining('No role roles/a.one was imported.') });
    expect((await actas('iam roles describe roles/a.one')).code).toBe(5);
  });

  test('an imported role stands for the catalogue’s, and its removal brings that back', async () => {
    const answer = await actas('roles import -', JSON.stringify({ name: 'roles/run.invoker', title: 'Mine', includedPermissions: ['run.jobs.run'] }));
    expect(answer.err).toContain("roles/run.invoker now in the place of the catalogue's.");
    expect(await json('iam roles describe roles/run.invoker')).toMatchObject({ title: 'Mine', includedPermissions: ['run.jobs.run'] });
    await actas('roles remove roles/run.invoker');
    expect(await json('iam roles describe roles/run.invoker')).toMatchObject({ title: 'Cloud Run Invoker' });
  });

  test.each([
    ['', 'holds no roles'],
    ['[]', 'holds no roles'],
    ['{"name": "roles/x"}', 'holds no predefined role with permissions'],
    ['a: [', 'Cannot read -'],
    [JSON.stringify({ name: 'roles/x-y', includedPermissions: [] }), 'roles[0].name: "roles/x-y" is not the name of a predefined role.'],
    [JSON.stringify({ name: 'roles/x', includedPermissions: ['not a permission'] }), '"not a permission" of roles/x is not a permission.'],
    [JSON.stringify({ name: 'roles/x', stage: 'LATER', includedPermissions: [] }), 'is not a launch stage'],
  ])('refuses %j', async (text, message) => {
    expect(await actas('roles import -', text)).toMatchObject({ code: 1, err: expect.stringContaining(message) });
  });

  test('only the owner of the data directory imports, lists or removes', async () => {
    const as = { as: 'user:dev@example.com' };
    for (const [verb, path, body] of [
      ['POST', '/actas/v1/roles:import', { roles: [ROLE] }],
      ['GET', '/actas/v1/roles', undefined],
      ['DELETE', '/actas/v1/roles/x', undefined],
    ] as const)
      expect((await server.call(verb, path, body, as)).json.error).toMatchObject({ code: 403, message: expect.stringContaining('Only the owner of this data directory') });
  });
});
