/** What in a shell's variables keeps clients from coming to the control plane, each with the line that mends it. No I/O but through `read`. */
import { bypassesGoogle } from '../identity/front-names.ts';
import { BUNDLE_VARIABLES } from './client-files.ts';

export interface Finding {
  readonly ok: boolean;
  /** One sentence. */
  readonly text: string;
  /** The line to run. */
  readonly remedy?: string;
}

export interface Surroundings {
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Of the control plane. */
  readonly url: string;
  /** PEM of its authority. */
  readonly authority: string;
  readonly platform: string;
  /** @returns undefined for a file that is not there */
  read(file: string): string | undefined;
}

/** What `actas exec` has Node programs read first. */
export const NODE_PROXY_FILE = 'node-proxy.cjs';
const SET_UP = 'eval "$(actas env)"';

/** @returns what is wrong, in the order in which it should be mended; empty where the shell is set up or says nothing of clients at all */
export function diagnose(around: Surroundings): Finding[] {
  return [...proxy(around), ...bundles(around), ...overrides(around), ...credentials(around), ...node(around), ...platform(around)];
}

/** Whether `actas env` was run here, or somebody set a proxy by hand. */
export function isSetUp({ env, url }: Pick<Surroundings, 'env' | 'url'>): boolean {
  return [env['HTTPS_PROXY'], env['https_proxy'], env['CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN']].some((value) => value?.startsWith(url) === true);
}

function problem(text: string, remedy: string): Finding {
  return { ok: false, text, remedy };
}

function* proxy({ env, url }: Surroundings): Generator<Finding> {
  const isUsed = isSetUp({ env, url });
  const [upper, lower] = [env['HTTPS_PROXY'], env['https_proxy']];
  for (const [name, value] of [
    ['HTTPS_PROXY', upper],
    ['https_proxy', lower],
    ['grpc_proxy', env['grpc_proxy']],
  ] as const)
    if (isUsed && value && trim(value) !== url)
      yield problem(`${name} leads to ${hidePassword(value)}, not to the control plane at ${url}: programs differ in which spelling they read.`, SET_UP);
  for (const name of ['NO_PROXY', 'no_proxy', 'no_grpc_proxy']) {
    const past = (env[name] ?? '')
      .split(',')
      .map((entry) => entry.trim())
      .filter((entry) => entry !== '' && bypassesGoogle(entry));
    if (past.length > 0) yield problem(`${name} takes ${past.join(', ')} past the proxy, so calls reach the real Google.`, SET_UP);
  }
  const gcloud = ['TYPE', 'ADDRESS', 'PORT'].map((part) => `CLOUDSDK_PROXY_${part}`);
  const missing = gcloud.filter((name) => !env[name]);
  if (missing.length > 0 && missing.length < gcloud.length) yield problem(`gcloud needs all of ${gcloud.join(', ')}; ${missing.join(', ')} is missing.`, SET_UP);
}

function* bundles({ env, url, authority, read }: Surroundings): Generator<Finding> {
  if (!isSetUp({ env, url })) return;
  for (const name of BUNDLE_VARIABLES) {
    const file = env[name];
    if (!file) continue;
    const text = read(file);
    if (text === undefined) yield problem(`${name} names ${file}, which cannot be read.`, SET_UP);
    else if (!text.includes(authority.trim()))
      yield problem(`${name} names ${file}, which does not hold the authority of this control plane${text.includes('actas') ? ' as it is now' : ''}, so TLS fails.`, SET_UP);
  }
  if (env['NODE_TLS_REJECT_UNAUTHORIZED'] === '0')
    yield problem('NODE_TLS_REJECT_UNAUTHORIZED=0 turns the check of certificates off, for the real Google as well.', 'unset NODE_TLS_REJECT_UNAUTHORIZED');
  if (env['CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION'])
    yield problem("CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION turns gcloud's check of certificates off.", 'unset CLOUDSDK_AUTH_DISABLE_SSL_VALIDATION');
}

function* overrides({ env, url }: Surroundings): Generator<Finding> {
  for (const [name, value] of Object.entries(env)) {
    if (!value || !/^(?:CLOUDSDK_API_ENDPOINT_OVERRIDES_\w+|GOOGLE_\w+_CUSTOM_ENDPOINT)$/.test(name)) continue;
    const isRun = name === 'CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN';
    const api = name.replace('CLOUDSDK_API_ENDPOINT_OVERRIDES_', '').toLowerCase();
    const right = isRun ? `${url}/r/us-central1/` : `${url}/${api}.googleapis.com/`;
    const remedy = name.startsWith('GOOGLE_') ? 'eval "$(actas env --mode=direct)"' : `export ${name}=${right}`;
    if (!value.endsWith('/')) yield problem(`${name}=${value} has no slash at its end, which its reader demands.`, remedy);
    else if (URL.canParse(value) && !value.startsWith(`${url}/`) && !/^http:\/\/[a-z]+\.googleapis\.com\/$/.test(value))
      yield problem(`${name}=${value} does not lead to ${url}.`, remedy);
    // `us-central1-127.0.0.1`, a host that does not exist.
    else if (isRun && value.startsWith(url) && !value.includes('/r/')) yield problem(`${name}=${value} names no region, so gcloud would put it before the address.`, remedy);
  }
  for (const name of ['CLOUDSDK_CORE_UNIVERSE_DOMAIN', 'GOOGLE_CLOUD_UNIVERSE_DOMAIN'])
    if (env[name] && env[name] !== 'googleapis.com') yield problem(`${name}=${env[name]} makes clients call other names than Google's.`, `unset ${name}`);
}

function* credentials({ env, url, read }: Surroundings): Generator<Finding> {
  const file = env['GOOGLE_APPLICATION_CREDENTIALS'];
  if (!file) return;
  const text = read(file);
  if (text === undefined) yield problem(`GOOGLE_APPLICATION_CREDENTIALS names ${file}, which cannot be read.`, SET_UP);
  else if (isSetUp({ env, url }) && !text.includes(url) && /oauth2\.googleapis\.com|"refresh_token"|"private_key"/.test(text))
    yield problem(`GOOGLE_APPLICATION_CREDENTIALS names ${file}, whose credentials are of another place: they are good for nothing here.`, SET_UP);
}

function* node({ env, url }: Surroundings): Generator<Finding> {
  const isProxied = [env['HTTPS_PROXY'], env['https_proxy']].some((value) => value?.startsWith(url) === true);
  if (isProxied && !env['NODE_OPTIONS']?.includes(NODE_PROXY_FILE))
    yield {
      ok: true,
      text: "Node programs whose connections know no proxy (the REST fallback of Google's clients, `fetch` before Node 22.21) reach the real Google from this shell. They come here, or say why not, through:",
      remedy: 'actas exec -- node PROGRAM',
    };
}

function* platform({ env, url, platform: name }: Surroundings): Generator<Finding> {
  if (name === 'darwin' && isSetUp({ env, url }))
    yield {
      ok: true,
      text: 'Go programs on macOS (Terraform and its providers too) ignore certificate variables: trust the authority in the keychain, and remove it when you are done, or run them in a Linux container.',
      remedy: 'security add-trusted-cert -r trustRoot -p ssl -k ~/Library/Keychains/login.keychain-db "$NODE_EXTRA_CA_CERTS"',
    };
}

function trim(url: string): string {
  return url.replace(/\/+$/, '');
}

function hidePassword(url: string): string {
  return url.replace(/\/\/[^@/]*@/, '//');
}
