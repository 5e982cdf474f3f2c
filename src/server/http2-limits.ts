/**
 * Limits of time for HTTP/2, where node has none: HTTP/1 has them from `headersTimeout`, `requestTimeout` and `keepAliveTimeout`. They cut nothing that a client
 * waits for: a call may take as long as it likes once its request is here, and a stream of an upstream goes on while both sides hold it open.
 */
import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';

/** All in milliseconds. */
export interface SessionTimes {
  /** From the connection to its first call. Channels that are opened beforehand connect again when they are used. */
  readonly first: number;
  /** Without a call, after there was one. */
  readonly idle: number;
  /** From the word that the session ends until it is cut. */
  readonly farewell: number;
}

export const SESSION_TIMES: SessionTimes = { first: 30_000, idle: 300_000, farewell: 5_000 };
/** As long as node gives a request of HTTP/1. */
const REQUEST_MS = 300_000;

/** Ends a session that carries nothing: GOAWAY, so that a client with a call on its way sends it anew elsewhere (RFC 9113 section 6.8), then the end. */
export function limitSession(session: ServerHttp2Session, times: SessionTimes = SESSION_TIMES): void {
  let open = 0;
  let timer: NodeJS.Timeout | undefined;
  const wait = (ms: number, then: () => void): void => {
    clearTimeout(timer);
    timer = setTimeout(then, ms).unref();
  };
  const cut = (): void => session.destroy();
  const end = (): void => {
    session.goaway();
    wait(times.farewell, cut);
  };
  wait(times.first, end);
  session.on('stream', (stream: ServerHttp2Stream) => {
    open += 1;
    clearTimeout(timer);
    stream.once('close', () => {
      open -= 1;
      if (open === 0 && !session.destroyed) wait(times.idle, end);
    });
  });
  session.once('close', () => clearTimeout(timer));
}

/** Ends a request of HTTP/2 that has not come as a whole by then. HTTP/1 is left to node. */
export function limitArrival(request: IncomingMessage, ms = REQUEST_MS): void {
  if (request.httpVersionMajor !== 2) return;
  // What node's HTTP/2 server hands over; the handler's type is that of both.
  const { stream } = request as unknown as Http2ServerRequest;
  if (stream.endAfterHeaders || stream.destroyed) return;
  const timer = setTimeout(() => stream.close(process.getBuiltinModule('node:http2').constants.NGHTTP2_CANCEL), ms).unref();
  const arrived = (): void => clearTimeout(timer);
  stream.once('end', arrived);
  stream.once('close', arrived);
}
