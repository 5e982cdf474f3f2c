/** For tests: runs a command line in this process, against a small HTTP server that answers canned JSON in Google's shape. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { runCli } from './cli.ts';
import type { Io, Sink } from './io.ts';

export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface RunOptions {
  readonly env?: Readonly<Record<string, string>>;
  readonly stdin?: string;
  /** Called once with a function that presses Ctrl-C; each line on stderr is shown to it. */
  readonly onErr?: (text: string, interrupt: () => void) => void;
}

export async function run(argv: readonly string[], options: RunOptions = {}): Promise<Ran> {
  let out = '';
  let err = '';
  const listeners = new Set<() => void>();
  const interrupt = (): void => {
    for (const listener of listeners) listener();
  };
  const sink = (write: (text: string) => void): Sink => ({ write, isTTY: false, columns: undefined, stream: new PassThrough() });
  const stdin = new PassThrough();
  stdin.end(options.stdin ?? '');
  const io: Io = {
    env: { LANG: 'C.UTF-8', ...options.env },
    out: sink((text) => (out += text)),
    err: sink((text) => {
      err += text;
      options.onErr?.(text, interrupt);
    }),
    stdin,
    onInterrupt(listener) {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },
  };
  const code = await runCli(argv, io);
  return { code, out, err };
}

export interface Seen {
  readonly verb: string;
  /** Path with its query. */
  readonly path: string;
  readonly body: unknown;
  readonly authorization: string | undefined;
}

export type Answer = { readonly status?: number; readonly headers?: Readonly<Record<string, string>>; readonly body: unknown };

export interface FakeApi {
  readonly url: string;
  readonly dataDir: string;
  readonly seen: Seen[];
  /** Flags and environment that lead a command here. */
  readonly env: Readonly<Record<string, string>>;
  close(): Promise<void>;
}

/** @param answer undefined answers 404 as Google does */
export async function startFakeApi(answer: (call: Seen) => Answer | undefined): Promise<FakeApi> {
  const seen: Seen[] = [];
  const server: Server = createServer((request, response) => {
    const respond = async (): Promise<void> => {
      const text = await readBody(request);
      const call: Seen = { verb: request.method ?? '', path: request.url ?? '', body: text === '' ? undefined : JSON.parse(text), authorization: request.headers.authorization };
      seen.push(call);
      const { status = 200, headers = {}, body } = answer(call) ?? apiError(404, 'NOT_FOUND', `nothing at ${call.path}`);
      response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    void respond();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${portOf(server)}`;
  const dataDir = mkdtempSync(join(tmpdir(), 'actas-cli-'));
  writeFileSync(join(dataDir, 'server.json'), JSON.stringify({ url, pid: process.pid }));
  writeFileSync(join(dataDir, 'owner-token'), 'owner-secret\n');
  return {
    url,
    dataDir,
    seen,
    env: { ACTAS_DATA_DIR: dataDir },
    async close() {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
      rmSync(dataDir, { recursive: true });
    },
  };
}

export function apiError(code: number, status: string, message: string, details: readonly object[] = []): Answer {
  return { status: code, body: { error: { code, status, message, details } } };
}

export function portOf(server: Server): number {
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('The server does not listen on a port.');
  return address.port;
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of request) text += String(chunk);
  return text;
}
