import { celEnv, isCelError, parse, plan } from '@bufbuild/cel';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePattern } from './cel/matches.ts';
import { CelIssue, type CelProgram } from './cel/program.ts';
import { CelFailure, type CelMap, type CelResult } from './cel/value.ts';
import { compileAttributeCondition, compileConstraint, compileMapping } from './dialects.ts';

function usable<C>(program: CelProgram<C> | CelIssue): CelProgram<C> {
  if (program instanceof CelIssue) throw program;
  return program;
}

function said(result: CelResult): unknown {
  return result instanceof CelFailure ? { failure: result.message } : result;
}

describe('custom constraints', () => {
  const resource: CelMap = {
    metadata: { annotations: { 'run.googleapis.com/launch-stage': 'BETA' } },
    spec: { containers: [{ image: 'a/b', limits: { cpu: '1' } }, { image: 'c/d' }], taskCount: 3, maxRetries: 0.5 },
    name: 'projects/p/locations/l/jobs/prod-x',
  };
  test.each<[string, unknown]>([
    ["resource.name.matches('jobs/prod-[a-z]+$')", true],
    ["resource.spec.containers.all(c, c.image.startsWith('a/') || c.image.contains('/d'))", true],
    ['resource.spec.containers.exists(c, has(c.limits))', true],
    ['resource.spec.containers.exists_one(c, has(c.limits))', true],
    ["resource.spec.containers.filter(c, has(c.limits)).map(c, c.limits.cpu) == ['1']", true],
    ['size(resource.spec.containers) == 2 && resource.spec.containers.size() < 3', true],
    ['has(resource.spec.vpc)', false],
    ['has(resource.spec.vpc) && resource.spec.vpc.egress == 1', false],
    ['resource.spec.taskCount > 2 && resource.spec.taskCount == 3', true],
    ["resource.metadata.annotations['run.googleapis.com/launch-stage'] == 'BETA'", true],
    ["'x' in resource.metadata.annotations", false],
    ["resource.spec.vpc.egress == 'all'", { failure: 'no such key: vpc' }],
    ["resource.spec.taskCount.startsWith('x')", { failure: 'no such overload: startsWith' }],
    ['resource.spec.containers[1].image == "c/d"', true],
    ['resource.spec.containers[2].image == "c/d"', { failure: 'index 2 is out of range' }],
  ])('%s', (expression, expected) => {
    expect(said(usable(compileConstraint(expression)).evaluate({ resource }))).toEqual(expected);
  });

  test('loops in loops end with their budget', () => {
    const list = { items: Array.from({ length: 1000 }, (_, i) => i) };
    const program = usable(compileConstraint('resource.items.all(a, resource.items.all(b, resource.items.all(c, a + b + c >= 0.0)))'));
    const began = performance.now();
    expect(said(program.evaluate({ resource: list }))).toEqual({ failure: 'the evaluation takes too many steps' });
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test('names of objects are not fields', () => {
    for (const name of ['constructor', '__proto__', 'toString', 'hasOwnProperty']) {
      expect(said(usable(compileConstraint(`has(resource.${name})`)).evaluate({ resource: {} }))).toBe(false);
      expect(said(usable(compileConstraint(`resource.${name} == 'x'`)).evaluate({ resource: {} }))).toEqual({ failure: `no such key: ${name}` });
    }
  });
});

describe('attribute mappings', () => {
  const assertion = { sub: 'repo:octo/hello:ref:refs/heads/main', repository: 'octo/hello', aud: ['a', 'b'], email: 'X@Example.com', groups: ['g1', 'g2'] };
  test.each<[string, unknown]>([
    ['assertion.sub', assertion.sub],
    ["'repo/' + assertion.repository", 'repo/octo/hello'],
    ["assertion.sub.extract('ref:refs/heads/{branch}')", 'main'],
    ["assertion.repository.split('/')[0]", 'octo'],
    ['assertion.email.lowerAscii()', 'x@example.com'],
    ["assertion.aud[0] == 'a' ? 'first' : 'other'", 'first'],
    ["assertion.sub.replace(':', '-')", 'repo-octo/hello-ref-refs/heads/main'],
    ['assertion.missing', { failure: 'no such key: missing' }],
    ['assertion.aud', { failure: 'the result is not of type string' }],
  ])('%s', (expression, expected) => {
    expect(said(usable(compileMapping('google.subject', expression)).evaluate({ assertion }))).toEqual(expected);
  });

  test('groups are a list', () => {
    expect(said(usable(compileMapping('google.groups', 'assertion.groups')).evaluate({ assertion }))).toEqual(['g1', 'g2']);
    expect(compileMapping('google.groups', "'x'")).toBeInstanceOf(CelIssue);
  });

  test('the condition sees what was mapped', () => {
    const condition = usable(
      compileAttributeCondition("assertion.repository == 'octo/hello' && attribute.branch == 'main' && google.subject.startsWith('repo:') && 'a' in assertion.aud"),
    );
    expect(said(condition.evaluate({ assertion, attribute: { branch: 'main' }, google: { subject: assertion.sub } }))).toBe(true);
    expect(compileMapping('attribute.x', 'attribute.branch')).toBeInstanceOf(CelIssue);
    expect(compileAttributeCondition("'a' + 'b'")).toBeInstanceOf(CelIssue);
  });
});

describe('regular expressions', () => {
  const pattern = fc.stringMatching(/^(?:[abc.]|[abc][*+?]|\[ab\]|\[\^c\]\*|a\|b|\(ab\|c\)\+|a\{1,3\}|\^|\$|\\b|\\d){0,6}$/);
  test('find what those of JavaScript find', () => {
    fc.assert(
      fc.property(pattern, fc.stringMatching(/^[abc1 ]{0,12}$/), (source, text) => {
        const found = compilePattern(source);
        if (!(found instanceof CelFailure)) expect([source, text, found(text)]).toEqual([source, text, new RegExp(source).test(text)]);
      }),
      { numRuns: 3000 },
    );
  });

  test('take no more time for what makes others run for ever', () => {
    const found = compilePattern('^(a+)+$');
    const began = performance.now();
    expect(!(found instanceof CelFailure) && found(`${'a'.repeat(5000)}b`)).toBe(false);
    expect(performance.now() - began).toBeLessThan(2000);
  });

  test.each(['(', ')', '[a', 'a{2', '(?=a)', '\\1', '*a', 'a**', '((a{100}){100}){100}', '(?P<n', '\\'])('%j is refused', (source) => {
    expect(compilePattern(source)).toBeInstanceOf(CelFailure);
  });
});

/** Expressions without names, which both evaluators can compute. */
const { expression } = fc.letrec<{ expression: string; bool: string; int: string; text: string; time: string }>((tie) => ({
  expression: tie('bool'),
  bool: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom('true', 'false'),
    fc.tuple(tie('bool'), fc.constantFrom('&&', '||', '==', '!='), tie('bool')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    tie('bool').map((a) => `!${a}`),
    fc.tuple(tie('int'), fc.constantFrom('<', '<=', '>', '>=', '==', '!='), tie('int')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('text'), fc.constantFrom('<', '==', '!='), tie('text')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('text'), fc.constantFrom('startsWith', 'endsWith', 'contains'), tie('text')).map(([a, name, b]) => `${a}.${name}(${b})`),
    fc.tuple(tie('time'), fc.constantFrom('<', '<=', '==', '>'), tie('time')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc.tuple(tie('text'), tie('text'), tie('text')).map(([a, b, c]) => `(${a} in [${b}, ${c}])`),
  ),
  int: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: -50, max: 50 }).map((n) => (n < 0 ? `(${n})` : String(n))),
    fc.tuple(tie('int'), fc.constantFrom('+', '-', '*', '/', '%'), tie('int')).map(([a, op, b]) => `(${a} ${op} ${b})`),
    fc
      .tuple(tie('time'), fc.constantFrom('getFullYear', 'getMonth', 'getDate', 'getDayOfMonth', 'getDayOfWeek', 'getDayOfYear', 'getHours', 'getMinutes', 'getSeconds'))
      .map(([a, name]) => `${a}.${name}()`),
    fc
      .tuple(tie('time'), fc.constantFrom('getHours', 'getDate', 'getDayOfWeek'), fc.constantFrom('Europe/Berlin', 'America/Los_Angeles', '+05:30', '-03:00'))
      .map(([a, name, zone]) => `${a}.${name}('${zone}')`),
    tie('text').map((a) => `size(${a})`),
    fc.tuple(tie('bool'), tie('int'), tie('int')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
  ),
  text: fc.oneof(
    { maxDepth: 2 },
    fc.constantFrom("''", "'a'", "'ab'", "'é'", "'ba'"),
    fc.tuple(tie('text'), tie('text')).map(([a, b]) => `(${a} + ${b})`),
  ),
  time: fc.oneof(
    { maxDepth: 2 },
    fc.date({ min: new Date('1971-01-01'), max: new Date('2100-01-01'), noInvalidDate: true }).map((date) => `timestamp('${date.toISOString()}')`),
    fc.tuple(tie('time'), fc.constantFrom('+', '-'), fc.constantFrom('1h', '90m', '3600s', '1.5s', '250ms')).map(([a, op, d]) => `(${a} ${op} duration('${d}'))`),
  ),
}));

test('every expression comes to what the library of the parser makes of it', () => {
  const env = celEnv();
  fc.assert(
    fc.property(expression, (source) => {
      const ours = compileConstraint(source);
      if (ours instanceof CelIssue) return;
      const theirs = plan(env, parse(source))();
      const result = ours.evaluate({ resource: {} });
      expect([source, result instanceof CelFailure ? 'failure' : result]).toEqual([source, isCelError(theirs) ? 'failure' : theirs]);
    }),
    { numRuns: 2000 },
  );
});
