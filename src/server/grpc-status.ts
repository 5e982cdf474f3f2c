/**
 * What the door must know of gRPC before any call: which paths it serves, and how a refusal looks. The calls themselves are in grpc.ts,
 * which the first of them loads, so that the start does not wait for it.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type ApiError, STATUS } from '../errors.ts';
import type { Api, Log } from '../services/service.ts';
import type { Dispatch } from './dispatch.ts';
import type { PeerOf } from './peer.ts';

export interface GrpcDoor {
  /** Whether some service has this path, `/google.cloud.run.v2.Jobs/GetJob`. */
  serves(path: string): boolean;
  /** @param path one that is served */
  handle(request: IncomingMessage, response: ServerResponse, path: string): void | Promise<void>;
}

/**
 * gRPC's C core takes 8 KiB of trailers, and a message may take three bytes of them for each of its own. Source: grpc.max_metadata_size.
 */
const MAX_MESSAGE_BYTES = 1000;

/** The gRPC door, not yet loaded. */
export function createLazyGrpcDoor(apis: readonly Api[], dispatch: Dispatch, peerOf: PeerOf, log: Log): GrpcDoor {
  const paths = new Set(apis.flatMap(({ services }) => services.flatMap(({ typeName, methods }) => Object.keys(methods).map((rpc) => `/${typeName}/${rpc}`))));
  let loaded: GrpcDoor['handle'] | undefined;
  let loading: Promise<GrpcDoor['handle']> | undefined;
  const load = (): Promise<GrpcDoor['handle']> => (loading ??= import('./grpc.ts').then(({ createGrpcHandler }) => (loaded = createGrpcHandler(apis, dispatch, peerOf, log))));
  return {
    serves: (path) => paths.has(path),
    handle: (request, response, path) => (loaded === undefined ? load().then((handle) => handle(request, response, path)) : loaded(request, response, path)),
  };
}

/** A refusal before any RPC: the status alone, in headers ("Trailers-Only" of gRPC over HTTP/2), where a client would guess at a JSON answer. */
export function sendGrpcError(response: ServerResponse, shaped: ApiError, type: string): void {
  if (response.destroyed || response.headersSent) return;
  response.writeHead(200, {
    'Content-Type': type.startsWith('application/grpc-web') ? 'application/grpc-web+proto' : 'application/grpc',
    'grpc-status': String(STATUS[shaped.status].code),
    'grpc-message': encodeURIComponent(cutMessage(shaped.message)),
  });
  response.end();
}

/** As much of a message as gRPC's trailers take. */
export function cutMessage(message: string): string {
  const bytes = Buffer.from(message);
  // As a part of a stream: a character that was cut through is left out.
  return bytes.length <= MAX_MESSAGE_BYTES ? bytes.toString() : `${new TextDecoder().decode(bytes.subarray(0, MAX_MESSAGE_BYTES), { stream: true })}...`;
}
