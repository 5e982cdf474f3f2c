/** From the start of the process until it serves, and until its first answer, with 1,000 jobs stored, against an empty node process that opens the same database; and the memory it holds when idle. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { startActas } from './process.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const JOBS = 1000;

export async function ready(): Promise<readonly Figure[]> {
  const first = await startActas(['--driver', 'fake']);
  const headers = { authorization: `Bearer ${first.token}`, 'content-type': 'application/json' };
  for (let i = 0; i < JOBS; i += 50)
    await Promise.all(
      Array.from({ length: 50 }, (_, k) =>
        fetch(`${first.url}/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs?jobId=ready-${i + k}`, {
          method: 'POST',
          headers,
          body: JSON.stringify(SAMPLE_JOB),
        }).then((r) => r.text()),
      ),
    );
  await first.end();
  const rounds: { ours: number; first: number; plain: number }[] = [];
  let resident = 0;
  for (let i = 0; i < 5; i++) {
    const again = await startActas(['--driver', 'fake'], first.dataDir);
    const asked = performance.now();
    const answer = await fetch(`${again.url}/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/ready-${i}`, { headers });
    if (answer.status !== 200) throw new Error(await answer.text());
    await answer.text();
    const firstMs = again.readyMs + performance.now() - asked;
    await new Promise((resolve) => setTimeout(resolve, 1000));
    resident = residentMiB(again.pid);
    await again.end();
    rounds.push({ ours: again.readyMs, first: firstMs, plain: emptyNodeMs(join(first.dataDir, 'state.sqlite')) });
  }
  rounds.sort((a, b) => a.ours / a.plain - b.ours / b.plain);
  const { ours, plain } = rounds[2] ?? { ours: 0, plain: 1 };
  rounds.sort((a, b) => a.first / a.plain - b.first / b.plain);
  const { first: firstAnswer, plain: plainToo } = rounds[2] ?? { first: 0, plain: 1 };
  const last = await startActas(['--driver', 'fake'], first.dataDir);
  await last.stop();
  return [
    {
      name: 'ready',
      what: `ready with ${JOBS} jobs stored, and an empty node process that opens the same database`,
      unit: 'ms',
      ours,
      plain,
      ratio: ours / plain,
      goal: { atMost: 3 },
    },
    {
      name: 'first-answer',
      what: 'from the start of the process to its first GetJob, for which it loads what answers, and the empty node process',
      unit: 'ms',
      ours: firstAnswer,
      plain: plainToo,
      ratio: firstAnswer / plainToo,
    },
    { name: 'resident', what: 'resident memory when idle, and the limit', unit: 'MiB', ours: resident, plain: 150, ratio: resident / 150, goal: { atMost: 1 } },
  ];
}

function emptyNodeMs(file: string): number {
  const began = performance.now();
  const { status } = spawnSync(process.execPath, [
    '--disable-warning=ExperimentalWarning',
    '-e',
    `new (require('node:sqlite').DatabaseSync)(${JSON.stringify(file)}).prepare('select count(*) from jobs').get()`,
  ]);
  if (status !== 0) throw new Error('the empty process failed');
  return performance.now() - began;
}

function residentMiB(pid: number): number {
  const kib = /VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  return Number(kib ?? 0) / 1024;
}
