/** Where tasks reach us on this host: two listeners, which close connections that may not enter before a byte is read. */
import { createServer, type Server, type Socket } from 'node:net';
import type { TaskListeners } from '../driver.ts';

const API_PORT = 8787;

export interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** Ports of this data directory's own where they are free: tasks that outlive us find us again. */
export function preferredPorts(scope: string, address: string): { readonly metadata: number; readonly api: number } {
  const own = 20_000 + (Number.parseInt(scope.slice(0, 6), 16) % 10_000);
  return { metadata: own, api: address === '127.0.0.1' ? own + 10_000 : API_PORT };
}

export async function openListeners(listeners: TaskListeners, mayEnter: (address: string) => boolean, address: string, scope: string): Promise<[Listener, Listener]> {
  const ports = preferredPorts(scope, address);
  const metadata = await listen(listeners.metadata, mayEnter, address, ports.metadata);
  try {
    return [metadata, await listen(listeners.api, mayEnter, address, ports.api)];
  } catch (error) {
    await metadata.close();
    throw error;
  }
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
