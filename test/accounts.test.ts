/** The life of a service account as its tokens and grants see it, and what a grant on one job alone allows, through the doors. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const ACCOUNTS = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const PROJECT = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
const emailOf = (id: string) => `${id}@demo.iam.gserviceaccount.com`;
const jobOf = (serviceAccount?: string, image = 'busybox') => ({
  template: { template: { containers: [{ image }], ...(serviceAccount === undefined ? {} : { serviceAccount }) } },
});

async function createAccount(accountId: string): Promise<string> {
  const answer = await server.call('POST', ACCOUNTS, { accountId });
  expect(answer.status, answer.text).toBe(200);
  return answer.json.uniqueId;
}

async function grant(path: string, role: string, ...members: readonly string[]): Promise<void> {
  const read = path.startsWith(JOBS) ? await server.call('GET', `${path}:getIamPolicy`) : await server.call('POST', `${path}:getIamPolicy`, {});
  const policy = { ...read.json, bindings: [...(read.json.bindings ?? []), { role, members }] };
  const answer = await server.call('POST', `${path}:setIamPolicy`, { policy });
  expect(answer.status, answer.text).toBe(200);
}

async function createJob(id: string, as?: string): Promise<void> {
  const answer = await server.call('POST', `${JOBS}?jobId=${id}`, jobOf(), as === undefined ? {} : { as });
  expect(answer.status, answer.text).toBe(200);
  await until(`job ${id} is settled`, async () => (await server.call('GET', `${JOBS}/${id}`)).json.reconciling === undefined);
}

/** Calls with one token, whoever it may speak for by now. */
async function listWith(token: string): Promise<number> {
  return (await server.call('GET', JOBS, undefined, { as: null, headers: { authorization: `Bearer ${token}` } })).status;
}

async function issue(email: string): Promise<string> {
  return (await server.call('POST', '/actas/v1/tokens:issue', { principal: `serviceAccount:${email}` })).json.accessToken;
}

describe('a service account', () => {
  test('while it is disabled its token is refused, and the same one is taken again afterwards', async () => {
    await createAccount('sleeper');
    await grant(PROJECT, 'roles/run.viewer', `serviceAccount:${emailOf('sleeper')}`);
    const token = await issue(emailOf('sleeper'));
    expect(await listWith(token)).toBe(200);
    await server.call('POST', `${ACCOUNTS}/${emailOf('sleeper')}:disable`, {});
    expect(await listWith(token)).toBe(401);
    await server.call('POST', `${ACCOUNTS}/${emailOf('sleeper')}:enable`, {});
    expect(await listWith(token)).toBe(200);
  });

  test('made again under the same address it has neither tokens nor grants of the old one; undelete brings the grants back', async () => {
    const uniqueId = await createAccount('phoenix');
    await grant(PROJECT, 'roles/run.viewer', `serviceAccount:${emailOf('phoenix')}`);
    const token = await issue(emailOf('phoenix'));
    await server.call('DELETE', `${ACCOUNTS}/${emailOf('phoenix')}`);
    expect(await listWith(token)).toBe(401);
    await createAccount('phoenix');
    expect(await listWith(token)).toBe(401);
    expect(await listWith(await issue(emailOf('phoenix')))).toBe(403);
    await server.call('DELETE', `${ACCOUNTS}/${emailOf('phoenix')}`);
    expect((await server.call('POST', `${ACCOUNTS}/${uniqueId}:undelete`, {})).status).toBe(200);
    expect(await listWith(await issue(emailOf('phoenix')))).toBe(200);
  });
});

describe('a deploy', () => {
  test('is checked in this order: who calls, the permission on the job, the request, actAs, the image', async () => {
    const as = 'user:order@example.com';
    const ask = async (body: unknown, options: { as?: string | null }): Promise<string> => {
      const { status, json } = await server.call('POST', `${JOBS}?jobId=order`, body, options);
      return `${status} ${json.error?.message ?? ''}`;
    };
    const image = 'us-docker.pkg.dev/demo/repo/app';
    expect(await ask({}, { as: null })).toMatch(/^401 /);
    expect(await ask({}, { as })).toMatch(/^403 Permission 'run.jobs.create' denied/);
    await grant(PROJECT, 'roles/run.developer', as);
    expect(await ask({}, { as })).toMatch(/^400 Violation in CreateJobRequest\.job\.template: /);
    expect(await ask(jobOf(undefined, image), { as })).toMatch(/^403 Permission 'iam\.serviceaccounts\.actAs' denied on service account /);
    await grant(PROJECT, 'roles/iam.serviceAccountUser', as);
    expect(await ask(jobOf(undefined, image), { as })).toMatch(/^403 User must have permission to read the image, /);
  });

  test('as an account that is not there is denied to the byte like one that is forbidden', async () => {
    const as = 'user:guesser@example.com';
    await createAccount('existing');
    await grant(PROJECT, 'roles/run.developer', as);
    const denials = await Promise.all(
      ['existing', 'imagined'].map(async (id) => {
        const answer = await server.call('POST', `${JOBS}?jobId=guess`, jobOf(emailOf(id)), { as });
        return `${answer.status} ${answer.text.replaceAll(id, 'X')}`;
      }),
    );
    expect(denials[0]).toMatch(/^403 /);
    expect(denials[1]).toBe(denials[0]);
  });
});

test('roles/run.invoker on one job lets run that job, without overrides, and nothing else', async () => {
  const as = 'user:invoker@example.com';
  await createJob('mine');
  await createJob('other');
  await grant(`${JOBS}/mine`, 'roles/run.invoker', as);
  const status = async (verb: string, path: string, body?: object) => (await server.call(verb, `${JOBS}/${path}`, body, { as })).status;
  expect(await status('POST', 'mine:run', {})).toBe(200);
  expect(await status('POST', 'mine:run', { overrides: { taskCount: 2 } })).toBe(403);
  expect(await status('POST', 'other:run', {})).toBe(403);
  expect(await status('GET', 'mine')).toBe(403);
  expect(await status('GET', 'mine/executions')).toBe(403);
  expect(await status('DELETE', 'mine')).toBe(403);
});
