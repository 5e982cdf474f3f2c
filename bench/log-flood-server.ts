/** The control plane in a process of its own, with a driver whose tasks write at a fixed rate for as long as they run; prints its address and the owner's token. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loadConfig } from '../src/config.ts';
import { startServer } from '../src/main.ts';
import type { Driver } from '../src/runner/driver.ts';
import { createFakeDriver } from '../src/runner/fake/driver.ts';

const [rate, seconds] = [Number(process.argv[2]), Number(process.argv[3])];
const TICK_MS = 20;

const fake = createFakeDriver({ countsStarts: false });
const driver: Driver = {
  ...fake,
  async *logs(id, from, signal) {
    const total = rate * seconds;
    const began = BigInt(Date.now()) * 1_000_000n;
    const start = performance.now();
    for (let n = 0; n < total && !signal.aborted; ) {
      const due = Math.min(total, Math.floor(((performance.now() - start) / 1000) * rate));
      for (; n < due; n++)
        yield { container: 'main', stream: 'stdout', timeNs: began + BigInt(n) * 1000n, text: `line ${n} of a program that has very much to say about what it does` };
      if (n < total) await delay(TICK_MS);
    }
    yield* fake.logs(id, from, signal);
  },
};

const dataDir = mkdtempSync(join(tmpdir(), 'actas-bench-flood-'));
const server = await startServer(loadConfig({ driver: 'fake', port: 0, logLevel: 'error', dataDir }, {}), { driver });
console.log(JSON.stringify({ url: server.url, token: readFileSync(server.tokenFile, 'utf8').trim() }));
process.once('SIGTERM', () => {
  void server.close().then(() => rmSync(dataDir, { recursive: true }));
});
