/** The example pipelines (examples/ci), run as their runners do: each command by a shell, in order, with stand-ins for the programs that are not ours. */
import { spawnSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';

const EXAMPLES = resolve(import.meta.dirname, '../../examples/ci');
const step = z.strictObject({
  name: z.string().optional(),
  if: z.string().optional(),
  uses: z.string().optional(),
  with: z.record(z.string(), z.unknown()).optional(),
  run: z.string().optional(),
});
const github = z.strictObject({
  name: z.string(),
  on: z.unknown(),
  permissions: z.record(z.string(), z.string()),
  env: z.record(z.string(), z.string()),
  jobs: z.record(z.string(), z.strictObject({ 'runs-on': z.string(), steps: z.array(step) })),
});
const script = z.array(z.string());
const gitlab = z.strictObject({
  default: z.strictObject({ image: z.string() }),
  variables: z.record(z.string(), z.string()),
  identity: z.strictObject({ stage: z.string(), before_script: script, script, after_script: script, artifacts: z.unknown() }),
});

export interface Pipeline {
  readonly env: Readonly<Record<string, string>>;
  readonly commands: readonly string[];
}

/** @param job of the workflow @throws where the file is no workflow of GitHub's as far as that is used here */
export function githubPipeline(job: string): Pipeline {
  const { env, jobs } = github.parse(parse(readFileSync(join(EXAMPLES, 'github-actions.yml'), 'utf8')));
  return { env, commands: (jobs[job]?.steps ?? []).flatMap(({ run }) => run ?? []) };
}

export function gitlabPipeline(): Pipeline {
  const { variables, identity } = gitlab.parse(parse(readFileSync(join(EXAMPLES, 'gitlab-ci.yml'), 'utf8')));
  return { env: variables, commands: [...identity.before_script, ...identity.script, ...identity.after_script] };
}

/** What a plan says that gives one person a role on the project. */
const PLAN = {
  format_version: '1.2',
  terraform_version: '1.9.0',
  resource_changes: [
    {
      address: 'google_project_iam_member.dev',
      type: 'google_project_iam_member',
      change: { actions: ['create'], before: null, after: { project: 'shop-prod', role: 'roles/run.viewer', member: 'user:dev@shop.example', condition: [] }, after_unknown: {} },
    },
  ],
};
/** Programs of others. Each notes how it was called. */
const STUBS: Readonly<Record<string, string>> = {
  npm: 'exit 0',
  docker: 'exit 0',
  terraform: `case "$1" in show) echo '${JSON.stringify(PLAN)}';; plan) : > plan.out;; esac`,
};

export interface Ran {
  readonly command: string;
  readonly status: number | null;
  readonly output: string;
}

/**
 * Runs every command of a pipeline in a directory with the example's files, on the driver that runs nothing and a port of its own.
 * @param actas the program @returns what each command said, and what the programs of others were called with
 */
export function runPipeline({ env, commands }: Pipeline, actas: string, path: string): { readonly ran: readonly Ran[]; readonly others: string; readonly report: string } {
  const directory = mkdtempSync(join(tmpdir(), 'actas-pipeline-'));
  const bin = join(directory, 'bin');
  const work = join(directory, 'work');
  try {
    mkdirSync(bin);
    cpSync(EXAMPLES, work, { recursive: true });
    for (const [name, text] of [...Object.entries(STUBS), ['actas', `exec "${actas}" "$@"`] as const]) {
      const note = name === 'actas' ? '' : `echo "${name} $* $\{HTTPS_PROXY:+through the proxy}" >> "${directory}/others"\n`;
      writeFileSync(join(bin, name), `#!/bin/sh\n${note}${text}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const runEnv = { ...env, PATH: `${bin}:${path}`, HOME: directory, ACTAS_DATA_DIR: join(directory, 'data'), ACTAS_DRIVER: 'fake', ACTAS_PORT: '0' };
    const ran = commands.map((command) => {
      const { status, stdout, stderr } = spawnSync('bash', ['-eo', 'pipefail', '-c', command], { cwd: work, env: runEnv, encoding: 'utf8', timeout: 60_000 });
      return { command, status, output: `${stdout}${stderr}` };
    });
    return { ran, others: readFileSync(join(directory, 'others'), 'utf8'), report: readIfThere(join(work, 'policies.xml')) };
  } finally {
    // Where a command failed, the last one, which stops it, may have been told of nothing.
    spawnSync(actas, ['stop', `--data-dir=${join(directory, 'data')}`], { env: { PATH: path, HOME: directory }, timeout: 60_000 });
    rmSync(directory, { recursive: true, force: true });
  }
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}
