/**
 * Every setting, in one schema: flags before environment (`ACTAS_*`) before the file (`--config`, else `<data-dir>/config.yaml`) before
 * defaults, into one frozen Config. Names are the same everywhere: `--data-dir`, `ACTAS_DATA_DIR`, `dataDir:`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { parse } from 'yaml';
import { z } from 'zod';
import { parsePrincipal } from './identity/principal.ts';

const boolean = z.union([z.boolean(), z.enum(['true', 'false', '1', '0']).transform((v) => v === 'true' || v === '1')]);
const list = z.union([
  z.array(z.string()),
  z.string().transform((v) =>
    v
      .split(',')
      .map((s) => s.trim())
      .filter((s) => s !== ''),
  ),
]);
const principal = z.string().transform((value, context) => {
  try {
    return parsePrincipal(value).member;
  } catch {
    context.addIssue({ code: 'custom', message: 'must be user:EMAIL or serviceAccount:EMAIL' });
    return z.NEVER;
  }
});
const duration = z.union([z.number(), z.string()]).transform((value, context) => {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value));
  if (match === null) {
    context.addIssue({ code: 'custom', message: 'must be a duration such as 30s, 10m, 24h or 7d' });
    return z.NEVER;
  }
  const unit = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[match[2] ?? 's'] ?? 1000;
  return Number(match[1]) * unit;
});
const bytes = z.union([z.number(), z.string()]).transform((value, context) => {
  const match = /^(\d+(?:\.\d+)?)(K|M|G|T)?i?B?$/i.exec(String(value));
  if (match === null) {
    context.addIssue({ code: 'custom', message: 'must be a size such as 512M or 10G' });
    return z.NEVER;
  }
  return Math.floor(Number(match[1]) * 1024 ** ' KMGT'.indexOf((match[2] ?? ' ').toUpperCase()));
});

/** `REFERENCE=TARGET,REFERENCE=TARGET`, as the environment has it; what is none stays text, which the schema then names. */
function readPairs(value: unknown): unknown {
  if (typeof value !== 'string') return value;
  const entries = value.split(',').map((pair) => /^\s*([^=\s]+)=(\S+)\s*$/.exec(pair)?.slice(1));
  return entries.includes(undefined) ? value : Object.fromEntries(entries.filter((entry) => entry !== undefined));
}

const SCHEMA = z
  .strictObject({
    dataDir: z.string().min(1),
    host: z.string().min(1).default('127.0.0.1'),
    port: z.coerce.number().int().min(0).max(65_535).default(8787),
    driver: z.enum(['docker', 'fake']).default('docker'),
    /** The project that commands use when they name none. */
    project: z.string().min(1).default('demo'),
    /** Whose token the first start writes to the data directory. */
    owner: principal.default('user:owner@example.com'),
    seed: z.string().min(1).optional(),
    readyFile: z.string().min(1).optional(),
    logLevel: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'silent']).default('info'),
    logFormat: z.enum(['text', 'json']).default('text'),
    /** Given twice where the principal may set IAM policies. */
    anonymousAs: list.pipe(z.array(principal)).default([]),
    allowedHost: list.default([]),
    /** Reference of an image -> local image, archive or mirror. */
    images: z.preprocess(readPairs, z.record(z.string(), z.string(), 'must be REFERENCE=TARGET, several with commas between them')).default({}),
    strictResources: boolean.default(false),
    /** Attempts of all executions that may run at once on this machine; 0 derives it from the processors. */
    maxRunningAttempts: z.coerce.number().int().min(0).max(10_000).default(0),
    /** The quotas of Cloud Run for one project and region, where they are to hold here too; 0: none. */
    maxJobs: z.coerce.number().int().min(0).default(0),
    maxRunningExecutions: z.coerce.number().int().min(0).default(0),
    /** Kill running containers at a stop instead of leaving them to the next start. */
    killOnStop: boolean.default(false),
    logRetention: duration.default(30 * 86_400_000),
    logMaxSize: bytes.default(10 * 1024 ** 3),
    /** How tasks reach the metadata server: `auto` takes its real address where the machine allows it. */
    taskNetwork: z.enum(['auto', 'address', 'hostname']).default('auto'),
  })
  .superRefine(({ anonymousAs: [member, ...more], host }, context) => {
    if (member === undefined) return;
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['anonymousAs'], message });
    if (!['127.0.0.1', '::1', 'localhost'].includes(host)) refuse(`is for loopback alone, but host is ${host}. Leave one of them out`);
    if (more.some((other) => other !== member)) refuse('takes one principal, named again where it may set IAM policies');
  });
export type Config = Readonly<z.output<typeof SCHEMA>>;
export type ConfigKey = keyof Config;

/** A setting that cannot be used. The message names it, its value, where it came from and what would do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** An empty variable of the environment is one that is not set. @param flags as commander gives them, undefined where not given @throws ConfigError */
export function loadConfig(flags: Readonly<Record<string, unknown>>, env: Readonly<Record<string, string | undefined>>): Config {
  const fromEnv = Object.fromEntries(
    Object.keys(SCHEMA.shape).flatMap((key) => {
      const value = env[envName(key)];
      return value === undefined || value === '' ? [] : [[key, value]];
    }),
  );
  const fromFlags = Object.fromEntries(Object.entries(flags).filter(([key, value]) => value !== undefined && key in SCHEMA.shape));
  const dataDir = resolve(
    z
      .string()
      .catch(defaultDataDir(env))
      .parse(fromFlags['dataDir'] ?? fromEnv['dataDir']),
  );
  const file = typeof flags['config'] === 'string' ? flags['config'] : (env['ACTAS_CONFIG'] ?? join(dataDir, 'config.yaml'));
  const fromFile = flags['config'] !== undefined || env['ACTAS_CONFIG'] !== undefined || existsSync(file) ? readConfigFile(file) : {};
  const merged: Record<string, unknown> = { ...fromFile, ...fromEnv, ...fromFlags, dataDir };
  const parsed = SCHEMA.safeParse(merged);
  if (parsed.success) return Object.freeze(parsed.data);
  const problems = parsed.error.issues.map((issue) => {
    const key = issue.code === 'unrecognized_keys' ? issue.keys.join(', ') : issue.path.join('.');
    const top = String(issue.path[0] ?? key);
    const source = top in fromFlags ? `--${kebab(top)}` : top in fromEnv ? envName(top) : file;
    return issue.code === 'unrecognized_keys'
      ? `${source}: ${key}: no such setting. Known: ${Object.keys(SCHEMA.shape).join(', ')}`
      : `${source}: ${key} is ${JSON.stringify(merged[top])}: ${issue.message}`;
  });
  throw new ConfigError(problems.join('\n'));
}

/** Where state lives when nobody says: `$XDG_DATA_HOME/actas`, else `~/.local/share/actas`. */
export function defaultDataDir(env: Readonly<Record<string, string | undefined>>): string {
  const xdg = env['XDG_DATA_HOME'];
  return xdg !== undefined && xdg !== '' ? join(xdg, 'actas') : join(homedir(), '.local', 'share', 'actas');
}

function readConfigFile(file: string): Record<string, unknown> {
  let value: unknown;
  const reason = (error: unknown) => (error instanceof Error ? error.message : String(error));
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigError(`${file}: cannot be read: ${reason(error)}`);
  }
  try {
    value = parse(text);
  } catch (error) {
    throw new ConfigError(`${file}: is not YAML: ${reason(error).trimEnd()}`);
  }
  if (value === null || value === undefined) return {};
  if (typeof value !== 'object' || Array.isArray(value)) throw new ConfigError(`${file}: must hold settings, one per line (driver: docker)`);
  return { ...value };
}

function kebab(key: string): string {
  return key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`);
}
function envName(key: string): string {
  return `ACTAS_${kebab(key).replaceAll('-', '_').toUpperCase()}`;
}
