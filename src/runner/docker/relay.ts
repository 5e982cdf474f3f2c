/**
 * The relay: a container of ours in the engine's own network, for hosts that have no part in it or may set no packet rules there. It hides how such a
 * container is made, attached to and replaced. What it runs is relay-program.ts; the two speak frames over the container's standard input and
 * output, which only whoever controls the engine can attach to.
 * Invariants: a connection is refused before a byte of it is read unless `arrived` takes it; when the relay is lost another one takes its place,
 * on the same ports, and its connections are closed.
 */
import { readFile } from 'node:fs/promises';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import type Docker from 'dockerode';
import type { Naming } from './container-options.ts';
import { reasonOf, removeContainer } from './engine-calls.ts';
import { LABEL_OWNER, relayName } from './labels.ts';
import {
  type Arrival,
  createFrameDecoder,
  encodeFrame,
  encodeJson,
  FRAME,
  type ListenRequest,
  type ListenResult,
  RELAY_NAME,
  type RunRequest,
  type RunResult,
} from './relay-program.ts';
import { RelaySocket } from './relay-socket.ts';

export interface RelayOptions {
  readonly docker: Docker;
  readonly naming: Naming;
  /** What the engine knows: an image with `node` (18 or later) and `iptables`. */
  readonly image: string;
  /** Answers whether the connection is wanted; then it is the callee's. */
  readonly arrived: (listener: string, address: string, open: () => Socket) => void;
  readonly log: { warn(fields: object, message: string): void };
}

export interface Relay {
  /** @throws Error with what the program said */
  run(request: RunRequest): Promise<string>;
  /** @returns the port that was bound */
  listen(request: ListenRequest): Promise<number>;
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
  const { docker, naming, log } = options;
  let isClosed = false;
  let prepare: (() => Promise<void>) | undefined;
  let link = await connectRelay(options);
  const watch = async () => {
    for (let delayMs = FIRST_DELAY_MS; ; ) {
      await link.ended;
      if (isClosed) return;
      log.warn({ relay: relayName(naming.scope) }, 'The relay to the tasks is lost; another one is started.');
      for (let isUp = false; !isUp && !isClosed; ) {
        await sleep(delayMs, undefined, { ref: false });
        try {
          link = await connectRelay(options);
          await prepare?.();
          isUp = true;
          delayMs = FIRST_DELAY_MS;
        } catch (error) {
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
    dial: (address, port) => link.dial(address, port),
    onReplaced: (then) => (prepare = then),
    async close() {
      isClosed = true;
      link.end();
      await removeContainer(docker, relayName(naming.scope)).catch((error: unknown) => log.warn({ err: error }, 'The relay could not be removed.'));
      await watching;
    },
  };
}

interface Link {
  readonly ended: Promise<void>;
  ask<T>(kind: number, request: object): Promise<T>;
  dial(address: string, port: number): Socket;
  end(): void;
}

/** Starts a relay in the place of one that may be there, and answers once it does. */
async function connectRelay(options: RelayOptions): Promise<Link> {
  const { docker, naming } = options;
  await removeContainer(docker, relayName(naming.scope));
  const container = await docker.createContainer(await containerOptions(options));
  try {
    const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
    const link = speak(stream, options.arrived);
    await container.start();
    const late = sleep(START_PATIENCE_MS, undefined, { ref: false }).then(() => Promise.reject(new Error(`it did not answer within ${START_PATIENCE_MS / 1000} s`)));
    const { error } = await Promise.race([link.ask<RunResult>(FRAME.run, { program: 'iptables-save', args: ['-t', 'nat'] }), late]);
    if (error !== undefined) throw new Error(`iptables does not work in it: ${error}`);
    return link;
  } catch (error) {
    await removeContainer(docker, relayName(naming.scope)).catch(() => undefined);
    throw new Error(`the relay (image ${options.image}) cannot run: ${reasonOf(error)}`, { cause: error });
  }
}

async function containerOptions({ naming, image }: RelayOptions): Promise<Docker.ContainerCreateOptions> {
  return {
    name: relayName(naming.scope),
    Image: image,
    Entrypoint: ['node'],
    Cmd: ['--input-type=module', '-e', await programText(), RELAY_NAME],
    User: '0:0',
    WorkingDir: '/',
    Env: ['NODE_OPTIONS='],
    Labels: { [LABEL_OWNER]: naming.dataDirId },
    Healthcheck: { Test: ['NONE'] },
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: 'host',
      // Where the engine maps container users to others, these would have no say over its network.
      UsernsMode: 'host',
      CapDrop: ['ALL'],
      // For the packet rules; NET_RAW is what the older iptables asks for.
      CapAdd: ['NET_ADMIN', 'NET_RAW'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      Tmpfs: { '/run': '' },
      PidsLimit: 256,
      Memory: 256 * 2 ** 20,
      // What passes here are tokens: nothing of it is written down.
      LogConfig: { Type: 'none', Config: {} },
      AutoRemove: true,
    },
  };
}

/** The program's own text: in the package as it was built, from source without its types. */
async function programText(): Promise<string> {
  const isSource = import.meta.url.endsWith('.ts');
  const text = await readFile(new URL(isSource ? './relay-program.ts' : './relay-program.js', import.meta.url), 'utf8');
  return isSource ? process.getBuiltinModule('node:module').stripTypeScriptTypes(text) : text;
}

function speak(stream: NodeJS.ReadWriteStream, arrived: RelayOptions['arrived']): Link {
  const sockets = new Map<number, RelaySocket>();
  const questions = new Map<number, { readonly resolve: (value: object) => void; readonly reject: (error: Error) => void }>();
  const over = Promise.withResolvers<void>();
  let isOver = false;
  let complaint = '';
  // Ours are even, the relay's odd.
  let next = 2;
  const send = (frame: Buffer) => void (isOver || stream.write(frame));
  const adopt = (id: number, peer: string): RelaySocket => {
    const socket = new RelaySocket(id, peer, send);
    sockets.set(id, socket);
    socket.once('close', () => sockets.delete(id));
    return socket;
  };
  const decode = createFrameDecoder((id, kind, payload) => {
    if (kind === FRAME.ran || kind === FRAME.listening) return questions.get(id)?.resolve(JSON.parse(payload.toString()));
    const known = sockets.get(id);
    if (known !== undefined || kind !== FRAME.opened) return known?.receive(kind, payload);
    // Our own program wrote it.
    const { listener = '', address = '' } = JSON.parse(payload.toString()) as Arrival;
    let isTaken = false;
    arrived(listener, address.replace(/^::ffff:/, ''), () => {
      isTaken = true;
      send(encodeFrame(id, FRAME.accept));
      return adopt(id, address);
    });
    if (!isTaken) send(encodeFrame(id, FRAME.close));
  });
  const finish = () => {
    if (isOver) return;
    isOver = true;
    const error = new Error(`the relay ended${complaint === '' ? '' : `: ${complaint.trim()}`}`);
    for (const { reject } of questions.values()) reject(error);
    for (const socket of sockets.values()) socket.destroy();
    over.resolve();
  };
  stream.on(
    'data',
    createDemultiplexer(decode, (chunk) => (complaint = (complaint + chunk.toString()).slice(-2000))),
  );
  for (const event of ['end', 'close', 'error']) stream.on(event, finish);
  const take = () => (next += 2);
  return {
    ended: over.promise,
    ask: (kind, request) => {
      const id = take();
      const answer = new Promise<object>((resolve, reject) => {
        if (isOver) reject(new Error('the relay is lost'));
        questions.set(id, { resolve, reject });
      }).finally(() => questions.delete(id));
      send(encodeJson(id, kind, request));
      // The program answers a question of a kind with its own result.
      return answer as Promise<never>;
    },
    dial(address, port) {
      const socket = adopt(take(), address);
      if (isOver) socket.destroy(new Error('the relay is lost'));
      else send(encodeJson(next, FRAME.dial, { address, port }));
      return socket;
    },
    end: () => stream.end(),
  };
}

const ENGINE_HEADER_BYTES = 8;
const STDOUT = 1;

/** The engine's own frames around both outputs of a container: one byte for which, three of nothing, four for the length. */
function createDemultiplexer(stdout: (chunk: Buffer) => void, stderr: (chunk: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= ENGINE_HEADER_BYTES) {
      const end = ENGINE_HEADER_BYTES + rest.readUInt32BE(4);
      if (rest.length < end) return;
      const frame = rest;
      rest = rest.subarray(end);
      (frame[0] === STDOUT ? stdout : stderr)(frame.subarray(ENGINE_HEADER_BYTES, end));
    }
  };
}
