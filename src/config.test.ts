import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { ConfigError, loadConfig } from './config.ts';

const directory = mkdtempSync(join(tmpdir(), 'actas-config-'));
afterAll(() => rmSync(directory, { recursive: true }));
const file = (name: string, text: string): string => {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
};

test('flags go before the environment, that before the file, that before defaults', () => {
  const config = file('a.yaml', 'port: 1\ndriver: fake\nproject: of-file\nimages: {a: b}\n');
  const loaded = loadConfig({ port: '3', config, dataDir: directory }, { ACTAS_PORT: '2', ACTAS_PROJECT: 'of-env' });
  expect(loaded).toMatchObject({ port: 3, project: 'of-env', driver: 'fake', host: '127.0.0.1', images: { a: 'b' }, dataDir: directory });
  expect(Object.isFrozen(loaded)).toBe(true);
});

test('the environment has a form for everything, and an empty variable is none', () => {
  const env = {
    ACTAS_DATA_DIR: directory,
    ACTAS_IMAGES: 'a=b, c:1=d@sha256:e=f',
    ACTAS_ALLOWED_HOST: 'x,y',
    ACTAS_ANONYMOUS_AS: 'user:A@b.c',
    ACTAS_KILL_ON_STOP: '1',
    ACTAS_LOG_RETENTION: '7d',
    ACTAS_PORT: '',
    ACTAS_STRICT_RESOURCES: '',
    ACTAS_TASK_NAME_SERVER: '10.0.0.53, 127.0.0.1:5353,::1,[::1]:5353',
    ACTAS_NO_TASK_GOOGLE_NAMES: 'true',
  };
  expect(loadConfig({}, env)).toMatchObject({
    images: { a: 'b', 'c:1': 'd@sha256:e=f' },
    allowedHost: ['x', 'y'],
    anonymousAs: ['user:a@b.c'],
    killOnStop: true,
    strictResources: false,
    logRetention: 7 * 86_400_000,
    port: 8787,
    taskNameServer: ['10.0.0.53', '127.0.0.1:5353', '::1', '[::1]:5353'],
    noTaskGoogleNames: true,
  });
});

test.each<[string, Record<string, unknown>, Record<string, string>, RegExp]>([
  ['a flag', { port: '99999' }, {}, /^--port: port is "99999": /],
  ['a variable', {}, { ACTAS_DRIVER: 'podman' }, /^ACTAS_DRIVER: driver is "podman": .*"docker"\|"fake"/],
  ['a line of the file', { config: file('b.yaml', 'logLevel: loud') }, {}, /b\.yaml: logLevel is "loud": /],
  ['a setting that does not exist', { config: file('c.yaml', 'prot: 1') }, {}, /c\.yaml: prot: no such setting\. Known: dataDir, host, port/],
  ['a file that is no YAML', { config: file('d.yaml', 'a: [') }, {}, /d\.yaml: is not YAML: /],
  ['a file that holds no settings', { config: file('e.yaml', '- a') }, {}, /e\.yaml: must hold settings/],
  ['a file that is not there', { config: join(directory, 'none.yaml') }, {}, /none\.yaml: cannot be read: ENOENT/],
  ['a port that is no number', {}, { ACTAS_PORT: '80a' }, /^ACTAS_PORT: port is "80a": must be a whole number from 0 to 65535$/],
  ['a switch', { config: file('f.yaml', 'killOnStop: maybe') }, {}, /killOnStop is "maybe": must be true or false/],
  ['a list', { config: file('g.yaml', 'allowedHost: 1') }, {}, /allowedHost is 1: must be a list/],
  ['text that is none', { config: file('h.yaml', 'seed:') }, {}, /seed is null: must be text/],
  ['a limit below nothing', { maxJobs: '-1' }, {}, /^--max-jobs: maxJobs is "-1": must be a whole number, 0 or more$/],
  ['a duration', {}, { ACTAS_LOG_RETENTION: 'soon' }, /must be a duration such as 30s/],
  ['a size', {}, { ACTAS_LOG_MAX_SIZE: 'big' }, /must be a size such as 512M/],
  ['a mapping', {}, { ACTAS_IMAGES: 'a' }, /must be REFERENCE=TARGET/],
  ['a name server', { taskNameServer: ['dns.example.com'] }, {}, /^--task-name-server: taskNameServer is \["dns.example.com"\]: must be the address of a name server/],
  ['a name server with a port that there is not', {}, { ACTAS_TASK_NAME_SERVER: '10.0.0.53:99999' }, /must be the address of a name server/],
  ['a principal', { anonymousAs: ['group:a@b.c'] }, {}, /must be user:EMAIL or serviceAccount:EMAIL/],
  ['two principals', { anonymousAs: ['user:a@b.c', 'user:d@b.c'] }, {}, /takes one principal/],
  ['anonymous callers from elsewhere', { host: '0.0.0.0', anonymousAs: ['user:a@b.c'] }, {}, /is for loopback alone, but host is 0\.0\.0\.0/],
])('%s that cannot be used is named with its source', (_name, flags, env, message) => {
  const load = () => loadConfig({ dataDir: directory, ...flags }, env);
  expect(load).toThrow(ConfigError);
  expect(load).toThrow(message);
});

test('upstreams are read from the environment as pairs, from a file with what else is to be said', () => {
  expect(loadConfig({}, { ACTAS_UPSTREAMS: 'storage.googleapis.com=http://localhost:4443,pubsub.googleapis.com=http://localhost:8085' }).upstreams).toEqual({
    'storage.googleapis.com': { url: 'http://localhost:4443', headers: {} },
    'pubsub.googleapis.com': { url: 'http://localhost:8085', headers: {} },
  });
  const full = { url: 'https://emulator.internal/base', project: 'p', headers: { authorization: 'Bearer owner' }, methods: 'text' };
  expect(loadConfig({ upstreams: { 'storage.googleapis.com': full } }, {}).upstreams).toEqual({ 'storage.googleapis.com': full });
});

test.each([
  [{ 'example.com': 'http://localhost' }, 'must be the host of an API'],
  [{ 'storage.googleapis.com': 'localhost:4443' }, 'must have a URL'],
  [{ 'storage.googleapis.com': 'http://user:hunter2@localhost' }, 'without a user'],
  [{ 'storage.googleapis.com': 17 }, 'must be a URL'],
  [{ 'storage.googleapis.com': { url: 'http://localhost', token: 'hunter2' } }, 'has no token'],
  [{ 'storage.googleapis.com': { url: 'http://localhost', headers: { a: 'hunter2\r\nb: c' } } }, 'for each header'],
  [{ 'storage.googleapis.com': { url: 'http://localhost', project: 7 } }, 'must have text'],
])('an upstream that cannot be used is refused, and no header of it shown: %j', (upstreams, problem) => {
  const load = () => loadConfig({ upstreams }, {});
  expect(load).toThrow(problem);
  expect(load).not.toThrow('hunter2');
});
