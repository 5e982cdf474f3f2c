/** One task that writes 50,000 lines a second: the API's slowest calls meanwhile against the same without, and how many of the lines were kept. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Figure } from './run.ts';

const RATE = 50_000;
const SECONDS = 8;
const CALLS_A_SECOND = 100;
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';

type Send = (verb: string, path: string, body?: object) => Promise<Record<string, unknown>>;

export async function logFlood(): Promise<readonly Figure[]> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, 'log-flood-server.ts'), String(RATE), String(SECONDS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    // Both come from the line that the script prints.
    const [line] = (await once(child.stdout, 'data')) as [Buffer];
    const { url, token } = JSON.parse(line.toString()) as { url: string; token: string };
    const send: Send = async (verb, path, body) => {
      const response = await fetch(`${url}${path}`, {
        method: verb,
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      if (response.status !== 200) throw new Error(await response.text());
      // What the API answers is read below by who knows it.
      return (await response.json()) as Record<string, unknown>;
    };
    const environment = [{ name: 'FAKE_DURATION_MS', value: String(SECONDS * 1000) }];
    await send('POST', `${JOBS}?jobId=flood`, { template: { template: { containers: [{ image: 'example.com/image', env: environment }] } } });
    await slowest(send, 1);
    const quiet = await slowest(send, SECONDS);
    await send('POST', `${JOBS}/flood:run`, {});
    const busy = await slowest(send, SECONDS);
    const kept = await count(send);
    const note = `${kept} of ${RATE * SECONDS} lines kept`;
    return [
      {
        name: 'log-flood',
        what: 'p99 of a GetJob while a task writes 50,000 lines a second, and without',
        unit: 'ms',
        ours: busy,
        plain: quiet,
        ratio: busy / quiet,
        goal: { atMost: 3 },
        note,
      },
      {
        name: 'log-flood-kept',
        what: 'lines that were kept, and lines that were written',
        unit: 'lines',
        ours: kept,
        plain: RATE * SECONDS,
        ratio: kept / (RATE * SECONDS),
        goal: { atLeast: 1 },
      },
    ];
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
  }
}

/** @returns p99 of calls at a steady pace, milliseconds */
async function slowest(send: Send, seconds: number): Promise<number> {
  const times: number[] = [];
  const calls: Promise<void>[] = [];
  const end = performance.now() + seconds * 1000;
  while (performance.now() < end) {
    const began = performance.now();
    calls.push(send('GET', `${JOBS}/flood`).then(() => void times.push(performance.now() - began)));
    await new Promise((resolve) => setTimeout(resolve, 1000 / CALLS_A_SECOND));
  }
  await Promise.all(calls);
  return times.sort((a, b) => a - b)[Math.floor(times.length * 0.99)] ?? 0;
}

/** Waits until all is there, or no more comes. */
async function count(send: Send): Promise<number> {
  let seen = 0;
  let pageToken = '';
  for (let idle = 0; idle < 20; ) {
    const page = await send('POST', '/logging.googleapis.com/v2/entries:list', {
      resourceNames: ['projects/demo'],
      filter: 'log_id("run.googleapis.com/stdout")',
      pageSize: 1000,
      pageToken,
    });
    const entries = Array.isArray(page['entries']) ? page['entries'].length : 0;
    seen += entries;
    if (typeof page['nextPageToken'] === 'string') pageToken = page['nextPageToken'];
    else return seen;
    idle = entries === 0 ? idle + 1 : 0;
  }
  return seen;
}
