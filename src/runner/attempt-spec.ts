/** From an execution's template to what the driver starts. */
import { type Probe as ApiProbe, type Container, EmptyDirVolumeSource_Medium, type Volume } from '../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { TaskTemplate } from '../gen/google/cloud/run/v2/task_template_pb.js';
import { parseBytes } from '../quantity.ts';
import { lastId } from '../resource-name.ts';
import { attemptId } from './attempt-id.ts';
import type { AttemptSpec, ContainerSpec, Probe, TaskNetwork, VolumeSpec } from './driver.ts';
import { interceptsGoogle } from './intercept-google.ts';
import type { Resources } from './resources.ts';
import { containerName } from './unserved.ts';

/** What all attempts of an execution share. */
export interface Blueprint {
  readonly job: string;
  readonly execution: string;
  readonly taskCount: number;
  readonly template: TaskTemplate;
  /** What the driver takes for each container's image, and what each gets. */
  readonly images: readonly string[];
  readonly resources: readonly Resources[];
}

/** How a container finds us. */
export interface Surroundings {
  readonly network: TaskNetwork | undefined;
  /** URL of the API for containers. */
  readonly apiUrl: string | undefined;
  /** Port of the metadata server where it is told apart by host name. */
  readonly metadataPort: number | undefined;
  /** E-mails of accounts whose tasks reach the real Google. */
  readonly realAccounts: ReadonlySet<string>;
}

/** `169.254.169.254` on every Google machine. */
const METADATA_ADDRESS = '169.254.169.254';

/** @param task.address the leased address or host name */
export function buildAttemptSpec(
  blueprint: Blueprint,
  task: { readonly uid: string; readonly index: number; readonly attempt: number; readonly address?: string },
  surroundings: Surroundings,
): AttemptSpec {
  const { template, job, execution } = blueprint;
  const { network } = surroundings;
  const hosts =
    network === undefined || task.address === undefined
      ? []
      : network.kind === 'address'
        ? ['metadata.google.internal', 'metadata'].map((name) => ({ name, address: METADATA_ADDRESS }))
        : [{ name: task.address, address: network.reachableAt }];
  return {
    id: attemptId(task.uid, task.attempt),
    labels: { job: lastId(job), execution: lastId(execution), task: String(task.index), attempt: String(task.attempt) },
    containers: template.containers.map((container, index) => buildContainer(container, index, blueprint, environment(container, blueprint, task, surroundings))),
    volumes: template.volumes.flatMap((volume) => buildVolume(volume)),
    ...(network?.kind === 'address' && task.address !== undefined ? { address: task.address } : {}),
    hosts,
    interceptGoogle: interceptsGoogle(template.serviceAccount, surroundings.realAccounts),
  };
}

function buildContainer(container: Container, index: number, blueprint: Blueprint, env: ContainerSpec['env']): ContainerSpec {
  const { cpuMillis, memoryBytes } = blueprint.resources[index] ?? { cpuMillis: 1000, memoryBytes: 512 * 2 ** 20 };
  const startupProbe = container.startupProbe === undefined ? undefined : buildProbe(container.startupProbe, container);
  return {
    name: containerName(container.name, index),
    image: blueprint.images[index] ?? container.image,
    command: container.command,
    args: container.args,
    env,
    ...(container.workingDir === '' ? {} : { workingDir: container.workingDir }),
    cpuMillis,
    memoryBytes,
    mounts: container.volumeMounts.map((mount) => ({ volume: mount.name, path: mount.mountPath, ...(mount.subPath === '' ? {} : { subPath: mount.subPath }) })),
    dependsOn: container.dependsOn,
    ...(startupProbe === undefined ? {} : { startupProbe }),
  };
}

/** Ours first, then the user's over them, then the names that Cloud Run reserves. */
function environment(
  container: Container,
  blueprint: Blueprint,
  task: { readonly index: number; readonly attempt: number; readonly address?: string },
  { network, apiUrl, metadataPort }: Surroundings,
): ContainerSpec['env'] {
  const env = new Map<string, string>();
  if (apiUrl !== undefined) env.set('ACTAS_API', apiUrl);
  if (network?.kind === 'hostname' && task.address !== undefined) {
    // The random name tells the tasks apart, so every client library must send it as Host: each reads another of these variables.
    const host = metadataPort === undefined ? task.address : `${task.address}:${metadataPort}`;
    for (const name of ['GCE_METADATA_HOST', 'GCE_METADATA_IP', 'GCE_METADATA_ROOT']) env.set(name, host);
    env.set('METADATA_SERVER_DETECTION', 'assume-present');
  }
  for (const { name, values } of container.env) env.set(name, values.case === 'value' ? values.value : '');
  env.set('CLOUD_RUN_JOB', lastId(blueprint.job));
  env.set('CLOUD_RUN_EXECUTION', lastId(blueprint.execution));
  env.set('CLOUD_RUN_TASK_INDEX', String(task.index));
  env.set('CLOUD_RUN_TASK_ATTEMPT', String(task.attempt));
  env.set('CLOUD_RUN_TASK_COUNT', String(blueprint.taskCount));
  return [...env].map(([name, value]) => ({ name, value }));
}

function buildProbe(probe: ApiProbe, container: Container): Probe | undefined {
  const port = (declared: number) => (declared !== 0 ? declared : (container.ports[0]?.containerPort ?? 8080));
  const times = {
    initialDelayMs: probe.initialDelaySeconds * 1000,
    timeoutMs: (probe.timeoutSeconds || 1) * 1000,
    periodMs: (probe.periodSeconds || 10) * 1000,
    failureThreshold: probe.failureThreshold || 3,
  };
  const { probeType } = probe;
  switch (probeType.case) {
    case 'tcpSocket':
      return { ...times, check: { kind: 'tcp', port: port(probeType.value.port) } };
    case 'httpGet':
      return {
        ...times,
        check: {
          kind: 'http',
          port: port(probeType.value.port),
          path: probeType.value.path || '/',
          headers: probeType.value.httpHeaders.map(({ name, value }) => ({ name, value })),
        },
      };
    case 'grpc':
      return { ...times, check: { kind: 'grpc', port: port(probeType.value.port), service: probeType.value.service } };
    case undefined:
      return undefined;
  }
}

function buildVolume(volume: Volume): readonly VolumeSpec[] {
  if (volume.volumeType.case !== 'emptyDir') return [];
  const { medium, sizeLimit } = volume.volumeType.value;
  const sizeBytes = parseBytes(sizeLimit);
  return [{ name: volume.name, kind: 'emptyDir', medium: medium === EmptyDirVolumeSource_Medium.MEMORY ? 'memory' : 'disk', ...(sizeBytes === undefined ? {} : { sizeBytes }) }];
}
