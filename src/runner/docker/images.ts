/**
 * Images: a local one first, then the user's mapping, then a pull with the user's credentials. It hides registries, archives and what the engine's
 * messages mean. Two that want the same image wait for one pull.
 */

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open, stat } from 'node:fs/promises';
import { createGunzip } from 'node:zlib';
import type Docker from 'dockerode';
import { extract } from 'tar-stream';
import { ImageError, type ResolvedImage } from '../driver.ts';
import { findCredentials } from './credentials.ts';
import type { Environment } from './endpoint.ts';
import { isStatus, reasonOf, statusOf } from './engine-calls.ts';

export interface ImagesOptions {
  readonly docker: Docker;
  readonly environment: Environment;
  /** Reference -> a local image, the path of an archive (`docker save`, OCI layout or a root file system, gzipped or not), or a mirror's reference. */
  readonly mapping: Readonly<Record<string, string>>;
  readonly log: { info(fields: object, message: string): void };
}

export interface Images {
  resolve(reference: string, signal: AbortSignal): Promise<ResolvedImage>;
  close(): void;
}

export function createImages(options: ImagesOptions): Images {
  const underWay = new Map<string, Promise<void>>();
  const stop = new AbortController();
  /** One at a time for each key, however many ask; a waiter may give up without ending it for the others. */
  const shared = (key: string, make: () => Promise<void>, signal: AbortSignal): Promise<void> => {
    const known = underWay.get(key) ?? make().finally(() => underWay.delete(key));
    underWay.set(key, known);
    known.catch(() => undefined);
    return abandonable(known, signal);
  };
  const resolve = async (reference: string, signal: AbortSignal): Promise<ResolvedImage> => {
    const local = await findLocal(options.docker, reference);
    if (local !== undefined) return describe(local, reference, 'local');
    const mapped = options.mapping[reference];
    if (mapped !== undefined) return resolveMapped(mapped, signal);
    await shared(reference, () => pull(options, reference, stop.signal), signal);
    return found(reference, reference, 'pulled');
  };
  const resolveMapped = async (target: string, signal: AbortSignal): Promise<ResolvedImage> => {
    if (isArchive(target)) {
      let name = '';
      await shared(target, async () => void (name = await loadArchive(options, target)), signal);
      // Whoever waited for another's load finds the image by the same name.
      return found(name === '' ? await archiveTag(target) : name, target, 'mapped');
    }
    const local = await findLocal(options.docker, target);
    if (local === undefined) await shared(target, () => pull(options, target, stop.signal), signal);
    return found(target, target, 'mapped');
  };
  const found = async (name: string, reference: string, source: ResolvedImage['source']): Promise<ResolvedImage> => {
    const image = await findLocal(options.docker, name);
    if (image === undefined) throw new ImageError('missing', `The engine took ${reference}, but does not have it now.`);
    return describe(image, reference, source);
  };
  return { resolve, close: () => stop.abort(new Error('The driver is being closed.')) };
}

async function findLocal(docker: Docker, reference: string): Promise<Docker.ImageInspectInfo | undefined> {
  // `NAME@DIGEST`, where the digest may be one that we answered for an image without a registry: then it is the image's id.
  const digest = /@(sha256:[0-9a-f]{64})$/.exec(reference)?.[1];
  for (const name of digest === undefined ? [reference] : [reference, digest]) {
    try {
      return await docker.getImage(name).inspect();
    } catch (error) {
      // 400: no reference that this engine understands.
      if (isStatus(error, 400)) throw new ImageError('missing', reasonOf(error), error);
      if (!isStatus(error, 404)) throw new ImageError('unavailable', reasonOf(error), error);
    }
  }
  return digest === undefined ? undefined : findByDigest(docker, digest);
}

/** An image that a mirror or another name brought: the engine finds a registry's digest under the name that it was pulled by alone. */
async function findByDigest(docker: Docker, digest: string): Promise<Docker.ImageInspectInfo | undefined> {
  const known = (await docker.listImages()).find((image) => image.RepoDigests?.some((entry) => entry.endsWith(`@${digest}`)));
  return known === undefined ? undefined : docker.getImage(known.Id).inspect();
}

function describe(image: Docker.ImageInspectInfo, reference: string, source: ResolvedImage['source']): ResolvedImage {
  const name = reference.replace(/@.*$/, '').replace(/:[^/:]*$/, '');
  const digests = (image.RepoDigests ?? []).map((entry) => entry.split('@'));
  const digest = digests.find(([repository]) => repository === name || repository === `docker.io/${name}` || repository === `docker.io/library/${name}`)?.[1];
  return { pinned: image.Id, digest: digest ?? image.Id, architecture: image.Architecture, os: image.Os, exposedPorts: Object.keys(image.Config?.ExposedPorts ?? {}), source };
}

async function pull({ docker, environment, log }: ImagesOptions, reference: string, signal: AbortSignal): Promise<void> {
  try {
    const authconfig = await findCredentials(environment, reference);
    log.info({ image: reference, credentials: authconfig !== undefined }, 'Pulling an image.');
    // The client splits tags itself in `pull`, wrongly for digests: the engine takes the whole reference.
    const tagged = reference.includes('@') || /:[^/]*$/.test(reference) ? reference : `${reference}:latest`;
    const stream = await docker.createImage(authconfig ?? {}, { fromImage: tagged, abortSignal: signal });
    await drain(stream);
  } catch (error) {
    throw error instanceof ImageError ? error : imageErrorOf(error);
  }
}

/** Reads progress until the end. @throws Error with the engine's words where it reports one: the status was 200 long before */
async function drain(stream: NodeJS.ReadableStream): Promise<string[]> {
  const told: string[] = [];
  let rest = '';
  for await (const chunk of stream) {
    const lines = (rest + String(chunk)).split('\n');
    rest = lines.pop() ?? '';
    for (const line of [...lines, ...(rest.endsWith('}') || rest.endsWith('}\r') ? [rest] : [])]) {
      if (line.trim() === '') continue;
      // The Engine API's JSONMessage.
      const message = parse(line) as { stream?: string; status?: string; error?: string } | undefined;
      if (message === undefined) continue;
      if (line === rest) rest = '';
      if (message.error !== undefined) throw Object.assign(new Error(message.error), { statusCode: 500 });
      told.push(message.stream ?? message.status ?? '');
    }
  }
  return told;
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    // Half a message: the rest comes with the next chunk.
    return undefined;
  }
}

/**
 * What the engine's words mean. An engine that does not answer is `unavailable` (try again later); a registry that cannot be reached is `missing`, since for
 * whoever deploys the image is not there, and the reason is in the message. Exported for its test.
 */
export function imageErrorOf(error: unknown): ImageError {
  const message = reasonOf(error);
  const status = statusOf(error);
  if (status === undefined) return new ImageError('unavailable', message, error);
  if (/not found|manifest unknown|does not exist|no such image|name unknown|invalid reference/i.test(message)) return new ImageError('missing', message, error);
  if (status === 401 || status === 403 || /unauthori[sz]ed|denied|forbidden|authentication required|no basic auth/i.test(message))
    return new ImageError('unauthorized', message, error);
  return new ImageError('missing', message, error);
}

function isArchive(target: string): boolean {
  return target.startsWith('/') || target.startsWith('./') || target.startsWith('../');
}

/** A tag that names the archive and its state, so that it is loaded once, also across restarts. */
async function archiveTag(path: string): Promise<string> {
  const { size, mtimeMs } = await stat(path);
  return `actas-archive:${createHash('sha256').update(`${path}\0${size}\0${mtimeMs}`).digest('hex').slice(0, 16)}`;
}

async function loadArchive({ docker, log }: ImagesOptions, path: string): Promise<string> {
  const tag = await archiveTag(path).catch((error: unknown) => {
    throw new ImageError('missing', `The archive ${path} cannot be read: ${error instanceof Error ? error.message : String(error)}`, error);
  });
  if ((await findLocal(docker, tag)) !== undefined) return tag;
  log.info({ archive: path }, 'Loading an image from an archive.');
  try {
    if (!(await isSavedImage(path))) {
      // The tag is part of `repo`: Podman overlooks the parameter of its own that Docker has for it.
      await drain(await docker.importImage(path, { repo: tag }));
      return tag;
    }
    const told = await drain(await docker.loadImage(path));
    const name = /Loaded image(?: ID)?: (\S+)/.exec(told.join('\n'))?.[1];
    if (name === undefined) throw new ImageError('missing', `The engine did not say which image it loaded from ${path}: ${told.join(' ')}`);
    const [repo = '', version = ''] = tag.split(':');
    await docker.getImage(name).tag({ repo, tag: version });
    return tag;
  } catch (error) {
    throw error instanceof ImageError ? error : imageErrorOf(error);
  }
}

/** Whether the archive is an image (`docker save`, OCI layout) rather than a root file system. */
async function isSavedImage(path: string): Promise<boolean> {
  const head = Buffer.alloc(2);
  const file = await open(path);
  try {
    await file.read(head, 0, 2, 0);
  } finally {
    await file.close();
  }
  const bytes = createReadStream(path);
  const entries = extract();
  const gzipped = head[0] === 0x1f && head[1] === 0x8b;
  const unzipped = gzipped ? bytes.pipe(createGunzip()) : bytes;
  bytes.on('error', (error) => entries.destroy(error));
  if (unzipped !== bytes) unzipped.on('error', (error) => entries.destroy(error));
  unzipped.pipe(entries);
  try {
    for await (const entry of entries) {
      if (/^(\.\/)?(manifest\.json|oci-layout)$/.test(entry.header.name)) return true;
      entry.resume();
    }
    return false;
  } finally {
    bytes.destroy();
  }
}

/** The promise's outcome, or the signal's reason if that comes first. */
function abandonable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  signal.throwIfAborted();
  return new Promise((resolve, reject) => {
    const aborted = () => reject(signal.reason instanceof Error ? signal.reason : new Error('aborted'));
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}
