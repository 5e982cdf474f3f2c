/**
 * kill -9 at seeded points of an execution with 20 tasks, with real containers: after a restart running containers are adopted, ended ones
 * are read, the operation completes, no task is lost, none that had ended runs again, and nothing acknowledged is missing.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithEngine } from './harness/engine.ts';
import { shellImage } from './harness/image.ts';
import { until } from './harness/until.ts';

const BIN = join(import.meta.dirname, '..', 'bin', 'actas.js');
const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
const TASKS = 20;
/** `npm run faults` takes them all; `npm test` a few of them. */
const POINTS = Number(process.env['KILL_POINTS'] ?? 4);

interface Running {
  readonly url: string;
  readonly token: string;
  readonly child: ChildProcess;
}

/** mulberry32: the points are the same in every run. */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describeWithEngine('kill -9', (dockerHost) => {
  let image: string;
  let dataDir: string;
  let running: Running | undefined;
  const docker = new Docker({ socketPath: dockerHost.replace('unix://', '') });

  const up = async (): Promise<Running> => {
    const readyFile = join(dataDir, 'ready.json');
    rmSync(readyFile, { force: true });
    const child = spawn(
      process.execPath,
      ['--disable-warning=ExperimentalWarning', BIN, 'up', '--data-dir', dataDir, '--port', '0', '--driver', 'docker', '--ready-file', readyFile, '--log-level', 'error'],
      { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, DOCKER_HOST: dockerHost } },
    );
    await until(
      'the control plane serves',
      () => {
        if (child.exitCode !== null) throw new Error(`it ended with ${child.exitCode}`);
        return existsSync(readyFile);
      },
      60_000,
    );
    const { url, tokenFile } = JSON.parse(readFileSync(readyFile, 'utf8')) as { url: string; tokenFile: string };
    running = { url, token: readFileSync(tokenFile, 'utf8').trim(), child };
    return running;
  };
  const kill = async (signal: NodeJS.Signals): Promise<void> => {
    const child = running?.child;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    // The launcher may have started the real process: the one that the server names is the one to kill.
    const { pid } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as { pid: number };
    const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    process.kill(pid, signal);
    await gone;
    running = undefined;
  };
  // JSON of an answer is read by the test that knows its shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  const call = async (verb: string, path: string, body?: unknown): Promise<any> => {
    if (running === undefined) throw new Error('it is not running');
    const response = await fetch(`${running.url}${path}`, {
      method: verb,
      headers: { authorization: `Bearer ${running.token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const json: unknown = await response.json();
    if (response.status !== 200) throw new Error(`${verb} ${path}: ${JSON.stringify(json)}`);
    return json;
  };

  beforeAll(async () => {
    image = await shellImage(docker);
    dataDir = mkdtempSync(join(tmpdir(), 'actas-kill-'));
    await up();
    await call('POST', `${API}/jobs?jobId=many`, {
      template: {
        taskCount: TASKS,
        parallelism: 5,
        template: {
          maxRetries: 1,
          timeout: '60s',
          containers: [
            { image, command: ['sh', '-c', 'echo "begin $CLOUD_RUN_TASK_INDEX $CLOUD_RUN_TASK_ATTEMPT"; sleep 0.4; echo "end $CLOUD_RUN_TASK_INDEX $CLOUD_RUN_TASK_ATTEMPT"'] },
          ],
        },
      },
    });
    await until('the job is ready', async () => (await call('GET', `${API}/jobs/many`)).terminalCondition?.state === 'CONDITION_SUCCEEDED');
  });
  afterAll(async () => {
    await kill('SIGTERM');
    rmSync(dataDir, { recursive: true, force: true });
  });

  test(`at ${POINTS} points of an execution with ${TASKS} tasks`, { timeout: 60_000 * POINTS }, async () => {
    const next = random(9);
    for (let point = 0; point < POINTS; point++) {
      const operation = await call('POST', `${API}/jobs/many:run`, {});
      const execution: string = operation.metadata.name;
      // From the very answer up to past the middle of the run.
      const delayMs = Math.floor(next() * 4000);
      await new Promise((resolve) => setTimeout(resolve, delayMs));
      const ended = new Map<number, string>(
        (await call('GET', `/run.googleapis.com/v2/${execution}/tasks?pageSize=100`)).tasks
          .filter((t: { completionTime?: string }) => t.completionTime !== undefined)
          .map((t: { index?: number; completionTime: string }) => [t.index ?? 0, t.completionTime]),
      );
      await kill('SIGKILL');
      await up();
      const about = `killed ${delayMs} ms into ${execution}, ${ended.size} tasks had ended`;
      const done = await until(
        `${about}: the operation ends`,
        async () => {
          const now = await call('POST', `/run.googleapis.com/v2/${operation.name}:wait`, { timeout: '5s' });
          return now.done === true && now;
        },
        90_000,
      );
      expect(done.error, about).toBeUndefined();
      expect(done.response, about).toMatchObject({ name: execution, succeededCount: TASKS, taskCount: TASKS });
      const { tasks } = await call('GET', `/run.googleapis.com/v2/${execution}/tasks?pageSize=100`);
      expect(
        tasks.map((t: { index?: number }) => t.index ?? 0).sort((a: number, b: number) => a - b),
        about,
      ).toEqual(Array.from({ length: TASKS }, (_, i) => i));
      for (const task of tasks) if (ended.has(task.index ?? 0)) expect(task.completionTime, `${about}: task ${task.index ?? 0} ran again`).toBe(ended.get(task.index ?? 0));
      // Each attempt wrote each of its lines once, in order: adopted output is neither lost nor doubled.
      const lines = await logLines(execution);
      const perAttempt = new Map<string, string[]>();
      for (const line of lines) {
        const [word = '', index = '', attempt = ''] = line.split(' ');
        if (word === 'begin' || word === 'end') perAttempt.set(`${index}.${attempt}`, [...(perAttempt.get(`${index}.${attempt}`) ?? []), word]);
      }
      for (const [key, words] of perAttempt) expect([['begin', 'end'], ['begin']], `${about}: attempt ${key}`).toContainEqual(words);
      for (let index = 0; index < TASKS; index++)
        expect(
          [...perAttempt].some(([key, words]) => key.startsWith(`${index}.`) && words.length === 2),
          `${about}: the output of task ${index}`,
        ).toBe(true);
      expect(tasks.filter((t: { retried?: number }) => (t.retried ?? 0) > 0).length, `${about}: running containers are adopted, not run again`).toBe(0);
      await until(
        'no container is left',
        async () =>
          (await docker.listContainers({ all: true, filters: { label: ['actas.data-dir'] } })).filter((c) => Object.values(c.Labels).includes(execution.split('/').at(-1) ?? ''))
            .length === 0,
      );
    }
  });

  async function logLines(execution: string): Promise<string[]> {
    const filter = `resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="${execution.split('/').at(-1) ?? ''}"`;
    const lines: string[] = [];
    let pageToken = '';
    do {
      const page = await call('POST', '/logging.googleapis.com/v2/entries:list', { resourceNames: ['projects/demo'], filter, pageSize: 500, pageToken, orderBy: 'timestamp asc' });
      lines.push(...(page.entries ?? []).map((e: { textPayload?: string }) => e.textPayload ?? ''));
      pageToken = page.nextPageToken ?? '';
    } while (pageToken !== '');
    return lines;
  }
});
