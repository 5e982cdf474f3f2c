/**
 * Answers tasks' questions for names: those of Google's APIs with where the front door is, all others with what the name servers say that the container
 * would have asked otherwise. It holds no socket: whoever listens on the tasks' bridge hands it datagrams and connections of leased addresses.
 * Invariants: what is in work is bounded, for each task and in all; no message whatever makes it fail; it keeps nothing of what it passed on.
 */
import type { Socket } from 'node:net';
import { createStreamDecoder, type Forward, framed } from './name-forwarder.ts';
import { answerWith, fitDatagram, type Query, RCODE, readQuery, refuse } from './name-message.ts';

export interface NameServerOptions {
  /** Whether a name, in lower case, is answered with `address`. */
  readonly answers: (name: string) => boolean;
  readonly address: string;
  readonly forward: Forward;
}

export interface NameServer {
  /** @param reply sends a datagram back to where it came from */
  datagram(message: Buffer, from: string, reply: (message: Buffer) => void): void;
  stream(socket: Socket, from: string): void;
}

/** So that a program that keeps names for long finds its way soon after a change. */
const TTL_SECONDS = 60;
const MAX_IN_WORK = 1024;
const MAX_IN_WORK_OF_ONE = 128;
const MAX_STREAMS_OF_ONE = 32;
const STREAM_IDLE_MS = 10_000;

export function createNameServer({ answers, address, forward }: NameServerOptions): NameServer {
  const inWork = createTally(MAX_IN_WORK, MAX_IN_WORK_OF_ONE);
  const streams = createTally(MAX_IN_WORK, MAX_STREAMS_OF_ONE);

  /** @returns undefined where there is to be no answer */
  const work = async (message: Buffer, from: string, transport: 'datagram' | 'stream'): Promise<{ query?: Query; response: Buffer } | undefined> => {
    const query = readQuery(message);
    if (query === undefined) return undefined;
    if (typeof query === 'number') return { response: refuse(message, query) };
    if (answers(query.name)) return { query, response: answerWith(query, address, TTL_SECONDS) };
    // A datagram that gets no answer is sent again; whoever asks over TCP waits.
    if (!inWork.enter(from)) return transport === 'datagram' ? undefined : { query, response: refuse(query, RCODE.serverFailure) };
    try {
      return { query, response: (await forward(query, transport)) ?? refuse(query, RCODE.serverFailure) };
    } finally {
      inWork.leave(from);
    }
  };
  const answerDatagram = async (message: Buffer, from: string, reply: (message: Buffer) => void): Promise<void> => {
    const done = await work(message, from, 'datagram');
    if (done !== undefined) reply(done.query === undefined ? done.response : fitDatagram(done.query, done.response));
  };
  const answerStream = async (message: Buffer, from: string, socket: Socket): Promise<void> => {
    const done = await work(message, from, 'stream');
    if (done === undefined) socket.destroy();
    else if (socket.writable) socket.write(framed(done.response));
  };
  return {
    datagram: (message, from, reply) => void answerDatagram(message, from, reply),
    stream(socket, from) {
      socket.on('error', () => socket.destroy());
      if (!streams.enter(from)) return void socket.destroy();
      socket.once('close', () => streams.leave(from));
      socket.setTimeout(STREAM_IDLE_MS, () => socket.destroy());
      const decode = createStreamDecoder((message) => void answerStream(message, from, socket));
      socket.on('data', (chunk: Buffer) => {
        decode(chunk);
        // Whoever takes no answers gets no more.
        if (socket.writableNeedDrain) {
          socket.pause();
          socket.once('drain', () => socket.resume());
        }
      });
    },
  };
}

interface Tally {
  enter(who: string): boolean;
  leave(who: string): void;
}

function createTally(most: number, mostOfOne: number): Tally {
  const counts = new Map<string, number>();
  let all = 0;
  return {
    enter(who) {
      const own = counts.get(who) ?? 0;
      if (all >= most || own >= mostOfOne) return false;
      counts.set(who, own + 1);
      all++;
      return true;
    },
    leave(who) {
      const own = counts.get(who) ?? 0;
      if (own <= 1) counts.delete(who);
      else counts.set(who, own - 1);
      all--;
    },
  };
}
