/**
 * Every setting, in one schema: flags before environment (`ACTAS_*`) before the file (`--config`, else `<data-dir>/config.yaml`) before
 * defaults, into one frozen Config. Names are the same everywhere: `--data-dir`, `ACTAS_DATA_DIR`, `dataDir:`.
 */
import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import { type GoogleAccount, readGoogleAccount } from './identity/google-account.ts';
import { parsePrincipal } from './identity/principal.ts';

/** How one setting is read. By hand and without a library: every command waits for this file. */
interface Setting<T> {
  readonly fallback: T;
  /** @throws Refusal */
  read(value: unknown): T;
}
/** What would do in place of a value, as the end of a sentence about it. */
class Refusal extends Error {}

function refuse(what: string): never {
  throw new Refusal(what);
}

function text<T extends string | undefined>(fallback: T): Setting<string | T> {
  return { fallback, read: (value) => (typeof value === 'string' && value !== '' ? value : refuse('must be text that is not empty')) };
}

function oneOf<const T extends string>(options: readonly T[], fallback: NoInfer<T>): Setting<T> {
  return { fallback, read: (value) => options.find((option) => option === value) ?? refuse(`must be one of ${options.map((option) => JSON.stringify(option)).join('|')}`) };
}

function integer(least: number, most: number, fallback: number): Setting<number> {
  return {
    fallback,
    read(value) {
      const number = typeof value === 'string' && /^\s*-?\d+\s*$/.test(value) ? Number(value) : value;
      return typeof number === 'number' && Number.isSafeInteger(number) && number >= least && number <= most
        ? number
        : refuse(most === Number.MAX_SAFE_INTEGER ? `must be a whole number, ${least} or more` : `must be a whole number from ${least} to ${most}`);
    },
  };
}

const boolean: Setting<boolean> = {
  fallback: false,
  read: (value) => (value === true || value === 'true' || value === '1' ? true : value === false || value === 'false' || value === '0' ? false : refuse('must be true or false')),
};

/** Of the environment with commas between, of the file or of repeated flags as a list. */
function list<T>(read: (item: string) => T): Setting<readonly T[]> {
  return {
    fallback: [],
    read(value) {
      const items: readonly unknown[] = typeof value === 'string' ? value.split(',').map((item) => item.trim()) : Array.isArray(value) ? value : refuse('must be a list');
      return items.filter((item) => item !== '').map((item) => (typeof item === 'string' ? read(item) : refuse('must be a list of text')));
    },
  };
}

function readPrincipal(value: unknown): string {
  try {
    return parsePrincipal(String(value)).member;
  } catch {
    return refuse('must be user:EMAIL or serviceAccount:EMAIL');
  }
}

function readNameServer(value: string): string {
  const [, bracketed, plain = value, port = '53'] = /^(?:\[([^\]]+)\]|([^:]+)):(\d{1,5})$/.exec(value) ?? [];
  // Loaded here, for few name one.
  return process.getBuiltinModule('node:net').isIP(bracketed ?? plain) === 0 || Number(port) > 65_535
    ? refuse('must be the address of a name server, such as 10.0.0.53 or 127.0.0.1:5353')
    : value;
}

/** Milliseconds. */
function readOrigin(value: string): string {
  return originOf(value) ?? refuse('must be the address of an issuer, such as https://idp.internal:8443');
}

function originOf(url: string): string | undefined {
  return URL.canParse(url) && /^https?:$/.test(new URL(url).protocol) ? new URL(url).origin : undefined;
}

function duration(fallback: number): Setting<number> {
  return {
    fallback,
    read(value) {
      const [, number, unit = 's'] = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)?$/.exec(String(value)) ?? refuse('must be a duration such as 30s, 10m, 24h or 7d');
      return Number(number) * ({ ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit] ?? 1000);
    },
  };
}

function bytes(fallback: number): Setting<number> {
  return {
    fallback,
    read(value) {
      const [, number, unit = ' '] = /^(\d+(?:\.\d+)?)(K|M|G|T)?i?B?$/i.exec(String(value)) ?? refuse('must be a size such as 512M or 10G');
      return Math.floor(Number(number) * 1024 ** ' KMGT'.indexOf(unit.toUpperCase()));
    },
  };
}

/** `REFERENCE=TARGET,REFERENCE=TARGET`, as the environment has it, or a mapping. */
const pairs: Setting<Readonly<Record<string, string>>> = {
  fallback: {},
  read(value) {
    const no = () => refuse('must be REFERENCE=TARGET, several with commas between them');
    const entries: readonly (readonly unknown[])[] =
      typeof value === 'string'
        ? value.split(',').map((pair) => /^\s*([^=\s]+)=(\S+)\s*$/.exec(pair)?.slice(1) ?? no())
        : typeof value === 'object' && value !== null && !Array.isArray(value)
          ? Object.entries(value)
          : no();
    return Object.fromEntries(entries.map(([reference, target]) => (typeof target === 'string' ? [String(reference), target] : no())));
  },
};

/** Where calls of an API go that is not served here. */
export interface UpstreamSetting {
  /** `http://localhost:4443`; a path comes before that of each call. */
  readonly url: string;
  /** Whose resources those are whose names do not say it. */
  readonly project?: string;
  /** Sent with each call: an emulator's own credentials. */
  readonly headers: Readonly<Record<string, string>>;
  /** Methods and their permissions, in the format of docs/upstreams.md. */
  readonly methods?: string;
}

/** `HOST=URL,HOST=URL`, as the environment has it, or a mapping of hosts to URLs, or to URLs and what else is to be said. */
const upstreams: Setting<Readonly<Record<string, UpstreamSetting>>> = {
  fallback: {},
  read(value) {
    const entries = Object.entries(typeof value === 'object' && value !== null && !Array.isArray(value) ? value : pairs.read(value));
    return Object.fromEntries(entries.map(([host, given]: [string, unknown]) => [host, readUpstream(host, typeof given === 'string' ? { url: given } : given)]));
  },
};

function readUpstream(host: string, given: unknown): UpstreamSetting {
  if (!/^[a-z0-9-]+(?:\.[a-z0-9-]+)*\.googleapis\.com$/.test(host)) refuse(`${JSON.stringify(host)} must be the host of an API, such as storage.googleapis.com`);
  if (typeof given !== 'object' || given === null) refuse(`${host} must be a URL, or have one as url`);
  const { url, project, headers = {}, methods, ...others } = { ...given } as { readonly [name: string]: unknown };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) refuse(`${host} has no ${unknown}: it may have url, project, headers and methods`);
  const isText = (item: unknown): item is string | undefined => item === undefined || (typeof item === 'string' && item !== '');
  if (typeof url !== 'string' || originOf(url) === undefined) refuse(`${host} must have a URL such as http://localhost:4443`);
  const { username, search, hash } = new URL(url);
  if (username !== '' || search !== '' || hash !== '') refuse(`${host} must have a URL without a user, a query and a fragment; credentials are headers`);
  if (!isText(project) || !isText(methods)) refuse(`${host} must have text for project and methods`);
  if (
    typeof headers !== 'object' ||
    headers === null ||
    !Object.entries(headers).every(([name, item]) => /^[A-Za-z0-9-]+$/.test(name) && typeof item === 'string' && !/[\r\n\0]/.test(item))
  )
    refuse(`${host} must have a name and a text for each header`);
  // Each was found to be a text.
  return { url, headers: headers as Record<string, string>, ...(project === undefined ? {} : { project }), ...(methods === undefined ? {} : { methods }) };
}

/** Of the file alone: real credentials are not handed out by a variable that was left over. An account with `identity: local` is as one without an entry. */
const identities: Setting<Readonly<Record<string, GoogleAccount>>> = {
  fallback: {},
  read(value) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) refuse('must be a mapping of service accounts in the configuration file');
    const entries = Object.entries(value).map(([email, given]: [string, unknown]) => [email.toLowerCase(), readGoogleAccount(email, given, refuse)] as const);
    return Object.fromEntries(entries.flatMap(([email, setting]) => (setting === undefined ? [] : [[email, setting]])));
  },
};

const SETTINGS = {
  dataDir: text(''),
  host: text('127.0.0.1'),
  port: integer(0, 65_535, 8787),
  driver: oneOf(['docker', 'fake'], 'docker'),
  /** The project that commands use when they name none. */
  project: text('demo'),
  /** Whose token the first start writes to the data directory. */
  owner: { fallback: 'user:owner@example.com', read: readPrincipal },
  seed: text(undefined),
  readyFile: text(undefined),
  logLevel: oneOf(['trace', 'debug', 'info', 'warn', 'error', 'silent'], 'info'),
  logFormat: oneOf(['text', 'json'], 'text'),
  /** Given twice where the principal may set IAM policies. */
  anonymousAs: list(readPrincipal),
  allowedHost: list((name) => name),
  /** As a proxy, tunnel nothing to other hosts than those of Google's APIs, which always end here. */
  noEgress: boolean,
  /** People who sign in elsewhere: the provider whose ID tokens are taken as bearer tokens, and the audience that they must have. */
  oidcIssuer: text(undefined),
  oidcAudience: text(undefined),
  oidcEmailClaim: text('email'),
  oidcGroupsClaim: text(undefined),
  /** Origins of issuers that may have a private address, or speak http: `https://idp.internal:8443`. */
  trustedIssuer: list(readOrigin),
  /** Whether who holds the owner's token may get tokens of other principals (`--as`). */
  issueTokens: { ...boolean, fallback: true },
  /** Reference of an image -> local image, archive or mirror. */
  images: pairs,
  strictResources: boolean,
  /** Attempts of all executions that may run at once on this machine; 0 derives it from the processors. */
  maxRunningAttempts: integer(0, 10_000, 0),
  /** The quotas of Cloud Run for one project and region, where they are to hold here too; 0: none. */
  maxJobs: integer(0, Number.MAX_SAFE_INTEGER, 0),
  maxRunningExecutions: integer(0, Number.MAX_SAFE_INTEGER, 0),
  /** Kill running containers at a stop instead of leaving them to the next start. */
  killOnStop: boolean,
  logRetention: duration(30 * 86_400_000),
  logMaxSize: bytes(10 * 1024 ** 3),
  /** How tasks reach the metadata server: `auto` takes its real address where the machine allows it. */
  taskNetwork: oneOf(['auto', 'address', 'relay', 'hostname'], 'auto'),
  relayImage: text(undefined),
  /** Google's names lead tasks where they lead anybody, not here. */
  noTaskGoogleNames: boolean,
  /** Asked for tasks' other names in place of the name servers of where the engine is. */
  taskNameServer: list(readNameServer),
  /** Where the keys stand that payloads of secrets are encrypted under; the data directory's `secrets-key` unless given. */
  secretsKeyFile: text(undefined),
  /** The keys themselves instead, `KEY[,OLDER...]` in base64: of the environment or the file, never of a flag, which others can see. */
  secretsKey: text(undefined),
  /** Host of an API -> who serves it instead. */
  upstreams,
  /** Service account here -> the real one of Google Cloud that it acts as. */
  identities,
} as const;
export type ConfigKey = keyof typeof SETTINGS;
export type Config = { readonly [K in ConfigKey]: (typeof SETTINGS)[K] extends Setting<infer T> ? T : never };

/** Values that messages leave out: too long, or secret. */
const UNSHOWN: ReadonlySet<string> = new Set<ConfigKey>(['upstreams', 'identities', 'secretsKey']);

/** What two settings together may not say. @returns the setting that is at fault, and its problem */
function conflict(config: Config): readonly [ConfigKey, string] | undefined {
  const {
    anonymousAs: [member, ...more],
    host,
    oidcIssuer,
    oidcAudience,
    trustedIssuer,
  } = config;
  if ((oidcIssuer === undefined) !== (oidcAudience === undefined))
    return [oidcIssuer === undefined ? 'oidcIssuer' : 'oidcAudience', 'is needed: oidcIssuer and oidcAudience go together'];
  const origin = oidcIssuer === undefined ? undefined : (originOf(oidcIssuer) ?? '');
  if (origin !== undefined && !origin.startsWith('https:') && !trustedIssuer.includes(origin))
    return ['oidcIssuer', 'must be an https URL; one with http must be named by trustedIssuer as well'];
  if (member === undefined) return undefined;
  if (!['127.0.0.1', '::1', 'localhost'].includes(host)) return ['anonymousAs', `is for loopback alone, but host is ${host}. Leave one of them out`];
  return more.some((other) => other !== member) ? ['anonymousAs', 'takes one principal, named again where it may set IAM policies'] : undefined;
}

/** A setting that cannot be used. The message names it, its value, where it came from and what would do. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';
}

/** An empty variable of the environment is one that is not set. @param flags as commander gives them, undefined where not given @throws ConfigError */
export function loadConfig(flags: Readonly<Record<string, unknown>>, env: Readonly<Record<string, string | undefined>>): Config {
  const fromEnv = Object.fromEntries(
    Object.keys(SETTINGS).flatMap((key) => {
      const value = env[envName(key)];
      return value === undefined || value === '' ? [] : [[key, value]];
    }),
  );
  const fromFlags = Object.fromEntries(Object.entries(flags).filter(([key, value]) => value !== undefined && key in SETTINGS));
  const wanted = fromFlags['dataDir'] ?? fromEnv['dataDir'];
  const dataDir = resolve(typeof wanted === 'string' ? wanted : defaultDataDir(env));
  const file = typeof flags['config'] === 'string' ? flags['config'] : (env['ACTAS_CONFIG'] ?? join(dataDir, 'config.yaml'));
  const fromFile = flags['config'] !== undefined || env['ACTAS_CONFIG'] !== undefined || existsSync(file) ? readConfigFile(file) : {};
  const merged: Record<string, unknown> = { ...fromFile, ...fromEnv, ...fromFlags, dataDir };
  const source = (key: string) => (key in fromFlags ? `--${kebab(key)}` : key in fromEnv ? envName(key) : file);
  const problems = Object.keys(merged)
    .filter((key) => !(key in SETTINGS))
    .map((key) => `${file}: ${key}: no such setting. Known: ${Object.keys(SETTINGS).join(', ')}`);
  const problem = (key: string, what: string) => problems.push(`${source(key)}: ${key}${UNSHOWN.has(key) ? '' : ` is ${JSON.stringify(merged[key])}`}: ${what}`);
  const values = Object.entries(SETTINGS).map(([key, { fallback, read }]): [string, unknown] => {
    if (merged[key] === undefined) return [key, fallback];
    try {
      return [key, read(merged[key])];
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problem(key, error.message);
      return [key, fallback];
    }
  });
  // One value for each setting, each read by its own reader.
  const config = Object.fromEntries(values) as unknown as Config;
  const together = problems.length === 0 ? conflict(config) : undefined;
  if (together !== undefined) problem(...together);
  if (problems.length > 0) throw new ConfigError(problems.join('\n'));
  return Object.freeze(config);
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
    // Loaded here, for few have a file.
    const { parse } = process.getBuiltinModule('node:module').createRequire(import.meta.url)('yaml') as typeof import('yaml');
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
