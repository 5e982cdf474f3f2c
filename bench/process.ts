/** Starts programs for the benchmarks, and ends them. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export const ROOT = join(import.meta.dirname, '..');

let staged: string | undefined;
/** The published form is what people run, so it is what is measured: built once a run, beside the clone. */
function published(): string {
  if (staged === undefined) {
    const directory = mkdtempSync(join(tmpdir(), 'actas-bench-build-'));
    const { status } = spawnSync('sh', [join(ROOT, 'scripts', 'build.sh'), join(directory, 'dist')], { stdio: ['ignore', 'ignore', 'inherit'] });
    if (status !== 0) throw new Error('the build failed');
    for (const name of ['bin', 'package.json']) cpSync(join(ROOT, name), join(directory, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules'), join(directory, 'node_modules'));
    process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
    staged = join(directory, 'bin', 'actas.js');
  }
  return staged;
}

export interface Started {
  readonly url: string;
  readonly token: string;
  readonly dataDir: string;
  readonly pid: number;
  /** From the start of the process until it served. */
  readonly readyMs: number;
  stop(): Promise<void>;
  /** Ends it and leaves the data directory. */
  end(): Promise<void>;
}

/** A control plane in a process of its own. */
export async function startActas(args: readonly string[], dataDir = mkdtempSync(join(tmpdir(), 'actas-bench-')), env: NodeJS.ProcessEnv = {}): Promise<Started> {
  const program = published();
  const readyFile = join(dataDir, `ready-${Date.now()}.json`);
  const began = performance.now();
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', program, 'up', '--data-dir', dataDir, '--port', '0', '--ready-file', readyFile, '--log-level', 'error', ...args],
    { stdio: ['ignore', 'inherit', 'inherit'], env: { ...process.env, ...env } },
  );
  while (!existsSync(readyFile)) {
    if (child.exitCode !== null) throw new Error(`actas up ended with ${child.exitCode}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  const readyMs = performance.now() - began;
  const { url, tokenFile } = JSON.parse(readFileSync(readyFile, 'utf8')) as { url: string; tokenFile: string };
  const { pid } = JSON.parse(readFileSync(join(dataDir, 'server.json'), 'utf8')) as { pid: number };
  const end = () => ended(child);
  return {
    url,
    token: readFileSync(tokenFile, 'utf8').trim(),
    dataDir,
    pid,
    readyMs,
    end,
    async stop() {
      await end();
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
}

/** A script of this folder that prints the port it serves on. */
export async function startScript(name: string, args: readonly string[] = []): Promise<{ port: number; end(): Promise<void> }> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', join(import.meta.dirname, name), ...args], { stdio: ['ignore', 'pipe', 'inherit'] });
  const port = await new Promise<number>((resolve, reject) => {
    child.stdout.once('data', (chunk: Buffer) => resolve(Number(chunk.toString())));
    child.once('exit', (code) => reject(new Error(`${name} ended with ${code ?? 'a signal'}`)));
  });
  return { port, end: () => ended(child) };
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.kill('SIGTERM');
  await gone;
}
