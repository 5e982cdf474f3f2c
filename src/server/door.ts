/**
 * What every request meets first, HTTP/1 or HTTP/2: the rules against foreign pages, then gRPC by its content type, the public
 * documents (health, keys), or REST.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Registry } from '@bufbuild/protobuf';
import { type ApiError, forbidden, invalidRequest, unimplemented } from '../errors.ts';
import type { Log } from '../services/service.ts';
import type { Addressing } from './address.ts';
import type { Dispatch } from './dispatch.ts';
import { type GrpcDoor, sendGrpcError } from './grpc-status.ts';
import { limitArrival } from './http2-limits.ts';
import type { Handler } from './listen.ts';
import type { PeerOf } from './peer.ts';
import { asApiError, type RestDoor, sendError } from './rest.ts';
import type { ForeignDoor } from './unserved.ts';

/** A document outside any RPC: health, metrics, signing keys. */
export interface Document {
  /** Path as it is asked for; `host` limits it to one API's name (and its `/HOST/` prefix). */
  readonly path: string;
  readonly host?: string;
  readonly type: string;
  /** Metrics want a caller; health and public keys do not. */
  readonly authenticated: boolean;
  body(): Promise<{ readonly status?: number; readonly text: string }>;
}

export interface DoorDeps {
  readonly addressing: Addressing;
  readonly rest: RestDoor;
  readonly grpc: GrpcDoor;
  readonly documents: readonly Document[];
  authenticate(request: IncomingMessage): Promise<void>;
  /** Answers for hosts of Google's that no API here has; it audits. */
  readonly foreign: ForeignDoor;
  readonly dispatch: Pick<Dispatch, 'refused'>;
  readonly peerOf: PeerOf;
  readonly registry: Registry;
  readonly log: Log;
  /** The name that `--anonymous-as` lends; every answer to who could use it then says so. */
  readonly anonymousAs: string | undefined;
}

export function createDoor(deps: DoorDeps): Handler {
  const refuse = (request: IncomingMessage, response: ServerResponse, error: ApiError): void => {
    deps.dispatch.refused(error, { door: isGrpc(request) ? 'grpc' : 'rest', authorization: undefined, peer: deps.peerOf(request), userAgent: request.headers['user-agent'] });
    sendRefusal(request, response, error);
  };
  const sendRefusal = (request: IncomingMessage, response: ServerResponse, error: ApiError): void => {
    if (isGrpc(request)) sendGrpcError(response, error, request.headers['content-type'] ?? '');
    else sendError(response, error, { prettyPrint: true, legacy: false, warnings: [], registry: deps.registry });
  };
  /** Audited by dispatch, whatever becomes of it. */
  const answerForeign = async (request: IncomingMessage, response: ServerResponse, target: { host: string; path: string; query: URLSearchParams }): Promise<void> => {
    const door = isGrpc(request) ? 'grpc' : 'rest';
    try {
      await deps.foreign({ request, response, door, host: target.host, path: target.path, query: target.query });
    } catch (error) {
      request.resume();
      sendRefusal(request, response, asApiError(error, deps.log));
    }
  };
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const authority = authorityOf(request);
    deps.addressing.checkOrigin(request.headers, authority);
    const target = deps.addressing.resolve(authority, request.url ?? '/');
    // A gRPC call to an upstream may be a stream, whose client's side is open for as long as it likes: who sends one is known by then.
    if (target.foreign === undefined || !isGrpc(request)) limitArrival(request);
    if (target.foreign !== undefined) return answerForeign(request, response, { ...target, host: target.foreign });
    if (isGrpc(request)) {
      if (!deps.grpc.serves(target.path)) throw unimplemented(`The method ${target.path.slice(1, 200)}`);
      return deps.grpc.handle(request, response, target.path);
    }
    const document =
      request.method === 'GET' || request.method === 'HEAD'
        ? deps.documents.find((d) => d.path === target.path && (d.host === undefined || target.host === undefined || d.host === target.host))
        : undefined;
    if (document === undefined) return deps.rest.handle(request, response, target);
    if (document.authenticated) await deps.authenticate(request);
    const { status = 200, text } = await document.body();
    response.writeHead(status, { 'Content-Type': document.type, 'X-Content-Type-Options': 'nosniff' });
    response.end(request.method === 'HEAD' ? undefined : text);
  };
  return (request, response) => {
    response.setHeader('Server', 'actas');
    if (deps.anonymousAs !== undefined && deps.peerOf(request).isLocal) response.setHeader('X-Actas-Anonymous-As', deps.anonymousAs);
    handle(request, response).catch((error: unknown) => {
      request.resume();
      refuse(request, response, asApiError(error, deps.log));
    });
  };
}

function isGrpc(request: IncomingMessage): boolean {
  return request.headers['content-type']?.startsWith('application/grpc') === true;
}

/** HTTP/2 carries `:authority`; a request may not carry two different names. @throws INVALID_ARGUMENT, PERMISSION_DENIED */
function authorityOf(request: IncomingMessage): string | undefined {
  const pseudo = request.headers[':authority'];
  const { host } = request.headers;
  if (Array.isArray(pseudo)) throw invalidRequest('host: the request names several hosts.');
  if (pseudo !== undefined && host !== undefined && pseudo.toLowerCase() !== host.toLowerCase()) throw forbidden('The :authority and Host headers name different hosts.');
  if (request.httpVersionMajor === 1 && request.rawHeaders.filter((name, index) => index % 2 === 0 && name.toLowerCase() === 'host').length > 1)
    throw invalidRequest('host: the request names several hosts.');
  return pseudo ?? host;
}
