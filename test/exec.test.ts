/** `actas exec` and its short forms, as users start them: official clients with nothing changed, TLS checked, against a server that they find through the environment alone. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ACTAS, type Ran, runActas } from './harness/run-actas.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
const directory = mkdtempSync(join(tmpdir(), 'actas-exec-'));
beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'job-sa-account' });
});
afterAll(async () => {
  await server.close();
  rmSync(directory, { recursive: true });
});

const actas = (args: readonly string[], env: Record<string, string> = {}) => runActas({ dataDir: server.dataDir, home: directory }, args, env);
const node = (script: string, ...flags: string[]) => actas(['exec', ...flags, '--', process.execPath, '--input-type=module', '-e', script]);

describe('actas exec', () => {
  test('@google-cloud/run over gRPC, without an option', async () => {
    const ran = await node(`
      import { JobsClient } from '@google-cloud/run';
      const jobs = new JobsClient();
      const parent = 'projects/demo/locations/us-central1';
      const [creating] = await jobs.createJob({ parent, jobId: 'through-exec', job: { template: { template: { containers: [{ image: 'example.com/image' }] } } } });
      await creating.promise();
      const [list] = await jobs.listJobs({ parent });
      console.log(list.map((job) => job.name + ' ' + job.creator).join());
      await jobs.close();
    `);
    expect(ran).toMatchObject({
      code: 0,
      out: 'projects/demo/locations/us-central1/jobs/through-exec owner@example.com\n',
      err: 'actas: local, project demo, region us-central1\n',
    });
  });

  test('as somebody else', async () => {
    const ran = await node(
      `
      import { JobsClient } from '@google-cloud/run';
      const jobs = new JobsClient();
      await jobs.listJobs({ parent: 'projects/demo/locations/us-central1' }).then(() => console.log('allowed'), (error) => console.log(error.message));
    `,
      '--as=user:nobody@example.com',
    );
    expect(ran).toMatchObject({ code: 0, out: expect.stringContaining("Permission 'run.jobs.list' denied") });
  });

  test('googleapis, google-auth-library and fetch', async () => {
    const ran = await node(`
      import { google } from 'googleapis';
      import { GoogleAuth } from 'google-auth-library';
      const auth = new google.auth.GoogleAuth({ scopes: ['https://www.googleapis.com/auth/cloud-platform'] });
      const { data } = await google.run({ version: 'v1', auth }).namespaces.jobs.list({ parent: 'namespaces/demo' }, { rootUrl: 'https://us-central1-run.googleapis.com/' });
      console.log(data.kind);
      const client = await new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' }).getClient();
      console.log((await client.request({ url: 'https://cloudresourcemanager.googleapis.com/v3/projects/demo' })).data.projectId);
      const { token } = await client.getAccessToken();
      console.log((await fetch('https://storage.googleapis.com/storage/v1/b?project=demo', { headers: { authorization: 'Bearer ' + token } })).status);
    `);
    expect(ran).toMatchObject({ code: 0, out: 'JobList\ndemo\n501\n' });
  });

  test('hands on arguments, variables and the exit code, and takes away what leads elsewhere', async () => {
    const script = 'echo "$1 $CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN $NO_PROXY"; exit 7';
    const ran = await actas(['exec', '--', 'sh', '-c', script, 'sh', '--format=x'], {
      CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: 'https://elsewhere.example/',
      NO_PROXY: 'corp.example,.googleapis.com,*',
    });
    expect(ran).toMatchObject({ code: 7, out: '--format=x  corp.example,localhost,127.0.0.1,::1\n' });
  });

  test('says what cannot be run, and where nothing runs', async () => {
    expect(await actas(['exec', '--', 'no-such-program'])).toMatchObject({ code: 127, err: expect.stringContaining('no-such-program cannot be run: there is no such program.') });
    expect(await actas(['exec'])).toMatchObject({ code: 2, err: expect.stringContaining('There is no command to run.') });
    expect(await actas(['exec', '--', 'true'], { ACTAS_DATA_DIR: directory })).toMatchObject({ code: 3, err: expect.stringContaining('No control plane runs on') });
  });

  test("the owner's own token is not handed on, and what is kept is for its owner alone", async () => {
    const ran = await actas(['exec', '--', 'sh', '-c', 'env']);
    expect(ran.out).not.toContain(server.ownerToken);
    const file = /^GOOGLE_APPLICATION_CREDENTIALS=(.*)$/m.exec(ran.out)?.[1] ?? '';
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const first = readFileSync(file, 'utf8');
    await actas(['exec', '--', 'true']);
    expect(readFileSync(file, 'utf8')).toBe(first);
  });
});

test('actas gcloud and terraform hand their words to the program on the PATH', async () => {
  const bin = mkdtempSync(join(directory, 'bin-'));
  for (const name of ['gcloud', 'terraform'])
    writeFileSync(join(bin, name), '#!/bin/sh\necho "$0 $* $CLOUDSDK_CONFIG $CLOUDSDK_CORE_PROJECT" | sed "s|.*/bin-[^/]*/||"\n', { mode: 0o755 });
  const PATH = `${bin}:${process.env['PATH'] ?? ''}`;
  const config = join(server.dataDir, 'clients', 'gcloud');
  expect(await actas(['gcloud', '--project=other', 'run', 'jobs', 'list', '--format=json', '--project', 'x', '-q'], { PATH })).toMatchObject({
    code: 0,
    out: `gcloud run jobs list --format=json --project x -q ${config} other\n`,
    err: 'actas: local, project other, region us-central1\n',
  });
  expect(await actas(['--as=user:dev@example.com', 'terraform', 'plan', '-var=a=b'], { PATH })).toMatchObject({
    out: `terraform plan -var=a=b ${config} demo\n`,
    err: expect.stringContaining('as user:dev@example.com'),
  });
  expect(await actas(['terraform', 'plan'], { PATH: bin.replace('bin-', 'none-') })).toMatchObject({ code: 127, err: expect.stringContaining('Install it') });
});

describe('actas env', () => {
  test.each(['bash', 'zsh', 'fish'])('what it prints is taken by %s', async (shell) => {
    const { out } = await actas(['env', `--shell=${shell}`], { CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM: 'http://x/' });
    const ran = await new Promise<Ran | undefined>((resolve) => {
      const script = `${out}\nenv`;
      const child = execFile(shell, ['-c', script], { env: { PATH: process.env['PATH'] ?? '', CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM: 'http://x/' } }, (error, text, err) =>
        resolve(error !== null && 'code' in error && error.code === 'ENOENT' ? undefined : { code: child.exitCode, out: text, err }),
      );
    });
    if (ran === undefined) return;
    expect(ran.out).toContain(`HTTPS_PROXY=${server.url}\n`);
    expect(ran.out).not.toContain('CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM');
  });

  test('direct, as JSON', async () => {
    const { set } = JSON.parse((await actas(['env', '--shell=json', '--mode=direct', '--region=europe-west1'])).out);
    expect(set).toMatchObject({
      CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: `${server.url}/r/europe-west1/`,
      GOOGLE_CLOUD_RUN_V2_CUSTOM_ENDPOINT: `${server.url}/run.googleapis.com/v2/`,
    });
    expect(set).not.toHaveProperty('HTTPS_PROXY');
    expect(await actas(['env', '--mode=sideways'])).toMatchObject({ code: 2 });
    expect(await actas(['env', '--shell=tcsh'])).toMatchObject({ code: 2 });
  });
});

describe('actas doctor', () => {
  test('finds nothing wrong in a shell that is set up, nor in one that is not', async () => {
    expect(await actas(['doctor'])).toMatchObject({ code: 0, out: expect.stringContaining('✔ TLS works through the proxy') });
    expect(await actas(['exec', '--', process.execPath, ACTAS, 'doctor'])).toMatchObject({
      code: 0,
      out: expect.stringContaining('✔ The variables of this shell lead clients here.'),
    });
  });

  test('names what is wrong, with the line that mends it', async () => {
    const bundle = join(directory, 'company.pem');
    writeFileSync(bundle, '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const ran = await actas(['doctor'], { HTTPS_PROXY: server.url, REQUESTS_CA_BUNDLE: bundle, CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: server.url });
    expect(ran.code).toBe(1);
    expect(ran.out).toContain(`✗ REQUESTS_CA_BUNDLE names ${bundle}, which does not hold the authority of this control plane, so TLS fails.\n    eval "$(actas env)"`);
    expect(ran.out).toContain(
      `✗ CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=${server.url} has no slash at its end, which its reader demands.\n    export CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=`,
    );
    expect(await actas(['doctor'], { ACTAS_TOKEN: 'wrong' })).toMatchObject({ code: 1, out: expect.stringContaining('✗ The token is not good') });
    expect(await actas(['doctor'], { ACTAS_DATA_DIR: directory })).toMatchObject({ code: 1, out: expect.stringContaining('✗ No control plane runs on') });
  });
});
