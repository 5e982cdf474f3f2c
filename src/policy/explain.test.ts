import { create } from '@bufbuild/protobuf';
import { describe, expect, test } from 'vitest';
import { PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { PolicySchema as DenyPolicySchema } from '../gen/google/iam/v2/policy_pb.js';
import { createAuthorizer } from './authorizer.ts';
import { loadCatalogue } from './catalogue.ts';
import type { PolicySource } from './source.ts';

const PROJECT = '//cloudresourcemanager.googleapis.com/projects/demo';
const ORG = '//cloudresourcemanager.googleapis.com/organizations/1';
const ACCOUNT = '//iam.googleapis.com/projects/demo/serviceAccounts/x@demo.iam.gserviceaccount.com';
const ACT_AS = 'iam.serviceAccounts.actAs';

const groups: { readonly [group: string]: readonly string[] | undefined } = {
  'group:outer@example.com': ['group:inner@example.com', 'user:boss@example.com'],
  'group:inner@example.com': ['user:dev@example.com', 'user:banned@example.com', 'group:outer@example.com'],
};
const bindings: { readonly [resource: string]: readonly { role: string; members: string[]; condition?: { title: string; expression: string } }[] | undefined } = {
  [ACCOUNT]: [
    { role: 'roles/iam.serviceAccountUser', members: ['group:Outer@example.com'] },
    { role: 'roles/iam.serviceAccountViewer', members: ['user:dev@example.com', 'user:viewer@example.com'] },
    {
      role: 'roles/iam.serviceAccountUser',
      members: ['user:late@example.com'],
      condition: { title: 'until May', expression: "request.time < timestamp('2026-05-01T00:00:00Z') && true" },
    },
  ],
  [PROJECT]: [
    { role: 'roles/unheard.of', members: ['user:viewer@example.com', 'deleted:user:gone@example.com?uid=1'] },
    { role: 'roles/run.viewer', members: ['user:somebody@example.com'] },
  ],
  [ORG]: [{ role: 'roles/owner', members: ['user:owner@example.com', 'domain:example.org'] }],
};
const source: PolicySource = {
  policy: async (resource) => create(PolicySchema, { bindings: [...(bindings[resource] ?? [])] }),
  project: async (id) => (id === 'demo' ? { projectId: 'demo', number: '1', parent: 'organizations/1' } : undefined),
  folder: async () => undefined,
  denyPolicies: async (resource) =>
    resource === ORG
      ? [
          create(DenyPolicySchema, {
            name: 'policies/o/denypolicies/guard',
            rules: [
              {
                description: 'Nobody of these',
                kind: {
                  case: 'denyRule',
                  value: {
                    deniedPrincipals: ['principal://goog/subject/banned@example.com'],
                    deniedPermissions: ['iam.googleapis.com/serviceAccounts.*'],
                    exceptionPrincipals: ['principal://goog/subject/boss@example.com'],
                  },
                },
              },
            ],
          }),
        ]
      : [],
  groupsOf: async (member) => Object.keys(groups).filter((group) => groups[group]?.includes(member)),
  membersOf: async (group) => groups[group] ?? [],
};
const authorizer = createAuthorizer({ source, catalogue: loadCatalogue(), now: () => Date.parse('2026-06-01T00:00:00Z') * 1000 });
const explain = (member: string, resource = ACCOUNT) => authorizer.explain({ member, permission: ACT_AS, resource });

describe('why', () => {
  test('a grant through two groups', async () => {
    const { outcome, groups: found, resources, changes, decision } = await explain('user:dev@example.com');
    expect([outcome, decision.grantedBy?.member, changes]).toEqual(['allowed', 'group:Outer@example.com', []]);
    expect(found).toContainEqual({ member: 'group:outer@example.com', path: ['user:dev@example.com', 'group:inner@example.com', 'group:outer@example.com'] });
    expect(resources.map(({ resource }) => resource)).toEqual([ACCOUNT, PROJECT, ORG]);
    expect(resources[0]?.bindings.filter(({ grants }) => grants)).toEqual([
      {
        position: 0,
        role: 'roles/iam.serviceAccountUser',
        members: ['group:Outer@example.com'],
        holdsPermission: true,
        match: { member: 'group:Outer@example.com', path: ['user:dev@example.com', 'group:inner@example.com', 'group:outer@example.com'] },
        condition: undefined,
        grants: true,
      },
    ]);
    expect(resources[0]?.bindings.map(({ role, holdsPermission, match }) => [role, holdsPermission, match?.member])).toContainEqual([
      'roles/iam.serviceAccountViewer',
      false,
      'user:dev@example.com',
    ]);
    expect(resources[1]?.bindings.map(({ role, holdsPermission }) => [role, holdsPermission])).toEqual([['roles/unheard.of', undefined]]);
  });

  test('no grant: the smallest changes, the one that gives least first', async () => {
    const { outcome, changes } = await explain('user:viewer@example.com');
    expect(outcome).toBe('noGrant');
    expect(changes.map(({ kind, command }) => [kind, command])).toEqual([
      [
        'addBinding',
        'actas iam service-accounts add-iam-policy-binding x@demo.iam.gserviceaccount.com --project=demo --member=user:viewer@example.com --role=roles/iam.serviceAccountUser',
      ],
      ['addToGroup', 'actas groups memberships add --group-email=Outer@example.com --member-email=viewer@example.com'],
    ]);
    expect(changes.map(({ gives }) => gives)).toEqual([4, 4]);
  });

  test('what a change gives is counted in custom roles as in predefined ones, and once where a group has several', async () => {
    const custom = { role: 'projects/demo/roles/custom', members: ['group:inner@example.com'] };
    const user = { role: 'roles/iam.serviceAccountUser', members: ['group:inner@example.com'] };
    const late = { ...custom, members: ['user:viewer@example.com'], condition: { title: 'never', expression: 'false' } };
    const more = ['a.b.c', 'a.b.d', 'a.b.e', 'a.b.f', 'a.b.g', 'a.b.h'];
    const { explain: ask } = createAuthorizer({
      source: {
        ...source,
        policy: async (resource) => create(PolicySchema, { bindings: resource === ACCOUNT ? [custom, user, late] : [] }),
        role: async (name) => (name === custom.role ? { permissions: [ACT_AS, ...more], active: true } : undefined),
      },
      catalogue: loadCatalogue(),
    });
    const { changes } = await ask({ member: 'user:viewer@example.com', permission: ACT_AS, resource: ACCOUNT });
    // roles/iam.serviceAccountUser has four others.
    expect(changes.map(({ kind, gives }) => [kind, gives])).toEqual([
      ['addBinding', 4],
      ['changeCondition', 6],
      ['addToGroup', 10],
      ['addToGroup', 10],
    ]);
  });

  test('a condition that is false', async () => {
    const { outcome, resources, changes } = await explain('user:late@example.com');
    expect(outcome).toBe('noGrant');
    expect(resources[0]?.bindings.find(({ condition }) => condition !== undefined)?.condition).toEqual({
      title: 'until May',
      expression: "request.time < timestamp('2026-05-01T00:00:00Z') && true",
      result: 'false',
      clauses: [
        { expression: 'request.time < timestamp("2026-05-01T00:00:00Z")', result: 'false' },
        { expression: 'true', result: 'true' },
      ],
    });
    expect(changes.map(({ kind }) => kind)).toContain('changeCondition');
  });

  test('a deny rule, and the exception that would lift it', async () => {
    const { outcome, resources, changes } = await explain('user:banned@example.com');
    expect(outcome).toBe('denied');
    expect(resources[2]?.denyRules).toMatchObject([
      {
        policy: 'policies/o/denypolicies/guard',
        rule: 0,
        description: 'Nobody of these',
        namesPermission: true,
        match: { member: 'principal://goog/subject/banned@example.com' },
        denies: true,
      },
    ]);
    expect(changes).toMatchObject([{ kind: 'addException', gives: 0, command: expect.stringContaining('principal://goog/subject/banned@example.com') }]);
    const others = await explain('user:boss@example.com');
    expect([others.outcome, others.resources[2]?.denyRules[0]?.denies]).toEqual(['allowed', false]);
  });

  test('a resource of a project that is not known', async () => {
    const { outcome, resources, changes } = await explain('user:dev@example.com', ACCOUNT.replaceAll('demo', 'other'));
    expect([outcome, resources, changes]).toEqual(['unreachable', [], []]);
  });

  test('it says what the decision says, for everybody', async () => {
    for (const name of ['dev', 'boss', 'banned', 'viewer', 'late', 'owner', 'nobody']) {
      const question = { member: `user:${name}@example.com`, permission: ACT_AS, resource: ACCOUNT };
      const { decision, resources } = await authorizer.explain(question);
      expect(decision).toEqual(await authorizer.decide(question));
      const denied = resources.some(({ denyRules }) => denyRules.some(({ denies }) => denies));
      const granted = resources.some((one) => one.bindings.some(({ grants }) => grants));
      expect([name, granted && !denied]).toEqual([name, decision.allowed]);
    }
  });
});

describe('who can', () => {
  test('everybody by name, with the way to it', async () => {
    const { outcome, holders, unevaluatedRoles } = await authorizer.whoCan({ permission: ACT_AS, resource: ACCOUNT });
    expect(outcome).toBe('known');
    expect(holders.map(({ member, isSet, allowed, deniedBy }) => [member, isSet, allowed, deniedBy?.policy])).toEqual([
      ['domain:example.org', true, true, undefined],
      ['user:banned@example.com', false, false, 'policies/o/denypolicies/guard'],
      ['user:boss@example.com', false, true, undefined],
      ['user:dev@example.com', false, true, undefined],
      ['user:late@example.com', false, false, undefined],
      ['user:owner@example.com', false, true, undefined],
    ]);
    expect(holders.find(({ member }) => member === 'user:dev@example.com')?.by).toEqual([
      { role: 'roles/iam.serviceAccountUser', resource: ACCOUNT, path: ['user:dev@example.com', 'group:inner@example.com', 'group:outer@example.com'], condition: undefined },
    ]);
    expect(unevaluatedRoles).toEqual([{ role: 'roles/unheard.of', resource: PROJECT }]);
  });

  test('of a project that is not known', async () => {
    expect(await authorizer.whoCan({ permission: ACT_AS, resource: ACCOUNT.replaceAll('demo', 'other') })).toEqual({ outcome: 'unreachable', holders: [], unevaluatedRoles: [] });
  });
});
