/**
 * `npm run test:clients`: Google's clients in Python, Go and Java, unmodified, through `actas exec` with TLS checked, over gRPC and REST: each tells the story of
 * test/clients/fixture.ts. What they need is installed under node_modules/.cache, from the registries of their languages. Where a toolchain is missing or a
 * registry does not answer, the language is skipped by name, with the reason, and counted; what does not compile has failed.
 */
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DOCUMENTED, example, furnish, type Language, story, type Transport } from '../test/clients/fixture.ts';
import { ROOT, runActas } from '../test/harness/run-actas.ts';
import { startTestServer } from '../test/harness/server.ts';

const TRANSPORTS = ['grpc', 'rest'] as const;
const PROGRAM_MS = 180_000;
const INSTALL_MS = 900_000;

interface Toolchain {
  readonly language: Language;
  /** How it is called in the summary. */
  readonly title: string;
  /** What has to be on the PATH, and the words that make each say its version. */
  readonly tools: Readonly<Record<string, readonly string[]>>;
  /** What says which packages: when it changes, they are installed anew. */
  readonly manifest: readonly string[];
  /** Each has to succeed for the language to be tried. @param cache where packages go */
  install(source: string, cache: string): readonly Command[];
  build(source: string, cache: string): readonly Command[];
  program(source: string, cache: string): readonly string[];
  /** The documentation's example, once it is written to `file`. */
  readonly example: { readonly file: string; build?(source: string, cache: string): readonly Command[]; program(cache: string): readonly string[] };
}

interface Command {
  readonly words: readonly [string, ...string[]];
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
}

const goEnv = (cache: string) => ({ GOMODCACHE: join(cache, 'mod'), GOCACHE: join(cache, 'build'), GOFLAGS: '-mod=readonly -modcacherw -buildvcs=false', GOTOOLCHAIN: 'local' });

const TOOLCHAINS: readonly Toolchain[] = [
  {
    language: 'python',
    title: 'Python',
    tools: { python3: ['--version'] },
    manifest: ['requirements.txt'],
    install: (source, cache) => [
      { words: ['python3', '-m', 'venv', join(cache, 'venv')], cwd: source },
      { words: [join(cache, 'venv', 'bin', 'pip'), 'install', '--quiet', '--requirement', 'requirements.txt'], cwd: source },
    ],
    build: () => [],
    program: (source, cache) => [join(cache, 'venv', 'bin', 'python'), join(source, 'client.py')],
    example: { file: 'example.py', program: (cache) => [join(cache, 'venv', 'bin', 'python'), join(cache, 'example.py')] },
  },
  {
    language: 'go',
    title: 'Go',
    tools: { go: ['version'] },
    manifest: ['go.mod', 'go.sum'],
    install: (source, cache) => [{ words: ['go', 'mod', 'download'], cwd: source, env: goEnv(cache) }],
    build: (source, cache) => [{ words: ['go', 'build', '-o', join(cache, 'client'), '.'], cwd: source, env: goEnv(cache) }],
    program: (_source, cache) => [join(cache, 'client')],
    example: {
      file: 'example.go',
      // A program of the same module, of one file that lies elsewhere.
      build: (source, cache) => [{ words: ['go', 'build', '-o', join(cache, 'example'), join(cache, 'example.go')], cwd: source, env: goEnv(cache) }],
      program: (cache) => [join(cache, 'example')],
    },
  },
  {
    language: 'java',
    title: 'Java',
    tools: { mvn: ['--version'], javac: ['-version'], keytool: ['-help'] },
    manifest: ['pom.xml'],
    install: (source, cache) => [
      {
        words: ['mvn', '--quiet', '--batch-mode', `-Dmaven.repo.local=${join(cache, 'repository')}`, 'dependency:copy-dependencies', `-DoutputDirectory=${join(cache, 'lib')}`],
        cwd: source,
      },
    ],
    build: (source, cache) => [{ words: ['javac', '-cp', join(cache, 'lib', '*'), '-d', join(cache, 'classes'), 'Client.java'], cwd: source }],
    program: (_source, cache) => ['java', '-cp', `${join(cache, 'classes')}:${join(cache, 'lib', '*')}`, 'Client'],
    example: { file: 'Jobs.java', program: (cache) => ['java', '-cp', join(cache, 'lib', '*'), join(cache, 'Jobs.java')] },
  },
];

const counts = { passed: 0, failed: 0, skipped: 0 };
const skips: string[] = [];
const home = mkdtempSync(join(tmpdir(), 'actas-clients-'));
const wanted = process.argv.slice(2);
const server = await startTestServer();
try {
  await furnish(server);
  for (const toolchain of TOOLCHAINS) if (wanted.length === 0 || wanted.includes(toolchain.language)) await tryLanguage(toolchain);
} finally {
  await server.close();
  rmSync(home, { recursive: true, force: true });
}
for (const line of skips) console.log(line);
console.log(`${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`);
process.exitCode = counts.failed === 0 ? 0 : 1;

async function tryLanguage(toolchain: Toolchain): Promise<void> {
  const { language, title } = toolchain;
  const source = join(ROOT, 'test', 'clients', language);
  const all = TRANSPORTS.reduce((sum, transport) => sum + story(language, transport).length, 1);
  const missing = Object.entries(toolchain.tools).find(([tool, words]) => spawnSync(tool, words, { stdio: 'ignore' }).status !== 0);
  if (missing !== undefined) return skip(title, all, `${missing[0]} is not on the PATH, or does not run`);
  const cache = cacheOf(toolchain, source);
  const installed = join(cache, '.installed');
  console.log(`${title}: ${existsSync(installed) ? 'packages are there' : 'installing packages'}`);
  if (!existsSync(installed)) {
    const why = await firstFailure(toolchain.install(source, cache));
    if (why !== undefined) return skip(title, all, `its packages could not be installed: ${why}`);
    writeFileSync(installed, '');
  }
  writeFileSync(join(cache, toolchain.example.file), example(language));
  const broken = await firstFailure([...toolchain.build(source, cache), ...(toolchain.example.build?.(source, cache) ?? [])]);
  if (broken !== undefined) {
    counts.failed += all;
    console.log(`FAIL ${title} does not compile: ${broken}`);
    return;
  }
  for (const transport of TRANSPORTS) await tell(toolchain, transport, toolchain.program(source, cache));
  const { out, err } = await run(toolchain.example.program(cache));
  const isListed = out.split('\n').includes(DOCUMENTED);
  counts[isListed ? 'passed' : 'failed'] += 1;
  console.log(`${isListed ? 'ok  ' : 'FAIL'} ${title}: the example of docs/clients.md${isListed ? '' : `\n${out}${err}`}`);
}

function run(program: readonly string[]): ReturnType<typeof runActas> {
  return runActas({ dataDir: server.dataDir, home }, ['exec', '--', ...program], {}, PROGRAM_MS);
}

/** Runs a program, and holds what it says against the story, line by line. */
async function tell({ language, title }: Toolchain, transport: Transport, program: readonly string[]): Promise<void> {
  const { code, out, err } = await run([...program, transport]);
  const said = out.trim().split('\n');
  const expected = story(language, transport);
  for (const [i, line] of expected.entries()) {
    const isSame = said[i] === line;
    counts[isSame ? 'passed' : 'failed'] += 1;
    console.log(`${isSame ? 'ok  ' : 'FAIL'} ${title} over ${transport}: ${line}${isSame ? '' : `\n     said: ${said[i] ?? 'nothing'}`}`);
  }
  if (code === 0 && said.length === expected.length) return;
  counts.failed += 1;
  console.log(`FAIL ${title} over ${transport}: exit ${code}, ${said.length} lines\n${err}`);
}

function skip(title: string, checks: number, why: string): void {
  counts.skipped += checks;
  skips.push(`Skipped: ${title} (${checks} checks): ${why}`);
}

function cacheOf({ language, manifest }: Toolchain, source: string): string {
  const hash = createHash('sha256');
  for (const file of manifest) hash.update(readFileSync(join(source, file)));
  const cache = join(ROOT, 'node_modules', '.cache', 'actas-clients', `${language}-${hash.digest('hex').slice(0, 12)}`);
  mkdirSync(cache, { recursive: true });
  return cache;
}

/** @returns why one of them failed: the last line that says something */
async function firstFailure(commands: readonly Command[]): Promise<string | undefined> {
  for (const { words, cwd, env } of commands) {
    const [command, ...args] = words;
    let said = '';
    const code = await new Promise<number | null>((resolve) => {
      const child = spawn(command, args, { cwd, env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'], timeout: INSTALL_MS });
      for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => (said += text));
      child.once('error', (error) => {
        said += error.message;
        resolve(null);
      });
      child.once('close', resolve);
    });
    const lines = said.split('\n').filter((line) => /\w/.test(line));
    if (code !== 0) return (lines.find((line) => /error/i.test(line)) ?? lines.at(-1) ?? `${command} ended with ${code}`).trim().slice(0, 300);
  }
  return undefined;
}
