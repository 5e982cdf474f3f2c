import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { compilePath } from './http-rule.ts';

describe('paths of google.api.http', () => {
  test.each([
    ['/v2/{name=projects/*/locations/*/jobs/*}', '/v2/projects/p/locations/l/jobs/j', { name: 'projects/p/locations/l/jobs/j' }],
    ['/v2/{name=projects/*/locations/*/jobs/*}:run', '/v2/projects/p/locations/l/jobs/j:run', { name: 'projects/p/locations/l/jobs/j' }],
    ['/v2/{parent=projects/*/locations/*}/jobs', '/v2/projects/p/locations/l/jobs/', { parent: 'projects/p/locations/l' }],
    ['/v1/{resource=**}:getIamPolicy', '/v1/projects/p/a/b:getIamPolicy', { resource: 'projects/p/a/b' }],
    ['/v1/projects/{project_id}:setIamPolicy', '/v1/projects/example.com:api:setIamPolicy', { project_id: 'example.com:api' }],
    [
      '/v2/{name=policies/*/denypolicies/*}',
      '/v2/policies/cloudresourcemanager.googleapis.com%252Fprojects%252Fp/denypolicies/d',
      { name: 'policies/cloudresourcemanager.googleapis.com/projects/p/denypolicies/d' },
    ],
    ['/v2/{job.name=projects/*/locations/*/jobs/*}', '/v2/projects/p/locations/l/jobs/j', { 'job.name': 'projects/p/locations/l/jobs/j' }],
  ])('%s matches %s', (template, path, variables) => {
    expect(Object.fromEntries(compilePath(template).match(path) ?? [])).toEqual(variables);
  });

  test.each([
    ['/v2/{name=projects/*/locations/*/jobs/*}', '/v2/projects/p/locations/l/jobs'],
    ['/v2/{name=projects/*/locations/*/jobs/*}', '/v2/projects/p/locations/l/jobs/j/executions/e'],
    ['/v2/{name=projects/*/locations/*/jobs/*}:run', '/v2/projects/p/locations/l/jobs/j'],
    ['/v2/{name=projects/*/locations/*/jobs/*}', '/v2/projects/p/locations/l/jobs/%'],
  ])('%s does not match %s', (template, path) => {
    expect(compilePath(template).match(path)).toBeUndefined();
  });

  test('whatever a segment holds, it comes back as it was', () => {
    const matcher = compilePath('/v2/{name=projects/*/jobs/*}');
    fc.assert(
      fc.property(fc.stringMatching(/^[^%/:?#]+$/), (segment) => {
        fc.pre(segment.isWellFormed());
        expect(matcher.match(`/v2/projects/p/jobs/${encodeURIComponent(segment)}`)?.get('name')).toBe(`projects/p/jobs/${segment}`);
      }),
    );
  });
});
