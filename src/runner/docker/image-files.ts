/** Files of a container that does not run, as the engine gives and takes them. */
import { dirname } from 'node:path/posix';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { extract, pack } from 'tar-stream';
import { ignoring } from './engine-calls.ts';
import type { ImageFile } from './trust-files.ts';

const MOST_FILE_BYTES = 16 * 2 ** 20;
/** Go's os.ModeSymlink and os.ModeType, as the engine says them. */
const SYMBOLIC_LINK = 2 ** 27;
const NO_FILE = 0x8f280000;

/** The Engine API's ContainerPathStat. */
interface PathStat {
  readonly size: number;
  readonly mode: number;
  /** Of a link: the path that it leads to in the end. */
  readonly linkTarget?: string;
}

/** @returns undefined where there is nothing */
async function statPath(container: Docker.Container, path: string): Promise<PathStat | undefined> {
  const answer: { readonly headers?: Readonly<Record<string, unknown>>; resume?(): void } | undefined = await container.infoArchive({ path }).catch(ignoring(404));
  answer?.resume?.();
  const stat = answer?.headers?.['x-docker-container-path-stat'];
  return typeof stat === 'string' ? (JSON.parse(Buffer.from(stat, 'base64').toString()) as PathStat) : undefined;
}

/** A file, by the path to it or through links. @returns undefined where there is none, or one that is too large to be what we look for */
export async function readFileOf(container: Docker.Container, path: string): Promise<ImageFile | undefined> {
  const named = await statPath(container, path);
  const isLink = named !== undefined && Math.floor(named.mode / SYMBOLIC_LINK) % 2 === 1;
  const target = isLink ? named.linkTarget : path;
  const stat = isLink && target !== undefined ? await statPath(container, target) : named;
  if (target === undefined || stat === undefined || (stat.mode & NO_FILE) !== 0 || stat.size > MOST_FILE_BYTES) return undefined;
  const entries = extract();
  const archive = await container.getArchive({ path: target });
  archive.on('error', (error) => entries.destroy(error)).pipe(entries);
  for await (const entry of entries) {
    const { mode, uid, gid, type } = entry.header;
    if (type !== 'file') return undefined;
    const chunks: Buffer[] = [];
    // What a tar's entry gives is bytes.
    for await (const chunk of entry) chunks.push(chunk as Buffer);
    return { path: target, content: Buffer.concat(chunks), mode, uid, gid };
  }
  return undefined;
}

/** Puts the files into it; folders that are missing are made for everybody to read. */
export async function writeFilesTo(container: Docker.Container, files: readonly ImageFile[]): Promise<void> {
  const folders = new Set<string>();
  for (const { path } of files) for (let at = dirname(path); at !== '/'; at = dirname(at)) folders.add(at);
  const stats = await Promise.all([...folders].map(async (path) => ({ path, stat: await statPath(container, path) })));
  const missing = stats.flatMap(({ path, stat }) => (stat === undefined ? [path] : []));
  const tar = pack();
  // Outer ones first: they are shorter.
  for (const path of missing.sort((a, b) => a.length - b.length)) tar.entry({ name: `${path.slice(1)}/`, type: 'directory', mode: 0o755 });
  for (const { path, content, mode, uid, gid } of files) tar.entry({ name: path.slice(1), mode, uid, gid }, content);
  tar.finalize();
  await container.putArchive(Readable.from(tar), { path: '/' });
}
