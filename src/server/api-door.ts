/** The door of the whole API as the program opens it: every service over REST and gRPC, and the documents beside them (health, metrics, keys). */
import type { IncomingMessage } from 'node:http';
import { createRegistry } from '@bufbuild/protobuf';
import { file_google_protobuf_empty } from '@bufbuild/protobuf/wkt';
import { file_google_rpc_error_details } from '../gen/google/rpc/error_details_pb.js';
import { discoveryDocument, type SigningKeys } from '../identity/signing-keys.ts';
import type { Api, Log } from '../services/service.ts';
import { createAddressing } from './address.ts';
import { createApiMethods } from './api-methods.ts';
import type { Dispatch } from './dispatch.ts';
import { createDoor, type Document } from './door.ts';
import { createLazyGrpcDoor } from './grpc-status.ts';
import type { Handler } from './listen.ts';
import type { Metrics } from './metrics.ts';
import type { PeerOf } from './peer.ts';
import { createRestDoor } from './rest.ts';
import { createUnservedDoor } from './unserved.ts';
import { createUpstreamDoor, type Upstream } from './upstream.ts';

export interface ApiDoorDeps {
  /** Names under which this server may be addressed, in lower case; more may join while it serves. */
  readonly names: ReadonlySet<string>;
  readonly apis: readonly Api[];
  /** Who serves what the APIs do not. */
  readonly upstreams: readonly Upstream[];
  readonly dispatch: Dispatch;
  readonly keys: Pick<SigningKeys, 'jwks' | 'certificates'>;
  readonly metrics: Pick<Metrics, 'text'>;
  readonly log: Log;
  readonly peerOf: PeerOf;
  readonly anonymousAs: string | undefined;
  /** The certificate of the front door's authority, PEM. */
  authority(): Promise<string>;
  /** Whether containers can be started now. */
  isReady(): boolean;
}

export function createApiDoor(deps: ApiDoorDeps): Handler {
  const { apis, dispatch, peerOf, log } = deps;
  const registry = createRegistry(file_google_rpc_error_details);
  const rest = createRestDoor(apis, createApiMethods([file_google_rpc_error_details, file_google_protobuf_empty]), dispatch, registry, peerOf, log);
  const documents = documentsOf(deps);
  const hosts = new Set([...apis.map(({ host }) => host), ...documents.flatMap((document) => (document.host === undefined ? [] : [document.host]))]);
  return createDoor({
    addressing: createAddressing(hosts, deps.names),
    rest,
    grpc: createLazyGrpcDoor(apis, dispatch, peerOf, log),
    documents,
    foreign: createUpstreamDoor(deps.upstreams, createUnservedDoor(dispatch, peerOf), dispatch, peerOf),
    dispatch,
    peerOf,
    registry,
    log,
    anonymousAs: deps.anonymousAs,
    async authenticate(request: IncomingMessage) {
      const { authorization, 'user-agent': userAgent } = request.headers;
      await dispatch.authenticate('actas.internal', 'metrics', {
        door: 'rest',
        authorization,
        peer: peerOf(request),
        userAgent,
        signal: new AbortController().signal,
        warn: () => undefined,
      });
    },
  });
}

function documentsOf({ keys, metrics, isReady, authority }: ApiDoorDeps): readonly Document[] {
  const json = { type: 'application/json; charset=UTF-8', authenticated: false };
  const text = { type: 'text/plain', authenticated: false };
  return [
    { ...text, path: '/healthz', body: async () => ({ text: 'ok\n' }) },
    { ...text, path: '/readyz', body: async () => (isReady() ? { text: 'ok\n' } : { status: 503, text: 'the container engine is not reachable\n' }) },
    { path: '/ca.pem', type: 'application/x-pem-file', authenticated: false, body: async () => ({ text: await authority() }) },
    { path: '/metrics', type: 'text/plain; version=0.0.4; charset=utf-8', authenticated: true, body: async () => ({ text: await metrics.text() }) },
    { ...json, path: '/oauth2/v3/certs', host: 'www.googleapis.com', body: async () => ({ text: JSON.stringify(await keys.jwks()) }) },
    { ...json, path: '/oauth2/v1/certs', host: 'www.googleapis.com', body: async () => ({ text: JSON.stringify(await keys.certificates()) }) },
    {
      ...json,
      path: '/.well-known/openid-configuration',
      host: 'accounts.google.com',
      body: async () => ({ text: JSON.stringify(discoveryDocument('https://www.googleapis.com')) }),
    },
  ];
}
