/** Payloads of secrets at rest: what a changed byte, a missing key and a change of keys do, the latter cut off anywhere. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, onTestFinished, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const SECRETS = '/secretmanager.googleapis.com/v1/projects/demo/secrets';
const BIN = join(import.meta.dirname, '..', 'bin', 'actas.js');

async function started(flags: Record<string, unknown> = {}): Promise<TestServer> {
  const server = await startTestServer(flags);
  onTestFinished(() => server.close());
  return server;
}
async function withSecret(server: TestServer, id: string, ...payloads: readonly string[]): Promise<void> {
  expect((await server.call('POST', `${SECRETS}?secretId=${id}`, { replication: { automatic: {} } })).status).toBe(200);
  for (const text of payloads) expect((await server.call('POST', `${SECRETS}/${id}:addVersion`, { payload: { data: Buffer.from(text).toString('base64') } })).status).toBe(200);
}
async function read(server: TestServer, id: string, version = 1): Promise<string> {
  const { json, text } = await server.call('GET', `${SECRETS}/${id}/versions/${version}:access`);
  return json?.payload === undefined ? text : Buffer.from(json.payload.data, 'base64').toString();
}
interface Stored {
  readonly ciphertext: Uint8Array;
  readonly wrapped_key: Uint8Array;
}
const keysIn = (file: string) => readFileSync(file, 'utf8').trim().split('\n');

const FIRST = 'UPDATE secret_versions SET ciphertext = ?, wrapped_key = ? WHERE version = 1';

test.each<[string, (first: Stored, second: Stored) => readonly [Uint8Array | null, Uint8Array | null]]>([
  ['a changed byte', ({ ciphertext, wrapped_key }) => [ciphertext.map((byte, index) => (index === 13 ? byte ^ 1 : byte)), wrapped_key]],
  ['another key', ({ ciphertext, wrapped_key }) => [ciphertext, wrapped_key.map((byte, index) => (index === 20 ? byte ^ 1 : byte))]],
  ['the payload of another version', (_first, { ciphertext, wrapped_key }) => [ciphertext, wrapped_key]],
  ['nothing', ({ wrapped_key }) => [null, wrapped_key]],
])('a payload in whose place somebody put %s is refused, and the refusal is audited', async (_what, changed) => {
  const server = await started();
  await withSecret(server, 'touched', 'first', 'second');
  const db = new DatabaseSync(join(server.dataDir, 'state.sqlite'));
  // Columns of the table above.
  const [first, second] = db.prepare('SELECT ciphertext, wrapped_key FROM secret_versions ORDER BY version').all() as unknown as [Stored, Stored];
  expect(db.prepare(FIRST).run(...changed(first, second)).changes).toBe(1);
  db.close();
  const { status, json } = await server.call('GET', `${SECRETS}/touched/versions/1:access`);
  expect([status, json.error.status]).toEqual([500, 'DATA_LOSS']);
  expect(json.error.message).toMatch(/^The payload of Secret Version \[projects\/\d+\/secrets\/touched\/versions\/1\] cannot be decrypted: what is stored is not what was written/);
  expect(await read(server, 'touched', 2)).toBe('second');
  const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
  await until('the refusal is in the trail', () => logs.prepare("SELECT 1 FROM audit WHERE method LIKE '%AccessSecretVersion' AND status = 'DATA_LOSS'").get() !== undefined);
  logs.close();
});

test('no key is made before there is something to encrypt; then it is for its owner alone, and survives a start', async () => {
  const server = await started();
  const file = join(server.dataDir, 'secrets-key');
  expect(existsSync(file)).toBe(false);
  await withSecret(server, 'kept', 'x');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await server.restart();
  onTestFinished(() => again.close());
  expect(await read(again, 'kept')).toBe('x');
});

test('without its key, with another, or with one that others can read, nothing starts, and why is said', async () => {
  const server = await startTestServer();
  onTestFinished(() => server.close());
  await withSecret(server, 'locked', 'x');
  const file = join(server.dataDir, 'secrets-key');
  const aside = `${file}.aside`;
  renameSync(file, aside);
  await expect(server.restart()).rejects.toThrow(
    /1 version of secrets cannot be decrypted: .*secrets-key does not exist, and [0-9a-f]{16} is needed\. Put the key file back .*--secrets-key-file/,
  );
  writeFileSync(file, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  await expect(server.restart()).rejects.toThrow(/has other keys/);
  writeFileSync(file, 'not a key\n');
  await expect(server.restart()).rejects.toThrow(/Key 1 of the key file .* is not one/);
  renameSync(aside, file);
  chmodSync(file, 0o644);
  await expect(server.restart()).rejects.toThrow(/can be read by others \(mode 644\)\. Run: chmod 600/);
  chmodSync(file, 0o600);
  const again = await server.restart();
  onTestFinished(() => again.close());
  expect(await read(again, 'locked')).toBe('x');
});

test('the owner changes the key: everything is under the new one, and the old one is gone', async () => {
  const server = await started();
  await withSecret(server, 'turned', 'one', 'two', 'three');
  await server.call('POST', `${SECRETS}/turned/versions/2:destroy`, {});
  const file = join(server.dataDir, 'secrets-key');
  const [before] = keysIn(file);
  expect((await server.call('POST', '/actas/v1/secretsKey:rotate', {}, { as: 'user:other@example.com' })).status).toBe(403);
  const { json } = await server.call('POST', '/actas/v1/secretsKey:rotate', {});
  expect(json).toEqual({ keyId: expect.stringMatching(/^[0-9a-f]{16}$/), rewrapped: 2 });
  expect(keysIn(file)).toHaveLength(1);
  expect(keysIn(file)).not.toContain(before);
  expect([await read(server, 'turned'), await read(server, 'turned', 3)]).toEqual(['one', 'three']);
  const again = await server.restart();
  onTestFinished(() => again.close());
  expect(await read(again, 'turned', 3)).toBe('three');
});

test('what no key decrypts is named, and keeps its old key', async () => {
  const server = await started();
  await withSecret(server, 'half', 'one', 'two');
  const db = new DatabaseSync(join(server.dataDir, 'state.sqlite'));
  db.exec("UPDATE secret_versions SET wrapped_key = x'00' WHERE version = 1");
  db.close();
  expect((await server.call('POST', '/actas/v1/secretsKey:rotate', {})).json).toMatchObject({ rewrapped: 1, damaged: ['projects/demo/secrets/half/versions/1'] });
  expect(keysIn(join(server.dataDir, 'secrets-key'))).toHaveLength(2);
  expect(await read(server, 'half', 2)).toBe('two');
});

interface Running {
  readonly url: string;
  readonly token: string;
  readonly child: ChildProcess;
}
async function up(dataDir: string, env: Record<string, string> = {}): Promise<Running> {
  const readyFile = join(dataDir, 'ready.json');
  rmSync(readyFile, { force: true });
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', BIN, 'up', '--data-dir', dataDir, '--port', '0', '--driver', 'fake', '--ready-file', readyFile, '--log-level', 'error'],
    {
      stdio: ['ignore', 'inherit', 'inherit'],
      env: { ...process.env, ...env },
    },
  );
  await until('the control plane serves', () => existsSync(readyFile), 60_000);
  const { url, tokenFile } = JSON.parse(readFileSync(readyFile, 'utf8')) as { url: string; tokenFile: string };
  return { url, token: readFileSync(tokenFile, 'utf8').trim(), child };
}

async function end({ child }: Running, dataDir: string, signal: NodeJS.Signals): Promise<void> {
  const { pid } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as { pid: number };
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  process.kill(pid, signal);
  await gone;
}
// JSON of an answer is read by the test that knows its shape.
// oxlint-disable-next-line typescript/no-explicit-any
async function ask({ url, token }: Running, verb: string, path: string, body?: unknown): Promise<any> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  return (await fetch(`${url}${path}`, { method: verb, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).json();
}
/** How many versions are under each key. */
function underKeys(dataDir: string): ReadonlyMap<string, number> {
  const db = new DatabaseSync(join(dataDir, 'state.sqlite'), { readOnly: true });
  const rows = db.prepare('SELECT key_id, count(*) AS count FROM secret_versions GROUP BY key_id').all();
  db.close();
  return new Map(rows.map((row) => [String(row['key_id']), Number(row['count'])]));
}
const PAYLOAD = Buffer.from('payload').toString('base64');

test('the environment gives the keys, and whoever gives them changes them: the new one first, then the old one away', { timeout: 120_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'actas-keys-'));
  const [old, young] = [randomBytes(32).toString('base64'), randomBytes(32).toString('base64')];
  const starts = async (keys: string, work: (running: Running) => Promise<void>): Promise<void> => {
    const running = await up(dataDir, { ACTAS_SECRETS_KEY: keys });
    try {
      await work(running);
    } finally {
      await end(running, dataDir, 'SIGTERM');
    }
  };
  onTestFinished(() => rmSync(dataDir, { recursive: true, force: true }));
  await starts(old, async (running) => {
    await ask(running, 'POST', `${SECRETS}?secretId=given`, { replication: { automatic: {} } });
    await ask(running, 'POST', `${SECRETS}/given:addVersion`, { payload: { data: PAYLOAD } });
    expect((await ask(running, 'POST', '/actas/v1/secretsKey:rotate', {})).error).toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('NEW,OLD') });
  });
  expect(existsSync(join(dataDir, 'secrets-key'))).toBe(false);
  const [before] = underKeys(dataDir).keys();
  await starts(`${young},${old}`, async () => void (await until('the start wraps it anew', () => !underKeys(dataDir).has(before ?? ''))));
  await starts(young, async (running) => {
    expect((await ask(running, 'GET', `${SECRETS}/given/versions/1:access`)).payload.data).toBe(PAYLOAD);
  });
});

test('kill -9 in the middle of a change of keys loses nothing, and the next start ends the change', { timeout: 180_000 }, async () => {
  const dataDir = mkdtempSync(join(tmpdir(), 'actas-keys-'));
  let running = await up(dataDir);
  onTestFinished(async () => {
    await end(running, dataDir, 'SIGKILL');
    rmSync(dataDir, { recursive: true, force: true });
  });
  const all = 1500;
  await ask(running, 'POST', `${SECRETS}?secretId=many`, { replication: { automatic: {} } });
  for (let at = 0; at < all; at += 50) await Promise.all(Array.from({ length: 50 }, () => ask(running, 'POST', `${SECRETS}/many:addVersion`, { payload: { data: PAYLOAD } })));
  const file = join(dataDir, 'secrets-key');
  for (let point = 0; point < 3; point++) {
    const [before = ''] = underKeys(dataDir).keys();
    ask(running, 'POST', '/actas/v1/secretsKey:rotate', {}).catch(() => undefined);
    // As soon as the first are under the new key.
    await until('it is under way', () => underKeys(dataDir).get(before) !== all, 20_000);
    await end(running, dataDir, 'SIGKILL');
    expect([...underKeys(dataDir).values()].reduce((sum, count) => sum + count, 0)).toBe(all);
    running = await up(dataDir);
    for (const version of [1, 700, all]) expect((await ask(running, 'GET', `${SECRETS}/many/versions/${version}:access`)).payload.data).toBe(PAYLOAD);
    await until('the change is ended', () => underKeys(dataDir).size === 1 && keysIn(file).length === 1, 30_000);
    expect(underKeys(dataDir).has(before)).toBe(false);
  }
});
