/** `run jobs deploy` and `execute`: what is sent, what a person sees, and the outcome as exit code. */
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, apiError, type FakeApi, run, type Seen, startFakeApi } from '../test-shell.ts';
import type { Execution } from './shapes.ts';

const PARENT = 'projects/demo/locations/us-central1';
const RUN = `/run.googleapis.com/v2/${PARENT}`;
const NAME = `${PARENT}/jobs/hello/executions/hello-x7k2p`;
const OPERATION = `${PARENT}/operations/o1`;

let fake: FakeApi | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

async function serve(routes: Readonly<Record<string, (call: Seen) => Answer>>): Promise<FakeApi> {
  fake = await startFakeApi((call) => (call.path === '/actas/v1/status' ? { body: { project: 'demo' } } : routes[`${call.verb} ${call.path.split('?')[0] ?? ''}`]?.(call)));
  return fake;
}

const done = (type: string, state = 'CONDITION_SUCCEEDED', more: object = {}): object => ({ type, state, ...more });
const PENDING: Execution = { name: NAME, job: 'hello', createTime: '2026-11-23T18:51:46.000000Z', taskCount: 3 };
const RUNNING: Execution = {
  ...PENDING,
  runningCount: 1,
  conditions: [done('Completed', 'CONDITION_RECONCILING'), done('ResourcesAvailable'), done('Started', undefined, { message: 'Started deployed execution in 1.2s.' })],
};
const SUCCEEDED: Execution = {
  ...PENDING,
  succeededCount: 3,
  completionTime: '2026-11-23T18:52:46.000000Z',
  conditions: [done('Completed'), done('ResourcesAvailable'), done('Started')],
};
const FAILED: Execution = {
  ...PENDING,
  succeededCount: 2,
  failedCount: 1,
  conditions: [
    done('Completed', 'CONDITION_FAILED', {
      message: 'Task hello-x7k2p-task1 failed with exit code: 3 and message: The container exited with an error.',
      executionReason: 'NON_ZERO_EXIT_CODE',
    }),
    done('Started'),
  ],
};
const CANCELLED: Execution = {
  ...PENDING,
  cancelledCount: 3,
  conditions: [done('Completed', 'CONDITION_FAILED', { message: 'Cancelled by user.', executionReason: 'CANCELLED' })],
};

/** Answers a run and then these states of the execution, the last one for good. */
function states(...each: readonly Execution[]): Readonly<Record<string, (call: Seen) => Answer>> {
  let at = 0;
  return {
    [`POST ${RUN}/jobs/hello:run`]: () => ({ body: { name: OPERATION, metadata: { ...PENDING } } }),
    [`GET /run.googleapis.com/v2/${NAME}`]: () => {
      const body = each[Math.min(at, each.length - 1)];
      at += 1;
      return { body };
    },
  };
}

describe('execute', () => {
  it('returns when the execution has started', async () => {
    const { env, seen } = await serve(states(PENDING, RUNNING));
    const { code, out, err } = await run(['run', 'jobs', 'execute', 'hello'], { env });
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err.split('\n')).toEqual([
      'actas: local, project demo, region us-central1',
      'Execution [hello-x7k2p] is accepted.',
      '✓ Provisioning resources...',
      '✓ Starting execution...',
      'Execution [hello-x7k2p] has successfully started running. Started deployed execution in 1.2s.',
      'View details about it:  actas run jobs executions describe hello-x7k2p',
      'Follow its logs:        actas run jobs logs tail hello --execution=hello-x7k2p',
      '',
    ]);
    expect(seen.find(({ verb }) => verb === 'POST')?.body).toEqual({});
  });

  it('with --wait shows the progress and exits with 0', async () => {
    const { env } = await serve(states(PENDING, RUNNING, { ...RUNNING, succeededCount: 2 }, SUCCEEDED));
    const { code, err } = await run(['run', 'jobs', 'execute', 'hello', '--wait', '--project=demo'], { env });
    expect(code).toBe(0);
    expect(err).toContain('  3 tasks: 2 waiting, 1 running\n  3 tasks: 1 running, 2 succeeded\n  3 tasks: 3 succeeded\n✓ Running execution...\n');
    expect(err).toContain('Execution [hello-x7k2p] has successfully completed. 3 tasks: 3 succeeded.');
  });

  it('by who may not see executions says that it was started; the outcome is then unknown', async () => {
    const denied = { [`GET /run.googleapis.com/v2/${NAME}`]: () => apiError(403, 'PERMISSION_DENIED', "Permission 'run.executions.get' denied") };
    const { env } = await serve({ ...states(PENDING), ...denied });
    expect(await run(['run', 'jobs', 'execute', 'hello'], { env })).toMatchObject({
      code: 0,
      err: expect.stringContaining('WARNING: Execution [hello-x7k2p] was started, but you may not watch it'),
    });
    expect(await run(['run', 'jobs', 'execute', 'hello', '--wait'], { env })).toMatchObject({ code: 4, err: expect.stringContaining('was started and runs on') });
  });

  it('by who may not read logs shows the outcome without them', async () => {
    const { env } = await serve({
      ...states(RUNNING, SUCCEEDED),
      'POST /logging.googleapis.com/v2/entries:list': () => apiError(403, 'PERMISSION_DENIED', "Permission 'logging.logEntries.list' denied"),
    });
    const { code, err } = await run(['run', 'jobs', 'execute', 'hello', '--logs'], { env });
    expect(code).toBe(0);
    expect(err.match(/WARNING: The logs cannot be shown: Permission 'logging\.logEntries\.list' denied/g)).toHaveLength(1);
    expect(err).toContain('has successfully completed');
  });

  it('with --wait exits with 1 when it failed, and says which tasks, why, and where the logs are', async () => {
    const { env } = await serve({
      ...states(RUNNING, FAILED),
      [`GET /run.googleapis.com/v2/${NAME}/tasks`]: () => ({
        body: {
          tasks: [
            {
              name: `${NAME}/tasks/hello-x7k2p-task1`,
              index: 1,
              retried: 2,
              conditions: [done('Completed', 'CONDITION_FAILED')],
              lastAttemptResult: { exitCode: 3, status: { code: 10, message: 'The container exited with an error.' } },
            },
          ],
        },
      }),
    });
    const { code, err } = await run(['run', 'jobs', 'execute', 'hello', '--wait'], { env });
    expect(code).toBe(1);
    expect(err).toContain('✗ Running execution...\nERROR: Execution [hello-x7k2p] has failed. Task hello-x7k2p-task1 failed with exit code: 3');
    expect(err).toContain('  task 1: exit code 3 after 2 retries: The container exited with an error.\n');
    expect(err).toContain('actas run jobs logs read hello --execution=hello-x7k2p --region=us-central1 --project=demo');
  });

  it('with --wait exits with 6 when somebody cancelled it', async () => {
    const { env } = await serve(states(CANCELLED));
    expect(await run(['run', 'jobs', 'execute', 'hello', '--wait'], { env })).toMatchObject({ code: 6, err: expect.stringContaining('was cancelled. 3 tasks: 3 cancelled.') });
  });

  it('leaves the execution running at Ctrl-C, says so, and exits with 130', async () => {
    const { env, seen } = await serve(states(RUNNING));
    const { code, err } = await run(['run', 'jobs', 'execute', 'hello', '--wait'], { env, onErr: (text, interrupt) => void (text.includes('1 running') && interrupt()) });
    expect(code).toBe(130);
    expect(err).toContain('Execution [hello-x7k2p] keeps running.');
    expect(err).toContain('actas run jobs executions cancel hello-x7k2p');
    expect(seen.filter(({ verb }) => verb !== 'GET')).toHaveLength(1);
  });

  it('prints each log line once, even late ones, and those written at the very end', async () => {
    const entry = (task: number, time: string, text: string): object => ({
      insertId: `${task}-${text}`,
      timestamp: `2026-11-23T18:51:${time}Z`,
      labels: { 'run.googleapis.com/task_index': String(task) },
      textPayload: text,
    });
    const reads = [[entry(0, '47.5', 'one')], [entry(1, '47.1', 'late'), entry(0, '47.5', 'one')], [entry(1, '47.1', 'late'), entry(0, '47.5', 'one'), entry(0, '48', 'last')]];
    let at = 0;
    const { env, seen } = await serve({
      ...states(RUNNING, RUNNING, SUCCEEDED),
      'POST /logging.googleapis.com/v2/entries:list': () => ({ body: { entries: reads[Math.min(at++, reads.length - 1)] } }),
    });
    const { code, out } = await run(['run', 'jobs', 'execute', 'hello', '--wait', '--logs'], { env });
    expect({ code, out }).toEqual({ code: 0, out: '[task 0] one\n[task 1] late\n[task 0] last\n' });
    expect(seen.find(({ path }) => path.endsWith('entries:list'))?.body).toMatchObject({
      resourceNames: ['projects/demo'],
      orderBy: 'timestamp asc',
      filter: expect.stringContaining('labels."run.googleapis.com/execution_name"="hello-x7k2p"'),
    });
  });

  it("sends overrides only where there are some, in the API's words", async () => {
    const { env, seen } = await serve(states(RUNNING));
    const { code, out } = await run(
      ['run', 'jobs', 'execute', 'hello', '--async', '--tasks=2', '--task-timeout=1m', '--args=', '--update-env-vars=^;^A=1,2;B=x', '--format=value(name.basename())'],
      { env },
    );
    expect({ code, out }).toEqual({ code: 0, out: 'hello-x7k2p\n' });
    expect(seen.at(-1)?.body).toEqual({
      overrides: {
        taskCount: 2,
        timeout: '60s',
        containerOverrides: [
          {
            clearArgs: true,
            env: [
              { name: 'A', value: '1,2' },
              { name: 'B', value: 'x' },
            ],
          },
        ],
      },
    });
  });

  it('overrides each container by the flags behind its name, and takes other flags anywhere', async () => {
    const { env, seen } = await serve(states(RUNNING));
    const { code } = await run(
      ['run', 'jobs', 'execute', 'hello', '--container=app', '--args=a,b', '--async', '--container', 'proxy', '--update-env-vars', 'A=1', '--tasks', '2'],
      { env },
    );
    expect(code).toBe(0);
    expect(seen.at(-1)?.body).toEqual({
      overrides: {
        taskCount: 2,
        containerOverrides: [
          { name: 'app', args: ['a', 'b'] },
          { name: 'proxy', env: [{ name: 'A', value: '1' }] },
        ],
      },
    });
  });

  it('waits through a moment without a control plane', async () => {
    let calls = 0;
    const base = states(RUNNING, SUCCEEDED);
    const { env } = await serve({
      ...base,
      [`GET /run.googleapis.com/v2/${NAME}`]: (call) =>
        (calls += 1) <= 4 ? apiError(503, 'UNAVAILABLE', 'restarting') : (base[`GET /run.googleapis.com/v2/${NAME}`]?.(call) ?? { body: {} }),
    });
    expect(await run(['run', 'jobs', 'execute', 'hello', '--wait'], { env })).toMatchObject({ code: 0, err: expect.stringContaining('waiting for it to come back') });
  });
});

const STORED = {
  name: `${PARENT}/jobs/hello`,
  labels: { team: 'red' },
  template: {
    taskCount: 1,
    template: {
      maxRetries: 3,
      timeout: '600s',
      serviceAccount: 'old@demo',
      volumes: [{ name: 'v' }],
      containers: [
        {
          image: 'img:1',
          env: [
            { name: 'A', value: '1' },
            { name: 'S', valueSource: { secretKeyRef: { secret: 's', version: '1' } } },
          ],
          resources: { limits: { cpu: '1000m', memory: '512Mi' } },
        },
      ],
    },
  },
  etag: '"e1"',
};

describe('create, update, deploy', () => {
  const finished = {
    [`GET /run.googleapis.com/v2/${OPERATION}`]: (): Answer => ({
      body: { name: OPERATION, done: true, response: { ...STORED, terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' } } },
    }),
  };

  it('create a job from the flags, and say what to run next', async () => {
    const { env, seen } = await serve({ ...finished, [`POST ${RUN}/jobs`]: () => ({ body: { name: OPERATION } }) });
    const argv = [
      'run',
      'jobs',
      'create',
      'hello',
      '--image=img',
      '--tasks=3',
      '--parallelism=2',
      '--max-retries=0',
      '--task-timeout=1h',
      '--service-account=sa',
      '--command=sh',
      '--args=-c,echo hi',
      '--cpu=2',
      '--memory=1Gi',
      '--set-env-vars=A=1',
      '--labels=team=red',
    ];
    const { code, err } = await run(argv, { env });
    expect(code).toBe(0);
    expect(err).toMatch(
      /Creating job \[hello\] in project \[demo\] region \[us-central1\]\n✓ Creating job\.\.\.\nJob \[hello\] has successfully been created\.\n\nTo execute this job, use:\n {2}actas run jobs execute hello --wait --logs\n$/,
    );
    const sent = seen.find(({ verb }) => verb === 'POST');
    expect(sent?.path).toBe(`${RUN}/jobs?jobId=hello`);
    expect(sent?.body).toMatchObject({
      labels: { team: 'red' },
      template: {
        labels: { team: 'red' },
        taskCount: 3,
        parallelism: 2,
        template: {
          maxRetries: 0,
          timeout: '3600s',
          serviceAccount: 'sa@demo.iam.gserviceaccount.com',
          containers: [{ image: 'img', command: ['sh'], args: ['-c', 'echo hi'], resources: { limits: { cpu: '2', memory: '1Gi' } }, env: [{ name: 'A', value: '1' }] }],
        },
      },
    });
  });

  it('update what the flags name, and keep everything else', async () => {
    const { env, seen } = await serve({ ...finished, [`GET ${RUN}/jobs/hello`]: () => ({ body: STORED }), [`PATCH ${RUN}/jobs/hello`]: () => ({ body: { name: OPERATION } }) });
    const { code } = await run(['run', 'jobs', 'update', 'hello', '--memory=1Gi', '--update-env-vars=B=2', '--remove-env-vars=A', '--update-labels=x=y'], { env });
    expect(code).toBe(0);
    expect(seen.find(({ verb }) => verb === 'PATCH')?.body).toEqual({
      ...STORED,
      client: 'actas',
      clientVersion: expect.any(String),
      labels: { team: 'red', x: 'y' },
      template: {
        ...STORED.template,
        // Executions have the labels of their job.
        labels: { team: 'red', x: 'y' },
        template: {
          ...STORED.template.template,
          containers: [
            {
              image: 'img:1',
              env: [
                { name: 'S', valueSource: { secretKeyRef: { secret: 's', version: '1' } } },
                { name: 'B', value: '2' },
              ],
              resources: { limits: { cpu: '1000m', memory: '1Gi' } },
            },
          ],
        },
      },
    });
  });

  it('deploy creates what is missing, needs an image for that, and can execute at once', async () => {
    const { env, seen } = await serve({ ...finished, ...states(SUCCEEDED), [`POST ${RUN}/jobs`]: () => ({ body: { name: OPERATION } }) });
    expect(await run(['run', 'jobs', 'deploy', 'hello', '--tasks=2'], { env })).toMatchObject({ code: 1, err: expect.stringContaining('needs --image') });
    const { code, err } = await run(['run', 'jobs', 'deploy', 'hello', '--image=img', '--execute-now', '--wait'], { env });
    expect(code).toBe(0);
    expect(err).toContain('Job [hello] has successfully been deployed.\nExecution [hello-x7k2p] is accepted.');
    expect(seen.some(({ path }) => path.endsWith('jobs/hello:run'))).toBe(true);
  });

  it('fails when the job does not become ready, with the reason', async () => {
    const { env } = await serve({
      [`POST ${RUN}/jobs`]: () => ({ body: { name: OPERATION } }),
      [`GET /run.googleapis.com/v2/${OPERATION}`]: () => ({
        body: { done: true, response: { ...STORED, terminalCondition: { type: 'Ready', state: 'CONDITION_FAILED', message: "Image 'img' not found." } } },
      }),
    });
    expect(await run(['run', 'jobs', 'create', 'hello', '--image=img'], { env })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/✗ Creating job[^]*Image 'img' not found\./),
    });
  });

  it('fails when the operation does, and says that the job is stored', async () => {
    const { env } = await serve({
      [`POST ${RUN}/jobs`]: () => ({ body: { name: OPERATION } }),
      [`GET /run.googleapis.com/v2/${OPERATION}`]: () => ({ body: { done: true, error: { code: 5, message: "Image 'img' not found." } } }),
    });
    expect(await run(['run', 'jobs', 'create', 'hello', '--image=img'], { env })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/ERROR: \(actas\.run\.jobs\.create\) Image 'img' not found\.\nThe job is stored/),
    });
  });

  it('update without such a job exits with 5', async () => {
    const { env } = await serve({});
    expect(await run(['run', 'jobs', 'update', 'hello', '--tasks=2'], { env })).toMatchObject({ code: 5 });
  });
});

describe('executions, tasks and logs', () => {
  it('find an execution whose token has hyphens by searching all jobs', async () => {
    const name = `${PARENT}/jobs/hello/executions/hello-my-token`;
    const { env } = await serve({ [`GET ${RUN}/jobs/-/executions`]: () => ({ body: { executions: [{ ...SUCCEEDED, name }] } }) });
    const { code, out } = await run(['run', 'jobs', 'executions', 'describe', 'hello-my-token'], { env });
    expect(code).toBe(0);
    expect(out).toMatch(/^✔ Execution hello-my-token in region us-central1\n\nState: +Succeeded\n/);
  });

  it('list tasks by state, and cancel an execution', async () => {
    const task = (index: number, conditions: object[]): object => ({ name: `${NAME}/tasks/hello-x7k2p-task${index}`, index, startTime: '2026-11-23T18:51:47Z', conditions });
    const { env, seen } = await serve({
      ...states(RUNNING),
      [`GET /run.googleapis.com/v2/${NAME}/tasks`]: () => ({ body: { tasks: [task(1, [done('Completed', 'CONDITION_FAILED')]), task(0, [done('Completed')]), task(2, [])] } }),
      [`POST /run.googleapis.com/v2/${NAME}:cancel`]: () => ({ body: { name: OPERATION, done: true, response: CANCELLED } }),
    });
    const list = ['run', 'jobs', 'executions', 'tasks', 'list', '--execution=hello-x7k2p', '--format=value(index)'];
    expect((await run(list, { env })).out).toBe('0\n1\n2\n');
    expect((await run([...list, '--failed', '--running'], { env })).out).toBe('1\n2\n');
    expect(await run(['run', 'jobs', 'executions', 'cancel', 'hello-x7k2p'], { env })).toMatchObject({
      code: 0,
      err: expect.stringContaining('Cancelled execution [hello-x7k2p].'),
    });
    expect(seen.at(-1)?.path).toBe(`/run.googleapis.com/v2/${NAME}:cancel`);
  });

  it('read logs oldest first, with times and what is serious', async () => {
    const entries = [
      {
        timestamp: '2026-11-23T18:51:48.5Z',
        severity: 'ERROR',
        jsonPayload: { message: 'broken', code: 1 },
        labels: { 'run.googleapis.com/task_index': '0', 'run.googleapis.com/task_attempt': '1' },
      },
      { timestamp: '2026-11-23T18:51:47.5Z', severity: 'DEFAULT', textPayload: 'hello' },
    ];
    const { env, seen } = await serve({ 'POST /logging.googleapis.com/v2/entries:list': () => ({ body: { entries } }) });
    const { out } = await run(['run', 'jobs', 'logs', 'read', 'hello', '--limit=2', '--log-filter=severity>=ERROR OR x'], { env });
    expect(out).toBe('2026-11-23 18:51:47 hello\n2026-11-23 18:51:48 [task 0 attempt 1] ERROR: broken\n');
    expect(seen.at(-1)?.body).toMatchObject({
      pageSize: 2,
      orderBy: 'timestamp desc',
      filter: expect.stringMatching(/job_name="hello" AND .* AND timestamp>="20.*" AND \(severity>=ERROR OR x\)$/),
    });
  });
});
