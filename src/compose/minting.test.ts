import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { createProject } from '../services/resourcemanager/create-project.ts';
import { openStore, type Store } from '../store/database.ts';
import { findPolicy, updatePolicy } from '../store/policies.ts';
import { deleteServiceAccount, findServiceAccount, insertServiceAccount } from '../store/service-accounts.ts';
import { createMintPermission } from './minting.ts';
import { createPolicy } from './policy.ts';

const JOBS = { id: 'jobs-project', number: '111111111111' };
const FAR = 'far-sa@accounts-project.iam.gserviceaccount.com';
const LOCAL = 'local-sa@jobs-project.iam.gserviceaccount.com';
const AGENT = 'serviceAccount:service-111111111111@serverless-robot-prod.iam.gserviceaccount.com';
const ON_FAR = `//iam.googleapis.com/projects/accounts-project/serviceAccounts/${FAR}`;

let dir: string;
let store: Store;
let enforced: Set<string>;
let canMint: ReturnType<typeof createMintPermission>;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'minting-'));
  store = await openStore(dir);
  await store.write(async (tx) => {
    for (const [projectId, number] of [
      [JOBS.id, JOBS.number],
      ['accounts-project', '222222222222'],
    ] as const)
      await createProject(tx, { projectId, number, parent: null, displayName: '', labels: {} }, 1);
    for (const [projectId, email] of [
      ['accounts-project', FAR],
      [JOBS.id, LOCAL],
    ] as const)
      await insertServiceAccount(tx.db, { projectId, email, displayName: '', description: '', createTime: 1 });
  });
  enforced = new Set(['//cloudresourcemanager.googleapis.com/projects/accounts-project']);
  const { authorizer } = createPolicy(store, { audit: () => undefined }, 'projects/demo');
  const orgPolicies = {
    isEnforced: async (constraint: string, resource: string) => constraint === 'iam.disableCrossProjectServiceAccountUsage' && enforced.has(resource),
    isValueAllowed: async () => true,
    values: async () => ({ all: 'allow' as const, allowed: new Set<string>(), denied: new Set<string>() }),
  };
  canMint = createMintPermission({ store, authorizer, orgPolicies });
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

async function bind(resource: string, role: string, members: string[]): Promise<void> {
  await store.write(async (tx) => {
    const before = await findPolicy(tx.db, resource);
    const others = before?.bindings.filter((binding) => binding.role !== role) ?? [];
    await updatePolicy(tx.db, resource, create(PolicySchema, { version: 1, bindings: [...others, ...(members.length === 0 ? [] : [{ role, members }])] }), 1);
    tx.touch('policies');
  });
}

test("an account of the job's project: by the agent's role on the project, until it is taken away", async () => {
  expect(await canMint(LOCAL, JOBS, 'access')).toBe(true);
  expect(await canMint(LOCAL, JOBS, 'id')).toBe(true);
  await bind('//cloudresourcemanager.googleapis.com/projects/jobs-project', 'roles/run.serviceAgent', []);
  expect(await canMint(LOCAL, JOBS, 'access')).toBe(false);
  expect(await canMint(LOCAL, JOBS, 'id')).toBe(false);
});

test("another project's account: by the grant on it, and while its project lets it be used elsewhere", async () => {
  expect(await canMint(FAR, JOBS, 'access')).toBe(false);
  enforced.clear();
  expect(await canMint(FAR, JOBS, 'access')).toBe(false);
  await bind(ON_FAR, 'roles/iam.serviceAccountTokenCreator', [AGENT]);
  expect(await canMint(FAR, JOBS, 'access')).toBe(true);
  expect(await canMint(FAR, JOBS, 'id')).toBe(true);
  enforced.add('//cloudresourcemanager.googleapis.com/projects/accounts-project');
  expect(await canMint(FAR, JOBS, 'access')).toBe(false);
});

test('each kind of token by its own permission', async () => {
  enforced.clear();
  await bind(ON_FAR, 'roles/iam.serviceAccountOpenIdTokenCreator', [AGENT]);
  expect(await canMint(FAR, JOBS, 'access')).toBe(false);
  expect(await canMint(FAR, JOBS, 'id')).toBe(true);
});

test('an account that is gone', async () => {
  await store.write(async (tx) => {
    const row = await findServiceAccount(tx.db, LOCAL);
    if (row !== undefined) await deleteServiceAccount(tx.db, row, 2);
  });
  expect(await canMint(LOCAL, JOBS, 'access')).toBe(false);
});
