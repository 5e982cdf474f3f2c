#!/usr/bin/env node
/**
 * A Podman of our own for tests, beside whatever the machine has: its own storage, networks and socket, ended with us, and nothing left.
 * Plain JavaScript without dependencies, as scripts/engine.mjs, for Linux and root.
 *
 *   node scripts/podman.mjs -- COMMAND...     runs COMMAND with DOCKER_HOST set to it, and exits with its code
 *   --no-install   installs nothing
 */
import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const READY_TIMEOUT_MS = 30_000;
const PACKAGES = ['podman', 'runc', 'netavark', 'conmon', 'iptables'];

/**
 * @param {{ log?: (line: string) => void, install?: boolean }} [options] `install` allows Debian packages to be installed (default false)
 * @returns {Promise<{ dockerHost: string, stop(): Promise<void> }>}
 * @throws Error that says what is missing and how to get it
 */
export async function startPodman({ log = () => {}, install = false } = {}) {
  if (process.platform !== 'linux') throw new Error('this is not Linux');
  if (process.getuid?.() !== 0) throw new Error('it needs root');
  if (!hasProgram('podman')) {
    if (!install || !hasProgram('apt-get')) throw new Error(`no podman. On Debian: apt-get install ${PACKAGES.join(' ')}`);
    log(`Installing ${PACKAGES.join(', ')} from Debian...`);
    for (const args of [
      ['update', '-q'],
      ['install', '-y', '-q', '--no-install-recommends', ...PACKAGES],
    ])
      if (spawnSync('apt-get', args, { env: environment({ DEBIAN_FRONTEND: 'noninteractive' }), stdio: 'ignore' }).status !== 0) throw new Error(`apt-get ${args[0]} failed`);
  }
  // A short path: a unix socket's path may have at most 107 bytes.
  const directory = mkdtempSync('/tmp/actas-podman-');
  writeFileSync(join(directory, 'containers.conf'), settings());
  const supervisor = spawn(process.execPath, [fileURLToPath(import.meta.url), '--supervise', directory], { stdio: ['pipe', 'ignore', 'inherit'], detached: true });
  let over = false;
  const ended = new Promise((resolve) => supervisor.once('exit', resolve)).then(() => (over = true));
  const stop = async () => {
    supervisor.ref();
    supervisor.stdin.end();
    await ended;
  };
  const socketPath = join(directory, 'podman.sock');
  const begun = Date.now();
  while (!(await answers(socketPath))) {
    if (over || Date.now() - begun > READY_TIMEOUT_MS) {
      const output = existsSync(join(directory, 'log')) ? readFileSync(join(directory, 'log'), 'utf8') : '';
      await stop();
      throw new Error(`its service did not start: ${output.trim().split('\n').slice(-5).join('\n')}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  // Neither the child nor its pipe keeps our event loop alive.
  supervisor.unref();
  supervisor.stdin.unref?.();
  return { dockerHost: `unix://${socketPath}`, stop };
}

function settings() {
  // crun refuses a control group layout with both versions; runc takes it.
  const isHybrid = existsSync('/sys/fs/cgroup/unified');
  return [
    '[engine]',
    'events_logger = "file"',
    ...(existsSync('/run/systemd/system') ? [] : ['cgroup_manager = "cgroupfs"']),
    ...(isHybrid && hasProgram('runc') ? ['runtime = "runc"'] : []),
    '',
  ].join('\n');
}

/** Runs the service until stdin ends, then removes all that it made. */
async function supervise(directory) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.stdin.destroy());
  const log = openSync(join(directory, 'log'), 'a');
  const own = ['--root', join(directory, 'data'), '--runroot', join(directory, 'run'), '--network-config-dir', join(directory, 'net')];
  const env = environment({ CONTAINERS_CONF: join(directory, 'containers.conf') });
  const podman = (...args) => spawnSync('podman', [...own, ...args], { env, stdio: 'ignore' });
  const service = spawn('podman', [...own, 'system', 'service', '--time=0', `unix://${join(directory, 'podman.sock')}`], { stdio: ['ignore', log, log], env });
  const exited = new Promise((resolve) => {
    service.once('exit', resolve);
    service.once('error', resolve);
  });
  const parentGone = new Promise((resolve) => {
    for (const event of ['end', 'close', 'error']) process.stdin.once(event, resolve);
    process.stdin.resume();
  });
  await Promise.race([exited, parentGone]);
  podman('rm', '--all', '--force', '--time=0');
  podman('network', 'prune', '--force');
  service.kill('SIGTERM');
  await exited;
  const mounts = readFileSync('/proc/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1])
    .filter((path) => path?.startsWith(`${directory}/`));
  for (const path of mounts.reverse()) spawnSync('umount', ['-l', path], { env, stdio: 'ignore' });
  rmSync(directory, { recursive: true, force: true, maxRetries: 10, retryDelay: 100 });
  process.exit(0);
}

function answers(socketPath) {
  if (!existsSync(socketPath)) return Promise.resolve(false);
  return new Promise((resolve) => {
    const call = request({ socketPath, path: '/_ping', timeout: 5_000, agent: false }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.on('timeout', () => call.destroy());
    call.on('error', () => resolve(false));
    call.end();
  });
}

function environment(extra = {}) {
  return { ...process.env, PATH: `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`, ...extra };
}

function hasProgram(name) {
  return environment()
    .PATH.split(':')
    .some((directory) => directory !== '' && existsSync(join(directory, name)));
}

async function main(args) {
  if (args[0] === '--supervise') return supervise(args[1]);
  const separator = args.indexOf('--');
  const [program, ...rest] = separator < 0 ? [] : args.slice(separator + 1);
  if (program === undefined) {
    console.error('usage: node scripts/podman.mjs [--no-install] -- COMMAND...');
    process.exit(2);
  }
  const podman = await startPodman({ log: (line) => console.error(line), install: !args.slice(0, separator).includes('--no-install') });
  const child = spawn(program, rest, { stdio: 'inherit', env: { ...process.env, DOCKER_HOST: podman.dockerHost } });
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('exit', (status, signal) => resolve(status ?? (signal === 'SIGINT' ? 130 : 143)));
  });
  await podman.stop();
  process.exit(code);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  main(process.argv.slice(2)).catch((error) => {
    console.error(`Podman cannot be started: ${error instanceof Error ? error.message : error}`);
    process.exit(1);
  });
}
