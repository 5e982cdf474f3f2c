/** The files that unmodified clients are pointed at: the front door's authority, alone and with the system's, a Java trust store, and credentials. They lie in `<data-dir>/clients`. */
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, realpathSync, renameSync, rmSync } from 'node:fs';
import { request } from 'node:http';
import { delimiter, dirname, join } from 'node:path';
import { applicationDefaultCredentials } from './application-default.ts';
import { ApiFailure, CliFailure, EXIT, failure, notRunningFailure } from './failure.ts';
import { ACTIVE_ACCOUNT_FILE, type Io } from './io.ts';
import { writePrivateFile } from './private-file.ts';
import type { Session } from './session.ts';
import type { Target } from './target.ts';

/** Where systems keep the authorities that they trust: Debian and Alpine, Red Hat, SUSE, macOS and the BSDs. */
const SYSTEM_BUNDLES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/ca-bundle.pem', '/etc/ssl/cert.pem'];
/** What a person may have pointed at a bundle of their own: what is in there stays trusted. */
export const BUNDLE_VARIABLES = [
  'SSL_CERT_FILE',
  'REQUESTS_CA_BUNDLE',
  'CURL_CA_BUNDLE',
  'NODE_EXTRA_CA_CERTS',
  'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH',
  'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE',
  'HTTPLIB2_CA_CERTS',
] as const;
/** The password of every Java's own store; it protects nothing, for certificates are public. */
export const STORE_PASSWORD = 'changeit';

export function clientDirectory(session: Session): string {
  const directory = join(session.dataDir, 'clients');
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** The authority as the control plane says it, asked over loopback alone. @returns PEM @throws CliFailure */
export async function fetchAuthority(url: string): Promise<string> {
  const { hostname, protocol } = new URL(url);
  if (protocol !== 'http:' || !/^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])$/.test(hostname))
    throw failure(
      `The control plane at ${url} is on another machine, and its certificate authority must not come over a network unproven.`,
      'Copy ca.pem from its data directory, and give it to your clients as docs/clients.md shows.',
    );
  const { text } = await get(`${url}/ca.pem`);
  if (!text.includes('BEGIN CERTIFICATE')) throw failure(`The control plane at ${url} gave no certificate authority: it may be an older one.`);
  return text;
}

/** A document of the control plane that needs no token. @throws CliFailure */
export function get(url: string): Promise<{ readonly text: string; readonly date: string | undefined }> {
  return new Promise((resolve, reject) => {
    const call = request(url, { timeout: 5000, agent: false }, (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ text, date: response.headers.date }));
    });
    call.on('timeout', () => call.destroy(new Error('no answer within 5 s')));
    call.on('error', (error) => reject(notRunningFailure(`${url} does not answer: ${error.message}.`, [], error)));
    call.end();
  });
}

/** @returns the authority's file, and one with what this system and this shell trust besides */
export function writeBundles(directory: string, authority: string, env: Io['env']): { readonly authority: string; readonly bundle: string } {
  const files = { authority: join(directory, 'ca.pem'), bundle: join(directory, 'ca-bundle.pem') };
  const own = BUNDLE_VARIABLES.map((name) => env[name]).filter((file) => file !== undefined && file !== '' && dirname(file) !== directory && existsSync(file));
  const system = SYSTEM_BUNDLES.find((file) => existsSync(file));
  const blocks = new Set<string>();
  for (const file of [...(system === undefined ? [] : [system]), ...own])
    for (const [block] of readFileSync(file ?? '', 'utf8').matchAll(/-----BEGIN CERTIFICATE-----[\s\S]*?-----END CERTIFICATE-----/g)) blocks.add(block);
  if (system === undefined) for (const certificate of process.getBuiltinModule('node:tls').rootCertificates) blocks.add(certificate.trim());
  replace(files.authority, authority);
  replace(files.bundle, `${authority}${[...blocks].join('\n')}\n`);
  return files;
}

/** Whole or not at all: another command may be reading it. */
function replace(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, 'utf8') === text) return;
  const draft = `${file}.${process.pid}`;
  writePrivateFile(draft, text);
  renameSync(draft, file);
}

/** A copy of this machine's Java trust store that trusts the authority as well. @returns undefined where there is no Java */
export function writeJavaStore(directory: string, authorityFile: string, env: Io['env']): string | undefined {
  const places = [...(env['JAVA_HOME'] ? [join(env['JAVA_HOME'], 'bin')] : []), ...(env['PATH'] ?? '').split(delimiter)];
  const keytool = places.map((place) => join(place, 'keytool')).find((file) => existsSync(file));
  if (keytool === undefined) return undefined;
  const cacerts = join(dirname(dirname(realpathSync(keytool))), 'lib', 'security', 'cacerts');
  if (!existsSync(cacerts)) return undefined;
  const digest = createHash('sha256').update(readFileSync(authorityFile)).update(readFileSync(cacerts)).digest('hex').slice(0, 12);
  const file = join(directory, `java-${digest}`);
  if (existsSync(file)) return file;
  const draft = `${file}.${process.pid}`;
  copyFileSync(cacerts, draft);
  const made = spawnSync(keytool, ['-importcert', '-noprompt', '-alias', 'actas', '-file', authorityFile, '-keystore', draft, '-storepass', STORE_PASSWORD], { encoding: 'utf8' });
  if (made.status === 0) renameSync(draft, file);
  else rmSync(draft, { force: true });
  return made.status === 0 ? file : undefined;
}

export interface CallerCredentials {
  readonly file?: string;
  /** For an hour, and of the caller alone: never the owner's own token, which may issue others. */
  readonly token?: string | undefined;
  /** Why there is no file. */
  readonly why?: string;
}

/** A credentials file of the caller for client libraries, kept from one command to the next while it is good. */
export async function writeCredentials(session: Session, target: Target, directory: string): Promise<CallerCredentials> {
  const { impersonateServiceAccount, as, account } = session.flags;
  if (target.account !== undefined && impersonateServiceAccount === undefined) return { file: join(session.dataDir, ACTIVE_ACCOUNT_FILE), token: await target.token() };
  const name = createHash('sha256')
    .update(JSON.stringify([target.url, impersonateServiceAccount, as ?? account]))
    .digest('hex')
    .slice(0, 12);
  const file = join(directory, `credentials-${name}.json`);
  const plain = async (): Promise<string | undefined> => (impersonateServiceAccount === undefined ? undefined : target.token());
  try {
    const kept = existsSync(file) ? await exchange(target, readFileSync(file, 'utf8')) : undefined;
    if (kept !== undefined) return { file, token: (await plain()) ?? kept };
    const made = `${JSON.stringify(await applicationDefaultCredentials(session), undefined, 2)}\n`;
    writePrivateFile(file, made);
    return { file, token: (await plain()) ?? (await exchange(target, made)) };
  } catch (error) {
    if (!(error instanceof CliFailure) || error.exitCode === EXIT.notRunning) throw error;
    return { why: error.message, token: await target.token() };
  }
}

/** @returns an access token for the refresh token in a credentials file, or undefined where that is not good any more */
async function exchange(target: Target, text: string): Promise<string | undefined> {
  const token = /"refresh_token": "([^"]+)"/.exec(text)?.[1];
  try {
    const request = { grant_type: 'refresh_token', refresh_token: token, client_id: 'actas', client_secret: 'notasecret' };
    return (await target.api.send<{ access_token?: string }>('POST', 'oauth2.googleapis.com', 'token', request)).access_token;
  } catch (error) {
    if (error instanceof ApiFailure) return undefined;
    throw error;
  }
}
