/** `run jobs replace` and `describe --format=export` against a real control plane. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunOptions, run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
let dir: string;
beforeAll(async () => {
  server = await startTestServer();
  dir = mkdtempSync(join(tmpdir(), 'actas-replace-'));
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

const actas = (line: string, options: RunOptions = {}) => run(line.split(' '), { ...options, env: { ACTAS_DATA_DIR: server.dataDir } });
const file = (text: string) => {
  const path = join(dir, 'job.yaml');
  writeFileSync(path, text);
  return path;
};
const yaml = (name: string, more = '', metadata = '') => `apiVersion: run.googleapis.com/v1
kind: Job
metadata:
  name: ${name}${metadata}
spec:
  template:
    spec:
      taskCount: 2
      template:
        spec:
          containers:
          - image: local/image
            env:
            - name: GREETING
              value: "yes"${more}
`;

test('creates, replaces, and takes back what it exported, unchanged', async () => {
  const created = await actas(`run jobs replace ${file(yaml('round'))}`);
  expect(created).toMatchObject({ code: 0, out: '' });
  expect(created.err).toContain('Creating job [round] in project [demo] region [us-central1]');
  expect(created.err).toContain('Job [round] has been successfully created.');
  const first = await actas('run jobs describe round --format=export');
  expect(first.out).toMatch(/^apiVersion: run.googleapis.com\/v1\nkind: Job\nmetadata:/);
  expect(first.out).not.toMatch(/uid|resourceVersion|status:|creator|client-name|lastUpdatedTime/);
  const again = await actas('run jobs replace -', { stdin: first.out });
  expect(again).toMatchObject({ code: 0 });
  expect(again.err).toContain('Job [round] has been successfully updated.');
  expect((await actas('run jobs describe round --format=export')).out).toBe(first.out);
  const changed = await actas('run jobs replace - --format=value(spec.template.spec.taskCount,metadata.generation)', { stdin: first.out.replace('taskCount: 2', 'taskCount: 5') });
  expect(changed.out).toMatch(/^5\t\d+\n$/);
});

test('a job made by flags survives its export, with all that v1 can say', async () => {
  await actas(
    'run jobs create flags --image=local/image --tasks=4 --parallelism=2 --max-retries=0 --task-timeout=90s --labels=team=x --set-env-vars=A=b,C=d --memory=1Gi --cpu=2 --command=a --args=b,c',
  );
  const v2 = async () => (await actas('run jobs describe flags --format=json')).out;
  const { template, labels } = JSON.parse(await v2());
  const exported = await actas('run jobs describe flags --format=export');
  await actas('run jobs delete flags -q');
  expect(await actas('run jobs replace -', { stdin: exported.out })).toMatchObject({ code: 0 });
  const after = JSON.parse(await v2());
  expect(after.labels).toEqual(labels);
  delete template.client;
  delete after.template.client;
  expect(after.template).toEqual(template);
});

test('several documents, each in the region of its label, unless --region says another', async () => {
  const labelled = yaml('second', '', '\n  labels:\n    cloud.googleapis.com/location: us-east1\n  namespace: 123456789012');
  expect(await actas(`run jobs replace ${file(`${yaml('one')}---\n${labelled}---\n`)}`)).toMatchObject({ code: 0 });
  expect((await actas('run jobs describe second --region=us-east1 --format=value(name)')).out).toBe('projects/demo/locations/us-east1/jobs/second\n');
  expect((await actas('run jobs describe one --format=value(name)')).out).toBe('projects/demo/locations/us-central1/jobs/one\n');
  expect(await actas('run jobs replace - --region=europe-west1', { stdin: yaml('one') })).toMatchObject({ code: 0 });
  expect((await actas('run jobs describe one --region=europe-west1 --format=value(name)')).out).toContain('europe-west1');
});

test.each([
  ['a second document that is none', `${yaml('never')}---\nkind: Service\n`, 'document 2: kind is "Service", and must be Job.'],
  ['another version', yaml('never').replace('run.googleapis.com/v1', 'batch/v1'), 'apiVersion is "batch/v1"'],
  ['no name', yaml('').replace('name: \n', 'labels: {}\n'), 'metadata.name is missing.'],
  ['no template', 'apiVersion: run.googleapis.com/v1\nkind: Job\nmetadata: {name: x}\nspec: {}\n', 'spec.template is required but missing.'],
  ['nothing', '', 'holds no job.'],
  ['another project', yaml('never', '', '\n  namespace: other'), 'metadata.namespace: must be demo or 123456789012'],
  ['a field that v1 does not have', yaml('never', '\n            nonsense: 1'), 'Unknown name "nonsense"'],
])('%s is refused, and nothing is made', async (_name, text, words) => {
  const refused = await actas(`run jobs replace ${file(text)}`);
  expect(refused.code).toBe(1);
  expect(refused.err).toContain(words);
  expect((await actas('run jobs describe never')).code).toBe(5);
});

test('a stale resourceVersion is refused; a denial shows its remedy; --async does not wait', async () => {
  await actas('run jobs replace -', { stdin: yaml('versions') });
  const stale = await actas('run jobs replace -', { stdin: yaml('versions', '', '\n  resourceVersion: AAY0xQtN3Ug') });
  expect(stale).toMatchObject({ code: 1, err: expect.stringContaining('ABORTED') });
  expect(await actas('run jobs replace - --async', { stdin: yaml('versions') })).toMatchObject({ code: 0, err: expect.stringContaining('is being updated asynchronously') });
  const denied = await actas('run jobs replace - --as=user:nobody@example.com', { stdin: yaml('versions') });
  expect(denied).toMatchObject({ code: 4, err: expect.stringContaining("Permission 'run.jobs.get' denied") });
  expect(await actas('projects list --format=export')).toMatchObject({ code: 2, err: expect.stringContaining('The format export is for jobs.') });
});
