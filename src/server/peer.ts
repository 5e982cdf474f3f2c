/** Who stands at the other end of a connection, as far as the connection itself can tell: headers are not asked. */
import type { IncomingMessage } from 'node:http';

export interface Peer {
  readonly address: string;
  /**
   * The caller is a program of this machine that came through the server's own port. False for containers: they come through the tasks'
   * listener, which may be on loopback as well. Only such a caller can be somebody without a token (`--anonymous-as`).
   */
  readonly isLocal: boolean;
}

const LOOPBACK = /^(?:127\.\d+\.\d+\.\d+|::1)$/;

/** @param ownPort the port that the server's own listener has, once it is bound */
export function createPeers(ownPort: () => number | undefined) {
  return (request: Pick<IncomingMessage, 'socket'>): Peer => {
    const { remoteAddress, localAddress, localPort } = request.socket;
    const isLoopback = (address: string | undefined) => LOOPBACK.test(plain(address));
    return { address: plain(remoteAddress), isLocal: isLoopback(remoteAddress) && isLoopback(localAddress) && localPort !== undefined && localPort === ownPort() };
  };
}
export type PeerOf = ReturnType<typeof createPeers>;

function plain(address: string | undefined): string {
  return address?.replace(/^::ffff:/, '') ?? '';
}
