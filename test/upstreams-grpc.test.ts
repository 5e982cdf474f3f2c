/** gRPC that is passed on: by the method's path, with the names in its messages asked about, streams and trailers as they are. */
import { once } from 'node:events';
import { type ClientHttp2Stream, connect, constants, createServer, type Http2Server, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createGrpcTransport } from '@connectrpc/connect-node';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { OperationSchema, Operations } from '../src/gen/google/longrunning/operations_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const CALLER = 'user:caller@example.com';
const METHODS = 'widgets.operations.get\n  grpc google.longrunning.Operations/GetOperation name=1\n  check pubsub.topics.get {name:2}\n';

const seen: { path: string; headers: IncomingHttpHeaders }[] = [];
let received: Buffer[] = [];
let cut = 0;
let raw: Http2Server;
let official: Http2Server;
let server: TestServer;

const address = (listening: Http2Server) => `http://127.0.0.1:${(listening.address() as AddressInfo).port}`;

beforeAll(async () => {
  // Sends every message back; ends with a status of its own.
  raw = createServer();
  raw.on('stream', (stream: ServerHttp2Stream, headers: IncomingHttpHeaders) => {
    const path = String(headers[':path']);
    seen.push({ path, headers });
    stream.on('error', () => undefined);
    stream.on('close', () => (cut += stream.rstCode === constants.NGHTTP2_CANCEL ? 1 : 0));
    if (path.endsWith('/DeleteTopic'))
      return stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5', 'grpc-message': 'no%20topic' }, { endStream: true });
    stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'x-upstream': 'yes' }, { waitForTrailers: true });
    stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0', 'x-end': 'yes' }));
    stream.on('data', (chunk: Buffer) => {
      received.push(chunk);
      stream.write(chunk);
    });
    stream.on('end', () => stream.end());
  });
  raw.listen(0, '127.0.0.1');
  official = createServer(
    connectNodeAdapter({
      routes: (router) =>
        void router.service(Operations, {
          getOperation({ name }) {
            if (name.endsWith('gone')) throw new ConnectError('it is gone', Code.NotFound);
            return create(OperationSchema, { name, done: true });
          },
        }),
    }),
  );
  official.listen(0, '127.0.0.1');
  await Promise.all([once(raw, 'listening'), once(official, 'listening')]);
  server = await startTestServer({
    upstreams: { 'pubsub.googleapis.com': address(raw), 'widgets.googleapis.com': { url: address(official), methods: METHODS }, 'firestore.googleapis.com': 'http://127.0.0.1:1' },
  });
  const policy = {
    bindings: [
      { role: 'roles/pubsub.editor', members: [CALLER] },
      { role: 'roles/datastore.user', members: [CALLER] },
    ],
  };
  const set = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', { policy });
  if (set.status !== 200) throw new Error(set.text);
});
afterAll(async () => {
  await server.close();
  raw.close();
  official.close();
});
beforeEach(() => {
  seen.length = 0;
  received = [];
});

/** A message whose fields are strings. */
function frame(...fields: readonly (readonly [number, string])[]): Buffer {
  const body = Buffer.concat(fields.map(([number, value]) => Buffer.concat([Buffer.from([(number << 3) | 2, value.length]), Buffer.from(value)])));
  const prefix = Buffer.alloc(5);
  prefix.writeUInt32BE(body.length, 1);
  return Buffer.concat([prefix, body]);
}

interface Conversation {
  readonly stream: ClientHttp2Stream;
  readonly answers: Buffer[];
  /** Headers, and trailers where there are some. */
  readonly end: Promise<IncomingHttpHeaders>;
}

async function call(path: string, options: { as?: string | null; authority?: string; headers?: Record<string, string> } = {}): Promise<Conversation> {
  const { as = CALLER, authority = 'pubsub.googleapis.com', headers = {} } = options;
  const session = connect(server.url);
  const token = as === null ? {} : { authorization: `Bearer ${await server.tokenOf(as)}` };
  const stream = session.request({ ':method': 'POST', ':path': path, ':authority': authority, 'content-type': 'application/grpc', te: 'trailers', ...token, ...headers });
  const answers: Buffer[] = [];
  let all: IncomingHttpHeaders = {};
  stream.on('response', (head) => (all = { ...all, ...head }));
  stream.on('trailers', (tail) => (all = { ...all, ...tail }));
  stream.on('data', (chunk: Buffer) => answers.push(chunk));
  const end = new Promise<IncomingHttpHeaders>((resolve) => {
    stream.on('error', () => undefined);
    // As a client does: the trailers end a call, whether it had more to say or not.
    for (const event of ['end', 'close'])
      stream.once(event, () => {
        session.destroy();
        resolve(all);
      });
  });
  return { stream, answers, end };
}

test('an official client is answered by an official server', async () => {
  const token = await server.tokenOf(CALLER);
  const transport = (host: string) =>
    createGrpcTransport({
      baseUrl: `${server.url}/${host}`,
      interceptors: [
        (next) => (request) => {
          request.header.set('authorization', `Bearer ${token}`);
          return next(request);
        },
      ],
    });
  const client = createClient(Operations, transport('widgets.googleapis.com'));
  expect(await client.getOperation({ name: 'projects/demo/operations/1' })).toMatchObject({ name: 'projects/demo/operations/1', done: true });
  await expect(client.getOperation({ name: 'projects/demo/operations/gone' })).rejects.toMatchObject({ code: Code.NotFound, rawMessage: 'it is gone' });
  await expect(client.getOperation({ name: 'projects/other/operations/1' })).rejects.toMatchObject({ code: Code.PermissionDenied });
  await expect(client.getOperation({ name: '' })).rejects.toMatchObject({ code: Code.InvalidArgument });
  await expect(client.listOperations({ name: 'projects/demo' })).rejects.toMatchObject({ code: Code.Unimplemented });
});

test('headers, messages and trailers come back; the token stays here', async () => {
  const { stream, answers, end } = await call('/google.pubsub.v1.Publisher/Publish', { headers: { 'x-mine': '1' } });
  const message = frame([1, 'projects/demo/topics/t'], [2, 'data']);
  stream.end(message);
  expect(await end).toMatchObject({ 'x-upstream': 'yes', 'grpc-status': '0', 'x-end': 'yes' });
  expect(Buffer.concat(answers)).toEqual(message);
  expect(seen).toMatchObject([{ path: '/google.pubsub.v1.Publisher/Publish', headers: { 'x-mine': '1' } }]);
  expect(seen[0]?.headers.authorization).toBeUndefined();
});

test('a status without a message is passed on', async () => {
  const { stream, end } = await call('/google.pubsub.v1.Publisher/DeleteTopic');
  stream.end(frame([1, 'projects/demo/topics/t']));
  expect(await end).toMatchObject({ 'grpc-status': '5', 'grpc-message': 'no%20topic' });
});

test.each([
  ['a topic of another project', CALLER, '/google.pubsub.v1.Publisher/Publish', frame([1, 'projects/other/topics/t']), '7'],
  ['two names, one of them of another project', CALLER, '/google.pubsub.v1.Publisher/Publish', frame([1, 'projects/other/topics/t'], [1, 'projects/demo/topics/t']), '7'],
  ['no name', CALLER, '/google.pubsub.v1.Publisher/Publish', frame([2, 'data']), '3'],
  ['no message', CALLER, '/google.pubsub.v1.Publisher/Publish', Buffer.alloc(0), '3'],
  ['half a message', CALLER, '/google.pubsub.v1.Publisher/Publish', frame([1, 'projects/demo/topics/t']).subarray(0, 12), '3'],
  ['nonsense', CALLER, '/google.pubsub.v1.Publisher/Publish', Buffer.from([0, 0, 0, 0, 2, 10, 200]), '3'],
  ['a compressed message', CALLER, '/google.pubsub.v1.Publisher/Publish', Buffer.from([1, 0, 0, 0, 1, 0]), '12'],
  ['a message of 4 GB', CALLER, '/google.pubsub.v1.Publisher/Publish', Buffer.from([0, 255, 255, 255, 255, 0]), '8'],
  ['a method that is not declared', CALLER, '/google.iam.v1.IAMPolicy/SetIamPolicy', frame([1, 'projects/demo/topics/t']), '12'],
  ['no token', null, '/google.pubsub.v1.Publisher/Publish', frame([1, 'projects/demo/topics/t']), '16'],
])('%s is refused, and nothing is passed on', async (_what, as, path, message, status) => {
  const { stream, end } = await call(path, { as });
  stream.end(message);
  expect(await end).toMatchObject({ 'grpc-status': status });
  expect(received).toEqual([]);
});

test('a stream goes both ways while it is open, and each message of it is judged', async () => {
  const { stream, answers, end } = await call('/google.pubsub.v1.Subscriber/StreamingPull');
  stream.write(frame([1, 'projects/demo/subscriptions/s']));
  await until('an answer', () => answers.length === 1);
  // Later messages need not say it again.
  stream.write(frame([2, 'ack']));
  await until('the second', () => Buffer.concat(answers).length === frame([1, 'projects/demo/subscriptions/s']).length + frame([2, 'ack']).length);
  stream.write(frame([1, 'projects/other/subscriptions/s']));
  expect(await end).toMatchObject({ 'grpc-status': '7' });
  expect(Buffer.concat(received).includes('projects/other')).toBe(false);
});

test('who hangs up ends the call upstream', async () => {
  const before = cut;
  const { stream, answers, end } = await call('/google.pubsub.v1.Subscriber/StreamingPull');
  stream.write(frame([1, 'projects/demo/subscriptions/s']));
  await until('an answer', () => answers.length === 1);
  stream.close(constants.NGHTTP2_CANCEL);
  await end;
  expect(await until('the end upstream', () => cut > before)).toBe(true);
});

test('a deadline that passes ends it too', async () => {
  const { stream, end } = await call('/google.pubsub.v1.Subscriber/StreamingPull', { headers: { 'grpc-timeout': '50m' } });
  stream.write(frame([1, 'projects/demo/subscriptions/s']));
  expect(await end).toMatchObject({ 'grpc-status': '4' });
});

test('an upstream that is not there is UNAVAILABLE, by its name', async () => {
  const { stream, end } = await call('/google.firestore.v1.Firestore/GetDocument', { authority: 'firestore.googleapis.com' });
  stream.end(frame([1, 'projects/demo/databases/(default)/documents/c/d']));
  const headers = await end;
  expect(headers['grpc-status']).toBe('14');
  expect(decodeURIComponent(String(headers['grpc-message']))).toContain('The upstream of firestore.googleapis.com, http://127.0.0.1:1, cannot be reached');
});
