/** What `actas export --format=terraform` writes, by the real terraform: formatted, valid, applied to an empty control plane, and exported from there again. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { node, root } from '../../scripts/prepare.mjs';
import { collect, type Provider, requirement, type Terraform } from './program.ts';
import { proxyWay } from './run.ts';

export interface Export {
  readonly terraform: Terraform;
  readonly provider: Provider;
  /** Data directories of two control planes that run: one to export, one to apply to. */
  readonly from: string;
  readonly to: string;
  /** An empty directory. */
  readonly dir: string;
}

/** @returns undefined where all went well, or what did not; and how many resources were left out, for the provider does not know their types */
export async function applyExport({ terraform, provider, from, to, dir }: Export): Promise<{ readonly fault: string | undefined; readonly leftOut: number }> {
  mkdirSync(dir);
  const blocks = exportOf(from).split(/\n(?=(?:provider|data|resource) )/);
  const known = blocks.filter((block) => provider.types.has(/^resource "(\w+)"/.exec(block)?.[1] ?? '') || !block.startsWith('resource '));
  const text = known.join('\n');
  writeFileSync(join(dir, 'main.tf'), text);
  writeFileSync(join(dir, 'versions.tf'), requirement({ google: provider.name }));
  const { command, env } = proxyWay(terraform, to);
  const [program = '', ...before] = command;
  let fault: string | undefined;
  // A new account is not disabled at once by google 4.9, but by the next apply.
  for (const words of [['init'], ['fmt', '-check', '-diff'], ['validate'], ['apply', '-auto-approve'], ['apply', '-auto-approve'], ['plan', '-detailed-exitcode']]) {
    const color = words[0] === 'fmt' ? [] : ['-no-color'];
    const { code, text: said } = await collect(spawn(program, [...before, ...words, ...color], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] }));
    if (code !== 0) fault ??= `${words.join(' ')}: exit ${code}\n${said}`;
  }
  if (fault === undefined && exportOf(to).trimEnd() !== text.trimEnd()) fault = `what was applied is exported otherwise:\n${exportOf(to)}`;
  return { fault, leftOut: blocks.length - known.length };
}

function exportOf(dataDir: string): string {
  const { stdout, stderr, status } = spawnSync(node, [join(root, 'bin', 'actas.js'), 'export', '--format=terraform', `--data-dir=${dataDir}`], { encoding: 'utf8' });
  if (status !== 0) throw new Error(`actas export: ${stderr}`);
  return stdout;
}
