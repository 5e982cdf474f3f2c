/**
 * `actas run jobs check --live`, against a second control plane that stands for Google: the same questions, asked by testIamPermissions, allow policies and
 * effective organization policies alone. What the caller may not read is unknown, and nothing is written. What Google has and this stand-in lacks (Artifact
 * Registry) is unknown too.
 */
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, run, startFakeApi } from '../src/cli/test-shell.ts';
import { type Answer, OWNER, startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let google: TestServer;
beforeAll(async () => {
  google = await startTestServer();
  const operation = await ok(google.call('POST', `${RESOURCE_MANAGER}/v3/projects`, { projectId: S, parent: 'folders/222222222222' }));
  await until('the project is there', async () => (await ok(google.call('GET', `${RESOURCE_MANAGER}/v3/${operation.name}`))).done === true);
  await ok(google.call('POST', ACCOUNTS, { accountId: 'far-sa' }));
  await ok(google.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'deploy-sa' }));
  await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/run.developer', DEV);
  await grant(`${RESOURCE_MANAGER}/v3/organizations/111111111111`, 'roles/orgpolicy.policyAdmin', OWNER);
});
afterAll(() => google.close());

const DEV = 'user:dev@example.com';
const CI = 'deploy-sa@demo.iam.gserviceaccount.com';
const AGENT = 'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com';
const S = 'accounts-project';
const FAR = `far-sa@${S}.iam.gserviceaccount.com`;
const ACCOUNTS = `/iam.googleapis.com/v1/projects/${S}/serviceAccounts`;
const RESOURCE_MANAGER = '/cloudresourcemanager.googleapis.com';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';

async function ok(answer: Promise<Answer>): Promise<Answer['json']> {
  const { status, text, json } = await answer;
  expect(status, text).toBe(200);
  return json;
}
async function grant(path: string, role: string, member: string): Promise<void> {
  const policy = await ok(google.call('POST', `${path}:getIamPolicy`, {}));
  await ok(google.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: [...(policy.bindings ?? []), { role, members: [member] }] } }));
}
const jobAs = (serviceAccount: string, image = 'busybox') => ({
  name: 'projects/demo/locations/us-central1/jobs/new-job',
  template: { template: { containers: [{ image }], serviceAccount } },
});

async function live(line: string, as: string, definition?: object): Promise<Ran> {
  // Nowhere is there a control plane: only the endpoint answers.
  const env = { ACTAS_LIVE_ENDPOINT: google.url, GOOGLE_OAUTH_ACCESS_TOKEN: await google.tokenOf(as), ACTAS_DATA_DIR: join(google.dataDir, 'none') };
  return run(`run jobs check ${line} --live`.split(' '), { env, stdin: JSON.stringify(definition ?? {}) });
}
interface Finding {
  readonly topic: string;
  readonly state: string;
  readonly message?: string;
  readonly remedy?: string;
}
async function report(as: string, definition: object, more = '') {
  const { out, err, code } = await live(`- --format=json${more}`, as, definition);
  expect(err).toBe('');
  const { findings, ...rest } = JSON.parse(out);
  const states: Record<string, string> = {};
  for (const { topic, state } of findings) states[topic] ??= state;
  return { ...rest, code, states, find: (topic: string): Finding | undefined => findings.find((one: Finding) => one.topic === topic) };
}

describe("another project's account, asked by who may read all of it", () => {
  const constraint = (enforced: boolean) =>
    ok(
      google.call('POST', `${RESOURCE_MANAGER}/v1/projects/${S}:setOrgPolicy`, {
        policy: { constraint: 'constraints/iam.disableCrossProjectServiceAccountUsage', booleanPolicy: enforced ? { enforced } : {} },
      }),
    );

  test('what is missing, with the commands of gcloud; then all is there', async () => {
    const before = await report(OWNER, jobAs(FAR));
    expect(before).toMatchObject({
      code: 1,
      principal: OWNER,
      state: 'MISSING',
      states: {
        DEPLOYER: 'HOLDS',
        RUNNER: 'HOLDS',
        PLACE: 'HOLDS',
        DEFINITION: 'HOLDS',
        ACT_AS: 'HOLDS',
        ACCOUNT: 'HOLDS',
        CROSS_PROJECT: 'MISSING',
        SERVICE_AGENT: 'MISSING',
        ACCOUNT_ENABLED: 'HOLDS',
        ORG_POLICY: 'HOLDS',
      },
    });
    expect(before.find('CROSS_PROJECT')?.remedy).toBe(`gcloud resource-manager org-policies disable-enforce iam.disableCrossProjectServiceAccountUsage --project=${S}`);
    expect(before.find('SERVICE_AGENT')?.remedy).toBe(
      `gcloud iam service-accounts add-iam-policy-binding ${FAR} --project=${S} --member=serviceAccount:${AGENT} --role=roles/iam.serviceAccountTokenCreator`,
    );
    await constraint(false);
    await grant(`${ACCOUNTS}/${FAR}`, 'roles/iam.serviceAccountTokenCreator', `serviceAccount:${AGENT}`);
    const after = await report(OWNER, jobAs(FAR));
    expect(after).toMatchObject({ code: 0, state: 'HOLDS', serviceAccount: FAR });
    expect((await ok(google.call('GET', JOBS))).jobs ?? []).toEqual([]);
  });

  test('who may not read policies gets unknown with the reason, and no false yes or no', async () => {
    const { states, code, find } = await report(DEV, jobAs(FAR));
    expect(code).toBe(1);
    expect(states).toMatchObject({
      DEPLOYER: 'HOLDS',
      ACT_AS: 'MISSING',
      ACCOUNT: 'UNKNOWN',
      CROSS_PROJECT: 'UNKNOWN',
      SERVICE_AGENT: 'UNKNOWN',
      ACCOUNT_ENABLED: 'UNKNOWN',
      ORG_POLICY: 'UNKNOWN',
    });
    expect(find('CROSS_PROJECT')?.message).toContain('PERMISSION_DENIED');
    await grant(`${ACCOUNTS}/${FAR}`, 'roles/iam.serviceAccountUser', DEV);
    const granted = await report(DEV, jobAs(FAR));
    expect(granted).toMatchObject({ code: 7, state: 'UNKNOWN', states: { ACT_AS: 'HOLDS', SERVICE_AGENT: 'UNKNOWN' } });
    expect((await live('- --allow-unknown', DEV, jobAs(FAR))).code).toBe(0);
  });

  test('another is asked about by impersonation of a service account; of nobody else', async () => {
    expect((await live(`- --as=${CI}`, DEV, jobAs(FAR))).code).toBe(4);
    await grant(`/iam.googleapis.com/v1/projects/demo/serviceAccounts/${CI}`, 'roles/iam.serviceAccountTokenCreator', DEV);
    const { principal, states } = await report(DEV, jobAs(FAR), ` --as=serviceAccount:${CI}`);
    expect(principal).toBe(`serviceAccount:${CI}`);
    expect(states).toMatchObject({ DEPLOYER: 'MISSING', RUNNER: 'MISSING', PLACE: 'UNKNOWN', ACT_AS: 'MISSING' });
    const person = await live('- --as=user:alice@example.com', DEV, jobAs(FAR));
    expect(person.code).toBe(2);
    expect(person.err).toContain('--live cannot speak as user:alice@example.com');
  });
});

describe('the rest', () => {
  test('an inherited grant, organization policies on the job, images that nobody can be asked about', async () => {
    // The agent's own role on the project, which is above the account.
    const near = await report(OWNER, jobAs(CI, 'us-docker.pkg.dev/demo/repo/img:1'));
    expect(near.states).toMatchObject({ SERVICE_AGENT: 'HOLDS', IMAGE_ACCESS: 'UNKNOWN', IMAGE: 'UNKNOWN' });
    expect((await report(OWNER, jobAs(CI))).states).toMatchObject({ IMAGE: 'NOT_ASKED' });
    expect(near.states).not.toHaveProperty('CROSS_PROJECT');
    const policies = '/orgpolicy.googleapis.com/v2/projects/demo/policies';
    await ok(google.call('POST', policies, { name: 'projects/demo/policies/run.allowedVPCEgress', spec: { rules: [{ values: { allowedValues: ['all-traffic'] } }] } }));
    expect((await report(OWNER, jobAs(CI))).find('ORG_POLICY')).toMatchObject({ state: 'MISSING', message: expect.stringContaining('constraints/run.allowedVPCEgress violated') });
    await ok(google.call('DELETE', `${policies}/run.allowedVPCEgress`));
  });

  test('the default account, an account that is not there, a stored job, version 1, and a definition that is not valid', async () => {
    expect(await report(OWNER, jobAs(''))).toMatchObject({ serviceAccount: '123456789012-compute@developer.gserviceaccount.com', states: { ACT_AS: 'HOLDS', ACCOUNT: 'HOLDS' } });
    expect((await report(OWNER, jobAs('gone-sa@demo.iam.gserviceaccount.com'))).states).toMatchObject({ ACCOUNT: 'MISSING', SERVICE_AGENT: 'UNKNOWN' });
    await ok(google.call('POST', `${JOBS}?jobId=stored`, { template: jobAs(CI).template }));
    await until('the job is ready', async () => (await ok(google.call('GET', `${JOBS}/stored`))).reconciling !== true);
    const stored = await live('stored --project=demo --region=us-central1 --format=json', OWNER);
    expect(JSON.parse(stored.out).findings).toContainEqual({ topic: 'READY', state: 'HOLDS', about: 'the stored job is ready' });
    const v1 = {
      apiVersion: 'run.googleapis.com/v1',
      kind: 'Job',
      metadata: { name: 'j', namespace: 'demo' },
      spec: { template: { spec: { template: { spec: { containers: [{ image: 'Bad Image' }] } } } } },
    };
    expect((await report(OWNER, v1, ' --region=us-central1')).find('DEFINITION')).toMatchObject({ state: 'MISSING', message: expect.stringContaining('containers[0].image') });
  });

  test('credentials come from gcloud, and its absence is said; nobody there exits with 3', async () => {
    const bin = join(google.dataDir, 'bin');
    writeFileSync(join(google.dataDir, 'token'), await google.tokenOf(OWNER));
    const { mkdirSync } = await import('node:fs');
    mkdirSync(bin);
    writeFileSync(join(bin, 'gcloud'), `#!/bin/sh\ncase "$*" in *print-access-token*) cat ${join(google.dataDir, 'token')};; *project*) echo demo;; *) echo europe-west1;; esac\n`);
    chmodSync(join(bin, 'gcloud'), 0o755);
    const env = { ACTAS_LIVE_ENDPOINT: google.url, PATH: `${bin}:${process.env['PATH'] ?? ''}` };
    const definition = JSON.stringify({ ...jobAs(CI), name: 'short' });
    const found = await run(['run', 'jobs', 'check', '-', '--live', '--format=value(name,state)'], { env, stdin: definition });
    expect(found.out, found.err).toContain('projects/demo/locations/europe-west1/jobs/short');
    const none = await run(['run', 'jobs', 'check', '-', '--live'], { env: { ...env, PATH: join(google.dataDir, 'nothing') }, stdin: JSON.stringify(jobAs(CI)) });
    expect(none).toMatchObject({ code: 1, err: expect.stringContaining('gcloud is not on the PATH') });
    const down = await run(['run', 'jobs', 'check', '-', '--live'], {
      env: { ACTAS_LIVE_ENDPOINT: 'http://127.0.0.1:1', GOOGLE_OAUTH_ACCESS_TOKEN: 'x' },
      stdin: JSON.stringify(jobAs(CI)),
    });
    expect(down).toMatchObject({ code: 3, err: expect.stringContaining('No Google API answers at http://127.0.0.1:1') });
  });

  test('images and repositories, as Artifact Registry would answer about them', async () => {
    const REPOSITORY = 'projects/demo/locations/us/repositories/repo';
    const registry: Record<string, { status?: number; body: object }> = {
      [`/artifactregistry.googleapis.com/v1/${REPOSITORY}:testIamPermissions`]: { body: { permissions: ['artifactregistry.repositories.downloadArtifacts'] } },
      [`/artifactregistry.googleapis.com/v1/${REPOSITORY}:getIamPolicy`]: { body: { bindings: [{ role: 'roles/artifactregistry.reader', members: [`serviceAccount:${AGENT}`] }] } },
      '/cloudresourcemanager.googleapis.com/v3/projects/demo': { body: { name: 'projects/123456789012', projectId: 'demo', state: 'ACTIVE' } },
      '/us-docker.pkg.dev/v2/demo/repo/img/manifests/1': {
        body: { manifests: [{ platform: { os: 'linux', architecture: 'amd64' } }, { platform: { os: 'linux', architecture: 'arm64' } }] },
      },
      '/us-docker.pkg.dev/v2/demo/repo/arm/manifests/latest': { body: { manifests: [{ platform: { os: 'linux', architecture: 'arm64' } }] } },
      '/us-docker.pkg.dev/v2/demo/repo/one/manifests/latest': { body: { schemaVersion: 2, config: {} } },
      '/us-docker.pkg.dev/v2/demo/repo/gone/manifests/latest': { status: 404, body: { errors: [{ code: 'MANIFEST_UNKNOWN', message: 'no' }] } },
    };
    const fake = await startFakeApi(({ path }) => registry[path]);
    const env = { ACTAS_LIVE_ENDPOINT: fake.url, GOOGLE_OAUTH_ACCESS_TOKEN: 'x' };
    const asked = async (image: string): Promise<readonly Finding[]> => {
      const { out } = await run(['run', 'jobs', 'check', '-', '--live', '--for=deploy', '--format=json'], {
        env,
        stdin: JSON.stringify(jobAs(CI, `us-docker.pkg.dev/demo/repo/${image}`)),
      });
      return JSON.parse(out).findings.filter(({ topic }: Finding) => topic.startsWith('IMAGE'));
    };
    expect((await asked('img:1')).map(({ topic, state }) => [topic, state])).toEqual([
      ['IMAGE_ACCESS', 'HOLDS'],
      ['IMAGE_ACCESS_OF_AGENT', 'HOLDS'],
      ['IMAGE', 'HOLDS'],
    ]);
    expect((await asked('one')).at(-1)).toMatchObject({ state: 'HOLDS' });
    expect((await asked('arm')).at(-1)).toMatchObject({
      state: 'MISSING',
      message: "Image 'us-docker.pkg.dev/demo/repo/arm' is for linux/arm64, and Cloud Run needs linux/amd64.",
    });
    expect((await asked('gone')).at(-1)).toMatchObject({ state: 'MISSING', message: "Image 'us-docker.pkg.dev/demo/repo/gone' not found." });
    expect((await asked('elsewhere')).at(-1)).toMatchObject({ state: 'UNKNOWN' });
    registry[`/artifactregistry.googleapis.com/v1/${REPOSITORY}:testIamPermissions`] = { body: {} };
    expect((await asked('img:1'))[0]).toMatchObject({ state: 'MISSING', remedy: expect.stringContaining('--role=roles/artifactregistry.reader') });
    await fake.close();
  });

  test('only reads are sent', async () => {
    const seen = await startFakeApi(() => ({ status: 403, body: { error: { status: 'PERMISSION_DENIED', message: 'no', details: [] } } }));
    const env = { ACTAS_LIVE_ENDPOINT: seen.url, GOOGLE_OAUTH_ACCESS_TOKEN: 'x', GOOGLE_CLOUD_QUOTA_PROJECT: 'payer' };
    const { code } = await run(['run', 'jobs', 'check', '-', '--live'], { env, stdin: JSON.stringify(jobAs(FAR, 'us-docker.pkg.dev/demo/repo/img:1')) });
    expect(code).toBe(7);
    expect(seen.seen.length).toBeGreaterThan(5);
    for (const { verb, path } of seen.seen) expect(`${verb} ${path}`).toMatch(/^GET |^POST .*:(?:testIamPermissions|getIamPolicy)(?:\?|$)/);
    await seen.close();
  });
});
