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

export function addVolumeFlags(command: CliCommand): CliCommand {
  return command
    .addOption(
      new Option(
        '--add-volume <volume>',
        'a volume: name=NAME,type=in-memory[,size-limit=64Mi]; type=cloud-storage,bucket=B[,readonly=true][,mount-options=a;b]; type=nfs,location=SERVER:/PATH[,readonly=true]; ' +
          'type=secret,secret=S,version=V,path=FILE; type=cloudsql,instances=P:R:I;...; may be repeated',
      ).argParser(collectVolume),
    )
    .addOption(new Option('--remove-volume <names>', 'removes these volumes and their mounts').argParser(collectList))
    .addOption(new Option('--clear-volumes', 'removes all volumes and mounts'));
}

/** As `addVolumeFlags`, of one container. */
export function mountOptions(): Option[] {
  return [
    new Option('--add-volume-mount <mount>', 'where a volume appears: volume=NAME,mount-path=/PATH; may be repeated').argParser(collectMount),
    new Option('--remove-volume-mount <paths>', 'removes the mounts at these paths').argParser(collectList),
    new Option('--clear-volume-mounts', 'removes all mounts of the container'),
  ];
}

/** Takes volumes away, in place. Their mounts stay until `dropMounts`, for a volume of the same name may come. */
export function removeVolumes(task: TaskTemplate, { removeVolume = [], clearVolumes }: VolumeFlags): void {
  if (task.volumes !== undefined) task.volumes = clearVolumes === true ? [] : task.volumes.filter(({ name = '' }) => !removeVolume.includes(name));
}

/** Adds volumes in place; the same name replaces. */
export function addVolumes(task: TaskTemplate, { addVolume = [] }: VolumeFlags): void {
  for (const volume of addVolume) {
    const volumes = (task.volumes ??= []);
    const at = volumes.findIndex(({ name }) => name === volume.name);
    if (at === -1) volumes.push(volume);
    else volumes[at] = volume;
  }
}

/**
 * Takes the mounts of volumes that went out of all containers.
 * Deviation: gcloud leaves them in the job, which the server then refuses.
 * @param before the names of the volumes that there were
 */
export function dropMounts(task: TaskTemplate, before: readonly (string | undefined)[]): void {
  const gone = new Set(before.filter((name) => !(task.volumes ?? []).some((volume) => volume.name === name)));
  for (const container of task.containers ?? []) if (container.volumeMounts !== undefined) container.volumeMounts = container.volumeMounts.filter((mount) => !gone.has(mount.name));
}

/** Takes a container's mounts away, in place. */
export function removeMounts(container: Container, { removeVolumeMount = [], clearVolumeMounts }: MountFlags): void {
  if (container.volumeMounts === undefined) return;
  container.volumeMounts = clearVolumeMounts === true ? [] : container.volumeMounts.filter(({ mountPath = '' }) => !removeVolumeMount.includes(mountPath));
}

/** Adds mounts to a container in place; the same path replaces. @param task with its volumes as they will be @throws failure */
export function addMounts(task: TaskTemplate, container: Container, { addVolumeMount = [] }: MountFlags): void {
  for (const mount of addVolumeMount) {
    if (!(task.volumes ?? []).some(({ name }) => name === mount.name))
      throw failure(`There is no volume [${mount.name ?? ''}] to mount.`, `Add it:  --add-volume=name=${mount.name ?? 'NAME'},type=in-memory`);
    const mounts = (container.volumeMounts ??= []);
    const at = mounts.findIndex(({ mountPath }) => mountPath === mount.mountPath);
    if (at === -1) mounts.push(mount);
    else mounts[at] = mount;
  }
}

function collectVolume(text: string, previous: readonly Volume[] | undefined): readonly Volume[] {
  const pairs = collectPairs(text, undefined);
  const name = pairs.get('name') ?? '';
  if (name === '') throw new InvalidArgumentError('A volume needs a name: name=NAME,type=in-memory');
  const type = VOLUME_TYPES[pairs.get('type') ?? ''];
  if (type === undefined) throw new InvalidArgumentError(`type=${pairs.get('type') ?? ''} is not supported. Known: ${Object.keys(VOLUME_TYPES).join(', ')}.`);
  const given = keysOf(text, ['name', 'type', ...type.needs, ...type.takes]);
  for (const key of type.needs) if ((given[key] ?? '') === '') throw new InvalidArgumentError(`A volume of type ${pairs.get('type') ?? ''} needs ${key}=...`);
  return [...(previous ?? []), { name, ...type.make(given) }];
}

interface VolumeType {
  readonly needs: readonly string[];
  readonly takes: readonly string[];
  readonly make: (given: Readonly<Record<string, string>>) => Volume;
}

const isTrue = (text: string | undefined): { readOnly: true } | object => (text?.toLowerCase() === 'true' ? { readOnly: true } : {});

/** Source: command_lib/run/volumes.py of gcloud 528, of all its release tracks. */
const VOLUME_TYPES: Readonly<Record<string, VolumeType>> = {
  'in-memory': {
    needs: [],
    takes: ['size-limit'],
    make: ({ 'size-limit': sizeLimit }) => ({ emptyDir: { medium: 'MEMORY', ...(sizeLimit === undefined ? {} : { sizeLimit }) } }),
  },
  'cloud-storage': {
    needs: [],
    takes: ['bucket', 'readonly', 'mount-options', 'dynamic-mounting'],
    make: ({ bucket, readonly, 'mount-options': options, 'dynamic-mounting': dynamic }) => {
      const isDynamic = dynamic?.toLowerCase() === 'true';
      if (isDynamic === (bucket !== undefined)) throw new InvalidArgumentError('A volume of type cloud-storage needs one of bucket=BUCKET and dynamic-mounting=true.');
      return { gcs: { bucket: bucket ?? '_', ...isTrue(readonly), ...(options === undefined ? {} : { mountOptions: options.split(';') }) } };
    },
  },
  nfs: {
    needs: ['location'],
    takes: ['readonly'],
    make: ({ location = '', readonly }) => {
      const at = location.indexOf(':/');
      if (at === -1) throw new InvalidArgumentError(`location=${location} is not SERVER:/PATH.`);
      return { nfs: { server: location.slice(0, at), path: location.slice(at + 1), ...isTrue(readonly) } };
    },
  },
  secret: { needs: ['secret', 'version', 'path'], takes: [], make: ({ secret = '', version = '', path = '' }) => ({ secret: { secret, items: [{ path, version }] } }) },
  cloudsql: {
    needs: ['instances'],
    takes: [],
    make: ({ instances = '' }) => {
      const all = instances.split(';').map((instance) => instance.trim());
      const wrong = all.find((instance) => instance.split(':').length !== 3);
      if (wrong !== undefined) throw new InvalidArgumentError(`instances=${wrong} is not PROJECT:REGION:INSTANCE.`);
      return { cloudSqlInstance: { instances: all } };
    },
  },
};

function collectMount(text: string, previous: readonly VolumeMount[] | undefined): readonly VolumeMount[] {
  const { volume = '', 'mount-path': mountPath = '' } = keysOf(text, ['volume', 'mount-path']);
  if (volume === '' || mountPath === '') throw new InvalidArgumentError('A mount needs both: volume=NAME,mount-path=/PATH');
  return [...(previous ?? []), { name: volume, mountPath }];
}

/** @throws InvalidArgumentError for a key that is not known */
function keysOf(text: string, known: readonly string[]): Readonly<Record<string, string>> {
  const pairs = collectPairs(text, undefined);
  for (const key of pairs.keys()) if (!known.includes(key)) throw new InvalidArgumentError(`'${key}' is not supported. Known: ${known.join(', ')}.`);
  return Object.fromEntries(pairs);
}
