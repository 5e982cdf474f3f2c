import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { limitArrival } from './http2-limits.ts';
import { type Listener, listen } from './listen.ts';

/** Long enough for a busy machine to make a call within. */
const TIMES = { first: 400, idle: 400, farewell: 100 };
const ARRIVAL_MS = 400;
let listener: Listener;
let session: ClientHttp2Session;
let answers: (() => void)[];

beforeEach(async () => {
  answers = [];
  listener = await listen({
    host: '127.0.0.1',
    port: 0,
    sessionTimes: TIMES,
    handler: (request, response) => {
      limitArrival(request, ARRIVAL_MS);
      request.resume();
      if (request.url === '/now') response.end('now');
      else answers.push(() => response.end('late'));
    },
    door: { certificates: () => Promise.reject(new Error('no TLS here')), proxy: () => Promise.reject(new Error('no proxy here')), failed: () => undefined },
  });
  session = connect(`http://127.0.0.1:${listener.port}`);
  session.on('error', () => undefined);
});
afterEach(async () => {
  session.destroy();
  await listener.close(100);
});

/** Its last word: the code of RST_STREAM, or the text. */
async function result(stream: ReturnType<ClientHttp2Session['request']>): Promise<string> {
  let text = '';
  stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
  stream.on('error', () => undefined);
  await once(stream, 'close');
  return text || `reset ${stream.rstCode}`;
}

describe('a session', () => {
  test('that carries no call is told, and ended', async () => {
    const [code] = await once(session, 'goaway');
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    await once(session, 'close');
  });

  test('whose client takes no notice is cut', async () => {
    const socket = connectTcp({ port: listener.port, host: '127.0.0.1', allowHalfOpen: true });
    socket.resume().on('error', () => undefined);
    const began = performance.now();
    socket.write(Buffer.concat([Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'), Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])]));
    await once(socket, 'end');
    expect(performance.now() - began).toBeGreaterThan(TIMES.first);
    // Nothing reads there any more: what is sent is answered with a reset.
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const writing = setInterval(() => socket.write('x'), 10);
    await closed;
    clearInterval(writing);
  });

  test('is kept while a call waits for its answer, and ended some time after the last one', async () => {
    const waiting = result(session.request({ ':path': '/late' }));
    let isEnded = false;
    session.once('goaway', () => (isEnded = true));
    // Longer than every limit.
    await new Promise((resolve) => setTimeout(resolve, 2 * TIMES.idle));
    expect(isEnded).toBe(false);
    for (const answer of answers) answer();
    expect(await waiting).toBe('late');
    expect(await result(session.request({ ':path': '/now' }))).toBe('now');
    await once(session, 'goaway');
  });
});

describe('a request', () => {
  test('that never comes as a whole is ended, whatever trickles in', async () => {
    const stream = session.request({ ':path': '/late', ':method': 'POST' });
    const trickle = setInterval(() => stream.destroyed || stream.write('x'), 20);
    expect(await result(stream)).toBe(`reset ${constants.NGHTTP2_CANCEL}`);
    clearInterval(trickle);
  });

  test('that has come may be answered at any time', async () => {
    const stream = session.request({ ':path': '/late', ':method': 'POST' });
    const waiting = result(stream);
    stream.end('all of it');
    await new Promise((resolve) => setTimeout(resolve, 2 * ARRIVAL_MS));
    for (const answer of answers) answer();
    expect(await waiting).toBe('late');
  });
});
