/** TLS, CONNECT and absolute-form requests on the one port, as clients speak them that know nothing of us; and what is refused. */
import { execFile, spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';
import { type IncomingMessage, request } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { request as secureRequest } from 'node:https';
import { createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { create, fromBinary, toBinary } from '@bufbuild/protobuf';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GetProjectRequestSchema, ProjectSchema } from '../src/gen/google/cloud/resourcemanager/v3/projects_pb.js';
import { createProxy } from '../src/server/proxy.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
let port: number;
let ca: string;
beforeAll(async () => {
  server = await startTestServer({ allowedHost: ['actas.corp.example'] });
  port = Number(new URL(server.url).port);
  ca = await (await fetch(`${server.url}/ca.pem`)).text();
});
afterAll(() => server.close());

const JOBS = '/v2/projects/demo/locations/us-central1/jobs';

interface Answered {
  readonly status: number | undefined;
  readonly text: string;
}

function read(response: IncomingMessage, resolve: (answered: Answered) => void): void {
  let text = '';
  response.setEncoding('utf8').on('data', (part: string) => (text += part));
  response.on('end', () => resolve({ status: response.statusCode, text }));
}

/** A request over TLS at a host's own name, straight to our port or through a tunnel. */
function ask(host: string, path: string, options: { readonly socket?: Socket; readonly ca?: string } = {}): Promise<Answered> {
  return new Promise((resolve, reject) => {
    const call = secureRequest(
      {
        host: '127.0.0.1',
        port,
        servername: host,
        path,
        agent: false,
        ca: options.ca ?? ca,
        headers: { host, authorization: `Bearer ${server.ownerToken}` },
        ...(options.socket === undefined ? {} : { createConnection: () => connectTls({ socket: options.socket, servername: host, ca }) }),
      },
      (response) => read(response, resolve),
    );
    call.on('error', reject);
    call.end();
  });
}

/** CONNECT to a target. @returns its answer, and the connection where a tunnel was opened */
function tunnel(target: string, at = port): Promise<{ status: number | undefined; socket: Socket }> {
  return new Promise((resolve, reject) => {
    const call = request({ host: '127.0.0.1', port: at, method: 'CONNECT', path: target, agent: false });
    call.on('connect', (response, socket) => resolve({ status: response.statusCode, socket }));
    call.on('error', reject);
    call.end();
  });
}

function handshake(servername: string, ALPNProtocols: string[] = []): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, servername, ca, ALPNProtocols }, () => resolve(socket));
    socket.on('error', reject);
  });
}

describe('TLS', () => {
  test('HTTP/1.1 at the names of APIs, regional ones, by the address and at configured names', async () => {
    expect(await ask('run.googleapis.com', JOBS)).toMatchObject({ status: 200 });
    expect(await ask('us-central1-run.googleapis.com', JOBS)).toMatchObject({ status: 200 });
    expect(await ask('actas.corp.example', `/run.googleapis.com${JOBS}`)).toMatchObject({ status: 200 });
    const direct = await new Promise<Answered>((resolve, reject) => {
      secureRequest(`https://127.0.0.1:${port}/run.googleapis.com${JOBS}`, { ca, agent: false, headers: { authorization: `Bearer ${server.ownerToken}` } }, (response) =>
        read(response, resolve),
      )
        .on('error', reject)
        .end();
    });
    expect(direct.status).toBe(200);
  });

  test('HTTP/2, and gRPC in it', async () => {
    const session = connectHttp2(`https://cloudresourcemanager.googleapis.com:${port}`, {
      ca,
      lookup: (_name, _options, done) => done(null, [{ address: '127.0.0.1', family: 4 }]),
    });
    const call = session.request({
      ':method': 'POST',
      ':path': '/google.cloud.resourcemanager.v3.Projects/GetProject',
      ':authority': 'cloudresourcemanager.googleapis.com',
      'content-type': 'application/grpc',
      te: 'trailers',
      authorization: `Bearer ${server.ownerToken}`,
    });
    const message = toBinary(GetProjectRequestSchema, create(GetProjectRequestSchema, { name: 'projects/demo' }));
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    call.end(Buffer.concat([prefix, message]));
    const chunks: Buffer[] = [];
    for await (const chunk of call) chunks.push(chunk as Buffer);
    expect(fromBinary(ProjectSchema, Buffer.concat(chunks).subarray(5))).toMatchObject({ projectId: 'demo' });
    session.close();
    const alpn = await handshake('run.googleapis.com', ['h2', 'http/1.1']);
    expect(alpn.alpnProtocol).toBe('h2');
    alpn.destroy();
  });

  test('a name outside gets no certificate, a client that does not trust us no answer, and neither disturbs others', async () => {
    for (const name of ['example.com', 'www.google.com', 'googleapis.com.evil.example']) await expect(handshake(name)).rejects.toThrow(/socket disconnected|ECONNRESET|alert/);
    await expect(ask('run.googleapis.com', JOBS, { ca: '' })).rejects.toThrow(/certificate/);
    expect(await ask('run.googleapis.com', JOBS)).toMatchObject({ status: 200 });
  });

  test('the authority is bound to its names: a certificate of it for another name is refused by OpenSSL', () => {
    const text = spawnSync('openssl', ['x509', '-noout', '-text'], { input: ca, encoding: 'utf8' });
    if (text.error === undefined) {
      expect(text.stdout).toMatch(/Name Constraints: critical\s+Permitted:\s+DNS:googleapis.com\s+DNS:run.app\s+DNS:pkg.dev\s+DNS:accounts.google.com/);
      expect(text.stdout).toMatch(/DNS:actas.corp.example/);
      expect(text.stdout).toMatch(/CA:TRUE, pathlen:0/);
    }
    expect(statSync(join(server.dataDir, 'ca-key.pem')).mode & 0o777).toBe(0o600);
  });
});

describe('as a proxy', () => {
  test('CONNECT to the name of an API ends here, in TLS that is checked', async () => {
    const { status, socket } = await tunnel('run.googleapis.com:443');
    expect(status).toBe(200);
    expect(await ask('run.googleapis.com', JOBS, { socket })).toMatchObject({ status: 200 });
  });

  test('an API that is not served answers 501 with its name, over REST and gRPC', async () => {
    const { socket } = await tunnel('storage.googleapis.com:443');
    const answer = await ask('storage.googleapis.com', '/storage/v1/b?project=demo', { socket });
    expect(answer.status).toBe(501);
    expect(JSON.parse(answer.text)).toMatchObject({
      error: { code: 501, status: 'UNIMPLEMENTED', message: expect.stringContaining('actas does not serve storage.googleapis.com.') },
    });
    const session = connectHttp2(server.url);
    const call = session.request({
      ':method': 'POST',
      ':path': '/google.pubsub.v1.Publisher/Publish',
      ':authority': 'pubsub.googleapis.com',
      'content-type': 'application/grpc',
      authorization: `Bearer ${server.ownerToken}`,
    });
    const headers = await new Promise<Record<string, unknown>>((resolve) => call.on('response', resolve));
    expect([headers['grpc-status'], decodeURIComponent(String(headers['grpc-message']))]).toEqual(['12', expect.stringContaining('actas does not serve pubsub.googleapis.com.')]);
    session.close();
  });

  test('absolute form, in the clear', async () => {
    const answer = await new Promise<Answered>((resolve, reject) => {
      request(
        {
          host: '127.0.0.1',
          port,
          path: `http://us-central1-run.googleapis.com${JOBS}`,
          headers: { host: 'us-central1-run.googleapis.com', authorization: `Bearer ${server.ownerToken}` },
        },
        (response) => read(response, resolve),
      )
        .on('error', reject)
        .end();
    });
    expect(answer.status).toBe(200);
  });

  test.each([
    ['127.0.0.1:443', 403],
    ['localhost:22', 403],
    ['[::1]:443', 403],
    ['10.0.0.1:443', 403],
    ['169.254.169.254:443', 403],
    ['[fd00::1]:443', 403],
    ['2130706433:443', 403],
    ['intranet:443', 403],
    ['203.0.113.9:443', 403],
    ['www.google.com:443', 403],
    ['gcr.io:443', 403],
    ['example.com:25', 403],
    ['example.com', 400],
    ['http://example.com:443', 400],
    ['user@run.googleapis.com:443', 400],
  ])('CONNECT %s is refused with %i', async (target, status) => {
    const found = await tunnel(target);
    found.socket.destroy();
    expect(found.status).toBe(status);
  });

  test('--no-egress refuses every other host', async () => {
    const closed = await startTestServer({ noEgress: true });
    const { status, socket } = await tunnel('example.com:443', Number(new URL(closed.url).port));
    socket.destroy();
    await closed.close();
    expect(status).toBe(403);
  });

  test('curl, with HTTPS_PROXY and the authority alone', async () => {
    const env = { ...process.env, HTTPS_PROXY: server.url, https_proxy: server.url, NO_PROXY: '', no_proxy: '' };
    const args = ['-sS', '--max-time', '20', '--cacert', join(server.dataDir, 'ca.pem'), '-H', `Authorization: Bearer ${server.ownerToken}`];
    const curl = (url: string) => new Promise<string>((resolve) => execFile('curl', [...args, url], { env }, (error, out, err) => resolve(error === null ? out : err)));
    expect(await curl(`https://run.googleapis.com${JOBS}`)).toContain('{');
    expect(await curl('https://pubsub.googleapis.com/v1/projects/demo/topics')).toContain('"code": 501');
    expect(await curl('https://www.google.com/')).toContain('403');
  });
});

describe('a tunnel', () => {
  test('leads to the address that was looked at, both ways, and ends when either end does', async () => {
    const echo = createServer((socket) => socket.pipe(socket));
    await new Promise<void>((resolve) => echo.listen(0, '127.0.0.1', resolve));
    const address = echo.address();
    const dialled: string[] = [];
    const { connect } = await import('node:net');
    const proxy = createProxy({
      names: new Set(),
      egress: true,
      peerOf: () => ({ address: '127.0.0.1', isLocal: true }),
      log: { warn: () => undefined },
      ownPort: () => 1,
      resolve: async () => ['93.184.215.14'],
      dial: (to, at) => {
        dialled.push(`${to}:${at}`);
        return connect(typeof address === 'object' && address !== null ? address.port : 0, '127.0.0.1');
      },
    });
    const { createServer: createHttp } = await import('node:http');
    const front = createHttp();
    front.on('connect', (asked, socket, head) => proxy.connect(asked, socket, head, () => undefined));
    await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
    const at = front.address();
    const { socket } = await tunnel('example.com:443', typeof at === 'object' && at !== null ? at.port : 0);
    const said = new Promise<string>((resolve) => socket.once('data', (chunk: Buffer) => resolve(chunk.toString())));
    socket.write('hello');
    expect(await said).toBe('hello');
    expect(dialled).toEqual(['93.184.215.14:443']);
    const ended = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    proxy.close();
    await ended;
    front.close();
    echo.close();
  });

  test('is not opened to a name that has one address inside, nor for a peer elsewhere', async () => {
    const outcomes: string[] = [];
    for (const [isLocal, addresses] of [
      [true, ['93.184.215.14', '10.0.0.1']],
      [false, ['93.184.215.14']],
    ] as const) {
      const proxy = createProxy({
        names: new Set(),
        egress: true,
        peerOf: () => ({ address: '192.0.2.1', isLocal }),
        log: { warn: (_about, message) => void outcomes.push(message ?? '') },
        ownPort: () => 1,
        resolve: async () => addresses,
        dial: () => {
          throw new Error('dialled');
        },
      });
      const { createServer: createHttp } = await import('node:http');
      const front = createHttp();
      front.on('connect', (asked, socket, head) => proxy.connect(asked, socket, head, () => undefined));
      await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve));
      const at = front.address();
      const { status, socket } = await tunnel('rebound.example:443', typeof at === 'object' && at !== null ? at.port : 0);
      socket.destroy();
      front.close();
      expect(status).toBe(403);
    }
    expect(outcomes).toEqual([expect.stringContaining('does not lead to a public address'), expect.stringContaining("programs of this server's own machine")]);
  });
});
