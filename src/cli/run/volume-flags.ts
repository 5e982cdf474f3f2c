/** The flags about volumes: `--add-volume=name=scratch,type=in-memory,size-limit=64Mi --add-volume-mount=volume=scratch,mount-path=/scratch`. */
import { InvalidArgumentError, Option } from 'commander';
import type { CliCommand } from '../command.ts';
import { failure } from '../failure.ts';
import { collectList, collectPairs } from '../values.ts';
import type { Container, TaskTemplate, Volume, VolumeMount } from './shapes.ts';

export interface VolumeFlags {
  readonly addVolume?: readonly Volume[];
  readonly removeVolume?: readonly string[];
  readonly clearVolumes?: boolean;
}

/** Of one container. */
export interface MountFlags {
  readonly addVolumeMount?: readonly VolumeMount[];
  /** By path. */
  readonly removeVolumeMount?: readonly string[];
  readonly clearVolumeMounts?: boolean;
}

/** @param changes whether the job may exist already, so that there may be something to remove */
export function addVolumeFlags(command: CliCommand, changes: boolean): CliCommand {
  command.addOption(new Option('--add-volume <volume>', 'a volume in memory: name=NAME,type=in-memory[,size-limit=64Mi]; may be repeated').argParser(collectVolume));
  if (changes)
    command
      .addOption(new Option('--remove-volume <names>', 'removes these volumes and their mounts').argParser(collectList))
      .addOption(new Option('--clear-volumes', 'removes all volumes and mounts'));
  return command;
}

/** As `addVolumeFlags`, of one container. */
export function mountOptions(changes: boolean): Option[] {
  return [
    new Option('--add-volume-mount <mount>', 'where a volume appears: volume=NAME,mount-path=/PATH; may be repeated').argParser(collectMount),
    ...(changes
      ? [
          new Option('--remove-volume-mount <paths>', 'removes the mounts at these paths').argParser(collectList),
          new Option('--clear-volume-mounts', 'removes all mounts of the container'),
        ]
      : []),
  ];
}

/** Changes the task's volumes in place: first what goes, with its mounts in all containers, then what comes; the same name replaces. */
export function applyVolumeFlags(task: TaskTemplate, flags: VolumeFlags): void {
  const { addVolume = [] } = flags;
  const gone = new Set([...(flags.clearVolumes === true ? (task.volumes ?? []).map((volume) => volume.name) : []), ...(flags.removeVolume ?? [])]);
  const replaced = new Set(addVolume.map((volume) => volume.name));
  const volumes = [...(task.volumes ?? []).filter(({ name }) => !gone.has(name) && !replaced.has(name)), ...addVolume];
  if (volumes.length > 0 || task.volumes !== undefined) task.volumes = volumes;
  for (const container of task.containers ?? []) if (container.volumeMounts !== undefined) container.volumeMounts = container.volumeMounts.filter((mount) => !gone.has(mount.name));
}

/** Changes a container's mounts in place; the same path replaces. @param task with its volumes as they will be */
export function applyMountFlags(task: TaskTemplate, container: Container, flags: MountFlags): void {
  const { addVolumeMount = [] } = flags;
  const paths = new Set([...(flags.removeVolumeMount ?? []), ...addVolumeMount.map((mount) => mount.mountPath)]);
  const kept = flags.clearVolumeMounts === true ? [] : (container.volumeMounts ?? []).filter((mount) => !paths.has(mount.mountPath));
  for (const { name } of addVolumeMount)
    if (!(task.volumes ?? []).some((volume) => volume.name === name))
      throw failure(`There is no volume [${name ?? ''}] to mount.`, `Add it:  --add-volume=name=${name ?? 'NAME'},type=in-memory`);
  if (kept.length + addVolumeMount.length > 0 || container.volumeMounts !== undefined) container.volumeMounts = [...kept, ...addVolumeMount];
}

function collectVolume(text: string, previous: readonly Volume[] | undefined): readonly Volume[] {
  const { name = '', type = '', 'size-limit': sizeLimit } = keysOf(text, ['name', 'type', 'size-limit']);
  if (name === '') throw new InvalidArgumentError('A volume needs a name: name=NAME,type=in-memory');
  if (type !== 'in-memory') throw new InvalidArgumentError(`type=${type} is not supported, only type=in-memory.`);
  return [...(previous ?? []), { name, emptyDir: { medium: 'MEMORY', ...(sizeLimit === undefined ? {} : { sizeLimit }) } }];
}

function collectMount(text: string, previous: readonly VolumeMount[] | undefined): readonly VolumeMount[] {
  const { volume = '', 'mount-path': mountPath = '' } = keysOf(text, ['volume', 'mount-path']);
  if (volume === '' || mountPath === '') throw new InvalidArgumentError('A mount needs both: volume=NAME,mount-path=/PATH');
  return [...(previous ?? []), { name: volume, mountPath }];
}

function keysOf<K extends string>(text: string, known: readonly K[]): { readonly [key in K]?: string } {
  const pairs = collectPairs(text, undefined);
  for (const key of pairs.keys()) if (!known.some((name) => name === key)) throw new InvalidArgumentError(`'${key}' is not supported. Known: ${known.join(', ')}.`);
  const found: { [key in K]?: string } = {};
  for (const key of known) {
    const value = pairs.get(key);
    if (value !== undefined) found[key] = value;
  }
  return found;
}
