/**
 * Runs the real `terraform` or `tofu` with a google provider against a control plane of its own, through the whole life of each configuration in
 * test/terraform/configurations, and says what passed: once as `actas terraform` does it, with no endpoint named, and once with custom endpoints. Types that
 * no provider at hand knows are named and counted. At last it applies what `actas export --format=terraform` writes. `--record` writes the requests of the second
 * way to test/terraform/requests, which `npm test` sends again, and plans to test/terraform/plans; `--only=GROUP` takes one configuration, `--only=export` the export.
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { defaultSeed } from '../src/seed/seed.ts';
import { RICH } from '../test/harness/rich-seed.ts';
import { applyExport } from '../test/terraform/exported.ts';
import { GROUPS, type Group } from '../test/terraform/groups.ts';
import { findTerraform, type Provider, type Terraform } from '../test/terraform/program.ts';
import { startRecorder, writePlan, writeRequests } from '../test/terraform/record.ts';
import { replaySeed } from '../test/terraform/replay.ts';
import { clearWay, live, proxyWay } from '../test/terraform/run.ts';
import { node, root } from './prepare.mjs';

interface Result {
  readonly group: Group;
  /** For each way, what went wrong. */
  readonly faults: readonly (string | undefined)[];
}

interface Server {
  readonly url: string;
  readonly dataDir: string;
  stop(): Promise<void>;
}

const { values } = parseArgs({ options: { record: { type: 'boolean', default: false }, only: { type: 'string' } } });
const terraform = await findTerraform(console.log);
if (typeof terraform === 'string') {
  // A provider that was named and cannot be used is a fault.
  const isNamed = process.env['ACTAS_TERRAFORM_PROVIDER'] !== undefined;
  console.log(`${terraform}${isNamed ? '\n0 passed, 1 failed' : ': this suite is skipped.\n0 passed, 0 failed, 1 skipped'}`);
  process.exit(isNamed ? 1 : 0);
}
const names = terraform.providers.map(({ name, version }) => `${name} ${version}`).join(', ');
console.log(`${terraform.program} ${terraform.version} with ${names} (from ${terraform.from})`);
const dir = mkdtempSync(join(tmpdir(), 'actas-terraform-'));
const results: Result[] = [];
const skipped: Group[] = [];
let exported: 'pass' | 'FAIL' | undefined;
try {
  for (const group of GROUPS) {
    if (values.only !== undefined && values.only !== group.name) continue;
    const provider = terraform.providers.find(({ types }) => group.types.every((type) => types.has(type)));
    if (provider === undefined) skipped.push(group);
    else results.push(await runGroup(group, provider, terraform));
  }
  if (values.only === undefined || values.only === 'export') await runExport(terraform);
} finally {
  rmSync(dir, { recursive: true, force: true });
}
report();

/** A control plane for one configuration. @param at a directory for its files */
async function startServer(at: string, declared = replaySeed()): Promise<Server> {
  mkdirSync(at);
  const dataDir = join(at, 'data');
  const readyFile = join(at, 'ready.json');
  const seed = join(at, 'seed.json');
  writeFileSync(seed, JSON.stringify(declared));
  const words = ['up', '--driver=fake', '--port=0', `--data-dir=${dataDir}`, `--ready-file=${readyFile}`, `--seed=${seed}`, '--log-level=warn'];
  const child = spawn(node, [join(root, 'bin', 'actas.js'), ...words], { stdio: ['ignore', 'ignore', 'inherit'] });
  for (let i = 0; !existsSync(readyFile); i += 1) {
    if (i > 240 || child.exitCode !== null) throw new Error('the control plane did not start');
    await delay(250);
  }
  const { url }: { url: string } = JSON.parse(readFileSync(readyFile, 'utf8'));
  const stop = async (): Promise<void> => {
    child.kill('SIGTERM');
    await new Promise((ended) => child.once('exit', ended));
  };
  return { url, dataDir, stop };
}

async function runExport(found: Terraform): Promise<void> {
  const [provider] = found.providers;
  if (provider === undefined) return;
  const from = await startServer(join(dir, 'from'), RICH);
  const to = await startServer(join(dir, 'to'), defaultSeed());
  try {
    const { fault, leftOut } = await applyExport({ terraform: found, provider, from: from.dataDir, to: to.dataDir, dir: join(dir, 'export') });
    exported = fault === undefined ? 'pass' : 'FAIL';
    console.log(
      `${fault === undefined ? 'ok  ' : 'FAIL'} actas export --format=terraform, by ${provider.name} ${provider.version}; ${leftOut} resources left out, whose types it does not know`,
    );
    if (fault !== undefined) console.log(fault.replace(/^/gm, '    '));
  } finally {
    await from.stop();
    await to.stop();
  }
}

async function runGroup(group: Group, provider: Provider, found: Terraform): Promise<Result> {
  const by = `${provider.name} ${provider.version}`;
  const faults: (string | undefined)[] = [];
  for (const led of values.record ? (['clear'] as const) : (['proxy', 'clear'] as const)) {
    // Each begins with nothing that a run before left behind: a deleted pool holds its name for thirty days.
    const server = await startServer(join(dir, `${group.name}-${led}`));
    const recorder = values.record ? await startRecorder(server.url) : undefined;
    try {
      const token = readFileSync(join(server.dataDir, 'owner-token'), 'utf8').trim();
      const way = led === 'proxy' ? proxyWay(found, server.dataDir) : clearWay(found, recorder?.url ?? server.url, token);
      const fault = await live(group, { terraform: found, provider, way, dir: join(dir, `${group.name}-${led}-files`), onPlan: (json) => readPlan(group, json) });
      console.log(`${fault === undefined ? 'ok  ' : 'FAIL'} ${group.name}, by ${by}: ${way.title}`);
      if (fault !== undefined) console.log(fault.replace(/^/gm, '    '));
      else if (recorder !== undefined) writeRequests(group.name, `${found.program} ${found.version}, provider ${by}`, recorder.exchanges);
      faults.push(fault);
    } finally {
      await recorder?.close();
      await server.stop();
    }
  }
  return { group, faults };
}

/** `actas iam diff` must read the plan, leave nothing out that can be known, and find that somebody gains something where it grants. */
function readPlan(group: Group, json: string): string | undefined {
  const file = join(dir, `${group.name}.plan.json`);
  writeFileSync(file, json);
  const { status, stdout, stderr } = spawnSync(node, [join(root, 'bin', 'actas.js'), 'iam', 'diff', file], { encoding: 'utf8' });
  const grants = group.types.some((type) => /_iam_(?:member|binding|policy)$/.test(type));
  const unsaid = stderr.split('\n').filter((line) => line !== '' && !(group.leavesOut === true && line.endsWith('will be known when it is applied, and is left out.')));
  if (status !== (grants ? 8 : 0) || unsaid.length > 0) return `actas iam diff ends with ${status}\n${stdout}${stderr}`;
  if (values.record && grants) writePlan(group.name, json);
  return undefined;
}

function report(): void {
  const good = results.filter(({ faults }) => faults.every((fault) => fault === undefined));
  const count = (groups: readonly Group[]) => groups.flatMap(({ types }) => types).length;
  const width = Math.max(...GROUPS.flatMap(({ types }) => types.map((type) => type.length)));
  console.log('');
  for (const { group, faults } of results) for (const type of group.types) console.log(`${type.padEnd(width)}  ${faults.every((fault) => fault === undefined) ? 'pass' : 'FAIL'}`);
  for (const { types } of skipped) for (const type of types) console.log(`${type.padEnd(width)}  not known to ${names}`);
  if (exported !== undefined) console.log(`${'actas export'.padEnd(width)}  ${exported}`);
  const passed = count(good.map(({ group }) => group)) + (exported === 'pass' ? 1 : 0);
  const failed = count(results.filter((result) => !good.includes(result)).map(({ group }) => group)) + (exported === 'FAIL' ? 1 : 0);
  console.log(`\n${passed} passed, ${failed} failed, ${count(skipped)} skipped`);
  process.exitCode = failed === 0 ? 0 : 1;
}
