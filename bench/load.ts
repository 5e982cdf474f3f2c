/** A client that keeps a few requests in flight for a while, in this process; the servers it measures run in processes of their own. */
import { Agent, request } from 'node:http';
import { Agent as SecureAgent, request as secureRequest } from 'node:https';

export interface Load {
  readonly url: string;
  readonly headers: Record<string, string>;
  readonly method?: string;
  /** Path and body of the n-th request, and headers of its own. */
  readonly nth?: (n: number) => { readonly path: string; readonly body?: string; readonly headers?: Record<string, string> };
  /** What a URL with https is checked against, PEM. */
  readonly ca?: string;
  readonly concurrency: number;
  readonly seconds: number;
}

/** One request at a time of those that are in flight. @throws where the answer is not 200 */
function createClient(load: Omit<Load, 'seconds'>): { one(): Promise<void>; close(): void } {
  const { hostname, port, pathname, protocol } = new URL(load.url);
  const kept = { keepAlive: true, maxSockets: load.concurrency };
  const agent = protocol === 'https:' ? new SecureAgent({ ...kept, ca: load.ca }) : new Agent(kept);
  const send = protocol === 'https:' ? secureRequest : request;
  let sent = 0;
  return {
    one: () =>
      new Promise<void>((resolve, reject) => {
        const { path, body, headers } = load.nth?.(sent++) ?? { path: pathname };
        const call = send({ agent, hostname, port, path, method: load.method ?? 'GET', headers: { ...load.headers, ...headers } }, (response) => {
          response.resume();
          response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${path} answered ${response.statusCode ?? 0}`))));
        });
        call.on('error', reject);
        call.end(body);
      }),
    close: () => agent.destroy(),
  };
}

/** @returns answers per second, over as many requests as are said; throws when any is not 200 */
export async function measureCount(load: Omit<Load, 'seconds'>, count: number): Promise<number> {
  const { one, close } = createClient(load);
  const began = performance.now();
  let left = count;
  await Promise.all(
    Array.from({ length: load.concurrency }, async () => {
      while (left-- > 0) await one();
    }),
  );
  close();
  return count / ((performance.now() - began) / 1000);
}

/** @returns answers per second; throws when any is not 200 */
export async function measureLoad(load: Load): Promise<number> {
  const { one, close } = createClient(load);
  const run = async (seconds: number): Promise<number> => {
    const end = performance.now() + seconds * 1000;
    const began = performance.now();
    let done = 0;
    await Promise.all(
      Array.from({ length: load.concurrency }, async () => {
        while (performance.now() < end) {
          await one();
          done++;
        }
      }),
    );
    return done / ((performance.now() - began) / 1000);
  };
  await run(Math.min(2, load.seconds / 2));
  const rate = await run(load.seconds);
  close();
  return rate;
}

/** Takes the two in turn, three times, and answers the pair of medians. */
export async function inTurn(ours: () => Promise<number>, plain: () => Promise<number>, rounds = 3): Promise<{ ours: number; plain: number; ratio: number }> {
  const pairs: { ours: number; plain: number; ratio: number }[] = [];
  for (let i = 0; i < rounds; i++) {
    const a = await ours();
    const b = await plain();
    pairs.push({ ours: a, plain: b, ratio: a / b });
  }
  pairs.sort((a, b) => a.ratio - b.ratio);
  const middle = pairs[Math.floor(pairs.length / 2)];
  if (middle === undefined) throw new Error('no rounds');
  return middle;
}
