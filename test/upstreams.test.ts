/** Calls that are passed on: who calls is known, the permission is asked for, the caller's token stays here, the answer comes back whole. */
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Writable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

interface Seen {
  readonly verb: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

const CALLER = 'user:caller@example.com';
const BUCKET = '/storage.googleapis.com/storage/v1/b/data';
const seen: Seen[] = [];
let upstream: Server;
let server: TestServer;
let origin: string;

beforeAll(async () => {
  upstream = createServer((incoming, answer) => {
    let body = '';
    incoming.setEncoding('utf8');
    incoming.on('data', (part: string) => (body += part));
    incoming.on('end', () => {
      seen.push({ verb: incoming.method, url: incoming.url, headers: incoming.headers, body });
      if (incoming.url?.startsWith('/upload/') === true) answer.setHeader('Location', `${origin}/upload/resumable/17?upload_id=17`);
      answer.writeHead(incoming.url?.includes('missing') === true ? 404 : 200, { 'Content-Type': 'application/json', 'Set-Cookie': 'a=b', 'X-Upstream': 'yes' });
      answer.end(JSON.stringify({ from: 'upstream' }));
    });
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  // It listens on an address.
  origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  const closed = createServer().listen(0, '127.0.0.1');
  await once(closed, 'listening');
  const nobody = `http://127.0.0.1:${(closed.address() as AddressInfo).port}`;
  await new Promise((resolve) => closed.close(resolve));
  server = await startTestServer({
    upstreams: {
      'storage.googleapis.com': { url: origin, project: 'demo', headers: { authorization: 'Bearer emulator' } },
      'pubsub.googleapis.com': `${origin}/base`,
      'firestore.googleapis.com': nobody,
      'widgets.googleapis.com': {
        url: origin,
        methods: 'widgets.get\n  http GET /v1/{name=projects/*/widgets/*}\n  check storage.buckets.get {name}\n',
      },
    },
  });
});
afterAll(async () => {
  await server.close();
  upstream.close();
  upstream.closeAllConnections();
});
beforeEach(() => {
  seen.length = 0;
});

async function bind(role: string, condition?: object): Promise<void> {
  const answer = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
    policy: {
      version: 3,
      bindings: [
        { role: 'roles/owner', members: ['user:owner@example.com'] },
        { role, members: [CALLER], ...(condition === undefined ? {} : { condition }) },
      ],
    },
  });
  expect(answer.status, answer.text).toBe(200);
}

test('a call is passed on with what the permission grants, and comes back whole', async () => {
  await bind('roles/storage.objectViewer');
  const answer = await server.call('GET', `${BUCKET}/o/a%2Fb.txt?alt=media&access_token=secret`, undefined, { as: CALLER, headers: { 'x-mine': '1' } });
  expect([answer.status, answer.json]).toEqual([200, { from: 'upstream' }]);
  expect(answer.headers.get('x-upstream')).toBe('yes');
  expect(answer.headers.get('set-cookie')).toBeNull();
  expect(seen).toMatchObject([{ verb: 'GET', url: '/storage/v1/b/data/o/a%2Fb.txt?alt=media', headers: { 'x-mine': '1', authorization: 'Bearer emulator' } }]);
  expect(JSON.stringify(seen)).not.toContain(await server.tokenOf(CALLER));
});

test('an error of the upstream is the answer', async () => {
  await bind('roles/storage.objectViewer');
  expect((await server.call('GET', `${BUCKET}/o/missing`, undefined, { as: CALLER })).status).toBe(404);
});

test('a denial names permission, resource and remedy, and nothing is passed on', async () => {
  await bind('roles/storage.objectViewer');
  const denied = await server.call('DELETE', `${BUCKET}/o/x`, undefined, { as: CALLER });
  expect(denied.status).toBe(403);
  expect(denied.json.error).toMatchObject({
    status: 'PERMISSION_DENIED',
    message: "Permission 'storage.objects.delete' denied on resource 'projects/demo/buckets/data/objects/x' (or it may not exist).",
  });
  expect(denied.text).toContain('actas projects add-iam-policy-binding demo --member=user:caller@example.com --role=roles/storage.');
  expect((await server.call('GET', `${BUCKET}/o/x`, undefined, { as: null })).status).toBe(401);
  expect((await server.call('GET', `${BUCKET}/o/x`, undefined, { as: CALLER, headers: { origin: 'https://evil.example' } })).status).toBe(403);
  expect(seen).toEqual([]);
});

test('conditions see the names of buckets and objects', async () => {
  await bind('roles/storage.objectViewer', { title: 'public', expression: "resource.name.startsWith('projects/_/buckets/data/objects/public/')" });
  expect((await server.call('GET', `${BUCKET}/o/public%2Fa`, undefined, { as: CALLER })).status).toBe(200);
  expect((await server.call('GET', `${BUCKET}/o/secret%2Fa`, undefined, { as: CALLER })).status).toBe(403);
  // Decoded once, as the upstream does: this object's name begins with a percent sign.
  expect((await server.call('GET', `${BUCKET}/o/%2570ublic%2Fa`, undefined, { as: CALLER })).status).toBe(403);
  expect(seen).toHaveLength(1);
});

test.each([
  ['GET', `${BUCKET}/iam`],
  ['POST', '/storage.googleapis.com/batch/storage/v1'],
  ['GET', '/storage.googleapis.com/storage/v1/b/data/o/..%2F..%2Fother'],
  ['GET', '/storage.googleapis.com/data/object?acl'],
  ['GET', '/storage.googleapis.com/storage/v2/anything'],
  ['POST', '/pubsub.googleapis.com/v1/projects/demo/topics/t:setIamPolicy'],
  ['GET', '/pubsub.googleapis.com/v1/projects/demo/topics/t%2F..%2Fu'],
  ['GET', '/pubsub.googleapis.com/v1/projects/demo%252Fx/topics/t'],
  ['GET', '/widgets.googleapis.com/v1/projects/demo/gadgets/1'],
])('what is not declared goes nowhere, not even for the owner: %s %s', async (verb, path) => {
  const answer = await server.call(verb, path, verb === 'POST' ? {} : undefined);
  expect([answer.status, answer.json.error.status]).toEqual([501, 'UNIMPLEMENTED']);
  expect(seen).toEqual([]);
});

test('a method that the configuration declares is checked as it says', async () => {
  await bind('roles/storage.admin');
  expect((await server.call('GET', '/widgets.googleapis.com/v1/projects/demo/widgets/1', undefined, { as: CALLER })).status).toBe(200);
  await bind('roles/pubsub.admin');
  expect((await server.call('GET', '/widgets.googleapis.com/v1/projects/demo/widgets/1', undefined, { as: CALLER })).status).toBe(403);
});

test('names in the body are asked about, and what was read is what goes on', async () => {
  await bind('roles/pubsub.editor');
  const create = (body: string) => server.call('PUT', '/pubsub.googleapis.com/v1/projects/demo/subscriptions/s', body, { as: CALLER });
  const foreign = await create('{"topic":"projects/other/topics/t","topic":"projects/other/topics/t"}');
  expect(foreign.json.error.details[0].metadata).toEqual({ permission: 'pubsub.topics.attachSubscription', resource: 'projects/other/topics/t' });
  expect((await create('{"ackDeadlineSeconds":10}')).status).toBe(400);
  expect((await create('no')).status).toBe(400);
  expect(seen).toEqual([]);
  expect((await create('{"topic":"projects/other/topics/t", "topic":"projects/demo/topics/t"}')).status).toBe(200);
  expect(seen).toMatchObject([{ url: '/base/v1/projects/demo/subscriptions/s', body: '{"topic":"projects/demo/topics/t"}' }]);
  const twice = await server.call('GET', '/pubsub.googleapis.com/v1/projects/demo/topics/t?topic=projects/other/topics/t', undefined, { as: CALLER });
  expect(twice.status).toBe(400);
});

test('an upload goes on where it began', async () => {
  await bind('roles/storage.objectAdmin');
  const begun = await server.call('POST', '/storage.googleapis.com/upload/storage/v1/b/data/o?uploadType=resumable&name=x', {}, { as: CALLER });
  expect(begun.headers.get('location')).toBe(`${server.url}/storage.googleapis.com/upload/resumable/17?upload_id=17`);
});

test('an upstream that is not there is 503, by its name', async () => {
  await bind('roles/datastore.user');
  const answer = await server.call('GET', '/firestore.googleapis.com/v1/projects/demo/databases/(default)/documents/c/d', undefined, { as: CALLER });
  expect([answer.status, answer.json.error.status]).toEqual([503, 'UNAVAILABLE']);
  expect(answer.json.error.message).toMatch(/^The upstream of firestore\.googleapis\.com, http:\/\/127\.0\.0\.1:\d+, cannot be reached: .*ECONNREFUSED/);
});

test('a token for reading storage reads storage', async () => {
  const project = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
  const email = 'reader@demo.iam.gserviceaccount.com';
  expect((await server.call('POST', project, { accountId: 'reader' })).status).toBe(200);
  const policy = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
    policy: {
      bindings: [
        { role: 'roles/owner', members: ['user:owner@example.com'] },
        { role: 'roles/iam.serviceAccountTokenCreator', members: ['user:owner@example.com'] },
        { role: 'roles/storage.admin', members: [`serviceAccount:${email}`] },
      ],
    },
  });
  expect(policy.status).toBe(200);
  const token = await server.call('POST', `/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${email}:generateAccessToken`, {
    scope: ['https://www.googleapis.com/auth/devstorage.read_only'],
  });
  const headers = { authorization: `Bearer ${token.json.accessToken}` };
  expect((await server.call('GET', `${BUCKET}/o/x`, undefined, { as: null, headers })).status).toBe(200);
  const refused = await server.call('DELETE', `${BUCKET}/o/x`, undefined, { as: null, headers });
  expect(refused.json.error).toMatchObject({ code: 403, message: 'Request had insufficient authentication scopes.' });
  expect((await server.call('GET', '/pubsub.googleapis.com/v1/projects/demo/topics/t', undefined, { as: null, headers })).status).toBe(403);
});

test('each call is audited, what was refused too', async () => {
  await bind('roles/storage.objectViewer');
  await server.call('GET', `${BUCKET}/o/audited`, undefined, { as: CALLER });
  await server.call('DELETE', `${BUCKET}/o/audited`, undefined, { as: CALLER });
  await server.call('GET', '/storage.googleapis.com/undeclared', undefined, { as: CALLER });
  await server.call('GET', '/bigquery.googleapis.com/v2/x', undefined, { as: CALLER });
  const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
  const entries = () =>
    logs
      .prepare(`SELECT method, status, resource FROM audit WHERE principal = ? AND (resource LIKE '%audited' OR method = 'none') ORDER BY id`)
      .all(CALLER)
      .map((row) => [row['method'], row['status'], row['resource']]);
  const object = '//storage.googleapis.com/projects/demo/buckets/data/objects/audited';
  await until('four entries', () => entries().length === 4);
  expect(entries()).toEqual([
    ['storage.objects.get', 'OK', object],
    ['storage.objects.delete', 'PERMISSION_DENIED', object],
    ['none', 'UNIMPLEMENTED', '//storage.googleapis.com'],
    ['none', 'UNIMPLEMENTED', '//bigquery.googleapis.com'],
  ]);
  logs.close();
});

test('each call is in the metrics, by the name of its method', async () => {
  await bind('roles/storage.objectViewer');
  await server.call('GET', `${BUCKET}/o/x`, undefined, { as: CALLER });
  await server.call('DELETE', `${BUCKET}/o/x`, undefined, { as: CALLER });
  const { text } = await server.call('GET', '/metrics');
  expect(text).toMatch(/actas_requests_total\{method="storage\.objects\.get",status="OK",door="rest"\} [1-9]/);
  expect(text).toMatch(/actas_requests_total\{method="storage\.objects\.delete",status="PERMISSION_DENIED",door="rest"\} [1-9]/);
});

test('50 MB go up and down without being held: whoever does not read makes the other wait', async () => {
  const size = 50 * 1024 * 1024;
  const held = 25 * 1024 * 1024;
  const part = Buffer.alloc(64 * 1024, 'x');
  /** Writes it all, as fast as it is taken. */
  const pour = (into: Writable): { sent: number } => {
    const progress = { sent: 0 };
    const more = (): void => {
      while (progress.sent < size) {
        progress.sent += part.length;
        if (!into.write(part)) return void into.once('drain', more);
      }
      into.end();
    };
    more();
    return progress;
  };
  /** Until it has not moved for a while. */
  const stalled = async (progress: { sent: number }): Promise<number> => {
    let last = 0;
    let still = 0;
    await until('it to stand still', () => {
      still = progress.sent > 0 && progress.sent === last ? still + 1 : 0;
      last = progress.sent;
      return still === 15;
    });
    return last;
  };
  let uploaded: IncomingMessage | undefined;
  let down: { sent: number } | undefined;
  const large = createServer((incoming, answer) => {
    uploaded = incoming;
    incoming.on('end', () => (down = pour(answer)));
  }).listen(0, '127.0.0.1');
  await once(large, 'listening');
  const other = await startTestServer({ upstreams: { 'storage.googleapis.com': `http://127.0.0.1:${(large.address() as AddressInfo).port}` } });
  const policy = { bindings: [{ role: 'roles/storage.objectAdmin', members: ['user:owner@example.com'] }] };
  expect((await other.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', { policy })).status).toBe(200);

  const call = request(`${other.url}/storage.googleapis.com/upload/storage/v1/b/data/o?name=big`, { method: 'POST', headers: { authorization: `Bearer ${other.ownerToken}` } });
  const answered = once(call, 'response');
  const up = pour(call);
  await until('it to arrive', () => uploaded !== undefined);
  expect(await stalled(up)).toBeLessThan(held);
  let arrived = 0;
  uploaded?.on('data', (chunk: Buffer) => (arrived += chunk.length));
  // The one argument of that event.
  const [response] = (await answered) as [IncomingMessage];
  expect(arrived).toBe(size);
  if (down === undefined) throw new Error('nothing comes back');
  expect(await stalled(down)).toBeLessThan(held);
  let received = 0;
  for await (const chunk of response) received += (chunk as Buffer).length;
  expect(received).toBe(size);
  await other.close();
  large.close();
  large.closeAllConnections();
});
