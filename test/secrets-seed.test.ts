/** Secrets in a seed, and in what `actas export` writes: names, labels and policies; what they hold comes from files and the environment, and goes nowhere. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, onTestFinished, test } from 'vitest';
import { parse } from 'yaml';
import { run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'actas-secrets-seed-'));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const READER = 'serviceAccount:reader@demo.iam.gserviceaccount.com';
const SEED = `
organizations: [{ number: '111111111111', displayName: example.com }]
projects: [{ id: demo, number: '123456789012', parent: organizations/111111111111 }]
serviceAccounts: [{ project: demo, id: reader }]
secrets:
  - { name: projects/demo/secrets/from-file, labels: { team: blue }, valueFrom: { file: payload } }
  - { name: projects/demo/secrets/from-env, valueFrom: { env: ACTAS_TEST_PAYLOAD } }
  - { name: projects/demo/locations/europe-west1/secrets/near }
policies:
  - { resource: organizations/111111111111, bindings: [{ role: roles/owner, members: ['user:owner@example.com'] }] }
  - { resource: projects/demo/secrets/from-file, bindings: [{ role: roles/secretmanager.secretAccessor, members: ['${READER}'] }] }
`;

async function start(text: string): Promise<TestServer> {
  const seed = join(folder, 'seed.yaml');
  writeFileSync(seed, text);
  const server = await startTestServer({ seed });
  onTestFinished(() => server.close());
  return server;
}
async function payload(server: TestServer, id: string, as = 'user:owner@example.com'): Promise<string> {
  const { json, text } = await server.call('GET', `/secretmanager.googleapis.com/v1/projects/demo/secrets/${id}/versions/latest:access`, undefined, { as });
  return json?.payload === undefined ? text : `${json.name.split('/').at(-1)} ${Buffer.from(json.payload.data, 'base64').toString()}`;
}

test('a seed makes them with their policies, takes payloads from a file and the environment, and applied again adds no version', async () => {
  writeFileSync(join(folder, 'payload'), 'of the file');
  process.env['ACTAS_TEST_PAYLOAD'] = 'of the environment';
  onTestFinished(() => void delete process.env['ACTAS_TEST_PAYLOAD']);
  const server = await start(SEED);
  expect(await payload(server, 'from-file', READER)).toBe('1 of the file');
  expect(await payload(server, 'from-env')).toBe('1 of the environment');
  expect((await server.call('GET', '/secretmanager.googleapis.com/v1/projects/demo/locations/europe-west1/secrets/near')).status).toBe(200);

  writeFileSync(join(folder, 'seed.yaml'), SEED.replace('team: blue', 'team: red'));
  const again = await server.restart();
  onTestFinished(() => again.close());
  expect(await payload(again, 'from-file')).toBe('1 of the file');
  expect((await again.call('GET', '/secretmanager.googleapis.com/v1/projects/demo/secrets/from-file')).json.labels).toEqual({ team: 'red' });

  const { out, code } = await run(['export'], { env: { ACTAS_DATA_DIR: again.dataDir } });
  expect([code, /of the file|valueFrom/.test(out)]).toEqual([0, false]);
  const exported = parse(out);
  expect(exported.secrets).toEqual([
    { name: 'projects/demo/secrets/from-env', replication: { automatic: {} } },
    { name: 'projects/demo/secrets/from-file', labels: { team: 'red' }, replication: { automatic: {} } },
  ]);
  expect(exported.policies).toContainEqual({ resource: 'projects/demo/secrets/from-file', bindings: [{ role: 'roles/secretmanager.secretAccessor', members: [READER] }] });

  // What was written is taken back, by import and by a start.
  const file = join(folder, 'exported.yaml');
  writeFileSync(file, out);
  expect((await run(['import', file], { env: { ACTAS_DATA_DIR: again.dataDir } })).err).toContain('nothing to change');
  await again.call('DELETE', '/secretmanager.googleapis.com/v1/projects/demo/secrets/from-file');
  const imported = await run(['import', file], { env: { ACTAS_DATA_DIR: again.dataDir } });
  expect(imported.out).toBe('create secret projects/demo/secrets/from-file\nset allow policy of projects/demo/secrets/from-file\n');
  const other = await start(out);
  expect(await payload(other, 'from-file', READER)).toContain('not found or has no versions');
});

test.each([
  ['no file', '{ file: nowhere }', /secrets\[0\]: valueFrom\.file: .*nowhere cannot be read \(ENOENT\)/],
  ['no variable', '{ env: ACTAS_TEST_UNSET }', /secrets\[0\]: valueFrom\.env: the environment variable ACTAS_TEST_UNSET is not set/],
  ['something else', '{ value: plain }', /secrets\[0\]\.valueFrom .*must be \{file: PATH\} or \{env: VARIABLE\}/],
])('where a payload cannot be had, the start says why: %s', async (_what, valueFrom, message) => {
  await expect(start(`projects: [{ id: demo, number: '123456789012' }]\nsecrets: [{ name: projects/demo/secrets/s, valueFrom: ${valueFrom} }]`)).rejects.toThrow(message);
});
