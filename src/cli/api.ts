/**
 * One HTTP client for every API that the CLI calls, each by its explicit prefix `/SERVICE_HOST/version/...`.
 * It hides: the wire, the error envelope, retries of reads, paging, and the wait for an operation.
 * Invariants: a token goes to the target's origin only; a mutation is sent once; a call without an answer is a `CliFailure`.
 * node:http and not fetch: fetch takes 20 ms to load and adds the headers of a browser, which the server is right to refuse.
 */
import { Agent, request as httpRequest, type IncomingMessage } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { ApiFailure, type ErrorDetail, failure, notRunningFailure, operationFailure } from './failure.ts';

export const RUN = 'run.googleapis.com/v2';
export const IAM = 'iam.googleapis.com/v1';
export const IAM_V2 = 'iam.googleapis.com/v2';
export const RESOURCE_MANAGER = 'cloudresourcemanager.googleapis.com/v3';
export const SERVICE_USAGE = 'serviceusage.googleapis.com/v1';
export const ORG_POLICY = 'orgpolicy.googleapis.com/v2';
export const RESOURCE_MANAGER_V1 = 'cloudresourcemanager.googleapis.com/v1';
export const LOGGING = 'logging.googleapis.com/v2';
export const CREDENTIALS = 'iamcredentials.googleapis.com/v1';
export const SECRETS = 'secretmanager.googleapis.com/v1';
export const ACTAS = 'actas/v1';

export type Query = Readonly<Record<string, string | number | boolean | undefined>>;

export interface Api {
  /** @param path what follows the prefix, for example `projects/p/locations/l/jobs` @throws ApiFailure when the API refuses */
  get<T extends object>(prefix: string, path: string, query?: Query, signal?: AbortSignal): Promise<T>;
  /** @param body nothing where the method's HTTP rule has none: the server refuses one there */
  send<T extends object>(verb: 'POST' | 'PATCH' | 'PUT' | 'DELETE', prefix: string, path: string, body?: object, query?: Query): Promise<T>;
  /** Every item of a paged collection, or the first `limit`. @param field the list's name in the answer */
  list<T extends object>(prefix: string, path: string, field: string, options?: { readonly query?: Query; readonly limit?: number }): Promise<T[]>;
  /** The messages of a method that answers with a stream, as they come. Ends when the server ends it, or by the signal. @throws ApiFailure, also in its midst */
  stream<T extends object>(prefix: string, path: string, body: object, signal: AbortSignal): AsyncGenerator<T>;
  /** Waits until an operation is done. @returns its response @throws ApiFailure with the operation's error */
  finish<T extends object>(prefix: string, operation: Operation, signal?: AbortSignal): Promise<T>;
}

export interface Operation {
  readonly name?: string;
  readonly done?: boolean;
  readonly error?: { readonly code?: number; readonly message?: string; readonly details?: readonly ErrorDetail[] };
  readonly response?: object;
  readonly metadata?: object;
}

/** Where to send requests. */
export interface Endpoint {
  /** An origin, or `https://` alone: then each API is at the host that its prefix begins with. */
  readonly url: string;
  /** Asked before each call; undefined sends none. */
  token(): Promise<string | undefined>;
  /** What to tell who finds nobody there. */
  readonly whenDown: readonly string[];
  /** What is there, for the sentence that says that nobody answers; a control plane. */
  readonly name?: string;
  /** Sent with each request. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Hears what the server warns of beside its answers. */
  readonly warn?: (text: string) => void;
}

const agent = new Agent({ keepAlive: true });
const READ_TRIES = 4;

export function createApi(endpoint: Endpoint): Api {
  /** A policy that is read to be changed is warned of twice, and a person told once. */
  const told = new Set<string>();
  const call = async (verb: string, prefix: string, path: string, body: object | undefined, query: Query, signal?: AbortSignal): Promise<object> => {
    const url = buildUrl(endpoint.url, prefix, path, query);
    const token = await endpoint.token();
    for (let attempt = 1; ; attempt += 1) {
      const answer = await exchange(verb, url, body, token, endpoint, signal);
      for (const text of answer.warnings) {
        if (!told.has(text)) endpoint.warn?.(text);
        told.add(text);
      }
      const retryable = answer.status === 429 || answer.status === 503;
      if (retryable && verb === 'GET' && attempt < READ_TRIES) {
        await delay(100 * 2 ** attempt, undefined, { signal });
        continue;
      }
      return readAnswer(answer, url);
    }
  };
  const get: Api['get'] = async (prefix, path, query = {}, signal) => shaped(await call('GET', prefix, path, undefined, query, signal));
  return {
    get,
    async send(verb, prefix, path, body, query = {}) {
      return shaped(await call(verb, prefix, path, body, query));
    },
    async list<T extends object>(prefix: string, path: string, field: string, options: { readonly query?: Query; readonly limit?: number } = {}) {
      const items: T[] = [];
      let pageToken: string | undefined;
      do {
        const page: Readonly<Record<string, unknown>> & { nextPageToken?: string } = await get(prefix, path, {
          pageSize: options.limit === undefined ? undefined : Math.min(options.limit, 1000),
          ...options.query,
          pageToken,
        });
        const found = page[field];
        if (Array.isArray(found)) for (const item of found) items.push(shaped(item));
        pageToken = page.nextPageToken || undefined;
      } while (pageToken !== undefined && items.length < (options.limit ?? Number.POSITIVE_INFINITY));
      return options.limit === undefined ? items : items.slice(0, options.limit);
    },
    async *stream<T extends object>(prefix: string, path: string, body: object, signal: AbortSignal) {
      const url = buildUrl(endpoint.url, prefix, path, {});
      const response = await open('POST', url, JSON.stringify(body), await endpoint.token(), endpoint, signal);
      if (response.statusCode !== 200) readAnswer({ status: response.statusCode ?? 0, text: await collect(response), warnings: [] }, url);
      for await (const line of linesOf(response, signal)) {
        // A JSON array that grows, a message on each line: `[{...}`, `,{...}`, `]`.
        const text = line.replace(/^[[,]/, '').trim();
        if (text !== '' && text !== ']') yield shaped<T>(readAnswer({ status: text.startsWith('{"error"') ? 0 : 200, text, warnings: [] }, url));
      }
    },
    async finish<T extends object>(prefix: string, started: Operation, signal?: AbortSignal) {
      let operation = started;
      for (const pause of pauses(30, 1000)) {
        if (operation.done === true) break;
        if (operation.name === undefined) throw failure('The server answered with an operation that has no name, so it cannot be waited for.');
        await delay(pause, undefined, { signal });
        operation = await get<Operation>(prefix, operation.name, {}, signal);
      }
      if (operation.error !== undefined) throw operationFailure(operation.error);
      return shaped<T>(operation.response ?? {});
    },
  };
}

/** Milliseconds between polls: doubling from `first` up to `most`, without end. */
export function* pauses(first: number, most: number): Generator<number> {
  for (let pause = first; ; pause = Math.min(most, pause * 2)) yield pause;
}

// The caller names the shape, as with JSON.parse it would.
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters
function shaped<T extends object>(answer: object): T {
  // The answer's shape is the API's published one; the interfaces in shapes.ts declare every field optional, so nothing is trusted by this cast.
  return answer as T;
}

function buildUrl(base: string, prefix: string, path: string, query: Query): URL {
  const url = new URL(`${base === 'https://' ? base : `${base.replace(/\/+$/, '')}/`}${prefix}/${path.split('/').map(encodeSegment).join('/')}`);
  for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, String(value));
  return url;
}

/** A verb's colon (`jobs/j:run`) and the `@` of an e-mail stay readable. */
function encodeSegment(segment: string): string {
  return encodeURIComponent(segment).replaceAll('%3A', ':').replaceAll('%40', '@');
}

interface Answer {
  readonly status: number;
  readonly text: string;
  readonly warnings: readonly string[];
}

async function exchange(verb: string, url: URL, body: object | undefined, token: string | undefined, endpoint: Endpoint, signal?: AbortSignal): Promise<Answer> {
  const response = await open(verb, url, body === undefined ? undefined : JSON.stringify(body), token, endpoint, signal);
  return { status: response.statusCode ?? 0, text: await collect(response), warnings: warningsOf(response) };
}

/** Sends a request. Resolves with the head of its answer. */
function open(verb: string, url: URL, payload: string | undefined, token: string | undefined, endpoint: Endpoint, signal?: AbortSignal): Promise<IncomingMessage> {
  const headers: Record<string, string> = { accept: 'application/json', 'user-agent': 'actas-cli', ...endpoint.headers };
  if (token !== undefined) headers['authorization'] = `Bearer ${token}`;
  // Even without a body: the server takes mutations only with a JSON content type.
  if (verb !== 'GET') headers['content-type'] = 'application/json';
  if (verb !== 'GET') headers['content-length'] = String(Buffer.byteLength(payload ?? ''));
  return new Promise((resolve, reject) => {
    const secure = url.protocol === 'https:';
    // HTTPS is loaded where it is used: every command loads this file, and few need TLS.
    const request = (secure ? process.getBuiltinModule('node:https').request : httpRequest)(
      url,
      { method: verb, headers, ...(secure ? {} : { agent }), ...(signal === undefined ? {} : { signal }) },
      resolve,
    );
    request.on('error', (error: NodeJS.ErrnoException) => reject(signal?.aborted === true ? error : connectionFailure(error, url, endpoint)));
    request.end(payload);
  });
}

/** Several come as one header, joined by commas; each is percent-encoded, so none has a comma of its own. */
function warningsOf(response: IncomingMessage): string[] {
  const header = response.headers['x-actas-warning'];
  return header === undefined ? [] : [header].flat().flatMap((text) => text.split(',').map((part) => decodeURIComponent(part.trim())));
}

async function* linesOf(response: IncomingMessage, signal: AbortSignal): AsyncGenerator<string> {
  let rest = '';
  response.setEncoding('utf8');
  try {
    for await (const chunk of response) {
      const lines = `${rest}${String(chunk)}`.split('\n');
      rest = lines.pop() ?? '';
      yield* lines;
    }
    if (rest !== '') yield rest;
  } catch (error) {
    if (!signal.aborted) throw failure('The connection to the control plane broke off.', error instanceof Error ? error.message : '');
  }
}

async function collect(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks).toString('utf8');
}

function connectionFailure(error: NodeJS.ErrnoException, url: URL, { whenDown, name = 'control plane' }: Endpoint): Error {
  const why = error.code === 'ECONNREFUSED' ? 'the connection was refused' : error.message || (error.code ?? 'no connection');
  return notRunningFailure(`No ${name} answers at ${url.origin}: ${why}.`, whenDown, error);
}

function readAnswer(answer: Answer, url: URL): object {
  let parsed: unknown;
  try {
    parsed = answer.text === '' ? {} : JSON.parse(answer.text);
  } catch {
    throw failure(
      `${url.origin} answered ${answer.status} with something that is not JSON.`,
      firstLine(answer.text),
      `Is ${url.origin} a control plane of actas? Set ACTAS_URL to its address, for example http://127.0.0.1:8787`,
    );
  }
  if (typeof parsed !== 'object' || parsed === null) throw failure(`${url.origin} answered ${answer.status} with ${typeof parsed}, not an object.`);
  if (answer.status >= 200 && answer.status < 300) return parsed;
  // OAuth's endpoints answer `{error, error_description}` (RFC 6749 section 5.2).
  const { error, error_description: description } = shaped<{ error?: string | { status?: string; message?: string; details?: ErrorDetail[] }; error_description?: string }>(parsed);
  if (typeof error === 'string') throw new ApiFailure(error, description ?? '', []);
  throw new ApiFailure(error?.status ?? `HTTP ${answer.status}`, error?.message ?? firstLine(answer.text), error?.details ?? []);
}

function firstLine(text: string): string {
  return text.trim().split('\n')[0]?.slice(0, 200) ?? '';
}
