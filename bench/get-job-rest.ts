/** REST GetJob (authenticated, authorised, from the store) against a bare HTTP server that answers the same bytes; and the job in v1's view against v2's. */
import { inTurn, measureLoad } from './load.ts';
import { startActas, startScript } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const PATH = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/bench';
const V1_PATH = '/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/demo/jobs/bench';

export async function getJobRest(): Promise<readonly Figure[]> {
  const actas = await startActas(['--driver', 'fake']);
  const headers = { authorization: `Bearer ${actas.token}` };
  try {
    const created = await fetch(`${actas.url}${PATH.replace('/jobs/bench', '/jobs?jobId=bench')}`, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: JSON.stringify(SAMPLE_JOB),
    });
    if (created.status !== 200) throw new Error(await created.text());
    const body = await (await fetch(`${actas.url}${PATH}`, { headers })).text();
    const plain = await startScript('plain-http.ts', [Buffer.from(body).toString('base64')]);
    const load = { headers, concurrency: 16, seconds: 4 };
    const result = await inTurn(
      () => measureLoad({ ...load, url: `${actas.url}${PATH}` }),
      () => measureLoad({ ...load, url: `http://127.0.0.1:${plain.port}/` }),
    );
    await plain.end();
    const views = await inTurn(
      () => measureLoad({ ...load, url: `${actas.url}${V1_PATH}` }),
      () => measureLoad({ ...load, url: `${actas.url}${PATH}` }),
    );
    return [
      {
        name: 'get-job-rest',
        what: `REST GetJob (${body.length} bytes) and a bare node:http server that answers the same bytes`,
        unit: 'answers/s',
        goal: { atLeast: 0.2 },
        ...result,
      },
      { name: 'get-job-v1', what: 'the same job through v1 and through v2', unit: 'answers/s', goal: { atLeast: 0.9 }, ...views },
    ];
  } finally {
    await actas.stop();
  }
}
