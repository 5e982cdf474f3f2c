/**
 * Images whose programs trust the front door's authority: an image with one layer more, in which the files of trust-files.ts are extended. Made once for each
 * image and authority, found again after a restart, and used in the image's place where an attempt is to find Google's names here. It hides how
 * files get into and out of an image without a program in it being run.
 *
 * A layer and no mounts: it costs an attempt nothing, it works on an engine elsewhere, it leaves the program free to change its own trust, and no path of
 * this machine is seen in a container. See docs/decisions/0013-google-names-in-tasks.md.
 * Deviation: a task finds one authority more among those that it trusts, and variables that name it (`NODE_EXTRA_CA_CERTS`, `SSL_CERT_FILE`, ...).
 */
import { createHash } from 'node:crypto';
import type Docker from 'dockerode';
import type { Naming } from './container-options.ts';
import { createContainer, ignoring, reasonOf, removeContainer } from './engine-calls.ts';
import { readFileOf, writeFilesTo } from './image-files.ts';
import { LABEL_TRUST, LABEL_TRUST_OF, LABEL_TRUST_OWNER, trustName } from './labels.ts';
import { extendTrust, type ImageFile, trustPaths } from './trust-files.ts';

export interface TrustImages {
  /** @param image the id of an image that the engine has @returns the id of the one to use in its place @throws where it cannot be made */
  of(image: string): Promise<string>;
  /** @param lost one of these that the engine does not have any more @returns one in its place; undefined for an image that is none of these */
  renew(lost: string): Promise<string | undefined>;
  /** Removes all of them, in use or not as far as the engine lets it. */
  remove(): Promise<void>;
}

export interface TrustImagesOptions {
  readonly docker: Docker;
  readonly naming: Naming;
  /** PEM. */
  readonly authority: () => Promise<string>;
  readonly log: { info(fields: object, message: string): void; warn(fields: object, message: string): void };
}

/** Counts the ways in which they have been made. */
const LAYOUT = 1;
/** How long one of an image that nobody can name any more is kept after its last use. */
const UNNAMED_MS = 3_600_000;

export function createTrustImages(options: TrustImagesOptions): TrustImages {
  const { docker, naming, log } = options;
  const filters = { label: [`${LABEL_TRUST_OWNER}=${naming.dataDirId}`] };
  /** By the image that each stands for. */
  const made = new Map<string, { readonly making: Promise<string>; usedAt: number }>();
  let earlier: Promise<Earlier> | undefined;

  /** Without what they were made of, which is not ours to remove. 409: a container is of it. */
  const discard = async (images: readonly Docker.ImageInfo[]) => {
    for (const { Id } of images) await docker.getImage(Id).remove({ noprune: true }).catch(ignoring(404, 409));
  };
  /** What an earlier run made. */
  const findEarlier = async (): Promise<Earlier> => {
    const authority = await options.authority();
    const version = createHash('sha256').update(`${LAYOUT}\n${authority}`).digest('hex').slice(0, 16);
    const containers = await docker.listContainers({ all: true, filters });
    // What a crash left half done; an image's containers inherit its labels, so these are known by their names.
    for (const { Id, Names } of containers) if (Names.some((name) => name.startsWith(`/${trustName(naming.scope, '')}`))) await removeContainer(docker, Id);
    const listed = await docker.listImages({ filters });
    const current = listed.filter(({ Labels }) => Labels[LABEL_TRUST] === version);
    await discard(listed.filter((image) => !current.includes(image)));
    return { authority, version, images: new Map(current.map(({ Id, Labels }) => [Labels[LABEL_TRUST_OF] ?? '', Id])) };
  };
  /** Of images that were built anew under the same name, say. */
  const sweep = async () => {
    const all = await docker.listImages();
    const named = new Set(
      all.filter(({ RepoTags: tags, RepoDigests: digests }) => [...(tags ?? []), ...(digests ?? [])].some((name) => !name.startsWith('<none>'))).map(({ Id }) => Id),
    );
    const stale = (await docker.listImages({ filters })).filter(({ Labels }) => {
      const base = Labels[LABEL_TRUST_OF] ?? '';
      return !named.has(base) && (made.get(base)?.usedAt ?? 0) < Date.now() - UNNAMED_MS;
    });
    for (const { Labels } of stale) made.delete(Labels[LABEL_TRUST_OF] ?? '');
    await discard(stale);
  };
  const make = async (image: string): Promise<string> => {
    earlier ??= findEarlier();
    earlier.catch(() => (earlier = undefined));
    const { authority, version, images } = await earlier;
    const found = images.get(image);
    // Once: should the engine have lost it meanwhile, another one is made.
    images.delete(image);
    if (found !== undefined) return found;
    const id = await derive(options, image, authority, { [LABEL_TRUST_OWNER]: naming.dataDirId, [LABEL_TRUST_OF]: image, [LABEL_TRUST]: version });
    sweep().catch((error: unknown) => log.warn({ reason: reasonOf(error) }, 'Images that were made for tasks and are not needed any more could not be removed.'));
    return id;
  };
  const of = (image: string): Promise<string> => {
    const known = made.get(image) ?? { making: make(image), usedAt: 0 };
    known.usedAt = Date.now();
    made.set(image, known);
    // Tried again by the next attempt.
    known.making.catch(() => made.delete(image));
    return known.making;
  };
  return {
    of,
    async renew(lost) {
      for (const [image, { making }] of made) {
        if ((await making.catch(() => undefined)) !== lost) continue;
        made.delete(image);
        return of(image);
      }
      return undefined;
    },
    async remove() {
      made.clear();
      earlier = undefined;
      await discard(await docker.listImages({ filters }));
    },
  };
}

interface Earlier {
  readonly authority: string;
  readonly version: string;
  readonly images: Map<string, string>;
}

/** What an image without a command of its own is given, since the engine makes no container without one. Seen where the job names none either. */
const NO_COMMAND = 'no command specified';

/** @returns the new image's id */
async function derive({ docker, naming, log }: TrustImagesOptions, image: string, authority: string, labels: Readonly<Record<string, string>>): Promise<string> {
  const begun = performance.now();
  const { Config: config } = await docker.getImage(image).inspect();
  const imageEnv: readonly string[] = config.Env ?? [];
  const isSilent = (config.Entrypoint ?? []).length === 0 && (config.Cmd ?? []).length === 0;
  const name = trustName(naming.scope, image);
  // One that a crash left may be half done.
  await removeContainer(docker, name);
  const container = await createContainer(docker, {
    name,
    Image: image,
    ...(isSilent ? { Cmd: [NO_COMMAND] } : {}),
    Labels: { ...labels },
    HostConfig: { NetworkMode: 'none' },
  });
  try {
    const paths = trustPaths(imageEnv);
    const read = await Promise.all(paths.map(async (path) => [path, await readFileOf(container, path)] as const));
    const found = new Map(read.filter((entry): entry is readonly [string, ImageFile] => entry[1] !== undefined));
    const { files, env, obstacles } = extendTrust(found, imageEnv, authority, Date.now());
    await writeFilesTo(container, files);
    const { Id: id }: { readonly Id: string } = await container.commit({ pause: false, changes: env.map((entry) => `ENV ${entry}`).join('\n') });
    const about = { image, files: files.map(({ path }) => path), milliseconds: Math.round(performance.now() - begun) };
    log.info(about, "An image was given the front door's authority for tasks.");
    if (obstacles.length > 0) log.warn({ image, obstacles }, "Some programs of an image will not trust the front door's authority.");
    return id.startsWith('sha256:') ? id : `sha256:${id}`;
  } finally {
    await removeContainer(docker, name);
  }
}
