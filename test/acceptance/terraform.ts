/** Terraform: what its google provider sends, and the real one for the resource types that a provider at hand knows. */
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestServer } from '../harness/server.ts';
import { until } from '../harness/until.ts';
import { collect, requirement, type Terraform } from '../terraform/program.ts';
import { clearWay } from '../terraform/run.ts';
import { apiWay } from './requests.ts';
import { type Answer, caller, IMAGE, OWNER, PROJECT, REGION, type Way } from './way.ts';

const JOBS = `run.googleapis.com/v2/projects/${PROJECT}/locations/${REGION}/jobs`;

interface JobJson {
  launchStage?: string;
  labels?: object;
  template?: { template?: object };
}

/** As recorded for accounts, roles, grants and policies, and as read in the provider's source for jobs: see test/terraform/requests. */
export function terraformRequestsWay(server: TestServer): Way {
  const call = caller(server);
  const api = apiWay(server);
  /** It asks until the operation is done, and reads the job. */
  const done = async (job: string, sent: Answer & { readonly json: { name?: string } }, as: string): Promise<Answer> => {
    if (!sent.ok) return sent;
    const operation: { readonly done?: unknown; readonly error?: object } = await until(`the operation on ${job} is done`, async () => {
      const { json } = await call('GET', `run.googleapis.com/v2/${sent.json.name}?alt=json`, undefined, as);
      return 'done' in json && json;
    });
    return operation.error === undefined ? call('GET', `${JOBS}/${job}?alt=json`, undefined, as) : { ok: false, text: JSON.stringify(operation.error) };
  };
  const update = async (job: string, serviceAccount: string, as: string): Promise<Answer> => {
    const read = await call('GET', `${JOBS}/${job}?alt=json`, undefined, as);
    if (!read.ok) return read;
    const { launchStage, labels, template }: JobJson = read.json;
    const changed = { ...template, template: { ...template?.template, serviceAccount } };
    // Without a mask: what it knows of the job, as it was read.
    return done(job, await call('PATCH', `${JOBS}/${job}?alt=json`, { launchStage, labels, template: changed }, as), as);
  };
  return {
    ...api,
    name: 'Terraform',
    async createJob(job, serviceAccount, as) {
      const template = { template: { containers: [{ image: IMAGE }], serviceAccount, maxRetries: 3 } };
      return done(job, await call('POST', `${JOBS}?alt=json&jobId=${job}`, { template }, as), as);
    },
    updateJob: update,
    replaceJob: update,
    async disableEnforce(project, constraint) {
      const parent = `orgpolicy.googleapis.com/v2/projects/${project}/policies`;
      const spec = { inheritFromParent: false, reset: false, rules: [{ enforce: false }] };
      const found = await call('GET', `${parent}/${constraint}?alt=json`);
      if (found.ok) return { ok: false, text: `there is a policy already: ${found.text}` };
      return call('POST', `${parent}?alt=json`, { name: `projects/${project}/policies/${constraint}`, spec });
    },
  };
}

/** The real terraform, a directory for each resource; what its providers do not know is sent as the provider would. */
export function terraformWay(terraform: Terraform, server: TestServer): { readonly way: Way; close(): void } {
  const dir = mkdtempSync(join(tmpdir(), 'actas-acceptance-terraform-'));
  const requests = terraformRequestsWay(server);
  /** @param key of the directory, the same for the same resource */
  const apply = async (key: string, type: string, body: Readonly<Record<string, string | undefined>>, otherwise: () => Promise<Answer>, as = OWNER): Promise<Answer> => {
    const provider = terraform.providers.find(({ types }) => types.has(type));
    if (provider === undefined) return otherwise();
    const { block, command, env } = clearWay(terraform, server.url, await server.tokenOf(as));
    const at = join(dir, key.replaceAll(/[^\w.-]/g, '_'));
    mkdirSync(at, { recursive: true });
    const lines = Object.entries(body).flatMap(([name, value]) => (value === undefined ? [] : [`  ${name} = ${value}\n`]));
    writeFileSync(join(at, 'main.tf'), `${requirement({ google: provider.name })}\nprovider "google" {\n${block(provider)}}\n\nresource "${type}" "it" {\n${lines.join('')}}\n`);
    const run = (words: string[]) => {
      const [program = '', ...before] = command;
      return collect(spawn(program, [...before, ...words, '-no-color'], { cwd: at, env, stdio: ['ignore', 'pipe', 'pipe'] }));
    };
    if (!existsSync(join(at, '.terraform'))) {
      const { code, text } = await run(['init']);
      if (code !== 0) return { ok: false, text };
    }
    const { code, text } = await run(['apply', '-auto-approve']);
    return { ok: code === 0, text };
  };
  const quoted = (text: string) => JSON.stringify(text);
  const job = (name: string, account: string | undefined, as: string, otherwise: () => Promise<Answer>) => {
    const own = account === undefined ? '' : `\n      service_account = ${quoted(account)}`;
    const template = `{\n    template {${own}\n      containers {\n        image = ${quoted(IMAGE)}\n      }\n    }\n  }\n`;
    const body = { project: quoted(PROJECT), name: quoted(name), location: quoted(REGION), deletion_protection: `false\n  template ${template}` };
    return apply(`job-${name}`, 'google_cloud_run_v2_job', body, otherwise, as);
  };
  return {
    way: {
      ...requests,
      createAccount: (account) =>
        apply(`account-${account.project}-${account.id}`, 'google_service_account', { project: quoted(account.project), account_id: quoted(account.id) }, () =>
          requests.createAccount(account),
        ),
      createRole: (project, id, permission) =>
        apply(
          `role-${project}-${id}`,
          'google_project_iam_custom_role',
          { project: quoted(project), role_id: quoted(id), title: quoted(id), permissions: `[${quoted(permission)}]` },
          () => requests.createRole(project, id, permission),
        ),
      grant(on, member, role) {
        const isAccount = on.includes('/serviceAccounts/');
        const where = isAccount ? { service_account_id: quoted(on) } : { project: quoted(on.replace('projects/', '')) };
        const type = isAccount ? 'google_service_account_iam_member' : 'google_project_iam_member';
        return apply(`grant-${on}-${member}-${role}`, type, { ...where, role: quoted(role), member: quoted(member) }, () => requests.grant(on, member, role));
      },
      createJob: (name, account, as) => job(name, account, as, () => requests.createJob(name, account, as)),
      updateJob: (name, account, as) => job(name, account, as, () => requests.updateJob(name, account, as)),
      replaceJob: (name, account, as) => job(name, account, as, () => requests.replaceJob(name, account, as)),
      disableEnforce: (project, constraint) =>
        apply(
          `policy-${project}-${constraint}`,
          'google_org_policy_policy',
          {
            name: quoted(`projects/${project}/policies/${constraint}`),
            parent: `${quoted(`projects/${project}`)}\n  spec {\n    rules {\n      enforce = "FALSE"\n    }\n  }\n`,
          },
          () => requests.disableEnforce(project, constraint),
        ),
    },
    close: () => rmSync(dir, { recursive: true, force: true }),
  };
}
