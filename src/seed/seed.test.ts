import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type JsonObject } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer } from '../policy/authorizer.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import { createFakeClock, type FakeClock } from '../services/fake-call.ts';
import { openStore, type Store } from '../store/database.ts';
import { createPolicySource } from '../store/hierarchy.ts';
import { findJob, insertJob, jobToRow } from '../store/jobs.ts';
import { findPolicy, updatePolicy } from '../store/policies.ts';
import { findServiceAccount } from '../store/service-accounts.ts';
import { toTimestamp } from '../timestamp.ts';
import { applySeed, type SeedDeps } from './apply.ts';
import { defaultSeed, parseSeed, type Seed } from './seed.ts';

const DEMO = '//cloudresourcemanager.googleapis.com/projects/demo';
const FULL = `
organizations:
  - { number: 111111111111, displayName: example.com }
folders:
  - { number: 333333333333, displayName: inner, parent: folders/222222222222 }
  - { number: 222222222222, displayName: outer, parent: organizations/111111111111 }
projects:
  - { id: demo, number: 123456789012, parent: folders/333333333333, displayName: Demo, labels: { env: dev } }
serviceAccounts:
  - { project: demo, id: hello-sa, displayName: Hello }
  - { project: demo, id: idle-sa, disabled: true }
policies:
  - resource: projects/demo
    bindings:
      - { role: roles/run.developer, members: ["user:Dev@example.com", "serviceAccount:hello-sa@demo.iam.gserviceaccount.com"] }
  - resource: projects/demo/serviceAccounts/hello-sa@demo.iam.gserviceaccount.com
    bindings:
      - { role: roles/iam.serviceAccountUser, members: ["user:dev@example.com"] }
  - resource: //run.googleapis.com/projects/demo/locations/us-central1/jobs/hello
    bindings:
      - { role: roles/run.invoker, members: ["user:runner@example.com"] }
images:
  us-docker.pkg.dev/cloudrun/container/job:latest: actas-sample:latest
jobs:
  - name: projects/demo/locations/us-central1/jobs/hello
    template: { template: { containers: [{ image: us-docker.pkg.dev/cloudrun/container/job:latest }] } }
`;

let dir: string;
let store: Store;
let clock: FakeClock;
let deps: SeedDeps;
let jobs: [string, JsonObject][];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'seed-'));
  store = await openStore(dir);
  clock = createFakeClock();
  jobs = [];
  deps = {
    store,
    clock,
    catalogue: loadCatalogue(),
    applyDenyPolicy: async () => undefined,
    services: () => Promise.reject(new Error('not asked for')),
    applySecret: async () => undefined,
    async applyJob(name, job) {
      jobs.push([name, job]);
      if ((await findJob(store.read, name)) === undefined)
        await store.write(({ db }) => insertJob(db, jobToRow(create(JobSchema, { name, uid: name, createTime: toTimestamp(clock.now()) }), null)));
    },
  };
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

/** Everything that a seed may touch, to the byte. */
async function dump(): Promise<string> {
  const { read } = store;
  return JSON.stringify([
    await read.selectFrom('organizations').selectAll().orderBy('number').execute(),
    await read.selectFrom('folders').selectAll().orderBy('number').execute(),
    await read.selectFrom('projects').selectAll().orderBy('project_id').execute(),
    await read.selectFrom('service_accounts').selectAll().orderBy('unique_id').execute(),
    await read.selectFrom('policies').selectAll().orderBy('resource').execute(),
    await read.selectFrom('jobs').selectAll().orderBy('name').execute(),
    await read.selectFrom('settings').selectAll().orderBy('key').execute(),
  ]);
}
const bindings = async (resource: string) => Object.fromEntries(((await findPolicy(store.read, resource))?.bindings ?? []).map(({ role, members }) => [role, members]));

describe('applying', () => {
  test('makes everything that is declared, in whatever order', async () => {
    const seed = parseSeed(FULL, 'seed.yaml');
    expect(await applySeed(seed, deps)).toEqual({ images: { 'us-docker.pkg.dev/cloudrun/container/job:latest': 'actas-sample:latest' }, applied: true });
    expect(await bindings(DEMO)).toEqual({
      'roles/editor': ['serviceAccount:123456789012-compute@developer.gserviceaccount.com'],
      'roles/run.developer': ['serviceAccount:hello-sa@demo.iam.gserviceaccount.com', 'user:dev@example.com'],
      'roles/run.serviceAgent': ['serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com'],
    });
    expect(await bindings('//run.googleapis.com/projects/demo/locations/us-central1/jobs/hello')).toEqual({ 'roles/run.invoker': ['user:runner@example.com'] });
    expect(await findServiceAccount(store.read, 'idle-sa@demo.iam.gserviceaccount.com')).toMatchObject({ disabled: 1 });
    expect(jobs).toEqual([
      ['projects/demo/locations/us-central1/jobs/hello', { template: { template: { containers: [{ image: 'us-docker.pkg.dev/cloudrun/container/job:latest' }] } } }],
    ]);
  });

  test('twice changes nothing, forced or not; and what the API changed since survives the same seed', async () => {
    const seed = parseSeed(FULL, 'seed.yaml');
    await applySeed(seed, deps);
    const before = await dump();
    expect(await applySeed(seed, deps)).toMatchObject({ applied: false });
    expect(await dump()).toBe(before);
    await applySeed(seed, deps, { force: true });
    expect(await dump()).toBe(before);
    const changed = create(PolicySchema, { bindings: [{ role: 'roles/viewer', members: ['user:new@example.com'] }] });
    await store.write(({ db }) => updatePolicy(db, DEMO, changed, clock.now()));
    await applySeed(seed, deps);
    expect(await bindings(DEMO)).toEqual({ 'roles/viewer': ['user:new@example.com'] });
    // Forced, the declared bindings are set; what was taken from the agents stays taken.
    await applySeed(seed, deps, { force: true });
    expect(Object.keys(await bindings(DEMO))).toEqual(['roles/run.developer']);
  });

  test('a changed seed changes what it names, and leaves out what it leaves out', async () => {
    await applySeed(parseSeed(FULL, 'seed.yaml'), deps);
    await applySeed(parseSeed(FULL.replace('displayName: Demo, labels: { env: dev }', 'labels: { env: prod }').replace(', displayName: Hello', ''), 'seed.yaml'), deps);
    const row = await store.read.selectFrom('projects').selectAll().executeTakeFirstOrThrow();
    expect(row).toMatchObject({ display_name: 'Demo', labels: '{"env":"prod"}' });
    expect(await findServiceAccount(store.read, 'hello-sa@demo.iam.gserviceaccount.com')).toMatchObject({ display_name: 'Hello' });
  });

  test.each([
    ['a number that is another', FULL.replace('number: 123456789012', 'number: 123456789013'), /project demo has the number 123456789012.*Write number: 123456789012/],
    [
      'a member that is not there',
      FULL.replace('"serviceAccount:hello-sa@', '"serviceAccount:ghost-sa@'),
      /names serviceAccount:ghost-sa@demo.iam.gserviceaccount.com, which does not exist/,
    ],
    ['a resource that is not there', FULL.replace('- resource: projects/demo\n', '- resource: projects/nope\n'), /"projects\/nope", which does not exist/],
    ['a circle of folders', FULL.replace('parent: organizations/111111111111', 'parent: folders/333333333333'), /folders\[0\]\.parent: the way up from folder/],
    ['an account of no project', FULL.replace('{ project: demo, id: idle-sa', '{ project: none, id: idle-sa'), /in project none, which does not exist/],
    ['a bad label', FULL.replace('env: dev', '_env: dev'), /projects\[0\].*label key "_env"/],
  ])('%s: nothing of the hierarchy is changed', async (_, text, message) => {
    await applySeed(parseSeed(FULL, 'seed.yaml'), deps);
    const before = await dump();
    await expect(applySeed(parseSeed(text, 'seed.yaml'), deps)).rejects.toThrow(message);
    expect(await dump()).toBe(before);
  });

  test('any seed that applies, applied again, changes nothing', async () => {
    const ids = fc.uniqueArray(fc.constantFrom('alpha', 'beta-two', 'gamma3'), { maxLength: 3 });
    const member = fc.constantFrom(
      'user:a@example.com',
      'user:A@example.com',
      'group:g@example.com',
      'domain:example.com',
      'serviceAccount:123456789012-compute@developer.gserviceaccount.com',
    );
    const binding = fc.record({
      role: fc.constantFrom('roles/viewer', 'roles/editor', 'roles/run.invoker', 'roles/x.unknown'),
      members: fc.array(member, { minLength: 1, maxLength: 4 }),
    });
    const seeds = fc.record({ ids, accounts: fc.uniqueArray(fc.constantFrom('one-account', 'two-account')), bindings: fc.array(binding, { maxLength: 4 }), label: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(seeds, async (drawn) => {
        const seed: Seed = {
          ...defaultSeed(),
          serviceAccounts: drawn.accounts.map((id) => ({ project: 'demo', id })),
          projects: [
            ...defaultSeed().projects,
            ...drawn.ids.map((id, i) => ({ id, number: String(500_000_000_000 + 'alpha beta-two gamma3'.indexOf(id)), ...(drawn.label ? { labels: { n: String(i) } } : {}) })),
          ],
          policies: [...defaultSeed().policies, { resource: 'projects/demo', bindings: drawn.bindings }],
        };
        await applySeed(seed, deps, { force: true });
        const before = await dump();
        await applySeed(seed, deps, { force: true });
        expect(await dump()).toBe(before);
      }),
      { numRuns: 25 },
    );
  });
});

describe('the default seed', () => {
  test('lets the owner do everything in the organization', async () => {
    await applySeed(defaultSeed(), deps);
    const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue: loadCatalogue() });
    const may = async (permission: string, name: string) =>
      (await authorizer.decide({ member: 'user:owner@example.com', permission, resource: `//cloudresourcemanager.googleapis.com/${name}` })).allowed;
    for (const [permission, name] of [
      ['resourcemanager.organizations.setIamPolicy', 'organizations/111111111111'],
      ['resourcemanager.folders.setIamPolicy', 'folders/222222222222'],
      ['resourcemanager.folders.get', 'folders/222222222222'],
      ['resourcemanager.projects.create', 'folders/222222222222'],
      ['resourcemanager.projects.setIamPolicy', 'projects/demo'],
      ['iam.serviceAccounts.setIamPolicy', 'projects/demo'],
      ['iam.serviceAccounts.actAs', 'projects/demo'],
      ['run.jobs.create', 'projects/123456789012'],
    ] as const)
      expect([permission, await may(permission, name)]).toEqual([permission, true]);
  });
});

describe('parsing', () => {
  test.each([
    ['projects: [', /^s\.yaml is not valid YAML: /],
    ['projects:\n  - { id: Demo, number: 123456789012 }', /^s\.yaml: projects\[0\]\.id is "Demo": must have 3 to 30 lowercase letters/],
    ['projects:\n  - { id: demo }', /^s\.yaml: projects\[0\]\.number is missing/],
    ['folders:\n  - { number: 5, displayName: x, parent: root }', /folders\[0\]\.parent is "root": must be organizations\/NUMBER or folders\/NUMBER/],
    ['organisations: []', /the file has "organisations", which is not known here/],
    ['policies:\n  - { resource: projects/p, bindings: [{ role: owner, members: [x] }] }', /policies\[0\]\.bindings\[0\]\.role is "owner": must be a role, for example/],
    ['projects:\n  - { id: demo, number: 123456789012 }\n  - { id: demo, number: 123456789013 }', /projects\[1\] declares demo again, after projects\[0\]/],
    ['jobs:\n  - { name: hello }', /jobs\[0\]\.name is "hello": must be projects\/PROJECT\/locations/],
    ['- 1', /the file is \[1\]/],
  ])('%j', (text, message) => {
    expect(() => parseSeed(text, 's.yaml')).toThrow(message);
  });

  test('an empty file declares nothing; numbers may be quoted', () => {
    expect(parseSeed('', 's.yaml')).toMatchObject({ projects: [], jobs: [] });
    expect(parseSeed('organizations: [{ number: "111111111111", displayName: x }]', 's.yaml').organizations).toEqual([{ number: '111111111111', displayName: 'x' }]);
  });
});
