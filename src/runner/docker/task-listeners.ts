/** Where tasks reach us on this host: listeners that close connections, and overlook datagrams, of who may not enter before a byte is read. */
import { createSocket } from 'node:dgram';
import { createServer, type Server, type Socket } from 'node:net';
import type { TaskListeners } from '../driver.ts';
import type { Ports } from './firewall.ts';
import type { NameServer } from './name-server.ts';

const API_PORT = 8787;

interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

export interface OpenListeners {
  readonly ports: Ports;
  close(): Promise<void>;
}

/** Ports of this data directory's own where they are free: tasks that outlive us find us again. */
export function preferredPorts(scope: string, address: string): { readonly metadata: number; readonly api: number; readonly names: number } {
  const own = 20_000 + (Number.parseInt(scope.slice(0, 6), 16) % 10_000);
  return { metadata: own, api: address === '127.0.0.1' ? own + 10_000 : API_PORT, names: own };
}

/** @param names answers for names, where tasks are to ask us */
export async function openListeners(listeners: TaskListeners, mayEnter: (address: string) => boolean, address: string, scope: string, names?: NameServer): Promise<OpenListeners> {
  const preferred = preferredPorts(scope, address);
  const opened: Listener[] = [];
  const open = async (listener: Promise<Listener>): Promise<number> => {
    opened.push(await listener);
    return opened.at(-1)?.port ?? 0;
  };
  const close = async () => {
    for (const listener of opened) await listener.close();
  };
  try {
    const metadata = await open(listen(listeners.metadata, mayEnter, address, preferred.metadata));
    const api = await open(listen(listeners.api, mayEnter, address, preferred.api));
    if (names === undefined) return { ports: { metadata, api }, close };
    const udp = await open(listenForDatagrams(names, mayEnter, address, preferred.names));
    const tcp = await open(listen((socket) => names.stream(socket, socket.remoteAddress ?? ''), mayEnter, address, preferred.names + 1));
    return { ports: { metadata, api, names: { udp, tcp } }, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function listenForDatagrams(names: NameServer, mayEnter: (address: string) => boolean, address: string, preferredPort: number): Promise<Listener> {
  const bindTo = (port: number) =>
    new Promise<ReturnType<typeof createSocket>>((resolve, reject) => {
      const socket = createSocket('udp4');
      socket.once('error', reject);
      socket.bind({ port, address }, () => {
        socket.off('error', reject);
        resolve(socket);
      });
    });
  const socket = await bindTo(preferredPort).catch(() => bindTo(0));
  let isClosed = false;
  // An answer that cannot be sent: whoever asked comes again, or is gone.
  socket.on('error', () => undefined);
  socket.on('message', (message, { address: from, port }) => {
    if (mayEnter(from)) names.datagram(message, from, (reply) => isClosed || socket.send(reply, port, from, () => undefined));
  });
  return {
    port: socket.address().port,
    close: () =>
      new Promise((resolve) => {
        isClosed = true;
        socket.close(() => resolve());
      }),
  };
}

async function listen(handle: (socket: Socket) => void, mayEnter: (address: string) => boolean, address: string, preferredPort: number): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (!mayEnter(socket.remoteAddress ?? '')) {
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    handle(socket);
  });
  await bind(server, preferredPort, address).catch(() => bind(server, 0, address));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('The listener has no port.');
  return {
    port: bound.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function bind(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

export async function canBind(address: string): Promise<boolean> {
  const server = createServer();
  try {
    await bind(server, 0, address);
    return true;
  } catch {
    // Not an address of this host: the bridge is in another network namespace, or in a virtual machine.
    return false;
  } finally {
    server.close();
  }
}
