/** What holds for every request before any API is reached: names, origins, bodies, representations. */
import { request as httpRequest } from 'node:http';
import { connect, constants } from 'node:http2';
import { connect as tcpConnect } from 'node:net';
import { networkInterfaces } from 'node:os';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const JOBS = '/v2/projects/demo/locations/us-central1/jobs';

/** fetch forbids setting Host; this does not. */
function raw(options: {
  method?: string;
  path: string;
  headers?: Record<string, string>;
  body?: string | Buffer;
  token?: string | null;
}): Promise<{ status: number; text: string; headers: Record<string, unknown> }> {
  const url = new URL(server.url);
  return new Promise((resolve, reject) => {
    const token = options.token === undefined ? server.ownerToken : options.token;
    const sent = httpRequest(
      {
        host: url.hostname,
        port: url.port,
        method: options.method ?? 'GET',
        path: options.path,
        headers: { ...(token === null ? {} : { authorization: `Bearer ${token}` }), ...options.headers },
      },
      (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString(), headers: response.headers }));
      },
    );
    sent.on('error', reject);
    sent.end(options.body);
  });
}

describe('which API', () => {
  test.each([
    ['by Host', { path: JOBS, headers: { host: 'run.googleapis.com' } }],
    ['by Host with a port', { path: JOBS, headers: { host: 'run.googleapis.com:443' } }],
    ['by regional Host', { path: JOBS, headers: { host: 'us-central1-run.googleapis.com' } }],
    ['by prefix', { path: `/run.googleapis.com${JOBS}` }],
    ['by regional prefix', { path: `/us-central1-run.googleapis.com${JOBS}` }],
    ['by path alone', { path: JOBS }],
    ['with a trailing slash', { path: `${JOBS}/` }],
  ])('%s', async (_name, request) => {
    expect(await raw(request)).toMatchObject({ status: 200 });
  });

  test('a regional host of another region says so', async () => {
    const answer = await raw({ path: JOBS, headers: { host: 'europe-west1-run.googleapis.com' } });
    expect(answer.status).toBe(501);
    expect(answer.text).toContain('https://us-central1-run.googleapis.com');
  });

  test.each([
    ['two slashes', `//run.googleapis.com${JOBS}`, 404],
    ['nothing but slashes', '//', 404],
    ['a way around the prefix', `/iam.googleapis.com/..${JOBS}`, 404],
    ['two prefixes', `/iam.googleapis.com/run.googleapis.com${JOBS}`, 404],
    ['the absolute form of another host', `http://evil.example${JOBS}`, 400],
    ['the absolute form of no host', 'http://[/', 400],
  ])('%s', async (_name, path, status) => {
    expect((await raw({ path })).status).toBe(status);
  });

  test('an unknown method is named, with the verbs that exist', async () => {
    const answer = await raw({ path: `${JOBS}/j:fly`, method: 'POST', headers: { host: 'run.googleapis.com' } });
    expect(answer.status).toBe(404);
    expect(JSON.parse(answer.text).error).toMatchObject({ code: 404, status: 'NOT_FOUND' });
    expect(answer.text).toContain(`POST ${JOBS}/j:fly is no method of run.googleapis.com`);
    expect((await raw({ path: JOBS, method: 'PUT', headers: { host: 'run.googleapis.com' } })).text).toContain('The path exists for GET, POST.');
  });
});

describe('the browser next door', () => {
  test.each([
    ['a foreign name (DNS rebinding)', { headers: { host: 'evil.example' } }],
    ['a foreign Origin', { headers: { origin: 'https://evil.example' } }],
    ['an opaque Origin', { headers: { origin: 'null' } }],
    ['another port of localhost', { headers: { origin: 'http://127.0.0.1:1' } }],
    ['a cross-site fetch', { headers: { 'sec-fetch-site': 'cross-site' } }],
    ['a same-site fetch of another origin', { headers: { 'sec-fetch-site': 'same-site' } }],
  ])('%s is refused', async (_name, { headers }) => {
    const answer = await raw({ path: JOBS, headers });
    expect(answer.status).toBe(403);
    expect(JSON.parse(answer.text).error.status).toBe('PERMISSION_DENIED');
  });

  test('our own origin is not', async () => {
    expect((await raw({ path: JOBS, headers: { origin: server.url, 'sec-fetch-site': 'same-origin' } })).status).toBe(200);
  });

  test.each(['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x', ''])('a mutation with content type %j is refused', async (type) => {
    const answer = await raw({ path: `${JOBS}?jobId=x`, method: 'POST', body: '{}', headers: type === '' ? {} : { 'content-type': type } });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain('content-type: must be application/json');
  });

  test('the server listens on loopback alone', async () => {
    const port = Number(new URL(server.url).port);
    const others = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((address) => !address.internal && address.family === 'IPv4');
    for (const { address } of others) {
      const outcome = await new Promise<string>((resolve) => {
        const socket = tcpConnect({ host: address, port, timeout: 2000 }, () => {
          socket.destroy();
          resolve('connected');
        });
        socket.once('error', () => resolve('refused'));
        socket.once('timeout', () => {
          socket.destroy();
          resolve('refused');
        });
      });
      expect(outcome, `${address}:${port}`).toBe('refused');
    }
  });
});

describe('gRPC, before any RPC', () => {
  const GET_JOB = '/google.cloud.run.v2.Jobs/GetJob';

  /** One call with an empty message. @returns headers and trailers together */
  async function grpc(headers: Record<string, string>, body = Buffer.alloc(5)): Promise<Record<string, unknown>> {
    const session = connect(server.url);
    const stream = session.request({
      ':method': 'POST',
      ':path': GET_JOB,
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${server.ownerToken}`,
      ...headers,
    });
    const seen: Record<string, unknown> = {};
    for (const event of ['response', 'trailers'] as const) stream.on(event, (found: object) => Object.assign(seen, found));
    stream.resume().end(body);
    await new Promise((resolve, reject) => stream.on('close', resolve).on('error', reject));
    session.close();
    return seen;
  }

  test.each([
    ['a foreign name', { ':authority': 'evil.example' }, '7', 'is not a name of this server'],
    ['two names', { ':authority': 'localhost', host: 'run.googleapis.com' }, '7', 'name different hosts'],
    ['a foreign Origin', { origin: 'https://evil.example' }, '7', 'another origin'],
    ['a foreign Origin of gRPC-Web', { origin: 'https://evil.example', 'content-type': 'application/grpc-web+proto' }, '7', 'another origin'],
    ['an unknown method', { ':path': '/google.cloud.run.v2.Jobs/Fly' }, '12', 'google.cloud.run.v2.Jobs/Fly is not implemented'],
    ['a stream, without a token', { ':path': '/google.logging.v2.LoggingServiceV2/TailLogEntries', authorization: '' }, '16', 'credential'],
    ['a stream', { ':path': '/google.logging.v2.LoggingServiceV2/TailLogEntries' }, '3', 'at least one resource name is needed'],
  ])('%s is answered as gRPC', async (_name, headers, status, message) => {
    const answer = await grpc(headers);
    expect(answer).toMatchObject({ ':status': 200, 'grpc-status': status });
    expect(decodeURIComponent(String(answer['grpc-message']))).toContain(message);
  });

  test('a small message that becomes a large one is refused', async () => {
    const packed = gzipSync(Buffer.alloc(11 * 1024 * 1024));
    const head = Buffer.from([1, 0, 0, 0, 0]);
    head.writeUInt32BE(packed.length, 1);
    expect(await grpc({ 'grpc-encoding': 'gzip' }, Buffer.concat([head, packed]))).toMatchObject({ 'grpc-status': '8' });
  });
});

describe('bodies and representations', () => {
  test('over 10 MiB is refused', async () => {
    const answer = await raw({ path: `${JOBS}?jobId=x`, method: 'POST', body: Buffer.alloc(10 * 1024 * 1024 + 1, 32), headers: { 'content-type': 'application/json' } }).catch(
      (error: NodeJS.ErrnoException) => ({ status: 400, text: error.code ?? '' }),
    );
    expect(answer.status).toBe(400);
    if (answer.text.startsWith('{')) expect(answer.text).toContain('Request payload size exceeds the limit: 10485760 bytes.');
  });

  test('who is not known is told so, whatever the body is', async () => {
    for (const body of ['{', '{"x":1}', Buffer.alloc(1024 * 1024, 32)])
      expect(await raw({ path: `${JOBS}?jobId=x`, method: 'POST', body, token: null, headers: { 'content-type': 'application/json' } })).toMatchObject({ status: 401 });
  });

  test('what is not UTF-8, or packed, is refused', async () => {
    const post = (body: Buffer, headers: Record<string, string>) =>
      raw({ path: `${JOBS}?jobId=x`, method: 'POST', body, headers: { 'content-type': 'application/json', ...headers } });
    expect(await post(Buffer.from('{"labels":{"a":"\xff"}}', 'latin1'), {})).toMatchObject({ status: 400, text: expect.stringContaining('The body is not UTF-8') });
    expect(await post(gzipSync('{}'), { 'content-encoding': 'gzip' })).toMatchObject({ status: 400, text: expect.stringContaining('content-encoding') });
    expect(await raw({ path: `${JOBS}/x:run`, method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' } })).toMatchObject({
      status: 400,
      text: expect.stringContaining('content-type'),
    });
  });

  test.each([
    ['{', 'Invalid JSON payload received.'],
    ['[]', "Invalid value at 'job'"],
    ['"x"', "Invalid value at 'job'"],
    ['{"x":1}', `Unknown name \\"x\\" at 'job': Cannot find field.`],
  ])('%s', async (body, message) => {
    const answer = await raw({ path: `${JOBS}?jobId=x`, method: 'POST', body, headers: { 'content-type': 'application/json' } });
    expect(answer.status).toBe(400);
    expect(answer.text).toContain(message);
  });

  test('fields, prettyPrint, alt and enums as numbers', async () => {
    await server.call('POST', `/run.googleapis.com${JOBS}?jobId=shapes`, { template: { template: { containers: [{ image: 'example.com/i' }] } } });
    const partial = await raw({ path: `${JOBS}/shapes?fields=name,template(taskCount,template/timeout)&prettyPrint=false` });
    expect(partial.text).toBe('{"name":"projects/demo/locations/us-central1/jobs/shapes","template":{"taskCount":1,"template":{"timeout":"600s"}}}');
    const numbers = await raw({ path: `${JOBS}/shapes?%24alt=json%3Benum-encoding%3Dint` });
    expect(JSON.parse(numbers.text)).toMatchObject({ launchStage: 4, template: { template: { executionEnvironment: 2 } } });
    expect((await raw({ path: `${JOBS}/shapes?alt=proto` })).status).toBe(400);
    expect((await raw({ path: `${JOBS}/shapes?fields=a(` })).status).toBe(400);
    expect((await raw({ path: `${JOBS}/shapes?quotaUser=me&whatever=1` })).status).toBe(200);
    expect((await raw({ path: `${JOBS}?pageSize=many` })).text).toContain(`Invalid value at 'page_size' (TYPE_INT32), \\"many\\"`);
  });

  test('the legacy errors list goes with IAM, not with Cloud Run', async () => {
    const iam = await server.call('GET', '/iam.googleapis.com/v1/projects/demo/serviceAccounts/none-such@demo.iam.gserviceaccount.com');
    expect(iam.json).toEqual({
      error: { code: 404, message: 'Unknown service account', status: 'NOT_FOUND', errors: [{ message: 'Unknown service account', domain: 'global', reason: 'notFound' }] },
    });
    const run = await server.call('GET', `/run.googleapis.com${JOBS}/none-such`);
    expect(run.json).toEqual({
      error: { code: 404, message: "Resource 'none-such' of kind 'JOB' in region 'us-central1' in project 'demo' does not exist.", status: 'NOT_FOUND' },
    });
  });

  test('REST works over HTTP/2 as well', async () => {
    const session = connect(server.url);
    const stream = session.request({ ':path': JOBS, authorization: `Bearer ${server.ownerToken}` });
    const text = await new Promise<string>((resolve, reject) => {
      let all = '';
      stream.on('data', (chunk: Buffer) => {
        all += chunk.toString();
      });
      stream.on('end', () => resolve(all));
      stream.on('error', reject);
    });
    session.close();
    expect(JSON.parse(text)).toBeTypeOf('object');
  });

  test('who hangs up ends the call, over HTTP/1.1 and over HTTP/2', async () => {
    const call = (path: string, body: object) => raw({ method: 'POST', path, headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) });
    const template = { containers: [{ image: 'busybox', env: [{ name: 'FAKE_DURATION_MS', value: '60000' }] }] };
    const { name } = JSON.parse((await call(`${JOBS}?jobId=long`, { template: { template }, startExecutionToken: 'a' })).text);
    await call(`/v2/${name}:wait`, {});
    const { name: operation } = JSON.parse((await call(`${JOBS}/long:run`, {})).text);
    const cancelled = async () =>
      Number(
        /actas_requests_total\{method="google.longrunning.Operations.WaitOperation",status="CANCELLED",door="rest"\} (\d+)/.exec((await raw({ path: '/metrics' })).text)?.[1] ?? 0,
      );
    const headers = { authorization: `Bearer ${server.ownerToken}`, 'content-type': 'application/json' };

    const first = httpRequest(`${server.url}/v2/${operation}:wait`, { method: 'POST', headers });
    first.on('error', () => undefined).end('{}');
    await until('the metrics answer after it', async () => (await cancelled()) === 0);
    first.destroy();
    await until('the call over HTTP/1.1 has ended', async () => (await cancelled()) === 1);

    const session = connect(server.url);
    const second = session.request({ ':method': 'POST', ':path': `/v2/${operation}:wait`, ...headers });
    second.on('error', () => undefined).end('{}');
    // What is asked later on the same connection has arrived later.
    const later = session.request({ ':path': '/healthz' });
    await new Promise((resolve) => later.once('close', resolve).resume());
    second.close(constants.NGHTTP2_CANCEL);
    expect(await until('the call over HTTP/2 has ended', async () => (await cancelled()) >= 2 && cancelled())).toBe(2);
    session.close();
  });
});

describe('documents', () => {
  test('health is public, metrics want a caller, keys and discovery are public', async () => {
    expect(await raw({ path: '/healthz', token: null })).toMatchObject({ status: 200 });
    expect(await raw({ path: '/readyz', token: null })).toMatchObject({ status: 200 });
    expect(await raw({ path: '/metrics', token: null })).toMatchObject({ status: 401 });
    expect((await raw({ path: '/metrics' })).text).toContain('actas_requests_total{');
    await raw({ path: '/no/such/method' });
    expect((await raw({ path: '/metrics' })).text).toMatch(/actas_requests_total\{method="none",status="NOT_FOUND",door="rest"\} \d/);
    const keys = JSON.parse((await raw({ path: '/oauth2/v3/certs', headers: { host: 'www.googleapis.com' }, token: null })).text);
    expect(keys.keys[0]).toMatchObject({ kty: 'RSA', alg: 'RS256', use: 'sig' });
    expect(keys.keys[0].d).toBeUndefined();
    const discovery = JSON.parse((await raw({ path: '/.well-known/openid-configuration', headers: { host: 'accounts.google.com' }, token: null })).text);
    expect(discovery).toMatchObject({ issuer: 'https://accounts.google.com', id_token_signing_alg_values_supported: ['RS256'] });
  });
});
