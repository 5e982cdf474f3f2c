/** `actas import`: what was exported there is made here, and a second time nothing. */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunOptions, run } from '../src/cli/test-shell.ts';
import { defaultSeed } from '../src/seed/seed.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const ACCOUNT = 'hello-sa@demo.iam.gserviceaccount.com';
const HERE = JSON.stringify({
  ...defaultSeed(),
  serviceAccounts: [
    { project: 'demo', id: 'hello-sa', displayName: 'Hello' },
    { project: 'demo', id: 'idle-sa', disabled: true },
  ],
  roles: [{ name: 'projects/demo/roles/attach', title: 'Attach', stage: 'GA', includedPermissions: ['run.jobs.run', 'iam.serviceAccounts.actAs'] }],
  policies: [
    ...defaultSeed().policies,
    { resource: 'projects/demo', bindings: [{ role: 'projects/demo/roles/attach', members: ['user:Dev@example.com', `serviceAccount:${ACCOUNT}`] }] },
    { resource: 'projects/demo/locations/us-central1/jobs/hello', bindings: [{ role: 'roles/run.invoker', members: ['user:dev@example.com'] }] },
  ],
  denyPolicies: [
    {
      name: 'projects/demo/denyPolicies/no-deletes',
      rules: [{ denyRule: { deniedPrincipals: ['principal://goog/subject/x@example.com'], deniedPermissions: ['run.googleapis.com/jobs.delete'] } }],
    },
  ],
  orgPolicies: [{ name: 'projects/demo/policies/iam.disableServiceAccountKeyCreation', spec: { rules: [{ enforce: true }] } }],
  jobs: [{ name: 'projects/demo/locations/us-central1/jobs/hello', template: { taskCount: 2, template: { serviceAccount: ACCOUNT, containers: [{ image: 'local/image' }] } } }],
});

let server: TestServer;
let dir: string;
beforeAll(async () => {
  server = await startTestServer();
  dir = mkdtempSync(join(tmpdir(), 'actas-import-'));
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});
const actas = (line: string, options: RunOptions = {}, of = server) => run(line.split(' '), { ...options, env: { ACTAS_DATA_DIR: of.dataDir } });
const write = (name: string, text: string) => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

test('a seed: said first, then made, then nothing to do; and the export is that of a start with it', async () => {
  const file = write('seed.json', HERE);
  const before = (await actas('export')).out;
  const planned = await actas(`import ${file} --dry-run`);
  expect(planned, planned.err).toMatchObject({ code: 0 });
  expect(planned.out).toContain(`would create service account ${ACCOUNT}\n`);
  expect((await actas('export')).out).toBe(before);
  const made = await actas(`import ${file}`);
  expect(made, made.err).toMatchObject({ code: 0 });
  expect(made.out).toBe(planned.out.replaceAll(/^would /gm, ''));
  const again = await actas(`import ${file}`);
  expect(again).toMatchObject({ code: 0, out: '' });
  expect(again.err).toContain('Everything is as declared: nothing to change.');
  const other = await startTestServer({ seed: file });
  try {
    expect((await actas('export')).out).toBe((await actas('export', {}, other)).out);
    const exported = write('exported.yaml', (await actas('export')).out);
    expect(await actas(`import ${exported}`, {}, other)).toMatchObject({ code: 0, out: '' });
  } finally {
    await other.close();
  }
});

test('what differs is brought to what is declared', async () => {
  await actas(`iam service-accounts update ${ACCOUNT} --display-name=Other`);
  await actas('run jobs update hello --tasks=9');
  const { out } = await actas(`import ${write('seed.json', HERE)}`);
  expect(out.split('\n').filter((line) => line !== '')).toEqual([`update service account ${ACCOUNT}`, 'update job projects/demo/locations/us-central1/jobs/hello']);
});

test('an allow policy as gcloud prints it, without the agents of the project that it is from', async () => {
  const policy = {
    version: 1,
    etag: 'BwXaBcD=',
    bindings: [
      { role: 'roles/viewer', members: ['user:someone@example.com'] },
      { role: 'roles/editor', members: ['serviceAccount:999999999999-compute@developer.gserviceaccount.com'] },
    ],
  };
  const first = await actas('import -', { stdin: JSON.stringify(policy) });
  expect(first, first.err).toMatchObject({ code: 0, out: 'change allow policy of projects/demo\n' });
  expect(first.err).toContain('Left out: serviceAccount:999999999999-compute@developer.gserviceaccount.com (roles/editor)');
  expect(await actas('import -', { stdin: JSON.stringify(policy) })).toMatchObject({ code: 0, out: '' });
  const { out } = await actas('projects get-iam-policy demo');
  expect(out).toContain('user:someone@example.com');
  expect(out).toContain('roles/run.serviceAgent');
  const onAccount = await actas(`import - --resource=projects/demo/serviceAccounts/${ACCOUNT}`, { stdin: JSON.stringify(policy) });
  expect(onAccount.out).toBe(`set allow policy of projects/demo/serviceAccounts/${ACCOUNT}\n`);
});

test('a directory of job YAML', async () => {
  mkdirSync(join(dir, 'jobs'));
  for (const name of ['a-job', 'b-job'])
    write(
      `jobs/${name}.yaml`,
      `apiVersion: run.googleapis.com/v1\nkind: Job\nmetadata: {name: ${name}}\nspec: {template: {spec: {template: {spec: {containers: [{image: local/image}]}}}}}\n`,
    );
  write('jobs/README.md', 'not read');
  expect(await actas(`import ${join(dir, 'jobs')} --region=us-east1`)).toMatchObject({ code: 0, out: 'create job a-job in us-east1\ncreate job b-job in us-east1\n' });
  expect(await actas(`import ${join(dir, 'jobs')} --region=us-east1`)).toMatchObject({ code: 0, out: '' });
});

test('what describe --format=export prints, in directories below and several in one file, comes back as it was', async () => {
  const [first, second] = await Promise.all(['a-job', 'b-job'].map((name) => actas(`run jobs describe ${name} --region=us-east1 --format=export`)));
  mkdirSync(join(dir, 'nested', 'us-east1', 'reports'), { recursive: true });
  mkdirSync(join(dir, 'nested', '.hidden'));
  write('nested/us-east1/reports/both.yml', `${first?.out}---\n${second?.out}`);
  write('nested/.hidden/workflow.yaml', 'on: push\n');
  // Its region is in its labels.
  expect(await actas(`import ${join(dir, 'nested')}`)).toMatchObject({ code: 0, out: '' });
  const other = await startTestServer();
  try {
    await actas('iam service-accounts create hello-sa', {}, other);
    const made = await actas(`import ${join(dir, 'nested')}`, {}, other);
    expect(made, made.err).toMatchObject({ code: 0, out: 'create job a-job in us-east1\ncreate job b-job in us-east1\n' });
    expect((await actas('run jobs describe a-job --region=us-east1 --format=export', {}, other)).out).toBe(first?.out);
  } finally {
    await other.close();
  }
});

test.each([
  ['what is none of these', '{"hello": 1}', 'has "hello", which is not known here'],
  ['a fault in the last document', `{"serviceAccounts": [{"project": "demo", "id": "never-sa"}]}\n---\nkind: Service\n`, 'document 2: kind is "Service"'],
  ['nothing', '', 'declares nothing'],
  ['a project that is not there', '{"projects": [{"id": "not-there", "number": 123456}]}', 'Nothing was changed.'],
  [
    'an account of nobody',
    '{"bindings": [{"role": "roles/viewer", "members": ["serviceAccount:ghost@demo.iam.gserviceaccount.com"]}]}',
    'ghost@demo.iam.gserviceaccount.com does not exist',
  ],
])('%s is refused, and nothing is changed', async (_name, text, words) => {
  const before = (await actas('export')).out;
  const refused = await actas('import -', { stdin: text });
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain(words);
  expect((await actas('export')).out).toBe(before);
});
