/**
 * The tasks' network: a bridge of this data directory's own, and our two listeners on it. It hides subnets, packet rules and what kind of
 * engine this is. Invariants: a connection from an address without a lease is closed before a byte is read; nothing listens on 0.0.0.0; the host's own
 * 169.254.169.254 is not touched; bridge and subnet are found again after a restart, so running tasks keep their address.
 */

import { readFile } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';
import type Docker from 'dockerode';
import type { TaskListeners, TaskNetwork } from '../driver.ts';
import type { Flavour, Hosts, Naming } from './container-options.ts';
import { ignoring, isStatus, reasonOf } from './engine-calls.ts';
import { applyRules, firewallObstacle } from './firewall.ts';
import { LABEL_OWNER, networkName } from './labels.ts';
import { anchorAddress, createPodmanNetwork, ensureAnchor, removePodmanNetwork } from './podman.ts';
import { formatSubnet, freeSubnets, gatewayOf, hostAddresses, parseSubnet, routedSubnets, type Subnet } from './subnet.ts';

export interface OpenNetwork {
  readonly network: TaskNetwork;
  /** Names for every attempt's hosts file. */
  readonly hosts: Hosts;
  readonly warnings: readonly string[];
  readonly hostReachesContainers: boolean;
  /** @param keepRunning leaves bridge and isolation for the tasks that go on */
  close(options: { readonly keepRunning: boolean }): Promise<void>;
}

export interface NetworkOptions {
  readonly docker: Docker;
  readonly naming: Naming;
  readonly listeners?: TaskListeners;
  readonly force?: 'address' | 'hostname';
  /** The engine listens on a socket of this machine. */
  readonly isLocal: boolean;
  readonly flavour: Flavour;
  /** Makes the image of a program that does nothing. */
  readonly ensurePause: () => Promise<void>;
}

const API_PORT = 8787;
/** The trailing dot is how google-auth-library for Node asks; the hosts file knows names only as they are written. */
const METADATA_NAMES = ['metadata.google.internal', 'metadata.google.internal.', 'metadata'];
const METADATA_ADDRESS = '169.254.169.254';

export async function openNetwork(options: NetworkOptions): Promise<OpenNetwork> {
  const { docker, naming, flavour, listeners, force } = options;
  const subnet = await ensureNetwork(options);
  if (flavour.podman) {
    await options.ensurePause();
    await ensureAnchor(docker, naming, subnet, flavour.ulimits);
  }
  const gateway = gatewayOf(subnet);
  const hostReachesContainers = options.isLocal && (await canBind(gateway));
  const obstacle = force === 'hostname' ? 'it was asked for so' : hostReachesContainers ? await firewallObstacle() : "the host has no part in the engine's networks";
  if (force === 'address' && obstacle !== undefined) throw new Error(`The tasks' network cannot be set up with addresses of its own: ${obstacle}.`);
  const bindAddress = hostReachesContainers ? gateway : '127.0.0.1';
  const mayEnter = obstacle === undefined && listeners !== undefined ? listeners.isLeased : () => true;
  const opened = listeners === undefined ? [] : await openListeners(listeners, mayEnter, bindAddress, naming.scope);
  const [metadata, api] = opened;
  const ports = metadata === undefined || api === undefined ? undefined : { metadata: metadata.port, api: api.port };
  const closeListeners = () => Promise.all(opened.map((listener) => listener.close()));
  const remove = () => (flavour.podman ? removePodmanNetwork(docker, naming) : docker.getNetwork(networkName(naming.scope)).remove().catch(ignoring(404)));
  const common = { hostReachesContainers };
  if (obstacle !== undefined) {
    const reachableAt = hostReachesContainers ? gateway : 'host.docker.internal';
    return {
      ...common,
      network: { kind: 'hostname', reachableAt, ...(ports === undefined ? {} : { metadataPort: ports.metadata, apiUrl: `http://${reachableAt}:${ports.api}` }) },
      hosts: hostReachesContainers ? [] : [{ name: reachableAt, address: reachableAt }],
      warnings: [
        `Tasks find the metadata server by a host name of their own, not at ${METADATA_ADDRESS}, because ${obstacle}.${hostReachesContainers ? '' : ' Startup probes are taken as passed: the host cannot reach the containers.'}`,
      ],
      async close({ keepRunning }) {
        await closeListeners();
        if (!keepRunning) await remove();
      },
    };
  }
  const bridge = { bridge: networkName(naming.scope), gateway };
  await applyRules(naming.scope, { ...bridge, ...(ports === undefined ? {} : { ports }) });
  return {
    ...common,
    network: {
      kind: 'address',
      gateway,
      pool: () => (flavour.podman ? poolBeside(anchorAddress(subnet), subnet) : hostAddresses(subnet)),
      ...(ports === undefined ? {} : { apiUrl: `http://${gateway}:${ports.api}` }),
    },
    hosts: METADATA_NAMES.map((name) => ({ name, address: METADATA_ADDRESS })),
    warnings: await bridgeWarnings(),
    async close({ keepRunning }) {
      // First the way to the listeners, then they: nobody else may answer on their ports meanwhile.
      await applyRules(naming.scope, keepRunning ? bridge : undefined);
      await closeListeners();
      if (!keepRunning) await remove();
    },
  };
}

function* poolBeside(taken: string, subnet: Subnet): Generator<string> {
  for (const address of hostAddresses(subnet)) if (address !== taken) yield address;
}

/** Takes back what a process that was killed left of the network, where none is wanted any more. */
async function ensureNetwork({ docker, naming, flavour }: NetworkOptions): Promise<Subnet> {
  const name = networkName(naming.scope);
  const known = await docker.getNetwork(name).inspect().catch(ignoring(404));
  const knownSubnet = known?.IPAM?.Config?.[0]?.Subnet;
  if (known !== undefined && known.Labels?.[LABEL_OWNER] !== naming.dataDirId)
    throw new Error(`The engine has a network ${name} that is not ours. Remove it: docker network rm ${name}`);
  if (knownSubnet !== undefined) return parseSubnet(knownSubnet);
  const taken = [...(await routedSubnets()), ...(await engineSubnets(docker))];
  let reason = 'all of 10.213.0.0/16 is in use';
  for (const subnet of freeSubnets(naming.scope, taken)) {
    try {
      if (flavour.podman) {
        await createPodmanNetwork(docker, naming, subnet);
        return subnet;
      }
      await docker.createNetwork({
        Name: name,
        Driver: 'bridge',
        CheckDuplicate: true,
        Labels: { [LABEL_OWNER]: naming.dataDirId },
        IPAM: { Config: [{ Subnet: formatSubnet(subnet), Gateway: gatewayOf(subnet) }] },
        Options: { 'com.docker.network.bridge.name': name, 'com.docker.network.bridge.enable_icc': 'false' },
      });
      return subnet;
    } catch (error) {
      reason = reasonOf(error);
      // Another data directory, or another engine on this machine, was faster.
      if (!isStatus(error, 400, 403, 409, 500) || !/overlap|in use|already/i.test(reason)) throw error;
    }
  }
  throw new Error(`No free subnet for the tasks' network: ${reason}.`);
}

async function engineSubnets(docker: Docker): Promise<Subnet[]> {
  const networks = await docker.listNetworks();
  return networks
    .flatMap((network) => network.IPAM?.Config ?? [])
    .flatMap((config) => (config.Subnet === undefined || config.Subnet.includes(':') ? [] : [parseSubnet(config.Subnet)]));
}

async function bridgeWarnings(): Promise<string[]> {
  const filtered = await readFile('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').catch(() => '');
  return filtered.trim() === '1' ? [] : ['Packets between tasks are not filtered by this kernel (net.bridge.bridge-nf-call-iptables is not 1), so tasks can reach each other.'];
}

interface Listener {
  readonly port: number;
  close(): Promise<void>;
}

/** Ports of this data directory's own where they are free: tasks that outlive us find us again. */
async function openListeners(listeners: TaskListeners, mayEnter: (address: string) => boolean, address: string, scope: string): Promise<Listener[]> {
  const preferred = 20_000 + (Number.parseInt(scope.slice(0, 6), 16) % 10_000);
  const metadata = await listen(listeners.metadata, mayEnter, address, preferred);
  try {
    return [metadata, await listen(listeners.api, mayEnter, address, address === '127.0.0.1' ? preferred + 10_000 : API_PORT)];
  } catch (error) {
    await metadata.close();
    throw error;
  }
}

async function listen(handle: (socket: Socket) => void, mayEnter: (address: string) => boolean, address: string, preferredPort: number): Promise<Listener> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    if (!mayEnter(socket.remoteAddress ?? '')) {
      socket.on('error', () => undefined);
      socket.resetAndDestroy();
      return;
    }
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
    handle(socket);
  });
  await bind(server, preferredPort, address).catch(() => bind(server, 0, address));
  const bound = server.address();
  if (bound === null || typeof bound === 'string') throw new Error('The listener has no port.');
  return {
    port: bound.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function bind(server: Server, port: number, host: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ port, host }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}

async function canBind(address: string): Promise<boolean> {
  const server = createServer();
  try {
    await bind(server, 0, address);
    return true;
  } catch {
    // Not an address of this host: the bridge is in another network namespace, or in a virtual machine.
    return false;
  } finally {
    server.close();
  }
}
