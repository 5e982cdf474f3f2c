/** What gcloud's flags change in a job: table rows of a job before, flags, and what is there afterwards. `npm run test:gcloud` holds the same against a real gcloud. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { type Answer, run, startFakeApi } from '../test-shell.ts';
import type { Job, TaskTemplate } from './shapes.ts';

const PARENT = 'projects/demo/locations/us-central1';
const OPERATION = `${PARENT}/operations/o1`;

/** @returns what is sent as the job after `update` with these flags; the failure where nothing is sent */
async function updated(task: TaskTemplate, flags: readonly string[], job: Partial<Job> = {}): Promise<{ code: number; err: string; job: Job; task: TaskTemplate }> {
  const stored: Job = { name: `${PARENT}/jobs/j`, ...job, template: { ...job.template, template: { containers: [{ image: 'i' }], ...task } } };
  const fake = await startFakeApi(({ verb, path }): Answer | undefined => {
    if (path === '/actas/v1/status') return { body: { project: 'demo' } };
    if (verb === 'PATCH') return { body: { name: OPERATION } };
    if (path.endsWith('/operations/o1')) return { body: { done: true, response: { ...stored, terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' } } } };
    return { body: stored };
  });
  const { code, err } = await run(['run', 'jobs', 'update', 'j', ...flags], { env: fake.env });
  await fake.close();
  // What the CLI sends is a job; without one the tests' expectations fail by name.
  const sent = (fake.seen.find(({ verb }) => verb === 'PATCH')?.body ?? {}) as Job;
  return { code, err, job: sent, task: sent.template?.template ?? {} };
}

const secretVolume = (name: string, secret: string, ...files: [path: string, version: string][]) => ({
  name,
  secret: { secret, items: files.map(([path, version]) => ({ path, version })) },
});
const secretEnv = (name: string, secret: string, version: string) => ({ name, valueSource: { secretKeyRef: { secret, version } } });

describe('secrets', () => {
  const before: TaskTemplate = {
    containers: [
      {
        image: 'i',
        env: [{ name: 'A', value: '1' }, secretEnv('S', 'db', 'latest')],
        volumeMounts: [{ name: 'v', mountPath: '/etc/db' }],
      },
    ],
    volumes: [secretVolume('v', 'db', ['pass', '1'], ['user', '2']), { name: 'm', emptyDir: { medium: 'MEMORY' } }],
  };
  const [container] = before.containers ?? [];

  it.each<[string, string[], object]>([
    [
      'an environment variable',
      ['--update-secrets=S=db:3,T=projects/p/secrets/o/versions/4'],
      { env: [{ name: 'A', value: '1' }, secretEnv('S', 'db', '3'), secretEnv('T', 'projects/p/secrets/o', '4')] },
    ],
    ['a variable that goes', ['--remove-secrets=S'], { env: [{ name: 'A', value: '1' }] }],
    ['literal variables, which leave secrets alone', ['--set-env-vars=B=2'], { env: [secretEnv('S', 'db', 'latest'), { name: 'B', value: '2' }] }],
    ['no literal variables', ['--clear-env-vars'], { env: [secretEnv('S', 'db', 'latest')] }],
  ])('%s', async (_, flags, expected) => {
    expect((await updated(before, flags)).task.containers).toEqual([{ ...container, ...expected }]);
  });

  it.each<[string, string[], object[]]>([
    ['a file of the same secret beside those that are there', ['--update-secrets=/etc/db/new=db:9'], [{ ...secretVolume('v', 'db', ['new', '9'], ['pass', '1'], ['user', '2']) }]],
    ['another version of a file', ['--update-secrets=/etc/db/pass=db:5'], [secretVolume('v', 'db', ['pass', '5'], ['user', '2'])]],
    ['a file that goes', ['--remove-secrets=/etc/db/pass'], [secretVolume('v', 'db', ['user', '2'])]],
    ['another secret in the place of all files', ['--update-secrets=/etc/db/pass=x:1,/etc/db/user=x:1'], [secretVolume('v', 'x', ['pass', '1'], ['user', '1'])]],
    ['all files gone, and the volume with them', ['--remove-secrets=/etc/db/pass,/etc/db/user'], []],
    ['none', ['--clear-secrets'], []],
  ])('%s', async (_, flags, volumes) => {
    const { task } = await updated(before, flags);
    expect(task.volumes?.filter(({ secret }) => secret !== undefined)).toEqual(volumes);
    expect(task.volumes).toContainEqual({ name: 'm', emptyDir: { medium: 'MEMORY' } });
    expect(task.containers?.[0]?.volumeMounts).toEqual(volumes.length === 0 ? [] : [{ name: 'v', mountPath: '/etc/db' }]);
  });

  it('a new directory gets a volume of its own, the same for the same command', async () => {
    const names = [];
    for (let turn = 0; turn < 2; turn += 1) {
      const { task } = await updated(before, ['--set-secrets=/etc/Key_/k=My_Key:latest']);
      const [volume] = task.volumes?.filter(({ secret }) => secret !== undefined) ?? [];
      expect(volume).toEqual({ ...secretVolume('', 'My_Key', ['k', 'latest']), name: expect.stringMatching(/^my-key-[0-9a-f]{8}$/) });
      expect(task.containers?.[0]?.volumeMounts).toEqual([{ name: volume?.name, mountPath: '/etc/Key_' }]);
      names.push(volume?.name);
    }
    expect(names[0]).toBe(names[1]);
  });

  it('a volume that two containers mount is changed for one of them alone', async () => {
    const mount = { name: 'v', mountPath: '/etc/db' };
    const shared = {
      ...before,
      containers: [
        { name: 'a', image: 'i', volumeMounts: [mount] },
        { name: 'b', image: 'i', volumeMounts: [mount] },
      ],
    };
    const { task } = await updated(shared, ['--container=b', '--update-secrets=/etc/db/pass=db:7']);
    expect(task.containers?.[0]?.volumeMounts).toEqual([mount]);
    const [own] = task.containers?.[1]?.volumeMounts ?? [];
    expect(own).toEqual({ mountPath: '/etc/db', name: expect.stringMatching(/^db-/) });
    expect(task.volumes).toContainEqual(secretVolume('v', 'db', ['pass', '1'], ['user', '2']));
    expect(task.volumes).toContainEqual(secretVolume(own?.name ?? '', 'db', ['pass', '7'], ['user', '2']));
  });

  it.each([
    ['--update-secrets=A=db:1', 'has a literal value'],
    ['--update-env-vars=S=x', 'is a secret'],
    ['--update-secrets=/etc/db/pass=other:1', 'files of one secret'],
    ['--update-secrets=/x/a=s:1,/x/b=t:1', 'files of one secret'],
  ])('%s is refused', async (flag, words) => {
    expect(await updated(before, [flag])).toMatchObject({ code: 1, job: {}, err: expect.stringContaining(words) });
  });
});

describe('networks', () => {
  const direct: TaskTemplate = { vpcAccess: { egress: 'ALL_TRAFFIC', networkInterfaces: [{ network: 'n', subnetwork: 's', tags: ['t'] }] } };
  const connector = 'projects/demo/locations/us-central1/connectors/c';
  it.each<[TaskTemplate, string[], object | undefined]>([
    [{}, ['--network=n', '--network-tags=a,b', '--vpc-egress=all'], { egress: 'ALL_TRAFFIC', networkInterfaces: [{ network: 'n', tags: ['a', 'b'] }] }],
    [direct, ['--subnet=x'], { egress: 'ALL_TRAFFIC', networkInterfaces: [{ network: 'n', subnetwork: 'x', tags: ['t'] }] }],
    [direct, ['--clear-network-tags'], { egress: 'ALL_TRAFFIC', networkInterfaces: [{ network: 'n', subnetwork: 's' }] }],
    [direct, ['--network=', '--subnet=', '--clear-network-tags'], undefined],
    [direct, ['--clear-network'], undefined],
    [{}, ['--vpc-connector=c', '--vpc-egress=private-ranges-only'], { connector, egress: 'PRIVATE_RANGES_ONLY' }],
    [{ vpcAccess: { connector, egress: 'ALL_TRAFFIC' } }, ['--clear-vpc-connector'], undefined],
    [direct, ['--tasks=2'], direct.vpcAccess],
  ])('%j with %j', async (before, flags, expected) => {
    expect((await updated(before, flags)).task.vpcAccess).toEqual(expected);
  });
});

describe('Cloud SQL instances', () => {
  const volume = (...instances: string[]) => [{ name: 'cloudsql', cloudSqlInstance: { instances } }];
  const before: TaskTemplate = { containers: [{ image: 'i', volumeMounts: [{ name: 'cloudsql', mountPath: '/cloudsql' }] }], volumes: volume('demo:us-central1:one', 'p:r:two') };
  it.each<[string, object[]]>([
    ['--set-cloudsql-instances=x', volume('demo:us-central1:x')],
    ['--add-cloudsql-instances=q:r:three,one', volume('demo:us-central1:one', 'p:r:two', 'q:r:three')],
    ['--remove-cloudsql-instances=one', volume('p:r:two')],
    ['--clear-cloudsql-instances', []],
  ])('%s', async (flag, volumes) => {
    const { task } = await updated(before, [flag]);
    expect(task.volumes).toEqual(volumes);
    expect(task.containers?.[0]?.volumeMounts).toEqual(volumes.length === 0 ? [] : [{ name: 'cloudsql', mountPath: '/cloudsql' }]);
  });

  it('are mounted in a container that comes later too', async () => {
    const named = { ...before, containers: [{ ...before.containers?.[0], name: 'app' }] };
    expect((await updated(named, ['--container=log', '--image=l'])).task.containers?.[1]).toEqual({
      name: 'log',
      image: 'l',
      volumeMounts: [{ name: 'cloudsql', mountPath: '/cloudsql' }],
    });
  });
});

describe('the platform', () => {
  it.each<[Partial<Job>, string[], object | undefined]>([
    [{}, ['--binary-authorization=default', '--breakglass=why'], { useDefault: true, breakglassJustification: 'why' }],
    [{}, ['--binary-authorization=projects/p/platforms/cloudRun/x'], { policy: 'projects/p/platforms/cloudRun/x' }],
    [{ binaryAuthorization: { useDefault: true, breakglassJustification: 'once' } }, ['--tasks=2'], { useDefault: true }],
    [{ binaryAuthorization: { useDefault: true } }, ['--clear-binary-authorization'], undefined],
  ])('%j with %j', async (before, flags, expected) => {
    expect((await updated({}, flags, before)).job.binaryAuthorization).toEqual(expected);
  });

  it('keeps keys and GPUs, and takes GPUs away', async () => {
    const { task, job } = await updated({}, ['--key=k', '--gpu=1', '--gpu-type=nvidia-l4', '--no-gpu-zonal-redundancy', '--client-name=cloud-console', '--client-version=7']);
    expect(task).toMatchObject({
      encryptionKey: 'k',
      nodeSelector: { accelerator: 'nvidia-l4' },
      gpuZonalRedundancyDisabled: true,
      containers: [{ resources: { limits: { 'nvidia.com/gpu': '1' } } }],
    });
    expect(job).toMatchObject({ client: 'cloud-console', clientVersion: '7' });
    const without = (await updated(task, ['--gpu=0'])).task;
    expect(without.nodeSelector).toBeUndefined();
    expect(without.containers).toEqual([{ image: 'i', resources: { limits: {} } }]);
  });
});

describe('labels', () => {
  it.each<[string[], object]>([
    [['--labels=c=3'], { a: '1', b: '2', c: '3' }],
    [['--update-labels=a=9', '--remove-labels=b'], { a: '9' }],
    [['--clear-labels', '--update-labels=z=1'], { z: '1' }],
    [['--clear-labels'], {}],
  ])('%j', async (flags, labels) => {
    const { job } = await updated({}, flags, { labels: { a: '1', b: '2' }, template: { labels: { old: 'x', 'client.knative.dev/nonce': 'n' } } });
    expect({ job: job.labels, template: job.template?.labels }).toEqual({ job: labels, template: { ...labels, 'client.knative.dev/nonce': 'n' } });
  });
});

describe('a file of variables', () => {
  const write = (name: string, text: string): { file: string; dir: string } => {
    const dir = mkdtempSync(join(tmpdir(), 'actas-env-'));
    writeFileSync(join(dir, name), text);
    return { file: join(dir, name), dir };
  };

  it.each([
    [
      'vars.yaml',
      'A: "1"\nB: "x, y=z"\n',
      [
        { name: 'A', value: '1' },
        { name: 'B', value: 'x, y=z' },
      ],
    ],
    [
      'vars.env',
      '# a comment\nA=1\nexport B="x, y=z"\n',
      [
        { name: 'A', value: '1' },
        { name: 'B', value: 'x, y=z' },
      ],
    ],
    ['empty.yaml', '', []],
  ])('%s stands for --set-env-vars', async (name, text, env) => {
    const { file, dir } = write(name, text);
    const { task } = await updated({ containers: [{ image: 'i', env: [{ name: 'OLD', value: '1' }] }] }, [`--env-vars-file=${file}`]);
    rmSync(dir, { recursive: true });
    expect(task.containers?.[0]?.env).toEqual(env);
  });

  it.each([
    ['n.yaml', 'A: 1\n', 'the value of A is 1, and must be a string'],
    ['l.yaml', '- A\n', 'does not hold variables'],
    ['missing.env', undefined, 'Cannot read'],
  ])('%s is refused', async (name, text, words) => {
    const { file, dir } = write(text === undefined ? 'other' : name, text ?? '');
    expect(await updated({}, [`--env-vars-file=${text === undefined ? join(dir, name) : file}`])).toMatchObject({ code: 1, job: {}, err: expect.stringContaining(words) });
    rmSync(dir, { recursive: true });
  });
});
