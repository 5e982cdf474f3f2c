/** `actas export`, on a project that has something of everything. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';
import { defaultSeed } from '../src/seed/seed.ts';
import { gcloudEnvironment, hasGcloud } from './acceptance/commands.ts';
import { RICH } from './harness/rich-seed.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const ACCOUNT = 'hello-sa@demo.iam.gserviceaccount.com';

let server: TestServer;
let dir: string;
const seedFile = (name: string, text: string) => {
  writeFileSync(join(dir, name), text);
  return join(dir, name);
};
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'actas-export-'));
  server = await startTestServer({ seed: seedFile('rich.json', JSON.stringify(RICH)) });
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

const exported = async (of: TestServer, ...flags: string[]) => {
  const { code, out, err } = await run(['export', ...flags], { env: { ACTAS_DATA_DIR: of.dataDir } });
  expect(code, err).toBe(0);
  return out;
};

test('the seed form, applied to an empty data directory, gives the same export again', async () => {
  const first = await exported(server);
  for (const part of [
    'organizations:',
    'folders:',
    'serviceAccounts:',
    'roles:',
    'policies:',
    'groups:',
    'tagKeys:',
    'tagBindings:',
    'workloadIdentityPools:',
    'denyPolicies:',
    'orgPolicies:',
    'jobs:',
  ])
    expect(first).toContain(part);
  expect(first).not.toMatch(/etag|uid|createTime|privateKey|executionCount|conditions/);
  const other = await startTestServer({ seed: seedFile('again.yaml', first) });
  try {
    expect(await exported(other)).toBe(first);
    const restarted = await other.restart();
    expect(await exported(restarted)).toBe(first);
    await restarted.close();
  } finally {
    await other.close();
  }
});

test('the seed form, imported into a control plane that is there, gives the same export again, and a second time changes nothing', async () => {
  const first = await exported(server);
  const other = await startTestServer();
  try {
    const file = seedFile('imported.yaml', first);
    const actas = (line: string) => run(line.split(' '), { env: { ACTAS_DATA_DIR: other.dataDir } });
    const planned = await actas(`import ${file} --dry-run`);
    expect(planned, planned.err).toMatchObject({ code: 0 });
    const made = await actas(`import ${file}`);
    expect(made, made.err).toMatchObject({ code: 0, out: planned.out.replaceAll(/^would /gm, '') });
    expect(await exported(other)).toBe(first);
    expect(await actas(`import ${file}`)).toMatchObject({ code: 0, out: '' });
    // What differs is brought back.
    await actas('groups memberships delete --group-email=team@example.com --member-email=user:dev@example.com');
    await actas('groups memberships add --group-email=team@example.com --member-email=user:other@example.com');
    await actas('iam workload-identity-pools providers update-oidc ci-oidc --workload-identity-pool=ci-pool --location=global --attribute-condition=true');
    await actas('resource-manager tags bindings delete --tag-value=demo/own/yes --parent=//cloudresourcemanager.googleapis.com/projects/demo');
    expect((await actas(`import ${file}`)).out.split('\n').filter((line) => line !== '')).toEqual([
      'update group team@example.com',
      'bind tag demo/own/yes on projects/demo',
      'update workload identity pool provider projects/demo/locations/global/workloadIdentityPools/ci-pool/providers/ci-oidc',
    ]);
    expect(await exported(other)).toBe(first);
  } finally {
    await other.close();
  }
});

test('who may read the project alone gets it without what is above, and is told', async () => {
  const seed = { ...RICH, policies: [...RICH.policies.slice(0, -3), { resource: 'projects/demo', bindings: [{ role: 'roles/owner', members: ['user:lead@example.com'] }] }] };
  const other = await startTestServer({ seed: seedFile('lead.json', JSON.stringify({ ...seed, denyPolicies: [] })) });
  try {
    const { code, out, err } = await run(['export', '--as=user:lead@example.com'], { env: { ACTAS_DATA_DIR: other.dataDir } });
    expect({ code, err }).toEqual({ code: 0, err: expect.stringContaining("What is above the project is left out, for you may not read all of it: Permission '") });
    expect(out).not.toMatch(/organizations|folders/);
    expect(out).toContain('jobs:');
  } finally {
    await other.close();
  }
});

test('keys and tokens are in no form', async () => {
  await server.call('PATCH', '/orgpolicy.googleapis.com/v2/projects/demo/policies/iam.disableServiceAccountKeyCreation', {
    name: 'projects/demo/policies/iam.disableServiceAccountKeyCreation',
    spec: { rules: [{ enforce: false }] },
  });
  const made = await server.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${ACCOUNT}/keys`, {});
  await server.call('PATCH', '/orgpolicy.googleapis.com/v2/projects/demo/policies/iam.disableServiceAccountKeyCreation', {
    name: 'projects/demo/policies/iam.disableServiceAccountKeyCreation',
    spec: { rules: [{ enforce: true }] },
  });
  expect(made.status, made.text).toBe(200);
  for (const form of ['yaml', 'terraform', 'gcloud']) {
    const text = await exported(server, `--format=${form}`);
    expect(text).not.toMatch(/PRIVATE KEY|private_key|\/keys\//);
    expect(text).not.toContain(server.ownerToken);
    expect(text).not.toContain(made.json.name.split('/').at(-1));
  }
});

describe('Terraform', () => {
  test('has a resource for everything, with references in the place of addresses', async () => {
    const text = await exported(server, '--format=terraform');
    await expect(text).toMatchFileSnapshot('__snapshots__/export.tf');
    // The project's number is of this control plane alone.
    expect(text).not.toContain('123456789012');
  });

  const has = spawnSync('terraform', ['version'], { stdio: 'ignore' }).status === 0;
  test.skipIf(!has)('is formatted as terraform fmt leaves it', async () => {
    const { status, stdout } = spawnSync('terraform', ['fmt', '-check', '-diff', '-'], { input: await exported(server, '--format=terraform'), encoding: 'utf8' });
    expect({ status, stdout }).toEqual({ status: 0, stdout: '' });
  });
});

describe('gcloud', () => {
  test('is a script that a shell can read', async () => {
    const text = await exported(server, '--format=gcloud');
    await expect(text).toMatchFileSnapshot('__snapshots__/export.sh');
    const { status, stderr } = spawnSync('bash', ['-n'], { input: text, encoding: 'utf8' });
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(text).not.toContain('123456789012');
  });

  test.skipIf(!hasGcloud())('is run by a real gcloud, twice, on a project that is empty', { timeout: 600_000 }, async () => {
    const script = seedFile('apply.sh', await exported(server, '--format=gcloud'));
    // Tags of the organization are bound, not made.
    const other = await startTestServer({ seed: seedFile('organization.json', JSON.stringify({ ...defaultSeed(), tagKeys: RICH.tagKeys.slice(0, 1) })) });
    const config = join(dir, 'gcloud');
    try {
      for (let time = 0; time < 2; time += 1) {
        const env = { ...gcloudEnvironment(other, config), CLOUDSDK_AUTH_ACCESS_TOKEN: other.ownerToken };
        const child = spawn('bash', [script], { env, stdio: ['ignore', 'ignore', 'pipe'] });
        let err = '';
        child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
        const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
        expect(code, err).toBe(0);
        expect(await exported(other, '--format=gcloud')).toBe(await exported(server, '--format=gcloud'));
      }
    } finally {
      await other.close();
    }
  });
});
