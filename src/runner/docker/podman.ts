/**
 * What Podman needs done in another way than Docker, through the same socket. Seen on 4.3.1 (Debian 12) with netavark, as root.
 *
 * - Its Docker API names a network's bridge by itself (`podman1`); its own API takes the name that our packet rules want.
 * - A bridge is there only while a container uses it, so one that does nothing keeps it: the anchor. Without it we had no address to listen on.
 * - It sets process and file limits of its own choice on every container, which an engine without CAP_SYS_RESOURCE (one that runs in a container
 *   itself) may not: then no container starts. So we name limits that it may set.
 * - A network that stopped containers belong to cannot be removed: they are taken out of it first.
 */
import { readFile } from 'node:fs/promises';
import type Docker from 'dockerode';
import type { Naming } from './container-options.ts';
import { createContainer, ignoring, removeContainer } from './engine-calls.ts';
import { anchorName, LABEL_OWNER, networkName } from './labels.ts';
import { PAUSE_IMAGE } from './pause-image.ts';
import { formatSubnet, gatewayOf, hostAddresses, type Subnet } from './subnet.ts';

export interface Ulimit {
  readonly Name: string;
  readonly Soft: number;
  readonly Hard: number;
}

/** As many as the control group allows anyway (container-options.ts). */
const PROCESSES = 16_384;

/** Limits that an engine with our own rights may set on a container. @param isLocal whether the engine runs on this machine; of another we know nothing */
export async function podmanUlimits(isLocal: boolean): Promise<readonly Ulimit[]> {
  if (!isLocal) return [];
  const text = await readFile('/proc/self/limits', 'utf8').catch(() => '');
  return [...ownLimit(text, 'Max open files', 'nofile', 1_048_576), ...ownLimit(text, 'Max processes', 'nproc', PROCESSES)];
}

function ownLimit(limits: string, label: string, name: string, most: number): readonly Ulimit[] {
  const hard = new RegExp(`^${label} +\\S+ +(\\S+)`, 'm').exec(limits)?.[1];
  if (hard === undefined) return [];
  const value = hard === 'unlimited' ? most : Math.min(most, Number(hard));
  return [{ Name: name, Soft: value, Hard: value }];
}

/** Makes the tasks' network. @throws the engine's refusal, with its status */
export async function createPodmanNetwork(docker: Docker, naming: Naming, subnet: Subnet): Promise<void> {
  const name = networkName(naming.scope);
  const body = {
    name,
    network_interface: name,
    driver: 'bridge',
    labels: { [LABEL_OWNER]: naming.dataDirId },
    subnets: [{ subnet: formatSubnet(subnet), gateway: gatewayOf(subnet) }],
    // Tasks do not look each other up.
    dns_enabled: false,
    // From other networks, and these from it. Within it our own packet rules hold.
    options: { isolate: 'true' },
  };
  await new Promise<void>((resolve, reject) => {
    docker.modem.dial(
      { path: '/v4.0.0/libpod/networks/create', method: 'POST', options: body, statusCodes: { 200: true, 400: 'bad parameter', 409: 'conflict', 500: 'server error' } },
      (error: Error | null) => (error === null ? resolve() : reject(error)),
    );
  });
}

/** The address that the anchor has, and so no task: the last of the subnet. */
export function anchorAddress(subnet: Subnet): string {
  return [...hostAddresses(subnet)].at(-1) ?? gatewayOf(subnet);
}

/** Starts the container that keeps the bridge, or finds it running. Needs the sandbox's image. */
export async function ensureAnchor(docker: Docker, naming: Naming, subnet: Subnet, ulimits: readonly Ulimit[]): Promise<void> {
  const network = networkName(naming.scope);
  const container = await createContainer(docker, {
    name: anchorName(naming.scope),
    Image: PAUSE_IMAGE,
    Labels: { [LABEL_OWNER]: naming.dataDirId },
    HostConfig: { NetworkMode: network, CapDrop: ['ALL'], SecurityOpt: ['no-new-privileges'], ReadonlyRootfs: true, Ulimits: [...ulimits] },
    NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: anchorAddress(subnet) } } } },
  });
  // 304: it runs already.
  await container.start().catch(ignoring(304));
}

/** Takes back the network and its anchor; containers that have ended stay, to be read. */
export async function removePodmanNetwork(docker: Docker, naming: Naming): Promise<void> {
  await removeContainer(docker, anchorName(naming.scope));
  const network = docker.getNetwork(networkName(naming.scope));
  const ended = await docker.listContainers({ all: true, filters: { label: [`${LABEL_OWNER}=${naming.dataDirId}`] } });
  // Those that share another's network have none of their own to leave.
  await Promise.all(ended.map(({ Id }) => network.disconnect({ Container: Id }).catch(() => undefined)));
  await network.remove().catch(ignoring(404));
}
