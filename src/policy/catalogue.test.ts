import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { createCatalogue, loadCatalogue } from './catalogue.ts';

const catalogue = loadCatalogue();
const permissionsOf = (role: string): string[] => [...(catalogue.role(role)?.permissions ?? [])].sort();

describe('the roles as Google documents them', () => {
  test.each([
    ['roles/run.invoker', ['run.instances.invoke', 'run.jobs.run', 'run.routes.invoke']],
    ['roles/run.jobsExecutorWithOverrides', ['run.executions.cancel', 'run.jobs.run', 'run.jobs.runWithOverrides']],
    [
      'roles/iam.serviceAccountUser',
      ['iam.serviceAccounts.actAs', 'iam.serviceAccounts.get', 'iam.serviceAccounts.list', 'resourcemanager.projects.get', 'resourcemanager.projects.list'],
    ],
    ['roles/secretmanager.secretAccessor', ['resourcemanager.projects.get', 'resourcemanager.projects.list', 'secretmanager.versions.access']],
    ['roles/logging.logWriter', ['logging.logEntries.create', 'logging.logEntries.route']],
    ['roles/resourcemanager.projectDeleter', ['resourcemanager.projects.delete']],
  ])('%s', (role, permissions) => {
    expect(permissionsOf(role)).toEqual(permissions);
  });

  test('sizes of the larger ones', () => {
    const sizes = Object.fromEntries(
      ['run.admin', 'run.developer', 'run.viewer', 'run.serviceAgent', 'iam.serviceAccountAdmin', 'artifactregistry.reader', 'storage.admin', 'pubsub.admin', 'logging.admin'].map(
        (id) => [id, permissionsOf(`roles/${id}`).length],
      ),
    );
    expect(sizes).toEqual({
      'run.admin': 97,
      'run.developer': 89,
      'run.viewer': 50,
      'run.serviceAgent': 75,
      'iam.serviceAccountAdmin': 19,
      'artifactregistry.reader': 33,
      'storage.admin': 104,
      'pubsub.admin': 67,
      'logging.admin': 80,
    });
  });

  test('what run.admin has over run.developer', () => {
    const more = permissionsOf('roles/run.admin').filter((permission) => catalogue.has('roles/run.developer', permission) === false);
    expect(more).toEqual([
      'run.instances.setIamPolicy',
      'run.jobs.createTagBinding',
      'run.jobs.deleteTagBinding',
      'run.jobs.setIamPolicy',
      'run.services.createTagBinding',
      'run.services.deleteTagBinding',
      'run.services.setIamPolicy',
      'run.workerpools.setIamPolicy',
    ]);
  });

  test.each([
    ['roles/run.developer', 'iam.serviceAccounts.actAs', false],
    ['roles/run.admin', 'iam.serviceAccounts.actAs', false],
    ['roles/run.sourceDeveloper', 'iam.serviceAccounts.actAs', false],
    ['roles/iam.serviceAccountAdmin', 'iam.serviceAccounts.actAs', false],
    ['roles/iam.serviceAccountTokenCreator', 'iam.serviceAccounts.actAs', false],
    ['roles/owner', 'iam.serviceAccounts.actAs', true],
    ['roles/owner', 'iam.serviceAccounts.setIamPolicy', true],
    ['roles/owner', 'iam.serviceAccounts.getAccessToken', false],
    ['roles/owner', 'iam.serviceAccounts.signJwt', false],
    ['roles/owner', 'secretmanager.versions.access', true],
    ['roles/editor', 'iam.serviceAccounts.actAs', true],
    ['roles/editor', 'secretmanager.versions.access', false],
    ['roles/editor', 'run.jobs.setIamPolicy', false],
    ['roles/viewer', 'run.jobs.getIamPolicy', true],
    ['roles/owner', 'orgpolicy.policy.get', true],
    ['roles/owner', 'orgpolicy.policy.set', false],
    ['roles/run.serviceAgent', 'iam.serviceAccounts.getAccessToken', true],
    ['roles/run.serviceAgent', 'secretmanager.versions.access', false],
    ['roles/run.serviceAgent', 'artifactregistry.repositories.downloadArtifacts', true],
    ['roles/run.invoker', 'run.operations.get', false],
    ['roles/cloudsql.client', 'cloudsql.instances.connect', true],
    ['roles/bigquery.jobUser', 'bigquery.jobs.create', true],
    ['roles/bigquery.dataViewer', 'bigquery.tables.getData', true],
    ['roles/datastore.user', 'datastore.entities.create', true],
    ['roles/pubsub.publisher', 'pubsub.topics.publish', true],
    ['roles/storage.objectViewer', 'storage.objects.get', true],
    ['roles/aiplatform.user', 'aiplatform.endpoints.predict', true],
    ['roles/cloudtasks.enqueuer', 'cloudtasks.tasks.create', true],
    ['roles/monitoring.metricWriter', 'monitoring.timeSeries.create', true],
    ['roles/cloudtrace.agent', 'cloudtrace.traces.patch', true],
    ['roles/errorreporting.writer', 'errorreporting.errorEvents.create', true],
    ['roles/iam.workforcePoolAdmin', 'iam.googleapis.com/workforcePools.get', true],
    ['roles/owner', 'bigquery.jobs.create', undefined],
    ['roles/monitoring.viewer', 'monitoring.alerts.get', undefined],
    ['roles/monitoring.viewer', 'run.jobs.run', false],
    ['roles/nonesuch', 'run.jobs.run', undefined],
    ['projects/p/roles/custom', 'run.jobs.run', undefined],
    ['', 'run.jobs.run', undefined],
  ])('%s has %s: %s', (role, permission, expected) => {
    expect(catalogue.has(role, permission)).toBe(expected);
  });
});

describe('the whole catalogue', () => {
  const roles = [...catalogue.roles()];

  test('every role is well formed, and in order', () => {
    expect(roles.length).toBeGreaterThan(500);
    expect(roles.map(({ name }) => name)).toEqual([...new Set(roles.map(({ name }) => name))].sort());
    for (const role of roles) {
      expect(role.title).not.toBe('');
      expect(role.permissions.size).toBeGreaterThan(0);
      for (const permission of role.permissions) expect(permission).toMatch(/^(?:[a-z0-9.-]+\.(?:com|googleapis\.com)\/)?[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+){1,2}$/);
    }
  });

  test('rolesWith and has agree', () => {
    fc.assert(
      fc.property(fc.constantFrom(...roles), fc.nat(), (role, index) => {
        const permission = [...role.permissions][index % role.permissions.size] ?? '';
        const holders = catalogue.rolesWith(permission);
        expect(holders).toContain(role.name);
        expect(holders).toEqual(roles.filter(({ name }) => catalogue.has(name, permission) === true).map(({ name }) => name));
      }),
      { numRuns: 30 },
    );
  });

  test('only broad roles are partial', () => {
    expect(roles.filter(({ partial }) => partial).map(({ name }) => name)).toMatchInlineSnapshot(`
      [
        "roles/editor",
        "roles/iam.dataScientist",
        "roles/iam.databasesAdmin",
        "roles/iam.infrastructureAdmin",
        "roles/iam.mlEngineer",
        "roles/iam.networkAdmin",
        "roles/iam.securityAdmin",
        "roles/iam.securityAuditor",
        "roles/iam.securityReviewer",
        "roles/iam.siteReliabilityEngineer",
        "roles/iam.supportUser",
        "roles/monitoring.admin",
        "roles/monitoring.editor",
        "roles/monitoring.viewer",
        "roles/owner",
        "roles/viewer",
      ]
    `);
  });
});

describe('malformed text is refused with the place', () => {
  test.each([
    ['a role of another file', 'role b.x GA X\n  b.y: z\n'],
    ['the same role twice', 'role a.x GA X\n  a.y: z\nrole a.x GA X\n'],
    ['no stage', 'role a.x X\n'],
    ['text before the first role', 'hello\nrole a.x GA X\n'],
  ])('%s', (_, text) => {
    expect(() => [...createCatalogue({ names: ['a'], read: () => text }).roles()]).toThrow('Role catalogue: a.txt');
  });

  test('a line that is none', () => {
    expect(() => createCatalogue({ names: ['a'], read: () => 'role a.x GA X\n  a.y z\n' }).has('roles/a.x', 'a.y.z')).toThrow('roles/a.x has the line');
  });

  test('an empty folder', () => {
    expect(() => loadCatalogue(new URL('cases/', import.meta.url))).toThrow('No role catalogue');
  });
});
