import { create } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Policy, PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer, type Decision, type PolicySource } from './authorizer.ts';
import { createCatalogue } from './catalogue.ts';

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

interface Grant {
  readonly at: string;
  readonly role: string;
  readonly member: string;
  readonly conditional: boolean;
}

function policiesOf(grants: readonly Grant[]): Map<string, Policy> {
  const policies = new Map<string, Policy>();
  for (const { at, role, member, conditional } of grants) {
    const policy = policies.get(at) ?? create(PolicySchema);
    policies.set(at, policy);
    policy.bindings.push(...create(PolicySchema, { bindings: [{ role, members: [member], ...(conditional ? { condition: { expression: 'true' } } : {}) }] }).bindings);
  }
  return policies;
}

function sourceOf(policies: ReadonlyMap<string, Policy>): PolicySource {
  return {
    policy: async (resource) => policies.get(resource),
    project: async (key) => (key === 'p' || key === '99' ? { projectId: 'p', number: '99', parent: 'folders/2' } : undefined),
    folder: async (number) => (number === '2' ? { parent: 'organizations/1' } : undefined),
  };
}

const held: { readonly [role: string]: readonly string[] | undefined } = { 'roles/t.a': ['t.x.one'], 'roles/t.b': ['t.x.one', 't.x.two'], 'roles/t.c': ['t.x.two'] };

/** The rules once more, as plainly as they can be said. */
function naive(grants: readonly Grant[], question: { member: string; permission: string; resource: string }): boolean {
  const at = LEVELS.findIndex((level) => question.resource === level || question.resource.startsWith(`${level}/`));
  return grants.some(({ at: level, role, member, conditional }) => {
    const names =
      member === question.member ||
      member === 'allUsers' ||
      member === 'allAuthenticatedUsers' ||
      (member === 'domain:x.org' && question.member.startsWith('user:') && question.member.endsWith('@x.org'));
    return LEVELS.findIndex((other) => other === level) >= at && names && !conditional && (held[role] ?? []).includes(question.permission);
  });
}

const grant = fc.record({
  at: fc.constantFrom(...LEVELS),
  role: fc.constantFrom('roles/t.a', 'roles/t.b', 'roles/t.c', 'roles/t.unknown'),
  member: fc.constantFrom(
    'user:a@x.org',
    'user:b@y.org',
    'serviceAccount:s@x.org',
    'domain:x.org',
    'allAuthenticatedUsers',
    'allUsers',
    'deleted:user:a@x.org?uid=1',
    'projectOwner:p',
  ),
  conditional: fc.boolean(),
});
const question = fc.record({
  member: fc.constantFrom('user:a@x.org', 'user:b@y.org', 'serviceAccount:s@x.org'),
  permission: fc.constantFrom('t.x.one', 't.x.two', 't.x.three'),
  resource: fc.constantFrom<string>(...LEVELS, TASK),
});

describe('against a naive evaluator', () => {
  test('the same answers', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(grant, { maxLength: 12 }), fc.array(question, { minLength: 1, maxLength: 10 }), async (grants, questions) => {
        const authorizer = createAuthorizer({ source: sourceOf(policiesOf(grants)), catalogue });
        for (const asked of questions) expect((await authorizer.decide(asked)).allowed).toBe(naive(grants, asked));
      }),
    );
  });

  test('order and repetition do not matter', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(grant, { maxLength: 8 }).chain((grants) => fc.tuple(fc.constant(grants), fc.shuffledSubarray([...grants, ...grants], { minLength: grants.length * 2 }))),
        question,
        async ([grants, shuffled], asked) => {
          const [first, second] = await Promise.all([grants, shuffled].map(async (some) => createAuthorizer({ source: sourceOf(policiesOf(some)), catalogue }).decide(asked)));
          expect(second?.allowed).toBe(first?.allowed);
          expect(sorted(second)).toEqual(sorted(first));
        },
      ),
    );
  });

  test('a grant holds at every level below its own', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(grant, { maxLength: 8 }), question, async (grants, asked) => {
        const authorizer = createAuthorizer({ source: sourceOf(policiesOf(grants)), catalogue });
        let above = false;
        for (const resource of [...LEVELS].reverse()) {
          const { allowed } = await authorizer.decide({ ...asked, resource });
          expect(allowed || !above).toBe(true);
          above = allowed;
        }
      }),
    );
  });

  test('unknown roles and conditions alone never allow, and are named', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(grant, { minLength: 1, maxLength: 8 }), question, async (grants, asked) => {
        const powerless = grants.map((one) => (one.role === 'roles/t.unknown' ? one : { ...one, conditional: true }));
        const decision = await createAuthorizer({ source: sourceOf(policiesOf(powerless)), catalogue }).decide(asked);
        expect(decision.allowed).toBe(false);
        const wouldMatter = naive(
          powerless.map((one) => ({ ...one, role: one.role === 'roles/t.unknown' ? 'roles/t.b' : one.role, conditional: false })),
          asked,
        );
        expect(decision.unevaluatedRoles.length > 0 || !wouldMatter).toBe(true);
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
  const allowing: Grant = { at: JOB, role: 'roles/t.a', member: 'user:a@x.org', conditional: false };

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
    const policies = policiesOf([{ at, role: 'roles/t.a', member: 'user:a@x.org', conditional: false }]);
    const source: PolicySource = { ...sourceOf(policies), tag: async (name) => (parents[name] === undefined ? undefined : { parent: parents[name] }) };
    const authorizer = createAuthorizer({ source, catalogue });
    const allowed = async (resource: string) => (await authorizer.decide({ member: 'user:a@x.org', permission: 't.x.one', resource })).allowed;
    expect([at, await allowed(value), await allowed(key), await allowed(value.replace('6', '7'))]).toEqual([at, at !== JOB, at !== JOB && at !== value, false]);
  }
});
