/**
 * The gRPC door (h2c; gRPC-Web too): connect's adapter over the same `dispatch` as REST. It registers every service's descriptor
 * once; where several APIs share one (google.longrunning.Operations), the request's name tells which is meant.
 */
import type { Message } from '@bufbuild/protobuf';
import { ConnectError, type ConnectRouter, createContextKey, createContextValues, type HandlerContext, type ServiceImpl } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import type { DescMethod, DescService } from '@bufbuild/protobuf';
import { type ApiError, STATUS, unimplemented } from '../errors.ts';
import type { AnyService, Log } from '../services/service.ts';
import type { Dispatch } from './dispatch.ts';
import { asApiError, MAX_BODY_BYTES } from './rest.ts';

export type GrpcHandler = ReturnType<typeof connectNodeAdapter>;

const PEER = createContextKey('', { description: 'address of the caller' });

export function createGrpcDoor(services: readonly AnyService[], dispatch: Dispatch, log: Log): GrpcHandler {
  const groups = Map.groupBy(services, (service) => service.desc.typeName);
  return connectNodeAdapter({
    routes: (router) => {
      for (const sharing of groups.values()) register(router, sharing, dispatch, log);
    },
    grpc: true,
    grpcWeb: true,
    connect: false,
    contextValues: (request) => createContextValues().set(PEER, request.socket.remoteAddress ?? ''),
    readMaxBytes: MAX_BODY_BYTES,
    writeMaxBytes: 64 * 1024 * 1024,
  });
}

function register(router: ConnectRouter, sharing: readonly AnyService[], dispatch: Dispatch, log: Log): void {
  const desc = sharing[0]?.desc;
  if (desc === undefined) return;
  const entries = desc.methods.map((method) => {
    if (method.methodKind !== 'unary') return [method.localName, refuseStream(`${desc.typeName}.${method.name}`)] as const;
    return [method.localName, (request: Message, context: HandlerContext) => answer(() => pick(sharing, request), method, request, context, dispatch, log)] as const;
  });
  // The implementation is built from the descriptor itself, so it has exactly its methods.
  router.service(desc, Object.fromEntries(entries) as Partial<ServiceImpl<DescService>>);
}

/** The API that a name belongs to; where it is nobody's, the first answers, as it would to any caller of it: who are you, may you, not found. */
function pick(sharing: readonly AnyService[], request: Message): AnyService {
  const name = 'name' in request && typeof request.name === 'string' ? request.name : '';
  const owner = sharing.find((service) => service.owns?.(name) === true) ?? sharing[0];
  if (owner === undefined) throw new Error('a descriptor was registered without a service');
  return owner;
}

async function answer(choose: () => AnyService, method: DescMethod, request: Message, context: HandlerContext, dispatch: Dispatch, log: Log): Promise<Message> {
  try {
    return await dispatch.unary(choose(), method, request, {
      door: 'grpc',
      authorization: context.requestHeader.get('authorization') ?? undefined,
      peer: context.values.get(PEER),
      userAgent: context.requestHeader.get('user-agent') ?? undefined,
      signal: context.signal,
      warn: (message) => context.responseHeader.append('x-actas-warning', encodeURIComponent(message)),
    });
  } catch (error) {
    throw toConnect(asApiError(error, log));
  }
}

function refuseStream(name: string) {
  // biome-ignore lint/correctness/useYield: a stream that we do not serve ends before its first message
  return async function* (): AsyncGenerator<Message> {
    throw toConnect(unimplemented(name));
  };
}

/** Our error on the gRPC wire: the same code and details as in JSON. */
export function toConnect(shaped: ApiError): ConnectError {
  // connect's codes are the numbers of google.rpc.Code.
  const connect = new ConnectError(shaped.message, STATUS[shaped.status].code, undefined, undefined, shaped);
  connect.details = shaped.details.map((any) => ({ type: any.typeUrl.slice(any.typeUrl.lastIndexOf('/') + 1), value: any.value }));
  return connect;
}
