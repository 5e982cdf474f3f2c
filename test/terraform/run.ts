/** Puts a configuration through its whole life with the real terraform: apply, an empty plan, a change in place, an import, the end. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { node, root } from '../../scripts/prepare.mjs';
import { TERRAFORM_ENDPOINTS } from '../../src/cli/client-environment.ts';
import type { Group } from './groups.ts';
import { collect, copyConfiguration, type Outcome, type Provider, requirement, type Terraform } from './program.ts';

/** Where terraform is led, and how. */
export interface Way {
  readonly title: string;
  /** Lines of the provider block. */
  block(provider: Provider): string;
  /** The program and the words before terraform's own. */
  readonly command: readonly string[];
  readonly env: Readonly<Record<string, string | undefined>>;
}

const ACTAS = join(root, 'bin', 'actas.js');

/** `actas terraform`, or for OpenTofu `actas exec`: no endpoint is named. */
export function proxyWay(terraform: Terraform, dataDir: string): Way {
  const words = terraform.program === 'terraform' ? ['terraform', `--data-dir=${dataDir}`] : ['exec', `--data-dir=${dataDir}`, '--', terraform.program];
  return { title: `actas ${words[0]}, no endpoint named`, block: () => '', command: [node, ACTAS, ...words], env: terraform.env };
}

/** The provider block of docs/terraform.md. @param url of the control plane, or of what stands before it */
export function clearWay(terraform: Terraform, url: string, token: string): Way {
  return {
    title: 'custom endpoints, in the clear',
    block: ({ settings }) =>
      Object.entries(TERRAFORM_ENDPOINTS)
        .map(([api, path]) => [`${api.toLowerCase()}_custom_endpoint`, path] as const)
        .filter(([name]) => settings.has(name))
        .map(([name, path]) => `  ${name} = "${url}/${path}"\n`)
        .join(''),
    command: [terraform.program],
    // Whatever has no endpoint of its own, such as the question who the caller is, is asked of nobody.
    env: { ...terraform.env, GOOGLE_OAUTH_ACCESS_TOKEN: token, HTTPS_PROXY: 'http://127.0.0.1:9', https_proxy: undefined, NO_PROXY: '127.0.0.1' },
  };
}

export interface Life {
  readonly terraform: Terraform;
  readonly provider: Provider;
  readonly way: Way;
  /** An empty directory. */
  readonly dir: string;
  /** Called with what `terraform show -json` says of the first plan. @returns undefined, or what is wrong with it */
  readonly onPlan: (json: string) => string | undefined;
}

/** @returns undefined where all went well, or what did not, with what terraform said */
export async function live(group: Group, { provider, way, dir, onPlan }: Life): Promise<string | undefined> {
  mkdirSync(dir, { recursive: true });
  copyConfiguration(group.name, dir);
  writeFileSync(
    join(dir, 'provider.tf'),
    `${requirement({ google: provider.name })}\nprovider "google" {\n  project = "demo"\n  region  = "us-central1"\n${way.block(provider)}}\n`,
  );
  const tell = (changed: boolean, ...words: string[]): Promise<Outcome> => {
    const [command = '', ...before] = way.command;
    const env = { ...way.env, TF_VAR_changed: String(changed) };
    return collect(spawn(command, [...before, ...words, '-no-color'], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] }));
  };
  const [address, id] = group.imported ?? [];
  const steps: readonly (readonly [title: string, run: () => Promise<Outcome>])[] = [
    ['init', () => tell(false, 'init', '-input=false')],
    ['plan', () => tell(false, 'plan', '-out=first.plan')],
    ['show', () => tell(false, 'show', '-json', 'first.plan')],
    ['apply', () => tell(false, 'apply', '-auto-approve', '-parallelism=1')],
    ['the second plan is empty', () => tell(false, 'plan', '-detailed-exitcode', '-parallelism=1')],
    ['apply a change', () => tell(true, 'apply', '-auto-approve', '-parallelism=1')],
    ['the plan after the change is empty', () => tell(true, 'plan', '-detailed-exitcode', '-parallelism=1')],
    ...(address === undefined || id === undefined
      ? []
      : ([
          ['forget a resource', () => tell(true, 'state', 'rm', address)],
          ['import it', () => tell(true, 'import', '-input=false', address, id)],
          ...(group.ownField === true ? ([['apply after the import', () => tell(true, 'apply', '-auto-approve', '-parallelism=1')]] as const) : []),
          ['the plan after the import is empty', () => tell(true, 'plan', '-detailed-exitcode', '-parallelism=1')],
        ] as const)),
    ['destroy', () => tell(true, 'destroy', '-auto-approve', '-parallelism=1')],
  ];
  for (const [title, run] of steps) {
    const { code, text, out } = await run();
    const wrong = title === 'show' && code === 0 ? onPlan(out) : undefined;
    if (wrong !== undefined) return `${title}: ${wrong}`;
    if (code === 0) continue;
    // What else was made goes away with the control plane; the next configuration must not find it.
    await tell(true, 'destroy', '-auto-approve');
    return `${title}: exit ${code}\n${text}`;
  }
  return undefined;
}
