/** What somebody sends who wants the server to be busy, full or down: each is refused while it is still cheap. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { IAM } from '../../src/gen/google/iam/admin/v1/iam_pb.js';
import { createAuthorizer } from '../../src/policy/authorizer.ts';
import { loadCatalogue } from '../../src/policy/catalogue.ts';
import { CelFailure } from '../../src/policy/cel/value.ts';
import { compileAttributeCondition } from '../../src/policy/dialects.ts';
import { startTestServer, type TestServer } from '../harness/server.ts';

const STRANGER = 'user:stranger@example.com';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const ACCOUNTS = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `x${index}`);

describe('before anybody is known', () => {
  test('a form of very many parameters', async () => {
    const body = numbered(300_000)
      .map((name) => `${name}=1`)
      .join('&');
    const started = performance.now();
    for (const path of ['/oauth2.googleapis.com/token', '/sts.googleapis.com/v1/token', '/oauth2.googleapis.com/revoke']) {
      const response = await fetch(`${server.url}${path}`, { method: 'POST', headers: { 'content-type': 'application/x-www-form-urlencoded' }, body });
      expect(await response.json()).toEqual({ error: 'invalid_request', error_description: 'More than 100 parameters.' });
    }
    // Looked up one by one they took minutes.
    expect(performance.now() - started).toBeLessThan(10_000);
  });

  test.each([
    ['lists', '['.repeat(200_000) + ']'.repeat(200_000)],
    ['objects', '{"a":'.repeat(200_000) + '1' + '}'.repeat(200_000)],
  ])('JSON of 200,000 %s in each other', async (_what, deep) => {
    for (const [path, body] of [
      ['/oauth2.googleapis.com/token', `{"grant_type":${deep}}`],
      [`${JOBS}?jobId=deep`, `{"template":${deep}}`],
      [ACCOUNTS, `{"serviceAccount":{"displayName":${deep}}}`],
      ['/logging.googleapis.com/v2/entries:list', `{"resourceNames":${deep}}`],
    ] as const)
      expect((await server.call('POST', path, body)).status, path).toBe(400);
  });

  test('a body beyond the limit is not read to its end, and without a token not at all', async () => {
    const body = `{"accountId":"${'x'.repeat(11 * 1024 * 1024)}"}`;
    expect((await server.call('POST', ACCOUNTS, body)).json.error).toMatchObject({ code: 400, message: expect.stringContaining('exceeds the limit') });
    expect((await server.call('POST', ACCOUNTS, '{"accountId": 1', { as: null })).status).toBe(401);
  });
});

describe('memory that a caller without any role could fill', () => {
  test('a name of megabytes is denied like any other, and nothing is kept or looked up for it', async () => {
    const asked: string[] = [];
    const authorizer = createAuthorizer({
      catalogue: loadCatalogue(),
      source: {
        policy: async (resource) => void asked.push(resource),
        project: async () => ({ projectId: 'demo', number: '1', parent: null }),
        folder: async () => undefined,
      },
    });
    const long = `//iam.googleapis.com/projects/demo/serviceAccounts/${'x'.repeat(3000)}@demo.iam.gserviceaccount.com`;
    for (let round = 0; round < 2; round++)
      expect(await authorizer.decide({ member: STRANGER, permission: 'iam.serviceAccounts.get', resource: long })).toMatchObject({ allowed: false });
    expect(asked).toEqual([]);

    const iam = createClient(IAM, await server.grpc(STRANGER));
    const name = `projects/demo/serviceAccounts/${'x'.repeat(5_000_000)}@demo.iam.gserviceaccount.com`;
    await expect(iam.getServiceAccount({ name })).rejects.toMatchObject({ rawMessage: "Permission 'iam.serviceAccounts.get' denied on resource (or it may not exist)." });
  });

  test('a permission longer than any is none', async () => {
    const resource = '/cloudresourcemanager.googleapis.com/v3/projects/demo:testIamPermissions';
    const answer = await server.call('POST', resource, { permissions: [`run.${'x'.repeat(1_000_000)}`] }, { as: STRANGER });
    expect(answer.json.error).toMatchObject({ status: 'INVALID_ARGUMENT' });
    expect(answer.text.length).toBeLessThan(2000);
  });
});

describe('questions about others, which everybody may ask', () => {
  const explain = (body: object) => server.call('POST', '/actas/v1/access:explain', body, { as: STRANGER });
  const RESOURCE = '//cloudresourcemanager.googleapis.com/projects/demo';

  test('a permission of very many parts is refused at once', async () => {
    // Parted in every way it took minutes.
    const permission = `${'a.'.repeat(500_000)}!`;
    const started = performance.now();
    for (const path of ['/v3/iam:troubleshoot', '/v1/iam:troubleshoot']) {
      const answer = await server.call(
        'POST',
        `/policytroubleshooter.googleapis.com${path}`,
        { accessTuple: { principal: 'x@example.com', fullResourceName: RESOURCE, permission } },
        { as: STRANGER },
      );
      expect(answer.json.error).toMatchObject({ status: 'INVALID_ARGUMENT' });
    }
    expect((await explain({ principal: 'user:x@example.com', fullResourceName: RESOURCE, permission })).json.error).toMatchObject({ status: 'INVALID_ARGUMENT' });
    expect(performance.now() - started).toBeLessThan(5000);
  });

  test('nor is anybody taken who has more names than an identity can have, or longer ones', async () => {
    const set = (end: string) => `principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/group/${end}`;
    const question = { principal: 'user:x@example.com', fullResourceName: RESOURCE, permission: 'run.jobs.get' };
    for (const more of [{ principalSets: numbered(501).map(set) }, { principalSets: [set('x'.repeat(5000))] }, { principal: `principal://iam.googleapis.com/${'x'.repeat(5000)}` }])
      expect((await explain({ ...question, ...more })).json.error).toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

describe('expressions that whoever may write a provider chooses', () => {
  const text = 'a'.repeat(4000);
  test.each<[string, string, Record<string, string | string[]>]>([
    ['a large pattern in a loop', "assertion.l.exists(x, (assertion.t + x).matches('(a?){900}b'))", { l: numbered(20), t: text }],
    ['a small pattern in a long loop', "assertion.l.exists(x, (assertion.t + x).matches('a*b'))", { l: numbered(1000), t: text }],
    [
      'a class of many characters',
      `assertion.t.matches('[${numbered(1500)
        .map((_, index) => String.fromCodePoint(0x4e00 + index * 2))
        .join('')}]{900}b')`,
      { t: '\u9000'.repeat(3000) },
    ],
    ['texts that grow', "assertion.l.exists(x, assertion.t.replace('a', assertion.t.replace('a', 'bbbbbbbb')) == x)", { l: numbered(300), t: 'a'.repeat(900) }],
    ['lists that are compared', 'assertion.l.exists(x, assertion.l == assertion.m)', { l: numbered(3000), m: [...numbered(2999), 'z'] }],
    ['a search in a search', 'assertion.l.exists(x, assertion.l.exists(y, (x + y) in assertion.l))', { l: numbered(3000) }],
    ['loops in loops', 'assertion.l.exists(a, assertion.l.exists(b, assertion.l.exists(c, a == b + c)))', { l: numbered(3000) }],
    ['texts that are taken apart', "assertion.l.exists(x, assertion.t.split('').join(x).size() == 1)", { l: numbered(3000), t: text }],
  ])('%s ends as a failure, which lets nobody in', (_name, expression, assertion) => {
    const program = compileAttributeCondition(expression);
    if (!('evaluate' in program)) throw program;
    const started = performance.now();
    expect(program.evaluate({ assertion })).toBeInstanceOf(CelFailure);
    expect(performance.now() - started).toBeLessThan(2000);
  });

  test('patterns that take others exponential time take none here', () => {
    for (const pattern of ['(a+)+$', '(a|a)*b', '(a|aa)+$', '(.*a){12}c']) {
      const program = compileAttributeCondition(`assertion.t.matches('${pattern}')`);
      if (!('evaluate' in program)) throw program;
      expect(program.evaluate({ assertion: { t: `${'a'.repeat(2000)}!` } })).toBe(false);
    }
  });
});
