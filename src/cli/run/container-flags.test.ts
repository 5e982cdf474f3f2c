/** Jobs of several containers, in gcloud's grammar: what is sent, and what is refused. */
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, type FakeApi, run, startFakeApi } from '../test-shell.ts';

const PARENT = 'projects/demo/locations/us-central1';
const OPERATION = `${PARENT}/operations/o1`;
const STORED = {
  name: `${PARENT}/jobs/pair`,
  runExecutionToken: 'v1',
  template: {
    taskCount: 2,
    template: {
      volumes: [{ name: 'tmp', emptyDir: { medium: 'MEMORY' } }],
      containers: [
        { name: 'app', image: 'app:v1', dependsOn: ['proxy', 'cache'], volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }] },
        { name: 'proxy', image: 'proxy:v1', env: [{ name: 'A', value: '1' }], startupProbe: { tcpSocket: { port: 5432 } } },
        { name: 'cache', image: 'cache:v1' },
      ],
    },
  },
};

let fake: FakeApi | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

/** @returns what the command sent as the job; undefined where it sent nothing */
async function sent(argv: readonly string[], stored?: object): Promise<{ code: number; err: string; containers: unknown; job: Record<string, unknown> | undefined }> {
  fake = await startFakeApi(({ verb, path }): Answer | undefined => {
    if (path === '/actas/v1/status') return { body: { project: 'demo' } };
    if (verb === 'POST' || verb === 'PATCH') return { body: { name: OPERATION } };
    if (path.endsWith('/operations/o1')) return { body: { done: true, response: { ...STORED, terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' } } } };
    return stored === undefined ? undefined : { body: stored };
  });
  const { code, err } = await run(['run', 'jobs', ...argv], { env: fake.env });
  // What the CLI sends is a job.
  const job = fake.seen.find(({ verb }) => verb === 'POST' || verb === 'PATCH')?.body as typeof STORED | undefined;
  return { code, err, containers: job?.template.template.containers, job };
}

describe('create', () => {
  it('takes the flags behind each --container for that container, and common flags anywhere', async () => {
    const { code, containers, job } = await sent([
      'create',
      'pair',
      '--tasks=3',
      '--add-volume=name=shared,type=in-memory',
      '--container=app',
      '--image=app:v1',
      '--args=-v,--container',
      '--depends-on=proxy',
      '--project=demo',
      '--add-volume-mount=volume=shared,mount-path=/shared',
      '--container',
      'proxy',
      '--image',
      'proxy:v1',
      '--set-env-vars=A=1',
      '--cpu=0.5',
      '--startup-probe=httpGet.port=8080,httpGet.path=/ready,periodSeconds=1',
      '--region=us-central1',
    ]);
    expect(code).toBe(0);
    expect(containers).toEqual([
      { name: 'app', image: 'app:v1', args: ['-v', '--container'], dependsOn: ['proxy'], volumeMounts: [{ name: 'shared', mountPath: '/shared' }] },
      {
        name: 'proxy',
        image: 'proxy:v1',
        env: [{ name: 'A', value: '1' }],
        resources: { limits: { cpu: '0.5' } },
        startupProbe: { httpGet: { port: 8080, path: '/ready' }, periodSeconds: 1 },
      },
    ]);
    expect(job).toMatchObject({ template: { taskCount: 3, template: { volumes: [{ name: 'shared' }] } } });
  });

  it('takes the name of the job behind a container too', async () => {
    expect(await sent(['create', '--container=app', '--image=app:v1', 'pair'])).toMatchObject({ code: 0, containers: [{ name: 'app', image: 'app:v1' }] });
  });

  it.each([
    [['--container=app', '--args=x'], 1, 'a new one needs --image behind --container=app'],
    [['--image=x', '--container=app', '--image=y'], 2, '--image is a flag of a container: with --container it must stand behind the one that it is for.'],
    [['--container=app', '--image=x', '--tasks=3'], 2, '--tasks is a flag of the job: it must stand before the first --container.'],
    [['--container=app', '--image=x', '--container=app', '--image=y'], 2, '--container=app is given twice'],
    [['--container=', '--image=x'], 2, '--container needs the name of a container.'],
    [['--container=app', '--imge=x'], 2, 'Did you mean --image?'],
    [['--container=app', '--image=x', '--gpu=1'], 2, '--gpu is not supported'],
    [['--container=app', '--image=x', '--set-secrets=A=s'], 2, "'s' is not a version of a secret."],
    [['--container=app', '--image=x', '--set-secrets=/d/a=s:1,/d/b=t:1'], 2, 'a folder can hold one secret alone'],
    [['--container=app', '--image=x', '--startup-probe=port=1'], 2, "'port' is not supported. Known: initialDelaySeconds"],
    [['--container=app', '--image=x', '--startup-probe=grpc.port=http'], 2, "grpc.port is 'http', and must be a whole number."],
    [['--container=app', '--image=x', '--set-env-vars=A=1', '--update-env-vars=B=2'], 2, 'cannot be used with'],
  ])('%j is refused', async (flags, exit, words) => {
    const { code, err, job } = await sent(['create', 'pair', ...flags]);
    expect({ code, job }).toEqual({ code: exit, job: undefined });
    expect(err).toContain(words);
  });
});

describe('update', () => {
  const [app, proxy, cache] = STORED.template.template.containers;

  it('changes the named containers, adds new ones, and keeps everything else', async () => {
    const { containers, job } = await sent(
      ['update', 'pair', '--tasks=5', '--container=proxy', '--update-env-vars=B=2', '--startup-probe=', '--container=log', '--image=log:v1'],
      STORED,
    );
    expect(containers).toEqual([
      app,
      {
        name: 'proxy',
        image: 'proxy:v1',
        env: [
          { name: 'A', value: '1' },
          { name: 'B', value: '2' },
        ],
      },
      cache,
      { name: 'log', image: 'log:v1' },
    ]);
    expect(job?.['template']).toMatchObject({ taskCount: 5 });
    // The token asked for an execution with an earlier change.
    expect(job).not.toHaveProperty('runExecutionToken');
  });

  it('removes containers, and what depended on them', async () => {
    expect((await sent(['update', 'pair', '--remove-containers=cache'], STORED)).containers).toEqual([{ ...app, dependsOn: ['proxy'] }, proxy]);
    await fake?.close();
    expect(await sent(['update', 'pair', '--remove-containers=nope'], STORED)).toMatchObject({ code: 1, err: expect.stringContaining('no container [nope] to remove') });
  });

  it('without --container is about the one that no other needs, where there is one', async () => {
    expect((await sent(['update', 'pair', '--memory=1Gi'], STORED)).containers).toEqual([{ ...app, resources: { limits: { memory: '1Gi' } } }, proxy, cache]);
  });

  it('asks for a name where two could be meant, but not for what concerns the job alone', async () => {
    const two = {
      ...STORED,
      template: {
        template: {
          containers: [
            { name: 'a', image: 'x' },
            { name: 'b', image: 'y' },
          ],
        },
      },
    };
    expect(await sent(['update', 'pair', '--memory=1Gi'], two)).toMatchObject({ code: 2, err: expect.stringContaining('--container=a ...') });
    await fake?.close();
    expect(await sent(['update', 'pair', '--max-retries=0', '--remove-volume=none'], two)).toMatchObject({ code: 0, containers: two.template.template.containers });
  });
});

it('describe shows each container with what it waits for', async () => {
  fake = await startFakeApi(({ path }) => (path === '/actas/v1/status' ? { body: { project: 'demo' } } : { body: STORED }));
  const { code, out } = await run(['run', 'jobs', 'describe', 'pair'], { env: fake.env });
  expect(code).toBe(0);
  expect(out).toMatch(/Container app:\n[^]*Depends on: +proxy, cache\n[^]*Container proxy:\n[^]*Startup probe: +TCP port 5432, every 10s\n/);
});

it('takes secrets as variables and as files, and leaves them alone where it is about others', async () => {
  const made = await sent(['create', 'one', '--image=x', '--set-env-vars=A=1', '--set-secrets=P=db:latest,/keys/one=db:1,/keys/two=db:2,/other/three=projects/p/secrets/far:3']);
  expect(made.job?.['template']).toMatchObject({
    template: {
      volumes: [
        {
          name: 'secret-db-1',
          secret: {
            secret: 'db',
            items: [
              { version: '1', path: 'one' },
              { version: '2', path: 'two' },
            ],
          },
        },
        { name: 'secret-far-1', secret: { secret: 'projects/p/secrets/far', items: [{ version: '3', path: 'three' }] } },
      ],
      containers: [
        {
          env: [
            { name: 'A', value: '1' },
            { name: 'P', valueSource: { secretKeyRef: { secret: 'db', version: 'latest' } } },
          ],
          volumeMounts: [
            { name: 'secret-db-1', mountPath: '/keys' },
            { name: 'secret-far-1', mountPath: '/other' },
          ],
        },
      ],
    },
  });
  const stored = { ...STORED, ...made.job, name: STORED.name };
  await fake?.close();
  const changed = await sent(['update', 'pair', '--set-env-vars=B=2', '--update-secrets=/keys/two=db:7', '--remove-secrets=/keys/one,/other/three'], structuredClone(stored));
  expect(changed.job?.['template']).toMatchObject({
    template: {
      volumes: [{ name: 'secret-db-1', secret: { secret: 'db', items: [{ version: '7', path: 'two' }] } }],
      containers: [{ env: [{ name: 'P' }, { name: 'B', value: '2' }], volumeMounts: [{ name: 'secret-db-1', mountPath: '/keys' }] }],
    },
  });
  await fake?.close();
  const cleared = await sent(['update', 'pair', '--clear-secrets'], structuredClone(stored));
  expect(cleared.job?.['template']).toMatchObject({ template: { volumes: [], containers: [{ env: [{ name: 'A', value: '1' }], volumeMounts: [] }] } });
});
