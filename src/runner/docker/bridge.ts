/** The tasks' bridge on the engine: its subnet, which is found again after a restart, and what kinds of engine need to make and keep it. */
import type Docker from 'dockerode';
import type { Flavour, Naming } from './container-options.ts';
import { ignoring, isStatus, reasonOf } from './engine-calls.ts';
import { LABEL_OWNER, networkName } from './labels.ts';
import { anchorAddress, createPodmanNetwork, ensureAnchor, removePodmanNetwork } from './podman.ts';
import { formatSubnet, freeSubnets, gatewayOf, hostAddresses, parseSubnet, routedSubnets, type Subnet } from './subnet.ts';

export interface Bridge {
  readonly gateway: string;
  /** Addresses for tasks, in order. */
  readonly pool: () => Iterable<string>;
  remove(): Promise<void>;
}

export interface BridgeOptions {
  readonly docker: Docker;
  readonly naming: Naming;
  readonly flavour: Flavour;
  /** Makes the image of a program that does nothing. */
  readonly ensurePause: () => Promise<void>;
}

export async function openBridge(options: BridgeOptions): Promise<Bridge> {
  const { docker, naming, flavour, ensurePause } = options;
  const subnet = await ensureNetwork(options);
  const gateway = gatewayOf(subnet);
  if (!flavour.podman) return { gateway, pool: () => hostAddresses(subnet), remove: () => docker.getNetwork(networkName(naming.scope)).remove().catch(ignoring(404)) };
  await ensurePause();
  await ensureAnchor(docker, naming, subnet, flavour.ulimits);
  return { gateway, pool: () => poolBeside(anchorAddress(subnet), subnet), remove: () => removePodmanNetwork(docker, naming) };
}

function* poolBeside(taken: string, subnet: Subnet): Generator<string> {
  for (const address of hostAddresses(subnet)) if (address !== taken) yield address;
}

/** Takes back what a process that was killed left of the network, where none is wanted any more. */
async function ensureNetwork({ docker, naming, flavour }: BridgeOptions): Promise<Subnet> {
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
