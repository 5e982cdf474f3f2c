/** What somebody sends below the level of requests: two readings of one message, connections that never say anything, messages that are much larger than they look. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, createServer, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../harness/server.ts';

const HOST = 'Host: localhost\r\n';
const FORGED = `GET /metrics HTTP/1.1\r\n${HOST}\r\n`;
const GET_JOB = { ':method': 'POST', ':path': '/google.cloud.run.v2.Jobs/GetJob', ':authority': 'run.googleapis.com', 'content-type': 'application/grpc', te: 'trailers' };

let server: TestServer;
let port = 0;
beforeAll(async () => {
  server = await startTestServer();
  port = Number(new URL(server.url).port);
});
afterAll(() => server.close());

/** What comes back until the server closes, or has answered and then said nothing more for a moment. */
function send(bytes: string | Buffer): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let all = '';
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (chunk) => {
      all += chunk.toString('latin1');
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(all));
    socket.write(bytes);
  });
}
const statuses = (answer: string) => (answer.match(/HTTP\/1\.1 \d{3}/g) ?? []).map((line) => Number(line.slice(9)));

function http2(headers: Record<string, string>, body?: Buffer): Promise<Record<string, unknown>> {
  return new Promise((resolve) => {
    const session = connectHttp2(server.url);
    const stream = session.request(headers);
    let seen: Record<string, unknown> = {};
    stream.on('response', (response) => {
      seen = { ...seen, ...response };
    });
    stream.on('trailers', (trailers) => {
      seen = { ...seen, ...trailers };
    });
    stream.on('error', (error) => {
      seen = { ...seen, error: error.message };
    });
    stream.on('close', () => {
      session.close();
      resolve(seen);
    });
    stream.resume();
    stream.end(body);
  });
}

describe('one message that two programs could read in two ways', () => {
  test.each<[string, string, number[]]>([
    ['a length and chunks', `POST /healthz HTTP/1.1\r\n${HOST}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${FORGED}`, [400]],
    ['two lengths', `POST /healthz HTTP/1.1\r\n${HOST}Content-Length: 4\r\nContent-Length: 60\r\n\r\nabcd${FORGED}`, [400]],
    ['a length that is none', `POST /healthz HTTP/1.1\r\n${HOST}Content-Length: +4\r\n\r\nabcd${FORGED}`, [400]],
    ['a chunk whose size is none', `POST /oauth2.googleapis.com/token HTTP/1.1\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n0\r\n\r\n${FORGED}`, [400]],
    ['a header over two lines', `GET /healthz HTTP/1.1\r\n${HOST}X: a\r\n b\r\n\r\n`, [400]],
    ['lines that end in one character', 'GET /healthz HTTP/1.1\nHost: localhost\n\n', [400]],
    ['a space before the colon', `GET /healthz HTTP/1.1\r\n${HOST}Content-Length : 60\r\n\r\n${FORGED}`, [400]],
    ['two hosts', `GET /healthz HTTP/1.1\r\n${HOST}Host: evil.example\r\n\r\n`, [400]],
    ['no host', 'GET /healthz HTTP/1.1\r\n\r\n', [400]],
    ['a host with a user', 'GET /healthz HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n', [400]],
    ['a host in the line and another in the header', `GET http://evil.example/healthz HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['a null in the path', `GET /healthz\u0000 HTTP/1.1\r\n${HOST}\r\n`, [400]],
    ['a way through to elsewhere', `CONNECT evil.example:80 HTTP/1.1\r\n${HOST}\r\n`, [403]],
  ])('%s: refused, and what follows is not answered', async (_what, message, expected) => {
    const answer = await send(message);
    expect(statuses(answer)).toEqual(expected);
    expect(answer).not.toContain('# HELP');
  });

  test('an upgrade is not taken; the first bytes alone choose the protocol', async () => {
    for (const upgrade of ['h2c', 'websocket']) expect(statuses(await send(`GET /healthz HTTP/1.1\r\n${HOST}Connection: Upgrade\r\nUpgrade: ${upgrade}\r\n\r\n`))).toEqual([200]);
    for (const bytes of [`PRI /healthz HTTP/1.1\r\n${HOST}\r\n`, Buffer.from([0x16, 3, 1, 0, 200, 1, 0, 0, 196])]) expect(statuses(await send(bytes))).toEqual([]);
  });

  test('the names of HTTP/2 are looked at like those of HTTP/1', async () => {
    expect(await http2({ ':path': '/healthz' })).toMatchObject({ ':status': 200 });
    expect(await http2({ ':path': '/healthz', ':authority': 'evil.example' })).toMatchObject({ ':status': 403 });
    expect(await http2({ ':path': '/healthz', host: 'evil.example' })).toMatchObject({ ':status': 403 });
  });
});

describe('headers that claim to be from elsewhere', () => {
  test('make nobody local, nobody else, and no page welcome', async () => {
    const lent = await startTestServer({ anonymousAs: ['user:dev@example.com'] });
    const status = async (headers: Record<string, string>) => (await lent.call('GET', '/actas/v1/status', undefined, { as: null, headers })).status;
    expect(await status({})).toBe(200);
    // What a proxy on this machine hands on is from anywhere.
    for (const name of ['x-forwarded-for', 'forwarded', 'via']) expect(await status({ [name]: '127.0.0.1' }), name).toBe(401);
    for (const name of ['x-forwarded-for', 'forwarded', 'x-real-ip', 'x-goog-authenticated-user-email', 'x-goog-iam-authorization-token']) {
      const answer = await server.call('GET', '/actas/v1/status', undefined, { as: null, headers: { [name]: 'user:owner@example.com' } });
      expect(answer.status, name).toBe(401);
    }
    const pages: readonly (readonly [string, string])[] = [
      ['origin', 'null'],
      ['origin', 'https://evil.example'],
      ['origin', 'http://localhost:1'],
      ['sec-fetch-site', 'cross-site'],
      ['sec-fetch-site', 'same-site'],
    ];
    for (const [name, value] of pages) expect(await status({ [name]: value }), value).toBe(403);
    await lent.close();
  });

  test('a form of a page changes nothing', async () => {
    for (const type of ['text/plain', 'application/x-www-form-urlencoded', 'multipart/form-data; boundary=x']) {
      const answer = await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', '{"accountId":"forged-sa"}', { headers: { 'content-type': type } });
      expect(answer.json.error).toMatchObject({ code: 400, message: expect.stringContaining('content-type') });
    }
  });
});

describe('handshakes that take their time', () => {
  test('a hundred that trickle keep nobody out, and are over in ten seconds and a little', async () => {
    const hello = await clientHello();
    const began = performance.now();
    const slow = Array.from({ length: 100 }, () => {
      const socket = connect(port, '127.0.0.1');
      const closed = new Promise<number>((resolve) => socket.once('close', () => resolve(performance.now() - began)));
      socket.on('error', () => undefined).resume();
      let sent = 20;
      socket.write(hello.subarray(0, sent));
      const trickle = setInterval(() => socket.write(hello.subarray(sent, (sent += 1))), 500);
      return closed.finally(() => clearInterval(trickle));
    });
    const answered = await new Promise<boolean>((resolve) => {
      const session = connectTls({ port, host: '127.0.0.1', servername: 'run.googleapis.com', ca: readFileSync(join(server.dataDir, 'ca.pem')) }, () =>
        resolve(session.authorized),
      );
      session.on('error', () => resolve(false));
    });
    expect(answered).toBe(true);
    const latest = Math.max(...(await Promise.all(slow)));
    expect(latest).toBeGreaterThan(9_000);
    expect(latest).toBeLessThan(20_000);
  });
});

/** The first message of a client of TLS, as node sends it. */
async function clientHello(): Promise<Buffer> {
  const listener = createServer().listen(0, '127.0.0.1');
  await once(listener, 'listening');
  // A server that listens on TCP has an address of this form.
  const client = connectTls({ port: (listener.address() as AddressInfo).port, host: '127.0.0.1', servername: 'run.googleapis.com' });
  client.on('error', () => undefined);
  const [socket] = await once(listener, 'connection');
  const [first] = await once(socket, 'data');
  client.destroy();
  listener.close();
  return first;
}

describe('more than it looks', () => {
  test('a hundred thousand headers', async () => {
    const headers = Array.from({ length: 100_000 }, (_, index) => `x${index}: 1\r\n`).join('');
    expect(statuses(await send(`GET /healthz HTTP/1.1\r\n${HOST}${headers}\r\n`))).toEqual([431]);
  });

  test('a compressed message of 200 MB, and one that says it is 4 GB', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * 1024 * 1024));
    const frame = (flags: number, length: number, rest: Buffer) => {
      const head = Buffer.alloc(5);
      head.writeUInt8(flags, 0);
      head.writeUInt32BE(length, 1);
      return Buffer.concat([head, rest]);
    };
    expect(await http2({ ...GET_JOB, 'grpc-encoding': 'gzip' }, frame(1, bomb.length, bomb))).toMatchObject({ 'grpc-status': '8' });
    expect(await http2(GET_JOB, frame(0, 0xffff_ffff, Buffer.alloc(1000)))).toMatchObject({ 'grpc-status': '8' });
  });

  test('two hundred connections that say nothing keep nobody out', async () => {
    const silent = await Promise.all(
      Array.from(
        { length: 200 },
        () =>
          new Promise<Socket>((resolve) => {
            const socket = connect(port, '127.0.0.1', () => resolve(socket));
            socket.on('error', () => undefined);
          }),
      ),
    );
    for (const socket of silent.slice(0, 100)) socket.write('PR');
    expect((await server.call('GET', '/healthz')).status).toBe(200);
    for (const socket of silent) socket.destroy();
  });
});
