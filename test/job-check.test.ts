/**
 * A job checked before its deploy, through both doors and the command line: the documented way to an account of another project with each of
 * its three parts missing, then all there; what is told to whom; definitions in both versions; exit codes.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, run } from '../src/cli/test-shell.ts';
import { JobChecks, Finding_State as State, Finding_Topic as Topic } from '../src/gen/actas/v1/check_pb.js';
import { type Answer, OWNER, startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  const operation = await ok(server.call('POST', `${RESOURCE_MANAGER}/v3/projects`, { projectId: S, parent: 'folders/222222222222' }));
  await until('the project is there', async () => (await ok(server.call('GET', `${RESOURCE_MANAGER}/v3/${operation.name}`))).done === true);
  await ok(server.call('POST', ACCOUNTS, { accountId: 'far-sa' }));
  await ok(server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'near-sa' }));
  await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/run.developer', DEV);
  await grant(`${RESOURCE_MANAGER}/v3/organizations/111111111111`, 'roles/orgpolicy.policyAdmin', OWNER);
});
afterAll(() => server.close());

const DEV = 'user:dev@example.com';
const AGENT = 'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com';
const S = 'accounts-project';
const FAR = `far-sa@${S}.iam.gserviceaccount.com`;
const NEAR = 'near-sa@demo.iam.gserviceaccount.com';
const PLACE = 'projects/demo/locations/us-central1';
const JOBS = `/run.googleapis.com/v2/${PLACE}/jobs`;
const ACCOUNTS = `/iam.googleapis.com/v1/projects/${S}/serviceAccounts`;
const NEAR_ACCOUNT = `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${NEAR}`;
const RESOURCE_MANAGER = '/cloudresourcemanager.googleapis.com';
const jobAs = (serviceAccount: string, image = 'busybox') => ({ template: { template: { containers: [{ image }], serviceAccount } } });

async function ok(answer: Promise<Answer>): Promise<Answer['json']> {
  const { status, text, json } = await answer;
  expect(status, text).toBe(200);
  return json;
}
async function grant(path: string, role: string, member: string): Promise<void> {
  const policy = await ok(server.call('POST', `${path}:getIamPolicy`, {}));
  await ok(server.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: [...(policy.bindings ?? []), { role, members: [member] }] } }));
}
async function revoke(path: string, role: string): Promise<void> {
  const policy = await ok(server.call('POST', `${path}:getIamPolicy`, {}));
  await ok(server.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: policy.bindings.filter((binding: { role: string }) => binding.role !== role) } }));
}
const check = (body: object, as = OWNER, job = 'new-job') => server.call('POST', `/actas/v1/${PLACE}/jobs/${job}:check`, body, { as });
interface Finding {
  readonly topic: string;
  readonly state: string;
  readonly message?: string;
  readonly remedy?: string;
}
async function states(body: object, as = OWNER, job?: string): Promise<Record<string, string>> {
  const report = await ok(check(body, as, job));
  return Object.fromEntries(report.findings.map(({ topic, state }: Finding) => [topic, state]));
}
async function finding(topic: string, body: object, as = OWNER): Promise<Finding> {
  const report = await ok(check(body, as));
  return report.findings.find((one: Finding) => one.topic === topic);
}

const ASKED = { DEPLOYER: 'HOLDS', RUNNER: 'HOLDS', PLACE: 'HOLDS', DEFINITION: 'HOLDS', IMAGE: 'NOT_ASKED', ORG_POLICY: 'HOLDS' };

describe("another project's account", () => {
  const body = { job: jobAs(FAR), principal: DEV };
  const constraint = (enforced: boolean) =>
    ok(
      server.call('POST', `${RESOURCE_MANAGER}/v1/projects/${S}:setOrgPolicy`, {
        policy: { constraint: 'constraints/iam.disableCrossProjectServiceAccountUsage', booleanPolicy: enforced ? { enforced } : {} },
      }),
    );

  test('all three are missing, each with its command; the deployer itself is told of the first alone', async () => {
    expect(await states(body)).toEqual({ ...ASKED, ACT_AS: 'MISSING', ACCOUNT: 'HOLDS', CROSS_PROJECT: 'MISSING', SERVICE_AGENT: 'MISSING', ACCOUNT_ENABLED: 'HOLDS' });
    expect((await finding('ACT_AS', body)).remedy).toBe(
      `actas iam service-accounts add-iam-policy-binding ${FAR} --project=${S} --member=${DEV} --role=roles/iam.serviceAccountUser`,
    );
    expect((await finding('CROSS_PROJECT', body)).remedy).toBe(`actas resource-manager org-policies disable-enforce iam.disableCrossProjectServiceAccountUsage --project=${S}`);
    expect((await finding('SERVICE_AGENT', body)).remedy).toBe(
      `actas iam service-accounts add-iam-policy-binding ${FAR} --project=${S} --member=serviceAccount:${AGENT} --role=roles/iam.serviceAccountTokenCreator`,
    );
    expect(await states({ job: jobAs(FAR) }, DEV)).toEqual({
      ...ASKED,
      ACT_AS: 'MISSING',
      ACCOUNT: 'UNKNOWN',
      CROSS_PROJECT: 'UNKNOWN',
      SERVICE_AGENT: 'UNKNOWN',
      ACCOUNT_ENABLED: 'UNKNOWN',
    });
  });

  test('each command mends its own; then nothing stands in the way, the deploy passes, and nothing was changed by asking', async () => {
    const before = (await ok(server.call('GET', JOBS))).jobs ?? [];
    await grant(`${ACCOUNTS}/${FAR}`, 'roles/iam.serviceAccountUser', DEV);
    expect(await states({ job: jobAs(FAR) }, DEV)).toMatchObject({ ACT_AS: 'HOLDS', ACCOUNT: 'HOLDS', CROSS_PROJECT: 'MISSING', SERVICE_AGENT: 'MISSING' });
    await constraint(false);
    expect(await states({ job: jobAs(FAR) }, DEV)).toMatchObject({ CROSS_PROJECT: 'HOLDS', SERVICE_AGENT: 'MISSING' });
    await grant(`${ACCOUNTS}/${FAR}`, 'roles/iam.serviceAccountTokenCreator', `serviceAccount:${AGENT}`);
    const report = await ok(check({ job: jobAs(FAR) }, DEV));
    expect(report).toMatchObject({ state: 'HOLDS', principal: DEV, serviceAccount: FAR, name: `${PLACE}/jobs/new-job` });
    expect((await ok(server.call('GET', JOBS))).jobs ?? []).toEqual(before);
    await ok(server.call('POST', `${JOBS}?jobId=far`, jobAs(FAR), { as: DEV }));
  });

  test('for a stored job, and for a run alone, which needs no actAs', async () => {
    await until('the job is ready', async () => (await ok(server.call('GET', `${JOBS}/far`))).reconciling !== true);
    expect(await states({}, DEV, 'far')).toMatchObject({ DEPLOYER: 'HOLDS', READY: 'HOLDS', ACT_AS: 'HOLDS' });
    await revoke(`${ACCOUNTS}/${FAR}`, 'roles/iam.serviceAccountUser');
    await constraint(true);
    // Who may not see the account hears what its run would be refused for; who may, hears all.
    expect(await states({ purpose: 'RUN' }, DEV, 'far')).toEqual({ RUNNER: 'HOLDS', PLACE: 'HOLDS', DEFINITION: 'HOLDS', SERVICE_AGENT: 'MISSING', READY: 'HOLDS' });
    const run = await states({ purpose: 'RUN', principal: DEV }, OWNER, 'far');
    expect(run).toMatchObject({ RUNNER: 'HOLDS', ACCOUNT: 'HOLDS', CROSS_PROJECT: 'MISSING', SERVICE_AGENT: 'HOLDS' });
    expect(run).not.toHaveProperty('ACT_AS');
    await constraint(false);
  });
});

describe('what is told to whom', () => {
  test('nobody learns whether an account, a job or a project exists', async () => {
    const nobody = 'user:nobody@elsewhere.example';
    const existing = await ok(check({ job: jobAs(NEAR) }, nobody));
    const missing = await ok(check({ job: jobAs('gone-sa@demo.iam.gserviceaccount.com') }, nobody));
    expect(JSON.stringify(missing).replaceAll('gone-sa', 'near-sa')).toBe(JSON.stringify(existing));
    const stored = await ok(check({ job: jobAs(NEAR) }, nobody, 'far'));
    expect(JSON.stringify(stored).replaceAll('jobs/far', 'jobs/new-job').replaceAll('bindings far', 'bindings new-job')).toContain('"topic":"PLACE","state":"UNKNOWN"');
    expect(stored.findings.map(({ topic, state }: Finding) => [topic, state])).toEqual(existing.findings.map(({ topic, state }: Finding) => [topic, state]));
  });

  test('who may run jobs, or act as accounts, hears of no account what a run or a deploy would not tell', async () => {
    const runner = 'user:just-a-runner@example.com';
    await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/run.invoker', runner);
    const gone = 'gone-sa@demo.iam.gserviceaccount.com';
    const asked = async (account: string, purpose: string) => JSON.stringify(await ok(check({ job: jobAs(account), purpose }, runner))).replaceAll(account, 'ACCOUNT');
    for (const purpose of ['RUN', 'PURPOSE_UNSPECIFIED']) expect(await asked(gone, purpose)).toBe(await asked(NEAR, purpose));
    // Acting as the account is not enough: a deploy is refused before it comes to the agent.
    await grant(NEAR_ACCOUNT, 'roles/iam.serviceAccountUser', runner);
    expect(await states({ job: jobAs(NEAR) }, runner)).toMatchObject({ DEPLOYER: 'MISSING', ACT_AS: 'HOLDS', SERVICE_AGENT: 'UNKNOWN' });
    await revoke(NEAR_ACCOUNT, 'roles/iam.serviceAccountUser');
  });

  test('of a stored job whose account is gone a runner hears what its run would answer', async () => {
    const passing = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
    await ok(server.call('POST', passing, { accountId: 'passing-sa' }));
    const account = 'passing-sa@demo.iam.gserviceaccount.com';
    await ok(server.call('POST', `${JOBS}?jobId=orphan`, jobAs(account)));
    await until('the job is ready', async () => (await ok(server.call('GET', `${JOBS}/orphan`))).reconciling !== true);
    expect(await states({ purpose: 'RUN' }, DEV, 'orphan')).toMatchObject({ RUNNER: 'HOLDS', SERVICE_AGENT: 'HOLDS' });
    await ok(server.call('DELETE', `${passing}/${account}`));
    const report = await ok(check({ purpose: 'RUN' }, DEV, 'orphan'));
    const agent = report.findings.find(({ topic }: Finding) => topic === 'SERVICE_AGENT');
    const refused = await server.call('POST', `${JOBS}/orphan:run`, {}, { as: DEV });
    expect(agent).toMatchObject({ state: 'MISSING', message: refused.json.error.message });
    expect(report.findings.map(({ topic }: Finding) => topic)).not.toContain('ACCOUNT');
  });

  test('another principal is asked about by who may read the policies of the project', async () => {
    const denied = await check({ job: jobAs(NEAR), principal: 'user:somebody@example.com' }, DEV);
    expect(denied.status).toBe(403);
    expect(denied.json.error.message).toContain('resourcemanager.projects.getIamPolicy');
    await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/browser', DEV);
    // The account's own policy is not the project's.
    expect(await states({ job: jobAs(NEAR), principal: 'user:somebody@example.com' }, DEV)).toMatchObject({ DEPLOYER: 'MISSING', ACT_AS: 'UNKNOWN', SERVICE_AGENT: 'UNKNOWN' });
  });

  test('a stored job is checked by who may read it', async () => {
    expect((await check({}, 'user:nobody@elsewhere.example', 'far')).status).toBe(403);
    expect((await check({ principal: 'group:all@example.com', job: jobAs(NEAR) })).json.error.message).toContain('is not a principal that can call');
  });

  test('no question is kept in the audit trail as an account that was attached', async () => {
    await ok(check({ job: jobAs(NEAR) }));
    const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
    const count = (method: string, resource: string) => logs.prepare('SELECT count(*) AS n FROM audit WHERE method = ? AND resource LIKE ?').get(method, resource)?.['n'];
    await until('the entries are kept', () => Number(count('actas.v1.JobChecks.CheckJob', '%')) > 0);
    expect(count('iam.serviceAccounts.actAs', `%${NEAR}`)).toBe(0);
    logs.close();
  });
});

describe('the rest', () => {
  test('a definition that is not valid, in both versions', async () => {
    const v2 = await finding('DEFINITION', { job: { template: { template: { containers: [{ image: 'Not An Image' }] } } } });
    expect(v2).toMatchObject({ state: 'MISSING', message: expect.stringContaining('containers[0].image') });
    const v1 = { apiVersion: 'run.googleapis.com/v1', kind: 'Service', metadata: { name: 'new-job' } };
    expect(await finding('DEFINITION', { v1Job: v1 })).toMatchObject({ state: 'MISSING', message: 'kind: must be Job, but is "Service".' });
  });

  test('an account that is gone, and one that is disabled', async () => {
    expect(await states({ job: jobAs('gone-sa@demo.iam.gserviceaccount.com') })).toMatchObject({ ACCOUNT: 'MISSING', SERVICE_AGENT: 'UNKNOWN' });
    await ok(server.call('POST', `${NEAR_ACCOUNT}:disable`, {}));
    expect(await finding('ACCOUNT_ENABLED', { job: jobAs(NEAR) })).toMatchObject({ state: 'MISSING', remedy: `actas iam service-accounts enable ${NEAR} --project=demo` });
    await ok(server.call('POST', `${NEAR_ACCOUNT}:enable`, {}));
  });

  test('images of a known project, organization policies, secrets, overrides', async () => {
    const image = 'us-docker.pkg.dev/demo/repo/img:1';
    const secret = { name: 'TOKEN', valueSource: { secretKeyRef: { secret: 'token', version: 'latest' } } };
    const job = { template: { template: { containers: [{ image, env: [secret] }], serviceAccount: NEAR } } };
    expect(await states({ job, principal: DEV })).toMatchObject({ IMAGE_ACCESS: 'MISSING', IMAGE_ACCESS_OF_AGENT: 'HOLDS', IMAGE: 'NOT_ASKED', SECRETS: 'MISSING' });
    expect(await finding('SECRETS', { job })).toMatchObject({
      about: `${NEAR} reads projects/demo/secrets/token/versions/latest`,
      message: expect.stringContaining("must be granted the 'Secret Manager Secret Accessor' role"),
      remedy: `actas secrets add-iam-policy-binding token --project=demo --member=serviceAccount:${NEAR} --role=roles/secretmanager.secretAccessor`,
    });
    // Who may not read the secret's policy hears of it by the deploy alone, when all before it holds.
    expect(
      (await ok(server.call('POST', `/actas/v1/projects/demo/locations/us-central1/jobs/nightly:check`, { job }, { as: DEV }))).findings?.find(
        ({ topic }: Finding) => topic === 'SECRETS',
      )?.state,
    ).toBe('UNKNOWN');
    const policies = '/orgpolicy.googleapis.com/v2/projects/demo/policies';
    await ok(server.call('POST', policies, { name: 'projects/demo/policies/run.allowedVPCEgress', spec: { rules: [{ values: { allowedValues: ['all-traffic'] } }] } }));
    expect(await finding('ORG_POLICY', { job })).toMatchObject({ state: 'MISSING', message: expect.stringContaining('constraints/run.allowedVPCEgress violated') });
    await ok(
      server.call('POST', policies, { name: 'projects/demo/policies/gcp.resourceLocations', spec: { rules: [{ values: { allowedValues: ['in:europe-west1-locations'] } }] } }),
    );
    const both = (await ok(check({ job }))).findings.filter(({ topic }: Finding) => topic === 'ORG_POLICY');
    expect(both.map(({ message = '' }: Finding) => message)).toEqual([expect.stringContaining('gcp.resourceLocations'), expect.stringContaining('run.allowedVPCEgress')]);
    for (const policy of ['run.allowedVPCEgress', 'gcp.resourceLocations']) await ok(server.call('DELETE', `${policies}/${policy}`));
    const runner = 'user:runner@example.com';
    await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/run.invoker', runner);
    expect(await states({ job, principal: runner, purpose: 'RUN' })).toMatchObject({ RUNNER: 'HOLDS' });
    const overridden = await finding('RUNNER', { job, principal: runner, purpose: 'RUN', withOverrides: true });
    // The job is not there yet, so its own policy is no place for the grant.
    expect(overridden).toMatchObject({
      state: 'MISSING',
      message: expect.stringContaining('run.jobs.runWithOverrides'),
      remedy: expect.stringContaining('actas projects add-iam-policy-binding demo'),
    });
  });

  test('what an organization policy in dry run would refuse is reported by a deploy, and not by a check', async () => {
    const policies = '/orgpolicy.googleapis.com/v2/projects/demo/policies';
    await ok(server.call('POST', policies, { name: 'projects/demo/policies/run.allowedVPCEgress', dryRunSpec: { rules: [{ denyAll: true }] } }));
    const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
    const reports = () => Number(logs.prepare("SELECT count(*) AS n FROM audit WHERE method = 'google.cloud.orgpolicy.v2.dryRun'").get()?.['n']);
    const before = reports();
    await ok(check({ job: jobAs(NEAR) }));
    await ok(server.call('POST', `${JOBS}?jobId=rehearsed&validateOnly=true`, jobAs(NEAR)));
    await until('the deploy is reported', () => reports() > before);
    expect(reports()).toBe(before + 1);
    logs.close();
    await ok(server.call('DELETE', `${policies}/run.allowedVPCEgress`));
  });

  test('gRPC says the same', async () => {
    const client = createClient(JobChecks, await server.grpc());
    const answer = await client.checkJob({
      name: `${PLACE}/jobs/new-job`,
      principal: DEV,
      definition: { case: 'job', value: { template: { template: { containers: [{ image: 'busybox' }], serviceAccount: NEAR } } } },
    });
    expect(answer.findings.find(({ topic }) => topic === Topic.ACT_AS)?.state).toBe(State.MISSING);
    expect(answer.state).toBe(State.MISSING);
  });
});

describe('the command', () => {
  const actas = (line: string, stdin?: string): Promise<Ran> =>
    run(line.split(' '), { env: { ACTAS_URL: server.url, ACTAS_TOKEN: server.ownerToken }, ...(stdin === undefined ? {} : { stdin }) });
  const v1 = (account: string) =>
    JSON.stringify({
      apiVersion: 'run.googleapis.com/v1',
      kind: 'Job',
      metadata: { name: 'from-file', namespace: 'demo', labels: { 'cloud.googleapis.com/location': 'europe-west1' } },
      spec: { template: { spec: { template: { spec: { serviceAccountName: account, containers: [{ image: 'busybox' }] } } } } },
    });

  test('a file of version 1 that names its place, in a table, with remedies and exit codes', async () => {
    const file = join(server.dataDir, 'job.yaml');
    writeFileSync(file, v1(NEAR));
    const good = await actas(`run jobs check ${file}`);
    expect(good.code, good.err).toBe(0);
    expect(good.err).toContain('Nothing stands in the way.');
    expect(good.out).toMatch(/✔ +act as near-sa@demo\.iam\.gserviceaccount\.com +holds/);
    expect(good.out).toContain('project demo and region europe-west1 are there');
    const bad = await actas(`run jobs check ${file} --as=${DEV} --for=deploy`);
    expect(bad.code).toBe(1);
    expect(bad.out).toContain(`    actas iam service-accounts add-iam-policy-binding ${NEAR} --project=demo --member=${DEV} --role=roles/iam.serviceAccountUser`);
    expect(bad.out).not.toContain('run the job');
  });

  test('a file of version 2 on stdin, as JSON; a stored job; unknown has an exit code of its own', async () => {
    const job = JSON.stringify({ name: 'from-stdin', ...jobAs(NEAR) });
    const { code, out } = await actas('run jobs check - --format=json', job);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ name: `${PLACE}/jobs/from-stdin`, state: 'HOLDS' });
    expect((await actas('run jobs check far --format=yaml')).out).toContain('state: HOLDS');
    const asked = `run jobs check - --for=run --impersonate-service-account=${NEAR}`;
    expect((await actas(asked, job)).code).toBe(4);
    expect((await actas('run jobs check missing')).code).toBe(5);
    expect((await actas('run jobs check -', '{"template":{}}')).code).toBe(2);
  });

  test('what could not be told exits with 7, unless that is allowed', async () => {
    const token = await server.tokenOf('user:reader@example.com');
    await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/browser', 'user:reader@example.com');
    const as = (line: string) =>
      run([...line.split(' '), '--as=user:owner@example.com'], { env: { ACTAS_URL: server.url, ACTAS_TOKEN: token }, stdin: JSON.stringify({ name: 'j', ...jobAs(NEAR) }) });
    const untold = await as('run jobs check -');
    expect(untold.code).toBe(7);
    expect(untold.out).toContain(`Told to who has iam.serviceAccounts.getIamPolicy on projects/demo/serviceAccounts/${NEAR}.`);
    expect((await as('run jobs check - --allow-unknown')).code).toBe(0);
  });
});
