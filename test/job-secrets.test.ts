/** Secrets in jobs: asked at the deploy, read at the start of a task as the job's account, in the environment and as files. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import Docker from 'dockerode';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { LABEL_ATTEMPT, scopeOf } from '../src/runner/docker/labels.ts';
import { secretFilesRoot } from '../src/runner/docker/secret-files.ts';
import type { Driver } from '../src/runner/driver.ts';
import { createFakeDriver } from '../src/runner/fake/driver.ts';
import { describeWithEngine } from './harness/engine.ts';
import { shellImage } from './harness/image.ts';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
const SECRETS = '/secretmanager.googleapis.com/v1';
const ACCOUNT = 'reader@demo.iam.gserviceaccount.com';
const fromSecret = (secret: string, version = 'latest') => ({ valueSource: { secretKeyRef: { secret, version } } });

/** What both kinds of driver are asked. */
function client(server: () => Pick<TestServer, 'call'>) {
  const call: TestServer['call'] = (...args) => server().call(...args);
  return {
    async secret(name: string, ...payloads: readonly string[]): Promise<void> {
      const [parent = '', id = ''] = name.split('/secrets/');
      expect((await call('POST', `${SECRETS}/${parent}/secrets?secretId=${id}`, { replication: { automatic: {} } })).status).toBe(200);
      for (const text of payloads) expect((await call('POST', `${SECRETS}/${name}:addVersion`, { payload: { data: Buffer.from(text).toString('base64') } })).status).toBe(200);
    },
    async grant(name: string, members = [`serviceAccount:${ACCOUNT}`]): Promise<void> {
      const policy = { bindings: members.length === 0 ? [] : [{ role: 'roles/secretmanager.secretAccessor', members }] };
      expect((await call('POST', `${SECRETS}/${name}:setIamPolicy`, { policy })).status).toBe(200);
    },
    // JSON of an operation is read by the test that knows its shape.
    // oxlint-disable-next-line typescript/no-explicit-any
    async deploy(id: string, task: object): Promise<any> {
      const { json, text } = await call('POST', `${API}/jobs?jobId=${id}`, { template: { template: { serviceAccount: ACCOUNT, maxRetries: 0, timeout: '60s', ...task } } });
      expect(json.name, text).toContain('operations/');
      return until('the deploy ends', async () => ((op) => op.done === true && op)((await call('GET', `/run.googleapis.com/v2/${json.name}`)).json));
    },
    // oxlint-disable-next-line typescript/no-explicit-any
    async run(id: string): Promise<{ operation: any; execution: string }> {
      const { json, text } = await call('POST', `${API}/jobs/${id}:run`, {});
      expect(json.name, text).toContain('operations/');
      const operation = await until(
        'the run ends',
        async () => ((op) => op.done === true && op)((await call('POST', `/run.googleapis.com/v2/${json.name}:wait`, { timeout: '5s' })).json),
        60_000,
      );
      return { operation, execution: json.metadata.name };
    },
    /** @param logs the platform's own lines are in others than what the containers wrote */
    async lines(execution: string, logs = 'AND logName:"std"'): Promise<string[]> {
      const filter = `labels."run.googleapis.com/execution_name"="${execution.split('/').at(-1) ?? ''}" ${logs}`;
      const { json } = await call('POST', '/logging.googleapis.com/v2/entries:list', { resourceNames: ['projects/demo'], filter, orderBy: 'timestamp asc' });
      return (json.entries ?? []).map((entry: { textPayload?: string }) => entry.textPayload ?? '');
    },
  };
}

/** Where the files of a data directory are. */
function rootOf(dataDir: string): string {
  const db = new DatabaseSync(join(dataDir, 'state.sqlite'), { readOnly: true });
  const instance = String(db.prepare("SELECT value FROM settings WHERE key = 'instance'").get()?.['value']);
  db.close();
  return secretFilesRoot(scopeOf(instance), process.env) ?? '';
}

describe('with the fake driver', () => {
  let server: TestServer;
  let number: string;
  const { secret, grant, deploy, run, lines } = client(() => server);
  beforeAll(async () => {
    server = await startTestServer();
    number = (await server.call('GET', '/cloudresourcemanager.googleapis.com/v1/projects/demo')).json.projectNumber;
    await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'reader' });
  });
  afterAll(() => server.close());
  const container = (...env: object[]) => ({ containers: [{ image: 'example.com/image', env }] });

  test('a deploy asks whether the account may read them, in the words of Google', async () => {
    await secret('projects/demo/secrets/closed', 'x');
    const { error } = await deploy('closed', container({ name: 'A', value: 'a' }, { name: 'B', ...fromSecret('closed') }));
    const message =
      `spec.template.spec.containers[0].env[1].value_from.secret_key_ref.name: Permission denied on secret: projects/${number}/secrets/closed/versions/latest for Revision service account ${ACCOUNT}. ` +
      "The service account used must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.";
    expect(error).toMatchObject({ code: 9, message });
    expect((await server.call('GET', `${API}/jobs/closed`)).json.terminalCondition).toMatchObject({ state: 'CONDITION_FAILED', reason: 'SECRETS_ACCESS_CHECK_FAILED', message });
    await grant('projects/demo/secrets/closed');
    const { error: missing } = await deploy('missing', container({ name: 'B', ...fromSecret('closed', '7') }));
    expect(missing).toMatchObject({
      code: 13,
      message: `spec.template.spec.containers[0].env[0].value_from.secret_key_ref.key: Secret projects/${number}/secrets/closed/versions/7 was not found`,
    });
    expect((await deploy('open', container({ name: 'B', ...fromSecret('closed') }))).error).toBeUndefined();
  });

  test('a task gets what the version holds when it starts, and its reading is in the audit trail', async () => {
    await secret('projects/demo/secrets/changing', 'the first');
    await grant('projects/demo/secrets/changing');
    expect((await deploy('changing', container({ name: 'FAKE_LOG', ...fromSecret('changing') }))).error).toBeUndefined();
    expect(await lines((await run('changing')).execution)).toContain('the first');
    await server.call('POST', `${SECRETS}/projects/demo/secrets/changing:addVersion`, { payload: { data: Buffer.from('the second').toString('base64') } });
    expect(await lines((await run('changing')).execution)).toContain('the second');
    const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
    const reading = () =>
      logs
        .prepare("SELECT status FROM audit WHERE principal = ? AND method LIKE '%AccessSecretVersion' AND resource LIKE '%/secrets/changing/versions/latest'")
        .all(`serviceAccount:${ACCOUNT}`);
    await until('both readings are in the trail', () => reading().length === 2);
    logs.close();
  });

  test('a grant that went, a version that was disabled, a payload that is no text, an account that was disabled: the task fails, and says which', async () => {
    await secret('projects/demo/secrets/going', 'x');
    await grant('projects/demo/secrets/going');
    await deploy('going', container({ name: 'KEY', ...fromSecret('going') }));
    await grant('projects/demo/secrets/going', []);
    const failed = await run('going');
    expect(failed.operation.error.message).toContain(`env[0].value_from.secret_key_ref.name: Permission denied on secret: projects/${number}/secrets/going/versions/latest`);
    await until('its log says so', async () => (await lines(failed.execution, '')).some((line) => line.includes('Permission denied on secret')));
    await grant('projects/demo/secrets/going');
    await server.call('POST', `${SECRETS}/projects/demo/secrets/going/versions/1:disable`, {});
    expect((await run('going')).operation.error.message).toContain('is not enabled');
    await server.call('POST', `${SECRETS}/projects/demo/secrets/going:addVersion`, { payload: { data: Buffer.from([255, 0]).toString('base64') } });
    expect((await run('going')).operation.error.message).toContain('environment variable KEY is not text');
    await server.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${ACCOUNT}:disable`, {});
    expect((await run('going')).operation.error.message).toContain(`Service account ${ACCOUNT} is disabled`);
    await server.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${ACCOUNT}:enable`, {});
  });

  test('of another project: by its full name, and by the alias of v1', async () => {
    const made = await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/projects', { projectId: 'elsewhere', parent: { type: 'organization', id: '111111111111' } });
    expect(made.status, made.text).toBe(200);
    await secret('projects/elsewhere/secrets/foreign', 'from elsewhere');
    await grant('projects/elsewhere/secrets/foreign');
    const other = (await server.call('GET', '/cloudresourcemanager.googleapis.com/v1/projects/elsewhere')).json.projectNumber;
    expect((await deploy('foreign', container({ name: 'FAKE_LOG', ...fromSecret(`projects/${other}/secrets/foreign`) }))).error).toBeUndefined();
    expect(await lines((await run('foreign')).execution)).toContain('from elsewhere');
    const v1 = {
      apiVersion: 'run.googleapis.com/v1',
      kind: 'Job',
      metadata: { name: 'aliased' },
      spec: {
        template: {
          metadata: { annotations: { 'run.googleapis.com/secrets': `theirs:projects/${other}/secrets/foreign` } },
          spec: {
            template: {
              spec: {
                serviceAccountName: ACCOUNT,
                containers: [{ image: 'example.com/image', env: [{ name: 'FAKE_LOG', valueFrom: { secretKeyRef: { name: 'theirs', key: '1' } } }] }],
              },
            },
          },
        },
      },
    };
    const created = await server.call('POST', '/us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/demo/jobs', v1);
    expect(created.status, created.text).toBe(200);
    await until('the job is ready', async () => (await server.call('GET', `${API}/jobs/aliased`)).json.terminalCondition?.state === 'CONDITION_SUCCEEDED');
    expect(await lines((await run('aliased')).execution)).toContain('from elsewhere');
  });
});

test('where the engine does not share the files of this machine, volumes are refused in words, and variables go on', async () => {
  const fake = createFakeDriver();
  const driver: Driver = { ...fake, open: async (options) => ({ ...(await fake.open(options)), noFiles: 'the container engine is far away' }) };
  const server = await startTestServer({}, { driver });
  onTestFinished(() => server.close());
  const { secret, grant, deploy, run } = client(() => server);
  await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'reader' });
  await secret('projects/demo/secrets/far', 'x');
  await grant('projects/demo/secrets/far');
  const image = 'example.com/image';
  await deploy('mounting', { volumes: [{ name: 'v', secret: { secret: 'far' } }], containers: [{ image, volumeMounts: [{ name: 'v', mountPath: '/v' }] }] });
  expect((await run('mounting')).operation.error).toMatchObject({
    code: 12,
    message: 'The tasks mount secrets as volumes, and the container engine is far away. Give them as environment variables.',
  });
  await deploy('naming', { containers: [{ image, env: [{ name: 'A', ...fromSecret('far') }] }] });
  expect((await run('naming')).operation.error).toBeUndefined();
});

describeWithEngine('with real containers', (dockerHost) => {
  let server: TestServer;
  let image: string;
  const docker = new Docker({ socketPath: dockerHost.replace('unix://', '') });
  const { secret, grant, deploy, run, lines } = client(() => server);
  const root = () => rootOf(server.dataDir);
  beforeAll(async () => {
    process.env['DOCKER_HOST'] = dockerHost;
    image = await shellImage(docker);
    server = await startTestServer({ driver: 'docker', killOnStop: true });
    await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'reader' });
    for (const id of ['env', 'file']) {
      await secret(`projects/demo/secrets/${id}`, `${id} one`, `${id} two`);
      await grant(`projects/demo/secrets/${id}`);
    }
  });
  afterAll(async () => {
    rmSync(root(), { recursive: true, force: true });
    await server.close();
  });

  const volumes = [
    {
      name: 'keys',
      secret: {
        secret: 'file',
        items: [
          { version: '1', path: 'deep/one', mode: 0o400 },
          { version: 'latest', path: 'two' },
        ],
      },
    },
    { name: 'whole', secret: { secret: 'file', defaultMode: 0o440 } },
  ];
  const volumeMounts = [
    { name: 'keys', mountPath: '/keys' },
    { name: 'whole', mountPath: '/whole' },
  ];

  test('variables and files, with items and modes, that cannot be changed; and nothing is left when the task has ended', async () => {
    const script = `echo "$PASSWORD"; cat /keys/deep/one /keys/two /whole/file | tr '\\n' ' '; echo; stat -c '%a %n' /keys/deep/one /keys/two /whole/file
      (echo changed > /keys/two) 2>/dev/null && echo written; rm -f /whole/file 2>/dev/null && echo removed; touch /keys/new 2>/dev/null && echo made; echo end`;
    const task = { volumes, containers: [{ image, command: ['sh', '-c', script], env: [{ name: 'PASSWORD', ...fromSecret('env', '1') }], volumeMounts }] };
    expect((await deploy('files', task)).error).toBeUndefined();
    const { operation, execution } = await run('files');
    expect(operation.error).toBeUndefined();
    expect((await lines(execution)).filter((line) => !line.startsWith('Container called'))).toEqual([
      'env one',
      'file onefile twofile two',
      '400 /keys/deep/one',
      '444 /keys/two',
      '440 /whole/file',
      'end',
    ]);
    await until('its files are gone', () => readdirSync(root()).length === 0);
  });

  test('several containers see them; the directory is the own one of the task, in memory, and the engine knows no payload of a file', async () => {
    const script = 'cat /keys/two; echo " as $(id -u)"; sleep 2';
    const names = ['first', 'second'];
    const containers = names.map((name) => ({ name, image, command: ['sh', '-c', script], volumeMounts, ...(name === 'second' ? { dependsOn: ['first'] } : {}) }));
    await deploy('several', { volumes, containers });
    const running = run('several');
    const placed = await until('files are placed', () => readdirSync(root()).find((name) => !name.endsWith('.draft')));
    expect(readFileSync(join(root(), placed, 'keys', 'two'), 'utf8')).toBe('file two');
    expect(statSync(root()).mode & 0o777).toBe(0o700);
    // What is made and what is taken away meanwhile is not there to be looked at.
    const look = async () => {
      const known = await docker.listContainers({ all: true, filters: { label: [`${LABEL_ATTEMPT}=${placed}`] } });
      return Promise.all(known.map(({ Id }) => docker.getContainer(Id).inspect()));
    };
    const inspected = await until('the containers and the one that holds their network are there', async () => ((found) => found.length > 2 && found)(await look()));
    expect(JSON.stringify(inspected)).not.toMatch(new RegExp(`file two|${Buffer.from('file two').toString('base64')}|${[...Buffer.from('file two')].join(',')}`));
    const { operation, execution } = await running;
    expect(operation.error).toBeUndefined();
    await until('both have said it', async () => (await lines(execution)).filter((line) => line.startsWith('file two as')).length === 2);
    await until('its files are gone', () => readdirSync(root()).length === 0);
  });

  test('kill -9 in the middle: the task goes on with its files, its end removes them, and what nobody wants goes at the next start', { timeout: 120_000 }, async () => {
    const dataDir = mkdtempSync(join(tmpdir(), 'actas-job-secrets-'));
    let started = await startProgram(dataDir, dockerHost);
    const { secret: make, grant: allow, deploy: create, lines: said } = client(() => started);
    onTestFinished(async () => {
      await started.end('SIGKILL');
      rmSync(rootOf(dataDir), { recursive: true, force: true });
      rmSync(dataDir, { recursive: true, force: true });
    });
    await started.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'reader' });
    await make('projects/demo/secrets/file', 'old', 'still here');
    await allow('projects/demo/secrets/file');
    await create('long', {
      volumes,
      containers: [{ image, command: ['sh', '-c', 'echo begun; i=0; while [ $i -lt 12 ]; do sleep 1; i=$((i+1)); done; cat /keys/two'], volumeMounts }],
    });
    const { json } = await started.call('POST', `${API}/jobs/long:run`, {});
    const execution: string = json.metadata.name;
    await until('it runs', async () => (await said(execution)).includes('begun'), 30_000);
    await started.end('SIGKILL');
    expect(readdirSync(rootOf(dataDir))).toHaveLength(1);
    mkdirSync(join(rootOf(dataDir), 'of-nobody'));
    started = await startProgram(dataDir, dockerHost);
    expect(readdirSync(rootOf(dataDir))).not.toContain('of-nobody');
    await until('it has ended', async () => (await started.call('GET', `/run.googleapis.com/v2/${execution}`)).json.succeededCount === 1, 40_000);
    expect(await said(execution)).toContain('still here');
    await until('its files are gone', () => readdirSync(rootOf(dataDir)).length === 0);
  });
});

/** The program in a process of its own, which a test may kill. */
async function startProgram(dataDir: string, dockerHost: string) {
  const readyFile = join(dataDir, 'ready.json');
  rmSync(readyFile, { force: true });
  const argv = [
    join(import.meta.dirname, '..', 'bin', 'actas.js'),
    'up',
    '--data-dir',
    dataDir,
    '--port',
    '0',
    '--driver',
    'docker',
    '--ready-file',
    readyFile,
    '--log-level',
    'error',
  ];
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...argv], {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: { ...process.env, DOCKER_HOST: dockerHost },
  });
  await until('the control plane serves', () => existsSync(readyFile), 60_000);
  // Written by the program.
  const { url, tokenFile } = JSON.parse(readFileSync(readyFile, 'utf8')) as { url: string; tokenFile: string };
  const headers = { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, 'content-type': 'application/json' };
  const call: TestServer['call'] = async (verb, path, body) => {
    const answer = await fetch(`${url}${path}`, { method: verb, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
    const text = await answer.text();
    return { status: answer.status, headers: answer.headers, text, json: JSON.parse(text) };
  };
  return {
    call,
    async end(signal: NodeJS.Signals): Promise<void> {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const { pid } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as { pid: number };
      const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
      process.kill(pid, signal);
      await gone;
    },
  };
}
