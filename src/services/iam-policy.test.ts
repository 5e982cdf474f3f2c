import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create } from '@bufbuild/protobuf';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { notFound } from '../errors.ts';
import { GetIamPolicyRequestSchema, SetIamPolicyRequestSchema } from '../gen/google/iam/v1/iam_policy_pb.js';
import { AuditLogConfig_LogType, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import type { Role } from '../policy/catalogue.ts';
import { openStore, type Store } from '../store/database.ts';
import { findPolicy, renameMember, updatePolicy } from '../store/policies.ts';
import { createFakeCall } from './fake-call.ts';
import { getPolicy, setPolicy, testPermissions } from './iam-policy.ts';

const JOB = '//run.googleapis.com/projects/p/locations/l/jobs/j';
let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'iam-policy-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const request = (member: string, etag = new Uint8Array()) =>
  create(SetIamPolicyRequestSchema, { resource: 'x', policy: { etag, bindings: [{ role: 'roles/run.invoker', members: [member] }] } });
const set = (member: string, etag?: Uint8Array<ArrayBuffer>) => setPolicy(store, request(member, etag), { resource: JOB, where: 'job' }, createFakeCall());

test('of writers with one etag exactly one wins', async () => {
  const { etag } = await set('user:first@example.com');
  const outcomes = await Promise.allSettled(Array.from({ length: 8 }, (_, i) => set(`user:u${i}@example.com`, new Uint8Array(etag))));
  expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  const losers = outcomes.filter((outcome) => outcome.status === 'rejected').map(({ reason }) => reason.status);
  expect(new Set(losers)).toEqual(new Set(['ABORTED']));
});

test('nothing is written for a resource that is gone, nor told to those who listen', async () => {
  let told = 0;
  store.onCommit('policies', () => {
    told += 1;
  });
  const gone = setPolicy(store, request('user:a@example.com'), { resource: JOB, where: 'job', ensure: () => Promise.reject(notFound('gone')) }, createFakeCall());
  await expect(gone).rejects.toMatchObject({ status: 'NOT_FOUND' });
  expect([await findPolicy(store.read, JOB), told]).toEqual([undefined, 0]);
  await set('user:a@example.com');
  expect(told).toBe(1);
});

test('a request without a policy, and a version that does not exist, are refused', async () => {
  await expect(setPolicy(store, create(SetIamPolicyRequestSchema, { resource: 'x' }), { resource: JOB, where: 'job' }, createFakeCall())).rejects.toMatchObject({
    status: 'INVALID_ARGUMENT',
  });
  const version2 = create(GetIamPolicyRequestSchema, { options: { requestedPolicyVersion: 2 } });
  await expect(getPolicy(store, JOB, version2, undefined, createFakeCall())).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
});

test('permissions are answered once each, and not more than a hundred', async () => {
  const call = createFakeCall({ decide: (_, { permission }) => permission !== 'run.jobs.delete' });
  expect(await testPermissions(JOB, ['run.jobs.run', 'run.jobs.delete', 'run.jobs.run'], call)).toEqual(['run.jobs.run']);
  await expect(
    testPermissions(
      JOB,
      Array.from({ length: 101 }, () => 'run.jobs.run'),
      call,
    ),
  ).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  for (const bad of ['*', 'run.*', 'run', '', 'run.jobs.run; drop']) await expect(testPermissions(JOB, [bad], call)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
});

test('a member is renamed in bindings and audit settings, whole and nowhere else, and the etag changes', async () => {
  const from = 'serviceAccount:a@p.iam.gserviceaccount.com';
  const to = 'deleted:serviceAccount:a@p.iam.gserviceaccount.com?uid=1';
  const other = 'serviceAccount:aa@p.iam.gserviceaccount.com';
  const { etag } = await store.write(({ db }) =>
    updatePolicy(
      db,
      JOB,
      create(PolicySchema, {
        bindings: [{ role: 'roles/x', members: [from.replace('a@p', 'A@P'), other] }],
        auditConfigs: [{ service: 'allServices', auditLogConfigs: [{ logType: AuditLogConfig_LogType.DATA_READ, exemptedMembers: [from] }] }],
      }),
      1,
    ),
  );
  await store.write(({ db }) => renameMember(db, from, to, 2));
  const marked = await findPolicy(store.read, JOB);
  expect(marked).toMatchObject({ bindings: [{ members: [to, other] }], auditConfigs: [{ auditLogConfigs: [{ exemptedMembers: [to] }] }] });
  expect(marked?.etag).not.toEqual(etag);
  await store.write(({ db }) => renameMember(db, to, from, 3));
  expect(await findPolicy(store.read, JOB)).toMatchObject({ bindings: [{ members: [from, other] }] });
});

test('who reads or sets a policy is warned of roles that are not evaluated, once each', async () => {
  const known: Role = { name: 'roles/known', title: '', description: '', stage: 'GA', permissions: new Set(), partial: false, certainServices: undefined };
  const catalogue = { role: (name: string) => (name === known.name ? known : undefined) };
  const policy = { bindings: ['roles/known', 'roles/odd', 'roles/odd'].map((role) => ({ role, members: ['user:a@example.com'] })) };
  const setting = createFakeCall();
  await setPolicy(store, create(SetIamPolicyRequestSchema, { resource: 'x', policy }), { resource: JOB, where: 'job', catalogue }, setting);
  const reading = createFakeCall();
  await getPolicy(store, JOB, create(GetIamPolicyRequestSchema), catalogue, reading);
  const warning = 'roles/odd is not in the role catalogue: the binding is kept, but not evaluated.';
  expect([setting.warnings, reading.warnings]).toEqual([[warning], [warning]]);
});
