/**
 * The program of the relay: it stands in the engine's own network, where we cannot be (Docker Desktop's virtual machine, another machine, rootless
 * Docker), listens there on the tasks' bridge and carries connections to the control plane over its own standard input and output, which the
 * engine gives to whoever controls it and to nobody else. So there is no port between the two, and no secret that a task could find.
 *
 * It decides nothing: who may connect, what the packet rules are and what is answered is the control plane's. Its input's end is its own.
 * It runs in a container of another image, as the text of this file alone: it imports nothing but Node's own modules, of Node 18 or later.
 */
import { spawn } from 'node:child_process';
import { createSocket, type Socket as DatagramSocket } from 'node:dgram';
import { Resolver } from 'node:dns';
import { connect, createServer, isIPv6, type Server, type Socket } from 'node:net';

/** Four bytes for the connection (0: none), one for the kind, four for the length of what follows. */
const HEADER_BYTES = 9;
/** How much may be under way on one connection and direction before the receiver has said that it took some. */
export const WINDOW_BYTES = 256 * 1024;

export const FRAME = {
  /** To the relay, JSON: a `RunRequest`, a `ListenRequest`, a `DialRequest`. */
  run: 1,
  listen: 2,
  dial: 3,
  /** From the relay, JSON: `RunResult` and `ListenResult`, with the id of the request. */
  ran: 4,
  listening: 5,
  /** From the relay: somebody connected (JSON: `Arrival`), or a dialled connection stands. */
  opened: 6,
  /** To the relay: this connection may be read. Until then not a byte of it is. */
  accept: 7,
  data: 8,
  /** The receiver has taken so many bytes (four, big endian). */
  credit: 9,
  /** No more data in this direction. */
  end: 10,
  /** The connection is over in both; a reason may follow. */
  close: 11,
  /** To the relay, JSON: a `ListenRequest` for datagrams, answered with `listening`. */
  listenForDatagrams: 12,
  /** A `Datagram` that came to, or is to leave from, the listener that the request of this id opened. */
  datagram: 13,
  /** To the relay, JSON: an `AskRequest`; and its `AskResult` back, with the same id. */
  ask: 14,
  /** To the relay, empty: enough was told under this id. */
  told: 15,
} as const;
/** Datagrams are dropped while so many bytes wait to be read by the control plane: a task could send them faster than anybody takes them. */
const MOST_WAITING_BYTES = 2 * 2 ** 20;
const MOST_ASKED = 256;
const ASK_PATIENCE_MS = 5000;

export interface RunRequest {
  readonly program: 'iptables-save' | 'iptables-restore';
  readonly args: readonly string[];
  readonly input?: string;
}
export interface RunResult {
  readonly output?: string;
  readonly error?: string;
}
export interface ListenRequest {
  readonly name: string;
  readonly address: string;
  /** Another one is taken where it is not free. */
  readonly port: number;
}
export interface ListenResult {
  readonly port?: number;
  readonly error?: string;
}
export interface Datagram {
  /** Where it came from, or is to go. */
  readonly address: string;
  readonly port: number;
  /** Base64. */
  readonly data: string;
}
export interface AskRequest {
  /** Sent to this server from a port of its own; what the server sends back is told as it comes, until the control plane asks no more. Without one, which name servers there are. */
  readonly to?: Datagram;
}
export interface AskResult {
  /** Base64. */
  readonly data?: string;
  /** As node tells them: `10.0.0.1`, `[::1]:5353`. */
  readonly nameServers?: readonly string[];
  readonly error?: string;
}
export interface DialRequest {
  readonly address: string;
  readonly port: number;
}
export interface Arrival {
  readonly listener?: string;
  readonly address?: string;
}

export function encodeFrame(id: number, kind: number, payload: Uint8Array = Buffer.alloc(0)): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt32BE(id, 0);
  header.writeUInt8(kind, 4);
  header.writeUInt32BE(payload.length, 5);
  return Buffer.concat([header, payload]);
}

export function encodeJson(id: number, kind: number, value: object): Buffer {
  return encodeFrame(id, kind, Buffer.from(JSON.stringify(value)));
}

export function encodeCredit(id: number, bytes: number): Buffer {
  const payload = Buffer.alloc(4);
  payload.writeUInt32BE(bytes);
  return encodeFrame(id, FRAME.credit, payload);
}

/** Takes bytes as they come, and tells each frame that is whole. */
export function createFrameDecoder(tell: (id: number, kind: number, payload: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const end = HEADER_BYTES + rest.readUInt32BE(5);
      if (rest.length < end) return;
      const frame = rest;
      rest = rest.subarray(end);
      tell(frame.readUInt32BE(0), frame.readUInt8(4), frame.subarray(HEADER_BYTES, end));
    }
  };
}

/** One connection: what its socket gives goes out as frames as far as the other side takes it, and the other way round. */
function carry(id: number, socket: Socket, send: (frame: Buffer) => void, forget: () => void): (kind: number, payload: Buffer) => void {
  let credit = WINDOW_BYTES;
  let reason = '';
  socket.on('data', (chunk: Buffer) => {
    send(encodeFrame(id, FRAME.data, chunk));
    credit -= chunk.length;
    if (credit <= 0) socket.pause();
  });
  socket.on('end', () => send(encodeFrame(id, FRAME.end)));
  socket.on('error', (error) => (reason = error.message));
  socket.on('close', () => {
    send(encodeFrame(id, FRAME.close, Buffer.from(reason)));
    forget();
  });
  return (kind, payload) => {
    if (kind === FRAME.accept) socket.resume();
    else if (kind === FRAME.data) socket.write(payload, () => socket.destroyed || send(encodeCredit(id, payload.length)));
    else if (kind === FRAME.end) socket.end();
    else if (kind === FRAME.close) socket.resetAndDestroy();
    else if (kind === FRAME.credit) {
      credit += payload.readUInt32BE(0);
      if (credit > 0) socket.resume();
    }
  };
}

function run(request: RunRequest, done: (result: RunResult) => void): void {
  // Nothing else, whatever is asked: that is all that this container is for.
  if (request.program !== 'iptables-save' && request.program !== 'iptables-restore') return done({ error: 'not a program of the relay' });
  const child = spawn(request.program, request.args, { stdio: 'pipe' });
  let output = '';
  let error = '';
  child.stdout.on('data', (chunk) => (output += String(chunk)));
  child.stderr.on('data', (chunk) => (error += String(chunk)));
  child.stdin.on('error', () => undefined);
  child.on('error', (cause) => done({ error: cause.message }));
  child.on('close', (code) => done(code === 0 ? { output } : { error: error.trim() || `exit code ${code}` }));
  child.stdin.end(request.input ?? '');
}

function listen(request: ListenRequest, arrived: (socket: Socket) => void, done: (result: ListenResult) => void): Server {
  const server = createServer({ pauseOnConnect: true }, arrived);
  let isSecond = false;
  server.on('error', (error) => {
    if (isSecond) return done({ error: error.message });
    isSecond = true;
    server.listen(0, request.address);
  });
  server.on('listening', () => {
    const bound = server.address();
    done(bound === null || typeof bound === 'string' ? { error: 'no port' } : { port: bound.port });
  });
  server.listen(request.port, request.address);
  return server;
}

function listenForDatagrams(request: ListenRequest, tell: (datagram: Datagram) => void, done: (result: ListenResult) => void): DatagramSocket {
  const socket = createSocket('udp4');
  let isSecond = false;
  socket.on('message', (message, { address, port }) => tell({ address, port, data: message.toString('base64') }));
  socket.on('error', (error) => {
    if (isSecond) return done({ error: error.message });
    isSecond = true;
    socket.bind(0, request.address);
  });
  socket.on('listening', () => done({ port: socket.address().port }));
  socket.bind(request.port, request.address);
  return socket;
}

/** One datagram to a server, from a socket that takes datagrams of this server alone. @returns its end */
function ask({ address, port, data }: Datagram, tell: (result: AskResult) => void, ended: () => void): () => void {
  const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
  let isOver = false;
  const end = () => {
    if (isOver) return;
    isOver = true;
    clearTimeout(timer);
    socket.close();
    ended();
  };
  const timer = setTimeout(end, ASK_PATIENCE_MS);
  socket.on('message', (message) => tell({ data: message.toString('base64') }));
  socket.on('error', (error) => {
    tell({ error: error.message });
    end();
  });
  socket.connect(port, address, () => isOver || socket.send(Buffer.from(data, 'base64')));
  return end;
}

/** The part of the relay that is about datagrams. */
function serveDatagrams(send: (frame: Buffer) => void, waitingBytes: () => number) {
  const listeners = new Map<number, DatagramSocket>();
  const asking = new Map<number, () => void>();
  return {
    /** @returns whether the frame was one of these */
    take(id: number, kind: number, payload: Buffer): boolean {
      if (kind === FRAME.listenForDatagrams) {
        const told = (datagram: Datagram) => void (waitingBytes() > MOST_WAITING_BYTES || send(encodeJson(id, FRAME.datagram, datagram)));
        listeners.set(
          id,
          listenForDatagrams(JSON.parse(payload.toString()), told, (result) => send(encodeJson(id, FRAME.listening, result))),
        );
      } else if (kind === FRAME.datagram) {
        const { address, port, data }: Datagram = JSON.parse(payload.toString());
        listeners.get(id)?.send(Buffer.from(data, 'base64'), port, address, () => undefined);
      } else if (kind === FRAME.ask) {
        const { to }: AskRequest = JSON.parse(payload.toString());
        if (to === undefined) send(encodeJson(id, FRAME.told, { nameServers: new Resolver().getServers() }));
        else if (asking.size >= MOST_ASKED) send(encodeJson(id, FRAME.told, { error: 'too much is asked at once' }));
        else {
          const told = (result: AskResult) => send(encodeJson(id, FRAME.told, result));
          asking.set(
            id,
            ask(to, told, () => asking.delete(id)),
          );
        }
      } else if (kind === FRAME.told) asking.get(id)?.();
      else return false;
      return true;
    },
    end() {
      for (const socket of listeners.values()) socket.close();
      for (const endAsking of [...asking.values()]) endAsking();
    },
  };
}

/** Serves the control plane at these two until the input ends; then nothing of it is left. */
export function serveRelay(input: NodeJS.ReadableStream, output: NodeJS.WritableStream & { readonly writableLength: number }): void {
  const connections = new Map<number, { readonly socket: Socket; readonly tell: (kind: number, payload: Buffer) => void }>();
  const servers = new Set<Server>();
  let isOver = false;
  const send = (frame: Buffer) => void (isOver || output.write(frame));
  const datagrams = serveDatagrams(send, () => output.writableLength);
  // Ours are odd, the control plane's even.
  let next = 1;
  const take = (id: number, socket: Socket) => {
    connections.set(id, { socket, tell: carry(id, socket, send, () => connections.delete(id)) });
  };
  const arrived = (listener: string, socket: Socket) => {
    const id = next;
    next += 2;
    send(encodeJson(id, FRAME.opened, { listener, address: socket.remoteAddress }));
    take(id, socket);
    // Whoever listens for data sets a stream going.
    socket.pause();
  };
  const decode = createFrameDecoder((id, kind, payload) => {
    if (datagrams.take(id, kind, payload)) return;
    if (kind !== FRAME.run && kind !== FRAME.listen && kind !== FRAME.dial) return connections.get(id)?.tell(kind, payload);
    const request = JSON.parse(payload.toString());
    if (kind === FRAME.run) run(request, (result) => send(encodeJson(id, FRAME.ran, result)));
    else if (kind === FRAME.listen)
      servers.add(
        listen(
          request,
          (socket) => arrived(request.name, socket),
          (result) => send(encodeJson(id, FRAME.listening, result)),
        ),
      );
    else {
      const socket = connect({ host: request.address, port: request.port });
      socket.once('connect', () => send(encodeJson(id, FRAME.opened, {})));
      take(id, socket);
    }
  });
  const end = () => {
    isOver = true;
    for (const server of servers) server.close();
    for (const { socket } of connections.values()) socket.destroy();
    datagrams.end();
  };
  input.on('data', decode);
  input.on('end', end);
  input.on('error', end);
}

/** What the container's command line ends with: as a module that is imported this file does nothing. */
export const RELAY_NAME = 'actas-relay';
if (process.argv[1] === RELAY_NAME) serveRelay(process.stdin, process.stdout);
