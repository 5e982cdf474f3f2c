/**
 * One port for HTTP/1.1 and HTTP/2, with TLS and without, and for clients that take it for their proxy (CONNECT): the first three bytes tell
 * which. `connect` takes a socket from any listener, so the tasks' bridge is served by the same server.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Http2Session, ServerHttp2Session } from 'node:http2';
import * as net from 'node:net';
import type { Duplex } from 'node:stream';
import { limitSession, type SessionTimes } from './http2-limits.ts';
import type { Proxy } from './proxy.ts';
import type { Certificates } from './tls.ts';

/** HTTP/1 and HTTP/2 requests alike, as node's compatibility layer gives them. */
export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

/** What TLS and CONNECT need, each made by the first connection that wants it. */
export interface FrontDoor {
  /** Makes the certificate authority where there is none. */
  certificates(): Promise<Certificates>;
  proxy(): Promise<Proxy>;
  /** Told of what could not be made. */
  failed(error: unknown): void;
}

export interface Listener {
  /** The port that was bound. */
  readonly port: number;
  connect(socket: net.Socket): void;
  /** Takes no new connection, lets running requests end for `graceMs`, then cuts. */
  close(graceMs: number): Promise<void>;
}

const PREFACE = 'PRI';
/** A record that begins a TLS connection: its type, and the first byte of its version (RFC 8446 section 5.1). */
const TLS_HANDSHAKE = 0x16;
const TLS_MAJOR = 0x03;
const FIRST_BYTES_TIMEOUT_MS = 10_000;
const KEEP_ALIVE_MS = 60_000;

/** @throws Error with a sentence where the port is taken or may not be bound */
export async function listen(options: { host: string; port: number; handler: Handler; door: FrontDoor; sessionTimes?: SessionTimes }): Promise<Listener> {
  const sessions = new Set<Http2Session>();
  // Both are made by the first connection that needs them: loading them is a good part of the program's start.
  const http1 = once(() => {
    const { createServer } = process.getBuiltinModule('node:http');
    const server = createServer({ headersTimeout: 30_000, requestTimeout: 300_000, keepAliveTimeout: 65_000, maxHeaderSize: 32 * 1024 }, options.handler);
    // It never listens by itself, and only that event makes node watch over connections: the time limits above, and which are idle.
    server.emit('listening');
    server.on('connect', (request, socket, head) => void viaProxy(request, socket, head));
    return server;
  });
  const http2 = once(() => {
    const { createServer } = process.getBuiltinModule('node:http2');
    // node's Http2ServerRequest/Response are drop-ins for what our handlers use; the types do not say so.
    const server = createServer({ settings: { maxConcurrentStreams: 256 }, maxSessionMemory: 64 }, options.handler as unknown as Parameters<typeof createServer>[1]);
    server.on('session', (session: ServerHttp2Session) => {
      sessions.add(session);
      limitSession(session, options.sessionTimes);
      session.once('close', () => sessions.delete(session));
    });
    return server;
  });
  const sockets = new Set<net.Socket>();
  /** Nothing came on them yet. */
  const unread = new Set<net.Socket>();

  let proxy: Proxy | undefined;
  /** Came by CONNECT. Each layer more would cost a handshake and what is held for it, as often as a client likes. */
  const entered = new WeakSet<Duplex>();
  const enter = (socket: Duplex): void => {
    entered.add(socket);
    // What node's server hands over is the socket that it was given.
    peek(socket as net.Socket);
  };
  const tlsEnds = new Map<boolean, (socket: net.Socket) => void>();
  const viaProxy = async (request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> => {
    // It may go before it is served; without a listener that would be an uncaught error.
    socket.on('error', () => socket.destroy());
    try {
      proxy ??= await options.door.proxy();
      proxy.connect(request, socket, head, entered.has(socket) ? undefined : enter);
    } catch (error) {
      options.door.failed(error);
      socket.destroy();
    }
  };
  const openTls = async (isEntered: boolean): Promise<(socket: net.Socket) => void> => {
    const [{ createTlsEnd }, certificates] = await Promise.all([import('./tls.ts'), options.door.certificates()]);
    return createTlsEnd(certificates, (socket) => {
      socket.on('error', () => socket.destroy());
      if (isEntered) entered.add(socket);
      (socket.alpnProtocol === 'h2' ? http2.get() : http1.get()).emit('connection', socket);
    });
  };
  const viaTls = async (socket: net.Socket): Promise<void> => {
    try {
      const isEntered = entered.has(socket);
      const tls = tlsEnds.get(isEntered) ?? (await openTls(isEntered));
      tlsEnds.set(isEntered, tls);
      if (!socket.destroyed) tls(socket);
    } catch (error) {
      options.door.failed(error);
      socket.destroy();
    }
  };

  const peek = (socket: net.Socket): void => {
    unread.add(socket);
    socket.setTimeout(FIRST_BYTES_TIMEOUT_MS, () => socket.destroy());
    // Paused reading: in flowing mode the bytes that are put back never reach the HTTP/2 server.
    const look = (): void => {
      const first: Buffer | null = socket.read(PREFACE.length);
      if (first === null) {
        if (!socket.readableEnded) socket.once('readable', look);
        return;
      }
      unread.delete(socket);
      socket.setTimeout(0);
      socket.removeAllListeners('timeout');
      socket.unshift(first);
      if (first[0] === TLS_HANDSHAKE && first[1] === TLS_MAJOR) void viaTls(socket);
      else (first.toString('latin1') === PREFACE ? http2.get() : http1.get()).emit('connection', socket);
    };
    socket.once('readable', look);
  };
  const connect = (socket: net.Socket): void => {
    sockets.add(socket);
    socket.once('close', () => {
      sockets.delete(socket);
      unread.delete(socket);
    });
    // Without a listener an early reset would be an uncaught error; the close event tells the rest.
    socket.on('error', () => socket.destroy());
    peek(socket);
  };

  // Other ends that are gone without a word are found out by the system, whatever is spoken.
  const tcp = net.createServer({ pauseOnConnect: false, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEP_ALIVE_MS }, connect);
  await bind(tcp, options).catch((error: NodeJS.ErrnoException) => {
    throw new Error(bindProblem(error, options), { cause: error });
  });
  const address = tcp.address();
  if (address === null || typeof address === 'string') throw new Error('the listener has no port');
  return {
    port: address.port,
    connect,
    async close(graceMs) {
      const closed = new Promise<void>((resolve) => tcp.close(() => resolve()));
      for (const socket of unread) socket.destroy();
      proxy?.close();
      http1.made?.closeIdleConnections();
      for (const session of sessions) session.close();
      const timer = setTimeout(() => {
        for (const socket of sockets) socket.destroy();
      }, graceMs);
      // Idle keep-alive connections become idle only when their request ends.
      const sweep = setInterval(() => http1.made?.closeIdleConnections(), 50);
      while (sockets.size > 0) await new Promise((resolve) => setTimeout(resolve, 20));
      await closed;
      clearTimeout(timer);
      clearInterval(sweep);
      // Ends node's watch; it complains that the server does not listen, which is true.
      http1.made?.close(() => undefined);
    },
  };
}

function bind(tcp: net.Server, { host, port }: { host: string; port: number }): Promise<void> {
  return new Promise((resolve, reject) => {
    tcp.once('error', reject);
    // An address needs no look-up of names, which is slow to load. Node has this from version 26 on.
    if (net.isIPv4(host) && typeof net.BoundSocket === 'function') tcp.listen(new net.BoundSocket({ host, port }), resolve);
    else tcp.listen(port, host, resolve);
  });
}

function once<T>(make: () => T): { readonly made: T | undefined; get(): T } {
  let made: T | undefined;
  return {
    get made() {
      return made;
    },
    get: () => (made ??= make()),
  };
}

function bindProblem(error: NodeJS.ErrnoException, options: { host: string; port: number }): string {
  if (error.code === 'EADDRINUSE')
    return `Port ${options.port} on ${options.host} is taken. Choose another with --port (0 picks a free one), or look with \`actas status\` whether actas already runs.`;
  if (error.code === 'EACCES') return `Port ${options.port} may not be bound by this user. Choose one above 1023 with --port.`;
  return `Cannot listen on ${options.host}:${options.port}: ${error.message}`;
}
