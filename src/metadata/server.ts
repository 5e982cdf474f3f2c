/**
 * The metadata server: tells a task who it is and hands it the tokens of its own service account, as Google's does at
 * `metadata.google.internal`. It never listens by itself: whoever holds the tasks' network gives it connections.
 *
 * Invariants: who asks is decided anew for every request, from the connection's address (or the host name asked for) alone,
 * never from a header that a caller could choose to be somebody else; who is nobody's task gets an empty 403 and nothing
 * that looks like a metadata server; a token is in no log line.
 *
 * Must not know: where addresses come from, the store, how tokens are made.
 * Sources: https://docs.cloud.google.com/compute/docs/metadata/querying-metadata, https://docs.cloud.google.com/run/docs/container-contract
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Answer, escape, etagOf, forbidden, json, notFound, page, send, text } from './answers.ts';
import { type Credentials, identityAnswer, tokenAnswer } from './credentials.ts';
import { type Directory, findNode, isDirectory, isMade, listing, metadataTree, type TaskIdentity, toJson, toLines, type Value } from './tree.ts';

export type { TaskIdentity } from './tree.ts';

export interface MetadataServer {
  /** Takes over a connection. @param remoteAddress whom it is from, where that is not the socket's own peer (a relay carried it) */
  serve(socket: Socket, remoteAddress?: string): void;
  /** Ends all connections. */
  close(): void;
}

/** For counters; `path` is one of few words, never what a caller chose. */
export interface MetadataRequest {
  readonly what: 'token' | 'identity' | 'value' | 'refused';
  readonly status: number;
}

export interface MetadataOptions extends Credentials {
  /** The task at this address (IPv4 without `::ffff:`) or of this host name (as sent, port included), if one runs there now. */
  lookup(connection: { readonly remoteAddress: string; readonly host: string | undefined }): Promise<TaskIdentity | undefined> | TaskIdentity | undefined;
  onRequest?(request: MetadataRequest): void;
}

/** From the opening of a connection, or the last answer on it, to the end of the next request's headers. */
const IDLE_MS = 120_000;
const MAX_HEADER_BYTES = 16_384;
/** Longer than any client waits; then the unchanged value is the answer, as at a client's own `timeout_sec`. */
const MAX_WAIT_SECONDS = 3600;
const MAX_WAITS_PER_TASK = 32;
/** No URL that we serve comes near; what a browser or a fuzzer sends does. */
const MAX_URL = 8192;

export function createMetadataServer(options: MetadataOptions): MetadataServer {
  const { log } = options;
  const sockets = new Map<Socket, { remoteAddress: string; timer: NodeJS.Timeout | undefined }>();
  const closing = new AbortController();
  const waits = new Map<string, number>();

  const arm = (socket: Socket): void => {
    const state = sockets.get(socket);
    if (state === undefined) return;
    clearTimeout(state.timer);
    state.timer = setTimeout(() => socket.destroy(), IDLE_MS).unref();
  };

  const server = createServer({ maxHeaderSize: MAX_HEADER_BYTES, keepAliveTimeout: IDLE_MS }, (request, response) => {
    const state = sockets.get(request.socket);
    clearTimeout(state?.timer);
    response.once('close', () => arm(request.socket));
    // Nothing that we serve has a body: what comes after such a request is not read.
    if (request.headers['content-length'] !== undefined || request.headers['transfer-encoding'] !== undefined) response.shouldKeepAlive = false;
    const lookup = async (): Promise<TaskIdentity | undefined> => options.lookup({ remoteAddress: state?.remoteAddress ?? '', host: request.headers.host });
    handle(request, response, lookup).catch((error: unknown) => {
      log.error({ error }, 'The metadata server failed.');
      send(request, response, { status: 500, type: 'text/html', body: page(500, 'Internal error.') });
      options.onRequest?.({ what: 'refused', status: 500 });
    });
  });
  server.on('clientError', (_error, socket) => {
    if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n');
    else socket.destroy();
  });

  const handle = async (request: IncomingMessage, response: ServerResponse, lookup: () => Promise<TaskIdentity | undefined>): Promise<void> => {
    const refuse = (answer?: Answer): void => {
      if (answer === undefined) refuseStranger(response);
      else send(request, response, answer);
      options.onRequest?.({ what: 'refused', status: response.statusCode });
    };
    const task = await lookup();
    if (task === undefined) return refuse();
    const url = parseTarget(request.url ?? '');
    const refusal = refusalOf(request, url);
    if (refusal !== undefined || url === undefined) return refuse(refusal ?? notFound(request.url ?? ''));
    const root = metadataTree(task);
    const found = findNode(root, url.segments);
    if (found === undefined) return refuse(notFound(url.path));
    if (isDirectory(found) && !url.path.endsWith('/')) return send(request, response, redirect(url));
    if (!isDirectory(found) && url.path.endsWith('/')) return refuse(notFound(url.path));
    if (isMade(found)) {
      const answer = found.made === 'token' ? await tokenAnswer(options, task, url.query) : await identityAnswer(options, task, url.query);
      // The task may have ended while the token was made.
      if ((await lookup())?.attemptId !== task.attemptId) return refuse();
      options.onRequest?.({ what: found.made, status: answer.status });
      return send(request, response, answer);
    }
    const answer = valueAnswer(found, url.query);
    if (isTrue(url.query.get('wait_for_change'))) {
      if (!(await waitForChange(waits, closing.signal, task.attemptId, url.query, answer, response)))
        return refuse({ status: 503, type: 'text/html', body: page(503, 'Too many requests of this task wait for a change.') });
      if ((await lookup())?.attemptId !== task.attemptId) return refuse();
    }
    options.onRequest?.({ what: 'value', status: answer.status });
    send(request, response, answer);
  };

  return {
    serve(socket, remoteAddress) {
      sockets.set(socket, { remoteAddress: (remoteAddress ?? socket.remoteAddress ?? '').replace(/^::ffff:/, ''), timer: undefined });
      socket.once('close', () => {
        clearTimeout(sockets.get(socket)?.timer);
        sockets.delete(socket);
      });
      arm(socket);
      server.emit('connection', socket);
    },
    close() {
      closing.abort();
      for (const socket of sockets.keys()) socket.destroy();
      server.close();
    },
  };
}

/** Nothing of a running task ever changes, so this only waits. @returns false where the task has too many that wait */
async function waitForChange(
  waits: Map<string, number>,
  closing: AbortSignal,
  attemptId: string,
  query: URLSearchParams,
  answer: Answer,
  response: ServerResponse,
): Promise<boolean> {
  const known = query.get('last_etag');
  const seconds = Number(query.get('timeout_sec') ?? MAX_WAIT_SECONDS);
  if ((known !== null && known !== etagOf(answer.body)) || !(seconds > 0)) return true;
  const waiting = waits.get(attemptId) ?? 0;
  if (waiting >= MAX_WAITS_PER_TASK) return false;
  waits.set(attemptId, waiting + 1);
  const gone = new AbortController();
  response.once('close', () => gone.abort());
  // An abort ends the wait early; that is all it says.
  await sleep(Math.min(seconds, MAX_WAIT_SECONDS) * 1000, undefined, { ref: false, signal: AbortSignal.any([gone.signal, closing]) }).catch(() => undefined);
  const left = (waits.get(attemptId) ?? 1) - 1;
  if (left === 0) waits.delete(attemptId);
  else waits.set(attemptId, left);
  return true;
}

interface Target {
  /** As sent, without the query. */
  readonly path: string;
  readonly segments: readonly string[];
  readonly query: URLSearchParams;
  readonly search: string;
}

function parseTarget(raw: string): Target | undefined {
  if (raw.length > MAX_URL) return undefined;
  // Absolute form, as clients of a proxy send it.
  const target = raw.replace(/^http:\/\/[^/?#]*/i, '');
  const cut = target.indexOf('?');
  const path = cut < 0 ? target : target.slice(0, cut);
  const search = cut < 0 ? '' : target.slice(cut);
  if (path === '') return { path: '/', segments: [], query: new URLSearchParams(search), search };
  const names = path.split('/');
  if (names.shift() !== '') return undefined;
  if (names.at(-1) === '') names.pop();
  try {
    const segments = names.map((name) => decodeURIComponent(name));
    // A name with a slash in it, or an empty one, is none of ours; `.` and `..` are not walked.
    return segments.some((name) => name === '' || name.includes('/')) ? undefined : { path, segments, query: new URLSearchParams(search), search };
  } catch (error) {
    if (error instanceof URIError) return undefined;
    throw error;
  }
}

/** What is wrong with a request before one looks at what it asks for. */
function refusalOf(request: IncomingMessage, url: Target | undefined): Answer | undefined {
  const path = url?.path ?? request.url ?? '';
  if (request.headers['x-forwarded-for'] !== undefined) return forbidden(path, 'Requests with an X-Forwarded-For header are refused.');
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return {
      status: 405,
      type: 'text/html',
      body: page(405, `The request method <code>${escape(request.method ?? '')}</code> is inappropriate for the URL <code>${escape(path)}</code>.`),
    };
  // The root answers without it: that is how clients find out where they run.
  if (url !== undefined && url.segments.length === 0) return undefined;
  const flavor = request.headers['metadata-flavor'];
  const legacy = request.headers['x-google-metadata-request'];
  if (flavor === 'Google' || (flavor === undefined && legacy === 'True')) return undefined;
  return forbidden(path, 'Missing Metadata-Flavor:Google header.');
}

function valueAnswer(found: Value | Directory, query: URLSearchParams): Answer {
  const alt = query.get('alt');
  const recursive = isTrue(query.get('recursive'));
  if (alt === 'json' || (recursive && alt !== 'text')) return json(toJson(found));
  if (isDirectory(found)) return text(recursive ? toLines(found) : listing(found));
  return text(typeof found === 'object' ? found.map((line) => `${line}\n`).join('') : String(found));
}

function isTrue(value: string | null): boolean {
  return value !== null && value.toLowerCase() === 'true';
}
function redirect(url: Target): Answer {
  const location = `${url.path}/${url.search}`;
  return { status: 301, type: 'text/html', body: `<A HREF="${escape(location)}">Moved</A>\n`, location };
}

/** Nothing that tells a stranger, or a task that has ended, what stands here; and no further request on this connection. */
function refuseStranger(response: ServerResponse): void {
  response.shouldKeepAlive = false;
  response.sendDate = false;
  response.writeHead(403, { 'Content-Length': 0, Connection: 'close' });
  response.end();
}
