import fc from 'fast-check';
import { expect, test } from 'vitest';
import { applyFields, parseFields } from './partial-response.ts';

const JOBS = { jobs: [{ name: 'a', labels: { x: '1', y: '2' }, template: { taskCount: 1, template: { timeout: '600s' } } }, { name: 'b' }], nextPageToken: 't' };

test.each([
  ['nextPageToken', { nextPageToken: 't' }],
  ['jobs/name', { jobs: [{ name: 'a' }, { name: 'b' }] }],
  ['jobs(name,labels/x)', { jobs: [{ name: 'a', labels: { x: '1' } }, { name: 'b' }] }],
  ['jobs.template.task_count', { jobs: [{ template: { taskCount: 1 } }, {}] }],
  ['jobs/name,jobs/labels', { jobs: [{ name: 'a', labels: { x: '1', y: '2' } }, { name: 'b' }] }],
  ['jobs,jobs/name', { jobs: JOBS.jobs }],
  ['jobs/*/timeout', { jobs: [{ name: 'a', labels: {}, template: {} }, { name: 'b' }] }],
  ['*', JOBS],
  ['none', {}],
])('%s', (fields, expected) => {
  expect(applyFields(parseFields(fields), JOBS)).toEqual(expected);
});

test.each(['', ',', 'a,', 'a(', 'a)', 'a()', 'a(b', 'a//b', 'a b', '/a', `${'a/'.repeat(10_000)}a`, `${'a('.repeat(10_000)}a`])('%j cannot be read', (fields) => {
  expect(() => parseFields(fields)).toThrow(/cannot be read at position \d+\.$/);
});

test('an answer is never more than it was, and masking again changes nothing', () => {
  const name = fc.constantFrom('a', 'b', 'c');
  const { tree } = fc.letrec((tie) => ({
    tree: fc.oneof({ maxDepth: 4 }, fc.integer(), fc.dictionary(name, tie('tree'), { maxKeys: 3 }), fc.array(tie('tree'), { maxLength: 3 })),
  }));
  const path = fc.array(fc.oneof(name, fc.constant('*')), { minLength: 1, maxLength: 4 }).map((names) => names.join('/'));
  fc.assert(
    fc.property(tree, fc.array(path, { minLength: 1, maxLength: 3 }), (json, paths) => {
      const mask = parseFields(paths.join(','));
      const once = applyFields(mask, json);
      expect(applyFields(mask, once)).toEqual(once);
      expect(JSON.stringify(once).length).toBeLessThanOrEqual(JSON.stringify(json).length);
    }),
  );
});
