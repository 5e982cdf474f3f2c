/**
 * Calls for APIs of Google's that this server does not have: 501 with the host named, to callers who are known, and an audit entry of each.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { unservedHost } from '../errors.ts';
import { type Dispatch, NO_METHOD, type Transport } from './dispatch.ts';
import { hangUpSignal } from './hang-up.ts';
import type { PeerOf } from './peer.ts';

/** A request for a host that no API here has. */
export interface ForeignRequest {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly door: 'rest' | 'grpc';
  /** `storage.googleapis.com`. */
  readonly host: string;
  /** As it was sent, without what stands before it for this server (`/storage.googleapis.com`). */
  readonly path: string;
  readonly query: URLSearchParams;
}

/** Answers, or throws what the door has to answer with. */
export type ForeignDoor = (asked: ForeignRequest) => Promise<void>;

export function createUnservedDoor(dispatch: Pick<Dispatch, 'foreign'>, peerOf: PeerOf): ForeignDoor {
  return ({ request, response, door, host }) =>
    dispatch.foreign(
      {
        host,
        method: NO_METHOD,
        denied: ({ permission }) => `Permission '${permission}' denied.`,
        // Whatever a token is for, it may be told that there is nothing.
        isOpen: () => true,
        answer: async () => {
          throw unservedHost(host, 'Where something else serves it (an emulator), name that in the setting upstreams: docs/upstreams.md.');
        },
      },
      foreignTransport(request, response, door, peerOf),
    );
}

/** What dispatch wants to know of a request that no service here answers. */
export function foreignTransport(request: IncomingMessage, response: ServerResponse, door: 'rest' | 'grpc', peerOf: PeerOf): Transport {
  return {
    door,
    authorization: request.headers.authorization,
    peer: peerOf(request),
    userAgent: request.headers['user-agent'],
    signal: hangUpSignal(request, response),
    // Nobody warns of anything before an answer that is not ours.
    warn: () => undefined,
  };
}
