/**
 * Test images made of this machine's own Linux programs and the shared libraries that they load, so that no registry is needed.
 * They go through the Engine API, and are kept under a tag that names their content: a second run finds them.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { Readable } from 'node:stream';
import type Dockerode from 'dockerode';
import { pack } from 'tar-stream';

const PROGRAMS = [
  'sh',
  'cat',
  'sleep',
  'echo',
  'env',
  'head',
  'tail',
  'seq',
  'id',
  'date',
  'ls',
  'hostname',
  'mkdir',
  'touch',
  'stat',
  'yes',
  'tr',
  'wc',
  'true',
  'false',
  'base64',
  'rm',
  'chmod',
  'grep',
  'sed',
  'getent',
  'curl',
  'timeout',
  'dd',
  'printf',
  'df',
  'ping',
  'bash',
  'cut',
  'kill',
];
/** Counts the ways in which images have been laid out, so that one of an older way is not taken for one of today. */
const LAYOUT = 2;
const LIBRARY_PATHS = /(?:=> )?(\/\S+) \(0x/g;

export interface TestImage {
  /** After `actas-test-`. */
  readonly name: string;
  /** Absolute paths of programs of this machine, by their path in the image; their libraries come along. */
  readonly programs: Readonly<Record<string, string>>;
  /** Files of given content, by their path in the image. */
  readonly files?: Readonly<Record<string, string>>;
  /** Folders of this machine, by their path in the image. */
  readonly trees?: Readonly<Record<string, string>>;
  /** Dockerfile instructions that an import understands: CMD, ENTRYPOINT, ENV, EXPOSE, USER, WORKDIR, LABEL. */
  readonly changes?: readonly string[];
}

/** A shell with the usual programs. @returns the reference, `actas-test-shell:...` */
export function shellImage(docker: Dockerode): Promise<string> {
  return buildImage(docker, { name: 'shell', programs: shellPrograms(), files: BASE_FILES, changes: ['CMD ["/bin/sh"]'] });
}

/** Node with the shell's programs and, under /app/node_modules, these packages of ours and all that they depend on. The working directory is /app. */
export function nodeImage(docker: Dockerode, packages: readonly string[] = []): Promise<string> {
  return buildImage(docker, {
    name: 'node',
    programs: { ...shellPrograms(), '/usr/local/bin/node': nodePath() },
    files: { ...BASE_FILES, '/app/package.json': '{"type":"module"}\n' },
    trees: packageTrees(packages),
    changes: ['WORKDIR /app', 'CMD ["node"]'],
  });
}

/** What a relay is made of: Node, and iptables with what that loads. */
export function relayImage(docker: Dockerode): Promise<string> {
  return buildImage(docker, { name: 'relay', ...nodeWithTables(), changes: ['CMD ["node"]'] });
}

/**
 * Stands in for the official image of Node: this machine's programs and certificates, a user `node`, npm, and what the Dockerfile installs.
 * @param parts.npm the folder of npm itself @param parts.scripts programs of the test, by their path in the image
 */
export function baseImage(docker: Dockerode, parts: { readonly npm: string; readonly scripts: Readonly<Record<string, string>> }): Promise<string> {
  const base = nodeWithTables();
  const certificates = '/etc/ssl/certs/ca-certificates.crt';
  const more = ['env', 'ln', 'install', 'uname', 'cp', 'mv', 'find', 'xargs', 'ip', 'basename', 'dirname', 'readlink', 'sort'].flatMap((name) => {
    const path = ['/bin', '/usr/bin', '/sbin'].map((directory) => join(directory, name)).find((candidate) => existsSync(candidate));
    return path === undefined ? [] : [[`/usr/bin/${name}`, path] as const];
  });
  return buildImage(docker, {
    name: 'base',
    programs: { ...base.programs, ...Object.fromEntries(more), ...parts.scripts, ...systemLibraries(), ...(existsSync(certificates) ? { [certificates]: certificates } : {}) },
    files: {
      ...BASE_FILES,
      '/etc/passwd': `${BASE_FILES['/etc/passwd']}node:x:1000:1000::/home/node:/bin/sh\n`,
      '/etc/group': `${BASE_FILES['/etc/group']}node:x:1000:\n`,
      '/root/.keep': '',
      '/var/lib/apt/lists/.keep': '',
    },
    trees: { ...base.trees, '/usr/local/lib/node_modules/npm': parts.npm },
    changes: ['CMD ["node"]', ...(existsSync(certificates) ? [`ENV NODE_EXTRA_CA_CERTS=${certificates}`] : [])],
  });
}

/** Of glibc, for native parts of packages: no program of ours names them all. */
function systemLibraries(): Record<string, string> {
  const folders = ['/lib/x86_64-linux-gnu', '/lib/aarch64-linux-gnu'];
  const names = [
    'librt.so.1',
    'libutil.so.1',
    'libpthread.so.0',
    'libdl.so.2',
    'libm.so.6',
    'libgcc_s.so.1',
    'libstdc++.so.6',
    'libresolv.so.2',
    'libnss_dns.so.2',
    'libnss_files.so.2',
  ];
  return Object.fromEntries(
    folders.flatMap((folder) =>
      names
        .map((name) => join(folder, name))
        .filter((path) => existsSync(path))
        .map((path) => [path, path]),
    ),
  );
}

function nodeWithTables(): Pick<TestImage, 'programs' | 'files' | 'trees'> {
  const found = (paths: readonly string[]) => paths.find((path) => existsSync(path));
  const tables = Object.fromEntries(
    ['iptables-save', 'iptables-restore'].flatMap((name) => {
      const path = found([`/usr/sbin/${name}`, `/sbin/${name}`]);
      return path === undefined ? [] : [[`/usr/bin/${name}`, path]];
    }),
  );
  const extensions = found(['x86_64', 'aarch64'].map((architecture) => `/usr/lib/${architecture}-linux-gnu/xtables`));
  return {
    programs: { ...shellPrograms(), ...tables, '/usr/local/bin/node': nodePath() },
    files: BASE_FILES,
    ...(extensions === undefined ? {} : { trees: { [extensions]: extensions } }),
  };
}

const BASE_FILES = {
  '/etc/passwd': 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n',
  '/etc/group': 'root:x:0:\nnogroup:x:65534:\n',
  '/etc/nsswitch.conf': 'hosts: files dns\n',
};

/** Builds the image unless the engine has it. */
export async function buildImage(docker: Dockerode, image: TestImage): Promise<string> {
  const files = gather(image);
  const hash = createHash('sha256').update(JSON.stringify([LAYOUT, image.changes, image.files]));
  // A file of the machine is known by its size and time: hashing Node's 100 MB each time would cost more than the import.
  for (const [path, source] of files) hash.update(typeof source === 'string' ? `${path}\0${statSync(source).size}\0${statSync(source).mtimeMs}\n` : `${path}\n`);
  const repository = `actas-test-${image.name}`;
  const tag = hash.digest('hex').slice(0, 12);
  const reference = `${repository}:${tag}`;
  const known = await docker
    .getImage(reference)
    .inspect()
    .then(
      () => true,
      () => false,
    );
  if (known) return reference;
  const tar = pack();
  const imported = docker.importImage(Readable.from(tar), { repo: reference, changes: ['ENV PATH=/usr/local/bin:/usr/bin:/bin', ...(image.changes ?? [])] });
  tar.entry({ name: 'tmp/', type: 'directory', mode: 0o1777 });
  // Rootless Docker gives a folder that is not named a mode that lets nobody in.
  for (const folder of foldersOf([...files.keys()])) tar.entry({ name: `${folder.slice(1)}/`, type: 'directory', mode: 0o755 });
  for (const [path, source] of files) {
    const content = typeof source === 'string' ? readFileSync(source) : source.content;
    const executable = typeof source === 'string' && (statSync(source).mode & 0o111) !== 0;
    await new Promise<void>((resolve, reject) => tar.entry({ name: path.slice(1), mode: executable ? 0o755 : 0o644 }, content, (error) => (error ? reject(error) : resolve())));
  }
  tar.finalize();
  const answer = await imported;
  let text = '';
  for await (const chunk of answer) text += chunk;
  if (text.includes('"error"')) throw new Error(`The test image ${reference} cannot be imported: ${text}`);
  return reference;
}

/** All folders above these paths, outer ones first. */
function foldersOf(paths: readonly string[]): readonly string[] {
  const found = new Set<string>();
  for (const path of paths) for (let at = dirname(path); at !== '/' && !found.has(at); at = dirname(at)) found.add(at);
  found.delete('/tmp');
  return [...found].sort();
}

/** Path in the image -> path on this machine, or content. */
function gather(image: TestImage): Map<string, string | { content: string }> {
  const files = new Map<string, string | { content: string }>();
  for (const [path, source] of Object.entries(image.programs)) {
    files.set(path, realpathSync(source));
    for (const library of librariesOf(source)) files.set(library, realpathSync(library));
  }
  for (const [path, source] of Object.entries(image.trees ?? {})) {
    for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
      const from = join(entry.parentPath, entry.name);
      if (entry.isFile() || (entry.isSymbolicLink() && statSync(from).isFile())) files.set(`${path}${from.slice(source.length)}`, from);
    }
  }
  for (const [path, content] of Object.entries(image.files ?? {})) files.set(path, { content });
  return files;
}

function librariesOf(program: string): string[] {
  try {
    return [...execFileSync('ldd', [program], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).matchAll(LIBRARY_PATHS)].flatMap((match) => match[1] ?? []);
  } catch {
    // A static program has none, and ldd says so with exit code 1.
    return [];
  }
}

function shellPrograms(): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of PROGRAMS) {
    const path = ['/bin', '/usr/bin'].map((directory) => join(directory, name)).find((candidate) => existsSync(candidate));
    if (path !== undefined) found[`/bin/${name}`] = path;
  }
  return found;
}

function nodePath(): string {
  return realpathSync(process.execPath);
}

/** The folders of these packages and of all that they need, as npm laid them out. */
function packageTrees(packages: readonly string[]): Record<string, string> {
  const trees: Record<string, string> = {};
  const rootModules = join(dirname(dirname(import.meta.dirname)), 'node_modules');
  const add = (name: string, from: string) => {
    // A nested copy comes along with the folder that holds it.
    const directory = createRequire(join(from, 'package.json'))
      .resolve.paths(name)
      ?.map((base) => join(base, name))
      .find((candidate) => existsSync(join(candidate, 'package.json')));
    if (directory === undefined) return;
    const path = `/app/node_modules${directory.slice(rootModules.length)}`;
    if (path in trees) return;
    trees[path] = directory;
    // A package.json is JSON by its own definition; `dependencies` is checked by use.
    const manifest = JSON.parse(readFileSync(join(directory, 'package.json'), 'utf8')) as { dependencies?: Record<string, string> };
    for (const dependency of Object.keys(manifest.dependencies ?? {})) add(dependency, directory);
  };
  for (const name of packages) add(name, dirname(rootModules));
  return trees;
}
