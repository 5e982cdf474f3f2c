import { Agent, get } from 'node:http';
import { connect as connectHttp2 } from 'node:http2';
import { connect } from 'node:net';
import { expect, test } from 'vitest';
import { listen } from './listen.ts';

const handler: Parameters<typeof listen>[0]['handler'] = (request, response) => void response.end(`HTTP/${request.httpVersionMajor}`);

/** For tests of what comes in the clear. */
const door: Parameters<typeof listen>[0]['door'] = {
  certificates: () => Promise.reject(new Error('no TLS here')),
  proxy: () => Promise.reject(new Error('no proxy here')),
  failed: () => undefined,
};

function text(port: number, agent: Agent): Promise<string> {
  return new Promise((resolve, reject) => {
    get({ host: '127.0.0.1', port, agent }, (response) => {
      let all = '';
      response.on('data', (chunk: Buffer) => (all += chunk.toString()));
      response.on('end', () => resolve(all));
    }).on('error', reject);
  });
}

test('one port speaks HTTP/1 and HTTP/2, also when the first bytes come one by one', async () => {
  const listener = await listen({ host: '127.0.0.1', port: 0, handler, door });
  const agent = new Agent();
  expect(await text(listener.port, agent)).toBe('HTTP/1');
  const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
  const stream = session.request({ ':path': '/' });
  expect(await new Promise((resolve) => stream.on('data', (chunk: Buffer) => resolve(chunk.toString())))).toBe('HTTP/2');
  session.close();
  const slow = connect({ host: '127.0.0.1', port: listener.port });
  const answered = new Promise<string>((resolve) => slow.on('data', (chunk: Buffer) => resolve(chunk.toString())));
  for (const byte of 'GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n') await new Promise<void>((resolve) => slow.write(byte, () => setImmediate(resolve)));
  expect(await answered).toContain('200 OK');
  await listener.close(5000);
});

test('closing does not wait for connections that do nothing', async () => {
  const listener = await listen({ host: '127.0.0.1', port: 0, handler, door });
  const agent = new Agent({ keepAlive: true });
  await text(listener.port, agent);
  const silent = connect({ host: '127.0.0.1', port: listener.port });
  await new Promise<void>((resolve) => silent.once('connect', () => resolve()));
  const session = connectHttp2(`http://127.0.0.1:${listener.port}`);
  await new Promise<void>((resolve) => session.once('remoteSettings', () => resolve()));
  silent.on('error', () => undefined);
  const began = performance.now();
  await listener.close(5000);
  expect(performance.now() - began).toBeLessThan(1500);
  agent.destroy();
  session.close();
});

test('a connection that cannot be served is closed, and the next one is served', async () => {
  const listener = await listen({ host: '127.0.0.1', port: 0, handler, door });
  for (const bytes of [Buffer.from('1603010005', 'hex'), 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n']) {
    const socket = connect({ host: '127.0.0.1', port: listener.port });
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    socket.write(bytes);
    await closed;
  }
  expect(await text(listener.port, new Agent())).toBe('HTTP/1');
  await listener.close(100);
});

test('a port that is taken is said in words', async () => {
  const first = await listen({ host: '127.0.0.1', port: 0, handler, door });
  await expect(listen({ host: '127.0.0.1', port: first.port, handler, door })).rejects.toThrow(`Port ${first.port} on 127.0.0.1 is taken.`);
  await first.close(100);
});
