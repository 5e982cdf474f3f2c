/**
 * The tasks' network: a bridge of this data directory's own, and our two listeners on it. It hides subnets, packet rules and what kind of
 * engine this is. Invariants: a connection from an address without a lease is closed before a byte is read; nothing listens on 0.0.0.0; the host's own
 * 169.254.169.254 is not touched; bridge and subnet are found again after a restart, so running tasks keep their address.
 */

import { readFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { TaskListeners, TaskNetwork } from '../driver.ts';
import { type Bridge, type BridgeOptions, openBridge } from './bridge.ts';
import type { Hosts } from './container-options.ts';
import { applyRules, type BridgeRules, firewallObstacle, type Ports, type RunTables } from './firewall.ts';
import { networkName } from './labels.ts';
import type { NameServerAddress } from './name-forwarder.ts';
import type { NameServer } from './name-server.ts';
import { type Relay, startRelay } from './relay.ts';
import type { RelayPlace } from './relay-place.ts';
import { canBind, openListeners, preferredPorts } from './task-listeners.ts';
import { taskNamesByRelay, taskNamesHere } from './task-names.ts';

export interface OpenNetwork {
  readonly network: TaskNetwork;
  /** Names for every attempt's hosts file. */
  readonly hosts: Hosts;
  readonly warnings: readonly string[];
  /** Whom tasks ask for names, so that Google's lead them here; absent where it cannot be done (then `googleObstacle` says why), or is not wanted. */
  readonly nameServer?: string;
  readonly googleObstacle?: string;
  /** A connection to a task; absent where there is no way to one. */
  readonly dial?: (address: string, port: number) => Socket;
  /** @param keepRunning leaves bridge and isolation for the tasks that go on */
  close(options: { readonly keepRunning: boolean }): Promise<void>;
}

export interface NetworkOptions extends BridgeOptions {
  readonly listeners?: TaskListeners;
  /** Asked for all names but Google's, in place of those of where the bridge is. */
  readonly nameServers: readonly NameServerAddress[];
  /** `address`: addresses or nothing, by a relay where there is no other way; `relay`: by it even where there is. */
  readonly force?: 'address' | 'relay' | 'hostname';
  /** The engine listens on a socket of this machine. */
  readonly isLocal: boolean;
  /** Then its networks are not this host's, and containers do not reach this host's loopback. */
  readonly isRootless: boolean;
  /** @throws Error that says why a relay has none, and how to get it one */
  readonly relayPlace: () => Promise<RelayPlace>;
  readonly log: { warn(fields: object, message: string): void };
}

/** The trailing dot is how google-auth-library for Node asks; the hosts file knows names only as they are written. */
const METADATA_NAMES = ['metadata.google.internal', 'metadata.google.internal.', 'metadata'];
const METADATA_ADDRESS = '169.254.169.254';
const ADDRESS_HOSTS: Hosts = METADATA_NAMES.map((name) => ({ name, address: METADATA_ADDRESS }));

export async function openNetwork(options: NetworkOptions): Promise<OpenNetwork> {
  const { force } = options;
  const bridge = await openBridge(options);
  const isHere = options.isLocal && (await canBind(bridge.gateway));
  if (force === 'hostname') return openByHostName(options, bridge, isHere, 'it was asked for so');
  const obstacle = force === 'relay' ? 'a relay was asked for' : isHere ? await firewallObstacle() : "the host has no part in the engine's networks";
  if (obstacle === undefined) return openHere(options, bridge);
  let relayObstacle: string;
  try {
    return await openByRelay(options, bridge, await options.relayPlace());
  } catch (error) {
    relayObstacle = error instanceof Error ? error.message : String(error);
  }
  if (force !== undefined) throw new Error(`The tasks' network cannot be set up with addresses of its own: ${obstacle}, and ${relayObstacle}.`);
  return openByHostName(options, bridge, isHere, `${obstacle}, and ${relayObstacle}`);
}

/** Addresses, with our listeners on the bridge itself. */
async function openHere({ naming, listeners, nameServers }: NetworkOptions, bridge: Bridge): Promise<OpenNetwork> {
  const { gateway } = bridge;
  const google = listeners?.google;
  const names = google === undefined ? undefined : taskNamesHere({ google, address: METADATA_ADDRESS, nameServers });
  const opened = listeners === undefined ? undefined : await openListeners(listeners, listeners.isLeased, gateway, naming.scope, names);
  const rules: BridgeRules = { bridge: networkName(naming.scope), gateway };
  await applyRules(naming.scope, { ...rules, ...(opened === undefined ? {} : { ports: opened.ports }) });
  return {
    ...addressNetwork(bridge, opened?.ports),
    warnings: await bridgeWarnings(),
    dial: dialFromHere,
    async close({ keepRunning }) {
      // First the way to the listeners, then they: nobody else may answer on their ports meanwhile.
      await applyRules(naming.scope, keepRunning ? rules : undefined);
      await opened?.close();
      if (!keepRunning) await bridge.remove();
    },
  };
}

/** What is the same wherever the listeners are. */
function addressNetwork({ gateway, pool }: Bridge, ports: Ports | undefined): Pick<OpenNetwork, 'network' | 'hosts' | 'nameServer'> {
  return {
    network: { kind: 'address', gateway, pool, ...(ports === undefined ? {} : { apiUrl: `http://${gateway}:${ports.api}` }) },
    hosts: ADDRESS_HOSTS,
    ...(ports?.names === undefined ? {} : { nameServer: gateway }),
  };
}

/** Addresses, with the relay's listeners on the bridge. */
async function openByRelay({ naming, listeners, nameServers, log }: NetworkOptions, bridge: Bridge, place: RelayPlace): Promise<OpenNetwork> {
  const { gateway } = bridge;
  let names: NameServer | undefined;
  const relay = await startRelay({
    place,
    log,
    arrived(listener, address, open) {
      if (listeners?.isLeased(address) !== true) return;
      if (listener === 'names') names?.stream(open(), address);
      else (listener === 'metadata' ? listeners.metadata : listeners.api)(open());
    },
  });
  const rules: BridgeRules = { bridge: networkName(naming.scope), gateway };
  const run: RunTables = (program, args, input) => relay.run({ program, args, ...(input === undefined ? {} : { input }) });
  try {
    if (listeners?.google !== undefined) names = await taskNamesByRelay({ google: listeners.google, address: METADATA_ADDRESS, nameServers }, relay);
    const ports = listeners === undefined ? undefined : await listenByRelay(relay, gateway, preferredPorts(naming.scope, gateway), listeners, names);
    const setUp = () => applyRules(naming.scope, { ...rules, ...(ports === undefined ? {} : { ports }) }, run);
    await setUp();
    relay.onReplaced(async () => {
      const again = ports === undefined || listeners === undefined ? undefined : await listenByRelay(relay, gateway, { ...ports, names: ports.names?.udp ?? 0 }, listeners, names);
      // Tasks that run know the API by its port.
      if (again?.api !== ports?.api) log.warn({ ...again }, "The API's port for tasks is taken; tasks that run do not find it until the next start.");
      await applyRules(naming.scope, { ...rules, ...(again === undefined ? {} : { ports: again }) }, run);
    });
    return {
      ...addressNetwork(bridge, ports),
      warnings: [],
      dial: (address, port) => relay.dial(address, port),
      async close({ keepRunning }) {
        await applyRules(naming.scope, keepRunning ? rules : undefined, run).catch((error: unknown) => log.warn({ err: error }, 'The packet rules could not be taken back.'));
        await relay.close();
        if (!keepRunning) await bridge.remove();
      },
    };
  } catch (error) {
    await relay.close();
    throw error;
  }
}

async function listenByRelay(relay: Relay, address: string, ports: ReturnType<typeof preferredPorts>, listeners: TaskListeners, names: NameServer | undefined): Promise<Ports> {
  const metadata = await relay.listen({ name: 'metadata', address, port: ports.metadata });
  const api = await relay.listen({ name: 'api', address, port: ports.api });
  if (names === undefined) return { metadata, api };
  const udp = await relay.listenForDatagrams({ name: 'names', address, port: ports.names }, ({ address: from, data }, reply) => {
    if (listeners.isLeased(from)) names.datagram(Buffer.from(data, 'base64'), from, (message) => reply(message.toString('base64')));
  });
  return { metadata, api, names: { udp, tcp: await relay.listen({ name: 'names', address, port: ports.names + 1 }) } };
}

/** A random host name for each attempt. */
async function openByHostName({ naming, listeners, isRootless }: NetworkOptions, bridge: Bridge, isHere: boolean, why: string): Promise<OpenNetwork> {
  const opened = listeners === undefined ? undefined : await openListeners(listeners, () => true, isHere ? bridge.gateway : '127.0.0.1', naming.scope);
  const reachableAt = isHere ? bridge.gateway : 'host.docker.internal';
  return {
    network: {
      kind: 'hostname',
      reachableAt,
      ...(opened === undefined ? {} : { metadataPort: opened.ports.metadata, apiUrl: `http://${reachableAt}:${opened.ports.api}` }),
    },
    ...(listeners?.google === undefined ? {} : { googleObstacle: 'tasks are told apart by host names here, and have no name server of ours' }),
    hosts: isHere ? [] : [{ name: reachableAt, address: reachableAt }],
    warnings: [
      ...(!isHere && isRootless
        ? ["Tasks reach neither the metadata server nor the API: a rootless engine keeps containers away from this host's loopback. Tasks that need no identity run all the same."]
        : []),
      `Tasks find the metadata server by a host name of their own, not at ${METADATA_ADDRESS}, because ${why}.${isHere ? '' : ' Startup probes are taken as passed: the host cannot reach the containers.'}`,
    ],
    ...(isHere ? { dial: dialFromHere } : {}),
    async close({ keepRunning }) {
      await opened?.close();
      if (!keepRunning) await bridge.remove();
    },
  };
}

function dialFromHere(host: string, port: number): Socket {
  return connect({ host, port });
}

async function bridgeWarnings(): Promise<string[]> {
  const filtered = await readFile('/proc/sys/net/bridge/bridge-nf-call-iptables', 'utf8').catch(() => '');
  return filtered.trim() === '1' ? [] : ['Packets between tasks are not filtered by this kernel (net.bridge.bridge-nf-call-iptables is not 1), so tasks can reach each other.'];
}
