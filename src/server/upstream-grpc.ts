/** Passes a gRPC call on over HTTP/2, message by message, with the trailers that say how it ended. */
import type { ServerResponse } from 'node:http';
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2';
import { type ApiError, cancelled, deadlineExceeded, isApiError, STATUS, type StatusName } from '../errors.ts';
import { cutMessage } from './grpc-status.ts';
import type { ForeignRequest } from './unserved.ts';
import type { Upstream } from './upstream.ts';
import { headersToAnswer, headersToSend } from './upstream-headers.ts';
import { unreachable } from './upstream-http.ts';

export interface GrpcForwarder {
  /**
   * @param first message, judged as `rest` are @param signal aborted when nobody waits any more
   * @returns the status that the call ended with @throws ApiError, where it could not be said to the caller yet
   */
  forward(asked: ForeignRequest, first: Buffer, rest: AsyncIterable<Buffer>, signal: AbortSignal): Promise<StatusName | 'OK'>;
}

const CONNECT_TIMEOUT_MS = 10_000;
const END_STREAM = 1;

export function createGrpcForwarder(upstream: Upstream): GrpcForwarder {
  let session: ClientHttp2Session | undefined;
  const connected = (): ClientHttp2Session => {
    if (session !== undefined && !session.closed && !session.destroyed) return session;
    // Loaded by the first call.
    const made = process.getBuiltinModule('node:http2').connect(upstream.url.origin);
    const timer = setTimeout(() => made.destroy(new Error(`no connection within ${CONNECT_TIMEOUT_MS / 1000} s`)), CONNECT_TIMEOUT_MS);
    const forget = (): void => {
      clearTimeout(timer);
      if (session === made) session = undefined;
    };
    made.once('connect', () => {
      clearTimeout(timer);
      // It keeps no program alive.
      made.unref();
    });
    // The streams on it say what happened.
    made.on('error', forget);
    made.once('close', forget);
    made.once('goaway', forget);
    return (session = made);
  };
  return {
    forward(asked, first, rest, signal) {
      const headers = { ...headersToSend(asked.request.headers, upstream.headers), te: 'trailers' };
      const { host: authority = upstream.url.host, ...others } = headers as OutgoingHttpHeaders;
      const path = `${upstream.url.pathname.replace(/\/$/, '')}${asked.path}`;
      const out = connected().request({ ...others, ':method': 'POST', ':path': path, ':authority': authority, ':scheme': upstream.url.protocol.slice(0, -1) });
      return converse(out, asked, send(out, first, rest), upstream, signal);
    },
  };
}

async function send(out: ClientHttp2Stream, first: Buffer, rest: AsyncIterable<Buffer>): Promise<void> {
  const write = async (frame: Buffer): Promise<void> => {
    if (!out.destroyed && !out.write(frame)) await new Promise<void>((resolve) => void out.once('drain', resolve).once('close', resolve));
  };
  await write(first);
  for await (const frame of rest) {
    if (out.destroyed) return;
    await write(frame);
  }
  out.end();
}

/** Until both sides are done. */
function converse(out: ClientHttp2Stream, { request, response }: ForeignRequest, sent: Promise<void>, upstream: Upstream, signal: AbortSignal): Promise<StatusName | 'OK'> {
  return new Promise((resolve, reject) => {
    let trailers: OutgoingHttpHeaders | undefined;
    let isOver = false;
    const settle = (step: () => void): void => {
      if (isOver) return;
      isOver = true;
      clearTimeout(deadline);
      signal.removeEventListener('abort', abort);
      step();
    };
    const fail = (error: Error): void =>
      settle(() => {
        out.close(process.getBuiltinModule('node:http2').constants.NGHTTP2_CANCEL);
        const shaped = isApiError(error) ? error : signal.aborted ? cancelled('The caller went away.') : unreachable(upstream, error);
        if (response.headersSent && !response.destroyed) end(response, trailersOf(shaped));
        reject(shaped);
      });
    const abort = (): void => fail(cancelled('The caller went away.'));
    signal.addEventListener('abort', abort, { once: true });
    const deadline = deadlineTimer(request.headers['grpc-timeout'], () => fail(deadlineExceeded('The deadline of the call has passed.')));
    sent.catch((error: unknown) => fail(error instanceof Error ? error : new Error(String(error))));

    out.once('response', (head, flags) => {
      if (response.destroyed) return;
      for (const [name, value] of Object.entries(headersToAnswer(head))) response.setHeader(name, value);
      response.writeHead(head[':status'] ?? 200);
      // The status alone, with no message.
      if ((flags & END_STREAM) !== 0) {
        trailers = head;
        out.resume();
      } else out.pipe(response, { end: false });
    });
    out.once('trailers', (said) => (trailers = said));
    out.once('end', () => {
      if (trailers === undefined) return fail(new Error('the call was broken off'));
      const { 'grpc-status': status } = trailers;
      const isAlone = response.getHeader('grpc-status') !== undefined;
      end(response, isAlone ? {} : trailers);
      settle(() => resolve(nameOf(Number(status ?? 2))));
    });
    out.once('error', fail);
    out.once('close', () => fail(new Error('the call was broken off')));
  });
}

/** A gRPC call came over HTTP/2, where node's response sends trailers after everything else. */
function end(response: ServerResponse, trailers: OutgoingHttpHeaders): void {
  if (response.writableEnded) return;
  for (const [name, value] of Object.entries(trailers)) if (!name.startsWith(':') && value !== undefined) response.addTrailers({ [name]: String(value) });
  response.end();
}

function trailersOf(error: ApiError): OutgoingHttpHeaders {
  return { 'grpc-status': String(STATUS[error.status].code), 'grpc-message': encodeURIComponent(cutMessage(error.message)) };
}

function nameOf(code: number): StatusName | 'OK' {
  if (code === 0) return 'OK';
  // Entries of STATUS have its names.
  return (Object.entries(STATUS).find(([, status]) => status.code === code)?.[0] as StatusName | undefined) ?? 'UNKNOWN';
}

/** `10S`, `500m`. Source: gRPC over HTTP/2, "Timeout". */
function deadlineTimer(value: string | readonly string[] | undefined, passed: () => void): NodeJS.Timeout | undefined {
  const [, amount, unit = ''] = /^(\d{1,8})([HMSmun])$/.exec(String(value)) ?? [];
  if (amount === undefined) return undefined;
  const milliseconds = Number(amount) * ({ H: 3_600_000, M: 60_000, S: 1000, m: 1, u: 0.001, n: 0.000_001 }[unit] ?? 0);
  return setTimeout(passed, Math.min(milliseconds, 2 ** 31 - 1));
}
