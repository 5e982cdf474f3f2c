/**
 * Mounts of a part of a volume (`subPath`), without the engine's help: many engines mount whole volumes only, and a path into a volume's folder on
 * the host would let one container lead another's mount out of it by a symbolic link. So each part that some container asks for is a volume of its
 * own, and is mounted again inside every mount of what contains it: all see the same files at the same places. Pure.
 *
 * Deviation: a directory that a container's `subPath` names can be neither renamed nor removed by the others, and a size limit holds for it by itself.
 */
import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import type { AttemptSpec, ContainerSpec, VolumeSpec } from '../driver.ts';

/** One volume on the engine. */
export interface VolumePart {
  /** Tells it from the attempt's others, `[a-z0-9.-]+`. */
  readonly name: string;
  readonly volume: VolumeSpec;
}

export interface PartMount extends VolumePart {
  readonly path: string;
}

type Mounts = Pick<AttemptSpec, 'containers' | 'volumes'>;

/** The volumes that an attempt needs on the engine. */
export function volumeParts(attempt: Mounts): readonly VolumePart[] {
  return attempt.volumes.flatMap((volume) => pathsWithin(attempt, volume).map((within) => ({ name: partName(volume, within), volume })));
}

/** What one container mounts, each outer mount before those inside it. */
export function partMounts(attempt: Mounts, container: Pick<ContainerSpec, 'mounts'>): readonly PartMount[] {
  const found = new Map<string, PartMount>();
  const add = (volume: VolumeSpec, within: string, path: string) => {
    if (!found.has(path)) found.set(path, { name: partName(volume, within), volume, path });
  };
  const mounted = container.mounts.flatMap((mount) => {
    const volume = attempt.volumes.find((candidate) => candidate.name === mount.volume);
    return volume === undefined ? [] : [{ volume, within: normalized(mount.subPath), path: posix.normalize(mount.path).replace(/(?<=.)\/$/, '') }];
  });
  // What the container names itself comes before what lies inside another mount of it.
  for (const { volume, within, path } of mounted) add(volume, within, path);
  for (const { volume, within, path } of mounted)
    for (const inner of pathsWithin(attempt, volume))
      if (inner !== within && (within === '' || inner.startsWith(`${within}/`))) add(volume, inner, posix.join(path, inner.slice(within.length)));
  return [...found.values()].sort((a, b) => a.path.split('/').length - b.path.split('/').length);
}

/** The whole (the empty path) and every part of it that some container names. */
function pathsWithin(attempt: Mounts, volume: VolumeSpec): readonly string[] {
  const named = attempt.containers.flatMap((container) => container.mounts.filter((mount) => mount.volume === volume.name).map((mount) => normalized(mount.subPath)));
  return [...new Set(['', ...named])];
}

function normalized(subPath = ''): string {
  return posix
    .normalize(`/${subPath}`)
    .split('/')
    .filter((segment) => segment !== '')
    .join('/');
}

/** A volume's name is a DNS label, so it has no dot. */
function partName(volume: VolumeSpec, within: string): string {
  return within === '' ? volume.name : `${volume.name}.${createHash('sha256').update(within).digest('hex').slice(0, 8)}`;
}
