/** `actas secrets` in gcloud's grammar, against a control plane. */
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const actas = (argv: readonly string[], stdin?: string) => run(argv, { env: { ACTAS_DATA_DIR: server.dataDir }, ...(stdin === undefined ? {} : { stdin }) });
/** @returns what it said on stderr */
async function said(argv: readonly string[], stdin?: string): Promise<string> {
  const { code, out, err } = await actas(argv, stdin);
  expect(code, `${argv.join(' ')}\n${out}\n${err}`).toBe(0);
  return err;
}
// JSON of a command is read by the test that knows its shape.
// oxlint-disable-next-line typescript/no-explicit-any
async function json(...argv: string[]): Promise<any> {
  const { code, out, err } = await actas([...argv, '--format=json']);
  expect(code, `${argv.join(' ')}\n${out}\n${err}`).toBe(0);
  return JSON.parse(out);
}
async function refused(...argv: string[]): Promise<string> {
  const { code, err } = await actas(argv);
  expect(code, argv.join(' ')).not.toBe(0);
  return err;
}

test('create with a payload, add, list, access, describe, disable, enable, destroy, delete', async () => {
  expect(await said(['secrets', 'create', 'db', '--data-file=-', '--labels=team=blue'], 's3cr3t')).toContain('Created version [1] of the secret [db].');
  const file = join(server.dataDir, 'payload');
  writeFileSync(file, Buffer.from([0, 255, 10]));
  expect(await said(['secrets', 'versions', 'add', 'db', `--data-file=${file}`])).toContain('Created version [2] of the secret [db].');
  expect((await actas(['secrets', 'versions', 'access', '1', '--secret=db'])).out).toBe('s3cr3t');
  const copy = join(server.dataDir, 'copy');
  await said(['secrets', 'versions', 'access', 'latest', '--secret=db', `--out-file=${copy}`]);
  expect([...readFileSync(copy)]).toEqual([0, 255, 10]);
  expect(statSync(copy).mode & 0o777).toBe(0o600);
  expect((await json('secrets', 'versions', 'list', 'db')).map(({ name }: { name: string }) => name.split('/').at(-1))).toEqual(['2', '1']);
  expect(await json('secrets', 'describe', 'db')).toMatchObject({ labels: { team: 'blue' }, replication: { automatic: {} } });
  expect((await actas(['secrets', 'list'])).out).toMatch(/NAME +CREATED +REPLICATION_POLICY +LOCATIONS\ndb +\d{4}-\d\d-\d\dT\S+ +automatic +-/);
  expect(await said(['secrets', 'versions', 'disable', '2', '--secret=db'])).toContain('Disabled version [2] of the secret [db].');
  expect(await refused('secrets', 'versions', 'access', '2', '--secret=db')).toContain('is in DISABLED state.');
  await said(['secrets', 'versions', 'enable', '2', '--secret=db']);
  expect(await json('secrets', 'versions', 'describe', '2', '--secret=db')).toMatchObject({ state: 'ENABLED' });
  expect(await said(['secrets', 'versions', 'destroy', '2', '--secret=db', '--quiet', '--format=json'])).toBe('');
  expect((await actas(['secrets', 'versions', 'list', 'db'])).out).toMatch(/2 +destroyed +\d{4}-\S+ +\d{4}-\S+\n1 +enabled +\d{4}-\S+ +-/);
  await said(['secrets', 'delete', 'db', '--quiet']);
  expect((await json('secrets', 'list')).length).toBe(0);
});

test('replication, regional secrets, and flags that go ill together', async () => {
  await said(['secrets', 'create', 'spread', '--replication-policy=user-managed', '--locations=us-east1,us-central1']);
  expect(await json('secrets', 'replication', 'get', 'spread')).toEqual({ userManaged: { replicas: [{ location: 'us-east1' }, { location: 'us-central1' }] } });
  await said(['secrets', 'create', 'near', '--location=europe-west1', '--data-file=-'], 'x');
  expect(await json('secrets', 'list', '--location=europe-west1')).toMatchObject([{ name: expect.stringContaining('/locations/europe-west1/secrets/near') }]);
  expect((await actas(['secrets', 'versions', 'access', 'latest', '--secret=near', '--location=europe-west1'])).out).toBe('x');
  expect(await refused('secrets', 'create', 'x', '--locations=us-east1')).toContain('--replication-policy=user-managed');
  expect(await refused('secrets', 'create', 'x', '--replication-policy=user-managed')).toContain('--locations');
  expect(await refused('secrets', 'create', 'x', '--location=us-east1', '--replication-policy=automatic')).toContain('has no replication');
  expect(await refused('secrets', 'versions', 'add', 'spread', '--data-file=')).toContain('--data-file');
});

test('update changes what is named, and nothing else', async () => {
  await said(['secrets', 'create', 'changing', '--labels=a=1,b=2', '--set-annotations=k=v', '--data-file=-'], 'x');
  await said(['secrets', 'update', 'changing', '--update-labels=c=3', '--remove-labels=a', '--update-version-aliases=prod=1', '--add-topics=projects/demo/topics/t', '--quiet']);
  const changed = await json('secrets', 'describe', 'changing');
  expect(changed).toMatchObject({ labels: { b: '2', c: '3' }, annotations: { k: 'v' }, versionAliases: { prod: '1' }, topics: [{ name: 'projects/demo/topics/t' }] });
  expect((await actas(['secrets', 'versions', 'access', 'prod', '--secret=changing'])).out).toBe('x');
  await said(['secrets', 'update', 'changing', '--next-rotation-time=2090-01-01T00:00:00Z', '--rotation-period=30d', '--ttl=90d', '--quiet']);
  expect(await json('secrets', 'describe', 'changing')).toMatchObject({ rotation: { rotationPeriod: '2592000s' }, expireTime: expect.any(String) });
  await said(['secrets', 'update', 'changing', '--remove-rotation-schedule', '--remove-expiration', '--clear-labels', '--quiet']);
  const cleared = await json('secrets', 'describe', 'changing');
  expect([cleared.rotation, cleared.expireTime, cleared.labels]).toEqual([undefined, undefined, undefined]);
  expect(await refused('secrets', 'update', 'changing')).toContain('Nothing to change.');
  expect(await refused('secrets', 'update', 'changing', '--update-labels=a=b', '--etag="1"')).toContain('not that of the resource');
});

test('policies: what a denial proposes is a command that works', async () => {
  await said(['secrets', 'create', 'shared', '--data-file=-'], 'open');
  const reading = ['secrets', 'versions', 'access', 'latest', '--secret=shared', '--as=user:reader@example.com'];
  const denial = await refused(...reading);
  const proposed = /actas (secrets add-iam-policy-binding .*)/.exec(denial)?.[1] ?? '';
  expect(proposed).toBe('secrets add-iam-policy-binding shared --project=demo --member=user:reader@example.com --role=roles/secretmanager.secretAccessor');
  await said(proposed.split(' '));
  expect((await actas(reading)).out).toBe('open');
  await said(['secrets', 'remove-iam-policy-binding', 'shared', '--member=user:reader@example.com', '--role=roles/secretmanager.secretAccessor']);
  expect((await json('secrets', 'get-iam-policy', 'shared')).bindings).toBeUndefined();
});

test('rotate-key', async () => {
  expect(await said(['secrets', 'rotate-key'])).toMatch(/versions are under the new key \[[0-9a-f]{16}\]/);
});
