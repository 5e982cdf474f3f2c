import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { loadCatalogue } from '../policy/catalogue.ts';
import { customerId } from '../policy/constraint-grants.ts';
import { createFakeClock } from '../services/fake-call.ts';
import { listCustomConstraints } from '../store/custom-constraints.ts';
import { openStore, type Store } from '../store/database.ts';
import { findOrgPolicy, listOrgPolicies } from '../store/org-policies.ts';
import { findPolicy } from '../store/policies.ts';
import { applySeed } from './apply.ts';
import { parseSeed } from './seed.ts';

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'seed-org-policies-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

const ORGANIZATION = 'organizations/400000000001';
const apply = (yaml: string) =>
  applySeed(
    parseSeed(yaml, 'seed.yaml'),
    {
      store,
      clock: createFakeClock(),
      catalogue: loadCatalogue(),
      applyJob: async () => undefined,
      applyDenyPolicy: async () => undefined,
      applySecret: async () => undefined,
      services: () => Promise.reject(new Error('not asked for')),
    },
    { force: true },
  );
const organization = (more = '') => `organizations: [{number: 400000000001, displayName: shop.example${more}}]\n`;
const project = 'projects: [{id: shop, number: 400000000003, parent: organizations/400000000001}]\n';
const roles = async () => ((await findPolicy(store.read, '//cloudresourcemanager.googleapis.com/projects/shop'))?.bindings ?? []).map(({ role }) => role);

describe('secureByDefault', () => {
  test('gives the baseline as policies, once, and a project whose default account is no editor', async () => {
    await apply(organization(', secureByDefault: true') + project);
    expect((await listOrgPolicies(store.read, ORGANIZATION)).map(({ name }) => name.split('/').at(-1))).toEqual([
      'compute.managed.restrictProtocolForwardingCreationForTypes',
      'essentialcontacts.managed.allowedContactDomains',
      'iam.allowedPolicyMemberDomains',
      'iam.automaticIamGrantsForDefaultServiceAccounts',
      'iam.managed.disableServiceAccountKeyCreation',
      'iam.managed.disableServiceAccountKeyUpload',
      'storage.uniformBucketLevelAccess',
    ]);
    expect((await findOrgPolicy(store.read, ORGANIZATION, 'iam.allowedPolicyMemberDomains'))?.spec?.rules[0]?.kind.value).toMatchObject({
      allowedValues: [`is:${customerId('400000000001')}`],
    });
    expect(await roles()).not.toContain('roles/editor');
    await store.write(({ db }) => db.deleteFrom('org_policies').where('constraint_id', '=', 'storage.uniformBucketLevelAccess').execute());
    await apply(organization(', secureByDefault: true') + project);
    expect(await listOrgPolicies(store.read, ORGANIZATION)).toHaveLength(6);
  });

  test('without it there are none, and the default account is an editor', async () => {
    await apply(organization() + project);
    expect(await listOrgPolicies(store.read, ORGANIZATION)).toEqual([]);
    expect(await roles()).toContain('roles/editor');
  });
});

describe('orgPolicies and customConstraints', () => {
  const declared = `${organization()}${project}customConstraints:
  - name: ${ORGANIZATION}/customConstraints/custom.small
    resourceTypes: [run.googleapis.com/Job]
    methodTypes: [CREATE]
    condition: resource.spec.template.spec.taskCount > 10
    actionType: DENY
orgPolicies:
  - name: ${ORGANIZATION}/policies/iam.automaticIamGrantsForDefaultServiceAccounts
    spec: {rules: [{enforce: true}]}
  - name: projects/shop/policies/custom.small
    spec: {rules: [{enforce: true}]}
`;

  test('are kept, in force for what the same seed makes, and unchanged by a second time', async () => {
    await apply(declared);
    expect(await roles()).not.toContain('roles/editor');
    expect(await listCustomConstraints(store.read, ORGANIZATION)).toHaveLength(1);
    const policy = await findOrgPolicy(store.read, 'projects/400000000003', 'custom.small');
    expect(policy?.spec?.rules).toHaveLength(1);
    await apply(declared);
    expect((await findOrgPolicy(store.read, 'projects/400000000003', 'custom.small'))?.etag).toBe(policy?.etag);
    await apply(declared.replace('custom.small\n    spec: {rules: [{enforce: true}]}', 'custom.small\n    spec: {rules: [{enforce: false}]}'));
    expect((await findOrgPolicy(store.read, 'projects/400000000003', 'custom.small'))?.etag).not.toBe(policy?.etag);
  });

  test.each([
    ['a name of no form', 'orgPolicies: [{name: shop}]', 'orgPolicies[0].name is "shop": must be projects/ID/policies/CONSTRAINT'],
    [
      'a rule that is broken',
      `${organization()}orgPolicies: [{name: ${ORGANIZATION}/policies/iam.disableServiceAccountCreation, spec: {}}]`,
      'orgPolicies[0]: policy.spec.rules: must have exactly one',
    ],
    ['a field that is not known', `${organization()}orgPolicies: [{name: ${ORGANIZATION}/policies/iam.disableServiceAccountCreation, rules: []}]`, 'orgPolicies[0]:'],
    [
      'a project that is not there',
      'orgPolicies: [{name: projects/none/policies/iam.disableServiceAccountCreation, spec: {reset: true}}]',
      'orgPolicies[0]: Requested entity was not found.',
    ],
    ['a condition that is broken', declared.replace('> 10', '>'), 'customConstraints[0]: custom_constraint.condition: is not valid'],
    ['the same twice', 'orgPolicies: [{name: folders/1/policies/a.b}, {name: folders/1/policies/a.b}]', 'orgPolicies[1] declares folders/1/policies/a.b again'],
  ])('%s is refused with its place', async (_case, yaml, message) => {
    await expect((async () => apply(yaml))()).rejects.toThrow(message);
    expect(await listOrgPolicies(store.read, ORGANIZATION)).toEqual([]);
  });
});
