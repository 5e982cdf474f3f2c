/** What somebody sends to the front door, the proxy in it and the upstreams behind it, to reach what was not meant for them or to use it up. */
import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from '../harness/server.ts';
import { until } from '../harness/until.ts';

const CALLER = 'user:caller@example.com';
/** What reached the upstream. */
const seen: string[] = [];
let upstream: Server;
let server: TestServer;
let port: number;
let token: string;

beforeAll(async () => {
  // It answers before it has read a body, as many do.
  upstream = createServer((incoming, answer) => {
    seen.push(`${incoming.method} ${incoming.url}`);
    if (incoming.url?.endsWith('/switch') === true) incoming.socket.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
    else answer.end('{}');
  }).listen(0, '127.0.0.1');
  await once(upstream, 'listening');
  // It listens on an address.
  const origin = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`;
  server = await startTestServer({ upstreams: { 'storage.googleapis.com': { url: origin, project: 'demo' } } });
  port = Number(new URL(server.url).port);
  const policy = {
    bindings: [
      { role: 'roles/owner', members: ['user:owner@example.com'] },
      { role: 'roles/storage.objectAdmin', members: [CALLER] },
    ],
  };
  await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', { policy });
  token = await server.tokenOf(CALLER);
});
afterAll(async () => {
  await server.close();
  upstream.close();
  upstream.closeAllConnections();
});
beforeEach(() => {
  seen.length = 0;
});

/** What comes back until the other side closes, or says nothing more for a moment. */
function send(bytes: string): Promise<string> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    let all = '';
    socket.setTimeout(500, () => socket.destroy());
    socket.on('data', (chunk) => (all += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(all));
    socket.write(bytes);
  });
}

describe('a body in which another request stands', () => {
  const ALLOWED = '/storage/v1/b/data/o/a';
  const HIDDEN = 'DELETE /storage/v1/b/data/o/hidden HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const head = (verb: string, more: string) => `${verb} ${ALLOWED} HTTP/1.1\r\nHost: storage.googleapis.com\r\nAuthorization: Bearer ${token}\r\n${more}\r\n`;

  test.each(['GET', 'HEAD', 'DELETE'])('in chunks, of %s', async (verb) => {
    await send(head(verb, 'Transfer-Encoding: chunked\r\n') + `${HIDDEN.length.toString(16)}\r\n${HIDDEN}\r\n0\r\n\r\n`);
    await send(head('GET', ''));
    expect(seen).toEqual([`${verb} ${ALLOWED}`, `GET ${ALLOWED}`]);
  });

  test('whose length is said to be of the connection alone', async () => {
    await send(head('GET', `Content-Length: ${HIDDEN.length}\r\nConnection: content-length\r\n`) + HIDDEN);
    await send(head('GET', ''));
    expect(seen).toEqual([`GET ${ALLOWED}`, `GET ${ALLOWED}`]);
  });

  test.each(['GET', 'HEAD'])('over HTTP/2, of %s: no length is passed on without its body', async (verb) => {
    const session = connectHttp2(server.url);
    const call = (more: Record<string, string>, body?: string) =>
      new Promise<void>((resolve) => {
        const stream = session.request(
          { ':method': verb, ':path': ALLOWED, ':authority': 'storage.googleapis.com', authorization: `Bearer ${token}`, ...more },
          { endStream: body === undefined },
        );
        stream.resume().on('close', resolve);
        if (body !== undefined) stream.end(body);
      });
    await call({ 'content-length': '20' }, 'x'.repeat(20));
    await call({});
    await call({});
    session.close();
    expect(seen).toEqual([`${verb} ${ALLOWED}`, `${verb} ${ALLOWED}`, `${verb} ${ALLOWED}`]);
  });
});

describe('a path that the upstream could read in another way', () => {
  test.each(['data\\..\\secret/o/a', 'data/o/a\\..\\b', 'data/o/a%5C..%5Cb', 'data/o/secret#/public', 'data/o/..%2fb', 'data/../secret/o/a', 'data%2Fo/o/a'])(
    '%s goes nowhere',
    async (path) => {
      const answer = await send(`GET /storage/v1/b/${path} HTTP/1.1\r\nHost: storage.googleapis.com\r\nAuthorization: Bearer ${token}\r\n\r\n`);
      expect(answer).toMatch(/^HTTP\/1\.1 501 /);
      expect(seen).toEqual([]);
    },
  );

  test('an upstream that changes the protocol is an upstream that is not there', async () => {
    const answer = await send(`GET /storage/v1/b/data/o/switch HTTP/1.1\r\nHost: storage.googleapis.com\r\nAuthorization: Bearer ${token}\r\n\r\n`);
    expect(answer).toMatch(/^HTTP\/1\.1 503 /);
  });
});

describe('CONNECT', () => {
  const connectTo = (target: string) => `CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`;

  test.each([
    ['decimal', '2130706433.:443'],
    ['octal', '0177.0.0.1:443'],
    ['hexadecimal', '0x7f.0.0.1:443'],
    ['short', '127.1:443'],
    ['all of 127', '127.255.255.254:443'],
    ['all addresses', '0.0.0.0:443'],
    ['mapped', '[::ffff:127.0.0.1]:443'],
    ['mapped, in hexadecimal', '[::ffff:7f00:1]:443'],
    ['compatible', '[::127.0.0.1]:443'],
    ['by NAT64', '[64:ff9b::7f00:1]:443'],
    ['by 6to4', '[2002:7f00:1::]:443'],
    ['link-local', '[fe80::1]:443'],
    ['link-local with a zone', '[fe80::1%25lo]:443'],
    ['the metadata server', '169.254.169.254:443'],
    ['a name below localhost', 'a.localhost:443'],
    ['our port on another address of loopback', '127.0.0.2:8787'],
    ['port 0', '8.8.8.8:0'],
    ['a port beyond the last', '8.8.8.8:65979'],
    ['a port with a sign', '8.8.8.8:+443'],
    ['two ports', '8.8.8.8:443:22'],
    ['a user', 'a@8.8.8.8:443'],
    ['a user and a name of ours', 'run.googleapis.com@8.8.8.8:443'],
    ['a null', '8.8.8.8%00.googleapis.com:443'],
    ['a path', '8.8.8.8:443/'],
  ])('to what is inside, or is no target (%s), opens nothing: %s', async (_what, target) => {
    expect(await send(connectTo(target))).toMatch(/^HTTP\/1\.1 (?:400|403|502) /);
  });

  test('what is said of Host or of who one is changes nothing, and what follows a refusal is not read', async () => {
    for (const more of ['Host: run.googleapis.com:443', 'Host: localhost\r\nX-Forwarded-For: 8.8.8.8', `Host: localhost\r\nProxy-Authorization: Bearer ${token}`]) {
      const answer = await send(`CONNECT 127.0.0.1:22 HTTP/1.1\r\n${more}\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403']);
    }
  });

  test.each(['Via: 1.1 other', 'X-Forwarded-For: 192.0.2.1', 'Forwarded: for=192.0.2.1'])(
    'that another proxy hands on (%s) makes nobody a program of this machine',
    async (more) => {
      const answer = await send(`CONNECT run.googleapis.com:443 HTTP/1.1\r\nHost: run.googleapis.com\r\n${more}\r\n\r\nGET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 403']);
    },
  );

  test('a refused connection is given up, whether its client closes it or not', async () => {
    const sockets = await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket: Socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true });
        socket.on('error', () => undefined);
        socket.resume().write(connectTo('127.0.0.1:22'));
        await once(socket, 'end');
        return socket;
      }),
    );
    const isGone = (socket: Socket): boolean => !socket.write('x') || socket.destroyed;
    expect(await until('the server has let go of all', () => sockets.every(isGone))).toBe(true);
    for (const socket of sockets) socket.destroy();
  });

  test('into ourselves goes once, in the clear and in TLS', async () => {
    const answer = await send(`${connectTo(`localhost:${port}`)}${connectTo('run.googleapis.com:443')}${connectTo(`localhost:${port}`)}`);
    expect(answer.match(/HTTP\/1\.1 \d+/g)).toEqual(['HTTP/1.1 200', 'HTTP/1.1 403']);
    const ca = await (await fetch(`${server.url}/ca.pem`)).text();
    const outer = connectTls({ port, host: '127.0.0.1', servername: 'localhost', ca });
    outer.write(connectTo('run.googleapis.com:443'));
    expect(String((await once(outer, 'data'))[0])).toContain(' 200 ');
    const inner = connectTls({ socket: outer, servername: 'run.googleapis.com', ca });
    inner.write(connectTo('run.googleapis.com:443'));
    expect(String((await once(inner, 'data'))[0])).toContain(' 403 ');
    outer.destroy();
  });
});
