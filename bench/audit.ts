/** What the audit trail adds to a GetJob: the same control plane with its trail, and with a sink that keeps nothing, in turn. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { inTurn, measureLoad } from './load.ts';
import type { Figure } from './run.ts';
import { SAMPLE_JOB } from './sample-job.ts';

const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';

async function start(trail: 'on' | 'off'): Promise<{ child: ChildProcess; url: string; headers: Record<string, string> }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'audit-server.ts'), trail], { stdio: ['ignore', 'pipe', 'inherit'] });
  // Both come from the line that the script prints.
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const { url, token } = JSON.parse(line.toString()) as { url: string; token: string };
  const headers = { authorization: `Bearer ${token}` };
  const created = await fetch(`${url}${JOBS}?jobId=bench`, { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(SAMPLE_JOB) });
  if (created.status !== 200) throw new Error(await created.text());
  return { child, url, headers };
}

export async function audit(): Promise<readonly Figure[]> {
  const [on, off] = [await start('on'), await start('off')];
  try {
    const load = { concurrency: 1, seconds: 4 };
    const measure = ({ url, headers }: typeof on) => measureLoad({ ...load, url: `${url}${JOBS}/bench`, headers });
    const result = await inTurn(
      () => measure(on),
      () => measure(off),
    );
    return [{ name: 'audit', what: 'REST GetJob with the audit trail, and with a sink that keeps nothing', unit: 'answers/s', goal: { atLeast: 0.95 }, ...result }];
  } finally {
    for (const { child } of [on, off]) {
      child.kill('SIGTERM');
      await once(child, 'exit');
    }
  }
}
