/**
 * `identity: google`: a task here gets the tokens of a real account, from a second control plane that stands for Google. The caller's own credentials
 * are a user's, as gcloud keeps them; the metadata server is asked from the address, or by the host name, of a leased task.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { promisify } from 'node:util';
import { createRemoteJWKSet, jwtVerify } from 'jose';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import type { AttemptSpec } from '../src/runner/driver.ts';
import { type Answer, startTestServer, type TestServer } from './harness/server.ts';
import { createTasksDriver, type Reply, type TasksDriver } from './harness/tasks.ts';
import { until } from './harness/until.ts';

const DEV = 'user:dev@example.com';
const RUNNER = 'runner@demo.iam.gserviceaccount.com';
const PLAIN = 'normal@demo.iam.gserviceaccount.com';
const REAL = 'runner@real-project.iam.gserviceaccount.com';
const CREATOR = 'roles/iam.serviceAccountTokenCreator';
const IAM = '/iam.googleapis.com/v1';
const CRM = '/cloudresourcemanager.googleapis.com';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const EMAIL_SCOPE = 'https://www.googleapis.com/auth/userinfo.email';
const TOKEN = 'instance/service-accounts/default/token';

let directory: string;
let google: TestServer;
let local: TestServer;
let driver: TasksDriver;
let mapped: AttemptSpec;
let plain: AttemptSpec;
let refreshToken: string;
const logged: string[] = [];
const log = (fields: object, message: string): void => void logged.push(`${message} ${JSON.stringify(fields)}`);
const handedOut: string[] = [];

async function ok(answer: Promise<Answer>): Promise<Answer['json']> {
  const { status, text, json } = await answer;
  expect(status, text).toBe(200);
  return json;
}
async function bind(server: TestServer, path: string, role: string, members: string[]): Promise<void> {
  const policy = await ok(server.call('POST', `${path}:getIamPolicy`, {}));
  const others = (policy.bindings ?? []).filter((binding: { role: string }) => binding.role !== role);
  await ok(server.call('POST', `${path}:setIamPolicy`, { policy: { ...policy, bindings: [...others, ...(members.length === 0 ? [] : [{ role, members }])] } }));
}
const grantAtGoogle = (...members: string[]) => bind(google, `${IAM}/projects/real-project/serviceAccounts/${REAL}`, CREATOR, members);

async function startTask(server: TestServer, of: TasksDriver, id: string, serviceAccount: string): Promise<AttemptSpec> {
  const template = { maxRetries: 0, containers: [{ image: 'busybox', env: [{ name: 'FAKE_DURATION_MS', value: '3600000' }] }], serviceAccount };
  await ok(server.call('POST', `${JOBS}?jobId=${id}`, { template: { template } }));
  await until('the job is ready', async () => (await server.call('GET', `${JOBS}/${id}`)).json.terminalCondition?.state === 'CONDITION_SUCCEEDED');
  await ok(server.call('POST', `${JOBS}/${id}:run`, {}));
  return until('the task runs', () =>
    of.fake
      .running()
      .map((attempt) => of.fake.spec(attempt))
      .find((spec) => spec?.labels['job'] === id),
  );
}
const identities = (more: object = {}) => ({ [RUNNER]: { identity: 'google', account: REAL, endpoint: `${google.url}/iamcredentials.googleapis.com`, ...more } });

/** A file of credentials as gcloud keeps a user's. */
function signIn(fields: object): void {
  const file = join(directory, 'adc.json');
  writeFileSync(file, JSON.stringify({ type: 'authorized_user', client_id: 'actas', client_secret: 'notasecret', account: 'dev@example.com', ...fields }));
  vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file);
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'google-identity-'));
  google = await startTestServer();
  const { name } = await ok(google.call('POST', `${CRM}/v3/projects`, { projectId: 'real-project', parent: 'folders/222222222222' }));
  await until('the real project is there', async () => (await ok(google.call('GET', `${CRM}/v3/${name}`))).done === true);
  await ok(google.call('POST', `${IAM}/projects/real-project/serviceAccounts`, { accountId: 'runner' }));
  ({ refreshToken } = await ok(google.call('POST', '/actas/v1/tokens:issue', { principal: DEV, withRefreshToken: true })));
  driver = createTasksDriver('address');
  local = await startTestServer({ identities: identities() }, { driver, log: { debug: log, info: log, warn: log, error: log } });
  for (const accountId of ['runner', 'normal']) await ok(local.call('POST', `${IAM}/projects/demo/serviceAccounts`, { accountId }));
  mapped = await startTask(local, driver, 'mapped', RUNNER);
  plain = await startTask(local, driver, 'plain', PLAIN);
});
afterAll(async () => {
  await local.close();
  await google.close();
  rmSync(directory, { recursive: true, force: true });
  vi.unstubAllEnvs();
});
afterEach(() => vi.unstubAllEnvs());

const signedIn = () => signIn({ refresh_token: refreshToken, token_uri: `${google.url}/oauth2.googleapis.com/token` });
async function tokenOf(task: AttemptSpec, query = '', of = driver): Promise<string> {
  const { status, body } = await of.ask(task, TOKEN + query);
  expect(status, body).toBe(200);
  const { access_token: token, expires_in: seconds, token_type: type }: { access_token: string; expires_in: number; token_type: string } = JSON.parse(body);
  expect(type).toBe('Bearer');
  expect(seconds).toBeGreaterThan(3500);
  handedOut.push(token);
  return token;
}
/** Whom the stand-in takes a token for; undefined: nobody. */
async function whoAtGoogle(token: string, server = google): Promise<string | undefined> {
  const answer = await fetch(`${server.url}/oauth2.googleapis.com/tokeninfo?access_token=${token}`);
  return answer.ok ? ((await answer.json()) as { email?: string }).email : undefined;
}
const refused = ({ status, body }: Reply) => ({ status, body: body.replaceAll('&#39;', "'") });

test('the start says loudly which account acts as which', () => {
  expect(logged.join('\n')).toContain(`tasks of ${RUNNER} act as the real ${REAL} at Google, in project real-project`);
  // When it started, there was none of that name.
  expect(logged.join('\n')).toContain(`there is no service account ${RUNNER} here, or not yet`);
});

test('without a grant at Google there is no token at all, but what Google said and the command that mends it', async () => {
  signedIn();
  for (const path of [TOKEN, 'instance/service-accounts/default/identity?audience=x']) {
    const { status, body } = refused(await driver.ask(mapped, path));
    expect(status).toBe(403);
    expect(body).toContain(`Google gives no token of ${REAL}. It said: PERMISSION_DENIED: Permission 'iam.serviceAccounts.get`);
    expect(body).toContain(`gcloud iam service-accounts add-iam-policy-binding ${REAL} --project=real-project --member=${DEV} --role=${CREATOR}`);
    expect(body).not.toMatch(/actas_at_|eyJ/);
  }
});

describe('with the grant', () => {
  beforeAll(() => grantAtGoogle(DEV));

  test('an access token is the real account’s, and neither the caller’s own nor one of here', async () => {
    signedIn();
    const token = await tokenOf(mapped);
    expect(await whoAtGoogle(token)).toBe(REAL);
    expect(await whoAtGoogle(token, local)).toBeUndefined();
    const { json } = await google.call('POST', '/oauth2.googleapis.com/token', {
      grant_type: 'refresh_token',
      client_id: 'actas',
      client_secret: 'notasecret',
      refresh_token: refreshToken,
    });
    expect(await whoAtGoogle(json.access_token)).toBe('dev@example.com');
    expect(token).not.toBe(json.access_token);
    expect(await tokenOf(mapped)).toBe(token);
  });

  test('an ID token verifies with the keys of the other side, and not with those of here', async () => {
    signedIn();
    const { status, body } = await driver.ask(mapped, 'instance/service-accounts/default/identity?audience=https://service.example&format=full');
    expect(status, body).toBe(200);
    handedOut.push(body);
    const keys = (server: TestServer) => createRemoteJWKSet(new URL(`${server.url}/www.googleapis.com/oauth2/v3/certs`));
    const { payload } = await jwtVerify(body, keys(google), { audience: 'https://service.example', issuer: 'https://accounts.google.com' });
    expect(payload).toMatchObject({ email: REAL, email_verified: true });
    await expect(jwtVerify(body, keys(local))).rejects.toThrow('no applicable key found');
  });

  test('the task sees the real account and the real project, and what it is itself stays', async () => {
    const value = async (path: string) => (await driver.ask(mapped, path)).body;
    expect(await value('instance/service-accounts/default/email')).toBe(REAL);
    expect(await value('instance/service-accounts/')).toBe(`default/\n${REAL}/\n`);
    expect(await value('project/project-id')).toBe('real-project');
    expect((await driver.ask(mapped, 'project/numeric-project-id')).status).toBe(404);
    expect(await value('instance/region')).toBe('projects/real-project/regions/us-central1');
    expect(JSON.parse(await value('project/?recursive=true'))).toEqual({ projectId: 'real-project' });
    expect(await value('instance/id')).toBe(mapped.id);
  });

  test('a hundred questions at once are one to Google', async () => {
    signedIn();
    const count = () => auditOf(google, 'google.iam.credentials.v1.IAMCredentials.GenerateAccessToken').length;
    const before = await until('the trail is still', async () => {
      const seen = count();
      await new Promise((resolve) => setImmediate(resolve));
      return count() === seen && seen > 0 && seen;
    });
    const tokens = await Promise.all(Array.from({ length: 100 }, () => tokenOf(mapped, '?scopes=https://www.googleapis.com/auth/devstorage.read_only')));
    expect(new Set(tokens).size).toBe(1);
    await until('it is in the trail', () => count() > before);
    // What came after the first would be there as well.
    await tokenOf(mapped, '?scopes=https://www.googleapis.com/auth/pubsub');
    await until('the next is in the trail', () => count() >= before + 2);
    expect(count()).toBe(before + 2);
  });

  test('an account that is not mapped is as ever', async () => {
    const token = await tokenOf(plain);
    expect(await whoAtGoogle(token)).toBeUndefined();
    expect(await whoAtGoogle(token, local)).toBe(PLAIN);
    expect((await driver.ask(plain, 'project/project-id')).body).toBe('demo');
    expect((await driver.ask(plain, 'instance/service-accounts/default/email')).body).toBe(PLAIN);
  });

  test('what holds here holds for tokens that are there already: the service agent’s grant, and the account’s state', async () => {
    signedIn();
    await tokenOf(mapped);
    const members = [`serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com`];
    await bind(local, `${CRM}/v3/projects/demo`, 'roles/run.serviceAgent', []);
    expect(refused(await driver.ask(mapped, TOKEN))).toMatchObject({ status: 500, body: expect.stringContaining('it lacks permission iam.serviceAccounts.getAccessToken') });
    await bind(local, `${CRM}/v3/projects/demo`, 'roles/run.serviceAgent', members);
    await ok(local.call('POST', `${IAM}/projects/demo/serviceAccounts/${RUNNER}:disable`, {}));
    expect(refused(await driver.ask(mapped, TOKEN))).toMatchObject({ status: 403, body: expect.stringContaining('is disabled or does not exist') });
    await ok(local.call('POST', `${IAM}/projects/demo/serviceAccounts/${RUNNER}:enable`, {}));
    await tokenOf(mapped);
  });

  test('each token is in the audit trail, refused ones too, and no token is in it, in a log line or in the store', async () => {
    const entries = await until('all of them are there', () => {
      const found = auditOf(local, 'google.iam.credentials.v1.IAMCredentials.GenerateAccessToken');
      return found.some(({ permissions }) => String(permissions).includes('"granted":false')) && found.at(-1)?.['status'] === 'OK' && found;
    });
    const first = entries[0];
    expect(first).toMatchObject({ principal: `serviceAccount:${RUNNER}`, resource: `//iam.googleapis.com/projects/-/serviceAccounts/${REAL}`, status: 'PERMISSION_DENIED' });
    expect(JSON.parse(String(first?.['permissions']))).toMatchObject([
      { permission: 'iam.serviceAccounts.getAccessToken', granted: true, member: expect.stringMatching(/^serviceAccount:service-/) },
    ]);
    expect(entries.filter(({ permissions }) => String(permissions).includes('"granted":false'))).toHaveLength(1);
    expect(entries.filter(({ status }) => status === 'OK').length).toBeGreaterThan(100);
    expect(auditOf(local, 'google.iam.credentials.v1.IAMCredentials.GenerateIdToken').map(({ status }) => status)).toEqual(['PERMISSION_DENIED', 'OK']);
    const kept = readdirSync(local.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    const everything = [...kept.map((entry) => readFileSync(join(entry.parentPath, entry.name), 'latin1')), ...logged].join('\n');
    expect(kept.length).toBeGreaterThan(3);
    expect(handedOut.length).toBeGreaterThan(100);
    for (const token of new Set(handedOut)) expect(everything).not.toContain(token);
    expect(everything).not.toContain(refreshToken);
  });

  test('tasks that are known by a host name are served as well; configured scopes are all that they get', async () => {
    signedIn();
    const byName = createTasksDriver('hostname');
    const second = await startTestServer({ identities: identities({ scopes: ['openid', EMAIL_SCOPE], project: 'data-project', projectNumber: '77' }) }, { driver: byName });
    try {
      await ok(second.call('POST', `${IAM}/projects/demo/serviceAccounts`, { accountId: 'runner' }));
      const task = await startTask(second, byName, 'named', RUNNER);
      expect(await whoAtGoogle(await tokenOf(task, '', byName))).toBe(REAL);
      expect(refused(await byName.ask(task, `${TOKEN}?scopes=https://www.googleapis.com/auth/cloud-platform`))).toMatchObject({
        status: 403,
        body: expect.stringContaining(`Scope https://www.googleapis.com/auth/cloud-platform is not among those that tokens of ${RUNNER} may have`),
      });
      expect((await byName.ask(task, 'project/?recursive=true')).body).toBe('{"numericProjectId":77,"projectId":"data-project"}');
      expect((await byName.ask(task, 'instance/zone')).body).toBe('projects/77/zones/us-central1-1');
      expect((await byName.ask(task, 'instance/service-accounts/default/scopes')).body).toBe(`openid\n${EMAIL_SCOPE}\n`);
    } finally {
      await second.close();
    }
  });
});

describe('where the caller’s own credentials are not good', () => {
  /** Scopes that nobody had a token for. */
  const fresh = (() => {
    let count = 0;
    return () => `${TOKEN}?scopes=https://www.googleapis.com/auth/fresh-${count++}`;
  })();

  test('none at all', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', '');
    vi.stubEnv('CLOUDSDK_CONFIG', directory);
    vi.stubEnv('METADATA_SERVER_DETECTION', 'none');
    const { status, body } = refused(await driver.ask(mapped, fresh()));
    expect([status, body]).toEqual([400, expect.stringContaining('finds no Application Default Credentials')]);
    expect(body).toContain('gcloud auth application-default login');
  });

  test('a file that is not there, and one that is no JSON, of which nothing is shown', async () => {
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', join(directory, 'nowhere.json'));
    expect(refused(await driver.ask(mapped, fresh()))).toMatchObject({ status: 400, body: expect.stringContaining('nowhere.json does not exist') });
    const file = join(directory, 'broken.json');
    writeFileSync(file, 'hunter2');
    vi.stubEnv('GOOGLE_APPLICATION_CREDENTIALS', file);
    const { body } = refused(await driver.ask(mapped, fresh()));
    expect(body).toContain('the file is not JSON');
    expect(body).not.toContain('hunter2');
  });

  test('those of this control plane itself', async () => {
    signIn({ refresh_token: 'x', token_uri: `${local.url}/oauth2.googleapis.com/token` });
    expect(refused(await driver.ask(mapped, fresh()))).toMatchObject({ status: 400, body: expect.stringContaining('are its own (') });
  });

  test('revoked: no new token, with the command that signs in; what was handed out is good until it ends', async () => {
    signedIn();
    const before = await tokenOf(mapped);
    await ok(google.call('POST', '/oauth2.googleapis.com/revoke', { token: refreshToken }));
    const { status, body } = refused(await driver.ask(mapped, fresh()));
    expect([status, body]).toEqual([
      400,
      expect.stringContaining('are refused: invalid_grant: Token has been expired or revoked. Sign in anew on its machine: gcloud auth application-default login'),
    ]);
    expect(await tokenOf(mapped)).toBe(before);
  });

  test('a Google that does not answer', async () => {
    signIn({ refresh_token: 'x', token_uri: 'http://127.0.0.1:9/token' });
    expect((await driver.ask(mapped, fresh())).status).toBe(503);
  });
});

test('a start whose calls would come back to a control plane of actas is refused, with words', async () => {
  vi.stubEnv('ACTAS_URL', google.url);
  vi.stubEnv('HTTPS_PROXY', `${google.url}/`);
  await expect(startTestServer({ identities: identities() }, {}, join(directory, 'refused'))).rejects.toThrow(
    `HTTPS_PROXY is ${google.url}/, which is another control plane of actas`,
  );
  // Who maps no account makes no such calls.
  await (await startTestServer()).close();
  vi.unstubAllEnvs();
  await expect(startTestServer({ identities: identities({ ca: '/nowhere/ca.pem' }) }, {}, join(directory, 'refused'))).rejects.toThrow(
    `identities: ${RUNNER}: ca is "/nowhere/ca.pem": there is no such file.`,
  );
});

test('a detached start says it where it was typed, not in its log alone', async () => {
  const dataDir = join(directory, 'detached');
  mkdirSync(dataDir);
  writeFileSync(join(dataDir, 'config.yaml'), `identities:\n  ${RUNNER}: { identity: google, account: ${REAL} }\n  ${PLAIN}: { identity: local, account: ${REAL} }\n`);
  const actas = (...words: string[]) => promisify(execFile)(process.execPath, [join(import.meta.dirname, '..', 'bin', 'actas.js'), ...words, `--data-dir=${dataDir}`]);
  const { stderr } = await actas('up', '--driver=fake', '--port=0', '--detach');
  await actas('stop');
  expect(stderr).toContain(`WARNING: tasks of ${RUNNER} act as the real ${REAL} at Google`);
  expect(stderr).not.toContain(PLAIN);
});

function auditOf(server: TestServer, method: string) {
  const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
  try {
    return logs.prepare('SELECT principal, resource, status, permissions FROM audit WHERE method = ? ORDER BY id').all(method);
  } finally {
    logs.close();
  }
}
