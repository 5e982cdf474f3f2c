/** `actas import` of exports of Cloud Asset Inventory: in the forms that gcloud writes them, from another organization, with what actas has none of. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type RunOptions, run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const MANAGER = '//cloudresourcemanager.googleapis.com';
const ABOVE = ['projects/900000000001', 'folders/800000000002', 'folders/800000000001', 'organizations/700000000001'];
const SA = 'nightly-sa@shop-prod.iam.gserviceaccount.com';
const resource = (type: string, name: string, data: object, ancestors = ABOVE) => ({ name, asset_type: type, resource: { version: 'v1', data }, ancestors });
const policy = (type: string, name: string, bindings: object[], ancestors = ABOVE) => ({ name, asset_type: type, iam_policy: { etag: 'BwX=', bindings }, ancestors });

const RESOURCES = [
  // A folder before the one that it lies in: an export has no order.
  resource(
    'cloudresourcemanager.googleapis.com/Folder',
    `${MANAGER}/folders/800000000002`,
    { name: 'folders/800000000002', displayName: 'prod', parent: 'folders/800000000001' },
    ABOVE.slice(1),
  ),
  resource(
    'cloudresourcemanager.googleapis.com/Folder',
    `${MANAGER}/folders/800000000001`,
    { name: 'folders/800000000001', displayName: 'shop', parent: 'organizations/700000000001' },
    ABOVE.slice(2),
  ),
  resource('cloudresourcemanager.googleapis.com/Organization', `${MANAGER}/organizations/700000000001`, { name: 'organizations/700000000001' }, ABOVE.slice(3)),
  resource('cloudresourcemanager.googleapis.com/Project', `${MANAGER}/projects/900000000001`, {
    projectId: 'shop-prod',
    projectNumber: '900000000001',
    name: 'Shop',
    parent: { type: 'folder', id: '800000000002' },
    labels: { team: 'shop' },
  }),
  resource('iam.googleapis.com/ServiceAccount', '//iam.googleapis.com/projects/shop-prod/serviceAccounts/111000111', {
    name: `projects/shop-prod/serviceAccounts/${SA}`,
    email: SA,
    uniqueId: '111000111',
    displayName: 'Nightly',
    projectId: 'shop-prod',
  }),
  resource('iam.googleapis.com/ServiceAccount', '//iam.googleapis.com/projects/shop-prod/serviceAccounts/222', {
    email: '900000000001-compute@developer.gserviceaccount.com',
    uniqueId: '222',
  }),
  resource('iam.googleapis.com/Role', '//iam.googleapis.com/projects/shop-prod/roles/runOnly', {
    name: 'projects/shop-prod/roles/runOnly',
    title: 'Run only',
    stage: 'GA',
    etag: 'x',
    includedPermissions: ['run.jobs.run'],
  }),
  resource('run.googleapis.com/Job', '//run.googleapis.com/projects/shop-prod/locations/europe-west1/jobs/nightly', {
    apiVersion: 'run.googleapis.com/v1',
    kind: 'Job',
    metadata: {
      name: 'nightly',
      namespace: '900000000001',
      uid: 'u',
      resourceVersion: 'AAX',
      generation: 3,
      labels: { 'cloud.googleapis.com/location': 'europe-west1' },
      annotations: { 'run.googleapis.com/creator': 'a@b.example' },
    },
    spec: { template: { spec: { taskCount: 4, template: { spec: { serviceAccountName: SA, containers: [{ image: 'local/image' }] } } } } },
    status: { executionCount: 7 },
  }),
  resource('storage.googleapis.com/Bucket', '//storage.googleapis.com/shop-data', { name: 'shop-data' }),
  resource('storage.googleapis.com/Bucket', '//storage.googleapis.com/shop-more', { name: 'shop-more' }),
  resource('iam.googleapis.com/ServiceAccountKey', '//iam.googleapis.com/projects/shop-prod/serviceAccounts/111000111/keys/k', { name: 'k' }),
];
const POLICIES = [
  policy('cloudresourcemanager.googleapis.com/Project', `${MANAGER}/projects/900000000001`, [
    { role: 'roles/run.viewer', members: ['user:Dev@example.com', 'serviceAccount:900000000001-compute@developer.gserviceaccount.com', 'deleted:user:gone@example.com?uid=1'] },
    { role: 'projects/shop-prod/roles/runOnly', members: [`serviceAccount:${SA}`, 'serviceAccount:elsewhere@another-one.iam.gserviceaccount.com'] },
    { role: 'roles/run.developer', members: ['user:dev@example.com'], condition: { title: 'a while', expression: 'request.time < timestamp("2100-01-01T00:00:00Z")' } },
    { role: 'organizations/700000000001/roles/none', members: ['user:dev@example.com'] },
  ]),
  policy('cloudresourcemanager.googleapis.com/Folder', `${MANAGER}/folders/800000000001`, [{ role: 'roles/viewer', members: ['group:shop@example.com'] }], ABOVE.slice(2)),
  // Nothing for who imports it.
  policy(
    'cloudresourcemanager.googleapis.com/Organization',
    `${MANAGER}/organizations/700000000001`,
    [{ role: 'roles/browser', members: ['user:cfo@example.com'] }],
    ABOVE.slice(3),
  ),
  policy('iam.googleapis.com/ServiceAccount', '//iam.googleapis.com/projects/shop-prod/serviceAccounts/111000111', [
    { role: 'roles/iam.serviceAccountUser', members: ['user:dev@example.com'] },
  ]),
  policy('run.googleapis.com/Job', '//run.googleapis.com/projects/shop-prod/locations/europe-west1/jobs/nightly', [
    { role: 'roles/run.invoker', members: ['user:dev@example.com'] },
  ]),
  policy('storage.googleapis.com/Bucket', '//storage.googleapis.com/shop-data', [{ role: 'roles/storage.admin', members: ['user:dev@example.com'] }]),
];
const ORG_POLICIES = [
  {
    name: `${MANAGER}/projects/900000000001`,
    asset_type: 'cloudresourcemanager.googleapis.com/Project',
    ancestors: ABOVE,
    org_policy: [
      { constraint: 'constraints/iam.disableServiceAccountKeyCreation', boolean_policy: { enforced: true }, etag: 'a=', update_time: '2026-01-01T00:00:00Z' },
      { constraint: 'constraints/gcp.resourceLocations', list_policy: { allowed_values: ['in:eu-locations'] } },
      { constraint: 'constraints/run.allowedIngress', restore_default: {} },
    ],
  },
  resource('orgpolicy.googleapis.com/Policy', '//orgpolicy.googleapis.com/projects/900000000001/policies/iam.disableServiceAccountCreation', {
    name: 'projects/900000000001/policies/iam.disableServiceAccountCreation',
    etag: 'e',
    spec: { etag: 'e', updateTime: '2026-01-01T00:00:00Z', rules: [{ enforce: true }] },
  }),
];

let server: TestServer;
let dir: string;
beforeAll(async () => {
  server = await startTestServer();
  dir = mkdtempSync(join(tmpdir(), 'actas-assets-'));
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});
const actas = (line: string, options: RunOptions = {}, of = server) => run(line.split(' '), { ...options, env: { ACTAS_DATA_DIR: of.dataDir } });
const lines = (assets: readonly object[]) => assets.map((asset) => `${JSON.stringify(asset)}\n`).join('');
const write = (name: string, text: string) => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};

test('a directory of exports from another organization: said first, then made in an order that works, then nothing to do', async () => {
  const exports = join(dir, 'exports');
  mkdirSync(exports);
  // Policies sort before the resources that they are of.
  write('exports/a-iam-policy.jsonl', lines(POLICIES));
  write('exports/b-org-policy.json', lines(ORG_POLICIES));
  write('exports/c-resource.ndjson', lines(RESOURCES));
  const made = [
    'create folder shop (800000000001 in the export)',
    'create folder prod (800000000002 in the export)',
    'create project shop-prod',
    `create service account ${SA}`,
    'create role projects/shop-prod/roles/runOnly',
    'create job nightly in europe-west1',
  ];
  const planned = await actas(`import ${exports} --dry-run`);
  expect(planned, planned.err).toMatchObject({ code: 0 });
  for (const line of made) expect(planned.out).toContain(`would ${line}\n`);
  expect((await actas('projects list')).out).not.toContain('shop-prod');

  const first = await actas(`import ${exports}`);
  expect(first, first.err).toMatchObject({ code: 0 });
  for (const line of made) expect(first.out).toContain(`${line}\n`);
  expect(first.err).toContain('organizations/700000000001 of the export is organizations/111111111111');
  for (const sentence of [
    'What user:owner@example.com holds on projects, folders and organizations stays.',
    'Left out: 3 x storage.googleapis.com/Bucket: actas has none of these.',
    'Left out: 1 x iam.googleapis.com/ServiceAccountKey: keys stay where they are.',
    'Left out: 1 x a binding of role organizations/700000000001/roles/none: it is not here.',
    'Left out: 1 x member deleted:user:gone@example.com?uid=1: it is not here.',
    'Left out: 1 x member serviceAccount:elsewhere@another-one.iam.gserviceaccount.com: it is not here.',
  ])
    expect(first.err).toContain(sentence);

  const again = await actas(`import ${exports}`);
  expect(again, again.err).toMatchObject({ code: 0, out: '' });
  expect(again.err).toContain('Everything is as declared: nothing to change.');
  expect((await actas(`import ${exports} --dry-run`)).out).toBe('');
});

test('what was imported is what decides', async () => {
  const exported = (await actas('export --project=shop-prod')).out;
  const { number } = /number: "?(?<number>\d+)"?\n\s+parent: folders/.exec(exported)?.groups ?? {};
  expect(exported).toContain(`serviceAccount:${number}-compute@developer.gserviceaccount.com`);
  expect(exported).not.toContain('900000000001');
  for (const part of [
    'displayName: Nightly',
    'name: projects/shop-prod/roles/runOnly',
    'taskCount: 4',
    `serviceAccount: ${SA}`,
    'resource: projects/shop-prod/locations/europe-west1/jobs/nightly',
    'group:shop@example.com',
    'user:cfo@example.com',
    'projects/shop-prod/policies/iam.disableServiceAccountKeyCreation',
    'projects/shop-prod/policies/iam.disableServiceAccountCreation',
    'in:eu-locations',
    'reset: true',
  ])
    expect(exported).toContain(part);
});

test('the list of a search, through a pipe, by the id of the project and of an account', async () => {
  await actas('iam service-accounts create search-sa');
  const found = [
    {
      resource: `${MANAGER}/projects/demo`,
      assetType: 'cloudresourcemanager.googleapis.com/Project',
      project: 'projects/123456789012',
      folders: ['folders/222222222222'],
      organization: 'organizations/111111111111',
      policy: { bindings: [{ role: 'roles/viewer', members: ['user:found@example.com'] }] },
    },
    {
      resource: '//iam.googleapis.com/projects/demo/serviceAccounts/search-sa@demo.iam.gserviceaccount.com',
      assetType: 'iam.googleapis.com/ServiceAccount',
      project: 'projects/123456789012',
      policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: ['user:found@example.com'] }] },
    },
    { resource: '//iam.googleapis.com/projects/demo/serviceAccounts/999', assetType: 'iam.googleapis.com/ServiceAccount', project: 'projects/123456789012', policy: {} },
    { resource: `${MANAGER}/projects/not-here`, assetType: 'cloudresourcemanager.googleapis.com/Project', project: 'projects/5', policy: { bindings: [] } },
  ];
  const first = await actas('import -', { stdin: JSON.stringify(found, undefined, 2) });
  expect(first, first.err).toMatchObject({
    code: 0,
    out: 'change allow policy of projects/demo\nset allow policy of projects/demo/serviceAccounts/search-sa@demo.iam.gserviceaccount.com\n',
  });
  expect(first.err).toContain('Left out: 1 x iam.googleapis.com/ServiceAccount by number alone: export them too (--content-type=resource).');
  expect(first.err).toContain('in projects/not-here: that is not here. Make it, or export it too');
  expect(await actas('import -', { stdin: JSON.stringify(found) })).toMatchObject({ code: 0, out: '' });
});

test('a project that is named by its number alone is the one of --project, where it is the only one', async () => {
  const text = lines([
    policy('cloudresourcemanager.googleapis.com/Project', `${MANAGER}/projects/31337`, [{ role: 'roles/browser', members: ['user:n@example.com'] }], ['projects/31337']),
  ]);
  const without = await actas('import -', { stdin: text });
  expect(without).toMatchObject({ code: 0, out: '' });
  expect(without.err).toContain('in projects/31337: that is not here, and its id is not in the export: add --project=PROJECT');
  expect(await actas('import - --project=demo', { stdin: text })).toMatchObject({ code: 0, out: 'change allow policy of projects/demo\n' });
});

test('50,000 lines go through little memory, from a file and through a pipe', { timeout: 120_000 }, async () => {
  const file = join(dir, 'long.jsonl');
  const bucket = (i: number) =>
    policy('storage.googleapis.com/Bucket', `//storage.googleapis.com/bucket-${i}`, [{ role: 'roles/storage.admin', members: [`user:${'x'.repeat(1200)}@example.com`] }]);
  const out = createWriteStream(file);
  for (let i = 0; i < 50_000; i += 1) if (!out.write(`${JSON.stringify(bucket(i))}\n`)) await once(out, 'drain');
  out.end(
    lines([
      policy('cloudresourcemanager.googleapis.com/Project', `${MANAGER}/projects/demo`, [{ role: 'roles/browser', members: ['user:last@example.com'] }], ['projects/123456789012']),
    ]),
  );
  await once(out, 'finish');
  expect((await stat(file)).size).toBeGreaterThan(70_000_000);
  // A heap smaller than the file: what kept the assets would not come to its end.
  const child = spawn('sh', ['-c', `"${process.execPath}" --max-old-space-size=48 src/cli/main.ts import - < "${file}"`], {
    env: { ...process.env, ACTAS_DATA_DIR: server.dataDir },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [stdout, stderr] = ['', ''];
  child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
  const [status] = await once(child, 'close');
  expect({ status, stdout }, stderr).toEqual({ status: 0, stdout: 'change allow policy of projects/demo\n' });
  expect(stderr).toContain('Left out: 50000 x storage.googleapis.com/Bucket: actas has none of these.');
  expect(await actas(`import ${file}`)).toMatchObject({ code: 0, out: '' });
});

test.each([
  ['a line that is cut off', lines(POLICIES).slice(0, -20), 'the file ends before its JSON does'],
  ['a line that is broken', `${lines(POLICIES)}{"name": nonsense}\n`, `line ${POLICIES.length + 1}`],
  ['something else among the assets', `${lines(POLICIES)}{"bindings": []}\n`, 'is no asset'],
])('%s is refused with its place, and nothing is changed', async (_name, text, words) => {
  const before = (await actas('export')).out;
  const refused = await actas('import -', { stdin: text });
  expect(refused.code).not.toBe(0);
  expect(refused.err).toContain(words);
  expect((await actas('export')).out).toBe(before);
});
