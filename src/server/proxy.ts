/**
 * CONNECT: what makes `HTTPS_PROXY` alone bring a client here. Names of Google's APIs end in this server's own TLS, whether it serves them or not, so
 * nothing meant for them reaches the real ones. Other hosts are tunnelled for programs of this machine, and never to an address inside: a
 * proxy on loopback must be no way into what only this machine can reach. See docs/decisions/0012-front-door.md.
 */
import { lookup } from 'node:dns/promises';
import type { IncomingMessage } from 'node:http';
import { connect, isIP, type Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { isElsewhereAtGoogle, isGoogleName, matchesName } from '../identity/front-names.ts';
import { isPublicAddress } from '../identity/public-fetch.ts';
import type { Log } from '../services/service.ts';
import { isForwarded, type PeerOf } from './peer.ts';

export interface ProxyDeps {
  /** Under which this server may be addressed, without ports. */
  readonly names: ReadonlySet<string>;
  /** Whether other hosts are tunnelled at all. */
  readonly egress: boolean;
  readonly peerOf: PeerOf;
  readonly log: Pick<Log, 'warn'>;
  ownPort(): number | undefined;
  /** Every address of a name. @throws Error where it has none */
  resolve?(name: string): Promise<readonly string[]>;
  /** Opens the other end. */
  dial?(address: string, port: number): Socket;
}

export interface Proxy {
  /** @param enter takes a connection whose client believes that it speaks to the host it named; undefined where it came that way already */
  connect(request: IncomingMessage, socket: Duplex, head: Buffer, enter: ((socket: Duplex) => void) | undefined): void;
  /** Cuts every tunnel. */
  close(): void;
}

const MAX_TUNNELS = 256;
const IDLE_MS = 600_000;
const DIAL_TIMEOUT_MS = 10_000;
/** For a client to read why it was refused. */
const FAREWELL_MS = 1000;
const LOOPBACK = new Set(['localhost', '127.0.0.1', '::1']);

class Refused extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export function createProxy(deps: ProxyDeps): Proxy {
  const { resolve = resolveName, dial = (host, port) => connect({ host, port, noDelay: true }) } = deps;
  const tunnels = new Set<Duplex>();
  const isOurs = (name: string, port: number): boolean => (LOOPBACK.has(name) ? port === deps.ownPort() : isGoogleName(name) || matchesName(name, deps.names));

  const tunnel = async (request: IncomingMessage, client: Duplex, head: Buffer, name: string, port: number): Promise<void> => {
    checkTunnel(deps, request, name, port);
    if (tunnels.size >= MAX_TUNNELS) throw new Refused(503, `${MAX_TUNNELS} tunnels are open already.`);
    tunnels.add(client);
    client.once('close', () => tunnels.delete(client));
    const addresses = await resolve(name).catch(() => {
      throw new Refused(502, `${name} cannot be resolved.`);
    });
    // The address that was looked at is the one that is dialled: a name that changes its address in between is no way in.
    const address = addresses[0];
    if (address === undefined || !addresses.every(isPublicAddress))
      throw new Refused(403, `${name} does not lead to a public address, so it is not tunnelled. Name it in NO_PROXY.`);
    if (!client.destroyed) await join(client, dial(address, port), head);
  };
  return {
    connect(request, socket, head, enter) {
      socket.on('error', () => socket.destroy());
      const target = /^(\[[0-9a-f:.]+\]|[^:/@\s[\]]+):(\d{1,5})$/i.exec(request.url ?? '');
      const name = target?.[1]?.toLowerCase().replace(/^\[|\]$|\.$/g, '');
      const port = Number(target?.[2]);
      // What comes through it says nothing of the other proxy, and would be taken for a program of this machine's.
      if (isForwarded(request.headers)) return refuse(socket, 403, 'CONNECT that another proxy hands on is not taken.');
      if (enter === undefined) return refuse(socket, 403, 'CONNECT within CONNECT is not taken.');
      if (name !== undefined && isOurs(name, port)) {
        socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
        if (head.length > 0) socket.unshift(head);
        enter(socket);
        return;
      }
      const work = name === undefined ? Promise.reject(new Refused(400, 'CONNECT must name a host and a port.')) : tunnel(request, socket, head, name, port);
      work.catch((error: unknown) => {
        const { status, message } = error instanceof Refused ? error : new Refused(502, `${name ?? ''} cannot be reached.`);
        if (status !== 502) deps.log.warn({ host: name, port, peer: deps.peerOf(request).address }, `a tunnel was refused: ${message}`);
        refuse(socket, status, message);
      });
    },
    close() {
      for (const socket of tunnels) socket.destroy();
    },
  };
}

/** @throws Refused */
function checkTunnel({ egress, peerOf }: ProxyDeps, request: IncomingMessage, name: string, port: number): void {
  if (isElsewhereAtGoogle(name)) throw new Refused(403, `${name} is Google's, and nothing of Google's is reached through this server.`);
  if (!egress) throw new Refused(403, `${name} is no host of a Google API, and this server opens no tunnels (--no-egress).`);
  if (!peerOf(request).isLocal) throw new Refused(403, `${name} is no host of a Google API, and tunnels are for programs of this server's own machine.`);
  if (port !== 443) throw new Refused(403, `Port ${port} of ${name} is not tunnelled, only 443.`);
  if (!name.includes('.') && isIP(name) === 0) throw new Refused(403, `${name} is a name of the local network, which is not tunnelled. Name it in NO_PROXY.`);
}

async function resolveName(name: string): Promise<readonly string[]> {
  return isIP(name) === 0 ? (await lookup(name, { all: true })).map(({ address }) => address) : [name];
}

function join(client: Duplex, server: Socket, head: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    const cut = (): void => {
      client.destroy();
      server.destroy();
    };
    server.setTimeout(DIAL_TIMEOUT_MS, () => server.destroy(new Error('no answer')));
    server.once('error', reject);
    client.once('close', () => server.destroy());
    server.once('connect', () => {
      server.off('error', reject);
      server.on('error', cut);
      server.once('close', cut);
      server.setTimeout(IDLE_MS, cut);
      client.write('HTTP/1.1 200 Connection established\r\n\r\n');
      if (head.length > 0) server.write(head);
      client.pipe(server);
      server.pipe(client);
      resolve();
    });
  });
}

/** In the envelope of an API's error: some clients show it. */
function refuse(socket: Duplex, status: number, message: string): void {
  if (socket.destroyed) return;
  // No server watches over it any more. Unread it would not even notice that its client has gone.
  const timer = setTimeout(() => socket.destroy(), FAREWELL_MS);
  socket.once('close', () => clearTimeout(timer)).resume();
  const words: Record<number, string> = { 400: 'Bad Request', 403: 'Forbidden', 502: 'Bad Gateway', 503: 'Service Unavailable' };
  const body = JSON.stringify({ error: { code: status, message, status: status === 403 ? 'PERMISSION_DENIED' : status === 400 ? 'INVALID_ARGUMENT' : 'UNAVAILABLE' } });
  socket.end(
    `HTTP/1.1 ${status} ${words[status] ?? 'Error'}\r\nServer: actas\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
}
