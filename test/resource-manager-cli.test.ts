/** Projects, folders, liens, tags and services from the command line, against a control plane. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** @returns stdout as JSON */
// JSON of a command is read by the test that knows its shape.
// oxlint-disable-next-line typescript/no-explicit-any
async function actas(...argv: string[]): Promise<any> {
  const { code, out, err } = await run([...argv, '--format=json'], { env: { ACTAS_DATA_DIR: server.dataDir } });
  expect([code, err.includes('ERROR')], `${argv.join(' ')}\n${out}\n${err}`).toEqual([0, false]);
  return out === '' ? undefined : JSON.parse(out);
}
async function failing(...argv: string[]): Promise<string> {
  const { code, err } = await run(argv, { env: { ACTAS_DATA_DIR: server.dataDir } });
  expect(code, argv.join(' ')).not.toBe(0);
  return err;
}

describe('resource-manager folders', () => {
  test('create, list, update, move, delete, undelete', async () => {
    const made = await actas('resource-manager', 'folders', 'create', '--display-name=Data', '--organization=111111111111');
    const id = made.name.slice('folders/'.length);
    expect(await actas('resource-manager', 'folders', 'update', id, '--display-name=Data 2')).toMatchObject({ displayName: 'Data 2' });
    expect(await actas('resource-manager', 'folders', 'move', id, '--folder=222222222222')).toMatchObject({ parent: 'folders/222222222222' });
    expect(await actas('resource-manager', 'folders', 'list', '--folder=222222222222')).toMatchObject([{ displayName: 'Data 2' }]);
    await actas('resource-manager', 'folders', 'delete', id);
    expect(await actas('resource-manager', 'folders', 'list')).toMatchObject([{ name: 'folders/222222222222' }]);
    expect(await actas('resource-manager', 'folders', 'undelete', id)).toMatchObject({ state: 'ACTIVE' });
    expect(await failing('resource-manager', 'folders', 'create', '--display-name=x')).toContain('--folder=ID or --organization=ID');
  });
});

describe('projects', () => {
  test('create, update, move, get-ancestors, delete, undelete', async () => {
    expect(await actas('projects', 'create', 'from-cli', '--folder=222222222222', '--labels=a=1,b=2')).toMatchObject({ labels: { a: '1', b: '2' } });
    expect(await actas('projects', 'update', 'from-cli', '--name=From CLI', '--update-labels=c=3', '--remove-labels=a')).toMatchObject({
      displayName: 'From CLI',
      labels: { b: '2', c: '3' },
    });
    expect(await actas('projects', 'move', 'from-cli', '--organization=111111111111')).toMatchObject({ parent: 'organizations/111111111111' });
    expect(await actas('projects', 'get-ancestors', 'from-cli')).toEqual([
      { resourceId: { type: 'project', id: 'from-cli' } },
      { resourceId: { type: 'organization', id: '111111111111' } },
    ]);
    await actas('projects', 'delete', 'from-cli');
    expect((await actas('projects', 'list')).map(({ projectId }: { projectId: string }) => projectId)).toEqual(['demo']);
    expect(await actas('projects', 'undelete', 'from-cli')).toMatchObject({ state: 'ACTIVE' });
  });

  test('liens', async () => {
    const { name } = await actas('resource-manager', 'liens', 'create', '--restrictions=resourcemanager.projects.delete', '--reason=live', '--project=demo');
    expect(await actas('alpha', 'resource-manager', 'liens', 'list', '--project=demo')).toMatchObject([{ name, reason: 'live' }]);
    expect(await failing('projects', 'delete', 'demo', '--quiet')).toContain('Remove the lien to allow deletion.');
    await actas('resource-manager', 'liens', 'delete', name);
    expect(await actas('resource-manager', 'liens', 'list')).toEqual([]);
  });
});

test('resource-manager tags', async () => {
  const tags = (...argv: string[]) => actas('resource-manager', 'tags', ...argv);
  const key = await tags('keys', 'create', 'env', '--parent=organizations/111111111111');
  const value = await tags('values', 'create', 'prod', '--parent=111111111111/env', '--description=live');
  expect(await tags('keys', 'describe', '111111111111/env')).toMatchObject({ name: key.name });
  expect(await tags('keys', 'list', '--parent=organizations/111111111111')).toHaveLength(1);
  expect(await tags('values', 'list', `--parent=${key.name}`)).toMatchObject([{ name: value.name }]);
  expect(await tags('values', 'update', '111111111111/env/prod', '--description=production')).toMatchObject({ description: 'production' });
  await tags('values', 'add-iam-policy-binding', '111111111111/env/prod', '--member=user:dev@example.com', '--role=roles/resourcemanager.tagUser');
  const parent = '--parent=//cloudresourcemanager.googleapis.com/projects/demo';
  expect(await tags('bindings', 'create', '--tag-value=111111111111/env/prod', parent, '--location=us-central1')).toMatchObject({ tagValue: value.name });
  expect(await tags('bindings', 'list', parent)).toMatchObject([{ tagValue: value.name }]);
  expect(await tags('bindings', 'list', '--parent=//run.googleapis.com/projects/demo/locations/us-central1/services/s', '--effective')).toMatchObject([
    { namespacedTagValue: '111111111111/env/prod', inherited: true },
  ]);
  const hold = await tags('holds', 'create', '111111111111/env/prod', '--holder=//x.example/y', '--origin=o');
  expect(await tags('holds', 'list', value.name, '--origin=o')).toMatchObject([{ name: hold.name }]);
  await tags('holds', 'delete', hold.name);
  expect(await failing('resource-manager', 'tags', 'values', 'delete', value.name, '--quiet')).toContain('still attached to resources');
  await tags('bindings', 'delete', '--tag-value=111111111111/env/prod', parent);
  await tags('values', 'delete', value.name);
  await tags('keys', 'delete', '111111111111/env');
  expect(await failing('resource-manager', 'tags', 'keys', 'describe', 'env')).toContain("'env' is not the name of a tag key.");
});

test('services', async () => {
  await actas('services', 'enable', 'pubsub.googleapis.com', 'workflows.googleapis.com');
  // What `gcloud projects create` enables.
  await actas('services', 'enable', 'cloudapis.googleapis.com');
  await actas('services', 'enable', 'secretmanager.googleapis.com');
  await actas('services', 'disable', 'workflows.googleapis.com', '--force');
  const names = async (...flags: string[]) => (await actas('services', 'list', ...flags)).map(({ config }: { config: { name: string } }) => config.name);
  expect(await names()).toEqual(expect.arrayContaining(['pubsub.googleapis.com', 'run.googleapis.com', 'secretmanager.googleapis.com']));
  expect(await names()).not.toContain('workflows.googleapis.com');
  expect(await names('--available')).toContain('workflows.googleapis.com');
});
