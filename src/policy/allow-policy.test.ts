import { create, type MessageInitShape, toBinary } from '@bufbuild/protobuf';
import { FieldMaskSchema } from '@bufbuild/protobuf/wkt';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isApiError } from '../errors.ts';
import { AuditLogConfig_LogType, type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { applySetIamPolicy, viewPolicy } from './allow-policy.ts';
import { checkPolicy, type PolicyHolder } from './check-policy.ts';

const NOW = 1_700_000_000_000_000;
const policyOf = (init: MessageInitShape<typeof PolicySchema>): Policy => create(PolicySchema, init);
const simple = policyOf({ version: 3, bindings: [{ role: 'roles/run.invoker', members: ['user:a@example.com'] }] });
const conditional = policyOf({ version: 3, bindings: [{ role: 'roles/run.invoker', members: ['user:a@example.com'], condition: { title: 'night', expression: 'false' } }] });
const shape = ({ version, bindings }: Policy) => ({ version, bindings: bindings.map(({ role, members }) => `${role} ${members.join(' ')}`) });

function errorOf(run: () => unknown): { status: string; message: string } {
  try {
    run();
  } catch (error) {
    if (isApiError(error)) return { status: error.status, message: error.message };
    throw error;
  }
  throw new Error('nothing was thrown');
}

describe('as recorded', () => {
  test('never set: the etag alone', () => {
    const view = viewPolicy(undefined, 3);
    expect(Buffer.from(view.etag).toString('base64')).toBe('ACAB');
    expect(shape(view)).toEqual({ version: 0, bindings: [] });
  });

  test('version 3 without conditions comes back as version 1', () => {
    const stored = applySetIamPolicy(undefined, simple, undefined, NOW);
    expect(shape(viewPolicy(stored, 3))).toEqual({ version: 1, bindings: ['roles/run.invoker user:a@example.com'] });
  });

  test('set and emptied: etag and version 1', () => {
    const stored = applySetIamPolicy(undefined, simple, undefined, NOW);
    const emptied = applySetIamPolicy(stored, policyOf({ version: 1, etag: stored.etag }), undefined, NOW + 1);
    expect(shape(viewPolicy(emptied, 3))).toEqual({ version: 1, bindings: [] });
    expect(emptied.etag).toHaveLength(8);
  });
});

describe('etags', () => {
  const first = applySetIamPolicy(undefined, simple, undefined, NOW);

  test('the one of a policy never set is accepted', () => {
    expect(applySetIamPolicy(undefined, policyOf({ etag: viewPolicy(undefined, 1).etag }), undefined, NOW).version).toBe(1);
  });

  test('a stale one aborts, in the recorded words', () => {
    const second = applySetIamPolicy(first, policyOf({ ...simple, etag: first.etag }), undefined, NOW + 1);
    for (const [current, etag] of [
      [second, first.etag],
      [undefined, first.etag],
      [first, viewPolicy(undefined, 1).etag],
    ] as const)
      expect(errorOf(() => applySetIamPolicy(current, policyOf({ etag }), undefined, NOW + 2))).toEqual({
        status: 'ABORTED',
        message: 'There were concurrent policy changes. Please retry the whole read-modify-write with exponential backoff.',
      });
  });

  test('without one the policy is overwritten', () => {
    expect(applySetIamPolicy(first, policyOf({}), undefined, NOW + 1).bindings).toEqual([]);
  });

  test('each change has its own, also within one microsecond and when the clock steps back', () => {
    let policy = first;
    const seen = new Set([Buffer.from(policy.etag).toString('base64')]);
    for (const now of [NOW, NOW, NOW - 5_000_000, NOW + 1]) {
      policy = applySetIamPolicy(policy, simple, undefined, now);
      seen.add(Buffer.from(policy.etag).toString('base64'));
    }
    expect(seen.size).toBe(5);
  });
});

describe('what is stored', () => {
  test('bindings of one role are merged, members once and in lower case, sorted, empty ones gone', () => {
    const stored = applySetIamPolicy(
      undefined,
      policyOf({
        bindings: [
          { role: 'roles/run.viewer', members: ['user:B@example.com', 'user:a@Example.com'] },
          { role: 'roles/run.invoker', members: ['allUsers'] },
          { role: 'roles/run.viewer', members: ['user:b@example.com'] },
          { role: 'roles/run.admin', members: [] },
        ],
      }),
      undefined,
      NOW,
    );
    expect(shape(stored)).toEqual({ version: 1, bindings: ['roles/run.invoker allUsers', 'roles/run.viewer user:a@example.com user:b@example.com'] });
  });

  test('different conditions stay apart', () => {
    const both = policyOf({ version: 3, bindings: [...conditional.bindings, ...simple.bindings, ...conditional.bindings] });
    expect(applySetIamPolicy(undefined, both, undefined, NOW).bindings).toHaveLength(2);
  });

  test('storing what is stored changes nothing but the etag', () => {
    const member = fc.constantFrom('user:a@x.org', 'user:A@x.org', 'group:g@x.org', 'allUsers', 'domain:x.org');
    const binding = fc.record({
      role: fc.constantFrom('roles/a', 'roles/b'),
      members: fc.array(member, { maxLength: 4 }),
      condition: fc.constantFrom(undefined, { title: 'c', expression: 'true' }),
    });
    fc.assert(
      fc.property(fc.array(binding, { maxLength: 6 }), (bindings) => {
        const once = applySetIamPolicy(
          undefined,
          policyOf({ bindings: bindings.map(({ condition, ...rest }) => (condition === undefined ? rest : { ...rest, condition })) }),
          undefined,
          NOW,
        );
        const twice = applySetIamPolicy(once, once, undefined, NOW + 1);
        expect(toBinary(PolicySchema, { ...twice, etag: once.etag })).toEqual(toBinary(PolicySchema, once));
      }),
    );
  });

  test('the request stays as it was', () => {
    const request = policyOf({
      bindings: [
        { role: 'roles/b', members: ['user:B@x.org'] },
        { role: 'roles/a', members: ['user:a@x.org'] },
      ],
    });
    const before = toBinary(PolicySchema, request);
    applySetIamPolicy(undefined, request, undefined, NOW);
    expect(toBinary(PolicySchema, request)).toEqual(before);
  });
});

describe('the mask', () => {
  const audited = policyOf({ bindings: simple.bindings, auditConfigs: [{ service: 'allServices', auditLogConfigs: [{ logType: AuditLogConfig_LogType.ADMIN_READ }] }] });
  const mask = (...paths: string[]) => create(FieldMaskSchema, { paths });

  test('by default audit settings are neither taken nor lost', () => {
    expect(applySetIamPolicy(undefined, audited, undefined, NOW).auditConfigs).toHaveLength(0);
    const stored = applySetIamPolicy(undefined, audited, mask('bindings', 'etag', 'auditConfigs'), NOW);
    expect(stored.auditConfigs).toHaveLength(1);
    expect(applySetIamPolicy(stored, simple, undefined, NOW + 1).auditConfigs).toHaveLength(1);
    expect(applySetIamPolicy(stored, simple, mask('bindings', 'audit_configs'), NOW + 1).auditConfigs).toHaveLength(0);
  });

  test('bindings left out of it stay', () => {
    const stored = applySetIamPolicy(undefined, simple, undefined, NOW);
    expect(applySetIamPolicy(stored, policyOf({}), mask('etag'), NOW + 1).bindings).toHaveLength(1);
  });

  test('an unknown path is refused', () => {
    expect(errorOf(() => applySetIamPolicy(undefined, simple, mask('rules'), NOW)).status).toBe('INVALID_ARGUMENT');
  });
});

describe('versions', () => {
  const stored = applySetIamPolicy(undefined, conditional, undefined, NOW);

  test('conditions make version 3', () => {
    expect(stored.version).toBe(3);
    expect(viewPolicy(stored, 3).bindings[0]?.condition?.expression).toBe('false');
  });

  test.each([0, 1])('who asks for %i sees no condition, and a role that is none', (version) => {
    const view = viewPolicy(stored, version);
    expect(view.version).toBe(1);
    expect(view.bindings[0]?.condition).toBeUndefined();
    expect(view.bindings[0]?.role).toMatch(/^roles\/run\.invoker_withcond_[0-9a-f]{20}$/);
    expect(errorOf(() => checkPolicy(view, 'job')).message).toMatch(/is not supported for this resource/);
  });

  test('who knows no conditions cannot lose them by a read and write', () => {
    expect(errorOf(() => applySetIamPolicy(stored, policyOf({ version: 1, etag: stored.etag }), undefined, NOW + 1)).message).toContain(
      'Specified policy version (1) cannot be less than the existing policy version (3).',
    );
  });

  test.each([2, 4, -1])('version %i does not exist', (version) => {
    expect(errorOf(() => viewPolicy(stored, version)).status).toBe('INVALID_ARGUMENT');
    expect(errorOf(() => checkPolicy(policyOf({ version }), 'job')).status).toBe('INVALID_ARGUMENT');
  });
});

describe('checkPolicy refuses', () => {
  const bind = (member: string, role = 'roles/run.invoker') => policyOf({ bindings: [{ role, members: [member] }] });
  const people = (count: number, prefix = 'user:u', suffix = '@example.com') => Array.from({ length: count }, (_, index) => `${prefix}${index}${suffix}`);

  test.each<[string, Policy | undefined, PolicyHolder, string]>([
    ['no policy', undefined, 'job', 'policy: The request has no policy.'],
    ['an empty role', bind('user:a@example.com', ''), 'job', 'policy.bindings.role: A binding has no role.'],
    ['a role that is no name', bind('user:a@example.com', 'run.invoker'), 'job', 'Role run.invoker is not supported for this resource.'],
    ['a member without a type', bind('a@example.com'), 'serviceAccount', 'The member a@example.com is of an unknown type. Please set a valid type prefix for the member.'],
    ['the same on a project', bind('a@example.com'), 'project', 'Policy members must be of the form "<type>:<value>".'],
    ['everybody on a project', bind('allUsers'), 'project', 'Policy members must be of the form "<type>:<value>".'],
    ['everybody on a job', bind('allAuthenticatedUsers'), 'job', 'Member allAuthenticatedUsers is invalid due to membership type restrictions on the resource.'],
    ['owners of a project as such', bind('projectOwner:demo'), 'serviceAccount', 'Member projectOwner:demo is invalid due to membership type restrictions on the resource.'],
    ['a user without an address', bind('user:'), 'job', 'Invalid member user:.'],
    ['a domain that is an address', bind('domain:a@example.com'), 'job', 'Invalid member domain:a@example.com.'],
    ['a line break in a member', bind('user:a@example.com\nuser:b@example.com'), 'job', 'Invalid member user:a@example.com\nuser:b@example.com.'],
    [
      'conditions below version 3',
      policyOf({ ...conditional, version: 1 }),
      'job',
      "Specified policy version (1) must be at least 3 based on the policy's contents. For more information, please refer to https://cloud.google.com/iam/help/allow-policies/versions.",
    ],
    [
      'a condition on a basic role',
      policyOf({ version: 3, bindings: [{ role: 'roles/owner', members: ['user:a@example.com'], condition: { title: 'c', expression: 'true' } }] }),
      'project',
      'policy.bindings.condition: Conditions cannot be added to the basic role roles/owner.',
    ],
    [
      'an empty condition',
      policyOf({ version: 3, bindings: [{ role: 'roles/run.invoker', members: ['user:a@example.com'], condition: { title: 'c' } }] }),
      'job',
      'policy.bindings.condition.expression: A condition needs an expression.',
    ],
    [
      '1,501 members',
      policyOf({ bindings: [{ role: 'roles/run.invoker', members: people(1501) }] }),
      'job',
      'The number of members in the policy (1501) exceeds the maximum allowed limit (1500), resulting in an invalid IAM policy.',
    ],
    [
      '251 groups',
      policyOf({ bindings: [{ role: 'roles/run.invoker', members: people(251, 'group:g') }] }),
      'job',
      'The number of groups and domains in the policy (251) exceeds the maximum allowed limit (250), resulting in an invalid IAM policy.',
    ],
    [
      '21 conditions for one member',
      policyOf({
        version: 3,
        bindings: Array.from({ length: 21 }, (_, index) => ({ role: 'roles/run.invoker', members: ['user:a@example.com'], condition: { title: `c${index}`, expression: 'true' } })),
      }),
      'job',
      'The number of conditional bindings of role roles/run.invoker to user:a@example.com exceeds the maximum allowed limit (20), resulting in an invalid IAM policy.',
    ],
  ])('%s', (_, policy, where, message) => {
    expect(errorOf(() => checkPolicy(policy, where))).toEqual({ status: 'INVALID_ARGUMENT', message });
  });

  test.each([
    'user:a@example.com',
    'serviceAccount:hello-sa@demo.iam.gserviceaccount.com',
    'serviceAccount:demo.svc.id.goog[default/app]',
    'group:team@example.com',
    'domain:example.com',
    'principal://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/subject/s',
    'principalSet://iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/*',
    'deleted:user:a@example.com?uid=123456789012345678901',
    'deleted:serviceAccount:a@demo.iam.gserviceaccount.com?uid=123456789012345678901',
  ])('but not %s', (member) => {
    for (const where of ['organization', 'folder', 'project', 'serviceAccount', 'job'] as const) expect(() => checkPolicy(bind(member), where)).not.toThrow();
  });

  test('nor unknown and custom roles, 1,500 members, or the same group often', () => {
    const roles = ['roles/nonesuch.admin', 'projects/demo/roles/my_role', 'organizations/123/roles/my.role'];
    const manyMembers = policyOf({ bindings: [{ role: 'roles/run.invoker', members: people(1500) }] });
    const oneGroup = policyOf({ bindings: Array.from({ length: 300 }, (_, index) => ({ role: `roles/r${index}`, members: ['group:g@example.com'] })) });
    for (const policy of [...roles.map((role) => bind('user:a@example.com', role)), manyMembers, oneGroup]) expect(() => checkPolicy(policy, 'project')).not.toThrow();
  });
});
