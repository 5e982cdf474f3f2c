/** TLS on the one port: a certificate for the name that the client asks for, and by ALPN whether it speaks HTTP/2. Loaded by the first connection that begins with a TLS record. */
import type { Socket } from 'node:net';
import { createSecureContext, createServer, type SecureContext, type Server, type TLSSocket, type TlsOptions } from 'node:tls';

/** Gives certificates (`identity/certificate-authority.ts`). */
export interface Certificates {
  /** @param name undefined where the client says none @returns undefined for names that are not ours */
  leaf(name: string | undefined): { readonly key: string; readonly cert: string } | undefined;
}

const HANDSHAKE_TIMEOUT_MS = 10_000;

/** @param secured gets each connection once it is encrypted @returns takes a connection whose first bytes are still unread */
export function createTlsEnd(certificates: Certificates, secured: (socket: TLSSocket) => void): (socket: Socket) => void {
  const contexts = new WeakMap<object, SecureContext>();
  const contextOf = (leaf: { readonly key: string; readonly cert: string }): SecureContext => {
    const context = contexts.get(leaf) ?? createSecureContext({ ...leaf, minVersion: 'TLSv1.2' });
    contexts.set(leaf, context);
    return context;
  };
  const options: TlsOptions = {
    ALPNProtocols: ['h2', 'http/1.1'],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    SNICallback(name, done) {
      const leaf = certificates.leaf(name);
      if (leaf === undefined) done(new Error(`${name} is not a name of this server`));
      else done(null, contextOf(leaf));
    },
  };
  const open = (more: TlsOptions, then: typeof secured): Server => {
    const server = createServer({ ...options, ...more }, then);
    server.on('tlsClientError', (_error, socket) => socket.destroy());
    return server;
  };
  const server = open({}, secured);
  let unnamed: object | undefined;
  return (socket) => {
    // Clients that connect by address name no host and get the certificate of all servers' default, which is renewed like the others.
    const leaf = certificates.leaf(undefined);
    if (leaf !== undefined && leaf !== unnamed) {
      server.setSecureContext({ ...leaf, minVersion: 'TLSv1.2' });
      unnamed = leaf;
    }
    // One that a relay carries is no connection of the kernel's: node would not know who is at its other end once it is encrypted.
    const isCarried = socket.remotePort === undefined;
    const { remoteAddress } = socket;
    const end = isCarried
      ? open(leaf === undefined ? {} : { ...leaf, minVersion: 'TLSv1.2' }, (secure) => secured(Object.defineProperty(secure, 'remoteAddress', { value: remoteAddress })))
      : server;
    end.emit('connection', socket);
  };
}
