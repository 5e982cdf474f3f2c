/**
 * Where the container engine is: what the user names (DOCKER_HOST, a docker context), else the first socket that answers.
 * An engine that was named is used or refused, never replaced by another.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import { join } from 'node:path';
import Docker from 'dockerode';

/** The environment's variables, handed in by the composition root. */
export type Environment = Readonly<Record<string, string | undefined>>;

export interface Endpoint {
  /** `unix:///...`, `tcp://HOST:PORT`, `ssh://USER@HOST`, `npipe://...` */
  readonly url: string;
  /** For people: what led here. */
  readonly from: string;
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

export interface Connection {
  readonly docker: Docker;
  readonly endpoint: Endpoint;
  /** Closes idle connections. */
  close(): void;
}

/** In the order in which they are to be tried; one only where the user named one. */
export async function listEndpoints(environment: Environment, explicit?: string): Promise<readonly Endpoint[]> {
  const tlsDirectory = environment['DOCKER_CERT_PATH'];
  const tls = tlsDirectory === undefined || tlsDirectory === '' ? undefined : await readTls(tlsDirectory);
  const named = (url: string, from: string): readonly Endpoint[] => [{ url, from, ...(tls === undefined ? {} : { tls }) }];
  if (explicit !== undefined) return named(explicit, 'the setting');
  const host = environment['DOCKER_HOST'];
  if (host !== undefined && host !== '') return named(host, 'DOCKER_HOST');
  const context = await findContext(environment);
  if (context !== undefined) return [context];
  const home = environment['HOME'] ?? '';
  const runtime = environment['XDG_RUNTIME_DIR'] ?? '';
  return [
    { url: 'unix:///var/run/docker.sock', from: 'the default socket' },
    ...(runtime === '' ? [] : [{ url: `unix://${runtime}/docker.sock`, from: 'rootless Docker' }]),
    ...(home === ''
      ? []
      : [
          { url: `unix://${home}/.docker/run/docker.sock`, from: 'Docker Desktop' },
          { url: `unix://${home}/.docker/desktop/docker.sock`, from: 'Docker Desktop' },
        ]),
    ...(runtime === '' ? [] : [{ url: `unix://${runtime}/podman/podman.sock`, from: 'rootless Podman' }]),
    { url: 'unix:///run/podman/podman.sock', from: 'Podman' },
  ];
}

/** The folder of the docker CLI's configuration; undefined where neither it nor a home is known. */
export function configDirectory(environment: Environment): string | undefined {
  const directory = environment['DOCKER_CONFIG'];
  if (directory !== undefined && directory !== '') return directory;
  const home = environment['HOME'];
  return home === undefined || home === '' ? undefined : join(home, '.docker');
}

/** A file that may well be missing. @throws SyntaxError with the path where it is there, but no JSON */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch {
    // Absent or unreadable: to us the same, the user has not configured it.
    return undefined;
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new SyntaxError(`${path} is not valid JSON.`, { cause: error });
  }
}

/** The docker CLI keeps a context under the SHA-256 of its name (cli/context/store). */
async function findContext(environment: Environment): Promise<Endpoint | undefined> {
  const directory = configDirectory(environment);
  if (directory === undefined) return undefined;
  const name = environment['DOCKER_CONTEXT'] ?? textAt(await readJson(join(directory, 'config.json')), 'currentContext');
  if (name === undefined || name === '' || name === 'default') return undefined;
  const id = createHash('sha256').update(name).digest('hex');
  const url = textAt(await readJson(join(directory, 'contexts', 'meta', id, 'meta.json')), 'Endpoints', 'docker', 'Host');
  if (url === undefined) throw new Error(`The docker context "${name}" does not exist. Choose one of "docker context ls", or unset DOCKER_CONTEXT.`);
  const tls = await readTls(join(directory, 'contexts', 'tls', id, 'docker'));
  return { url, from: `docker context "${name}"`, ...(tls === undefined ? {} : { tls }) };
}

/** A text deep inside JSON of unknown shape. */
export function textAt(value: unknown, ...path: readonly string[]): string | undefined {
  let at = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null) return undefined;
    at = new Map<string, unknown>(Object.entries(at)).get(key);
  }
  return typeof at === 'string' ? at : undefined;
}

async function readTls(directory: string): Promise<Endpoint['tls']> {
  const read = (name: string) => readFile(join(directory, name)).catch(() => undefined);
  const [ca, cert, key] = await Promise.all([read('ca.pem'), read('cert.pem'), read('key.pem')]);
  if (ca === undefined && cert === undefined) return undefined;
  return { ...(ca === undefined ? {} : { ca }), ...(cert === undefined ? {} : { cert }), ...(key === undefined ? {} : { key }) };
}

/** The first endpoint that answers. @throws Error that lists what was tried, and says how to get an engine */
export async function connect(environment: Environment, explicit?: string): Promise<Connection> {
  const endpoints = await listEndpoints(environment, explicit);
  const tried: string[] = [];
  for (const endpoint of endpoints) {
    const connection = connectTo(endpoint);
    try {
      await answersInTime(connection.docker);
      return connection;
    } catch (error) {
      connection.close();
      tried.push(`${endpoint.url} (${endpoint.from}): ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  throw new Error(`No container engine answers. Start Docker or Podman, or set DOCKER_HOST; or run without containers: --driver fake.\nTried:\n  ${tried.join('\n  ')}`);
}

const PATIENCE_MS = 10_000;

async function answersInTime(docker: Docker): Promise<void> {
  const late = AbortSignal.timeout(PATIENCE_MS);
  await Promise.race([docker.ping(), new Promise((_, reject) => late.addEventListener('abort', () => reject(new Error(`no answer within ${PATIENCE_MS / 1000} s`))))]);
}

function connectTo(endpoint: Endpoint): Connection {
  const url = /^(unix|npipe|tcp|http|https|ssh):\/\/(.*)$/.exec(endpoint.url);
  if (url === null) throw new Error(`"${endpoint.url}" (${endpoint.from}) is not the address of a container engine: unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST.`);
  const [, scheme = '', rest = ''] = url;
  if (scheme === 'unix' || scheme === 'npipe') {
    const agent = new HttpAgent({ keepAlive: true });
    // `host: undefined` is for docker-modem, which would otherwise take DOCKER_HOST over what it is told here.
    return { docker: new Docker({ socketPath: rest, host: undefined, protocol: 'http', ...agentOption(agent) }), endpoint, close: () => agent.destroy() };
  }
  const { hostname, port, username } = new URL(`http://${rest}`);
  if (scheme === 'ssh') return { docker: new Docker({ protocol: 'ssh', host: hostname, port: port || 22, username }), endpoint, close: () => {} };
  const secure = scheme === 'https' || endpoint.tls !== undefined;
  const agent = secure ? new HttpsAgent({ keepAlive: true }) : new HttpAgent({ keepAlive: true });
  return {
    docker: new Docker({ protocol: secure ? 'https' : 'http', host: hostname, port: port || (secure ? 2376 : 2375), ...endpoint.tls, ...agentOption(agent) }),
    endpoint,
    close: () => agent.destroy(),
  };
}

/** docker-modem takes an agent, its types do not say so. */
function agentOption(agent: HttpAgent): object {
  return { agent };
}
