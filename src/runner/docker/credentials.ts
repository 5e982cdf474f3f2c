/** The user's registry credentials, found where the docker CLI keeps them: `auths`, `credHelpers`, `credsStore`; and Podman's auth.json. Never logged. */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { configDirectory, type Environment, readJson, textAt } from './endpoint.ts';

export interface RegistryAuth {
  readonly username?: string;
  readonly password?: string;
  readonly identitytoken?: string;
  readonly registrytoken?: string;
  readonly serveraddress: string;
}

/** The key of Docker Hub in config.json, for historical reasons. */
const DOCKER_HUB = 'https://index.docker.io/v1/';
const HELPER_TIMEOUT_MS = 30_000;

/** The registry of a reference: its first part where that looks like a host, else Docker Hub. */
export function registryOf(reference: string): string {
  const [first = ''] = reference.split('/');
  return reference.includes('/') && (first.includes('.') || first.includes(':') || first === 'localhost') ? first : 'docker.io';
}

/** @returns undefined where the user has none for this registry. @throws Error where a credential helper is configured, but missing */
export async function findCredentials(environment: Environment, reference: string): Promise<RegistryAuth | undefined> {
  const registry = registryOf(reference);
  const serveraddress = registry === 'docker.io' ? DOCKER_HUB : registry;
  const directory = configDirectory(environment);
  const config = directory === undefined ? undefined : await readJson(join(directory, 'config.json'));
  const helper = textAt(config, 'credHelpers', registry) ?? textAt(config, 'credHelpers', serveraddress) ?? textAt(config, 'credsStore');
  const fromHelper = helper === undefined || helper === '' ? undefined : await askHelper(environment, helper, serveraddress);
  if (fromHelper !== undefined) return fromHelper;
  const runtime = environment['XDG_RUNTIME_DIR'];
  const podman = runtime === undefined || runtime === '' ? undefined : await readJson(join(runtime, 'containers', 'auth.json'));
  for (const source of [config, podman]) {
    for (const key of [serveraddress, registry, `https://${registry}`, `https://${registry}/`, `https://${registry}/v1/`, `https://${registry}/v2/`]) {
      const identitytoken = textAt(source, 'auths', key, 'identitytoken');
      const registrytoken = textAt(source, 'auths', key, 'registrytoken');
      const auth = textAt(source, 'auths', key, 'auth');
      if (identitytoken === undefined && registrytoken === undefined && auth === undefined) continue;
      return { serveraddress, ...splitAuth(auth), ...(identitytoken === undefined ? {} : { identitytoken }), ...(registrytoken === undefined ? {} : { registrytoken }) };
    }
  }
  return undefined;
}

/** base64 of `user:password`; a password may hold colons. */
function splitAuth(auth: string | undefined): { username?: string; password?: string } {
  if (auth === undefined || auth === '') return {};
  const text = Buffer.from(auth, 'base64').toString('utf8');
  const colon = text.indexOf(':');
  return colon < 0 ? {} : { username: text.slice(0, colon), password: text.slice(colon + 1) };
}

/** The protocol of docker-credential-helpers: `get`, the server's address on stdin, JSON on stdout. */
function askHelper(environment: Environment, helper: string, serveraddress: string): Promise<RegistryAuth | undefined> {
  if (!/^[\w.-]+$/.test(helper)) throw new Error(`"${helper}" is not the name of a credential helper.`);
  const program = `docker-credential-${helper}`;
  return new Promise((resolve, reject) => {
    const child = spawn(program, ['get'], { env: { ...environment }, stdio: ['pipe', 'pipe', 'ignore'], timeout: HELPER_TIMEOUT_MS });
    let output = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk));
    child.once('error', (error) => reject(new Error(`The credential helper ${program}, which your docker configuration names, cannot be run: ${error.message}`)));
    child.once('close', (code) => {
      // It says "credentials not found" with exit code 1: then the registry is asked without.
      if (code !== 0) return resolve(undefined);
      try {
        const answer: unknown = JSON.parse(output);
        const username = textAt(answer, 'Username');
        const secret = textAt(answer, 'Secret');
        if (username === undefined || secret === undefined || secret === '') return resolve(undefined);
        resolve(username === '<token>' ? { serveraddress, identitytoken: secret } : { serveraddress, username, password: secret });
      } catch (error) {
        reject(new Error(`The credential helper ${program} did not answer with JSON.`, { cause: error }));
      }
    });
    child.stdin.on('error', () => undefined);
    child.stdin.end(serveraddress);
  });
}
