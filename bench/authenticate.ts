/** What it takes to know the caller of a token that was seen before, against the whole of a GetJob over REST: how long each keeps a processor. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createIdentity } from '../src/compose/identity.ts';
import { loadConfig } from '../src/config.ts';
import { createTokens } from '../src/identity/tokens.ts';
import { accessTokenStore } from '../src/store/access-tokens.ts';
import { openStore } from '../src/store/database.ts';
import { systemClock } from '../src/timestamp.ts';
import { inTurn, measureLoad } from './load.ts';
import { startActas } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const TIMES = 200_000;

export async function authenticate(): Promise<readonly Figure[]> {
  const actas = await startActas(['--driver', 'fake']);
  const dir = mkdtempSync(join(tmpdir(), 'actas-bench-tokens-'));
  const store = await openStore(dir);
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  const { authenticator } = createIdentity(store, new Set(), tokens, loadConfig({ dataDir: dir }, {}));
  const { token } = await tokens.mint({ member: 'user:bench@example.com' });
  const once = () => authenticator.authenticate(token, 'run.googleapis.com');
  if ('refused' in (await once())) throw new Error('the token is refused');
  const headers = { authorization: `Bearer ${actas.token}` };
  const created = await fetch(`${actas.url}${JOBS}?jobId=bench`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(SAMPLE_JOB) });
  if (created.status !== 200) throw new Error(await created.text());
  try {
    const ours = (): Promise<number> => {
      const began = performance.now();
      // Cached answers are no promises.
      for (let i = 0; i < TIMES; i++) void once();
      return Promise.resolve(((performance.now() - began) * 1000) / TIMES);
    };
    const whole = async () => 1_000_000 / (await measureLoad({ url: `${actas.url}${JOBS}/bench`, headers, concurrency: 16, seconds: 3 }));
    const result = await inTurn(ours, whole);
    return [{ name: 'authenticate', what: 'a token that was seen before, and the whole of a GetJob over REST', unit: 'us', goal: { atMost: 0.1 }, ...result }];
  } finally {
    await actas.stop();
    await store.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
