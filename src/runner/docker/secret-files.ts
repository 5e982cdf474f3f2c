/**
 * Files for containers that must be on no disk: an attempt's own directory in the memory of this machine (tmpfs), below one that our user alone can enter,
 * mounted read-only into the containers that ask for it. It goes when the attempt has ended, and what a crash left goes at the next start.
 * Only for an engine that sees this machine's files.
 */
import { chmodSync, lstatSync, mkdirSync, statfsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, stat, writeFile } from 'node:fs/promises';
import { release } from 'node:os';
import { dirname, join, posix } from 'node:path';
import type Dockerode from 'dockerode';
import type { AttemptId, AttemptSpec, ContainerSpec } from '../driver.ts';

/** Source: statfs(2) */
const TMPFS_MAGIC = 0x01021994;

export interface SecretFiles {
  /** Writes the files of an attempt. @returns the attempt as the engine's objects may know it: without what is in the files */
  place(attempt: AttemptSpec): Promise<AttemptSpec>;
  remove(id: AttemptId): Promise<void>;
  /** Removes what an earlier run left of attempts that are not kept. */
  sweep(keep: ReadonlySet<AttemptId>): Promise<void>;
}

/** Where the files of a data directory are put; undefined where this machine has no memory that is mounted as a file system. @param scope tells data directories apart */
export function secretFilesRoot(scope: string, environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const base = [environment['XDG_RUNTIME_DIR'], '/dev/shm', '/run'].find((path) => path !== undefined && path !== '' && isTmpfs(path));
  return base === undefined ? undefined : join(base, `actas-${scope}`);
}

function isTmpfs(path: string): boolean {
  try {
    return statfsSync(path).type === TMPFS_MAGIC;
  } catch {
    // Not there: another machine than Linux, or another set of mounts.
    return false;
  }
}

/** Why files cannot be mounted with this engine; undefined where they can. */
export function whyNoFiles(root: string | undefined, engine: { readonly isLocal: boolean; readonly kernel: string | undefined }): string | undefined {
  if (!engine.isLocal || engine.kernel !== release()) return 'the container engine does not share the files of this machine (it is remote, or in a virtual machine)';
  return root === undefined ? 'this machine has no file system in memory (tmpfs) at XDG_RUNTIME_DIR, /dev/shm or /run' : undefined;
}

export function createSecretFiles(root: string | undefined): SecretFiles {
  return {
    async place(attempt) {
      const { files = [] } = attempt;
      if (files.length === 0) return attempt;
      if (root === undefined) throw new Error('There is no memory to put files into.');
      prepareRoot(root);
      await write(join(root, attempt.id), files);
      return { ...attempt, files: files.map(({ name }) => ({ name, files: [] })) };
    },
    remove: async (id) => (root === undefined ? undefined : rm(join(root, id), { recursive: true, force: true })),
    async sweep(keep) {
      if (root === undefined) return;
      const left = await readdir(root).catch(() => []);
      await Promise.all(left.filter((name) => !keep.has(name)).map((name) => rm(join(root, name), { recursive: true, force: true })));
    },
  };
}

/** Ours alone, or it is not used: others may write where it is made. @throws Error */
function prepareRoot(root: string): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const found = lstatSync(root);
  if (!found.isDirectory() || found.uid !== process.getuid?.()) throw new Error(`${root} is somebody else's, so no secrets are put there. Remove it.`);
  chmodSync(root, 0o700);
}

/** Complete or not at all; what is there already is of an earlier try. */
async function write(directory: string, volumes: NonNullable<AttemptSpec['files']>): Promise<void> {
  if (await stat(directory).catch(() => undefined)) return;
  const draft = `${directory}.draft`;
  await rm(draft, { recursive: true, force: true });
  await mkdir(draft, { mode: 0o700 });
  for (const { name, files } of volumes)
    for (const { path, mode, data } of files) {
      const file = join(draft, name, path);
      await mkdir(dirname(file), { recursive: true, mode: 0o755 });
      await writeFile(file, data, { mode: 0o600, flag: 'wx' });
      await chmod(file, mode);
    }
  // Whatever the process's umask took away: programs in containers run as anybody.
  for (const { name, files } of volumes) for (const folder of foldersOf(name, files)) await chmod(join(draft, folder), 0o755);
  await rename(draft, directory);
}

function foldersOf(volume: string, files: readonly { readonly path: string }[]): ReadonlySet<string> {
  const found = new Set([volume]);
  for (const { path } of files) for (let at = posix.dirname(posix.join(volume, path)); at !== volume && at !== '.'; at = posix.dirname(at)) found.add(at);
  return found;
}

/** What one container mounts of them. @param root of `secretFilesRoot` */
export function fileMounts(root: string | undefined, attempt: Pick<AttemptSpec, 'id' | 'files'>, container: Pick<ContainerSpec, 'mounts'>): Dockerode.MountSettings[] {
  if (root === undefined) return [];
  return container.mounts.flatMap((mount) =>
    attempt.files?.some(({ name }) => name === mount.volume)
      ? [{ Type: 'bind' as const, Source: join(root, attempt.id, mount.volume, mount.subPath ?? ''), Target: mount.path, ReadOnly: true }]
      : [],
  );
}
