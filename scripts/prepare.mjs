// Brings a fresh clone to the point where it runs: dependencies (with the Node that the project needs) and generated code.
// Plain JavaScript for Node >= 20, because it runs before anything is installed. Does nothing, fast, when all is there.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = join(dirname(fileURLToPath(import.meta.url)), '..');
/** The Node that the npm package `node` brings. */
export const node = join(root, 'node_modules', '.bin', 'node');

/** @param say a line for people */
export function prepare(say = (line) => console.error(line)) {
  const lock = digest([join(root, 'package-lock.json')]);
  const installedStamp = join(root, 'node_modules', '.actas-installed');
  if (read(installedStamp) !== lock) {
    say('Installing dependencies (npm install)...');
    // Not `npm ci`: it refuses a lock file that lacks other platforms' optional packages, and a registry that mirrors only some has
    // none of them to give. This installs what the lock file says as well, and with --no-save leaves it as it is.
    run('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']);
    writeFileSync(installedStamp, lock);
  }
  if (!existsSync(node))
    fail(
      'The npm package `node` did not bring its binary: its install script did not run. Run `npm rebuild node` with scripts allowed (npm config get ignore-scripts must be false), then try again.',
    );
  const sources = [join(root, 'buf.gen.yaml'), join(root, 'package-lock.json'), join(root, 'scripts', 'service-table.mjs'), ...walk(join(root, 'protos'))];
  const generated = digest(sources);
  const genStamp = join(root, 'src', 'gen', '.stamp');
  if (read(genStamp) !== generated) {
    say('Generating code from the API definitions...');
    run(join(root, 'node_modules', '.bin', 'buf'), ['generate', '--include-imports']);
    run(node, [join(root, 'scripts', 'service-table.mjs')]);
    mkdirSync(dirname(genStamp), { recursive: true });
    writeFileSync(genStamp, generated);
  }
}

/** Runs a program in the project's root and ends this process with its exit code where that is not 0. */
export function run(command, args, options = {}) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (result.error) fail(`${command} cannot be started: ${result.error.message}`);
  if (result.status !== 0) process.exit(result.status ?? 1);
}

function fail(message) {
  console.error(message);
  process.exit(1);
}
function read(file) {
  return existsSync(file) ? readFileSync(file, 'utf8') : undefined;
}
function walk(dir) {
  return readdirSync(dir, { recursive: true })
    .map((name) => join(dir, name))
    .filter((file) => statSync(file).isFile())
    .sort();
}
function digest(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(readFileSync(file));
  // A changed Node binary or platform means another installation.
  return hash.update(`${process.platform} ${process.arch}`).digest('hex');
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  prepare();
  const [command, ...args] = process.argv.slice(2);
  // `node` means the project's own; everything else is looked up in node_modules/.bin first.
  if (command !== undefined) {
    // Ctrl-C reaches the command by itself, as it is in the same process group; we wait until it has cleaned up.
    for (const signal of ['SIGINT', 'SIGHUP']) process.on(signal, () => {});
    const env = { ...process.env, PATH: `${join(root, 'node_modules', '.bin')}:${process.env.PATH ?? ''}` };
    run(command, args, { env });
  }
}
