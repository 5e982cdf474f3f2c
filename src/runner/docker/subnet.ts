/** IPv4 subnets: which are free, and which addresses they have. Pure, but for reading the routes. */
import { readFile } from 'node:fs/promises';

export interface Subnet {
  /** The first address as a number, and the number of bits that are fixed. */
  readonly base: number;
  readonly bits: number;
}

/** 1,021 tasks at once; a Linux bridge takes 1,024 ports. */
const OUR_BITS = 22;
const OUR_RANGE: Subnet = { base: parseAddress('10.213.0.0'), bits: 16 };

export function parseAddress(text: string): number {
  return text.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

export function formatAddress(number: number): string {
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 0xff).join('.');
}

export function parseSubnet(text: string): Subnet {
  const [address = '', bits = '32'] = text.split('/');
  return { base: parseAddress(address), bits: Number(bits) };
}

export function formatSubnet(subnet: Subnet): string {
  return `${formatAddress(subnet.base)}/${subnet.bits}`;
}

function size(subnet: Subnet): number {
  return 2 ** (32 - subnet.bits);
}

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.base < b.base + size(b) && b.base < a.base + size(a);
}

/** The first address after the network's own, as engines give it to the bridge. */
export function gatewayOf(subnet: Subnet): string {
  return formatAddress(subnet.base + 1);
}

/** The addresses that tasks may have, in order: all but the network's, the gateway's and the broadcast address. */
export function* hostAddresses(subnet: Subnet): Generator<string> {
  for (let offset = 2; offset < size(subnet) - 1; offset++) yield formatAddress(subnet.base + offset);
}

/** Our subnets that none of these overlaps, beginning at a place of this data directory's own, so that two seldom want the same one. */
export function freeSubnets(scope: string, taken: readonly Subnet[]): Subnet[] {
  const count = size(OUR_RANGE) / 2 ** (32 - OUR_BITS);
  const first = Number.parseInt(scope.slice(0, 6), 16) % count;
  return Array.from({ length: count }, (_, index) => ({ base: OUR_RANGE.base + ((first + index) % count) * 2 ** (32 - OUR_BITS), bits: OUR_BITS })).filter(
    (subnet) => !taken.some((other) => overlaps(subnet, other)),
  );
}

/** The networks that this host has a route to, the default route left out. Empty where the host is not Linux. */
export async function routedSubnets(): Promise<readonly Subnet[]> {
  const text = await readFile('/proc/net/route', 'utf8').catch(() => '');
  return parseRoutes(text);
}

/** /proc/net/route: hexadecimal, in the byte order of the machine, which is little-endian on all that we serve. */
export function parseRoutes(text: string): readonly Subnet[] {
  return text
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, destination, , , , , , mask] = line.split(/\s+/);
      if (destination === undefined || mask === undefined) return [];
      const bits = Number.parseInt(mask, 16)
        .toString(2)
        .split('')
        .filter((digit) => digit === '1').length;
      return bits === 0 ? [] : [{ base: parseAddress(formatAddress(Number.parseInt(destination, 16)).split('.').reverse().join('.')), bits }];
    });
}
