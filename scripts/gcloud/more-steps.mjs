/**
 * Commands of a real gcloud beyond those of a job's everyday life: executions and tasks, the alpha and beta tracks, keys, roles, deny and organization policies,
 * workload identity, tokens, impersonation and a login as a service account. A word like `{execution}` stands for what an earlier step kept.
 */
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';

const IMAGE = 'us-docker.pkg.dev/cloudrun/container/job:latest';
const SA = 'steps-sa@demo.iam.gserviceaccount.com';
const ORG = '--organization=111111111111';
const CONSTRAINT = 'iam.disableServiceAccountKeyUpload';

/**
 * @typedef {object} Step
 * @property {string[]} args
 * @property {RegExp} expected
 * @property {boolean} [fails]
 * @property {string} [keep] under which name its output is kept
 */

/** @param {string[]} args @param {RegExp} [expected] @param {{fails?: boolean, keep?: string}} [more] @returns {Step} */
const step = (args, expected = /^/, more = {}) => ({ args, expected, ...more });

/** @param {string} dir for files @returns {readonly Step[]} */
export function moreSteps(dir) {
  return [...jobSteps(dir), ...accountSteps(dir), ...roleSteps(dir), ...denySteps(dir), ...orgPolicySteps(dir), ...poolSteps(), ...tokenSteps()];
}

function jobSteps(dir) {
  const jobs = ['run', 'jobs'];
  writeFileSync(join(dir, 'job-policy.yaml'), 'bindings:\n- members:\n  - user:dev@example.com\n  role: roles/run.viewer\n');
  return [
    step([...jobs, 'deploy', 'deployed', `--image=${IMAGE}`, '--tasks=2', '--parallelism=1'], /has successfully been deployed/),
    step([...jobs, 'deploy', 'deployed', `--image=${IMAGE}`, '--update-env-vars=A=b'], /has successfully been deployed/),
    step(['beta', ...jobs, 'create', 'in-beta', `--image=${IMAGE}`], /successfully been created/),
    step(['alpha', ...jobs, 'create', 'in-alpha', `--image=${IMAGE}`], /successfully been created/),
    step(['beta', ...jobs, 'list'], /in-alpha[\s\S]*in-beta|in-beta[\s\S]*in-alpha/),
    step(['alpha', ...jobs, 'describe', 'in-alpha', '--format=value(metadata.name)'], /^in-alpha$/m),
    step(['beta', ...jobs, 'update', 'in-beta', '--max-retries=0'], /successfully been updated/),
    step(['alpha', ...jobs, 'delete', 'in-alpha'], /Deleted job/),
    step([...jobs, 'execute', 'deployed', '--wait', '--format=value(metadata.name)'], /deployed-\w{5}/, { keep: 'execution' }),
    step([...jobs, 'executions', 'describe', '{execution}'], /2 tasks completed successfully/),
    step(['beta', ...jobs, 'executions', 'list', '--job=deployed'], /\{execution\}/),
    step([...jobs, 'executions', 'tasks', 'list', '--execution={execution}'], /\{execution\}-task1/),
    step([...jobs, 'executions', 'tasks', 'list', '--execution={execution}', '--completed'], /\{execution\}-task0/),
    step([...jobs, 'executions', 'tasks', 'describe', '{execution}-task0'], /\{execution\}-task0/),
    step(['beta', ...jobs, 'logs', 'read', 'deployed', '--limit=5']),
    step(['logging', 'read', 'resource.type=cloud_run_job', '--limit=5']),
    step([...jobs, 'executions', 'delete', '{execution}'], /Deleted execution/),
    step([...jobs, 'update', 'deployed', '--update-env-vars=FAKE_DURATION_MS=60000'], /successfully/),
    step([...jobs, 'execute', 'deployed', '--async', '--format=value(metadata.name)'], /deployed-\w{5}/, { keep: 'running' }),
    step([...jobs, 'executions', 'cancel', '{running}'], /Cancelled execution/),
    step([...jobs, 'set-iam-policy', 'deployed', join(dir, 'job-policy.yaml')], /roles\/run.viewer/),
    step([...jobs, 'remove-iam-policy-binding', 'deployed', '--member=user:dev@example.com', '--role=roles/run.viewer'], /Updated IAM policy/),
  ];
}

function accountSteps(dir) {
  const accounts = ['iam', 'service-accounts'];
  const key = join(dir, 'key.json');
  return [
    step([...accounts, 'create', 'steps-sa', '--display-name=Steps'], /Created service account/),
    step([...accounts, 'list'], /steps-sa@demo/),
    step([...accounts, 'describe', SA], /displayName: Steps/),
    step([...accounts, 'update', SA, '--display-name=Other'], /displayName: Other/),
    step([...accounts, 'disable', SA], /Disabled service account/),
    step([...accounts, 'enable', SA], /Enabled service account/),
    step([...accounts, 'add-iam-policy-binding', SA, '--member=user:owner@example.com', '--role=roles/iam.serviceAccountTokenCreator'], /serviceAccountTokenCreator/),
    step([...accounts, 'get-iam-policy', SA], /serviceAccountTokenCreator/),
    step([...accounts, 'remove-iam-policy-binding', SA, '--member=user:nobody@example.com', '--role=roles/viewer'], /not found/, { fails: true }),
    step([...accounts, 'keys', 'create', key, `--iam-account=${SA}`], /created key \[\w+\]/),
    step([...accounts, 'keys', 'list', `--iam-account=${SA}`, '--managed-by=user', '--format=value(name.basename())'], /^\w{40}$/m, { keep: 'key' }),
    step([...accounts, 'keys', 'disable', '{key}', `--iam-account=${SA}`], /Disabled key/),
    step([...accounts, 'keys', 'enable', '{key}', `--iam-account=${SA}`], /Enabled key/),
    step(['iam', 'list-testable-permissions', '//cloudresourcemanager.googleapis.com/projects/demo', '--filter=name:run.jobs.run'], /run\.jobs\.run/),
    step(['iam', 'list-grantable-roles', '//cloudresourcemanager.googleapis.com/projects/demo', '--filter=name:roles/run.developer'], /roles\/run\.developer/),
    step(['projects', 'describe', 'demo'], /projectNumber: '123456789012'/),
    step(['projects', 'list'], /demo/),
    step(['projects', 'add-iam-policy-binding', 'demo', '--member=user:dev@example.com', '--role=roles/browser', '--condition=None'], /roles\/browser/),
    step(['projects', 'remove-iam-policy-binding', 'demo', '--member=user:dev@example.com', '--role=roles/browser'], /Updated IAM policy/),
    step(['projects', 'get-ancestors-iam-policy', 'demo'], /roles\/run\.serviceAgent/),
    step(['organizations', 'list'], /example\.com/),
    step(['organizations', 'get-iam-policy', '111111111111'], /roles\/owner/),
    step(['resource-manager', 'folders', 'get-iam-policy', '222222222222'], /etag/),
  ];
}

function roleSteps(dir) {
  const file = join(dir, 'role.yaml');
  writeFileSync(file, 'title: From a file\nstage: GA\nincludedPermissions: [run.jobs.get]\n');
  const roles = ['iam', 'roles'];
  return [
    step([...roles, 'create', 'steps', '--project=demo', '--title=Steps', '--permissions=run.jobs.run,run.jobs.get', '--stage=GA'], /Created role \[steps\]/),
    step([...roles, 'create', 'byFile', '--project=demo', `--file=${file}`], /Created role \[byFile\]/),
    step([...roles, 'describe', 'steps', '--project=demo'], /run\.jobs\.run/),
    step([...roles, 'describe', 'roles/run.invoker'], /run\.jobs\.run/),
    step([...roles, 'list', '--project=demo'], /projects\/demo\/roles\/steps/),
    step([...roles, 'update', 'steps', '--project=demo', '--add-permissions=run.jobs.list'], /run\.jobs\.list/),
    step([...roles, 'delete', 'steps', '--project=demo'], /deleted: true/),
    step([...roles, 'list', '--project=demo', '--show-deleted'], /projects\/demo\/roles\/steps/),
    step([...roles, 'undelete', 'steps', '--project=demo'], /title: Steps/),
  ];
}

function denySteps(dir) {
  const file = join(dir, 'deny.json');
  const rule = { deniedPrincipals: ['principal://goog/subject/x@example.com'], deniedPermissions: ['run.googleapis.com/jobs.delete'] };
  writeFileSync(file, JSON.stringify({ displayName: 'Steps', rules: [{ denyRule: rule }] }));
  const at = ['--attachment-point=cloudresourcemanager.googleapis.com/projects/demo', '--kind=denypolicies'];
  const policies = ['iam', 'policies'];
  return [
    step([...policies, 'create', 'steps', ...at, `--policy-file=${file}`]),
    step([...policies, 'list', ...at], /denypolicies\/steps/),
    step([...policies, 'get', 'steps', ...at], /jobs\.delete/),
    step([...policies, 'delete', 'steps', ...at]),
    step([...policies, 'get', 'steps', ...at], /./, { fails: true }),
  ];
}

function orgPolicySteps(dir) {
  const v1 = ['resource-manager', 'org-policies'];
  const [boolean, list] = [`constraints/${CONSTRAINT}`, 'constraints/gcp.resourceLocations'];
  const file = join(dir, 'org-policy.yaml');
  writeFileSync(file, `name: projects/demo/policies/${CONSTRAINT}\nspec:\n  rules:\n  - enforce: true\n`);
  const custom = join(dir, 'constraint.yaml');
  writeFileSync(
    custom,
    `name: organizations/111111111111/customConstraints/custom.stepsJobs\nresourceTypes: [run.googleapis.com/Job]\nmethodTypes: [CREATE]\ncondition: "resource.metadata.name == 'never'"\nactionType: DENY\ndisplayName: Steps\n`,
  );
  return [
    step([...v1, 'enable-enforce', boolean, '--project=demo'], /enforced: true/),
    step([...v1, 'describe', boolean, '--project=demo', '--effective'], /enforced: true/),
    step([...v1, 'list', '--project=demo'], new RegExp(CONSTRAINT)),
    step([...v1, 'disable-enforce', boolean, '--project=demo'], /booleanPolicy: \{\}/),
    step([...v1, 'delete', boolean, '--project=demo'], /Deleted/),
    step([...v1, 'allow', list, 'in:us-locations', '--project=demo'], /in:us-locations/),
    step([...v1, 'deny', list, 'in:eu-locations', '--folder=222222222222'], /in:eu-locations/),
    step([...v1, 'delete', list, '--project=demo'], /Deleted/),
    step([...v1, 'delete', list, '--folder=222222222222'], /Deleted/),
    step([...v1, 'list', '--project=demo', '--show-unset'], /gcp\.resourceLocations/),
    step(['org-policies', 'set-policy', file], /enforce: true/),
    step(['org-policies', 'describe', CONSTRAINT, '--project=demo', '--effective'], /enforce: true/),
    step(['org-policies', 'list', '--project=demo'], new RegExp(CONSTRAINT)),
    step(['org-policies', 'reset', CONSTRAINT, '--project=demo'], /reset: true/),
    step(['org-policies', 'delete', CONSTRAINT, '--project=demo'], /Deleted policy/),
    step(['org-policies', 'set-custom-constraint', custom], /custom\.stepsJobs/),
    step(['org-policies', 'describe-custom-constraint', 'custom.stepsJobs', ORG], /displayName: Steps/),
    step(['org-policies', 'list-custom-constraints', ORG], /custom\.stepsJobs/),
    step(['org-policies', 'delete-custom-constraint', 'custom.stepsJobs', ORG], /Deleted custom constraint/),
  ];
}

function poolSteps() {
  const pools = ['iam', 'workload-identity-pools'];
  const at = ['--location=global'];
  const inPool = [...at, '--workload-identity-pool=steps-pool'];
  return [
    step([...pools, 'create', 'steps-pool', ...at, '--display-name=Steps'], /Created workload identity pool/),
    step([...pools, 'list', ...at], /steps-pool/),
    step([...pools, 'describe', 'steps-pool', ...at], /displayName: Steps/),
    step([...pools, 'update', 'steps-pool', ...at, '--description=x'], /Updated workload identity pool/),
    step(
      [...pools, 'providers', 'create-oidc', 'steps-ci', ...inPool, '--issuer-uri=https://issuer.example.com', '--attribute-mapping=google.subject=assertion.sub'],
      /Created workload identity pool provider/,
    ),
    step([...pools, 'providers', 'list', ...inPool], /steps-ci/),
    step([...pools, 'providers', 'describe', 'steps-ci', ...inPool], /issuer\.example\.com/),
    step([...pools, 'providers', 'update-oidc', 'steps-ci', ...inPool, '--allowed-audiences=me'], /Updated workload identity pool provider/),
    step([...pools, 'providers', 'delete', 'steps-ci', ...inPool], /Deleted workload identity pool provider/),
    step([...pools, 'delete', 'steps-pool', ...at], /Deleted workload identity pool/),
    step([...pools, 'undelete', 'steps-pool', ...at], /done: true/),
  ];
}

function tokenSteps() {
  const as = `--impersonate-service-account=${SA}`;
  return [
    step(['projects', 'add-iam-policy-binding', 'demo', `--member=serviceAccount:${SA}`, '--role=roles/run.viewer', '--condition=None'], /roles\/run\.viewer/),
    step(['auth', 'print-access-token', as], /^\S{20,}$/m),
    step(['auth', 'print-identity-token', as, '--audiences=https://example.com', '--include-email'], /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/m),
    step(['run', 'jobs', 'list', as], /deployed/),
    step(['run', 'jobs', 'delete', 'deployed', as], /PERMISSION_DENIED/, { fails: true }),
    step(['services', 'enable', 'pubsub.googleapis.com']),
    step(['services', 'list', '--enabled'], /pubsub\.googleapis\.com/),
  ];
}

/** Without the token that gcloud was given: the key file of the account says who it is. @param {string} dir @returns {readonly Step[]} */
export function loginSteps(dir) {
  return [
    step(['auth', 'activate-service-account', `--key-file=${join(dir, 'key.json')}`], /Activated service account credentials/),
    step(['auth', 'list'], /\* +steps-sa@demo/),
    step(['auth', 'print-access-token'], /^\S{20,}$/m),
    step(['auth', 'print-identity-token', '--audiences=https://example.com'], /^eyJ/m),
    step(['run', 'jobs', 'list'], /deployed/),
    step(['run', 'jobs', 'delete', 'deployed'], /PERMISSION_DENIED/, { fails: true }),
    step(['iam', 'service-accounts', 'keys', 'delete', '{key}', `--iam-account=${SA}`], /PERMISSION_DENIED/, { fails: true }),
    step(['auth', 'revoke', SA], /Revoked credentials/),
  ];
}

/**
 * Runs steps in their order, and says how each went.
 * @param {readonly Step[]} steps
 * @param {readonly string[]} command what comes before a step's words
 * @param {Record<string, string | undefined>} env
 * @param {Map<string, string>} kept
 * @returns {{passed: number, failed: number}}
 */
export function runSteps(steps, [program, ...before], env, kept = new Map()) {
  const fill = (text) => text.replaceAll(/\{(\w+)\}/g, (whole, name) => kept.get(name) ?? whole);
  const counts = { passed: 0, failed: 0 };
  for (const { args, expected, fails, keep } of steps) {
    const words = args.map(fill);
    const run = spawnSync(program, [...before, ...words], { encoding: 'utf8', env, timeout: 120_000 });
    const wanted = new RegExp(fill(expected.source.replaceAll(/\\([{}])/g, '$1')), expected.flags);
    const good = (run.status === 0) !== (fails === true) && wanted.test(`${run.stdout}${run.stderr}`);
    counts[good ? 'passed' : 'failed'] += 1;
    if (keep !== undefined) kept.set(keep, run.stdout.trim());
    console.log(
      `${good ? 'ok  ' : 'FAIL'} gcloud ${words.join(' ')}${good ? '' : `\n  exit ${run.status}, wanted ${wanted}:\n${`${run.stdout}${run.stderr}`.replaceAll(/^/gm, '    ')}`}`,
    );
  }
  return counts;
}
