/** A control plane of its own for a test file: real store in a temporary directory, real ports, the fake driver unless another is given. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Transport } from '@connectrpc/connect';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { loadConfig } from '../../src/config.ts';
import { type RunningServer, type ServerOptions, startServer } from '../../src/main.ts';

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
  // JSON of an answer is read by the test that knows its shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  readonly json: any;
}

export interface TestServer extends RunningServer {
  readonly dataDir: string;
  readonly ownerToken: string;
  /** @param path with the API's host first: `/run.googleapis.com/v2/...` */
  call(verb: string, path: string, body?: unknown, options?: { as?: string | null; headers?: Record<string, string> }): Promise<Answer>;
  /** A token for any principal. */
  tokenOf(member: string): Promise<string>;
  /** gRPC as a principal; null: without a token. */
  grpc(as?: string | null): Promise<Transport>;
  /** Stops it and starts another on the same data directory. */
  restart(): Promise<TestServer>;
}

export const OWNER = 'user:owner@example.com';

export async function startTestServer(flags: Record<string, unknown> = {}, options: ServerOptions = {}, existing?: string): Promise<TestServer> {
  const dataDir = existing ?? mkdtempSync(join(tmpdir(), 'actas-test-'));
  const server = await startServer(loadConfig({ driver: 'fake', port: 0, logLevel: 'silent', ...flags, dataDir }, {}), options);
  const ownerToken = readFileSync(server.tokenFile, 'utf8').trim();
  const tokens = new Map<string, string>([[OWNER, ownerToken]]);
  let closed = false;

  const call: TestServer['call'] = async (verb, path, body, { as = OWNER, headers = {} } = {}) => {
    const authorization: Record<string, string> = as === null ? {} : { authorization: `Bearer ${await tokenOf(as)}` };
    const response = await fetch(`${server.url}${path}`, {
      method: verb,
      headers: { ...authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, text, json: text.startsWith('{') ? JSON.parse(text) : undefined };
  };
  const tokenOf = async (member: string): Promise<string> => {
    const known = tokens.get(member);
    if (known !== undefined) return known;
    const answer = await call('POST', '/actas/v1/tokens:issue', { principal: member });
    if (answer.status !== 200) throw new Error(`no token for ${member}: ${answer.text}`);
    const token: string = answer.json.accessToken;
    tokens.set(member, token);
    return token;
  };
  const stop = async (): Promise<void> => {
    if (!closed) await server.close();
    closed = true;
  };
  return {
    ...server,
    dataDir,
    ownerToken,
    call,
    tokenOf,
    async grpc(as = OWNER) {
      const token = as === null ? undefined : await tokenOf(as);
      return createGrpcTransport({
        baseUrl: server.url,
        interceptors:
          token === undefined
            ? []
            : [
                (next) => (request) => {
                  request.header.set('authorization', `Bearer ${token}`);
                  return next(request);
                },
              ],
      });
    },
    async restart() {
      await stop();
      return startTestServer(flags, options, dataDir);
    },
    async close() {
      await stop();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}
