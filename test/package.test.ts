/**
 * The published form, from the tarball to a running control plane: packed as npm packs it, installed globally into a directory of its
 * own, started outside the clone, used from its own command-line program and from somebody else's TypeScript.
 */
import { execFile, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { until } from '../src/runner/until.ts';
import { githubPipeline, runPipeline } from './harness/pipelines.ts';

const ROOT = resolve(import.meta.dirname, '..');
const run = promisify(execFile);
const directory = mkdtempSync(join(tmpdir(), 'actas-package-'));
const stage = join(directory, 'stage');
const prefix = join(directory, 'prefix');
const outside = join(directory, 'outside');
const installed = join(prefix, 'lib', 'node_modules', 'actas');
const actas = join(prefix, 'bin', 'actas');
/** Nothing of the clone: a program must not be found by luck. */
const env: NodeJS.ProcessEnv = {
  PATH: (process.env['PATH'] ?? '')
    .split(':')
    .filter((entry) => !entry.startsWith(ROOT))
    .join(':'),
  HOME: outside,
  ACTAS_DATA_DIR: join(directory, 'data'),
};
let files: readonly string[] = [];

beforeAll(async () => {
  for (const name of [stage, outside]) mkdirSync(name, { recursive: true });
  // Built beside the clone, not in it: another test run may be reading there.
  await run('sh', [join(ROOT, 'scripts/build.sh'), join(stage, 'dist')], { cwd: ROOT });
  for (const name of ['bin', 'package.json', 'README.md', 'LICENSE', 'CHANGELOG.md', 'SECURITY.md']) cpSync(join(ROOT, name), join(stage, name), { recursive: true });
  const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', directory], { cwd: stage });
  const described: unknown = JSON.parse(stdout);
  // npm up to 11 answers with a list, later with a map by name.
  const [packed] = Object.values(Object(described) as Record<string, { filename: string; files: { path: string }[] }>);
  if (packed === undefined) throw new Error(`npm pack says: ${stdout}`);
  files = packed.files.map((file) => file.path);
  await run('npm', ['install', '--global', '--prefix', prefix, '--prefer-offline', '--no-audit', '--no-fund', join(directory, packed.filename)], {
    cwd: outside,
    maxBuffer: 1 << 26,
  });
}, 300_000);

afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe('the package', () => {
  test('holds what runs and what a lawyer asks for, and no source or test', () => {
    for (const name of [
      'LICENSE',
      'README.md',
      'bin/actas.js',
      'dist/main.js',
      'dist/types/main.d.ts',
      'dist/types/gen/google/cloud/run/v2/job_pb.d.ts',
      'dist/cli/main.js',
      'dist/log-worker.js',
      'dist/node-proxy.cjs',
      'dist/catalogue/run.txt',
      'dist/THIRD-PARTY-LICENSES.txt',
    ])
      expect(files).toContain(name);
    expect(files.filter((name) => /\.test\.|-contract\.|(^|\/)(src|test|bench)\//.test(name) || (name.endsWith('.ts') && !name.endsWith('.d.ts')))).toEqual([]);
  });

  test('declares every package that its code or its types import', () => {
    const manifest: { dependencies: Record<string, string> } = JSON.parse(readFileSync(join(installed, 'package.json'), 'utf8'));
    const imported = new Set<string>();
    for (const file of readdirSync(join(installed, 'dist'), { recursive: true, encoding: 'utf8' })) {
      if (!file.endsWith('.js') && !file.endsWith('.d.ts')) continue;
      const text = readFileSync(join(installed, 'dist', file), 'utf8');
      // Statements alone: the libraries' comments are full of examples.
      for (const match of [...text.matchAll(/^(?:import|export)\b(?:[^'"=\n]*\bfrom)?\s*["']([^."'\s][^"'\s]*)["'];?$/gm), ...text.matchAll(/\bimport\("([^."\s][^"\s]*)"\)/g)])
        imported.add(match[1] ?? '');
    }
    const packages = [...imported]
      .filter((name) => !name.startsWith('node:'))
      .map((name) =>
        name
          .split('/')
          .slice(0, name.startsWith('@') ? 2 : 1)
          .join('/'),
      );
    expect(packages.length).toBeGreaterThan(5);
    expect([...new Set(packages)].filter((name) => !(name in manifest.dependencies))).toEqual([]);
  });

  test('runs a job outside the clone', async () => {
    const ready = join(directory, 'ready.json');
    const server = spawn(actas, ['up', '--driver=fake', '--port=0', `--ready-file=${ready}`], { cwd: outside, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [server.stdout, server.stderr]) stream.on('data', (chunk) => (output += String(chunk)));
    const ended = new Promise<number | null>((done) => server.once('exit', done));
    try {
      await Promise.race([until(() => existsSync(ready), 'the ready file', 60_000), ended.then((code) => Promise.reject(new Error(`actas up ended with ${code}:\n${output}`)))]);
      const { url, tokenFile }: { url: string; tokenFile: string } = JSON.parse(readFileSync(ready, 'utf8'));
      const answer = await fetch(`${url}/actas/v1/status`, { headers: { authorization: `Bearer ${readFileSync(tokenFile, 'utf8').trim()}`, connection: 'close' } });
      expect(await answer.json()).toMatchObject({ project: 'demo', driver: { name: 'fake' } });
      await run(actas, ['run', 'jobs', 'create', 'packed', '--image=any/image'], { cwd: outside, env });
      await run(actas, ['run', 'jobs', 'execute', 'packed', '--wait'], { cwd: outside, env });
      // A Node that cannot find what it has to read first does not start.
      const { stdout } = await run(actas, ['exec', '--', 'node', '-p', 'process.env.NODE_OPTIONS'], { cwd: outside, env });
      expect(stdout).toMatch(/actas\/dist\/node-proxy\.cjs/);
    } finally {
      server.kill('SIGTERM');
    }
    expect(await ended, output).toBe(0);
  }, 120_000);

  test('runs the example of a pipeline (examples/ci) from its first command to its last', () => {
    const { ran, others } = runPipeline(githubPipeline('identity'), actas, env['PATH'] ?? '');
    expect(ran.filter(({ status }) => status !== 0)).toEqual([]);
    expect(others).toContain('npm test through the proxy');
  }, 120_000);

  test('has types that a strict TypeScript project can use', async () => {
    mkdirSync(join(outside, 'node_modules'), { recursive: true });
    symlinkSync(installed, join(outside, 'node_modules', 'actas'));
    writeFileSync(join(outside, 'package.json'), '{ "type": "module" }');
    writeFileSync(
      join(outside, 'use.ts'),
      `import { startServer, type RunningServer } from 'actas';
import { loadConfig } from 'actas/config';
const server: RunningServer = await startServer(loadConfig({ dataDir: 'd', port: 0, driver: 'fake' }, {}));
const url: string = server.url;
// @ts-expect-error A number is no URL: the types are known, not any.
const wrong: number = server.url;
console.log(url, wrong);
await server.close();
`,
    );
    const tsc = join(ROOT, 'node_modules', '.bin', 'tsc');
    const compiled = await run(tsc, ['--noEmit', '--strict', '--skipLibCheck', 'false', '--module', 'nodenext', '--target', 'es2024', '--types', '', 'use.ts'], {
      cwd: outside,
    }).catch((error: { stdout?: string }) => ({ stdout: error.stdout ?? 'use.ts: the compiler could not be started' }));
    // Types of Node and of dependencies are the project's own business; ours have to be whole.
    const faults = compiled.stdout.split('\n').filter((line) => /^use\.ts|\/actas\/dist\//.test(line) && !/Cannot find (name|namespace) '(NodeJS|Buffer)'|'node:/.test(line));
    expect(faults).toEqual([]);
  });
});

/** The image itself needs a base image from a registry, so only the form of its files is held here. */
describe('the container files', () => {
  test('the Dockerfile is made of instructions, and copies what is there', () => {
    const text = readFileSync(join(ROOT, 'Dockerfile'), 'utf8').replace(/\\\n/g, ' ');
    const instructions = text
      .split('\n')
      .filter((line) => line.trim() !== '' && !line.startsWith('#'))
      .map((line) => /^([A-Z]+)\s+(\S.*)$/.exec(line));
    expect(instructions.every((match) => match !== null && /^(FROM|WORKDIR|COPY|RUN|ENV|VOLUME|EXPOSE|USER|STOPSIGNAL|HEALTHCHECK|ENTRYPOINT|CMD)$/.test(match[1] ?? ''))).toBe(
      true,
    );
    const copied = instructions.flatMap((match) =>
      match?.[1] === 'COPY'
        ? (match[2] ?? '')
            .split(/\s+/)
            .filter((word) => !word.startsWith('--'))
            .slice(0, -1)
        : [],
    );
    const paths = copied.map((path) => path.replace(/^\/src\//, '')).filter((path) => !['.', 'dist', 'node_modules'].includes(path));
    expect(paths.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    const kept = readFileSync(join(ROOT, '.dockerignore'), 'utf8')
      .split('\n')
      .filter((line) => line.startsWith('!'))
      .map((line) => line.slice(1));
    expect(kept.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
    for (const path of paths) expect(kept).toContain(path);
    expect(instructions.findLast((match) => match?.[1] === 'USER')?.[2]).toBe('node');
  });

  test('compose.yaml serves on the host and says what the socket means', () => {
    const text = readFileSync(join(ROOT, 'compose.yaml'), 'utf8');
    expect(parse(text)).toMatchObject({
      services: { actas: { build: '.', network_mode: 'host', volumes: ['/var/run/docker.sock:/var/run/docker.sock', 'data:/data'] } },
      volumes: { data: null },
    });
    expect(text).toMatch(/Whoever controls that socket\n# controls the engine/);
  });
});
