/** An attempt in the engine's words. Pure. */
import type Dockerode from 'dockerode';
import type { AttemptSpec, ContainerSpec } from '../driver.ts';
import { containerName, LABEL_ATTEMPT, LABEL_CONTAINER, LABEL_OWNER, LABEL_PLAN, networkName, sandboxName, volumeName } from './labels.ts';
import { PAUSE_IMAGE } from './pause-image.ts';
import type { Ulimit } from './podman.ts';
import { fileMounts } from './secret-files.ts';
import { type PartMount, partMounts, type VolumePart, volumeParts } from './volume-parts.ts';

export interface Naming {
  readonly dataDirId: string;
  readonly scope: string;
  /** Where files in memory are; absent where this machine has no such place. */
  readonly filesRoot?: string | undefined;
}

/** What the loop asks for, less what only a start needs: kept on the sandbox, so that an interrupted start can be gone on with. */
export type Plan = Pick<AttemptSpec, 'id' | 'labels' | 'containers' | 'volumes' | 'files'>;

/** Hosts that the network adds to every attempt: the metadata server's names, for example. */
export type Hosts = readonly { readonly name: string; readonly address: string }[];

/** What the network gives every attempt. */
export interface Surroundings {
  readonly hosts: Hosts;
  /** Asked for names by attempts that Google's are to lead here; others ask whom the engine says. */
  readonly nameServer?: string;
}

/**
 * Docker's own default set less NET_RAW (forged packets, ARP spoofing between tasks), MKNOD, AUDIT_WRITE and SETFCAP: enough for programs that start as
 * root, own their files and drop to another user, as they do on Cloud Run.
 */
const CAPABILITIES = ['CHOWN', 'DAC_OVERRIDE', 'FOWNER', 'FSETID', 'KILL', 'NET_BIND_SERVICE', 'SETGID', 'SETPCAP', 'SETUID', 'SYS_CHROOT'];
/** A fork bomb ends here, not on the host. Cloud Run states no such limit; programs with this many threads are not known. */
const PIDS = 16_384;
const PAGE_BYTES = 4096;

/** The kind of engine, as far as containers are made in another way for it. */
export interface Flavour {
  readonly podman: boolean;
  /** Limits to name where the engine's own choice would not do. */
  readonly ulimits: readonly Ulimit[];
}

/** Limits that are the same for all containers of ours. */
function common({ podman, ulimits }: Flavour): Dockerode.HostConfig {
  return {
    AutoRemove: false,
    RestartPolicy: { Name: 'no' },
    CapDrop: ['ALL'],
    CapAdd: CAPABILITIES,
    SecurityOpt: ['no-new-privileges'],
    // Cloud Run gives the container's own program process id 1, with what that means for signals.
    Init: false,
    PublishAllPorts: false,
    // No rotation, even where the engine's own configuration asks for it: rotation drops lines that nobody has read yet. The file goes
    // with the container, which is removed once its output is kept. Podman knows the driver by another name, and keeps everything by default.
    ...(ulimits.length === 0 ? {} : { Ulimits: [...ulimits] }),
    ...(podman ? {} : { LogConfig: { Type: 'json-file', Config: { 'max-size': '1000t', 'max-file': '1', compress: 'false' } } }),
  };
}

/** The network of an attempt: on its only container, or on its sandbox. */
function networking(
  naming: Naming,
  attempt: Pick<AttemptSpec, 'address' | 'hosts' | 'containers' | 'interceptGoogle'>,
  { hosts, nameServer }: Surroundings,
): { host: Dockerode.HostConfig; config?: Dockerode.ContainerCreateOptions['NetworkingConfig'] } {
  const name = networkName(naming.scope);
  const names = [...hosts, ...attempt.hosts, ...attempt.containers.map((container) => ({ name: container.name, address: '127.0.0.1' }))];
  return {
    host: {
      NetworkMode: name,
      ExtraHosts: names.map((entry) => `${entry.name}:${entry.address === 'host.docker.internal' ? 'host-gateway' : entry.address}`),
      ...(attempt.interceptGoogle && nameServer !== undefined ? { Dns: [nameServer] } : {}),
    },
    ...(attempt.address === undefined ? {} : { config: { EndpointsConfig: { [name]: { IPAMConfig: { IPv4Address: attempt.address } } } } }),
  };
}

/** The only container of an attempt. */
export function singleOptions(naming: Naming, attempt: AttemptSpec, container: ContainerSpec, surroundings: Surroundings, flavour: Flavour): Dockerode.ContainerCreateOptions {
  const network = networking(naming, attempt, surroundings);
  return withNetwork(containerOptions(naming, attempt, container, containerName(naming.scope, attempt.id), network.host, flavour), network.config);
}

/** One of several containers of an attempt, in its sandbox's network. */
export function memberOptions(naming: Naming, plan: Plan, container: ContainerSpec, flavour: Flavour): Dockerode.ContainerCreateOptions {
  return containerOptions(
    naming,
    plan,
    container,
    containerName(naming.scope, plan.id, container.name),
    { NetworkMode: `container:${sandboxName(naming.scope, plan.id)}` },
    flavour,
  );
}

/** The container that holds the attempt's network, and its volumes in memory, which would be emptied when nobody has them mounted. */
export function sandboxOptions(naming: Naming, attempt: AttemptSpec, surroundings: Surroundings, flavour: Flavour): Dockerode.ContainerCreateOptions {
  const network = networking(naming, attempt, surroundings);
  const plan: Plan = {
    id: attempt.id,
    labels: attempt.labels,
    containers: attempt.containers,
    volumes: attempt.volumes,
    ...(attempt.files === undefined ? {} : { files: attempt.files }),
  };
  return withNetwork(
    {
      name: sandboxName(naming.scope, attempt.id),
      Image: PAUSE_IMAGE,
      Labels: { ...peopleLabels(attempt.labels), [LABEL_OWNER]: naming.dataDirId, [LABEL_ATTEMPT]: attempt.id, [LABEL_PLAN]: JSON.stringify(plan) },
      HostConfig: { ...common(flavour), ...network.host, CapAdd: [], Mounts: sandboxMounts(attempt).map(({ name, path }) => mount(naming, attempt.id, name, path)) },
    },
    network.config,
  );
}

/** The sandbox holds all volumes, so that those in memory keep what is in them from the first container to the last. */
export function sandboxMounts(attempt: Pick<AttemptSpec, 'containers' | 'volumes'>): readonly PartMount[] {
  return volumeParts(attempt).map((part) => ({ ...part, path: `/volumes/${part.name}` }));
}

export function volumeOptions(naming: Naming, attempt: AttemptSpec, { name, volume }: VolumePart, { podman }: Flavour): Dockerode.VolumeCreateOptions {
  // Podman takes `size` for a quota of the disk, and refuses it; the kernel takes a number of pages as well (tmpfs(5)), which are of 4 KiB nearly everywhere.
  const limit = podman ? `nr_blocks=${Math.ceil((volume.sizeBytes ?? 0) / PAGE_BYTES)}` : `size=${volume.sizeBytes}`;
  const size = volume.sizeBytes === undefined ? '' : `,${limit}`;
  return {
    Name: volumeName(naming.scope, attempt.id, name),
    Labels: { [LABEL_OWNER]: naming.dataDirId, [LABEL_ATTEMPT]: attempt.id },
    ...(volume.medium === 'memory' ? { Driver: 'local', DriverOpts: { type: 'tmpfs', device: 'tmpfs', o: `mode=1777${size}` } } : {}),
  };
}

function containerOptions(
  naming: Naming,
  attempt: Plan,
  container: ContainerSpec,
  name: string,
  network: Dockerode.HostConfig,
  flavour: Flavour,
): Dockerode.ContainerCreateOptions {
  return {
    name,
    Image: container.image,
    ...(container.command.length === 0 ? {} : { Entrypoint: [...container.command] }),
    ...(container.args.length === 0 ? {} : { Cmd: [...container.args] }),
    ...(container.workingDir === undefined || container.workingDir === '' ? {} : { WorkingDir: container.workingDir }),
    Env: container.env.map((variable) => `${variable.name}=${variable.value}`),
    Labels: { ...peopleLabels(attempt.labels), [LABEL_OWNER]: naming.dataDirId, [LABEL_ATTEMPT]: attempt.id, [LABEL_CONTAINER]: container.name },
    // The image's own would run programs in the container behind the job's back; Cloud Run ignores it.
    Healthcheck: { Test: ['NONE'] },
    StopSignal: 'SIGTERM',
    HostConfig: {
      ...common(flavour),
      ...network,
      PidsLimit: PIDS,
      ...(container.cpuMillis > 0 ? { NanoCpus: container.cpuMillis * 1_000_000 } : {}),
      // Swap equal to memory means none beside it: a task that needs more is ended, as on Cloud Run.
      ...(container.memoryBytes > 0 ? { Memory: container.memoryBytes, MemorySwap: container.memoryBytes } : {}),
      Mounts: [...partMounts(attempt, container).map((entry) => mount(naming, attempt.id, entry.name, entry.path)), ...fileMounts(naming.filesRoot, attempt, container)],
    },
  };
}

/** NoCopy: an emptyDir begins empty, even where the image has files at its path. */
function mount(naming: Naming, attempt: string, volume: string, path: string): Dockerode.MountSettings {
  return { Type: 'volume', Source: volumeName(naming.scope, attempt, volume), Target: path, VolumeOptions: { NoCopy: true, Labels: {}, DriverConfig: { Name: '', Options: {} } } };
}

function peopleLabels(labels: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [`actas.${key}`, value]));
}

function withNetwork(options: Dockerode.ContainerCreateOptions, config: Dockerode.ContainerCreateOptions['NetworkingConfig']): Dockerode.ContainerCreateOptions {
  return config === undefined ? options : { ...options, NetworkingConfig: config };
}
