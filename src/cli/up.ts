/** `actas up`: starts the control plane in the foreground, or detached. */
import { closeSync, fstatSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { type Config, ConfigError, loadConfig } from '../config.ts';
import { describeGoogleAccounts } from '../identity/google-account.ts';
import { UP_FLAGS } from './up-flags.ts';

const DETACH_PATIENCE_MS = 60_000;

export function registerUp(program: Command): void {
  const command = program.command('up').description('start the control plane on this machine');
  for (const [flag, description] of UP_FLAGS) command.option(flag, description);
  command
    .addHelpText(
      'after',
      '\nEvery option may come from the environment (ACTAS_DATA_DIR, ACTAS_PORT, ...) or from the configuration file.\n\nExamples:\n  $ actas up\n  $ actas up --driver fake --port 0 --ready-file /tmp/ready.json\n  $ actas up --detach --seed company.yaml',
    )
    .action(up);
}

/** @param flags as commander gives them */
export async function up(flags: Readonly<Record<string, unknown>>): Promise<void> {
  // commander takes `--no-egress` for the opposite of an `--egress`.
  const negated = { ...(flags['egress'] === false ? { noEgress: true } : {}), ...(flags['taskGoogleNames'] === false ? { noTaskGoogleNames: true } : {}) };
  const config = load({ ...flags, ...mapImages(flags['images']), ...negated });
  if (flags['detach'] === true) return detach(config);
  await serve(config);
}

function load(flags: Readonly<Record<string, unknown>>): Config {
  try {
    return loadConfig(flags, process.env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    console.error(`ERROR: (actas.up) ${error.message}`);
    process.exit(2);
  }
}

/** `--images REF=TARGET` as the configuration has it. */
function mapImages(value: unknown): { images?: Record<string, string> } {
  if (!Array.isArray(value)) return {};
  const entries = value.map((text: unknown): [string, string] => {
    const pair = /^([^=]+)=(.+)$/.exec(String(text));
    if (pair?.[1] === undefined || pair[2] === undefined) {
      console.error(`ERROR: (actas.up) --images is ${JSON.stringify(text)}: must be REFERENCE=TARGET`);
      process.exit(2);
    }
    return [pair[1], pair[2]];
  });
  return { images: Object.fromEntries(entries) };
}

async function serve(config: Config): Promise<void> {
  // The server's modules are loaded here and not with the CLI: `actas --help` must be quick.
  const { startServer } = await import('../main.ts');
  const server = await startServer(config).catch((error: unknown) => {
    console.error(`ERROR: (actas.up) ${error instanceof Error ? error.message : String(error)}`);
    if (config.logLevel === 'debug' || config.logLevel === 'trace') console.error(error);
    process.exit(1);
  });
  let stopping = false;
  const stop = (signal: NodeJS.Signals): void => {
    if (stopping) process.exit(signal === 'SIGINT' ? 130 : 143);
    stopping = true;
    server.close().then(
      () => process.exit(0),
      (error: unknown) => {
        console.error(`ERROR: (actas.up) the stop failed: ${error instanceof Error ? error.message : String(error)}`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', stop);
  process.on('SIGINT', stop);
}

/** Starts the same command again without a terminal, and waits until it serves or has failed. */
async function detach(config: Config): Promise<void> {
  const { spawn } = await import('node:child_process');
  mkdirSync(config.dataDir, { recursive: true, mode: 0o700 });
  const logFile = join(config.dataDir, 'actas.log');
  const log = openSync(logFile, 'a', 0o600);
  const logged = fstatSync(log).size;
  const [entry = '', ...args] = process.argv.slice(1);
  const child = spawn(process.execPath, [...process.execArgv, entry, ...args.filter((arg) => arg !== '--detach')], { detached: true, stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = new Promise<number>((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
  const server = join(config.dataDir, 'server.json');
  const deadline = performance.now() + DETACH_PATIENCE_MS;
  for (;;) {
    const code = await Promise.race([ended, new Promise<undefined>((resolve) => setTimeout(() => resolve(undefined), 100))]);
    if (code !== undefined) {
      // What earlier runs wrote is not the reason.
      console.error(readFileSync(logFile).subarray(logged).toString().trimEnd().split('\n').slice(-5).join('\n'));
      process.exit(code);
    }
    const found = readServerFile(server);
    if (found?.pid === child.pid) {
      child.unref();
      console.error(`actas serves on ${found?.url ?? ''} (pid ${child.pid ?? 0}). Log: ${logFile}. Stop it with: actas stop`);
      for (const { sentence } of describeGoogleAccounts(config.identities)) console.error(`WARNING: ${sentence}`);
      return;
    }
    if (performance.now() > deadline) {
      console.error(`ERROR: (actas.up) it does not serve after ${DETACH_PATIENCE_MS / 1000} s; it goes on trying. Log: ${logFile}`);
      process.exit(1);
    }
  }
}

/** Undefined while nobody serves: the one of an earlier run may go at any moment. */
function readServerFile(file: string): { url: string; pid: number } | undefined {
  try {
    // Written whole by `server/status-file.ts`.
    return JSON.parse(readFileSync(file, 'utf8')) as { url: string; pid: number };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
