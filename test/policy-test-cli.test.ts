/** `actas iam test`: against a seed without any server, and against a control plane that was started with it; both say the same. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { run } from '../src/cli/test-shell.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const SEED = `
organizations: [{ number: 400000000001, displayName: shop.example }]
folders: [{ number: 400000000002, displayName: production, parent: organizations/400000000001 }]
projects: [{ id: shop-prod, number: 400000000003, parent: folders/400000000002 }]
serviceAccounts: [{ project: shop-prod, id: nightly-report }]
groups:
  - { email: outer@shop.example, organization: 400000000001, members: ["group:inner@shop.example"] }
  - { email: inner@shop.example, organization: 400000000001, members: ["user:dev@shop.example"] }
roles: [{ name: projects/shop-prod/roles/jobRunner, stage: GA, includedPermissions: [run.jobs.run] }]
policies:
  - resource: organizations/400000000001
    bindings:
      - { role: roles/owner, members: ["user:owner@example.com"] }
      - { role: roles/resourcemanager.organizationAdmin, members: ["user:owner@example.com"] }
      - { role: roles/resourcemanager.folderAdmin, members: ["user:owner@example.com"] }
      - { role: roles/actas.groupsViewer, members: ["user:owner@example.com"] }
  - resource: projects/shop-prod
    bindings:
      - { role: projects/shop-prod/roles/jobRunner, members: ["user:oncall@shop.example"] }
      - role: roles/run.developer
        members: ["user:temp@shop.example"]
        condition: { title: until May, expression: "request.time < timestamp('2026-05-01T00:00:00Z')" }
  - resource: projects/shop-prod/serviceAccounts/nightly-report@shop-prod.iam.gserviceaccount.com
    bindings: [{ role: roles/iam.serviceAccountUser, members: ["group:outer@shop.example"] }]
`;
const HOLDS = `
defaults: { resource: nightly-report@shop-prod.iam.gserviceaccount.com, permission: iam.serviceAccounts.actAs }
tests:
  - { name: the developer deploys, principal: dev@shop.example, expect: allowed }
  - principal: [oncall@shop.example, allUsers, "group:inner2@shop.example"]
    permission: [iam.serviceAccounts.actAs, iam.serviceAccounts.getAccessToken]
    expect: denied
  - { principal: oncall@shop.example, permission: run.jobs.run, resource: nightly, expect: allowed }
  - { principal: temp@shop.example, permission: run.jobs.create, resource: projects/400000000003, time: 2026-04-01T00:00:00Z, expect: allowed }
  - { principal: temp@shop.example, permission: run.jobs.create, resource: projects/shop-prod, time: "2026-06-01", expect: denied }
  # What a project's policy binds from its creation.
  - { principal: 400000000003-compute@developer.gserviceaccount.com, permission: run.jobs.create, resource: projects/shop-prod, expect: allowed }
  - { principal: service-400000000003@serverless-robot-prod.iam.gserviceaccount.com, permission: iam.serviceAccounts.getAccessToken, expect: allowed }
`;

let dir: string;
let server: TestServer;
const file = (name: string, text: string): string => {
  const path = join(dir, name);
  writeFileSync(path, text);
  return path;
};
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'actas-policy-test-'));
  server = await startTestServer({ seed: file('seed.yaml', SEED) });
});
afterAll(async () => {
  await server.close();
  rmSync(dir, { recursive: true });
});

const ways = [
  ['a seed', () => ({ flags: [`--seed=${join(dir, 'seed.yaml')}`], env: { ACTAS_DATA_DIR: join(dir, 'nothing') } })],
  ['a control plane', () => ({ flags: ['--project=shop-prod'], env: { ACTAS_DATA_DIR: server.dataDir } })],
] as const;

describe.each(ways)('against %s', (_name, way) => {
  const actas = (text: string, ...flags: string[]) => {
    const { flags: own, env } = way();
    return run(['iam', 'test', file('tests.yaml', text), ...own, ...flags], { env });
  };

  test('what holds', async () => {
    const { code, out, err } = await actas(HOLDS);
    expect([code, out, err.replace(/^actas: local.*\n/, '')]).toEqual([0, '12 of 12 expectations hold.\n', '']);
  });

  test('what does not hold is told with the reason, in JSON and in a JUnit report', async () => {
    const broken =
      'tests:\n  - { name: "<nobody>", principal: dev@shop.example, permission: iam.serviceAccounts.actAs, resource: nightly-report@shop-prod.iam.gserviceaccount.com, expect: denied }\n  - { principal: nobody@x.example, permission: run.jobs.run, resource: nightly, expect: allowed }\n';
    const { code, out } = await actas(broken, `--junit=${join(dir, 'report.xml')}`);
    expect(code).toBe(8);
    expect(out).toContain('FAIL tests[0] <nobody> (dev@shop.example iam.serviceAccounts.actAs nightly-report@shop-prod.iam.gserviceaccount.com: denied)');
    expect(out).toContain('+ roles/iam.serviceAccountUser grants it, by way of user:dev@shop.example > group:inner@shop.example > group:outer@shop.example');
    expect(out).toContain('actas run jobs add-iam-policy-binding nightly --region=us-central1 --project=shop-prod --member=user:nobody@x.example --role=roles/run.invoker');
    expect(out.trimEnd().split('\n').at(-1)).toBe('0 of 2 expectations hold.');
    const report = readFileSync(join(dir, 'report.xml'), 'utf8');
    expect(report).toContain('<testsuites tests="2" failures="2"');
    expect(report).toContain('name="&lt;nobody&gt; (dev@shop.example');
    expect(report).toContain('classname="tests.yaml.tests[1]"');
    const json = JSON.parse((await actas(broken, '--format=json')).out);
    expect(json).toMatchObject({
      passed: 0,
      failed: 2,
      results: [
        { place: 'tests[0]', passed: false, access: 'GRANTED' },
        { access: 'NOT_GRANTED', why: { changes: expect.any(Array) } },
      ],
    });
  });

  test('what is nowhere declared cannot be told, and does not hold', async () => {
    const { code, out } = await actas('tests: [{ principal: dev@shop.example, permission: run.jobs.run, resource: projects/absent, expect: denied }]');
    expect([code, out]).toEqual([8, expect.stringContaining('UNKNOWN: ')]);
  });
});

describe('tags', () => {
  const TAGGED =
    'tests: [{ principal: tagged@shop.example, permission: run.jobs.run, resource: projects/shop-prod, tags: [{ key: 400000000001/env, value: test }], expect: allowed }]';
  const seed = SEED.replace(
    '      - role: roles/run.developer\n',
    '      - { role: roles/run.invoker, members: ["user:tagged@shop.example"], condition: { title: t, expression: "resource.matchTag(\'400000000001/env\', \'test\')" } }\n      - role: roles/run.developer\n',
  );
  test('stand in a test of a seed', async () => {
    const { code } = await run(['iam', 'test', file('tagged.yaml', TAGGED), `--seed=${file('tagged-seed.yaml', seed)}`]);
    expect(code).toBe(0);
    expect((await run(['iam', 'test', file('tagged.yaml', TAGGED.replace('value: test', 'value: prod')), `--seed=${join(dir, 'tagged-seed.yaml')}`])).code).toBe(8);
  });
  test('and are refused against a control plane', async () => {
    const { code, err } = await run(['iam', 'test', file('tagged.yaml', TAGGED)], { env: { ACTAS_DATA_DIR: server.dataDir } });
    expect([code, err]).toEqual([2, expect.stringContaining('tests[0].tags: a control plane answers by the tags that are bound.')]);
  });
});

describe('what is wrong is named', () => {
  test.each([
    ['tests: [{ principal: a@b.c, permission: run.jobs.run, resource: x, expect: maybe }]', 'tests[0].expect: must be allowed or denied.'],
    ['tests: [{ principal: a@b.c, permission: run.jobs.run, expect: denied }]', 'tests[0].resource is missing. Add it, there or under defaults.'],
    ['tests: [{ principal: a@b.c, permision: run.jobs.run, resource: x, expect: denied }]', 'tests[0] has "permision", which is not known here.'],
    ['tests: []', 'tests: must hold at least one expectation.'],
    ['tests: [{ principal: [, ', 'is not valid YAML'],
    ['[]', 'the file: '],
    ['tests: [{ principal: a@b.c, permission: run.jobs.run, resource: x, time: soon, expect: denied }]', 'tests[0].time: must be a moment'],
  ])('%s', async (text, message) => {
    const { code, err } = await run(['iam', 'test', file('bad.yaml', text), `--seed=${join(dir, 'seed.yaml')}`]);
    expect([code, err]).toEqual([1, expect.stringContaining(message)]);
  });
  test.each([
    ['a seed that is none', 'projects: 7', 'projects is 7'],
    ['a policy of what is not declared', 'policies: [{ resource: projects/absent, bindings: [] }]', 'policies[0].resource is "projects/absent", which the seed does not declare.'],
  ])('%s', async (_name, seed, message) => {
    const { code, err } = await run(['iam', 'test', file('good.yaml', HOLDS), `--seed=${file('bad-seed.yaml', seed)}`]);
    expect([code, err]).toEqual([1, expect.stringContaining(message)]);
  });
  test('files that are not there', async () => {
    expect(await run(['iam', 'test', join(dir, 'absent.yaml')])).toMatchObject({ code: 1, err: expect.stringContaining('Cannot read') });
    expect(await run(['iam', 'test', file('good.yaml', HOLDS), '--seed=/absent.yaml'])).toMatchObject({ code: 1, err: expect.stringContaining('Cannot read /absent.yaml') });
  });
});

test('an export of Cloud Asset Inventory in the place of a seed', async () => {
  const above = { ancestors: ['projects/400000000003', 'folders/400000000002', 'organizations/400000000001'] };
  const email = 'nightly-report@shop-prod.iam.gserviceaccount.com';
  const account = { name: '//iam.googleapis.com/projects/shop-prod/serviceAccounts/77', asset_type: 'iam.googleapis.com/ServiceAccount', ...above };
  const assets = [
    { ...account, resource: { data: { email, uniqueId: '77' } } },
    { ...account, iam_policy: { bindings: [{ role: 'roles/iam.serviceAccountUser', members: ['user:dev@shop.example'] }] } },
    { name: '//storage.googleapis.com/b', asset_type: 'storage.googleapis.com/Bucket', iam_policy: { bindings: [] }, ...above },
  ];
  const table = `tests: [{ principal: dev@shop.example, permission: iam.serviceAccounts.actAs, resource: ${email}, expect: allowed }, { principal: x@shop.example, permission: iam.serviceAccounts.actAs, resource: ${email}, expect: denied }]`;
  const words = ['iam', 'test', file('export.test.yaml', table), `--seed=${file('export.jsonl', assets.map((each) => JSON.stringify(each)).join('\n'))}`];
  const { code, out, err } = await run(words, { env: {} });
  expect({ code, out }, err).toEqual({ code: 0, out: '2 of 2 expectations hold.\n' });
  expect(err).toContain('//storage.googleapis.com/b');
});
