/**
 * Calls for APIs that somebody else serves: the caller is authenticated, the method's permissions are asked for, the call is audited, and
 * only then passed on. What the tables do not have is refused. The upstream never sees the caller's token.
 *
 * Must not know: any concrete API. Which permission a method needs stands in `policy/methods`.
 */
import { ApiError, invalidRequest } from '../errors.ts';
import type { ForeignMethod, GrpcMatch, HttpMatch, MethodTable, SaidNames } from '../policy/method-table.ts';
import type { AskedCheck, Call } from '../services/service.ts';
import { type Dispatch, type ForeignCall, NO_METHOD } from './dispatch.ts';
import { type Frame, readFrames, stringsAt } from './grpc-frames.ts';
import type { PeerOf } from './peer.ts';
import { type ForeignDoor, type ForeignRequest, foreignTransport } from './unserved.ts';
import { createGrpcForwarder, type GrpcForwarder } from './upstream-grpc.ts';
import { createHttpForwarder, type HttpForwarder } from './upstream-http.ts';
import { readJsonBody } from './upstream-json.ts';

/** Where calls of one API go. */
export interface Upstream {
  /** `storage.googleapis.com`. */
  readonly host: string;
  /** http or https; a path comes before each call's own. */
  readonly url: URL;
  /** Sent with each call, in the place of the caller's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly table: MethodTable;
}

interface Way {
  readonly upstream: Upstream;
  readonly http: HttpForwarder;
  readonly grpc: GrpcForwarder;
}

/** @param unserved answers for every other host */
export function createUpstreamDoor(upstreams: readonly Upstream[], unserved: ForeignDoor, dispatch: Pick<Dispatch, 'foreign'>, peerOf: PeerOf): ForeignDoor {
  const ways = new Map(upstreams.map((upstream): [string, Way] => [upstream.host, { upstream, http: createHttpForwarder(upstream), grpc: createGrpcForwarder(upstream) }]));
  return async (asked) => {
    const way = ways.get(asked.host);
    if (way === undefined) return unserved(asked);
    const transport = foreignTransport(asked.request, asked.response, asked.door, peerOf);
    await dispatch.foreign(asked.door === 'grpc' ? grpcCall(way, asked) : httpCall(way, asked), transport);
  };
}

function httpCall({ upstream, http }: Way, asked: ForeignRequest): ForeignCall {
  const verb = asked.request.method ?? '';
  const match = upstream.table.http(verb, asked.path, asked.query);
  return foreignCall(upstream, match?.method, async (call) => {
    if (match === undefined) throw undeclared(upstream.host, `${verb} ${asked.path}`);
    refuseDoubles(match, asked.query);
    const body = match.bodyFields.size === 0 ? undefined : await readJsonBody(asked.request, match.bodyFields);
    await authorizeAll(call, match.method, new Map([...match.said, ...(body?.names ?? [])]), new Set(), true);
    return http.forward(asked, body?.bytes, call.signal);
  });
}

function grpcCall({ upstream, grpc }: Way, asked: ForeignRequest): ForeignCall {
  const match = upstream.table.grpc(asked.path);
  return foreignCall(upstream, match?.method, async (call) => {
    if (match === undefined) throw undeclared(upstream.host, asked.path);
    if (asked.request.httpVersionMajor !== 2) throw new ApiError('UNIMPLEMENTED', 'gRPC-Web is not passed on to an upstream: call with gRPC, or REST.');
    const frames = judgedFrames(asked, match, call);
    // Nothing is opened before the first message is judged.
    const first = await frames.next();
    if (first.done === true) throw notSaid(match.method);
    return grpc.forward(asked, first.value, frames, call.signal);
  });
}

/** Each message of a stream is judged before it goes on: a later one may name something else than the first. */
async function* judgedFrames(asked: ForeignRequest, { method, fields }: GrpcMatch, call: Call): AsyncGenerator<Buffer, void, undefined> {
  const granted = new Set<string>();
  let isFirst = true;
  for await (const { frame, message } of readFrames(asked.request)) {
    await authorizeAll(call, method, namesIn(message, fields), granted, isFirst);
    isFirst = false;
    yield frame;
  }
}

function namesIn(message: Frame['message'], fields: GrpcMatch['fields']): SaidNames {
  return new Map([...fields].map(([name, paths]) => [name, paths.flatMap((path) => stringsAt(message, path))]));
}

/** @param granted what was asked for earlier in the call */
async function authorizeAll(call: Call, method: ForeignMethod, said: SaidNames, granted: Set<string>, isFirst: boolean): Promise<void> {
  const checks = method.checks(said, isFirst);
  if (checks === undefined) throw notSaid(method);
  for (const check of checks) {
    const key = `${check.permission} ${check.resource}`;
    if (granted.has(key)) continue;
    await call.authorize(check);
    granted.add(key);
  }
}

function foreignCall(upstream: Upstream, method: ForeignMethod | undefined, answer: ForeignCall['answer']): ForeignCall {
  return {
    host: upstream.host,
    method: method?.name ?? NO_METHOD,
    denied: ({ permission, asked }: AskedCheck) => `Permission '${permission}' denied on resource '${asked}' (or it may not exist).`,
    // What is not declared is refused to every token alike.
    isOpen: (held) => method === undefined || upstream.table.isOpen(method, held),
    answer,
  };
}

function undeclared(host: string, what: string): ApiError {
  return new ApiError(
    'UNIMPLEMENTED',
    `${what.slice(0, 300)} is no method of ${host} whose permission is known here, so it is not passed on. Declare it under methods of the upstream, in the configuration (docs/upstreams.md).`,
  );
}

function notSaid(method: ForeignMethod): ApiError {
  return invalidRequest(`${method.name}: the request names no resource that its permission could be asked about.`);
}

/** A parameter named as something in the path could be taken in its place by another program. */
function refuseDoubles({ said, bodyFields, queryNames }: HttpMatch, query: URLSearchParams): void {
  for (const name of [...said.keys(), ...bodyFields.keys()])
    if (query.has(name) && !queryNames.has(name)) throw invalidRequest(`${name}: is said by the path or the body of this method, and may not be a parameter as well.`);
}
