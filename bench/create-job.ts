/** CreateJob over REST against bare commits of rows of that size at the product's `synchronous` setting. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inTurn, measureLoad } from './load.ts';
import { measureCommits } from './plain-sqlite.ts';
import { startActas } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

export async function createJob(): Promise<readonly Figure[]> {
  const actas = await startActas(['--driver', 'fake']);
  const dir = mkdtempSync(join(tmpdir(), 'actas-bench-sqlite-'));
  const body = JSON.stringify(SAMPLE_JOB);
  let n = 0;
  try {
    const ours = () =>
      measureLoad({
        url: actas.url,
        method: 'POST',
        concurrency: 16,
        seconds: 4,
        headers: { authorization: `Bearer ${actas.token}`, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) },
        nth: () => ({ path: `/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs?jobId=bench-${n++}`, body }),
      });
    const result = await inTurn(ours, () => Promise.resolve(measureCommits(join(dir, 'plain.sqlite'), 2048, 4, 'FULL')));
    return [
      {
        name: 'create-job',
        what: 'CreateJob (job and operation stored, actAs checked; the loop resolves images meanwhile) and bare node:sqlite commits of one row of 2 KiB',
        unit: 'commits/s',
        goal: { atLeast: 0.3 },
        note: 'synchronous=FULL on both sides',
        ...result,
      },
    ];
  } finally {
    await actas.stop();
    rmSync(dir, { recursive: true, force: true });
  }
}
