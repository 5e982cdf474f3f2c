/** Where a relay can stand, and how one speaks with it there: in a container in the engine's network, or with rootless Podman in a process of ours. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import type { Naming } from './container-options.ts';
import type { Environment } from './endpoint.ts';
import { removeContainer } from './engine-calls.ts';
import { LABEL_OWNER, relayName } from './labels.ts';
import { RELAY_NAME } from './relay-program.ts';

/** The program's standard input and output. */
export interface Channel {
  write(frame: Buffer): void;
  end(): void;
  /** @param ended what the program said of its end, for people */
  listen(data: (chunk: Buffer) => void, ended: (complaint: string) => void): void;
}

export interface RelayPlace {
  /** For people. */
  readonly description: string;
  /** Starts the program, in place of one that may be there. */
  start(): Promise<Channel>;
  remove(): Promise<void>;
}

const NODE_ARGUMENTS = ['--input-type=module', '-e'];
const MOST_COMPLAINT = 2000;

/** In the engine's host network. @param image what the engine knows, with `node` (18 or later) and `iptables` */
export function containerPlace(docker: Docker, naming: Naming, image: string): RelayPlace {
  const remove = () => removeContainer(docker, relayName(naming.scope));
  return {
    description: `image ${image}`,
    remove,
    async start() {
      await remove();
      const container = await docker.createContainer(await containerOptions(naming, image));
      const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
      const channel: Channel = {
        write: (frame) => void stream.write(frame),
        end: () => void stream.end(),
        listen(data, ended) {
          let complaint = '';
          stream.on(
            'data',
            createDemultiplexer(data, (chunk) => (complaint = (complaint + chunk.toString()).slice(-MOST_COMPLAINT))),
          );
          for (const event of ['end', 'close', 'error']) stream.on(event, () => ended(complaint));
        },
      };
      await container.start();
      return channel;
    },
  };
}

/**
 * Rootless Podman keeps all bridges of a user in one network namespace of its own, which no container can be put into, but a program of the same user
 * can (podman-unshare(1)). So there the relay is a process of this machine's own Node.
 */
export function rootlessPodmanPlace(environment: Environment): RelayPlace {
  return {
    description: 'podman unshare --rootless-netns',
    remove: async () => undefined,
    async start() {
      // iptables lives in sbin, which is not on everybody's PATH.
      const env = { ...environment, PATH: `${environment['PATH'] ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`, NODE_OPTIONS: '' };
      const child = spawn('podman', ['unshare', '--rootless-netns', process.execPath, ...NODE_ARGUMENTS, await programText(), RELAY_NAME], { env, stdio: 'pipe', detached: true });
      let complaint = '';
      child.stdin.on('error', () => undefined);
      child.stderr.on('data', (chunk) => (complaint = (complaint + String(chunk)).slice(-MOST_COMPLAINT)));
      return {
        write: (frame) => void child.stdin.write(frame),
        end: () => void child.stdin.end(),
        listen(data, ended) {
          child.stdout.on('data', data);
          child.once('error', (error) => ended(error.message));
          child.once('close', () => ended(complaint));
        },
      };
    },
  };
}

async function containerOptions(naming: Naming, image: string): Promise<Docker.ContainerCreateOptions> {
  return {
    name: relayName(naming.scope),
    Image: image,
    Entrypoint: ['node'],
    Cmd: [...NODE_ARGUMENTS, await programText(), RELAY_NAME],
    User: '0:0',
    WorkingDir: '/',
    Env: ['NODE_OPTIONS='],
    Labels: { [LABEL_OWNER]: naming.dataDirId },
    Healthcheck: { Test: ['NONE'] },
    OpenStdin: true,
    StdinOnce: true,
    AttachStdin: true,
    AttachStdout: true,
    AttachStderr: true,
    HostConfig: {
      NetworkMode: 'host',
      // Where the engine maps container users to others, these would have no say over its network.
      UsernsMode: 'host',
      CapDrop: ['ALL'],
      // For the packet rules; NET_RAW is what the older iptables asks for.
      CapAdd: ['NET_ADMIN', 'NET_RAW'],
      SecurityOpt: ['no-new-privileges'],
      ReadonlyRootfs: true,
      Tmpfs: { '/run': '' },
      PidsLimit: 256,
      Memory: 256 * 2 ** 20,
      // What passes here are tokens: nothing of it is written down.
      LogConfig: { Type: 'none', Config: {} },
      AutoRemove: true,
    },
  };
}

/** The program's own text: in the package as it was built, from source without its types. */
async function programText(): Promise<string> {
  const isSource = import.meta.url.endsWith('.ts');
  const text = await readFile(new URL(isSource ? './relay-program.ts' : './relay-program.js', import.meta.url), 'utf8');
  return isSource ? process.getBuiltinModule('node:module').stripTypeScriptTypes(text) : text;
}

const ENGINE_HEADER_BYTES = 8;
const STDOUT = 1;

/** The engine's own frames around both outputs of a container: one byte for which, three of nothing, four for the length. */
function createDemultiplexer(stdout: (chunk: Buffer) => void, stderr: (chunk: Buffer) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= ENGINE_HEADER_BYTES) {
      const end = ENGINE_HEADER_BYTES + rest.readUInt32BE(4);
      if (rest.length < end) return;
      const frame = rest;
      rest = rest.subarray(end);
      (frame[0] === STDOUT ? stdout : stderr)(frame.subarray(ENGINE_HEADER_BYTES, end));
    }
  };
}
