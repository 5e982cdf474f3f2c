import { expect, test } from 'vitest';
import type { Question } from './authorizer.ts';
import { findSettablePolicy } from './policy-setter.ts';

const ROOTS = { organizations: ['1'], folders: ['2'], projects: ['a', 'b'] };
const allowing = (permission: string, resource: string) => ({
  decide: (asked: Question) => ({ allowed: asked.permission === permission && asked.resource.endsWith(resource), unevaluatedRoles: [] }),
});

test.each([
  ['resourcemanager.organizations.setIamPolicy', 'organizations/1'],
  ['resourcemanager.folders.setIamPolicy', 'folders/2'],
  ['resourcemanager.projects.setIamPolicy', 'projects/b'],
  ['iam.serviceAccounts.setIamPolicy', 'projects/a'],
  ['run.jobs.setIamPolicy', 'projects/b'],
])('%s on %s', async (permission, resource) => {
  expect(await findSettablePolicy(allowing(permission, resource), 'user:x@example.com', ROOTS)).toEqual({ permission, resource });
});

test('who may only read is found nowhere', async () => {
  expect(await findSettablePolicy(allowing('run.jobs.getIamPolicy', 'projects/a'), 'user:x@example.com', ROOTS)).toBeUndefined();
});
