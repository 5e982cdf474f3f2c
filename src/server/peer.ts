/** Who stands at the other end of a connection, as far as the connection itself can tell: no header makes anybody more than that. */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';

export interface Peer {
  readonly address: string;
  /**
   * The caller is a program of this machine that came through the server's own port. False for containers: they come through the tasks'
   * listener, which may be on loopback as well. Only such a caller can be somebody without a token (`--anonymous-as`).
   */
  readonly isLocal: boolean;
}

const FORWARDED = ['x-forwarded-for', 'forwarded', 'via'] as const;
const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1)$/;

/** Whether another proxy says that it stands for somebody. */
export function isForwarded(headers: IncomingHttpHeaders | undefined): boolean {
  return FORWARDED.some((name) => headers?.[name] !== undefined);
}

/** @param ownPort the port that the server's own listener has, once it is bound */
export function createPeers(ownPort: () => number | undefined) {
  return (request: Pick<IncomingMessage, 'socket'> & { readonly headers?: IncomingHttpHeaders }): Peer => {
    // A proxy on this machine stands for callers who may be anywhere.
    const { remoteAddress, localAddress, localPort } = request.socket;
    const isLoopback = (address: string | undefined) => LOOPBACK.test(plain(address));
    return {
      address: plain(remoteAddress),
      isLocal: !isForwarded(request.headers) && isLoopback(remoteAddress) && isLoopback(localAddress) && localPort !== undefined && localPort === ownPort(),
    };
  };
}
export type PeerOf = ReturnType<typeof createPeers>;

function plain(address: string | undefined): string {
  return address?.replace(/^::ffff:/, '') ?? '';
}
