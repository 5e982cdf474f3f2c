/** A REST call that is authenticated, authorised, audited and passed on, against the same call sent to the upstream directly: the median of one call after the other. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inTurn } from './load.ts';
import { startActas, startScript } from './process.ts';
import type { Figure } from './run.ts';

const PATH = '/storage/v1/b/data';
/** About what a call of an emulator takes that keeps its objects in files or in a JVM. */
const EMULATOR_MS = 2;
const CALLS = 1000;

export async function upstream(): Promise<readonly Figure[]> {
  const figure = await measure(EMULATOR_MS);
  const bare = await measure(0);
  return [
    { ...figure, name: 'upstream', what: `a call passed to an upstream that takes ${EMULATOR_MS} ms, and the same call to the upstream itself`, goal: { atMost: 1.5 } },
    { ...bare, name: 'upstream-bare', what: 'the same with an upstream that takes no time: what the passing on costs by itself' },
  ];
}

async function measure(delayMs: number): Promise<Pick<Figure, 'unit' | 'ours' | 'plain' | 'ratio'>> {
  const emulator = await startScript('emulator.ts', [String(delayMs)]);
  const direct = `http://127.0.0.1:${emulator.port}`;
  const folder = mkdtempSync(join(tmpdir(), 'actas-bench-'));
  const config = join(folder, 'config.yaml');
  writeFileSync(config, `upstreams:\n  storage.googleapis.com: ${direct}\n`);
  const actas = await startActas(['--driver', 'fake', '--config', config]);
  try {
    const headers = { authorization: `Bearer ${actas.token}` };
    const granted = await fetch(`${actas.url}/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify({ policy: { bindings: [{ role: 'roles/storage.admin', members: ['user:owner@example.com'] }] } }),
    });
    if (granted.status !== 200) throw new Error(await granted.text());
    const result = await inTurn(
      () => median(`${actas.url}/storage.googleapis.com${PATH}`, headers),
      () => median(`${direct}${PATH}`, headers),
    );
    return { unit: 'ms at p50', ...result };
  } finally {
    await actas.stop();
    await emulator.end();
    rmSync(folder, { recursive: true });
  }
}

/** @returns milliseconds; throws when any answer is not 200 */
async function median(url: string, headers: Record<string, string>): Promise<number> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const one = (): Promise<void> =>
    new Promise((resolve, reject) => {
      request(url, { agent, headers }, (response) => {
        response.resume();
        response.on('end', () => (response.statusCode === 200 ? resolve() : reject(new Error(`${url} answered ${response.statusCode ?? 0}`))));
      })
        .on('error', reject)
        .end();
    });
  for (let call = 0; call < CALLS / 5; call++) await one();
  const times: number[] = [];
  for (let call = 0; call < CALLS; call++) {
    const began = performance.now();
    await one();
    times.push(performance.now() - began);
  }
  agent.destroy();
  return times.toSorted((a, b) => a - b)[CALLS / 2] ?? 0;
}
