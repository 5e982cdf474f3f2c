/**
 * Finds the control plane that a command is for, and whom the command speaks as.
 * Address: ACTAS_URL; inside a task's container ACTAS_API; else the one that runs on the data directory.
 * Token: `--as` (a token of that principal, issued to who holds the owner's); ACTAS_TOKEN; in a container the metadata server; the service
 * account that was activated on the data directory; else `<data-dir>/owner-token`. With --impersonate-service-account it asks for that account's.
 * Invariant: the owner's token goes to the control plane of that data directory or to this machine only, never to an address that the environment names elsewhere.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { ACTAS, type Api, createApi } from './api.ts';
import { failure, notRunningFailure, usageFailure } from './failure.ts';
import { impersonate, parseChain, SCOPES } from './impersonation.ts';
import { ACTIVE_ACCOUNT_FILE, dataDirectory, type Io } from './io.ts';
import type { KeyFile } from './key-file.ts';

/** The flags that choose a target. */
export interface TargetFlags {
  readonly dataDir?: string;
  readonly as?: string;
  readonly account?: string;
  readonly impersonateServiceAccount?: string;
}

export interface Target {
  readonly api: Api;
  readonly url: string;
  /** How answers to a person name it: `local`, `127.0.0.1:9000`, `this task's control plane`. */
  readonly label: string;
  /** The principal of `--as`, where given. */
  readonly principal?: string;
  /** The activated account, where it is the one that calls. */
  readonly account?: KeyFile;
  /** Gives the token that calls carry. */
  token(): Promise<string | undefined>;
  /** Inside a task's container: what its metadata server says. */
  metadata?(path: string): Promise<string>;
}

/** `<data-dir>/server.json`, written by a control plane while it serves. */
export interface ServerFile {
  readonly url: string;
  readonly pid: number;
}

export const HOW_TO_START = ['Start one with:', '  actas up'] as const;

export async function readServerFile(dataDir: string): Promise<ServerFile | undefined> {
  let text: string;
  try {
    text = await readFile(join(dataDir, 'server.json'), 'utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return undefined;
    throw failure(`Cannot read ${join(dataDir, 'server.json')}: ${messageOf(error)}`);
  }
  const parsed: unknown = JSON.parse(text);
  if (typeof parsed !== 'object' || parsed === null || !('url' in parsed) || typeof parsed.url !== 'string')
    throw failure(`${join(dataDir, 'server.json')} does not name a control plane.`);
  return { url: parsed.url, pid: 'pid' in parsed && typeof parsed.pid === 'number' ? parsed.pid : 0 };
}

/** @throws CliFailure with exit code 3 when there is no control plane to talk to */
export async function findTarget(io: Io, flags: TargetFlags): Promise<Target> {
  const { impersonateServiceAccount } = flags;
  if (impersonateServiceAccount === undefined) return findOwnTarget(io, flags);
  const chain = parseChain(impersonateServiceAccount);
  const own = await findOwnTarget(io, flags);
  let held: Promise<string> | undefined;
  const token = (): Promise<string> => (held ??= impersonate(own.api, chain));
  return {
    api: own.withToken(token),
    url: own.url,
    label: own.label,
    principal: `serviceAccount:${chain.email}`,
    token,
    ...(own.metadata === undefined ? {} : { metadata: own.metadata }),
  };
}

/** A target whose calls can carry another token. */
interface OwnTarget extends Target {
  withToken(token: () => Promise<string>): Api;
}

async function findOwnTarget(io: Io, flags: TargetFlags): Promise<OwnTarget> {
  const { env } = io;
  const principal = asPrincipal(flags.as ?? flags.account);
  const dataDir = flags.dataDir ?? dataDirectory(env);
  const explicit = flags.dataDir === undefined ? env['ACTAS_URL'] : undefined;
  if (explicit) {
    const url = checkedUrl('ACTAS_URL', explicit);
    const ownerMayGo = isLoopback(url) || (await readServerFile(dataDir))?.url === url;
    return withPrincipal(
      io,
      {
        url,
        label: isLoopback(url) ? 'local' : new URL(url).host,
        token: async () => env['ACTAS_TOKEN'] || (ownerMayGo ? await ownerToken(dataDir) : undefined),
        whenDown: [`ACTAS_URL says ${url}.`, ...HOW_TO_START],
      },
      principal,
      env['ACTAS_TOKEN'] || !ownerMayGo ? undefined : await activeAccount(dataDir),
    );
  }
  if (env['ACTAS_API'] && flags.dataDir === undefined) return insideTask(io, checkedUrl('ACTAS_API', env['ACTAS_API']), principal);
  const server = await readServerFile(dataDir);
  if (server === undefined) throw notRunningFailure(`No control plane runs on ${dataDir}.`, [...HOW_TO_START, 'or set ACTAS_URL to the address of one that runs elsewhere.']);
  return withPrincipal(
    io,
    {
      url: server.url,
      label: 'local',
      token: async () => env['ACTAS_TOKEN'] || (await ownerToken(dataDir)),
      whenDown: [`${join(dataDir, 'server.json')} says it should; it has ended without cleaning up.`, ...HOW_TO_START],
    },
    principal,
    env['ACTAS_TOKEN'] ? undefined : await activeAccount(dataDir),
  );
}

/** The same warning comes with every answer of a loop; a person needs it once. */
function warnOnce(io: Io): (text: string) => void {
  const told = new Set<string>();
  return (text) => {
    if (!told.has(text)) io.err.write(`WARNING: ${text}\n`);
    told.add(text);
  };
}

interface Found {
  readonly url: string;
  readonly label: string;
  readonly whenDown: readonly string[];
  readonly warn: (text: string) => void;
  token(): Promise<string | undefined>;
}

/** Cryptography is loaded where it is used: most commands speak as the owner. */
async function activeAccount(dataDir: string): Promise<KeyFile | undefined> {
  if (!existsSync(join(dataDir, ACTIVE_ACCOUNT_FILE))) return undefined;
  return (await import('./key-file.ts')).readActiveAccount(dataDir);
}

/** @param active the activated account: calls without --as are its own */
function withPrincipal(io: Io, plain: Omit<Found, 'warn'>, principal: string | undefined, active?: KeyFile): OwnTarget {
  const found: Found = { ...plain, warn: warnOnce(io) };
  const withToken = (token: () => Promise<string>): Api => createApi({ ...found, token });
  const { url, label } = found;
  if (principal === undefined && active === undefined) return { api: createApi(found), url, label, token: () => found.token(), withToken };
  let held: Promise<string> | undefined;
  const make = async (): Promise<string> => {
    // The exchange carries its own proof.
    if (principal === undefined && active !== undefined) {
      const { exchangeForAccessToken } = await import('./key-file.ts');
      return exchangeForAccessToken(createApi({ ...found, token: async () => undefined }), active, SCOPES);
    }
    const answer = await createApi(found).send<{ accessToken?: string }>('POST', ACTAS, 'tokens:issue', { principal });
    if (answer.accessToken === undefined) throw failure(`The control plane issued no token for ${principal}.`);
    return answer.accessToken;
  };
  const token = (): Promise<string> => (held ??= make());
  const caller = principal === undefined && active !== undefined ? { principal: `serviceAccount:${active.email}`, account: active } : { principal: principal ?? '' };
  return { api: withToken(token), url, label, token, withToken, ...caller };
}

function insideTask(io: Io, url: string, principal: string | undefined): OwnTarget {
  const host = io.env['GCE_METADATA_HOST'] || 'metadata.google.internal';
  const metadata = (path: string): Promise<string> => readMetadata(host, path);
  let held: { token: string; untilMs: number } | undefined;
  const token = async (): Promise<string> => {
    if (io.env['ACTAS_TOKEN']) return io.env['ACTAS_TOKEN'];
    if (held !== undefined && Date.now() < held.untilMs) return held.token;
    const answer: unknown = JSON.parse(await metadata('instance/service-accounts/default/token'));
    if (typeof answer !== 'object' || answer === null || !('access_token' in answer) || typeof answer.access_token !== 'string')
      throw failure(`The metadata server ${host} gave no access token.`);
    const seconds = 'expires_in' in answer && typeof answer.expires_in === 'number' ? answer.expires_in : 60;
    held = { token: answer.access_token, untilMs: Date.now() + Math.max(0, seconds - 30) * 1000 };
    return held.token;
  };
  return { ...withPrincipal(io, { url, label: "this task's control plane", token, whenDown: [`ACTAS_API says ${url}.`] }, principal), metadata };
}

function readMetadata(host: string, path: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const call = request(`http://${host}/computeMetadata/v1/${path}`, { headers: { 'Metadata-Flavor': 'Google' }, timeout: 5000 }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('end', () => (response.statusCode === 200 ? resolve(text) : reject(failure(`The metadata server ${host} answered ${response.statusCode} to ${path}.`))));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', (error) => reject(notRunningFailure(`The metadata server ${host} does not answer: ${error.message}.`, [], error)));
    call.end();
  });
}

async function ownerToken(dataDir: string): Promise<string | undefined> {
  try {
    return (await readFile(join(dataDir, 'owner-token'), 'utf8')).trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw failure(`Cannot read the owner's token: ${messageOf(error)}`, 'Set ACTAS_TOKEN, or run as who started the control plane.');
  }
}

/** Completes what gcloud's `--account` takes: an e-mail address alone becomes a user or a service account. @throws usage */
export function asPrincipal(given: string | undefined): string | undefined {
  if (given === undefined || given.startsWith('user:') || given.startsWith('serviceAccount:')) return given;
  if (given.includes(':') || !given.includes('@')) throw usageFailure(`'${given}' is not a principal that can call.`, 'Write user:EMAIL or serviceAccount:EMAIL.');
  return given.endsWith('.gserviceaccount.com') ? `serviceAccount:${given}` : `user:${given}`;
}

function checkedUrl(variable: string, value: string): string {
  const text = /^https?:\/\//.test(value) ? value : `http://${value}`;
  if (!URL.canParse(text)) throw usageFailure(`${variable}=${value} is not an address.`, `Write, for example, ${variable}=http://127.0.0.1:8787`);
  return text.replace(/\/+$/, '');
}

function isLoopback(url: string): boolean {
  const { hostname } = new URL(url);
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname);
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
