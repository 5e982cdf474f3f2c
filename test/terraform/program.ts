/** The terraform or tofu of this machine, and google providers for it: what the user's own configuration gives, a file that is named, or a version that is built from its source as a Go module. */
import { spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { arch, platform, tmpdir } from 'node:os';
import { basename, join, resolve } from 'node:path';

export const CONFIGURATIONS = join(import.meta.dirname, 'configurations');
const CACHE = resolve(import.meta.dirname, '..', '..', 'node_modules', '.cache', 'actas-terraform');

/**
 * What is built where no provider is found. Newer releases are no versions of a Go module that a proxy has to serve: their tags (v5.0.0 and so on) say another
 * major version than their module path. google knows no workload identity pools so early, google-beta does; it comes from a fork that others build as a module.
 */
const BUILT = [
  {
    name: 'google',
    version: '4.9.0',
    module: 'github.com/hashicorp/terraform-provider-google',
    replacement: 'github.com/hashicorp/terraform-provider-google v1.20.1-0.20220201002249-bc5fcb3c89a5',
  },
  {
    name: 'google-beta',
    version: '4.15.0',
    module: 'github.com/hashicorp/terraform-provider-google-beta',
    replacement: 'github.com/pulumi/terraform-provider-google-beta v0.0.0-20220322115232-95a6e6e5087e',
  },
];

export interface Provider {
  /** `google` or `google-beta`. */
  readonly name: string;
  readonly version: string;
  /** Names of the resource types that it knows. */
  readonly types: ReadonlySet<string>;
  /** Attributes of its provider block, such as `iam_custom_endpoint`. */
  readonly settings: ReadonlySet<string>;
}

export interface Terraform {
  /** `terraform` or `tofu`. */
  readonly program: string;
  readonly version: string;
  /** TF_CLI_CONFIG_FILE where it leads to a file, a file of ours, or nothing. */
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly providers: readonly Provider[];
  /** Where they come from, in words. */
  readonly from: string;
}

/** @param say a line for people @returns what is missing, in words, where it cannot be had */
export async function findTerraform(say: (line: string) => void): Promise<Terraform | string> {
  const program = ['terraform', 'tofu'].find((name) => spawnSync(name, ['version'], { stdio: 'ignore' }).status === 0);
  if (program === undefined) return 'neither terraform nor tofu is on the PATH';
  const env = ownEnvironment();
  const { terraform_version: version = '' }: { terraform_version?: string } = JSON.parse(spawnSync(program, ['version', '-json'], { env, encoding: 'utf8' }).stdout);
  const given = process.env['ACTAS_TERRAFORM_PROVIDER'];
  if (given !== undefined) {
    if (!existsSync(given)) return `ACTAS_TERRAFORM_PROVIDER: ${given} does not exist; name the provider's binary, for example terraform-provider-google_v6.0.0_x5`;
    // Terraform takes no version 0.0.0.
    const [, name = 'google', release = '0.0.1'] = /terraform-provider-(google(?:-beta)?)(?:_v([\d.]+))?/.exec(basename(given)) ?? [];
    return withProviders(program, version, mirrored(env, [{ name, version: release, file: resolve(given) }]), [name], `the file ${basename(given)}`);
  }
  const installed = ['google', 'google-beta'].filter((name) => isInstallable(program, env, [name]));
  if (installed.length > 0) return withProviders(program, version, env, installed, `${program} init`);
  if (spawnSync('go', ['version'], { stdio: 'ignore' }).status !== 0)
    return `${program} init finds no google provider, and without go none can be built: set ACTAS_TERRAFORM_PROVIDER to its binary, or install go`;
  const files: { name: string; version: string; file: string }[] = [];
  for (const wanted of BUILT) {
    const file = await build(wanted, say);
    if (existsSync(file)) files.push({ name: wanted.name, version: wanted.version, file });
    else say(`${wanted.name} ${wanted.version} cannot be built: ${file}`);
  }
  if (files.length === 0) return `${program} init finds no google provider, and none can be built: set ACTAS_TERRAFORM_PROVIDER to its binary`;
  const names = files.map(({ name }) => name);
  return withProviders(program, version, mirrored(env, files), names, 'their source, built here');
}

/** Terraform only warns of a configuration file that is not there, but its warnings stand in what we read. */
function ownEnvironment(): Record<string, string | undefined> {
  const plugins = join(CACHE, 'plugins');
  mkdirSync(plugins, { recursive: true });
  // One download serves every configuration; none of them has a lock file that could break.
  const cache = { TF_PLUGIN_CACHE_DIR: plugins, TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE: '1' };
  const env: Record<string, string | undefined> = { ...cache, ...process.env, CHECKPOINT_DISABLE: '1', TF_IN_AUTOMATION: '1', TF_INPUT: '0' };
  const file = env['TF_CLI_CONFIG_FILE'];
  if (file !== undefined && !existsSync(file)) delete env['TF_CLI_CONFIG_FILE'];
  return env;
}

/** The lines that bring providers into a configuration. @param local names of providers, by the name that the configuration calls them */
export function requirement(local: Readonly<Record<string, string>>): string {
  return `terraform {\n  required_providers {\n${Object.entries(local)
    .map(([name, source]) => `    ${name} = { source = "hashicorp/${source}" }\n`)
    .join('')}  }\n}\n`;
}

function isInstallable(program: string, env: Terraform['env'], names: readonly string[]): boolean {
  return inDirectory((dir) => {
    writeFileSync(join(dir, 'main.tf'), requirement(Object.fromEntries(names.map((name) => [name, name]))));
    return spawnSync(program, ['init', '-input=false'], { cwd: dir, env, stdio: 'ignore', timeout: 300_000 }).status === 0;
  });
}

function inDirectory<T>(use: (dir: string) => T): T {
  const dir = mkdtempSync(join(tmpdir(), 'actas-terraform-'));
  try {
    return use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** An environment whose terraform takes providers from a directory and nowhere else. */
function mirrored(env: Terraform['env'], files: readonly { readonly name: string; readonly version: string; readonly file: string }[]): Terraform['env'] {
  const mirror = join(CACHE, 'mirror');
  // OpenTofu has a registry of its own in the name.
  for (const { name, version, file } of files)
    for (const registry of ['registry.terraform.io', 'registry.opentofu.org']) {
      const dir = join(mirror, registry, 'hashicorp', name, version, `${platform()}_${arch() === 'x64' ? 'amd64' : arch()}`);
      rmSync(join(mirror, registry, 'hashicorp', name), { recursive: true, force: true });
      mkdirSync(dir, { recursive: true });
      symlinkSync(file, join(dir, `terraform-provider-${name}_v${version}`));
    }
  const config = join(CACHE, 'terraform.rc');
  writeFileSync(config, `provider_installation {\n  filesystem_mirror {\n    path = ${JSON.stringify(mirror)}\n  }\n}\n`);
  return { ...env, TF_CLI_CONFIG_FILE: config };
}

/** @returns the binary, or what the compiler said */
async function build({ name, version, module, replacement }: (typeof BUILT)[number], say: (line: string) => void): Promise<string> {
  const file = join(CACHE, `terraform-provider-${name}_v${version}`);
  if (existsSync(file)) return file;
  say(`Building terraform's provider ${name} ${version} from its source; once, a few minutes...`);
  const dir = join(CACHE, `${name}-source`);
  mkdirSync(dir, { recursive: true });
  const [other = '', revision = ''] = replacement.split(' ');
  writeFileSync(join(dir, 'go.mod'), `module provider\n\ngo 1.16\n\nrequire ${module} v0.0.0\n\nreplace ${module} => ${other} ${revision}\n`);
  writeFileSync(join(dir, 'main.go'), `package main\n\nimport _ "${module}/${name}"\n\nfunc main() {}\n`);
  const env = { ...process.env, GOFLAGS: '-mod=mod', GOTOOLCHAIN: 'local' };
  const { code, text } = await collect(spawn('go', ['build', '-o', `${file}.new`, module], { cwd: dir, env, stdio: ['ignore', 'pipe', 'pipe'] }));
  if (code !== 0) return text.trim().split('\n').slice(-5).join('\n');
  renameSync(`${file}.new`, file);
  return file;
}

function withProviders(program: string, version: string, env: Terraform['env'], names: readonly string[], from: string): Terraform | string {
  return inDirectory((dir) => {
    writeFileSync(join(dir, 'main.tf'), requirement(Object.fromEntries(names.map((name) => [name, name]))));
    const init = spawnSync(program, ['init', '-input=false', '-no-color'], { cwd: dir, env, encoding: 'utf8' });
    if (init.status !== 0) return `${program} init: ${init.stderr}`;
    const { stdout, status, stderr } = spawnSync(program, ['providers', 'schema', '-json'], { cwd: dir, env, encoding: 'utf8', maxBuffer: 512 * 1024 * 1024 });
    if (status !== 0) return `${program} providers schema: ${stderr}`;
    const { provider_schemas: schemas }: Schemas = JSON.parse(stdout);
    const { provider_selections: selected }: Selections = JSON.parse(spawnSync(program, ['version', '-json'], { cwd: dir, env, encoding: 'utf8' }).stdout);
    const providers = Object.entries(schemas).map(([address, schema]) => ({
      name: basename(address),
      version: selected[address] ?? '',
      types: new Set(Object.keys(schema.resource_schemas)),
      settings: new Set(Object.keys(schema.provider.block.attributes)),
    }));
    return { program, version, env, providers: providers.toSorted((a, b) => a.name.length - b.name.length), from };
  });
}

interface Schemas {
  readonly provider_schemas: Readonly<Record<string, { readonly provider: { readonly block: { readonly attributes: object } }; readonly resource_schemas: object }>>;
}
interface Selections {
  readonly provider_selections: Readonly<Record<string, string>>;
}

export interface Outcome {
  readonly code: number | null;
  readonly text: string;
  readonly out: string;
}

export async function collect(child: ReturnType<typeof spawn>): Promise<Outcome> {
  let text = '';
  let out = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    out += chunk.toString();
    text += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => (text += chunk.toString()));
  const code = await new Promise<number | null>((ended, failed) => {
    child.once('close', ended);
    child.once('error', failed);
  });
  return { code, text, out };
}

/** A copy of a configuration of ours, which a run may write its state into. @param into an empty directory */
export function copyConfiguration(group: string, into: string): void {
  cpSync(join(CONFIGURATIONS, group), into, { recursive: true });
}
