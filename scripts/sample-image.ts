/**
 * Makes the image of the sample job (examples/whoami) in a container engine.
 * On Linux nothing is downloaded: the image is this machine's own Node, the shared libraries it is linked with, the program, and
 * google-auth-library from node_modules. Where the engine's containers are of another kind than this machine (Docker Desktop on
 * macOS, a remote engine), the image is built from BASE_IMAGE, which the engine pulls.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { type Pack, pack } from 'tar-stream';

const ROOT = resolve(import.meta.dirname, '..');
const SAMPLE = join(ROOT, 'examples', 'whoami');
/** Small (80 MB), official, and has the Node that the sample needs. */
export const BASE_IMAGE = 'docker.io/library/node:24-slim';

export interface SampleImage {
  /** How it was made, for people. */
  readonly origin: string;
}

/** @param tag `NAME:TAG` that the image gets @throws Error with the engine's reason */
export async function makeSampleImage(docker: Docker, tag: string): Promise<SampleImage> {
  const { Arch: engineArch } = await docker.version();
  const ownArch = process.arch === 'x64' ? 'amd64' : process.arch;
  if (process.platform === 'linux' && engineArch === ownArch) {
    await importFromThisMachine(docker, tag);
    return { origin: "this machine's own Node and its libraries (nothing is downloaded)" };
  }
  await buildFromBase(docker, tag);
  return { origin: BASE_IMAGE };
}

async function importFromThisMachine(docker: Docker, tag: string): Promise<void> {
  const archive = pack();
  const node = realpathSync(process.execPath);
  addFile(archive, 'usr/local/bin/node', node, 0o755);
  for (const library of librariesOf(node)) addFile(archive, library.slice(1), library, 0o755);
  archive.entry({ name: 'etc/nsswitch.conf' }, 'hosts: files dns\n');
  archive.entry({ name: 'etc/passwd' }, 'job:x:1000:1000::/app:/\n');
  archive.entry({ name: 'tmp', type: 'directory', mode: 0o1777 });
  addProgram(archive, 'app/');
  archive.finalize();
  const changes = ['ENV PATH=/usr/local/bin', 'WORKDIR /app', 'USER 1000:1000', 'CMD ["node","whoami.mjs"]'];
  await finished(docker, await docker.importImage(Readable.from(archive), { repo: tag, changes }));
}

async function buildFromBase(docker: Docker, tag: string): Promise<void> {
  const archive = pack();
  archive.entry({ name: 'Dockerfile' }, `FROM ${BASE_IMAGE}\nWORKDIR /app\nCOPY app/ ./\nUSER node\nCMD ["node", "whoami.mjs"]\n`);
  addProgram(archive, 'app/');
  archive.finalize();
  await finished(docker, await docker.buildImage(Readable.from(archive), { t: tag }));
}

/** The program and every package that it needs, in the layout that `npm install` makes. */
function addProgram(archive: Pack, prefix: string): void {
  for (const name of ['whoami.mjs', 'package.json']) addFile(archive, `${prefix}${name}`, join(SAMPLE, name), 0o644);
  for (const directory of packagesNeededBy('google-auth-library')) {
    for (const file of readdirSync(directory, { recursive: true, withFileTypes: true })) {
      const path = join(file.parentPath, file.name);
      const inside = relative(directory, path);
      if (!file.isFile() || inside.startsWith('node_modules/') || !/\.(js|mjs|cjs|json)$/.test(file.name)) continue;
      addFile(archive, `${prefix}${relative(ROOT, path)}`, path, 0o644);
    }
  }
}

/** Folders of a package and of all that it depends on, found as Node finds them. */
function packagesNeededBy(name: string): ReadonlySet<string> {
  const found = new Set<string>();
  const visit = (wanted: string, from: string): void => {
    const directory = locate(wanted, from);
    if (found.has(directory)) return;
    found.add(directory);
    const manifest: { dependencies?: Record<string, string> } = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8'));
    for (const dependency of Object.keys(manifest.dependencies ?? {})) visit(dependency, directory);
  };
  visit(name, ROOT);
  return found;
}

function locate(name: string, from: string): string {
  for (let at = from; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', name);
    if (existsSync(join(candidate, 'package.json'))) return candidate;
    if (at === ROOT || at === dirname(at)) throw new Error(`The package ${name} is not installed. Run npm install.`);
  }
}

/** Paths of the shared libraries that a program is linked with, its loader included. */
function librariesOf(program: string): readonly string[] {
  const output = execFileSync('ldd', [program], { encoding: 'utf8' });
  const paths = [...output.matchAll(/(?:=> |^\s*)(\/\S+) \(0x/gm)].map((match) => match[1] ?? '');
  if (!/not a dynamic executable|statically linked/.test(output) && paths.length === 0) throw new Error(`ldd says nothing of use about ${program}:\n${output}`);
  return paths;
}

const folders = new WeakMap<Pack, Set<string>>();

/** With the folders above it: rootless Docker gives one that is not named a mode that lets nobody in. */
function addFile(archive: Pack, name: string, path: string, mode: number): void {
  const known = folders.get(archive) ?? new Set();
  folders.set(archive, known);
  const parts = name.split('/').slice(0, -1);
  for (const [index] of parts.entries()) {
    const folder = `${parts.slice(0, index + 1).join('/')}/`;
    if (known.has(folder)) continue;
    known.add(folder);
    archive.entry({ name: folder, type: 'directory', mode: 0o755 });
  }
  archive.entry({ name, mode }, readFileSync(path));
}

/** The engine answers 200 first and tells of a failure later, in the stream. */
function finished(docker: Docker, stream: NodeJS.ReadableStream): Promise<void> {
  return new Promise((done, fail) => {
    docker.modem.followProgress(stream, (error: Error | null, events: readonly { error?: string }[] | null) => {
      const reason = error?.message ?? events?.find((event) => event.error !== undefined)?.error;
      if (reason === undefined) done();
      else fail(new Error(`The engine could not make the sample image: ${reason}`));
    });
  });
}
