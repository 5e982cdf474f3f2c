/** Passes a REST call on: bodies stream both ways, never held; a caller that goes away ends the call, an upstream that is not there is 503. */
import http, { type ClientRequest, type IncomingMessage, type OutgoingHttpHeaders, type ServerResponse } from 'node:http';
import { pipeline } from 'node:stream';
import { type ApiError, cancelled, deadlineExceeded, isApiError, STATUS, type StatusName, unavailable } from '../errors.ts';
import type { ForeignRequest } from './unserved.ts';
import type { Upstream } from './upstream.ts';
import { headersToAnswer, headersToSend, queryToSend } from './upstream-headers.ts';

export interface HttpForwarder {
  /**
   * @param body in the place of the request's own, where that was read @param signal aborted when nobody waits any more
   * @returns the status that the upstream answered with, once its answer has been passed on @throws UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED
   */
  forward(asked: ForeignRequest, body: Buffer | undefined, signal: AbortSignal): Promise<StatusName | 'OK'>;
}

/** Without a byte either way. An emulator that waits for messages answers within two minutes. */
const SILENCE_MS = 10 * 60_000;
const MAX_CONNECTIONS = 256;

export function createHttpForwarder(upstream: Upstream): HttpForwarder {
  const { url } = upstream;
  // Loaded where one is configured.
  const { Agent, request: open } = url.protocol === 'https:' ? process.getBuiltinModule('node:https') : http;
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_CONNECTIONS });
  const base = url.pathname.replace(/\/$/, '');
  return {
    forward(asked, body, signal) {
      const { request, response } = asked;
      const headers = headersToSend(request.headers, upstream.headers);
      const isPiped = body === undefined && hasBody(request);
      frame(headers, isPiped, body);
      const options = {
        method: request.method,
        agent,
        headers,
        path: `${base}${asked.path}${queryToSend(asked.query)}`,
        hostname: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port,
      };
      return new Promise((resolve, reject) => {
        const begin = (isRetry: boolean): void => {
          const out = open(options);
          watch(out, signal);
          out.once('response', (answer) => {
            passBack(
              answer,
              response,
              (location) => ownLocation(location, upstream, asked),
              (error) => (error === null || error === undefined ? resolve(statusOf(answer.statusCode ?? 0)) : reject(problem(error, upstream, signal))),
            );
          });
          out.once('upgrade', (_answer, socket) => {
            socket.destroy();
            reject(unreachable(upstream, new Error('it changed to another protocol, which nobody asked for')));
          });
          out.once('error', (error: NodeJS.ErrnoException) => {
            // A connection that was kept may have been closed by the other side a moment ago; nothing of this call has arrived then.
            if (!isRetry && !isPiped && out.reusedSocket && error.code === 'ECONNRESET' && /^(?:GET|HEAD)$/.test(request.method ?? '')) begin(true);
            else reject(problem(error, upstream, signal));
          });
          if (body !== undefined) out.end(body);
          else if (isPiped) request.pipe(out);
          else out.end();
        };
        begin(false);
      });
    },
  };
}

function watch(out: ClientRequest, signal: AbortSignal): void {
  const abort = (): void => void out.destroy(cancelled('The caller went away.'));
  if (signal.aborted) abort();
  signal.addEventListener('abort', abort, { once: true });
  out.once('close', () => signal.removeEventListener('abort', abort));
  out.setTimeout(SILENCE_MS, () => out.destroy(deadlineExceeded(`The upstream has said nothing for ${SILENCE_MS / 60_000} minutes.`)));
}

function passBack(answer: IncomingMessage, response: ServerResponse, located: (location: string) => string, done: (error: Error | null | undefined) => void): void {
  const headers = headersToAnswer(answer.headers);
  if (typeof headers['location'] === 'string') headers['location'] = located(headers['location']);
  // What node would write for itself is of this connection; `Server` stays the upstream's.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  response.writeHead(answer.statusCode ?? 502);
  pipeline(answer, response, done);
}

/**
 * How long the body is must be said of the one that is sent. A length without its body takes the next request on the connection for it, and a body without
 * a length, as node sends that of GET and DELETE unless it is told, is read as the next request, which nobody has judged.
 */
function frame(headers: OutgoingHttpHeaders, isPiped: boolean, body: Buffer | undefined): void {
  if (body !== undefined) headers['content-length'] = String(body.length);
  else if (!isPiped) delete headers['content-length'];
  else if (headers['content-length'] === undefined) headers['transfer-encoding'] = 'chunked';
}

function hasBody(request: IncomingMessage): boolean {
  if (request.httpVersionMajor === 2) return !request.complete && !/^(?:GET|HEAD)$/.test(request.method ?? '');
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

function problem(error: Error, upstream: Upstream, signal: AbortSignal): Error {
  if (isApiError(error)) return error;
  if (signal.aborted) return cancelled('The caller went away.');
  return unreachable(upstream, error);
}

/** The upstream is not there, or broke off. */
export function unreachable(upstream: Upstream, error: Error): ApiError {
  const reason = error.message === '' ? (('code' in error && typeof error.code === 'string' ? error.code : undefined) ?? error.name) : error.message;
  return unavailable(`The upstream of ${upstream.host}, ${upstream.url.origin}, cannot be reached: ${reason}`, error);
}

/** An upload goes on where the upstream says, which is by way of here. */
function ownLocation(location: string, upstream: Upstream, { request, path, host }: ForeignRequest): string {
  if (!URL.canParse(location, upstream.url)) return location;
  const target = new URL(location, upstream.url);
  if (target.origin !== upstream.url.origin && target.hostname !== host) return location;
  const asked = (request.url ?? '/').replace(/^https?:\/\/[^/?#]*/i, '').replace(/\?.*$/s, '');
  const prefix = asked.endsWith(path) ? asked.slice(0, asked.length - path.length) : '';
  const base = upstream.url.pathname.replace(/\/$/, '');
  const rest = target.pathname.startsWith(base) ? target.pathname.slice(base.length) : target.pathname;
  const scheme = 'encrypted' in request.socket ? 'https' : 'http';
  const authority = request.headers[':authority'] ?? request.headers.host ?? host;
  return `${scheme}://${String(authority)}${prefix}${rest}${target.search}`;
}

/** For the audit trail; a redirect, and what has not changed, are fine. */
function statusOf(code: number): StatusName | 'OK' {
  if (code < 400) return 'OK';
  if (code === 404) return 'NOT_FOUND';
  const exact: readonly [string, { readonly http: number }][] = Object.entries(STATUS).filter(
    ([name]) => !['FAILED_PRECONDITION', 'OUT_OF_RANGE', 'ABORTED', 'UNKNOWN', 'DATA_LOSS'].includes(name),
  );
  // Entries of STATUS have its names.
  const found = exact.find(([, { http: status }]) => status === code)?.[0] as StatusName | undefined;
  return found ?? (code >= 500 ? 'UNKNOWN' : 'FAILED_PRECONDITION');
}
