/**
 * A service account by its key file: what `auth activate-service-account` keeps beside the data directory's own token, and what its
 * commands then speak as. The key signs here; what is sent is an assertion that is good for a minute.
 */
import { createPrivateKey, type KeyObject, sign } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Api } from './api.ts';
import { failure } from './failure.ts';
import { ACTIVE_ACCOUNT_FILE } from './io.ts';
import { readBytes, removeFile, writePrivateFile } from './private-file.ts';

export interface KeyFile {
  readonly email: string;
  readonly keyId: string;
  readonly privateKey: KeyObject;
}

const OAUTH = 'oauth2.googleapis.com';
const TOKEN_ENDPOINT = 'https://oauth2.googleapis.com/token';
const LIFETIME_SECONDS = 60;

/** @param file its name, for the words of a refusal @throws CliFailure for what is no key file */
export function parseKeyFile(text: string, file: string): KeyFile {
  const refuse = (why: string) => failure(`${file} is not a service account's key file: ${why}.`, 'Make one: actas iam service-accounts keys create FILE --iam-account=EMAIL');
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw refuse('it is not JSON');
  }
  const field = (name: string): string => {
    // Checked for being an object below, and each value for being text here.
    const value = (parsed as Readonly<Record<string, unknown>>)[name];
    if (typeof value !== 'string' || value === '') throw refuse(`${name} is missing`);
    return value;
  };
  if (typeof parsed !== 'object' || parsed === null) throw refuse('it holds no object');
  if (field('type') !== 'service_account') throw refuse(`its type is ${field('type')}`);
  try {
    return { email: field('client_email'), keyId: field('private_key_id'), privateKey: createPrivateKey(field('private_key')) };
  } catch (error) {
    throw error instanceof Error && error.name === 'CliFailure' ? error : refuse('its private key cannot be read');
  }
}

/** The account that was activated on a data directory. */
export function readActiveAccount(dataDir: string): KeyFile | undefined {
  const file = activeAccountFile(dataDir);
  return existsSync(file) ? parseKeyFile(readBytes(file, 'key file').toString('utf8'), file) : undefined;
}

export function writeActiveAccount(dataDir: string, text: string): void {
  writePrivateFile(activeAccountFile(dataDir), text);
}

/** @returns whether there was one */
export function removeActiveAccount(dataDir: string): boolean {
  return removeFile(activeAccountFile(dataDir));
}

function activeAccountFile(dataDir: string): string {
  return join(dataDir, ACTIVE_ACCOUNT_FILE);
}

/** @throws ApiFailure where the key is not good (any more) */
export async function exchangeForAccessToken(api: Api, key: KeyFile, scopes: readonly string[]): Promise<string> {
  const { access_token: token } = await exchange<{ access_token?: string }>(api, key, { scope: scopes.join(' ') });
  if (token === undefined) throw failure(`The control plane gave no token for ${key.email}.`);
  return token;
}

/** @throws ApiFailure */
export async function exchangeForIdToken(api: Api, key: KeyFile, audience: string): Promise<string> {
  const { id_token: token } = await exchange<{ id_token?: string }>(api, key, { target_audience: audience });
  if (token === undefined) throw failure(`The control plane gave no ID token for ${key.email}.`);
  return token;
}

async function exchange<T extends object>(api: Api, key: KeyFile, claims: object): Promise<T> {
  const iat = Math.floor(Date.now() / 1000);
  const encode = (part: object): string => Buffer.from(JSON.stringify(part)).toString('base64url');
  const head = encode({ alg: 'RS256', typ: 'JWT', kid: key.keyId });
  const body = encode({ iss: key.email, sub: key.email, aud: TOKEN_ENDPOINT, iat, exp: iat + LIFETIME_SECONDS, ...claims });
  const assertion = `${head}.${body}.${sign('sha256', Buffer.from(`${head}.${body}`), key.privateKey).toString('base64url')}`;
  return api.send<T>('POST', OAUTH, 'token', { grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', assertion });
}
