/**
 * The Dockerfile and compose.yaml, for real: built, started as the file says, and asked to run a job. By `npm run test:image`, for it takes minutes and
 * needs npm's registry. Where the engine has no base image, this machine's own Node and programs stand in for it.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { dockerAt } from '../src/runner/docker/test-driver.ts';
import { testEngine } from './harness/engine.ts';
import { baseImage, shellImage } from './harness/image.ts';
import { until } from './harness/until.ts';

const ROOT = join(import.meta.dirname, '..');
const { dockerHost, reason } = testEngine();
const isAsked = process.env['ACTAS_TEST_IMAGE'] !== undefined;

describe.skipIf(dockerHost === undefined || !isAsked)(
  `the Dockerfile and compose.yaml${isAsked ? '' : ' (npm run test:image)'}${dockerHost === undefined ? ` (no container engine: ${reason})` : ''}`,
  () => {
    const host = dockerHost ?? 'unix:///nowhere';
    const docker = dockerAt(host);
    const directory = mkdtempSync(join(tmpdir(), 'actas-image-'));
    const service = (parse(readFileSync(join(ROOT, 'compose.yaml'), 'utf8')) as { services: { actas: ComposeService } }).services.actas;
    const volume = `actas-image-test-${process.pid}`;
    const port = 20_000 + (process.pid % 10_000);
    /** Tags that the engine has by us alone: a stand-in must not be taken for what it stands for. */
    const made: string[] = [];
    let container: Docker.Container | undefined;

    beforeAll(async () => {
      const base = /^FROM (\S+)/m.exec(readFileSync(join(ROOT, 'Dockerfile'), 'utf8'))?.[1] ?? '';
      for (const reference of [base, service.image]) if (!(await hasImage(docker, reference))) made.push(reference);
      if (made.includes(base)) await standIn(docker, base, directory);
      await build(docker, service.image);
    }, 900_000);
    afterAll(async () => {
      // A stop in peace takes back the tasks' network as well.
      await container?.stop({ t: 20 }).catch(() => undefined);
      await container?.remove({ force: true, v: true }).catch(() => undefined);
      for (const { Id } of await docker.listContainers({ all: true, filters: { volume: [volume] } })) await docker.getContainer(Id).remove({ force: true });
      await docker
        .getVolume(volume)
        .remove({ force: true })
        .catch(() => undefined);
      for (const reference of made)
        await docker
          .getImage(reference)
          .remove({ force: true })
          .catch(() => undefined);
      rmSync(directory, { recursive: true, force: true });
    });

    const say = async (...command: readonly string[]): Promise<string> => {
      if (container === undefined) throw new Error('There is no container.');
      const exec = await container.exec({ Cmd: [...command], AttachStdout: true, AttachStderr: true });
      const stream = await exec.start({ hijack: true, stdin: false });
      const chunks: Buffer[] = [];
      const sink = { write: (chunk: Buffer) => chunks.push(chunk) };
      // Only `write` of them is used.
      docker.modem.demuxStream(stream, sink as unknown as NodeJS.WritableStream, sink as unknown as NodeJS.WritableStream);
      await new Promise((resolve) => stream.once('end', resolve));
      const text = Buffer.concat(chunks).toString();
      const { ExitCode: code } = await exec.inspect();
      if (code !== 0) throw new Error(`${command.join(' ')}: ${text}`);
      return text;
    };

    test('compose.yaml starts it: healthy, not root, and tasks get the identity of their job', { timeout: 120_000 }, async () => {
      container = await docker.createContainer(composed(service, { host, volume, port }));
      await container.start();
      const health = async () => (await container?.inspect())?.State.Health?.Status;
      await until('the container is healthy', async () => (await health()) === 'healthy', 60_000).catch(async (error: unknown) => {
        throw new Error(`${(await container?.logs({ stdout: true, stderr: true }))?.toString()}`, { cause: error });
      });
      expect((await say('node', '-p', 'process.getuid()')).trim()).toBe('1000');
      const image = await shellImage(docker);
      const look = 'curl -s -H Metadata-Flavor:Google http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/email';
      await say('actas', 'run', 'jobs', 'create', 'inside', `--image=${image}`, '--region=us-central1', '--command=sh', `--args=-c,${look}`);
      expect(await say('actas', 'run', 'jobs', 'execute', 'inside', '--region=us-central1', '--wait', '--logs')).toContain('123456789012-compute@developer.gserviceaccount.com');
    });

    test('a stop is graceful, and the next start finds what there was', { timeout: 120_000 }, async () => {
      await container?.stop({ t: 30 });
      expect((await container?.inspect())?.State.ExitCode).toBe(0);
      await container?.start();
      await until('the container is healthy again', async () => (await container?.inspect())?.State.Health?.Status === 'healthy', 60_000);
      expect(await say('actas', 'run', 'jobs', 'list', '--region=us-central1')).toContain('inside');
    });
  },
);

interface ComposeService {
  readonly image: string;
  readonly network_mode: string;
  readonly init: boolean;
  readonly group_add: readonly string[];
  readonly cap_drop: readonly string[];
  readonly security_opt: readonly string[];
  readonly volumes: readonly string[];
}

/** As `docker compose up` would, but for the engine's socket, the volume's name and the port. */
function composed(service: ComposeService, { host, volume, port }: { readonly host: string; readonly volume: string; readonly port: number }): Docker.ContainerCreateOptions {
  const socket = host.slice('unix://'.length);
  const group = execFileSync('stat', ['-c', '%g', socket], { encoding: 'utf8' }).trim();
  return {
    Image: service.image,
    Env: [`ACTAS_PORT=${port}`],
    HostConfig: {
      NetworkMode: service.network_mode,
      Init: service.init,
      GroupAdd: service.group_add.map((entry) => entry.replace(/^\$\{DOCKER_GID:-\d+\}$/, group)),
      CapDrop: [...service.cap_drop],
      SecurityOpt: [...service.security_opt],
      Binds: service.volumes.map((entry) => entry.replace(/^\/var\/run\/docker\.sock:/, `${socket}:`).replace(/^data:/, `${volume}:`)),
    },
  };
}

function hasImage(docker: Docker, reference: string): Promise<boolean> {
  return docker
    .getImage(reference)
    .inspect()
    .then(
      () => true,
      () => false,
    );
}

async function standIn(docker: Docker, reference: string, directory: string): Promise<void> {
  const script = (name: string, text: string) => {
    const path = join(directory, name);
    writeFileSync(path, text);
    chmodSync(path, 0o755);
    return path;
  };
  const npm = realpathSync(execFileSync('which', ['npm'], { encoding: 'utf8' }).trim()).replace(/\/bin\/npm-cli\.js$/, '');
  const made = await baseImage(docker, {
    npm,
    scripts: {
      '/usr/local/bin/npm': script('npm', '#!/bin/sh\nexec node /usr/local/lib/node_modules/npm/bin/npm-cli.js "$@"\n'),
      // What would be installed is there.
      '/usr/bin/apt-get': script('apt-get', '#!/bin/sh\necho "stand-in: $*"\n'),
    },
  });
  const [repo, tag] = reference.split(':');
  await docker.getImage(made).tag({ repo: repo ?? reference, tag: tag ?? 'latest' });
}

/** The engine itself heeds .dockerignore. */
async function build(docker: Docker, tag: string): Promise<void> {
  const tar = pack();
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { cwd: ROOT, encoding: 'utf8', maxBuffer: 64 * 2 ** 20 }).split('\0');
  for (const name of files.filter((file) => file !== '')) tar.entry({ name, mode: name.startsWith('bin/') ? 0o755 : 0o644 }, readFileSync(join(ROOT, name)));
  tar.finalize();
  // The host's network: a mirror of the registry may be reachable from there alone.
  const stream = await docker.buildImage(Readable.from(tar), { t: tag, networkmode: 'host', forcerm: true });
  await new Promise<void>((resolve, reject) => {
    const output: string[] = [];
    docker.modem.followProgress(
      stream,
      (error: Error | null, events: readonly { error?: string }[] | null) => {
        const failed = error?.message ?? events?.find((event) => event.error !== undefined)?.error;
        if (failed === undefined) resolve();
        else reject(new Error(`${output.join('').slice(-3000)}\n${failed}`));
      },
      (event: { stream?: string }) => output.push(event.stream ?? ''),
    );
  });
}
