import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { CelIssue } from './cel/program.ts';
import { CelFailure } from './cel/value.ts';
import { type ConditionContext, compileCondition, compileDenialCondition, conditionHolds } from './condition.ts';

const CONTEXT: ConditionContext = {
  time: Date.parse('2026-03-04T05:06:07.089Z') * 1000,
  resource: { name: 'projects/123/secrets/db/versions/3', type: 'secretmanager.googleapis.com/SecretVersion', service: 'secretmanager.googleapis.com' },
  tags: [{ keyId: 'tagKeys/1', key: '123/env', valueId: 'tagValues/2', value: 'prod' }],
};

function holds(expression: string, context: ConditionContext = CONTEXT): boolean | string {
  const condition = compileCondition(expression);
  if (condition instanceof CelIssue) throw condition;
  const result = conditionHolds(condition, context);
  return result instanceof CelFailure ? result.message : result;
}

function issue(expression: string): string {
  const condition = compileCondition(expression);
  return condition instanceof CelIssue ? condition.message : 'no issue';
}

describe('what a condition comes to', () => {
  test.each([
    ["resource.name.startsWith('projects/123/')", true],
    ["resource.name.endsWith('/3') && resource.type == 'secretmanager.googleapis.com/SecretVersion'", true],
    ["resource.service in ['a', 'secretmanager.googleapis.com']", true],
    ["!(resource.service in ['a', 'b'])", true],
    ["resource.name.extract('secrets/{name}/') == 'db'", true],
    ["resource.name.extract('versions/{rest}') == '3'", true],
    ["resource.name.extract('nothing/{rest}') == ''", true],
    ["resource.name.extract('secrets/{name}#') == ''", true],
    ["request.time < timestamp('2026-03-04T05:06:07.090Z') && request.time > timestamp('2026-03-04T05:06:07.088Z')", true],
    ["request.time == timestamp('2026-03-04T06:06:07.089+01:00')", true],
    ["request.time < date('2026-03-05')", true],
    ["request.time + duration('1h') > timestamp('2026-03-04T06:00:00Z')", true],
    ["timestamp('2026-03-04T05:06:08Z') - request.time <= duration('911ms')", true],
    ['request.time.getFullYear() == 2026', true],
    ['request.time.getMonth() == 2', true],
    ['request.time.getDate() == 4 && request.time.getDayOfMonth() == 3', true],
    ['request.time.getDayOfWeek() == 3', true],
    ['request.time.getDayOfYear() == 62', true],
    ['request.time.getHours() == 5 && request.time.getMinutes() == 6 && request.time.getSeconds() == 7 && request.time.getMilliseconds() == 89', true],
    ["request.time.getHours('America/New_York') == 0", true],
    ["request.time.getHours('+05:30') == 10 && request.time.getMinutes('+05:30') == 36", true],
    ["request.time.getDate('-06:00') == 3", true],
    ["resource.matchTag('123/env', 'prod')", true],
    ["resource.matchTag('123/env', 'dev') || resource.matchTagId('tagKeys/1', 'tagValues/2')", true],
    ["resource.hasTagKey('123/env') && resource.hasTagKeyId('tagKeys/1') && !resource.hasTagKey('env')", true],
    ["api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/x'])", true],
    ["destination.ip == '10.0.0.1'", false],
    ['destination.port != 80', true],
    ["'accessPolicies/1/accessLevels/a' in request.auth.access_levels", 'request.auth.access_levels is not offered by this resource or request'],
    ["request.path == '/'", false],
    ["request.path.startsWith('/')", 'request.path is not offered by this resource or request'],
    ["false ? request.path == '/' : true", true],
    ['1 / 0 == 1', 'division by zero'],
    ["api.getAttribute('x', 'y') == 'y'", true],
    ["api.getAttribute('x', 'y')", 'the result is not of type bool'],
  ])('%s', (expression, expected) => {
    expect(holds(expression)).toBe(expected);
  });

  test('roles that a policy would change', () => {
    const expression = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/a', 'roles/b'])";
    for (const [modified, expected] of [
      [['roles/a'], true],
      [[], true],
      [['roles/b', 'roles/a'], true],
      [['roles/a', 'roles/c'], false],
    ] as const)
      expect(holds(expression, { ...CONTEXT, modifiedGrantsByRole: modified })).toBe(expected);
  });

  test('its parts, one by one', () => {
    const condition = compileCondition("resource.matchTag('123/env', 'prod') && (request.path == '/' || request.time.getHours() > 6)");
    expect(!(condition instanceof CelIssue) && condition.explain(CONTEXT)).toEqual([
      { expression: 'resource.matchTag("123/env", "prod")', result: true },
      { expression: 'request.path == "/"', result: false },
      { expression: 'request.time.getHours() > 6', result: false },
    ]);
  });
});

describe('what is refused when it is set', () => {
  test.each([
    ['', /syntax error/],
    ['request.time <', /syntax error/],
    ['resource', /undeclared reference to 'resource'/],
    ['resourc.name == "x"', /undeclared reference to 'resourc.name' \(at character/],
    ['principal.type == "x"', /undeclared reference/],
    ['request.time', /of type timestamp, and has to be of type bool/],
    ["'true'", /of type string/],
    ['1', /of type int/],
    ["request.time < '2026'", /no matching overload for '_<_' applied to '\(timestamp, string\)'/],
    ["resource.name.contains('x')", /undeclared reference to 'contains'/],
    ["resource.name.matches('x')", /undeclared reference to 'matches'/],
    ["resource.name.startsWith('x', 'y')", /no matching overload for 'startsWith'/],
    ["resource.matchTag('x')", /no matching overload for 'resource.matchTag'/],
    ["request.time < timestamp('yesterday')", /"yesterday" is not a timestamp/],
    ["request.time < timestamp('2026-02-31T00:00:00Z')", /is not a timestamp/],
    ["request.time.getHours('Mars/Olympus') == 1", /"Mars\/Olympus" is not a time zone/],
    ["resource.name.extract('no braces') == ''", /is not a template/],
    ['[1, 2].exists(x, x > 1)', /macros are not supported/],
    ['has(resource.name)', /macros are not supported/],
    ['1u == 1u', /unsigned numbers and bytes are not supported/],
    ["b'x' == b'x'", /not supported/],
    ['google.type.Expr{title: "x"} == null', /not supported|undeclared/],
    ['true && 1', /no matching overload for '_&&_'/],
    ['true ? 1 : false', /no matching overload/],
    ['constructor == 1', /undeclared reference to 'constructor'/],
    ["toString('x') == 'x'", /undeclared reference to 'toString'/],
    ['request.__proto__ == 1', /undeclared reference/],
    [Array.from({ length: 14 }, () => 'true').join(' && '), /more than 12 logical operators/],
    [`true${' || !false'.repeat(7)}`, /more than 12 logical operators/],
  ])('%s', (expression, message) => {
    expect(issue(expression)).toMatch(message);
  });

  test('twelve logical operators are allowed', () => {
    expect(issue(Array.from({ length: 13 }, () => 'true').join(' && '))).toBe('no issue');
  });

  test('denials know tags alone', () => {
    expect(compileDenialCondition("resource.matchTag('1/a', 'b') && !resource.hasTagKey('1/c')")).not.toBeInstanceOf(CelIssue);
    expect(compileDenialCondition("request.time < timestamp('2026-01-01T00:00:00Z')")).toBeInstanceOf(CelIssue);
    expect(compileDenialCondition("resource.name == 'x'")).toBeInstanceOf(CelIssue);
  });
});

describe('exhaustion', () => {
  test.each([
    ['parentheses', '('.repeat(3000) + 'true' + ')'.repeat(3000)],
    ['parentheses that never close', '('.repeat(3000)],
    ['lists', '['.repeat(2000) + ']'.repeat(2000)],
    ['a sum', `1${'+1'.repeat(4000)} == 1`],
    ['conjunctions', Array.from({ length: 900 }, () => 'true').join(' && ')],
    ['ternaries', `${'true ? true : '.repeat(500)}true`],
    ['a long text', `'${'x'.repeat(100_000)}' == 'x'`],
    ['a long name', `${'a.'.repeat(4000)}a == 1`],
    ['calls', `${'f('.repeat(2000)}1${')'.repeat(2000)} == 1`],
    ['brackets in quotes', '\'"('.repeat(2000)],
  ])('%s are refused quickly', (_, expression) => {
    const began = performance.now();
    expect(compileCondition(expression)).toBeInstanceOf(CelIssue);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test('whatever is thrown at it, it answers', () => {
    const token = fc.constantFrom(
      '(',
      ')',
      '[',
      ']',
      "'",
      '"',
      'a',
      '.',
      'resource.name',
      'request.time',
      '&&',
      '||',
      '!',
      '1',
      '-',
      '+',
      '==',
      ' ',
      '?',
      ':',
      '{',
      '}',
      ',',
      '\\',
      'true',
      'timestamp(',
    );
    fc.assert(
      fc.property(fc.array(token, { maxLength: 40 }), (tokens) => {
        const condition = compileCondition(tokens.join(''));
        if (!(condition instanceof CelIssue))
          expect([true, false]).toContain(conditionHolds(condition, CONTEXT) instanceof CelFailure || typeof conditionHolds(condition, CONTEXT) === 'boolean');
      }),
      { numRuns: 2000 },
    );
  });
});
