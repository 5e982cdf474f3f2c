/**
 * Runs a real `gcloud` against a control plane of its own, through the commands that people use for jobs, and says what passed: once over TLS as `actas gcloud`
 * does it, with no endpoint overridden, and once in the clear with overrides. Needs a gcloud on the PATH; without one it says so, counts the suite as
 * skipped, and succeeds. Nothing is sent elsewhere: the proxy that gcloud is given is the control plane. Then the same flags and formats are given to gcloud
 * and to `actas`, and must come to the same (gcloud-differential.mjs).
 * `--only=REGEXP` runs those comparisons alone whose name it matches; `--seed=N` chooses the generated ones.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { loginSteps, moreSteps, runSteps } from './gcloud/more-steps.mjs';
import { compareFlags, compareFormats, compareJobs } from './gcloud-differential.mjs';
import { node, root } from './prepare.mjs';
import { loggingSteps } from './test-gcloud-logging.mjs';
import { secretSteps } from './test-gcloud-secrets.mjs';

const APIS = ['run', 'iam', 'cloudresourcemanager', 'logging', 'orgpolicy', 'serviceusage', 'iamcredentials', 'policytroubleshooter', 'secretmanager'];
const IMAGE = 'us-docker.pkg.dev/cloudrun/container/job:latest';

const found = spawnSync('gcloud', ['version', '--format=value("Google Cloud SDK")'], { encoding: 'utf8' });
if (found.status !== 0) {
  console.log('gcloud is not on the PATH: this suite is skipped.\n0 passed, 0 failed, 1 skipped');
  process.exit(0);
}
let dir = '';
let failed = 0;
let passed = 0;
const only = process.argv.find((word) => word.startsWith('--only='))?.slice('--only='.length);
const seed = Number(process.argv.find((word) => word.startsWith('--seed='))?.slice('--seed='.length) ?? 1);
if (only === undefined) for (const way of ['tls', 'clear']) await suite(way);
await differential();
console.log(`gcloud ${found.stdout.trim()}`);
console.log(`${passed} passed, ${failed} failed`);
process.exit(failed === 0 ? 0 : 1);

/** The same command lines for gcloud and for `actas`, against one control plane. */
async function differential() {
  console.log('The same flags and formats, given to gcloud and to actas:');
  await withControlPlane(async ({ actas, dataDir, server, readyFile }) => {
    const env = { ...(await environment(server, dataDir, readyFile, 'tls')), ACTAS_DATA_DIR: dataDir };
    const { url } = JSON.parse(readFileSync(readyFile, 'utf8'));
    const report = (good, what, more = '') => {
      if (good) passed += 1;
      else failed += 1;
      console.log(`${good ? 'ok  ' : 'FAIL'} ${what}${more === '' ? '' : `\n${more.replace(/^/gm, '    ')}`}`);
    };
    const token = readFileSync(join(dataDir, 'owner-token'), 'utf8').trim();
    const world = { gcloud: [node, actas, 'gcloud', `--data-dir=${dataDir}`], actas: [node, actas], env, dir, url, token, seed, only: new RegExp(only ?? ''), report };
    await compareFlags(world);
    await compareJobs(world);
    await compareFormats(world);
  });
}

/** Starts a control plane of its own, and takes everything away afterwards. */
async function withControlPlane(use) {
  dir = mkdtempSync(join(tmpdir(), 'actas-gcloud-'));
  const dataDir = join(dir, 'data');
  const readyFile = join(dir, 'ready.json');
  const actas = join(root, 'bin', 'actas.js');
  const server = spawn(node, [actas, 'up', '--driver=fake', '--port=0', `--data-dir=${dataDir}`, `--ready-file=${readyFile}`, '--log-level=warn'], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  try {
    await use({ actas, dataDir, server, readyFile });
  } finally {
    server.kill('SIGTERM');
    await new Promise((resolve) => server.once('exit', resolve));
    rmSync(dir, { recursive: true, force: true });
  }
}

/** @param {string} way `tls`: through `actas gcloud`; `clear`: with overrides */
async function suite(way) {
  console.log(way === 'tls' ? 'Over TLS, no endpoint overridden (actas gcloud):' : 'In the clear, with overrides:');
  await withControlPlane(async ({ actas, dataDir, server, readyFile }) => {
    const env = await environment(server, dataDir, readyFile, way);
    const [command, ...before] = way === 'tls' ? [node, actas, 'gcloud', `--data-dir=${dataDir}`] : ['gcloud'];
    for (const [name, args, expected, fails] of process.argv[2] === 'secrets' ? secretSteps(dir) : [...(await steps()), ...secretSteps(dir)]) {
      const run = spawnSync(command, [...before, ...args], { encoding: 'utf8', env, timeout: 120_000 });
      const text = `${run.stdout}${run.stderr}`;
      const good = (run.status === 0) !== (fails === true) && expected.test(text);
      if (good) passed += 1;
      else failed += 1;
      console.log(
        `${good ? 'ok  ' : 'FAIL'} gcloud ${args.join(' ')}${good ? '' : `\n  exit ${run.status}, wanted ${name} (${expected.source}):\n${text.replace(/^/gm, '    ')}`}`,
      );
      if (args.includes('--format=export')) writeFileSync(join(dir, 'job.yaml'), run.stdout.replace('taskCount: 3', 'taskCount: 2'));
    }
    const kept = new Map();
    count(runSteps(moreSteps(dir), [command, ...before], env, kept));
    // A token that is given would say who calls, whoever logged in.
    const alone = way === 'tls' ? [node, actas, 'exec', `--data-dir=${dataDir}`, '--'] : [];
    count(runSteps(loginSteps(dir), [...alone, 'env', '-u', 'CLOUDSDK_AUTH_ACCESS_TOKEN', 'gcloud'], env, kept));
  });
}

function count(counts) {
  passed += counts.passed;
  failed += counts.failed;
}

/** What both have in common keeps gcloud from asking. */
async function environment(server, dataDir, readyFile, way) {
  for (let i = 0; !existsSync(readyFile); i += 1) {
    if (i > 240 || server.exitCode !== null) throw new Error('the control plane did not start');
    await delay(250);
  }
  const quiet = { ...process.env, CLOUDSDK_CORE_DISABLE_PROMPTS: '1', CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API: 'false' };
  if (way === 'tls') return quiet;
  const { hostname, port } = new URL(JSON.parse(readFileSync(readyFile, 'utf8')).url);
  const overrides = APIS.map((api) => [`CLOUDSDK_API_ENDPOINT_OVERRIDES_${api.toUpperCase()}`, `http://${api}.googleapis.com/`]);
  return {
    ...quiet,
    ...Object.fromEntries(overrides),
    CLOUDSDK_CONFIG: join(dir, 'gcloud'),
    CLOUDSDK_CORE_PROJECT: 'demo',
    CLOUDSDK_RUN_REGION: 'us-central1',
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: '1',
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: '1',
    CLOUDSDK_PROXY_TYPE: 'http',
    CLOUDSDK_PROXY_ADDRESS: hostname,
    CLOUDSDK_PROXY_PORT: port,
    // ID tokens by impersonation go past gcloud's own settings.
    http_proxy: `http://${hostname}:${port}`,
    CLOUDSDK_AUTH_ACCESS_TOKEN: readFileSync(join(dataDir, 'owner-token'), 'utf8').trim(),
  };
}

/**
 * What is shown, the command, what its output must say, and whether it must fail.
 * @returns {Promise<[string, string[], RegExp, boolean?][]>}
 */
async function steps() {
  const jobs = ['run', 'jobs'];
  const account = 'hello-sa@demo.iam.gserviceaccount.com';
  return [
    ['a job', [...jobs, 'create', 'hello', `--image=${IMAGE}`, '--set-env-vars=A=b', '--tasks=3', '--max-retries=1'], /has successfully been created/],
    ['a second one is refused', [...jobs, 'create', 'hello', `--image=${IMAGE}`], /already exists/, true],
    ['the job', [...jobs, 'describe', 'hello'], /Tasks: +3[\s\S]*123456789012-compute@developer/],
    ['the list', [...jobs, 'list'], /hello +us-central1/],
    ['a run that is waited for', [...jobs, 'execute', 'hello', '--wait'], /has successfully completed/],
    ['a run with overrides', [...jobs, 'execute', 'hello', '--wait', '--tasks=1', '--update-env-vars=A=c'], /has successfully completed/],
    ['executions', [...jobs, 'executions', 'list', '--job=hello'], /3 \/ 3/],
    ['YAML', [...jobs, 'describe', 'hello', '--format=export'], /taskCount: 3/],
    ['YAML that is taken back', [...jobs, 'replace', join(dir, 'job.yaml')], /has been successfully updated/],
    ['what the YAML changed', [...jobs, 'describe', 'hello', '--format=value(spec.template.spec.taskCount)'], /^2$/m],
    ['a denial with its remedy', [...jobs, 'update', 'hello', `--service-account=${account}`], /PERMISSION_DENIED: Permission 'iam.serviceaccounts.actAs' denied/, true],
    ['an account', ['iam', 'service-accounts', 'create', 'hello-sa', '--display-name=Hello'], /Created service account \[hello-sa\]/],
    ['another identity', [...jobs, 'update', 'hello', `--service-account=${account}`], /successfully/],
    [
      'a grant on the account',
      ['iam', 'service-accounts', 'add-iam-policy-binding', account, '--member=user:dev@example.com', '--role=roles/iam.serviceAccountUser'],
      /roles\/iam.serviceAccountUser/,
    ],
    ['a grant on the job', [...jobs, 'add-iam-policy-binding', 'hello', '--member=user:dev@example.com', '--role=roles/run.invoker'], /roles\/run.invoker/],
    ["the job's policy", [...jobs, 'get-iam-policy', 'hello'], /user:dev@example.com/],
    ["the project's policy", ['projects', 'get-iam-policy', 'demo'], /roles\/run.serviceAgent/],
    ['logs', [...jobs, 'logs', 'read', 'hello', '--log-filter=severity>=INFO'], /^/],
    ['regions', ['run', 'regions', 'list'], /us-central1/],
    ['the end of the job', [...jobs, 'delete', 'hello'], /Deleted job \[hello\]/],
    ['that it is gone', [...jobs, 'describe', 'hello'], /Cannot find job \[hello\]/, true],
    ...hierarchySteps(),
    ...loggingSteps(),
  ];
}

/**
 * Folders, projects, liens, tags and services.
 * @returns {[string, string[], RegExp, boolean?][]}
 */
function hierarchySteps() {
  const tags = ['resource-manager', 'tags'];
  const resource = '--parent=//cloudresourcemanager.googleapis.com/projects/demo';
  return [
    ['a project with its services', ['projects', 'create', 'from-gcloud', '--organization=111111111111'], /Enabling service \[cloudapis.googleapis.com\]/],
    ['what it lies in', ['projects', 'get-ancestors', 'from-gcloud'], /111111111111 +organization/],
    ['another place for it', ['beta', 'projects', 'move', 'from-gcloud', '--folder=222222222222'], /Updated/],
    ['the new place', ['projects', 'get-ancestors', 'from-gcloud'], /222222222222 +folder/],
    ['a folder', ['resource-manager', 'folders', 'create', '--display-name=Data', '--organization=111111111111'], /Created[\s\S]*displayName: 'Data'/],
    ['a name that is taken', ['resource-manager', 'folders', 'create', '--display-name=Data', '--organization=111111111111'], /violates display name uniqueness/, true],
    ['a lien', ['alpha', 'resource-manager', 'liens', 'create', '--restrictions=resourcemanager.projects.delete', '--reason=x', '--origin=me', '--project=from-gcloud'], /^/],
    ['the list of liens', ['alpha', 'resource-manager', 'liens', 'list', '--project=from-gcloud'], /^p\d+-l/m],
    ['a deletion that it refuses', ['projects', 'delete', 'from-gcloud'], /Remove the lien to allow deletion/, true],
    ['a tag key', [...tags, 'keys', 'create', 'env', '--parent=organizations/111111111111'], /namespacedName: 111111111111\/env/],
    ['a tag value', [...tags, 'values', 'create', 'prod', '--parent=111111111111/env'], /shortName: prod/],
    ['a tag on a project', [...tags, 'bindings', 'create', '--tag-value=111111111111/env/prod', resource], /tagValueNamespacedName: 111111111111\/env\/prod/],
    ['its tags', [...tags, 'bindings', 'list', resource, '--effective'], /namespacedTagValue: 111111111111\/env\/prod/],
    ['a value that is in use', [...tags, 'values', 'delete', '111111111111/env/prod'], /still attached to resources/, true],
    ['the tag taken off', [...tags, 'bindings', 'delete', '--tag-value=111111111111/env/prod', resource], /done: true/],
    ['the value deleted', [...tags, 'values', 'delete', '111111111111/env/prod'], /done/],
    [
      'why somebody has a permission',
      ['policy-troubleshoot', 'iam', resource.slice('--parent='.length), '--principal-email=owner@example.com', '--permission=run.jobs.run'],
      /access: GRANTED/,
    ],
    [
      'the same with deny policies',
      ['policy-intelligence', 'troubleshoot-policy', 'iam', resource.slice('--parent='.length), '--principal-email=dev@elsewhere.example', '--permission=run.jobs.run'],
      /overallAccessState: CANNOT_ACCESS/,
    ],
    ['services', ['services', 'enable', 'secretmanager.googleapis.com'], /^/],
    ['the list of services', ['services', 'list'], /secretmanager.googleapis.com/],
  ];
}
