/** Real containers against the `docker` command: how soon the first instruction runs, and a hundred tasks eight at a time. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { ensureEngine } from '../scripts/engine.mjs';
import { shellImage } from '../test/harness/image.ts';
import { inTurn } from './load.ts';
import { type Started, startActas } from './process.ts';
import type { Figure } from './run.ts';

const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
const TASKS = 100;
const PARALLEL = 8;
const ROUNDS = 7;

interface Ground {
  readonly actas: Started;
  readonly image: string;
  readonly env: NodeJS.ProcessEnv;
}

/** An engine, the shell image in it, and a control plane on it; undone at the end. */
async function onGround<T>(work: (ground: Ground) => Promise<T>): Promise<T | string> {
  if (spawnSync('docker', ['--version']).status !== 0) return 'there is no `docker` command to compare with';
  let engine: Awaited<ReturnType<typeof ensureEngine>>;
  try {
    engine = await ensureEngine({ log: (line: string) => console.error(line) });
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
  try {
    const image = await shellImage(new Docker({ socketPath: engine.dockerHost.replace('unix://', '') }));
    const actas = await startActas(['--driver', 'docker'], undefined, { DOCKER_HOST: engine.dockerHost });
    try {
      return await work({ actas, image, env: { ...process.env, DOCKER_HOST: engine.dockerHost } });
    } finally {
      await actas.stop();
    }
  } finally {
    await engine.stop();
  }
}

async function call(actas: Started, verb: string, path: string, body?: unknown): Promise<Record<string, unknown>> {
  const response = await fetch(`${actas.url}${API}${path}`, {
    method: verb,
    headers: { authorization: `Bearer ${actas.token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const json: unknown = await response.json();
  if (response.status !== 200) throw new Error(`${verb} ${path}: ${JSON.stringify(json)}`);
  return json as Record<string, unknown>;
}

async function createReadyJob(actas: Started, id: string, template: Record<string, unknown>): Promise<void> {
  await call(actas, 'POST', `/jobs?jobId=${id}`, { template });
  for (;;) {
    const job = await call(actas, 'GET', `/jobs/${id}`);
    const state = (job['terminalCondition'] as { state?: string } | undefined)?.state;
    if (state === 'CONDITION_SUCCEEDED') return;
    if (state === 'CONDITION_FAILED') throw new Error(JSON.stringify(job));
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

async function runToEnd(actas: Started, id: string): Promise<void> {
  const operation = await call(actas, 'POST', `/jobs/${id}:run`, {});
  const name = String(operation['name']).split('/').at(-1) ?? '';
  for (;;) {
    const state = await call(actas, 'POST', `/operations/${name}:wait`, { timeout: '30s' });
    if (state['done'] !== true) continue;
    if (state['error'] !== undefined) throw new Error(JSON.stringify(state['error']));
    return;
  }
}

/** The first instruction of the container writes the time, by the clock that both sides share. */
const PRINT_TIME = { command: ['date'], args: ['+%s.%N'] };

async function firstInstruction(actas: Started, id: string): Promise<number> {
  const began = Date.now();
  await runToEnd(actas, id);
  const filter = `resource.type="cloud_run_job" AND resource.labels.job_name="${id}" AND timestamp>="${new Date(began).toISOString()}"`;
  for (;;) {
    const response = await fetch(`${actas.url}/logging.googleapis.com/v2/entries:list`, {
      method: 'POST',
      headers: { authorization: `Bearer ${actas.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ resourceNames: ['projects/demo'], filter }),
    });
    const { entries = [] } = (await response.json()) as { entries?: { textPayload?: string }[] };
    const time = entries.map((entry) => Number(entry.textPayload)).find((value) => value > 0);
    if (time !== undefined) return time * 1000 - began;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export async function taskStart(): Promise<readonly Figure[] | string> {
  return onGround(async ({ actas, image, env }) => {
    await createReadyJob(actas, 'first', { template: { maxRetries: 0, containers: [{ image, ...PRINT_TIME, resources: { limits: { cpu: '1', memory: '512Mi' } } }] } });
    const plain = (): Promise<number> => {
      const began = Date.now();
      const { stdout, status } = spawnSync('docker', ['run', '--rm', image, PRINT_TIME.command[0] ?? '', ...PRINT_TIME.args], { env, encoding: 'utf8' });
      if (status !== 0) throw new Error('docker run failed');
      return Promise.resolve(Number(stdout) * 1000 - began);
    };
    await firstInstruction(actas, 'first');
    await plain();
    const result = await inTurn(() => firstInstruction(actas, 'first'), plain, ROUNDS);
    return [{ name: 'task-start', what: "RunJob to the container's first instruction, and `docker run` of the same image", unit: 'ms', goal: { atMost: 1.3 }, ...result }];
  });
}

export async function hundredTasks(): Promise<readonly Figure[] | string> {
  return onGround(async ({ actas, image, env }) => {
    await createReadyJob(actas, 'hundred', {
      taskCount: TASKS,
      parallelism: PARALLEL,
      template: { maxRetries: 0, containers: [{ image, command: ['true'], resources: { limits: { cpu: '1', memory: '512Mi' } } }] },
    });
    const ours = async (): Promise<number> => {
      const began = performance.now();
      await runToEnd(actas, 'hundred');
      return performance.now() - began;
    };
    const plain = async (): Promise<number> => {
      // Each loop takes the next number by making its folder, so that all end together.
      const tickets = mkdtempSync(join(tmpdir(), 'actas-bench-tickets-'));
      const script = `i=0; while [ $i -lt ${TASKS} ]; do if mkdir ${tickets}/$i 2>/dev/null; then docker run --rm ${image} true || exit 1; fi; i=$((i+1)); done`;
      const began = performance.now();
      const codes = await Promise.all(
        Array.from({ length: PARALLEL }, () => new Promise<number | null>((resolve) => spawn('sh', ['-c', script], { env, stdio: 'inherit' }).once('exit', resolve))),
      );
      const took = performance.now() - began;
      const count = readdirSync(tickets).length;
      rmSync(tickets, { recursive: true });
      if (codes.some((code) => code !== 0) || count !== TASKS) throw new Error('the loops failed');
      return took;
    };
    const result = await inTurn(ours, plain, 3);
    return [
      {
        name: 'hundred-tasks',
        what: `${TASKS} tasks with parallelism ${PARALLEL}, and ${PARALLEL} shells that loop over \`docker run --rm\``,
        unit: 'ms',
        goal: { atMost: 1.3 },
        ...result,
      },
    ];
  });
}
