/** The ways that are commands: `actas`, `actas` with YAML files, and a real gcloud. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse, stringify } from 'yaml';
import { run } from '../../src/cli/test-shell.ts';
import type { TestServer } from '../harness/server.ts';
import { type Answer, IMAGE, OWNER, PROJECT, REGION, type Way } from './way.ts';

/** @param as a member @param stdin what the command reads where its file is `-` */
type Run = (words: readonly string[], as?: string, stdin?: string) => Promise<Answer & { readonly out: string }>;

const JOBS = ['run', 'jobs'];
const onPolicy = (on: string) => {
  const [, project = '', , email] = on.split('/');
  return email === undefined ? { group: ['projects'], target: [project] } : { group: ['iam', 'service-accounts'], target: [email, `--project=${project}`] };
};

/** gcloud's grammar, which both programs speak. */
function commandWay(name: string, exec: Run): Way {
  return {
    name,
    createAccount: ({ project, id }) => exec(['iam', 'service-accounts', 'create', id, `--project=${project}`]),
    createRole: (project, id, permission) => exec(['iam', 'roles', 'create', id, `--project=${project}`, `--title=${id}`, `--permissions=${permission}`, '--stage=GA']),
    grant(on, member, role) {
      const { group, target } = onPolicy(on);
      return exec([...group, 'add-iam-policy-binding', ...target, `--member=${member}`, `--role=${role}`]);
    },
    createJob: (job, account, as) => exec([...JOBS, 'create', job, `--image=${IMAGE}`, ...(account === undefined ? [] : [`--service-account=${account}`])], as),
    updateJob: (job, account, as) => exec([...JOBS, 'update', job, `--service-account=${account}`], as),
    replaceJob: (job, account, as) => replaceJob(exec, job, account, as),
    execute: (job, as) => exec([...JOBS, 'execute', job], as),
    listJobs: (as) => exec([...JOBS, 'list', `--region=${REGION}`], as),
    async accountOf(job) {
      const { ok, out } = await exec([...JOBS, 'describe', job, '--format=export']);
      return { ok, text: /serviceAccountName: (\S+)/.exec(out)?.[1] ?? '' };
    },
    async isEnforced(project, constraint) {
      const { ok, out } = await exec(['resource-manager', 'org-policies', 'describe', constraint, `--project=${project}`, '--effective', '--format=json']);
      return { ok, text: String(/"enforced": true/.test(out)) };
    },
    disableEnforce: (project, constraint) => exec(['resource-manager', 'org-policies', 'disable-enforce', constraint, `--project=${project}`]),
  };
}

async function replaceJob(exec: Run, job: string, account: string, as: string): Promise<Answer> {
  const { ok, text, out } = await exec([...JOBS, 'describe', job, '--format=export'], as);
  return ok ? exec([...JOBS, 'replace', '-'], as, out.replace(/serviceAccountName: \S+/, `serviceAccountName: ${account}`)) : { ok, text };
}

function actas(server: TestServer): Run {
  return async (words, as = OWNER, stdin = '') => {
    const { code, out, err } = await run([...words, `--as=${as}`], { env: { ACTAS_DATA_DIR: server.dataDir }, stdin });
    return { ok: code === 0, text: `${out}${err}`, out };
  };
}

export function cliWay(server: TestServer): Way {
  return commandWay('actas', actas(server));
}

/** Everything that can be said by a file is: jobs, allow policies, organization policies, roles. */
export function yamlWay(server: TestServer): Way {
  const exec = actas(server);
  const created = (job: string, account: string | undefined) =>
    stringify({
      apiVersion: 'run.googleapis.com/v1',
      kind: 'Job',
      metadata: { name: job },
      spec: { template: { spec: { template: { spec: { containers: [{ image: IMAGE }], ...(account === undefined ? {} : { serviceAccountName: account }) } } } } },
    });
  return {
    ...commandWay('YAML', exec),
    createRole: (project, id, permission) =>
      exec(['iam', 'roles', 'create', id, `--project=${project}`, '--file=-'], OWNER, stringify({ title: id, stage: 'GA', includedPermissions: [permission] })),
    async grant(on, member, role) {
      const { group, target } = onPolicy(on);
      const read = await exec([...group, 'get-iam-policy', ...target, '--format=yaml']);
      if (!read.ok) return read;
      const policy: { bindings?: object[] } = parse(read.out);
      const [name = '', ...flags] = target;
      return exec([...group, 'set-iam-policy', name, '-', ...flags], OWNER, stringify({ ...policy, bindings: [...(policy.bindings ?? []), { role, members: [member] }] }));
    },
    createJob: (job, account, as) => exec([...JOBS, 'replace', '-'], as, created(job, account)),
    updateJob: (job, account, as) => replaceJob(exec, job, account, as),
    disableEnforce: (project, constraint) =>
      exec(['org-policies', 'set-policy', '-'], OWNER, stringify({ name: `projects/${project}/policies/${constraint}`, spec: { rules: [{ enforce: false }] } })),
  };
}

/** Whether there is a gcloud to run. */
export function hasGcloud(): boolean {
  return spawnSync('gcloud', ['version'], { stdio: 'ignore' }).status === 0;
}

const APIS = ['run', 'iam', 'cloudresourcemanager', 'logging', 'orgpolicy', 'serviceusage', 'iamcredentials', 'policytroubleshooter'];

/** What a real gcloud is told, whose proxy is the control plane, so that nothing is sent elsewhere. The token comes beside it. @param config its directory */
export function gcloudEnvironment(server: TestServer, config: string): Readonly<Record<string, string | undefined>> {
  const { hostname, port } = new URL(server.url);
  return {
    ...process.env,
    ...Object.fromEntries(APIS.map((api) => [`CLOUDSDK_API_ENDPOINT_OVERRIDES_${api.toUpperCase()}`, `http://${api}.googleapis.com/`])),
    CLOUDSDK_CONFIG: config,
    CLOUDSDK_CORE_PROJECT: PROJECT,
    CLOUDSDK_RUN_REGION: REGION,
    CLOUDSDK_CORE_DISABLE_PROMPTS: '1',
    CLOUDSDK_CORE_DISABLE_USAGE_REPORTING: '1',
    CLOUDSDK_COMPONENT_MANAGER_DISABLE_UPDATE_CHECK: '1',
    CLOUDSDK_CORE_SHOULD_PROMPT_TO_ENABLE_API: 'false',
    CLOUDSDK_PROXY_TYPE: 'http',
    CLOUDSDK_PROXY_ADDRESS: hostname,
    CLOUDSDK_PROXY_PORT: port,
  };
}

export function gcloudWay(server: TestServer): { readonly way: Way; close(): void } {
  const config = mkdtempSync(join(tmpdir(), 'actas-gcloud-'));
  const env = gcloudEnvironment(server, config);
  const exec: Run = async (words, as = OWNER, stdin = '') => {
    const child = spawn('gcloud', words, { env: { ...env, CLOUDSDK_AUTH_ACCESS_TOKEN: await server.tokenOf(as) }, stdio: ['pipe', 'pipe', 'pipe'] });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.stdin.end(stdin);
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    return { ok: code === 0, text: `${out}${err}`, out };
  };
  return { way: commandWay('gcloud', exec), close: () => rmSync(config, { recursive: true, force: true }) };
}
