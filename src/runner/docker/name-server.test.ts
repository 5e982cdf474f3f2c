import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { connect, createServer, type Server } from 'node:net';
import { type DecodedPacket, decode, encode, type Packet } from 'dns-packet';
import fc from 'fast-check';
import { afterEach, describe, expect, test } from 'vitest';
import { createForwarder, createStreamDecoder, type Exchanges, exchangesFromHere, framed, type NameServerAddress, readServer } from './name-forwarder.ts';
import { RCODE } from './name-message.ts';
import { createNameServer, type NameServer } from './name-server.ts';

const undo: (() => void)[] = [];
afterEach(() => {
  for (const step of undo.splice(0).reverse()) step();
});

const isGoogle = (name: string) => name === 'googleapis.com' || name.endsWith('.googleapis.com');
const question = (name: string, type = 'A', more: Partial<Packet> = {}) =>
  // The library's types lack newer kinds of records.
  encode({ type: 'query', id: 77, flags: 0x0100, questions: [{ name, type: type as 'A' }], ...more });
const rcodeOf = (message: Buffer) => message.readUInt16BE(2) & 0xf;

function serverWith(servers: readonly NameServerAddress[], exchanges: Exchanges = exchangesFromHere): NameServer {
  return createNameServer({ answers: isGoogle, address: '169.254.169.254', forward: createForwarder(() => servers, exchanges) });
}
function ask(server: NameServer, message: Buffer, from = '10.0.0.2'): Promise<Buffer> {
  return new Promise((resolve) => server.datagram(message, from, resolve));
}

/** Another name server. @param answer what it sends for a query, in order */
async function upstream(
  answer: (query: DecodedPacket, message: Buffer) => readonly Buffer[],
): Promise<{ readonly address: NameServerAddress; readonly asked: { id: number; port: number }[] }> {
  const asked: { id: number; port: number }[] = [];
  const udp = await new Promise<DatagramSocket>((resolve) => {
    const socket = createSocket('udp4').bind(0, '127.0.0.1', () => resolve(socket));
  });
  const { port } = udp.address();
  udp.on('message', (message, from) => {
    asked.push({ id: message.readUInt16BE(0), port: from.port });
    for (const response of answer(decode(message), message)) udp.send(response, from.port, from.address);
  });
  const tcp = await new Promise<Server>((resolve) => {
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on(
        'data',
        createStreamDecoder((message) => {
          for (const response of answer(decode(message), message)) socket.write(framed(response));
        }),
      );
    }).listen(port, '127.0.0.1', () => resolve(server));
  });
  undo.push(() => {
    udp.close();
    tcp.close();
  });
  return { address: { address: '127.0.0.1', port }, asked };
}
const addresses = (count: number) => (query: DecodedPacket) => [
  encode({
    type: 'response',
    id: query.id ?? 0,
    questions: query.questions ?? [],
    answers: Array.from({ length: count }, (_, index) => ({ type: 'A' as const, name: query.questions?.[0]?.name ?? '', ttl: 5, data: `192.0.2.${index % 250}` })),
  }),
];

describe('names of Google', () => {
  test('lead to the front door, whatever their case, and nobody else is asked', async () => {
    const server = serverWith([]);
    for (const name of ['run.googleapis.com', 'US-central1-Run.GoogleAPIs.com', 'googleapis.com', 'a.b.googleapis.com']) {
      const { id, questions, answers, rcode } = decode(await ask(server, question(name))) as DecodedPacket & { rcode: string };
      expect({ id, questions, answers, rcode }).toMatchObject({ id: 77, rcode: 'NOERROR', questions: [{ name }], answers: [{ name, type: 'A', data: '169.254.169.254' }] });
    }
  });
  test('have no other records: programs fall back to the address', async () => {
    const server = serverWith([]);
    for (const type of ['AAAA', 'TXT', 'SRV', 'UNKNOWN_65', 'UNKNOWN_64', 'CNAME']) {
      const message = await ask(server, question('run.googleapis.com', type));
      expect([type, rcodeOf(message), decode(message).answers]).toEqual([type, 0, []]);
    }
  });
});

describe('other names', () => {
  test('are asked of the name servers, under an id and from a port of their own, and answered as they answer', async () => {
    const { address, asked } = await upstream(addresses(2));
    const server = serverWith([address]);
    const responses = await Promise.all(Array.from({ length: 40 }, () => ask(server, question('example.com'))));
    for (const response of responses) expect(decode(response)).toMatchObject({ id: 77, answers: [{ data: '192.0.2.0' }, { data: '192.0.2.1' }] });
    expect(new Set(asked.map(({ port }) => port)).size).toBeGreaterThan(30);
    expect(new Set(asked.map(({ id }) => id)).size).toBeGreaterThan(30);
  });

  test('a response to something else is not taken, and the right one after it is', async () => {
    const forged = { type: 'A' as const, ttl: 5, data: '203.0.113.66' };
    const { address } = await upstream((query) => {
      const questions = query.questions ?? [];
      const name = questions[0]?.name ?? '';
      const id = query.id ?? 0;
      return [
        Buffer.from('nonsense'),
        encode({ type: 'response', id: (id + 1) % 0x10000, questions, answers: [{ ...forged, name }] }),
        encode({ type: 'query', id, questions, answers: [{ ...forged, name }] }),
        encode({ type: 'response', id, questions: [{ type: 'A', name: 'example.net' }], answers: [{ ...forged, name: 'example.net' }] }),
        encode({ type: 'response', id, answers: [{ ...forged, name }] }),
        ...addresses(1)(query),
      ];
    });
    expect(decode(await ask(serverWith([address]), question('example.com'))).answers).toMatchObject([{ data: '192.0.2.0' }]);
  });

  test('what comes from another port, with the right id and question, is not taken', async () => {
    const [real, intruder] = [createSocket('udp4'), createSocket('udp4')];
    undo.push(
      () => real.close(),
      () => intruder.close(),
    );
    await new Promise<void>((resolve) => real.bind(0, '127.0.0.1', resolve));
    real.on('message', (message, { port }) => {
      const { id = 0, questions = [] } = decode(message);
      const response = (data: string) => encode({ type: 'response', id, questions, answers: [{ type: 'A', name: 'example.com', ttl: 5, data }] });
      intruder.send(response('203.0.113.66'), port, '127.0.0.1', () => real.send(response('192.0.2.1'), port, '127.0.0.1'));
    });
    const server = serverWith([{ address: '127.0.0.1', port: real.address().port }]);
    expect(decode(await ask(server, question('example.com'))).answers).toMatchObject([{ data: '192.0.2.1' }]);
  });

  test('the second server is asked where the first is silent or says nonsense, and none is an error', async () => {
    const silent = await upstream(() => []);
    const there = await upstream(addresses(1));
    expect(decode(await ask(serverWith([silent.address, there.address]), question('example.com'))).answers).toHaveLength(1);
    expect(rcodeOf(await ask(serverWith([{ address: '127.0.0.1', port: 1 }]), question('example.com')))).toBe(RCODE.serverFailure);
    expect(rcodeOf(await ask(serverWith([]), question('example.com')))).toBe(RCODE.serverFailure);
  });

  test('what does not fit a datagram says so, and comes whole over TCP', async () => {
    const { address } = await upstream(addresses(100));
    const server = serverWith([address]);
    const short = await ask(server, question('example.com'));
    expect(short.length).toBeLessThanOrEqual(512);
    expect(decode(short)).toMatchObject({ flag_tc: true, answers: [] });
    const wide = question('example.com', 'A', {
      additionals: [{ type: 'OPT', name: '.', udpPayloadSize: 4096, flags: 0, options: [], extendedRcode: 0, ednsVersion: 0, flag_do: false }],
    });
    expect(decode(await ask(server, wide)).answers).toHaveLength(100);
    const listener = await new Promise<Server>((resolve) => {
      const opened = createServer((socket) => server.stream(socket, '10.0.0.2')).listen(0, '127.0.0.1', () => resolve(opened));
    });
    undo.push(() => listener.close());
    const bound = listener.address();
    const whole = await new Promise<Buffer>((resolve) => {
      const socket = connect(typeof bound === 'object' && bound !== null ? bound.port : 0, '127.0.0.1', () => {
        // Byte by byte, and another query behind it.
        for (const byte of framed(question('example.com'))) socket.write(Buffer.from([byte]));
      });
      socket.on(
        'data',
        createStreamDecoder((message) => resolve(message)),
      );
      undo.push(() => socket.destroy());
    });
    expect(decode(whole).answers).toHaveLength(100);
  });
});

describe('whoever asks wrongly', () => {
  test('never makes it fail, and a response is never answered', async () => {
    const server = serverWith([]);
    const told: Buffer[] = [];
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), fc.boolean(), fc.nat(), async (bytes, isQuery, cut) => {
        // Noise, and queries with a byte changed and an end cut off.
        const message = isQuery ? question('run.googleapis.com') : Buffer.from(bytes);
        if (isQuery) message[cut % message.length] = bytes[0] ?? 0;
        const sent = isQuery ? message.subarray(0, message.length - (cut % 4)) : message;
        server.datagram(sent, '10.0.0.2', (reply) => {
          told.push(reply);
          expect(reply.readUInt16BE(0)).toBe(sent.readUInt16BE(0));
          expect(sent.readUInt16BE(2) & 0x8000).toBe(0);
        });
      }),
      { numRuns: 2000 },
    );
    expect(told.length).toBeGreaterThan(100);
  });
  test('is told what was wrong', async () => {
    const server = serverWith([]);
    const two = encode({
      type: 'query',
      id: 1,
      questions: [
        { type: 'A', name: 'a.googleapis.com' },
        { type: 'A', name: 'b.example.com' },
      ],
    });
    expect(rcodeOf(await ask(server, two))).toBe(RCODE.formatError);
    const update = question('run.googleapis.com');
    update.writeUInt16BE(0x2800, 2);
    expect(rcodeOf(await ask(server, update))).toBe(RCODE.notImplemented);
    const chaos = encode({ type: 'query', id: 1, questions: [{ type: 'TXT', name: 'version.bind', class: 'CH' }] });
    expect(rcodeOf(await ask(server, chaos))).toBe(RCODE.refused);
    // A name that points to itself.
    const loop = Buffer.concat([question('x').subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])]);
    expect(rcodeOf(await ask(server, loop))).toBe(RCODE.formatError);
  });
  test('or too much, keeps nobody else waiting', async () => {
    const waiting: (() => void)[] = [];
    const held: Exchanges['datagram'] = (_server, message) => new Promise((resolve) => waiting.push(() => resolve(Buffer.from(message))));
    const server = serverWith([{ address: '192.0.2.1', port: 53 }], { datagram: held, stream: held });
    for (let index = 0; index < 500; index++) server.datagram(question('example.com'), '10.0.0.2', () => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(waiting).toHaveLength(128);
    for (let index = 0; index < 5; index++) server.datagram(question('example.com'), '10.0.0.3', () => undefined);
    await new Promise((resolve) => setImmediate(resolve));
    expect(waiting).toHaveLength(133);
    for (const release of waiting) release();
  });
});

test('addresses of name servers are read as node tells them', () => {
  expect(['10.0.0.1', '10.0.0.1:5353', '::1', '[::1]:5353', 'fe80::1%eth0'].map(readServer)).toEqual([
    { address: '10.0.0.1', port: 53 },
    { address: '10.0.0.1', port: 5353 },
    { address: '::1', port: 53 },
    { address: '::1', port: 5353 },
    { address: 'fe80::1%eth0', port: 53 },
  ]);
  expect(['', 'example.com', 'example.com:53', '10.0.0.1:99999', '[10.0.0.1', '10.0.0.256'].map(readServer)).toEqual(Array(6).fill(undefined));
});
