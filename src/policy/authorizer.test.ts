import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { PolicySchema as DenyPolicySchema } from '../gen/google/iam/v2/policy_pb.js';
import { createAuthorizer, type Decision } from './authorizer.ts';
import { createCatalogue } from './catalogue.ts';
import type { PolicySource } from './source.ts';

const ORG = '//cloudresourcemanager.googleapis.com/organizations/1';
const FOLDER = '//cloudresourcemanager.googleapis.com/folders/2';
const PROJECT = '//cloudresourcemanager.googleapis.com/projects/p';
const JOB = '//run.googleapis.com/projects/p/locations/l/jobs/j';
const TASK = `${JOB}/executions/e/tasks/t`;
/** From the bottom up. */
const LEVELS = [JOB, PROJECT, FOLDER, ORG] as const;

const catalogue = createCatalogue({
  names: ['t'],
  read: () => ['role t.a GA A', '  t.x: one', 'role t.b GA B', '  t.x: one two', 'role t.c BETA C', '  certain: other', '  t.x: two', ''].join('\n'),
});

/** What a condition comes to on any resource here. */
type Truth = 'none' | 'true' | 'false' | 'fails';
const EXPRESSIONS: Readonly<Record<Exclude<Truth, 'none'>, string>> = {
  true: "!resource.hasTagKey('1/env')",
  false: "resource.hasTagKey('1/env')",
  fails: "resource.name.startsWith('x')",
};

interface Grant {
  readonly at: string;
  readonly role: string;
  readonly member: string;
  readonly condition: Truth;
}
interface Denial {
  readonly at: string;
  readonly principal: string;
  readonly exception: string | undefined;
  readonly permission: string;
  readonly condition: Exclude<Truth, 'fails'> | 'unusable';
}

function policiesOf(grants: readonly Grant[]): Map<string, Policy> {
  const policies = new Map<string, Policy>();
  for (const { at, role, member, condition } of grants) {
    const policy = policies.get(at) ?? create(PolicySchema);
    policies.set(at, policy);
    policy.bindings.push(
      ...create(PolicySchema, { bindings: [{ role, members: [member], ...(condition === 'none' ? {} : { condition: { expression: EXPRESSIONS[condition] } }) }] }).bindings,
    );
  }
  return policies;
}

function denyPolicyOf(denials: readonly Denial[]) {
  return create(DenyPolicySchema, {
    name: 'policies/x/denypolicies/y',
    rules: denials.map(({ principal, exception, permission, condition }) => ({
      kind: {
        case: 'denyRule' as const,
        value: {
          deniedPrincipals: [principal],
          exceptionPrincipals: exception === undefined ? [] : [exception],
          deniedPermissions: [permission],
          ...(condition === 'none' ? {} : { denialCondition: { expression: condition === 'unusable' ? 'request.time' : EXPRESSIONS[condition] } }),
        },
      },
    })),
  });
}

/** The groups that hold a member directly: outer holds inner, which holds a; and each of two others holds the other. */
const GROUPS: { readonly [member: string]: readonly string[] | undefined } = {
  'user:a@x.org': ['group:inner@x.org'],
  'group:inner@x.org': ['group:outer@x.org'],
  'group:one@x.org': ['group:two@x.org'],
  'group:two@x.org': ['group:one@x.org'],
  'serviceAccount:s@x.org': ['group:one@x.org'],
};

function sourceOf(policies: ReadonlyMap<string, Policy>, denials: readonly Denial[] = []): PolicySource {
  return {
    policy: async (resource) => policies.get(resource),
    project: async (key) => (key === 'p' || key === '99' ? { projectId: 'p', number: '99', parent: 'folders/2' } : undefined),
    folder: async (number) => (number === '2' ? { parent: 'organizations/1' } : undefined),
    denyPolicies: async (resource) => [denyPolicyOf(denials.filter(({ at }) => at === resource))],
    groupsOf: async (member) => GROUPS[member] ?? [],
  };
}

const held: { readonly [role: string]: readonly string[] | undefined } = { 'roles/t.a': ['t.x.one'], 'roles/t.b': ['t.x.one', 't.x.two'], 'roles/t.c': ['t.x.two'] };
const inGroups: { readonly [member: string]: readonly string[] | undefined } = {
  'user:a@x.org': ['group:inner@x.org', 'group:outer@x.org'],
  'serviceAccount:s@x.org': ['group:one@x.org', 'group:two@x.org'],
};

interface Asked {
  readonly member: string;
  readonly permission: string;
  readonly resource: string;
}

function names(member: string, caller: string): boolean {
  return (
    member === caller ||
    member === 'allUsers' ||
    member === 'allAuthenticatedUsers' ||
    (inGroups[caller] ?? []).includes(member) ||
    (member === 'domain:x.org' && caller.startsWith('user:') && caller.endsWith('@x.org'))
  );
}

function isAbove(level: string, resource: string): boolean {
  const at = LEVELS.findIndex((one) => resource === one || resource.startsWith(`${one}/`));
  return LEVELS.findIndex((one) => one === level) >= at;
}

/** The rules once more, as plainly as they can be said. */
function naive(grants: readonly Grant[], denials: readonly Denial[], question: Asked): boolean {
  return !isDenied(denials, question) && isGranted(grants, question);
}

function isGranted(grants: readonly Grant[], { member, permission, resource }: Asked): boolean {
  return grants.some(
    (grant) =>
      isAbove(grant.at, resource) && names(grant.member, member) && (grant.condition === 'none' || grant.condition === 'true') && (held[grant.role] ?? []).includes(permission),
  );
}

const V2: { readonly [principal: string]: string | undefined } = {
  'principal://goog/subject/a@x.org': 'user:a@x.org',
  'principalSet://goog/group/outer@x.org': 'group:outer@x.org',
  'principal://iam.googleapis.com/projects/-/serviceAccounts/s@x.org': 'serviceAccount:s@x.org',
  'principalSet://goog/public:all': 'allUsers',
};

function isDenied(denials: readonly Denial[], { member, permission, resource }: Asked): boolean {
  return denials.some(
    (denial) =>
      isAbove(denial.at, resource) &&
      names(V2[denial.principal] ?? '', member) &&
      !(denial.exception !== undefined && names(V2[denial.exception] ?? '', member)) &&
      (denial.permission === 't.googleapis.com/x.*' || denial.permission === permission.replace('t.', 't.googleapis.com/')) &&
      denial.condition !== 'false',
  );
}

const truth = fc.constantFrom<Truth>('none', 'none', 'true', 'false', 'fails');
const grant = fc.record({
  at: fc.constantFrom(...LEVELS),
  role: fc.constantFrom('roles/t.a', 'roles/t.b', 'roles/t.c', 'roles/t.unknown'),
  member: fc.constantFrom(
    'user:a@x.org',
    'user:b@y.org',
    'serviceAccount:s@x.org',
    'group:inner@x.org',
    'group:outer@x.org',
    'group:two@x.org',
    'domain:x.org',
    'allAuthenticatedUsers',
    'allUsers',
    'deleted:user:a@x.org?uid=1',
    'projectOwner:p',
  ),
  condition: truth,
});
const principal = fc.constantFrom(...Object.keys(V2));
const denial = fc.record({
  at: fc.constantFrom(PROJECT, FOLDER, ORG),
  principal,
  exception: fc.option(
    principal.filter((one) => one !== 'principalSet://goog/public:all'),
    { nil: undefined },
  ),
  permission: fc.constantFrom('t.googleapis.com/x.one', 't.googleapis.com/x.two', 't.googleapis.com/x.*'),
  condition: fc.constantFrom<Denial['condition']>('none', 'true', 'false', 'unusable'),
});
const question = fc.record({
  member: fc.constantFrom('user:a@x.org', 'user:b@y.org', 'serviceAccount:s@x.org'),
  permission: fc.constantFrom('t.x.one', 't.x.two', 't.x.three'),
  resource: fc.constantFrom<string>(...LEVELS, TASK),
});
const grants = fc.array(grant, { maxLength: 12 });
const denials = fc.array(denial, { maxLength: 4 });

describe('against a naive evaluator', () => {
  test('the same answers, also in long policies', async () => {
    await fc.assert(
      fc.asyncProperty(grants, denials, fc.array(question, { minLength: 1, maxLength: 10 }), fc.boolean(), async (given, denied, questions, isLong) => {
        const policies = policiesOf(given);
        const others = Array.from({ length: 100 }, (_, i) => `user:other${i}@z.org`);
        if (isLong) for (const policy of policies.values()) policy.bindings.unshift(...create(PolicySchema, { bindings: [{ role: 'roles/t.b', members: others }] }).bindings);
        const authorizer = createAuthorizer({ source: sourceOf(policies, denied), catalogue });
        for (const asked of questions) expect((await authorizer.decide(asked)).allowed).toBe(naive(given, denied, asked));
      }),
      { numRuns: 500 },
    );
  });

  test('a deny always wins', async () => {
    await fc.assert(
      fc.asyncProperty(grants, fc.array(denial, { minLength: 1, maxLength: 4 }), question, async (given, denied, asked) => {
        const { allowed, deniedBy } = await createAuthorizer({ source: sourceOf(policiesOf(given), denied), catalogue }).decide(asked);
        expect(deniedBy !== undefined).toBe(isDenied(denied, asked));
        expect(allowed && isDenied(denied, asked)).toBe(false);
      }),
    );
  });

  test('order and repetition do not matter', async () => {
    await fc.assert(
      fc.asyncProperty(
        grants.chain((given) => fc.tuple(fc.constant(given), fc.shuffledSubarray([...given, ...given], { minLength: given.length * 2 }))),
        denials.chain((denied) => fc.tuple(fc.constant(denied), fc.shuffledSubarray([...denied, ...denied], { minLength: denied.length * 2 }))),
        question,
        async ([given, shuffled], [denied, shuffledDenied], asked) => {
          const first = await createAuthorizer({ source: sourceOf(policiesOf(given), denied), catalogue }).decide(asked);
          const second = await createAuthorizer({ source: sourceOf(policiesOf(shuffled), shuffledDenied), catalogue }).decide(asked);
          expect(second.allowed).toBe(first.allowed);
          expect(sorted(second)).toEqual(sorted(first));
        },
      ),
    );
  });

  test('a grant holds at every level below its own', async () => {
    await fc.assert(
      fc.asyncProperty(grants, question, async (given, asked) => {
        const authorizer = createAuthorizer({ source: sourceOf(policiesOf(given)), catalogue });
        let above = false;
        for (const resource of [...LEVELS].reverse()) {
          const { allowed } = await authorizer.decide({ ...asked, resource });
          expect(allowed || !above).toBe(true);
          above = allowed;
        }
      }),
    );
  });

  test('unknown roles and conditions that fail never allow, and are named', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(grant, { minLength: 1, maxLength: 8 }), question, async (given, asked) => {
        const powerless = given.map((one) => (one.role === 'roles/t.unknown' ? { ...one, condition: 'none' as const } : { ...one, condition: 'fails' as const }));
        const decision = await createAuthorizer({ source: sourceOf(policiesOf(powerless)), catalogue }).decide(asked);
        expect(decision.allowed).toBe(false);
        const wouldMatter = isGranted(
          powerless.map((one) => ({ ...one, role: one.role === 'roles/t.unknown' ? 'roles/t.b' : one.role, condition: 'none' })),
          asked,
        );
        expect(decision.unevaluatedRoles.length + (decision.failedConditions?.length ?? 0) > 0 || !wouldMatter).toBe(true);
      }),
    );
  });
});

function sorted(decision: Decision | undefined): string[] {
  return (decision?.unevaluatedRoles ?? []).map(({ role, resource }) => `${role} ${resource}`).sort();
}

/** A source whose answers wait until they are let go. */
function gatedSource(policies: Map<string, Policy>): { source: PolicySource; reads: string[]; open: () => void } {
  const inner = sourceOf(policies);
  let gate = Promise.withResolvers<void>();
  const reads: string[] = [];
  const source: PolicySource = {
    ...inner,
    async policy(resource) {
      reads.push(resource);
      const policy = await inner.policy(resource);
      await gate.promise;
      return policy;
    },
  };
  return {
    source,
    reads,
    open() {
      gate.resolve();
      gate = Promise.withResolvers<void>();
      gate.resolve();
    },
  };
}

describe('caching', () => {
  const asked = { member: 'user:a@x.org', permission: 't.x.one', resource: JOB };
  const allowing: Grant = { at: JOB, role: 'roles/t.a', member: 'user:a@x.org', condition: 'none' };

  test('reads once, then answers synchronously until it is told of a change', async () => {
    const policies = policiesOf([allowing]);
    const { source, reads, open } = gatedSource(policies);
    open();
    const authorizer = createAuthorizer({ source, catalogue });
    expect(authorizer.decide(asked)).toBeInstanceOf(Promise);
    expect((await authorizer.decide(asked)).allowed).toBe(true);
    const count = reads.length;
    expect(authorizer.decide(asked)).toMatchObject({ allowed: true, grantedBy: { role: 'roles/t.a', resource: JOB, member: 'user:a@x.org' } });
    expect(reads).toHaveLength(count);
    policies.clear();
    authorizer.invalidate();
    expect((await authorizer.decide(asked)).allowed).toBe(false);
  });

  test('a change of one policy has that one read again, whatever was read through it', async () => {
    const policies = policiesOf([allowing, { at: PROJECT, role: 'roles/t.b', member: 'user:b@y.org', condition: 'none' }]);
    const { source, reads, open } = gatedSource(policies);
    open();
    const authorizer = createAuthorizer({ source, catalogue });
    expect((await authorizer.decide({ ...asked, resource: TASK })).allowed).toBe(true);
    expect((await authorizer.decide(asked)).allowed).toBe(true);
    reads.length = 0;
    policies.delete(JOB);
    authorizer.invalidate({ policyOf: JOB });
    for (const resource of [JOB, TASK]) expect((await authorizer.decide({ ...asked, resource })).allowed).toBe(false);
    expect(reads).toEqual([JOB]);
    expect(authorizer.decide({ ...asked, member: 'user:b@y.org', resource: PROJECT })).toBeInstanceOf(Promise);
    expect((await authorizer.decide({ ...asked, member: 'user:b@y.org', permission: 't.x.two', resource: TASK })).allowed).toBe(true);
    authorizer.invalidate({ policyOf: '//run.googleapis.com/projects/p/locations/l/jobs/never-asked-about' });
    expect(authorizer.decide(asked)).not.toBeInstanceOf(Promise);
  });

  test('a change during the first read of a policy is not missed', async () => {
    const policies = policiesOf([allowing]);
    const { source, open } = gatedSource(policies);
    const authorizer = createAuthorizer({ source, catalogue });
    const first = authorizer.decide(asked);
    await new Promise(setImmediate);
    policies.clear();
    authorizer.invalidate({ policyOf: JOB });
    open();
    await first;
    expect((await authorizer.decide(asked)).allowed).toBe(false);
  });

  test('a change of a group is in force for the next question', async () => {
    const members = new Map([['user:a@x.org', ['group:g@x.org']]]);
    const source: PolicySource = { ...sourceOf(policiesOf([{ ...allowing, member: 'group:g@x.org' }])), groupsOf: async (member) => members.get(member) ?? [] };
    const authorizer = createAuthorizer({ source, catalogue });
    expect((await authorizer.decide(asked)).allowed).toBe(true);
    members.clear();
    authorizer.invalidate('groups');
    expect((await authorizer.decide(asked)).allowed).toBe(false);
  });

  test("a job's tasks share what was read for it", async () => {
    const { source, reads, open } = gatedSource(policiesOf([allowing]));
    open();
    const authorizer = createAuthorizer({ source, catalogue });
    await authorizer.decide(asked);
    const count = reads.length;
    expect((await authorizer.decide({ ...asked, resource: TASK })).allowed).toBe(true);
    expect(reads).toHaveLength(count);
  });

  test('concurrent first questions share one load', async () => {
    const { source, reads, open } = gatedSource(policiesOf([allowing]));
    const authorizer = createAuthorizer({ source, catalogue });
    const both = Promise.all([authorizer.decide(asked), authorizer.decide({ ...asked, permission: 't.x.two' })]);
    open();
    expect((await both).map(({ allowed }) => allowed)).toEqual([true, false]);
    expect(new Set(reads).size).toBe(reads.length);
  });

  test('a load that began before a change does not outlive it', async () => {
    const policies = policiesOf([allowing]);
    const { source, open } = gatedSource(policies);
    const authorizer = createAuthorizer({ source, catalogue });
    const before = authorizer.decide(asked);
    await Promise.resolve();
    policies.clear();
    authorizer.invalidate();
    const after = authorizer.decide(asked);
    open();
    await before;
    expect((await after).allowed).toBe(false);
    expect((await authorizer.decide(asked)).allowed).toBe(false);
  });

  test('what fails is not remembered', async () => {
    let fails = true;
    const inner = sourceOf(policiesOf([allowing]));
    const authorizer = createAuthorizer({
      source: {
        ...inner,
        async project(key) {
          if (fails) throw new Error('the store is busy');
          return inner.project(key);
        },
      },
      catalogue,
    });
    await expect(authorizer.decide(asked)).rejects.toThrow('the store is busy');
    fails = false;
    expect((await authorizer.decide(asked)).allowed).toBe(true);
  });
});

test('a tag value is decided on by its own policy, its key’s, and those above the key', async () => {
  const [key, value] = ['//cloudresourcemanager.googleapis.com/tagKeys/5', '//cloudresourcemanager.googleapis.com/tagValues/6'];
  const parents: Record<string, string> = { 'tagKeys/5': 'projects/99', 'tagValues/6': 'tagKeys/5' };
  for (const at of [value, key, PROJECT, FOLDER, ORG, JOB]) {
    const policies = policiesOf([{ at, role: 'roles/t.a', member: 'user:a@x.org', condition: 'none' }]);
    const source: PolicySource = { ...sourceOf(policies), tag: async (name) => (parents[name] === undefined ? undefined : { parent: parents[name] }) };
    const authorizer = createAuthorizer({ source, catalogue });
    const allowed = async (resource: string) => (await authorizer.decide({ member: 'user:a@x.org', permission: 't.x.one', resource })).allowed;
    expect([at, await allowed(value), await allowed(key), await allowed(value.replace('6', '7'))]).toEqual([at, at !== JOB, at !== JOB && at !== value, false]);
  }
});
