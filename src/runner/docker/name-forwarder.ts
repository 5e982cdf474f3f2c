/**
 * Asks the name servers that a container would have asked without us. It hides ids, retries and timeouts. Each query goes out under a random id from a
 * port of its own, and only what the asked server itself sends back to that port, with that id and that question, is taken.
 */
import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { connect, isIP, isIPv6, type Socket } from 'node:net';
import { isResponseTo, type Query, withId } from './name-message.ts';

export interface NameServerAddress {
  readonly address: string;
  readonly port: number;
}

/** Sends a message to a server, and tells what came back from it until `isAnswer` takes one. @throws where the server refuses, or the signal is aborted */
export type Exchange = (server: NameServerAddress, message: Buffer, isAnswer: (received: Buffer) => boolean, signal: AbortSignal) => Promise<Buffer>;

export interface Exchanges {
  readonly datagram: Exchange;
  readonly stream: Exchange;
}

/** @param transport as the container asked: what does not fit into a datagram it asks again for, over TCP @returns undefined where no server answered */
export type Forward = (query: Query, transport: keyof Exchanges) => Promise<Buffer | undefined>;

/** Programs give up after five seconds, and Docker's own resolver after four. */
const SERVER_PATIENCE_MS = 1800;
const MAX_SERVERS = 2;
const MAX_MESSAGE_BYTES = 0xffff;
const PORT = 53;

/** @param servers asked for at each query */
export function createForwarder(servers: () => readonly NameServerAddress[], exchanges: Exchanges): Forward {
  return async (query, transport) => {
    for (const server of servers().slice(0, MAX_SERVERS)) {
      const message = withId(query.message, randomInt(0x10000));
      const sent = { message, questionEnd: query.questionEnd };
      try {
        const response = await exchanges[transport](server, message, (received) => isResponseTo(sent, received), AbortSignal.timeout(SERVER_PATIENCE_MS));
        return withId(response, query.message.readUInt16BE(0));
      } catch {
        // Refused, late or nonsense: to whoever asks it is all the same, and the next server may know.
      }
    }
    return undefined;
  };
}

/** By sockets of this machine. */
export const exchangesFromHere: Exchanges = {
  datagram: (server, message, isAnswer, signal) =>
    new Promise((resolve, reject) => {
      const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4');
      const finish = (settle: () => void) => {
        signal.removeEventListener('abort', late);
        socket.close();
        settle();
      };
      const late = () => finish(() => reject(new Error('no answer')));
      signal.addEventListener('abort', late);
      socket.once('error', (error) => finish(() => reject(error)));
      socket.on('message', (received) => {
        if (isAnswer(received)) finish(() => resolve(received));
      });
      // Connected: the kernel passes on what this server sends, and nobody else.
      socket.connect(server.port, server.address, () => socket.send(message));
    }),
  stream: (server, message, isAnswer, signal) => askByStream(() => connect({ host: server.address, port: server.port }), message, isAnswer, signal),
};

/** Over TCP, where each message has its length before it (RFC 1035 section 4.2.2). */
export function askByStream(open: () => Socket, message: Buffer, isAnswer: (received: Buffer) => boolean, signal: AbortSignal): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const socket = open();
    const finish = (settle: () => void) => {
      signal.removeEventListener('abort', late);
      socket.destroy();
      settle();
    };
    const late = () => finish(() => reject(new Error('no answer')));
    signal.addEventListener('abort', late);
    socket.on('error', (error) => finish(() => reject(error)));
    socket.once('close', () => finish(() => reject(new Error('the server closed the connection'))));
    const decoder = createStreamDecoder((received) => {
      if (isAnswer(received)) finish(() => resolve(received));
    });
    socket.on('data', decoder);
    socket.once('connect', () => socket.write(framed(message)));
  });
}

export function framed(message: Buffer): Buffer {
  const length = Buffer.alloc(2);
  length.writeUInt16BE(Math.min(message.length, MAX_MESSAGE_BYTES));
  return Buffer.concat([length, message]);
}

/** Takes bytes as they come, and tells each message that is whole. It keeps at most one that is not. */
export function createStreamDecoder(tell: (message: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= 2) {
      const end = 2 + rest.readUInt16BE(0);
      if (rest.length < end) return;
      const message = rest.subarray(2, end);
      rest = rest.subarray(end);
      tell(message);
    }
  };
}

/** This machine's own name servers, as they are now. */
export function ownNameServers(): readonly NameServerAddress[] {
  return new Resolver().getServers().flatMap((server) => readServer(server) ?? []);
}

/** @param text `10.0.0.1`, `10.0.0.1:5353`, `::1` or `[::1]:5353` @returns undefined for what is no address */
export function readServer(text: string): NameServerAddress | undefined {
  if (isIP(text.replace(/%.*$/, '')) !== 0) return { address: text, port: PORT };
  const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const address = bracketed ?? plain ?? '';
  return isIP(address.replace(/%.*$/, '')) === 0 || Number(port) > 0xffff ? undefined : { address, port: Number(port) };
}
