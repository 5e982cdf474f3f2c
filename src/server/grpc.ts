/**
 * The gRPC door (h2c; gRPC-Web too): connect's adapter over the same `dispatch` as REST. A service is registered by the first call for it;
 * where several APIs share one (google.longrunning.Operations), the request's name tells which is meant.
 */
import type { IncomingMessage } from 'node:http';
import type { DescMethod, DescService, Message } from '@bufbuild/protobuf';
import { Code, ConnectError, type ConnectRouter, createContextKey, createContextValues, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { type ApiError, deadlineExceeded, invalidRequest, STATUS } from '../errors.ts';
import { packDetails } from '../rpc-status.ts';
import type { AnyService, Api, Log, ServiceOutline } from '../services/service.ts';
import type { Dispatch, Transport } from './dispatch.ts';
import { cutMessage, type GrpcDoor } from './grpc-status.ts';
import type { Peer, PeerOf } from './peer.ts';
import { asApiError, MAX_BODY_BYTES } from './rest.ts';

/**
 * An error is in the trailers twice: as text (`cutMessage`), and packed, in base64. Source: grpc.max_metadata_size.
 */
const MAX_DETAIL_BYTES = 2400;

const STRANGER: Peer = { address: '', isLocal: false };
const PEER = createContextKey(STRANGER, { description: 'who is at the other end' });

type NodeHandler = ReturnType<typeof connectNodeAdapter>;

/** One API's part in a service of the protos. */
interface Share {
  readonly api: Api;
  readonly outline: ServiceOutline;
}

export function createGrpcHandler(apis: readonly Api[], dispatch: Dispatch, peerOf: PeerOf, log: Log): GrpcDoor['handle'] {
  const shares = Map.groupBy(
    apis.flatMap((api) => api.services.map((outline): Share => ({ api, outline }))),
    ({ outline }) => outline.typeName,
  );
  const handlers = new Map<string, NodeHandler>();
  const open = async (typeName: string): Promise<NodeHandler> => {
    const sharing = shares.get(typeName) ?? [];
    const { desc } = await load(sharing[0], typeName);
    const handler = connectNodeAdapter({
      routes: (router) => register(router, desc, sharing, dispatch, log),
      grpc: true,
      grpcWeb: true,
      connect: false,
      // HTTP/2 requests of node's compatibility layer have the socket's addresses as well; connect's type does not say so.
      contextValues: (request) => createContextValues().set(PEER, peerOf(request as IncomingMessage)),
      readMaxBytes: MAX_BODY_BYTES,
      writeMaxBytes: 64 * 1024 * 1024,
    });
    handlers.set(typeName, handler);
    return handler;
  };
  return (request, response, path) => {
    const typeName = path.split('/')[1] ?? '';
    const handler = handlers.get(typeName);
    return handler === undefined ? open(typeName).then((opened) => opened(request, response)) : handler(request, response);
  };
}

async function load(share: Share | undefined, typeName: string): Promise<AnyService> {
  const service = (await share?.api.load())?.find(({ desc }) => desc.typeName === typeName);
  if (service === undefined) throw new Error(`${typeName} is served by no API`);
  return service;
}

function register(router: ConnectRouter, desc: DescService, sharing: readonly Share[], dispatch: Dispatch, log: Log): void {
  const entries = desc.methods.map((method) => {
    if (method.methodKind !== 'unary') return [method.localName, answerStream(() => load(sharing[0], desc.typeName), method, dispatch, log)] as const;
    const handle = (request: Message, context: HandlerContext) => answer(() => load(pick(sharing, request), desc.typeName), method, request, context, dispatch, log);
    return [method.localName, handle] as const;
  });
  // The implementation is built from the descriptor itself, so it has exactly its methods.
  router.service(desc, Object.fromEntries(entries) as Partial<ServiceImpl<DescService>>);
}

/** The API that a name belongs to; where it is nobody's, the first answers, as it would to any caller of it: who are you, may you, not found. */
function pick(sharing: readonly Share[], request: Message): Share | undefined {
  const name = 'name' in request && typeof request.name === 'string' ? request.name : '';
  return sharing.find(({ outline }) => outline.owns?.(name) === true) ?? sharing[0];
}

async function answer(choose: () => Promise<AnyService>, method: DescMethod, request: Message, context: HandlerContext, dispatch: Dispatch, log: Log): Promise<Message> {
  try {
    return await dispatch.unary(await choose(), method, () => request, transportOf(context));
  } catch (error) {
    throw toConnect(asApiError(error, log));
  }
}

function transportOf(context: HandlerContext): Transport {
  return {
    door: 'grpc',
    authorization: context.requestHeader.get('authorization') ?? undefined,
    peer: context.values.get(PEER),
    userAgent: context.requestHeader.get('user-agent') ?? undefined,
    signal: withDeadline(context),
    warn: (message) => context.responseHeader.append('x-actas-warning', encodeURIComponent(message)),
  };
}

/** The call's own signal, whose reason is ours where the deadline of the call passed. */
function withDeadline(context: HandlerContext): AbortSignal {
  if (context.timeoutMs() === undefined) return context.signal;
  const { signal } = context;
  const ours = new AbortController();
  const abort = () => ours.abort(ConnectError.from(signal.reason).code === Code.DeadlineExceeded ? deadlineExceeded('The deadline of the call has passed.') : signal.reason);
  if (signal.aborted) abort();
  else signal.addEventListener('abort', abort, { once: true });
  return ours.signal;
}

/** A stream of answers, to one request or to the first of several. */
function answerStream(choose: () => Promise<AnyService>, method: DescMethod, dispatch: Dispatch, log: Log) {
  return async function* (requests: Message | AsyncIterable<Message>, context: HandlerContext): AsyncGenerator<Message> {
    const read = async (): Promise<Message> => {
      if (!(Symbol.asyncIterator in requests)) return requests;
      const first = await requests[Symbol.asyncIterator]().next();
      if (first.done === true) throw invalidRequest('The stream of requests ended before the first one.');
      return first.value;
    };
    try {
      yield* dispatch.stream(await choose(), method, read, transportOf(context));
    } catch (error) {
      throw toConnect(asApiError(error, log));
    }
  };
}

/** Our error on the gRPC wire: the same code and details as in JSON. */
export function toConnect(shaped: ApiError): ConnectError {
  // connect's codes are the numbers of google.rpc.Code.
  const connect = new ConnectError(cutMessage(shaped.message), STATUS[shaped.status].code, undefined, undefined, shaped);
  let room = MAX_DETAIL_BYTES;
  // An answer that a client throws away for its length says nothing at all: what does not fit is left out.
  const details = packDetails(shaped).filter((any) => any.value.length <= room && (room -= any.value.length) >= 0);
  connect.details = details.map((any) => ({ type: any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1), value: any.value }));
  return connect;
}
