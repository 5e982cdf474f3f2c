import { execFileSync } from 'node:child_process';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { loadCatalogue } from './catalogue.ts';
import { remedyFor, smallestRole } from './remedy.ts';

const catalogue = loadCatalogue();
const remedy = (permission: string, resource: string, member = 'user:dev@example.com') => remedyFor({ member, permission, resource }, catalogue);
const RUN = '//run.googleapis.com/projects/demo/locations/us-central1';
const ACCOUNT = 'hello-sa@demo.iam.gserviceaccount.com';

describe('the smallest role for the purpose', () => {
  test.each([
    ['iam.serviceAccounts.actAs', 'roles/iam.serviceAccountUser'],
    ['iam.serviceAccounts.getAccessToken', 'roles/iam.serviceAccountTokenCreator'],
    ['iam.serviceAccounts.signJwt', 'roles/iam.serviceAccountTokenCreator'],
    ['iam.serviceAccounts.getOpenIdToken', 'roles/iam.serviceAccountOpenIdTokenCreator'],
    ['iam.serviceAccounts.create', 'roles/iam.serviceAccountCreator'],
    ['iam.serviceAccounts.delete', 'roles/iam.serviceAccountDeleter'],
    ['iam.serviceAccounts.get', 'roles/iam.serviceAccountViewer'],
    ['iam.serviceAccounts.disable', 'roles/iam.serviceAccountAdmin'],
    ['iam.serviceAccounts.setIamPolicy', 'roles/iam.serviceAccountAdmin'],
    ['iam.serviceAccountKeys.create', 'roles/iam.serviceAccountKeyAdmin'],
    ['run.jobs.run', 'roles/run.invoker'],
    ['run.jobs.runWithOverrides', 'roles/run.jobsExecutorWithOverrides'],
    ['run.executions.cancel', 'roles/run.jobsExecutor'],
    ['run.jobs.create', 'roles/run.developer'],
    ['run.jobs.get', 'roles/run.viewer'],
    ['run.operations.get', 'roles/run.viewer'],
    ['run.jobs.setIamPolicy', 'roles/run.admin'],
    ['resourcemanager.projects.get', 'roles/browser'],
    ['resourcemanager.projects.create', 'roles/resourcemanager.projectCreator'],
    ['resourcemanager.projects.setIamPolicy', 'roles/resourcemanager.projectIamAdmin'],
    ['resourcemanager.organizations.setIamPolicy', 'roles/resourcemanager.organizationAdmin'],
    ['artifactregistry.repositories.downloadArtifacts', 'roles/artifactregistry.reader'],
    ['secretmanager.versions.access', 'roles/secretmanager.secretAccessor'],
    ['logging.logEntries.list', 'roles/logging.viewer'],
    ['storage.objects.get', 'roles/storage.objectViewer'],
    ['pubsub.topics.publish', 'roles/pubsub.publisher'],
    ['bigquery.jobs.create', 'roles/bigquery.jobUser'],
    ['resourcemanager.projects.undelete', 'roles/owner'],
    ['run.jobs.fly', undefined],
  ])('%s: %s', (permission, role) => {
    expect(smallestRole(permission, catalogue)).toBe(role);
  });

  test('always holds the permission, and is never a service agent', () => {
    const permissions = [...new Set([...catalogue.roles()].flatMap((role) => [...role.permissions]))];
    fc.assert(
      fc.property(fc.constantFrom(...permissions), (permission) => {
        const role = smallestRole(permission, catalogue);
        expect(role === undefined || catalogue.has(role, permission)).toBe(true);
        expect(role ?? '').not.toMatch(/serviceAgent$/i);
      }),
    );
  });
});

describe('the command', () => {
  test.each([
    [
      'iam.serviceAccounts.actAs',
      `//iam.googleapis.com/projects/demo/serviceAccounts/${ACCOUNT}`,
      `actas iam service-accounts add-iam-policy-binding ${ACCOUNT} --project=demo --member=user:dev@example.com --role=roles/iam.serviceAccountUser`,
    ],
    [
      'iam.serviceAccounts.actAs',
      `//iam.googleapis.com/projects/-/serviceAccounts/${ACCOUNT}`,
      `actas iam service-accounts add-iam-policy-binding ${ACCOUNT} --project=demo --member=user:dev@example.com --role=roles/iam.serviceAccountUser`,
    ],
    [
      'iam.serviceAccounts.get',
      '//iam.googleapis.com/projects/-/serviceAccounts/123456789012345678901',
      'actas iam service-accounts add-iam-policy-binding 123456789012345678901 --member=user:dev@example.com --role=roles/iam.serviceAccountViewer',
    ],
    [
      'iam.serviceAccounts.create',
      '//cloudresourcemanager.googleapis.com/projects/demo',
      'actas projects add-iam-policy-binding demo --member=user:dev@example.com --role=roles/iam.serviceAccountCreator',
    ],
    ['run.jobs.run', `${RUN}/jobs/hello`, 'actas run jobs add-iam-policy-binding hello --region=us-central1 --project=demo --member=user:dev@example.com --role=roles/run.invoker'],
    [
      'run.tasks.get',
      `${RUN}/jobs/hello/executions/e/tasks/t`,
      'actas run jobs add-iam-policy-binding hello --region=us-central1 --project=demo --member=user:dev@example.com --role=roles/run.viewer',
    ],
    ['run.jobs.create', RUN, 'actas projects add-iam-policy-binding demo --member=user:dev@example.com --role=roles/run.developer'],
    ['run.jobs.create', `${RUN}/jobs/new`, 'actas projects add-iam-policy-binding demo --member=user:dev@example.com --role=roles/run.developer'],
    ['run.executions.list', `${RUN}/jobs/-`, 'actas projects add-iam-policy-binding demo --member=user:dev@example.com --role=roles/run.viewer'],
    ['run.operations.get', `${RUN}/operations/o`, 'actas projects add-iam-policy-binding demo --member=user:dev@example.com --role=roles/run.viewer'],
    [
      'secretmanager.versions.access',
      '//secretmanager.googleapis.com/projects/demo/secrets/s/versions/1',
      'actas secrets add-iam-policy-binding s --project=demo --member=user:dev@example.com --role=roles/secretmanager.secretAccessor',
    ],
    [
      'resourcemanager.folders.get',
      '//cloudresourcemanager.googleapis.com/folders/12',
      'actas resource-manager folders add-iam-policy-binding 12 --member=user:dev@example.com --role=roles/resourcemanager.folderViewer',
    ],
    [
      'resourcemanager.tagValueBindings.create',
      '//cloudresourcemanager.googleapis.com/tagValues/56',
      'actas resource-manager tags values add-iam-policy-binding tagValues/56 --member=user:dev@example.com --role=roles/resourcemanager.tagUser',
    ],
    [
      'resourcemanager.organizations.get',
      '//cloudresourcemanager.googleapis.com/organizations/34',
      'actas organizations add-iam-policy-binding 34 --member=user:dev@example.com --role=roles/resourcemanager.organizationViewer',
    ],
  ])('%s on %s', (permission, resource, command) => {
    expect(remedy(permission, resource).command).toBe(command);
  });

  test('the sentence names what the policy belongs to', () => {
    expect(remedy('run.jobs.create', RUN).sentence).toBe('Ask someone who may set the policy of project demo to run:');
    expect(remedy('run.jobs.run', `${RUN}/jobs/hello`).sentence).toBe('Ask someone who may set the policy of job hello to run:');
  });

  test('no role, or nothing to set a policy on: a comment that says so', () => {
    expect(remedy('run.jobs.fly', RUN)).toEqual({
      sentence: 'No role that is known here holds run.jobs.fly. If Google has one, import it; a custom role may hold it too:',
      command: '# no command is known to grant run.jobs.fly',
    });
    expect(remedy('run.jobs.get', 'nonsense').command).toBe('# nonsense');
    expect(remedy('run.jobs.get', '//run.googleapis.com/projects/-').command).toMatch(/^#/);
  });

  test('what only roles of service agents hold: a custom role', () => {
    expect(remedy('compute.disks.use', '//cloudresourcemanager.googleapis.com/projects/demo')).toEqual({
      sentence: 'No predefined role for people holds compute.disks.use. Ask someone who may create roles to make one that does, and to grant it:',
      command: 'actas iam roles create ROLE_ID --project=demo --permissions=compute.disks.use',
    });
    expect(remedy('compute.disks.use', '//cloudresourcemanager.googleapis.com/folders/1').command).toMatch(/^#/);
  });

  test('a name that looks like a flag stays a name', () => {
    expect(remedy('run.jobs.get', `${RUN}/jobs/--role=roles`).command).toBe(
      'actas run jobs add-iam-policy-binding --region=us-central1 --project=demo --member=user:dev@example.com --role=roles/run.viewer -- --role=roles',
    );
  });

  test('whatever the caller wrote, a shell reads it back as it was', () => {
    const word = fc
      .string({ unit: 'binary', minLength: 1, maxLength: 20 })
      .map((text) => text.replaceAll('\0', '').replaceAll('/', ''))
      .filter((text) => text !== '' && text !== '-' && text.isWellFormed());
    fc.assert(
      fc.property(word, word, (job, name) => {
        const { sentence, command } = remedy('run.jobs.get', `${RUN}/jobs/${job}`, `user:${name}`);
        expect(sentence + command).not.toMatch(/\p{Cc}/u);
        const words = execFileSync('bash', ['-c', `actas() { printf '%s\\0' "$@"; }; ${command}`], { encoding: 'utf8', env: { ...process.env, LC_ALL: 'C.UTF-8' } }).split('\0');
        expect(words).toContain(job);
        expect(words).toContain(`--member=user:${name}`);
      }),
      {
        numRuns: 60,
        examples: [
          ["a'b; rm -rf ~", '$(id)'],
          ['\u001b[2J\\x', '`id`\n!'],
          ['=ls', '\u202Eevil'],
          ['\u0001f', "\u0007'"],
        ],
      },
    );
  });
});
