import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { Agent, request as httpRequest } from 'node:http';
import { type AddressInfo, connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import * as fc from 'fast-check';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { createIdTokens } from '../identity/id-tokens.ts';
import { createSigningKeys } from '../identity/signing-keys.ts';
import { CLOUD_PLATFORM_SCOPE, createTokens, type Tokens } from '../identity/tokens.ts';
import { accessTokenStore } from '../store/access-tokens.ts';
import { openStore, type Store } from '../store/database.ts';
import { signingKeyStore } from '../store/signing-keys.ts';
import { createMetadataServer, type MetadataRequest, type MetadataServer, type TaskIdentity } from './server.ts';

const EMAIL = 'hello-sa@demo.iam.gserviceaccount.com';
const TASK: TaskIdentity = {
  attemptId: 'attempt-1',
  serviceAccount: { email: EMAIL, uniqueId: '123456789012345678901' },
  projectId: 'demo',
  projectNumber: '123456789012',
  location: 'us-central1',
  instanceId: '0066d924b3',
};
const FLAVOR = { 'Metadata-Flavor': 'Google' };
const ACCOUNTS = '/computeMetadata/v1/instance/service-accounts';

let dir: string;
let store: Store;
let tokens: Tokens;
let metadata: MetadataServer;
const listener = createServer((socket) => metadata.serve(socket, relayed));
let port: number;
let relayed: string | undefined;
let now = Date.now() * 1000;
const clock = { now: () => now };
let tasks: Map<string, TaskIdentity>;
let hosts: Map<string, TaskIdentity>;
let disabled: Set<string>;
let unmintable: Set<string>;
const asked: string[] = [];
const logged: string[] = [];
const log = (fields: object, message: string): void => {
  logged.push(JSON.stringify({ ...fields, message }));
};
const counted: MetadataRequest[] = [];

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'metadata-'));
  store = await openStore(dir);
  tokens = createTokens({ store: accessTokenStore(store), clock });
  const idTokens = createIdTokens({ keys: createSigningKeys({ store: signingKeyStore(store), clock }), clock });
  metadata = createMetadataServer({
    lookup: ({ remoteAddress, host }) => tasks.get(remoteAddress) ?? hosts.get(host ?? ''),
    tokens,
    idTokens,
    isActive: (email) => Promise.resolve(!disabled.has(email)),
    canMint: (account, project, kind) => {
      asked.push(`${account} ${project.id} ${project.number} ${kind}`);
      return Promise.resolve(!unmintable.has(project.id));
    },
    // No task here acts as a real account: test/google-identity.test.ts has those.
    google: { accessToken: () => Promise.reject(new Error('not here')), idToken: () => Promise.reject(new Error('not here')) },
    onGoogleToken: () => undefined,
    log: { debug: log, info: log, warn: log, error: log },
    onRequest: (request) => counted.push(request),
  });
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // A listening TCP server's address is an object.
  port = (listener.address() as AddressInfo).port;
});
afterAll(async () => {
  metadata.close();
  listener.close();
  await store.close();
  await rm(dir, { recursive: true });
});
beforeEach(() => {
  tasks = new Map([['127.0.0.1', TASK]]);
  hosts = new Map();
  disabled = new Set();
  unmintable = new Set();
  asked.length = 0;
  relayed = undefined;
});

interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: string;
}
function ask(path: string, options: { method?: string; headers?: Record<string, string>; agent?: Agent; body?: string } = {}): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const request = httpRequest(
      { host: '127.0.0.1', port, path, method: options.method ?? 'GET', headers: options.headers ?? FLAVOR, agent: options.agent ?? false },
      (response) => {
        let body = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk: string) => {
            body += chunk;
          })
          .on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body }));
      },
    );
    request.on('error', reject);
    request.end(options.body);
  });
}

describe('values', () => {
  it.each([
    ['project/project-id', 'demo'],
    ['project/numeric-project-id', '123456789012'],
    ['instance/region', 'projects/123456789012/regions/us-central1'],
    ['instance/zone', 'projects/123456789012/zones/us-central1-1'],
    ['instance/id', '0066d924b3'],
    ['instance/', 'id\nregion\nservice-accounts/\nzone\n'],
    ['instance/service-accounts/', `default/\n${EMAIL}/\n`],
    ['instance/service-accounts/default/', 'aliases\nemail\nidentity\nscopes\ntoken\n'],
    ['instance/service-accounts/default/email', EMAIL],
    [`instance/service-accounts/${EMAIL}/email`, EMAIL],
    [`instance/service-accounts/${encodeURIComponent(EMAIL)}/email`, EMAIL],
    ['instance/service-accounts/default/aliases', 'default\n'],
    ['instance/service-accounts/default/scopes', `${CLOUD_PLATFORM_SCOPE}\nhttps://www.googleapis.com/auth/userinfo.email\nopenid\n`],
    ['universe/universe-domain', 'googleapis.com'],
    ['universe/universe_domain', 'googleapis.com'],
    ['', 'instance/\nproject/\nuniverse/\n'],
  ])('%s', async (path, body) => {
    const reply = await ask(`/computeMetadata/v1/${path}`);
    expect(reply).toMatchObject({ status: 200, body });
    expect(reply.headers).toMatchObject({
      'metadata-flavor': 'Google',
      server: 'Metadata Server for Serverless',
      'content-type': 'application/text',
      'x-xss-protection': '0',
      'x-frame-options': 'SAMEORIGIN',
    });
    expect(reply.headers['etag']).toMatch(/^[0-9a-f]{16}$/);
  });

  it('as JSON, single or recursive', async () => {
    const account = { aliases: ['default'], email: EMAIL, scopes: [CLOUD_PLATFORM_SCOPE, 'https://www.googleapis.com/auth/userinfo.email', 'openid'] };
    const reply = await ask(`${ACCOUNTS}/default/?recursive=true`);
    expect(reply.headers['content-type']).toBe('application/json');
    expect(JSON.parse(reply.body)).toEqual(account);
    expect(JSON.parse((await ask('/computeMetadata/v1/?recursive=true&unknown=key')).body)).toEqual({
      instance: {
        id: '0066d924b3',
        region: 'projects/123456789012/regions/us-central1',
        serviceAccounts: { [EMAIL]: account, default: account },
        zone: 'projects/123456789012/zones/us-central1-1',
      },
      project: { numericProjectId: 123456789012, projectId: 'demo' },
      universe: { universeDomain: 'googleapis.com' },
    });
    expect((await ask('/computeMetadata/v1/project/project-id?alt=json')).body).toBe('"demo"');
    expect((await ask('/computeMetadata/v1/project/?recursive=true&alt=text')).body).toBe('numeric-project-id 123456789012\nproject-id demo\n');
  });

  it('redirects a directory without its slash, and answers the pings', async () => {
    expect(await ask('/computeMetadata/v1/instance?recursive=true')).toMatchObject({ status: 301, headers: { location: '/computeMetadata/v1/instance/?recursive=true' } });
    for (const path of ['/', '/?x=y'])
      expect(await ask(path, { headers: {} })).toMatchObject({ status: 200, headers: { 'metadata-flavor': 'Google' }, body: 'computeMetadata/\n' });
    expect(await ask('/', { method: 'HEAD' })).toMatchObject({ status: 200, body: '', headers: { 'content-length': '17' } });
  });

  it('has nothing else', async () => {
    for (const path of [
      'instance/name',
      'instance/attributes/',
      'project/attributes/ssh-keys',
      'instance/service-accounts/other@demo.iam.gserviceaccount.com/token',
      'instance/id/',
      '../v1/instance/id',
      'instance//id',
      'instance/%2e%2e/',
      'instance/%zz',
      '__proto__',
    ])
      expect(await ask(`/computeMetadata/v1/${path}`)).toMatchObject({ status: 404, headers: { 'metadata-flavor': 'Google', 'content-type': 'text/html; charset=UTF-8' } });
    expect((await ask('/computeMetadata/v1/<script>')).body).not.toContain('<script>');
  });
});

describe('the protocol', () => {
  it('wants its header and refuses what was forwarded', async () => {
    for (const headers of [{}, { 'Metadata-Flavor': 'google' }, { 'Metadata-Flavor': '' }, { 'X-Google-Metadata-Request': 'False' }] as Record<string, string>[]) {
      const reply = await ask('/computeMetadata/v1/instance/id', { headers });
      expect(reply.status).toBe(403);
      expect(reply.body).toContain(
        'Your client does not have permission to get URL <code>/computeMetadata/v1/instance/id</code> from this server. Missing Metadata-Flavor:Google header.',
      );
    }
    expect(await ask('/computeMetadata/v1/instance/id', { headers: { 'X-Google-Metadata-Request': 'True' } })).toMatchObject({ status: 200 });
    for (const path of ['/', '/computeMetadata/v1/instance/id', `${ACCOUNTS}/default/token`])
      expect(await ask(path, { headers: { ...FLAVOR, 'X-Forwarded-For': '' } })).toMatchObject({ status: 403 });
  });

  it('reads only', async () => {
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) expect(await ask(`${ACCOUNTS}/default/token`, { method })).toMatchObject({ status: 405 });
    const reply = await ask('/computeMetadata/v1/instance/id', { headers: { ...FLAVOR, 'Content-Length': '5' }, body: 'hello' });
    expect(reply).toMatchObject({ status: 200, headers: { connection: 'close' } });
  });

  it('waits for a change that never comes, and not where the value is news', async () => {
    const path = '/computeMetadata/v1/instance/id?wait_for_change=true';
    const etag = String((await ask('/computeMetadata/v1/instance/id')).headers['etag']);
    expect(await ask(`${path}&last_etag=0`)).toMatchObject({ status: 200, body: '0066d924b3' });
    expect(await ask(`${path}&last_etag=${etag}&timeout_sec=0`)).toMatchObject({ status: 200 });
    expect(await ask(`${path}&last_etag=${etag}&timeout_sec=0.05`)).toMatchObject({ status: 200, headers: { etag } });
    const waiting = ask(`${path}&last_etag=${etag}&timeout_sec=0.2`);
    setImmediate(() => tasks.clear());
    expect(await waiting).toMatchObject({ status: 403, body: '' });
  });

  it('survives what is no HTTP', async () => {
    for (const bytes of [
      '\0\0\0',
      'GET\r\n\r\n',
      `GET / HTTP/1.1\r\nHost: x\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`,
      'CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n',
      'GET http://metadata/computeMetadata/v1/instance/id HTTP/1.1\r\nHost: x\r\nMetadata-Flavor: Google\r\nConnection: close\r\n\r\n',
    ]) {
      const socket = connect(port, '127.0.0.1');
      let text = '';
      socket
        .setEncoding('latin1')
        .on('data', (chunk: string) => {
          text += chunk;
        })
        .on('error', () => undefined);
      socket.write(bytes);
      await once(socket, 'close');
      expect(text).toMatch(bytes.startsWith('GET http:') ? /^HTTP\/1\.1 200 OK/ : /^(HTTP\/1\.1 4\d\d |$)/);
    }
  });
});

describe('who asks', () => {
  it('is known by address alone; a stranger gets nothing that looks like an answer', async () => {
    relayed = '10.0.0.9';
    for (const headers of [FLAVOR, { ...FLAVOR, Host: '127.0.0.1' }, { ...FLAVOR, 'X-Real-IP': '127.0.0.1', Forwarded: 'for=127.0.0.1' }]) {
      const reply = await ask(`${ACCOUNTS}/default/token`, { headers });
      expect(reply).toMatchObject({ status: 403, body: '' });
      expect(reply.headers).not.toHaveProperty('metadata-flavor');
      expect(reply.headers).not.toHaveProperty('server');
    }
    relayed = '::ffff:127.0.0.1';
    expect(await ask('/computeMetadata/v1/instance/id')).toMatchObject({ status: 200 });
  });

  it('or by host name where that is how tasks are told apart', async () => {
    tasks.clear();
    hosts.set(`t-6f1d.localhost:${port}`, TASK);
    expect(await ask('/computeMetadata/v1/instance/id')).toMatchObject({ status: 403 });
    expect(await ask('/computeMetadata/v1/instance/id', { headers: { ...FLAVOR, Host: `t-6f1d.localhost:${port}` } })).toMatchObject({ status: 200 });
  });

  it('is asked anew for each request of a connection', async () => {
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    expect(await ask(`${ACCOUNTS}/default/email`, { agent })).toMatchObject({ body: EMAIL });
    tasks.set('127.0.0.1', { ...TASK, attemptId: 'attempt-2', serviceAccount: { email: 'other@demo.iam.gserviceaccount.com', uniqueId: '2' } });
    expect(await ask(`${ACCOUNTS}/default/email`, { agent })).toMatchObject({ body: 'other@demo.iam.gserviceaccount.com' });
    expect(await ask(`${ACCOUNTS}/${EMAIL}/token`, { agent })).toMatchObject({ status: 404 });
    tasks.clear();
    expect(await ask(`${ACCOUNTS}/default/token`, { agent })).toMatchObject({ status: 403, body: '' });
    agent.destroy();
  });
});

describe('tokens', () => {
  it('are those of the account, the same again until five minutes before the end', async () => {
    const first = JSON.parse((await ask(`${ACCOUNTS}/default/token`)).body) as { access_token: string; expires_in: number };
    expect(first).toEqual({ access_token: first.access_token, expires_in: 3600, token_type: 'Bearer' });
    expect(await tokens.verify(first.access_token)).toMatchObject({
      member: `serviceAccount:${EMAIL}`,
      uniqueId: '123456789012345678901',
      scopes: expect.arrayContaining([CLOUD_PLATFORM_SCOPE]),
    });
    now += 50 * 60_000_000;
    expect(JSON.parse((await ask(`${ACCOUNTS}/${EMAIL}/token?transport=alts`)).body)).toEqual({ ...first, expires_in: 600 });
    now += 5 * 60_000_000;
    expect(JSON.parse((await ask(`${ACCOUNTS}/default/token`)).body)).toMatchObject({ expires_in: 3600, access_token: expect.not.stringMatching(first.access_token) });
    expect(counted).toContainEqual({ what: 'token', status: 200 });
  });

  it('are narrowed to scopes, but never widened to ours', async () => {
    const { access_token: token } = JSON.parse((await ask(`${ACCOUNTS}/default/token?scopes=https://a.example/x,openid`)).body) as { access_token: string };
    expect(await tokens.verify(token)).toMatchObject({ scopes: ['https://a.example/x', 'openid'] });
    const refused = await ask(`${ACCOUNTS}/default/token?scopes=actas:administrator`);
    expect(refused).toMatchObject({ status: 400 });
  });

  it('stop where the account is disabled, and come back', async () => {
    disabled.add(EMAIL);
    for (const path of ['token', 'identity?audience=x'])
      expect(await ask(`${ACCOUNTS}/default/${path}`)).toMatchObject({ status: 403, headers: { 'metadata-flavor': 'Google' }, body: expect.stringContaining('is disabled') });
    disabled.clear();
    expect(await ask(`${ACCOUNTS}/default/token`)).toMatchObject({ status: 200 });
  });

  it('are made by leave of the agent, and handed out again without asking', async () => {
    const project = { ...TASK, projectId: 'asking', projectNumber: '42' };
    tasks.set('127.0.0.1', project);
    const first = JSON.parse((await ask(`${ACCOUNTS}/default/token`)).body) as { access_token: string };
    expect(asked).toEqual([`${EMAIL} asking 42 access`]);
    unmintable.add('asking');
    expect(JSON.parse((await ask(`${ACCOUNTS}/default/token`)).body)).toMatchObject(first);
    expect(asked).toHaveLength(1);
    const warned = logged.length;
    now += 56 * 60_000_000;
    for (let count = 0; count < 2; count++)
      expect(await ask(`${ACCOUNTS}/default/token`)).toMatchObject({
        status: 500,
        headers: { 'metadata-flavor': 'Google' },
        body: expect.stringContaining(`cannot make tokens of the service account ${EMAIL}: it lacks permission iam.serviceAccounts.getAccessToken`),
      });
    // What was handed out is good until it ends.
    expect(await tokens.verify(first.access_token)).toMatchObject({ expired: false });
    expect(logged.slice(warned).join()).toContain('iam.serviceAccounts.getAccessToken');
    unmintable.clear();
    expect(await ask(`${ACCOUNTS}/default/token`)).toMatchObject({ status: 200 });
  });

  it("one project's are not handed to the task of another, whose agent may have no grant", async () => {
    expect(await ask(`${ACCOUNTS}/default/token`)).toMatchObject({ status: 200 });
    tasks.set('127.0.0.1', { ...TASK, attemptId: 'attempt-2', projectId: 'elsewhere', projectNumber: '43' });
    unmintable.add('elsewhere');
    expect(await ask(`${ACCOUNTS}/default/token`)).toMatchObject({ status: 500 });
  });

  it('an ID token is asked about each time, by its own permission', async () => {
    expect(await ask(`${ACCOUNTS}/default/identity?audience=x`)).toMatchObject({ status: 200 });
    unmintable.add(TASK.projectId);
    expect(await ask(`${ACCOUNTS}/default/identity?audience=x`)).toMatchObject({ status: 500, body: expect.stringContaining('iam.serviceAccounts.getOpenIdToken') });
    expect(asked).toEqual(Array(2).fill(`${EMAIL} ${TASK.projectId} ${TASK.projectNumber} id`));
  });

  it('an ID token needs an audience', async () => {
    for (const query of ['', '?audience='])
      expect(await ask(`${ACCOUNTS}/default/identity${query}`)).toMatchObject({ status: 400, body: 'non-empty audience parameter required\n' });
    const reply = await ask(`${ACCOUNTS}/default/identity?audience=https%3A%2F%2Fservice.example&format=full`);
    const claims = JSON.parse(Buffer.from(reply.body.split('.')[1] ?? '', 'base64url').toString()) as unknown;
    expect(claims).toMatchObject({
      iss: 'https://accounts.google.com',
      aud: 'https://service.example',
      sub: TASK.serviceAccount.uniqueId,
      azp: TASK.serviceAccount.uniqueId,
      email: EMAIL,
      email_verified: true,
    });
  });

  it('are in no log line', async () => {
    await ask(`${ACCOUNTS}/default/token`);
    expect(logged.length).toBeGreaterThan(0);
    for (const line of logged) expect(line).not.toMatch(/actas_at_|eyJ/);
  });
});

describe('the official library', () => {
  const run = async (script: string): Promise<unknown> => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: dir, GCE_METADATA_HOST: `127.0.0.1:${port}`, GCE_METADATA_IP: `127.0.0.1:${port}`, CLOUD_RUN_JOB: 'hello' };
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '-e', script], { env });
    return JSON.parse(stdout);
  };
  it('finds credentials, project and ID tokens with no configuration', async () => {
    now = Date.now() * 1000;
    const answer = await run(`import { GoogleAuth } from 'google-auth-library';
      const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
      const client = await auth.getClient();
      const { token } = await client.getAccessToken();
      const idClient = await auth.getIdTokenClient('https://service.example');
      const headers = await idClient.getRequestHeaders();
      console.log(JSON.stringify({ kind: client.constructor.name, token, project: await auth.getProjectId(), email: (await auth.getCredentials()).client_email, universe: await auth.getUniverseDomain(), id: headers.get('authorization') }));`);
    // What the script above prints.
    const { token, id, ...rest } = answer as { token: string; id: string };
    expect(rest).toEqual({ kind: 'Compute', project: 'demo', email: EMAIL, universe: 'googleapis.com' });
    expect(await tokens.verify(token)).toMatchObject({ member: `serviceAccount:${EMAIL}`, expired: false });
    expect(id).toMatch(/^Bearer eyJ/);
  });
  it('is available, or not, as seen by gcp-metadata', async () => {
    expect(
      await run(
        `import * as gcp from 'gcp-metadata'; console.log(JSON.stringify([await gcp.isAvailable(), await gcp.project('numeric-project-id'), await gcp.instance({ property: 'service-accounts/', params: { recursive: 'true' } })]));`,
      ),
    ).toMatchObject([true, 123456789012, { default: { email: EMAIL } }]);
  });
});

it('never fails on any path, header or method', async () => {
  const known = fc.constantFrom(
    'computeMetadata',
    'v1',
    'instance',
    'service-accounts',
    'default',
    'token',
    'identity',
    'project',
    'universe',
    EMAIL,
    '',
    '.',
    '..',
    '%2F',
    '%00',
    '%ff',
  );
  const path = fc.array(fc.oneof({ weight: 4, arbitrary: known }, fc.webSegment()), { maxLength: 7 }).map((segments) => `/${segments.join('/')}`);
  const query = fc
    .array(
      fc.tuple(
        fc.constantFrom('alt', 'recursive', 'audience', 'scopes', 'last_etag', 'format', 'x'),
        fc.oneof(fc.constantFrom('true', 'json', 'text', ''), fc.webQueryParameters()),
      ),
      { maxLength: 4 },
    )
    .map((pairs) => pairs.map(([key, value]) => `${key}=${value}`).join('&'));
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  counted.length = 0;
  await fc.assert(
    fc.asyncProperty(path, query, fc.constantFrom('GET', 'HEAD', 'POST'), async (where, search, method) => {
      const reply = await ask(`${where}?${search}`, { method, agent });
      expect([200, 301, 400, 403, 404, 405, 429]).toContain(reply.status);
    }),
    { numRuns: 400 },
  );
  agent.destroy();
  expect(counted.filter((request) => request.status >= 500)).toEqual([]);
});
