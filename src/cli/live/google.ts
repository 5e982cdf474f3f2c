/**
 * The real Google Cloud, read and never changed, for `actas run jobs check --live`: each API at its own host, with the caller's own token. What the
 * caller may not read, or what an API does not answer, is `Untold`: never taken for a yes or a no.
 * Tests put another control plane in Google's place: ACTAS_LIVE_ENDPOINT is the address that answers for every host.
 */
import { execFile } from 'node:child_process';
import type { JsonValue } from '@bufbuild/protobuf';
import { Untold } from '../../services/untold.ts';
import { createApi, type Query } from '../api.ts';
import { CliFailure, EXIT, failure, isApiFailure } from '../failure.ts';
import { type Chain, impersonate } from '../impersonation.ts';
import type { Io } from '../io.ts';

export interface Google {
  /** @returns undefined where there is no such thing @throws Untold */
  find<T extends object>(prefix: string, path: string): Promise<T | undefined>;
  /** For methods that read and are POST: testIamPermissions, getIamPolicy. @throws Untold */
  ask<T extends object>(prefix: string, path: string, body: object, query?: Query): Promise<T | undefined>;
  /** An image's manifest, or index, from a registry. @returns undefined where there is none @throws Untold */
  manifest<T extends object>(prefix: string, path: string): Promise<T | undefined>;
}

/** Without them a registry answers in the form of 2015. */
const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

/** @param chain of the account that is asked about, where it is not the caller */
export async function connectGoogle(io: Io, chain: Chain | undefined): Promise<Google> {
  const { env } = io;
  const quota = env['GOOGLE_CLOUD_QUOTA_PROJECT'];
  const headers: Record<string, string> = quota ? { 'x-goog-user-project': quota } : {};
  const endpoint = {
    url: env['ACTAS_LIVE_ENDPOINT'] || 'https://',
    whenDown: ['--live asks the real Google Cloud, and needs a network.'],
    name: 'Google API',
    headers,
  };
  const own = await callersToken(io);
  const asCaller = createApi({ ...endpoint, token: async () => own });
  const token = chain === undefined ? own : await impersonate(asCaller, chain);
  const api = createApi({ ...endpoint, token: async () => token });
  const registry = createApi({ ...endpoint, headers: { accept: MANIFEST_TYPES }, token: async () => token });
  return {
    find: (prefix, path) => orUntold(() => api.get(prefix, path)),
    ask: (prefix, path, body, query) => orUntold(() => api.send('POST', prefix, path, body, query)),
    manifest: (prefix, path) => orUntold(() => registry.get(prefix, path), isMissingManifest),
  };
}

/** Registries have errors of their own form, `{"errors": [{"code": "MANIFEST_UNKNOWN"}]}` (OCI distribution specification); a repository that is not there is another. */
function isMissingManifest(error: unknown): boolean {
  return isApiFailure(error, 'HTTP 404') && error.reason.includes('MANIFEST_UNKNOWN');
}

async function orUntold<T>(read: () => Promise<T>, isMissing = (error: unknown): boolean => isApiFailure(error, 'NOT_FOUND')): Promise<T | undefined> {
  try {
    return await read();
  } catch (error) {
    if (isMissing(error)) return undefined;
    // A token that is not good is no answer about the job.
    if (!(error instanceof CliFailure) || error.exitCode === EXIT.notRunning || isApiFailure(error, 'UNAUTHENTICATED')) throw error;
    throw new Untold(error.message);
  }
}

/**
 * GOOGLE_OAUTH_ACCESS_TOKEN or CLOUDSDK_AUTH_ACCESS_TOKEN, else gcloud's: of the application default credentials where
 * GOOGLE_APPLICATION_CREDENTIALS names some, else of its active account.
 */
async function callersToken({ env }: Io): Promise<string> {
  const given = env['GOOGLE_OAUTH_ACCESS_TOKEN'] || env['CLOUDSDK_AUTH_ACCESS_TOKEN'];
  if (given) return given;
  const words = env['GOOGLE_APPLICATION_CREDENTIALS'] ? ['auth', 'application-default', 'print-access-token'] : ['auth', 'print-access-token'];
  const token = await gcloud(env, words);
  if (token === '') throw failure(`gcloud ${words.join(' ')} printed no token.`);
  return token;
}

/** What gcloud has configured, empty where it has not. @param property `project`, `run/region` */
export async function gcloudProperty({ env }: Io, property: string): Promise<string> {
  try {
    return await gcloud(env, ['config', 'get', property]);
  } catch {
    return '';
  }
}

function gcloud(env: Io['env'], words: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile('gcloud', [...words, '--quiet'], { env: { ...env }, timeout: 60_000 }, (error, out, err) => {
      if (error === null) resolve(out.trim());
      else if (error.code === 'ENOENT')
        reject(
          failure('--live speaks with your own Google credentials, and gcloud is not on the PATH.', 'Install it and run gcloud auth login, or set GOOGLE_OAUTH_ACCESS_TOKEN.'),
        );
      else reject(failure(`gcloud ${words.join(' ')} failed: ${err.trim().split('\n')[0] ?? error.message}`));
    });
  });
}

/** What was parsed from JSON or YAML, as the decoder of messages takes it. */
export function asMessageJson(parsed: object): JsonValue {
  // Out of JSON.parse, or of YAML that was looked through (documents.ts); the decoder only reads, and refuses what does not fit.
  return parsed as JsonValue;
}
