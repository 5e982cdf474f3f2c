/** Which role grants which permission from which level, as a table that a person can read and a diff shows: `golden.txt`, renewed with `-u`. */
import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { PolicySchema } from '../gen/google/iam/v1/policy_pb.js';
import { createAuthorizer } from './authorizer.ts';
import { loadCatalogue } from './catalogue.ts';

const JOB = '//run.googleapis.com/projects/demo/locations/us-central1/jobs/hello';
const ACCOUNT = '//iam.googleapis.com/projects/demo/serviceAccounts/x@demo.iam.gserviceaccount.com';
const PROJECT = '//cloudresourcemanager.googleapis.com/projects/demo';
const FOLDER = '//cloudresourcemanager.googleapis.com/folders/2';
const ORGANIZATION = '//cloudresourcemanager.googleapis.com/organizations/1';

/** What a permission is asked about. */
const PERMISSIONS: readonly (readonly [permission: string, resource: string])[] = [
  ...['create', 'delete', 'get', 'getIamPolicy', 'list', 'run', 'runWithOverrides', 'setIamPolicy', 'update'].map((verb) => [`run.jobs.${verb}`, JOB] as const),
  ...['executions.cancel', 'executions.get', 'operations.get', 'tasks.list'].map((kind) => [`run.${kind}`, `${JOB}/executions/e/tasks/t`] as const),
  ...['actAs', 'delete', 'getAccessToken', 'getOpenIdToken', 'implicitDelegation', 'setIamPolicy', 'signBlob', 'signJwt'].map(
    (verb) => [`iam.serviceAccounts.${verb}`, ACCOUNT] as const,
  ),
  ['iam.serviceAccountKeys.create', ACCOUNT],
  ['iam.roles.create', PROJECT],
  ['resourcemanager.projects.setIamPolicy', PROJECT],
  ['orgpolicy.policy.set', PROJECT],
  ['secretmanager.versions.access', PROJECT],
];
const ROLES = [
  'owner',
  'editor',
  'viewer',
  'browser',
  'run.admin',
  'run.developer',
  'run.viewer',
  'run.invoker',
  'run.jobsExecutor',
  'run.jobsExecutorWithOverrides',
  'run.serviceAgent',
  'iam.serviceAccountAdmin',
  'iam.serviceAccountUser',
  'iam.serviceAccountTokenCreator',
  'iam.serviceAccountKeyAdmin',
  'iam.workloadIdentityUser',
  'iam.roleAdmin',
  'iam.securityAdmin',
  'resourcemanager.projectIamAdmin',
  'orgpolicy.policyAdmin',
  'secretmanager.secretAccessor',
];

test('role, permission, and the levels from which a binding grants it: Organization, Folder, Project, Resource', async () => {
  const catalogue = loadCatalogue();
  const lines: string[] = [];
  for (const role of ROLES) {
    for (const [permission, resource] of PERMISSIONS) {
      let levels = '';
      for (const [letter, level] of [
        ['O', ORGANIZATION],
        ['F', FOLDER],
        ['P', PROJECT],
        ['R', resource.replace(/\/executions\/.*/, '')],
      ] as const) {
        const authorizer = createAuthorizer({
          catalogue,
          source: {
            policy: async (name) => (name === level ? create(PolicySchema, { bindings: [{ role: `roles/${role}`, members: ['user:a@example.com'] }] }) : undefined),
            project: async (id) => ({ projectId: id, number: '1', parent: 'folders/2' }),
            folder: async () => ({ parent: 'organizations/1' }),
          },
        });
        const decision = await authorizer.decide({ member: 'user:a@example.com', permission, resource });
        levels += decision.allowed ? letter : decision.unevaluatedRoles.length > 0 ? '?' : '-';
        const neighbour = resource === PROJECT ? PROJECT.replace('demo', 'other') : resource.replace('hello', 'other').replace('x@', 'y@');
        const elsewhere = await authorizer.decide({ member: 'user:a@example.com', permission, resource: neighbour });
        // A grant on the resource is none on its neighbour; one on the project is none on another project.
        if (letter === 'R') expect(elsewhere.allowed).toBe(false);
      }
      lines.push(`${`roles/${role}`.padEnd(40)}${permission.padEnd(42)}${levels}`);
    }
  }
  await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('golden.txt');
});
