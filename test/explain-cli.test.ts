/** `actas why`, `who-can` and the troubleshooter's commands against a control plane: what a person sees, and the exit codes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Ran, run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const ACCOUNT = 'target@demo.iam.gserviceaccount.com';
const ACT_AS = 'iam.serviceAccounts.actAs';
const ESCAPE = '\u001b[31m';

let server: TestServer;
const actas = (...line: string[]): Promise<Ran> => run(line, { env: { ACTAS_DATA_DIR: server.dataDir } });
const done = async (...line: string[]): Promise<void> => {
  const { code, err } = await actas(...line);
  if (code !== 0) throw new Error(err);
};

beforeAll(async () => {
  server = await startTestServer();
  await done('iam', 'service-accounts', 'create', 'target');
  for (const group of ['team', 'inner']) await done('groups', 'create', `${group}@example.com`);
  await done('groups', 'memberships', 'add', '--group-email=team@example.com', '--member-email=inner@example.com');
  await done('groups', 'memberships', 'add', '--group-email=inner@example.com', '--member-email=dev@example.com');
  const bind = (member: string, condition: string) =>
    done('iam', 'service-accounts', 'add-iam-policy-binding', ACCOUNT, `--member=${member}`, '--role=roles/iam.serviceAccountUser', `--condition=${condition}`);
  await bind('group:team@example.com', 'None');
  await bind('user:late@example.com', `expression=request.time < timestamp('2026-05-01T00:00:00Z') && resource.service != 'x',title=until ${ESCAPE}May`);
  const denied = await server.call('POST', `/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies?policyId=guard`, {
    rules: [
      { description: 'not these', denyRule: { deniedPrincipals: ['principal://goog/subject/banned@example.com'], deniedPermissions: ['iam.googleapis.com/serviceAccounts.*'] } },
    ],
  });
  if (denied.status !== 200) throw new Error(denied.text);
});
afterAll(() => server.close());

describe('why', () => {
  test('a grant through groups', async () => {
    const { code, out } = await actas('why', 'dev@example.com', ACT_AS, ACCOUNT);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "YES: user:dev@example.com has iam.serviceAccounts.actAs on service account target@demo.iam.gserviceaccount.com.

      organization 111111111111
      │  - roles/owner holds it, but is bound to user:owner@example.com alone
      └─ folder 222222222222
         │  - nothing here concerns it
         └─ project demo
            │  - deny rule 1 of guard ("not these") denies it to others
            │  - roles/editor holds it, but is bound to serviceAccount:123456789012-compute@developer.gserviceaccount.com alone
            │  - roles/run.serviceAgent holds it, but is bound to serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com alone
            └─ service account target@demo.iam.gserviceaccount.com
                  + roles/iam.serviceAccountUser grants it, by way of user:dev@example.com > group:inner@example.com > group:team@example.com
                  - roles/iam.serviceAccountUser holds it, but is bound to user:late@example.com alone
                      the condition "until ?[31mMay" is false
      "
    `);
  });

  test('a condition that is false, and what would grant it', async () => {
    const { code, out } = await actas('why', 'user:late@example.com', ACT_AS, ACCOUNT);
    expect(code).toBe(8);
    expect(out).toMatchInlineSnapshot(`
      "NO: user:late@example.com does not have iam.serviceAccounts.actAs on service account target@demo.iam.gserviceaccount.com.

      organization 111111111111
      │  - roles/owner holds it, but is bound to user:owner@example.com alone
      └─ folder 222222222222
         │  - nothing here concerns it
         └─ project demo
            │  - deny rule 1 of guard ("not these") denies it to others
            │  - roles/editor holds it, but is bound to serviceAccount:123456789012-compute@developer.gserviceaccount.com alone
            │  - roles/run.serviceAgent holds it, but is bound to serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com alone
            └─ service account target@demo.iam.gserviceaccount.com
                  - roles/iam.serviceAccountUser holds it, but is bound to group:team@example.com alone
                  - roles/iam.serviceAccountUser holds it, bound to user:late@example.com
                      the condition "until ?[31mMay" is false
                          request.time < timestamp("2026-05-01T00:00:00Z")  ->  false
                          resource.service != "x"  ->  true

      What would grant it, each by itself; what gives least first:
      1. Ask someone who may set the policy of service account target@demo.iam.gserviceaccount.com to run:
           actas iam service-accounts add-iam-policy-binding target@demo.iam.gserviceaccount.com --project=demo --member=user:late@example.com --role=roles/iam.serviceAccountUser
           gives 4 other permissions
      2. group:team@example.com holds roles/iam.serviceAccountUser on //iam.googleapis.com/projects/demo/serviceAccounts/target@demo.iam.gserviceaccount.com. Add the caller to it.
           actas groups memberships add --group-email=team@example.com --member-email=late@example.com
           gives 4 other permissions
      3. roles/iam.serviceAccountUser is bound to user:late@example.com on //iam.googleapis.com/projects/demo/serviceAccounts/target@demo.iam.gserviceaccount.com, under the condition "until \\u001b[31mMay", which is false. Change it, or bind the role without it.
           # change the condition "until \\u001b[31mMay" of roles/iam.serviceAccountUser in the policy of //iam.googleapis.com/projects/demo/serviceAccounts/target@demo.iam.gserviceaccount.com
           gives 4 other permissions
      "
    `);
    expect(out).not.toContain(ESCAPE);
  });

  test('the same at another time', async () => {
    const { code, out } = await actas('why', 'late@example.com', ACT_AS, ACCOUNT, '--time=2026-04-01');
    expect([code, out.split('\n')[0]]).toEqual([0, `YES: user:late@example.com has ${ACT_AS} on service account ${ACCOUNT}.`]);
  });

  test('a deny rule', async () => {
    const { code, out } = await actas('why', 'banned@example.com', ACT_AS, ACCOUNT);
    expect(code).toBe(8);
    expect(out).toContain('! deny rule');
    expect(out).toContain('deny rule 1 of guard ("not these") denies it');
  });

  test('a caller who may read nothing', async () => {
    const { code, out } = await actas('why', 'dev@example.com', ACT_AS, ACCOUNT, '--as=nobody@elsewhere.example');
    expect(code).toBe(7);
    expect(out).toMatchInlineSnapshot(`
      "UNKNOWN: user:dev@example.com may or may not have iam.serviceAccounts.actAs on service account target@demo.iam.gserviceaccount.com.

      You may not read the policies that decide this, or there is no such resource.

      What would grant it:
      1. Ask someone who may set the policy of service account target@demo.iam.gserviceaccount.com to run:
           actas iam service-accounts add-iam-policy-binding target@demo.iam.gserviceaccount.com --project=demo --member=user:dev@example.com --role=roles/iam.serviceAccountUser
           gives 4 other permissions
      "
    `);
  });

  test('a job by its short name, and JSON', async () => {
    const { code, out } = await actas('why', 'owner@example.com', 'run.jobs.run', 'hello', '--region=europe-west1', '--format=json');
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({ access: 'GRANTED', fullResourceName: '//run.googleapis.com/projects/demo/locations/europe-west1/jobs/hello' });
  });

  test.each([
    [['why', 'dev', ACT_AS, ACCOUNT], "'dev' is not a principal."],
    [['why', 'dev@example.com', 'actAs', ACCOUNT], "'actAs' is not a permission."],
    [['why', 'dev@example.com', ACT_AS, 'a/b'], "'a/b' is not the name of a resource."],
    [['why', 'dev@example.com', ACT_AS, ACCOUNT, '--time=yesterday'], "'yesterday' is not a moment."],
    [['why', 'dev@example.com', ACT_AS], "missing required argument 'resource'"],
    [['who-can', 'actAs', ACCOUNT], "'actAs' is not a permission."],
    [['policy-troubleshoot', 'iam', '//x', '--permission=run.jobs.run'], "required option '--principal-email <email>' not specified"],
  ])('%j is refused before anything is sent', async (line, message) => {
    const { code, err } = await actas(...line);
    expect([code, err]).toEqual([2, expect.stringContaining(message)]);
  });
});

describe('who-can', () => {
  test('lists holders by the way they have it', async () => {
    const { code, out } = await actas('who-can', ACT_AS, ACCOUNT);
    expect(code).toBe(0);
    expect(out).toMatchInlineSnapshot(`
      "Who has iam.serviceAccounts.actAs on service account target@demo.iam.gserviceaccount.com:
        serviceAccount:123456789012-compute@developer.gserviceaccount.com
            roles/editor on project demo
        serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com
            roles/run.serviceAgent on project demo
        user:dev@example.com
            roles/iam.serviceAccountUser on service account target@demo.iam.gserviceaccount.com, through group:inner@example.com > group:team@example.com
        user:owner@example.com
            roles/owner on organization 111111111111

      Who is bound to it and does not have it now:
        user:late@example.com
            roles/iam.serviceAccountUser on service account target@demo.iam.gserviceaccount.com, under a condition that is false now
      "
    `);
  });

  test('and nobody to who may read nothing', async () => {
    const { out } = await actas('who-can', ACT_AS, ACCOUNT, '--as=nobody@elsewhere.example');
    expect(out).toBe(`You may not read who has ${ACT_AS} on service account ${ACCOUNT}, or there is no such resource.\n`);
  });
});

describe('in the words of gcloud', () => {
  const question = ['//cloudresourcemanager.googleapis.com/projects/demo', '--principal-email=owner@example.com', '--permission=run.jobs.run'];
  test('policy-troubleshoot iam', async () => {
    expect((await actas('policy-troubleshoot', 'iam', ...question, '--format=value(access)')).out).toBe('GRANTED\n');
  });
  test('policy-intelligence troubleshoot-policy iam', async () => {
    const { out } = await actas(
      'policy-intelligence',
      'troubleshoot-policy',
      'iam',
      ...question,
      '--request-time=2026-01-01T00:00:00Z',
      '--destination-port=8080',
      '--format=json',
    );
    expect(JSON.parse(out)).toMatchObject({ overallAccessState: 'CAN_ACCESS', accessTuple: { conditionContext: { destination: { port: '8080' } } } });
  });
});
