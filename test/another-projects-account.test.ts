/**
 * The documented way to a job that runs as an account of another project, step by step through REST: what is missing is refused in
 * its own words, with the command that mends it; when all of it is there the job runs; and each part is needed again at the next run.
 */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Answer, OWNER, startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const DEV = 'user:dev@example.com';
const AGENT = 'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com';
const S = 'accounts-project';
const EMAIL = `far-sa@${S}.iam.gserviceaccount.com`;
const CONSTRAINT = 'constraints/iam.disableCrossProjectServiceAccountUsage';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const ACCOUNTS = `/iam.googleapis.com/v1/projects/${S}/serviceAccounts`;
const RESOURCE_MANAGER = '/cloudresourcemanager.googleapis.com';
const jobAs = (serviceAccount: string) => ({ template: { template: { containers: [{ image: 'busybox' }], serviceAccount } } });

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
const setConstraint = (enforced: boolean) =>
  ok(server.call('POST', `${RESOURCE_MANAGER}/v1/projects/${S}:setOrgPolicy`, { policy: { constraint: CONSTRAINT, booleanPolicy: enforced ? { enforced } : {} } }));
const isEnforced = async () =>
  (await ok(server.call('POST', `${RESOURCE_MANAGER}/v1/projects/${S}:getEffectiveOrgPolicy`, { constraint: CONSTRAINT }))).booleanPolicy?.enforced === true;

/** What a deployer is told: the status, the sentence, and the last line of the remedy. */
async function refusal(answer: Promise<Answer>): Promise<{ status: number; message: string; remedy: string }> {
  const { status, json } = await answer;
  const remedy = json.error.details.find((detail: { '@type': string }) => detail['@type'].endsWith('LocalizedMessage'))?.message ?? '';
  return { status, message: json.error.message, remedy: remedy.split('\n').at(-1).trim() };
}
const deploy = (id: string, email = EMAIL) => server.call('POST', `${JOBS}?jobId=${id}`, jobAs(email), { as: DEV });
const runIt = (id: string) => server.call('POST', `${JOBS}/${id}:run`, {}, { as: DEV });

const NO_ACT_AS = {
  status: 403,
  message: `Permission 'iam.serviceaccounts.actAs' denied on service account ${EMAIL} (or it may not exist).`,
  remedy: `actas iam service-accounts add-iam-policy-binding ${EMAIL} --project=${S} --member=${DEV} --role=roles/iam.serviceAccountUser`,
};
const CONSTRAINED = {
  status: 400,
  message: `Constraint ${CONSTRAINT} violated for project demo attempting to use a service account from a different project.`,
  remedy: `actas resource-manager org-policies disable-enforce iam.disableCrossProjectServiceAccountUsage --project=${S}`,
};
const NO_AGENT = {
  status: 403,
  message:
    `Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${EMAIL}. Please give ${AGENT} permission iam.serviceAccounts.getAccessToken on the service account. ` +
    'Alternatively, if the service account is unspecified or in the same project you are deploying in, ensure that the Service Agent is assigned the Google Cloud Run Service Agent role roles/run.serviceAgent.',
  remedy: `actas iam service-accounts add-iam-policy-binding ${EMAIL} --project=${S} --member=serviceAccount:${AGENT} --role=roles/iam.serviceAccountTokenCreator`,
};

test('the whole way, and back', async () => {
  const operation = await ok(server.call('POST', `${RESOURCE_MANAGER}/v3/projects`, { projectId: S, parent: 'folders/222222222222' }));
  await until('the project is there', async () => (await ok(server.call('GET', `${RESOURCE_MANAGER}/v3/${operation.name}`))).done === true);
  await ok(server.call('POST', ACCOUNTS, { accountId: 'far-sa' }));
  await grant(`${RESOURCE_MANAGER}/v3/projects/demo`, 'roles/run.developer', DEV);
  await grant(`${RESOURCE_MANAGER}/v3/organizations/111111111111`, 'roles/orgpolicy.policyAdmin', OWNER);

  // 1. The deployer acts as the account.
  expect(await refusal(deploy('far'))).toEqual(NO_ACT_AS);
  await grant(`${ACCOUNTS}/${EMAIL}`, 'roles/iam.serviceAccountUser', DEV);
  // 3. The organization policy of the account's project, on by default; turning it off places a lien on the project.
  expect(await refusal(deploy('far'))).toEqual(CONSTRAINED);
  expect(await isEnforced()).toBe(true);
  await setConstraint(false);
  expect(await isEnforced()).toBe(false);
  const { liens } = await ok(server.call('GET', `${RESOURCE_MANAGER}/v1/liens?parent=projects/${S}`));
  expect(liens).toMatchObject([{ origin: 'iam.googleapis.com/cross-project-service-accounts' }]);
  // 2. The service agent of the job's project.
  expect(await refusal(deploy('far'))).toEqual(NO_AGENT);
  await grant(`${ACCOUNTS}/${EMAIL}`, 'roles/iam.serviceAccountTokenCreator', `serviceAccount:${AGENT}`);

  await ok(deploy('far'));
  const { metadata } = await ok(runIt('far'));
  expect(metadata.template.serviceAccount).toBe(EMAIL);
  await until('the execution has ended', async () => (await ok(server.call('GET', `/run.googleapis.com/v2/${metadata.name}`))).succeededCount === 1);

  // Each of them is needed at the next run too, but for actAs, which is the deployer's alone.
  await revoke(`${ACCOUNTS}/${EMAIL}`, 'roles/iam.serviceAccountUser');
  expect((await runIt('far')).status).toBe(200);
  expect(await refusal(server.call('PATCH', `${JOBS}/far`, jobAs(EMAIL), { as: DEV }))).toEqual(NO_ACT_AS);
  await revoke(`${ACCOUNTS}/${EMAIL}`, 'roles/iam.serviceAccountTokenCreator');
  expect(await refusal(runIt('far'))).toEqual(NO_AGENT);
  await setConstraint(true);
  expect(await refusal(runIt('far'))).toEqual(CONSTRAINED);
});

test('grants may be inherited from the project of the account', async () => {
  await setConstraint(false);
  await grant(`${RESOURCE_MANAGER}/v3/projects/${S}`, 'roles/iam.serviceAccountUser', DEV);
  await grant(`${RESOURCE_MANAGER}/v3/projects/${S}`, 'roles/iam.serviceAccountTokenCreator', `serviceAccount:${AGENT}`);
  await ok(server.call('POST', ACCOUNTS, { accountId: 'other-sa' }));
  await ok(deploy('inherited', `other-sa@${S}.iam.gserviceaccount.com`));
  expect((await runIt('inherited')).status).toBe(200);
});

test('a disabled account is attached with a warning; a deleted one answers like one that is forbidden', async () => {
  const disabled = `other-sa@${S}.iam.gserviceaccount.com`;
  await ok(server.call('POST', `${ACCOUNTS}/${disabled}:disable`, {}));
  const answer = await deploy('disabled', disabled);
  expect(answer.status).toBe(200);
  expect(decodeURIComponent(answer.headers.get('x-actas-warning') ?? '')).toBe(`Service account ${disabled} is disabled: tasks that run as it get no tokens until it is enabled.`);
  await ok(server.call('DELETE', `${ACCOUNTS}/${disabled}`));
  expect(await refusal(deploy('deleted', disabled))).toMatchObject({ status: 403, message: expect.stringContaining('(or it may not exist)') });
  expect(await refusal(runIt('disabled'))).toMatchObject({ status: 403, message: expect.stringContaining(`get access tokens for the service account ${disabled}`) });
});
