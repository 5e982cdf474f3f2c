#!/usr/bin/env node
/**
 * Finds a container engine for the demo and the tests, or starts one of its own and stops it (and only it) afterwards.
 * It hides where engines live, Debian's packages, and what `dockerd` needs without an init system.
 * Invariants: an engine that is already there is never touched; one that we start has its own directory, socket and bridge, so
 * several may run at once; it ends with us, however we end (a supervisor process watches a pipe that we hold), and leaves nothing.
 * Plain JavaScript without dependencies: it runs before anything is installed, on Node >= 20.
 *
 *   node scripts/engine.mjs -- COMMAND...     runs COMMAND with DOCKER_HOST set, and exits with its code
 *   --no-install   installs nothing      --optional   runs COMMAND even where no engine can be had, after saying why
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const DIRECTORY_PREFIX = 'actas-engine-';
const BRIDGE_PREFIX = 'acteng';
const READY_TIMEOUT_MS = 90_000;
/** A way out that leads nowhere, so that packets are routed as on a machine that has one. */
const APART_NETWORK =
  'ip link set lo up && ip link add uplink type veth peer name nowhere && ip addr add 192.0.2.2/24 dev uplink && ip link set uplink up && ip link set nowhere up && ip route add default via 192.0.2.1';

/**
 * @param {{ log?: (line: string) => void, install?: boolean, env?: NodeJS.ProcessEnv }} [options] `install` allows Debian packages to be installed (default true)
 * @returns {Promise<{ dockerHost: string, started: boolean, stop(): Promise<void> }>}
 * @throws Error that says what is missing and how to get it
 */
export async function ensureEngine({ log = () => {}, install = true, env = process.env } = {}) {
  const found = await findEngine(env);
  if (found !== undefined) {
    log(`Container engine found: ${found.dockerHost} (${found.from}).`);
    return { dockerHost: found.dockerHost, started: false, stop: async () => {} };
  }
  const obstacle = await prepare({ log, install });
  if (obstacle !== undefined) throw new Error(`No container engine was found, and none can be started here: ${obstacle}`);
  // Installing the package may itself have started a system-wide engine.
  const installed = await findEngine(env);
  if (installed !== undefined) {
    log(`Container engine found: ${installed.dockerHost} (${installed.from}).`);
    return { dockerHost: installed.dockerHost, started: false, stop: async () => {} };
  }
  return startEngine(log);
}

/** The first engine that answers, in the order in which the docker CLI and Podman's users would look. */
export async function findEngine(env = process.env) {
  if (env.DOCKER_HOST) {
    // What the user names is used or refused, never replaced by another engine.
    if (await answers(env.DOCKER_HOST)) return { dockerHost: env.DOCKER_HOST, from: 'DOCKER_HOST' };
    throw new Error(`DOCKER_HOST is set to ${env.DOCKER_HOST}, but no container engine answers there. Start that engine, or unset DOCKER_HOST.`);
  }
  const home = env.HOME || homedir();
  const runtime = env.XDG_RUNTIME_DIR;
  const context = contextEndpoint(env, home);
  const candidates = [
    ...(context === undefined ? [] : [{ dockerHost: context, from: 'the current docker context' }]),
    { dockerHost: 'unix:///var/run/docker.sock', from: 'the default socket' },
    ...(runtime ? [{ dockerHost: `unix://${runtime}/docker.sock`, from: 'rootless Docker' }] : []),
    { dockerHost: `unix://${home}/.docker/run/docker.sock`, from: 'Docker Desktop' },
    { dockerHost: `unix://${home}/.docker/desktop/docker.sock`, from: 'Docker Desktop' },
    ...(runtime ? [{ dockerHost: `unix://${runtime}/podman/podman.sock`, from: 'rootless Podman' }] : []),
    { dockerHost: 'unix:///run/podman/podman.sock', from: 'Podman' },
  ];
  for (const candidate of candidates) if (await answers(candidate.dockerHost)) return candidate;
  return undefined;
}

function contextEndpoint(env, home) {
  const directory = env.DOCKER_CONFIG || join(home, '.docker');
  try {
    const name = env.DOCKER_CONTEXT || JSON.parse(readFileSync(join(directory, 'config.json'), 'utf8')).currentContext;
    if (!name || name === 'default') return undefined;
    const hash = createHash('sha256').update(name).digest('hex');
    return JSON.parse(readFileSync(join(directory, 'contexts', 'meta', hash, 'meta.json'), 'utf8')).Endpoints?.docker?.Host;
  } catch {
    // No configuration, or one that we cannot read: the sockets are tried next.
    return undefined;
  }
}

/** @param {string} dockerHost */
function answers(dockerHost) {
  if (dockerHost.startsWith('unix://') && !existsSync(dockerHost.slice(7))) return Promise.resolve(false);
  const tcp = /^(?:tcp|http):\/\/([^:/]+):(\d+)/.exec(dockerHost);
  // ssh:// and TLS need the user's keys: the program that uses the engine finds out.
  if (!dockerHost.startsWith('unix://') && (tcp === null || tcp[2] === '2376')) return Promise.resolve(true);
  const where = tcp === null ? { socketPath: dockerHost.slice(7) } : { host: tcp[1], port: Number(tcp[2]) };
  return new Promise((resolve) => {
    const call = request({ ...where, path: '/_ping', timeout: 5_000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
    call.end();
  });
}

/** Makes sure that dockerd can be started; answers with what stands in the way. */
async function prepare({ log, install }) {
  const how = 'Start Docker or Podman, or set DOCKER_HOST to one.';
  if (process.platform === 'darwin') return `on macOS install Docker Desktop (https://docs.docker.com/desktop/) or Colima, and start it. ${how}`;
  if (process.platform !== 'linux') return `only Linux can run one without further ado. ${how}`;
  if (process.getuid?.() !== 0) return `starting one needs root. On Debian: sudo apt-get install docker.io && sudo usermod -aG docker $USER, then log in again. ${how}`;
  const missing = ['dockerd', 'iptables'].filter((program) => !hasProgram(program));
  if (missing.length === 0) return undefined;
  if (!install) return `${missing.join(' and ')} missing. On Debian: apt-get install docker.io iptables. ${how}`;
  if (!hasProgram('apt-get'))
    return `${missing.join(' and ')} missing, and this is not a Debian system (no apt-get). Install Docker by https://docs.docker.com/engine/install/. ${how}`;
  log('Installing docker.io and iptables from Debian (once; some 200 MB)...');
  for (const { what, args } of [
    { what: 'Reading the package lists', args: ['update', '-q'] },
    { what: 'Installing', args: ['install', '-y', '-q', '--no-install-recommends', 'docker.io', 'iptables', 'iproute2'] },
  ]) {
    log(`  ${what}: apt-get ${args.join(' ')}`);
    const result = await run('apt-get', args, { DEBIAN_FRONTEND: 'noninteractive' });
    if (result.code !== 0) return `apt-get ${args[0]} failed:\n${lastLines(result.output, 8)}`;
  }
  return hasProgram('dockerd') ? undefined : 'apt-get succeeded, but dockerd is still not found.';
}

/**
 * An engine whose network this host has no part in, as with Docker Desktop or an engine on another machine: its socket is all that is shared.
 * @returns {Promise<{ dockerHost: string, started: boolean, stop(): Promise<void> }>}
 * @throws Error that says what is missing
 */
export async function startEngineApart({ log = () => {} } = {}) {
  const obstacle = await prepare({ log, install: false });
  if (obstacle !== undefined) throw new Error(obstacle);
  const missing = ['unshare', 'ip'].filter((program) => !hasProgram(program));
  if (missing.length > 0) throw new Error(`${missing.join(' and ')} missing. On Debian: apt-get install util-linux iproute2`);
  return startEngine(log, ['--apart']);
}

async function startEngine(log, flags = []) {
  removeStale();
  // A short path: a unix socket's path may have at most 107 bytes.
  const base = tmpdir().length > 40 ? '/tmp' : tmpdir();
  const directory = mkdtempSync(join(base, `${DIRECTORY_PREFIX}${process.pid}-`));
  const socket = join(directory, 'docker.sock');
  log('Starting a container engine (dockerd) of our own...');
  const begun = Date.now();
  // In a session of its own, so that Ctrl-C reaches it only through us; it ends when the pipe to its stdin does.
  const supervisor = spawn(process.execPath, [fileURLToPath(import.meta.url), '--supervise', directory, ...flags], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  const ended = new Promise((resolve) => supervisor.once('exit', resolve));
  let over = false;
  void ended.then(() => (over = true));
  const stop = async () => {
    supervisor.ref();
    supervisor.stdin.end();
    await ended;
  };
  const dockerHost = `unix://${socket}`;
  while (!(await answers(dockerHost))) {
    if (over || Date.now() - begun > READY_TIMEOUT_MS) {
      const output = readText(join(directory, 'log'));
      await stop();
      removeDirectory(directory);
      throw new Error(`dockerd did not start. What it said last:\n${lastLines(output, 12)}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  log(`Container engine ready after ${((Date.now() - begun) / 1000).toFixed(1)} s: ${dockerHost}`);
  // Neither the child nor its pipe keeps our event loop alive.
  supervisor.unref();
  supervisor.stdin.unref?.();
  return { dockerHost, started: true, stop };
}

/** The supervisor: runs dockerd until stdin ends, then cleans up. With `--apart` in a network namespace that ends with it. */
async function supervise(directory, isApart) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.stdin.destroy());
  writeFileSync(join(directory, 'supervisor.pid'), String(process.pid));
  writeFileSync(join(directory, 'daemon.json'), '{}');
  const bridge = isApart ? undefined : createBridge();
  const log = openSync(join(directory, 'log'), 'a');
  const dockerd = spawn(
    isApart ? 'unshare' : 'dockerd',
    [
      ...(isApart ? ['--net', '--', 'sh', '-c', `${APART_NETWORK}; exec dockerd "$@"`, 'dockerd'] : []),
      '--data-root',
      join(directory, 'data'),
      // containerd refuses to start when these two are one directory.
      '--exec-root',
      join(directory, 'exec'),
      '--pidfile',
      join(directory, 'dockerd.pid'),
      '--host',
      `unix://${join(directory, 'docker.sock')}`,
      '--shutdown-timeout',
      '5',
      // Not the machine's /etc/docker/daemon.json: its settings may contradict these flags.
      '--config-file',
      join(directory, 'daemon.json'),
      ...(bridge === undefined ? [] : ['--bridge', bridge]),
    ],
    { stdio: ['ignore', log, log], env: environment() },
  );
  closeSync(log);
  const exited = new Promise((resolve) => {
    dockerd.once('exit', resolve);
    dockerd.once('error', resolve);
  });
  const parentGone = new Promise((resolve) => {
    process.stdin.once('end', resolve);
    process.stdin.once('close', resolve);
    process.stdin.once('error', resolve);
    process.stdin.resume();
  });
  const first = await Promise.race([exited.then(() => 'exited'), parentGone.then(() => 'parent')]);
  // Networks that were not removed: the engine forgets them with its data, but their bridges would stay on the host.
  const bridges = first === 'parent' ? await networkBridges(join(directory, 'docker.sock')) : [];
  if (first === 'parent') {
    dockerd.kill('SIGTERM');
    const timer = setTimeout(() => dockerd.kill('SIGKILL'), 30_000);
    await exited;
    clearTimeout(timer);
  }
  for (const name of [...bridges, bridge]) removeBridge(name);
  // Where dockerd ended by itself the parent still reads its log.
  if (first === 'parent') removeDirectory(directory);
  process.exit(0);
}

/** A default bridge of our own, so that two engines do not hand out the same addresses on docker0; undefined where there is no `ip`. */
function createBridge() {
  if (!hasProgram('ip')) return undefined;
  const name = `${BRIDGE_PREFIX}${process.pid}`;
  const used = readText('/proc/net/route');
  for (let attempt = 0; attempt < 64; attempt++) {
    const third = (process.pid + attempt) % 256;
    // /proc/net/route has addresses in hexadecimal, lowest byte first: 172.30.X.0 is 00XX1EAC.
    if (used.toUpperCase().includes(`00${third.toString(16).toUpperCase().padStart(2, '0')}1EAC`)) continue;
    if (sync('ip', ['link', 'add', name, 'type', 'bridge']) !== 0) return undefined;
    if (sync('ip', ['addr', 'add', `172.30.${third}.1/24`, 'dev', name]) === 0 && sync('ip', ['link', 'set', name, 'up']) === 0) return name;
    sync('ip', ['link', 'delete', name]);
  }
  return undefined;
}

/** The Linux bridges of the engine's own networks, its default one left out. */
function networkBridges(socketPath) {
  return new Promise((resolve) => {
    const call = request({ socketPath, path: '/networks', timeout: 5_000, agent: false }, (response) => {
      let text = '';
      response.on('data', (chunk) => (text += chunk));
      response.on('end', () => {
        const networks = response.statusCode === 200 ? JSON.parse(text) : [];
        resolve(
          networks
            .filter((network) => network.Driver === 'bridge' && network.Name !== 'bridge')
            .map((network) => network.Options?.['com.docker.network.bridge.name'] ?? `br-${network.Id.slice(0, 12)}`),
        );
      });
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve([]));
    call.end();
  });
}

function removeBridge(name) {
  if (name === undefined) return;
  for (const table of ['filter', 'nat', 'mangle']) {
    const saved = spawnSync('iptables-save', ['-t', table], { env: environment(), encoding: 'utf8' }).stdout ?? '';
    const subnet = new RegExp(`-[io] ${name}(\\s|$)`);
    const rules = saved.split('\n').filter((line) => line.startsWith('-A ') && subnet.test(line));
    if (rules.length > 0)
      spawnSync('iptables-restore', ['-w', '--noflush'], { env: environment(), input: `*${table}\n${rules.map((rule) => `-D ${rule.slice(3)}`).join('\n')}\nCOMMIT\n` });
  }
  sync('ip', ['link', 'delete', name]);
}

function removeDirectory(directory) {
  const mounts = readText('/proc/mounts')
    .split('\n')
    .map((line) => line.split(' ')[1])
    .filter((path) => path?.startsWith(`${directory}/`));
  for (const path of mounts.reverse()) sync('umount', ['-l', path]);
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
}

/** What engines left behind whose supervisor was killed outright. */
function removeStale() {
  for (const base of new Set([tmpdir(), '/tmp'])) {
    for (const name of existsSync(base) ? readdirSync(base) : []) {
      const owner = new RegExp(`^${DIRECTORY_PREFIX}(\\d+)-`).exec(name)?.[1];
      if (owner === undefined || isAlive(owner, 'node')) continue;
      const directory = join(base, name);
      const supervisor = readText(join(directory, 'supervisor.pid'));
      if (supervisor !== '' && isAlive(supervisor, 'supervise')) continue;
      const dockerd = readText(join(directory, 'dockerd.pid')).trim();
      if (dockerd !== '' && isAlive(dockerd, directory)) {
        process.kill(Number(dockerd), 'SIGTERM');
        for (let i = 0; i < 100 && isAlive(dockerd, directory); i++) spawnSync('sleep', ['0.1']);
      }
      if (supervisor !== '') removeBridge(`${BRIDGE_PREFIX}${supervisor.trim()}`);
      removeDirectory(directory);
    }
  }
}

/** Whether the process runs and its command line holds `word`: a process id alone may have been given to another program since. */
function isAlive(pid, word) {
  return readText(`/proc/${String(pid).trim()}/cmdline`).includes(word);
}

function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

function environment(extra = {}) {
  // dockerd and iptables live in sbin, which is not on everybody's PATH.
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`, ...extra };
}

function hasProgram(name) {
  return environment()
    .PATH.split(':')
    .some((directory) => directory !== '' && existsSync(join(directory, name)));
}

function sync(program, args) {
  return spawnSync(program, args, { env: environment(), stdio: 'ignore' }).status;
}

function run(program, args, extra) {
  return new Promise((resolve) => {
    let output = '';
    const child = spawn(program, args, { env: environment(extra), stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (output = (output + chunk).slice(-20_000)));
    child.once('error', (error) => resolve({ code: 1, output: String(error) }));
    child.once('close', (code) => resolve({ code, output }));
  });
}

function lastLines(text, count) {
  return text
    .trimEnd()
    .split('\n')
    .slice(-count)
    .map((line) => `  ${line}`)
    .join('\n');
}

async function main(args) {
  if (args[0] === '--supervise') return supervise(args[1], args.includes('--apart'));
  const separator = args.indexOf('--');
  const command = separator < 0 ? [] : args.slice(separator + 1);
  if (command.length === 0) {
    console.error('usage: node scripts/engine.mjs [--no-install] [--optional] -- COMMAND...');
    process.exit(2);
  }
  const flags = args.slice(0, separator);
  const log = (line) => console.error(line);
  const engine = await ensureEngine({ log, install: !flags.includes('--no-install') }).catch((error) => {
    if (!flags.includes('--optional')) throw error;
    log(`${error.message}\nGoing on without a container engine.`);
  });
  const child = spawn(command[0], command.slice(1), { stdio: 'inherit', env: { ...process.env, ...(engine === undefined ? {} : { DOCKER_HOST: engine.dockerHost }) } });
  // The command decides how to end; we end after it.
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const code = await new Promise((resolve) => {
    child.once('error', (error) => {
      console.error(`${command[0]}: ${error.message}`);
      resolve(127);
    });
    child.once('exit', (status, signal) => resolve(status ?? (signal === 'SIGINT' ? 130 : 143)));
  });
  await engine?.stop();
  process.exit(code);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  });
}
