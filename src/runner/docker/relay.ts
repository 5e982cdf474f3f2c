/**
 * The relay: a program of ours in the engine's own network, for hosts that have no part in it or may set no packet rules there. It hides how one is
 * started, spoken with and replaced. What it runs is relay-program.ts, where it stands is relay-place.ts; the two sides speak frames over the program's
 * standard input and output, which only whoever controls the engine gets hold of.
 * Invariants: a connection is refused before a byte of it is read unless `arrived` takes it; when the relay is lost another one takes its place,
 * on the same ports, and its connections are closed.
 */
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { reasonOf } from './engine-calls.ts';
import type { Channel, RelayPlace } from './relay-place.ts';
import {
  type Arrival,
  type AskRequest,
  type AskResult,
  createFrameDecoder,
  type Datagram,
  encodeFrame,
  encodeJson,
  FRAME,
  type ListenRequest,
  type ListenResult,
  type RunRequest,
  type RunResult,
} from './relay-program.ts';
import { RelaySocket } from './relay-socket.ts';

export interface RelayOptions {
  readonly place: RelayPlace;
  /** Answers whether the connection is wanted; then it is the callee's. */
  readonly arrived: (listener: string, address: string, open: () => Socket) => void;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Relay {
  /** @throws Error with what the program said */
  run(request: RunRequest): Promise<string>;
  /** @returns the port that was bound */
  listen(request: ListenRequest): Promise<number>;
  /** @param arrived is told each datagram, and how to send one back @returns the port that was bound */
  listenForDatagrams(request: ListenRequest, arrived: (datagram: Datagram, reply: (data: string) => void) => void): Promise<number>;
  /** The name servers of where the relay stands. */
  nameServers(): Promise<readonly string[]>;
  /** A datagram from where the relay stands, and what its receiver sends back. @returns the end of the asking */
  ask(to: Datagram, told: (result: AskResult) => void): () => void;
  /** A connection from where the relay stands. */
  dial(address: string, port: number): Socket;
  /** Called after a lost relay was replaced: rules and listeners are to be made anew. */
  onReplaced(prepare: () => Promise<void>): void;
  close(): Promise<void>;
}

const START_PATIENCE_MS = 20_000;
const FIRST_DELAY_MS = 200;
const LONGEST_DELAY_MS = 10_000;

/** @throws Error that says why it cannot run */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const { place, log } = options;
  let isClosed = false;
  let prepare: (() => Promise<void>) | undefined;
  let link = await connectRelay(options);
  const watch = async () => {
    for (let delayMs = FIRST_DELAY_MS; ; ) {
      await link.ended;
      if (isClosed) return;
      log.warn({ relay: place.description }, 'The relay to the tasks is lost; another one is started.');
      for (let isUp = false; !isUp && !isClosed; ) {
        await sleep(delayMs, undefined, { ref: false });
        try {
          link = await connectRelay(options);
          await prepare?.();
          isUp = true;
          delayMs = FIRST_DELAY_MS;
        } catch (error) {
          link.end();
          delayMs = Math.min(LONGEST_DELAY_MS, delayMs * 2);
          log.warn({ err: error }, 'The relay to the tasks cannot be started yet.');
        }
      }
      if (isClosed) return;
    }
  };
  const watching = watch();
  return {
    async run(request) {
      const { output, error } = await link.ask<RunResult>(FRAME.run, request);
      if (error !== undefined) throw new Error(`${request.program}: ${error}`);
      return output ?? '';
    },
    async listen(request) {
      const { port, error } = await link.ask<ListenResult>(FRAME.listen, request);
      if (port === undefined) throw new Error(`the relay cannot listen on ${request.address}: ${error ?? 'no port'}`);
      return port;
    },
    async listenForDatagrams(request, arrived) {
      const { port, error } = await link.listenForDatagrams(request, arrived);
      if (port === undefined) throw new Error(`the relay cannot listen for datagrams on ${request.address}: ${error ?? 'no port'}`);
      return port;
    },
    async nameServers() {
      const { nameServers, error } = await link.ask<AskResult>(FRAME.ask, {} satisfies AskRequest);
      if (nameServers === undefined) throw new Error(`the relay knows no name servers: ${error ?? ''}`);
      return nameServers;
    },
    ask: (to, told) => link.follow({ to }, told),
    dial: (address, port) => link.dial(address, port),
    onReplaced: (then) => (prepare = then),
    async close() {
      isClosed = true;
      link.end();
      await place.remove().catch((error: unknown) => log.warn({ err: error }, 'The relay could not be removed.'));
      await watching;
    },
  };
}

interface Link {
  readonly ended: Promise<void>;
  ask<T>(kind: number, request: object): Promise<T>;
  /** Answers of a question that may have several, until the returned function is called. */
  follow(request: AskRequest, told: (result: AskResult) => void): () => void;
  listenForDatagrams(request: ListenRequest, arrived: (datagram: Datagram, reply: (data: string) => void) => void): Promise<ListenResult>;
  dial(address: string, port: number): Socket;
  end(): void;
}

/** Starts a relay, and answers once it does. */
async function connectRelay({ place, arrived }: RelayOptions): Promise<Link> {
  try {
    const link = speak(await place.start(), arrived);
    const late = sleep(START_PATIENCE_MS, undefined, { ref: false }).then(() => Promise.reject(new Error(`it did not answer within ${START_PATIENCE_MS / 1000} s`)));
    const { error } = await Promise.race([link.ask<RunResult>(FRAME.run, { program: 'iptables-save', args: ['-t', 'nat'] }), late]);
    if (error !== undefined) {
      link.end();
      throw new Error(`iptables does not work in it: ${error}`);
    }
    return link;
  } catch (error) {
    await place.remove().catch(() => undefined);
    throw new Error(`the relay (${place.description}) cannot run: ${reasonOf(error)}`, { cause: error });
  }
}

function speak(channel: Channel, arrived: RelayOptions['arrived']): Link {
  const sockets = new Map<number, RelaySocket>();
  const questions = new Map<number, { readonly resolve: (value: object) => void; readonly reject: (error: Error) => void }>();
  const followers = new Map<number, (result: AskResult) => void>();
  const datagrams = new Map<number, (datagram: Datagram) => void>();
  const over = Promise.withResolvers<void>();
  let isOver = false;
  // Ours are even, the relay's odd.
  let next = 2;
  const send = (frame: Buffer) => void (isOver || channel.write(frame));
  const adopt = (id: number, peer: string, isOpen: boolean): RelaySocket => {
    const socket = new RelaySocket(id, peer, isOpen, send);
    sockets.set(id, socket);
    socket.once('close', () => sockets.delete(id));
    return socket;
  };
  const decode = createFrameDecoder((id, kind, payload) => {
    if (kind === FRAME.ran || kind === FRAME.listening) return questions.get(id)?.resolve(JSON.parse(payload.toString()));
    if (kind === FRAME.datagram) return datagrams.get(id)?.(JSON.parse(payload.toString()));
    if (kind === FRAME.told) {
      const result = JSON.parse(payload.toString());
      return followers.get(id)?.(result) ?? questions.get(id)?.resolve(result);
    }
    const known = sockets.get(id);
    if (known !== undefined || kind !== FRAME.opened) return known?.receive(kind, payload);
    // Our own program wrote it.
    const { listener = '', address = '' } = JSON.parse(payload.toString()) as Arrival;
    let isTaken = false;
    arrived(listener, address.replace(/^::ffff:/, ''), () => {
      isTaken = true;
      send(encodeFrame(id, FRAME.accept));
      return adopt(id, address, true);
    });
    if (!isTaken) send(encodeFrame(id, FRAME.close));
  });
  const finish = (complaint: string) => {
    if (isOver) return;
    isOver = true;
    const error = new Error(`the relay ended${complaint === '' ? '' : `: ${complaint.trim()}`}`);
    for (const { reject } of questions.values()) reject(error);
    for (const socket of sockets.values()) socket.destroy();
    over.resolve();
  };
  channel.listen(decode, finish);
  const take = () => (next += 2);
  const question = (id: number, kind: number, request: object): Promise<never> => {
    const answer = new Promise<object>((resolve, reject) => {
      if (isOver) reject(new Error('the relay is lost'));
      questions.set(id, { resolve, reject });
    }).finally(() => questions.delete(id));
    send(encodeJson(id, kind, request));
    // The program answers a question of a kind with its own result.
    return answer as Promise<never>;
  };
  return {
    ended: over.promise,
    ask: (kind, request) => question(take(), kind, request),
    listenForDatagrams(request, arrived) {
      const id = take();
      datagrams.set(id, (datagram) => {
        const { address, port } = datagram;
        arrived({ ...datagram, address: address.replace(/^::ffff:/, '') }, (data) => send(encodeJson(id, FRAME.datagram, { address, port, data } satisfies Datagram)));
      });
      return question(id, FRAME.listenForDatagrams, request);
    },
    follow(request, told) {
      const id = take();
      if (isOver) told({ error: 'the relay is lost' });
      followers.set(id, told);
      send(encodeJson(id, FRAME.ask, request));
      return () => {
        if (followers.delete(id)) send(encodeFrame(id, FRAME.told));
      };
    },
    dial(address, port) {
      const socket = adopt(take(), address, false);
      if (isOver) socket.destroy(new Error('the relay is lost'));
      else send(encodeJson(next, FRAME.dial, { address, port }));
      return socket;
    },
    end: () => channel.end(),
  };
}
