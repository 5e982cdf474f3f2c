/** A page of log entries filtered on indexed fields, of a million entries and of a thousand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseFilter } from '../src/services/logging/filter.ts';
import type { LogLine, LogSource } from '../src/store/log-entry.ts';
import { type LogStore, openLogStore } from '../src/store/log-store.ts';
import type { Figure } from './run.ts';

const LINES = 1000;
const PAGE = 50;
const ROUNDS = 60;

interface Filled {
  readonly logs: LogStore;
  readonly dir: string;
}

/** As jobs write: on two streams, with an error now and then. @param perExecution how many lines */
async function fill(jobs: number, executions: number, perExecution: number): Promise<Filled> {
  const dir = mkdtempSync(join(tmpdir(), 'actas-bench-logs-'));
  const logs = await openLogStore(dir, { queryTimeMs: 60_000 });
  const start = BigInt(Date.now() - 3_600_000) * 1_000_000n;
  for (let execution = 0; execution < executions; execution++)
    for (let job = 0; job < jobs; job++) {
      const from = start + BigInt(execution * jobs + job) * 3_000_000_000n;
      for (let begun = 0; begun < perExecution; begun += LINES)
        await logs.append(
          sourceOf(job, execution),
          Array.from({ length: Math.min(LINES, perExecution - begun) }, (_, n) => lineOf(begun + n, from)),
        );
    }
  return { logs, dir };
}

function sourceOf(job: number, execution: number): LogSource {
  const name = `job-${job}-${execution}`;
  return {
    projectId: 'demo',
    location: job % 5 === 0 ? 'europe-west1' : 'us-central1',
    job: `job-${job}`,
    execution: name,
    executionUid: 'u',
    task: `${name}-task0`,
    taskIndex: 0,
    attempt: 0,
    attemptId: `${name}-0-0`,
    labels: { team: `team-${job % 10}` },
  };
}
function lineOf(n: number, from: bigint): LogLine {
  const severity = n % 500 === 499 ? 'ERROR' : n % 10 === 0 ? 'WARNING' : 'INFO';
  return {
    container: 'main',
    stream: n % 7 === 0 ? 'stderr' : 'stdout',
    timeNs: from + BigInt(n) * 1_000_000n,
    text: `{"severity":"${severity}","message":"line ${n} of something that a program has to say","user":${n % 97}}`,
  };
}

const FILTERS: Readonly<Record<string, string>> = {
  project: '',
  resource: 'resource.type="cloud_run_job" resource.labels.job_name="job-7"',
  location: 'resource.labels.location="europe-west1"',
  label: 'labels."run.googleapis.com/execution_name"="job-3-1"',
  'rare label': 'labels.team="team-4" labels."run.googleapis.com/task_index"="0"',
  severity: 'severity>=WARNING',
  'log name': 'logName="projects/demo/logs/run.googleapis.com%2Fstderr"',
  time: `resource.labels.job_name="job-1" timestamp>="${new Date(Date.now() - 3_700_000).toISOString()}" timestamp<"${new Date(Date.now() - 1_800_000).toISOString()}"`,
};

/** @returns the median time of a page, milliseconds */
async function pageTime({ logs }: Filled, filter: string): Promise<number> {
  const where = parseFilter(filter, new Map());
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const began = performance.now();
    await logs.query({ parents: ['projects/demo'], order: 'desc', pageSize: PAGE, ...(where === undefined ? {} : { where }) });
    times.push(performance.now() - began);
  }
  return times.sort((a, b) => a - b)[ROUNDS / 2] ?? 0;
}

export async function logPage(): Promise<readonly Figure[]> {
  const [small, large] = [await fill(10, 2, 50), await fill(50, 20, 1000)];
  const figures: Figure[] = [];
  for (const [name, filter] of Object.entries(FILTERS)) {
    const [ours, plain] = [await pageTime(large, filter), await pageTime(small, filter)];
    figures.push({
      name: 'log-page',
      what: `a page by ${name}, of a million entries and of a thousand`,
      unit: 'ms',
      ours,
      plain,
      ratio: ours / plain,
      goal: { atMost: 3 },
    });
  }
  for (const { logs, dir } of [small, large]) {
    await logs.close();
    rmSync(dir, { recursive: true });
  }
  return figures;
}
