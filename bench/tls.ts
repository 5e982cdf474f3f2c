/** REST GetJob over TLS on kept connections, against the same over plain HTTP: what the front door costs once a client is connected. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inTurn, measureLoad } from './load.ts';
import { startActas } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const PATH = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/bench';

export async function tls(): Promise<readonly Figure[]> {
  const actas = await startActas(['--driver', 'fake']);
  const headers = { authorization: `Bearer ${actas.token}` };
  try {
    const created = await fetch(`${actas.url}${PATH.replace('/jobs/bench', '/jobs?jobId=bench')}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(SAMPLE_JOB),
    });
    if (created.status !== 200) throw new Error(await created.text());
    await (await fetch(`${actas.url}/ca.pem`)).text();
    const ca = readFileSync(join(actas.dataDir, 'ca.pem'), 'utf8');
    const load = { headers, concurrency: 16, seconds: 4 };
    const result = await inTurn(
      () => measureLoad({ ...load, url: `${actas.url.replace('http:', 'https:')}${PATH}`, ca }),
      () => measureLoad({ ...load, url: `${actas.url}${PATH}` }),
    );
    return [{ name: 'tls', what: 'REST GetJob over TLS on a kept connection, and the same over plain HTTP', unit: 'answers/s', goal: { atLeast: 0.7 }, ...result }];
  } finally {
    await actas.stop();
  }
}
