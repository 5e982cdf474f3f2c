import { describe, expect, test } from 'vitest';
import { carrierName, parseResource, projectOfServiceAccount } from './resource.ts';

function carriers(fullName: string): string[] | undefined {
  return parseResource(fullName)?.carriers.map((carrier) => carrierName(carrier, 'P'));
}

describe('what carries a policy', () => {
  test.each([
    ['//run.googleapis.com/projects/p/locations/l/jobs/j/executions/e/tasks/t', ['//run.googleapis.com/projects/P/locations/l/jobs/j']],
    ['//run.googleapis.com/projects/p/locations/l/services/s/revisions/r', ['//run.googleapis.com/projects/P/locations/l/services/s']],
    ['//run.googleapis.com/projects/p/locations/l/operations/o', []],
    ['//iam.googleapis.com/projects/p/serviceAccounts/e/keys/k', ['//iam.googleapis.com/projects/P/serviceAccounts/e']],
    ['//artifactregistry.googleapis.com/projects/p/locations/l/repositories/r/packages/x', ['//artifactregistry.googleapis.com/projects/P/locations/l/repositories/r']],
    ['//secretmanager.googleapis.com/projects/p/secrets/s/versions/latest', ['//secretmanager.googleapis.com/projects/P/secrets/s']],
    ['//cloudresourcemanager.googleapis.com/projects/p', []],
    ['//cloudresourcemanager.googleapis.com/tagKeys/1', []],
    ['//unheard-of.googleapis.com/projects/p/things/t', []],
    ['//iam.googleapis.com/organizations/1/roles/r', []],
  ])('%s', (name, expected) => {
    expect(carriers(name)).toEqual(expected);
  });

  test.each([
    '',
    'projects/p',
    '//',
    '//run.googleapis.com',
    '//run.googleapis.com/',
    '//run.googleapis.com/projects',
    '//run.googleapis.com/projects/',
    '//run.googleapis.com/namespaces/p',
    '//run.googleapis.com/projects/p/locations',
    '//run.googleapis.com/projects/p/locations/l/',
    '//run.googleapis.com/projects/p//jobs',
    '//cloudresourcemanager.googleapis.com/projects/p/locations/l',
    '//cloudresourcemanager.googleapis.com/tagValues/1/tagHolds/2',
    '//run.googleapis.com/tagKeys/1',
    '///projects/p',
  ])('%j is not a full resource name', (name) => {
    expect(parseResource(name)).toBeUndefined();
  });
});

test.each([
  ['hello@demo.iam.gserviceaccount.com', 'demo'],
  ['123-compute@developer.gserviceaccount.com', '123'],
  ['demo@appspot.gserviceaccount.com', 'demo'],
  ['x@demo.example.com.iam.gserviceaccount.com', 'example.com:demo'],
  ['x@demo.iam.gserviceaccount.com.evil.org', undefined],
  ['user@example.com', undefined],
  ['123456789012345678901', undefined],
])('the project in %s is %s', (email, project) => {
  expect(projectOfServiceAccount(email)).toBe(project);
});
