/** Networks in a filter. */
import { isIP } from 'node:net';
import { badFilter } from './filter-tokens.ts';

/** @returns the same @throws INVALID_ARGUMENT for what is no address, alone or with the length of a prefix */
export function checkNet(cidr: string): string {
  const [address = '', bits, ...more] = cidr.split('/');
  const version = isIP(address);
  const isPrefix = bits === undefined || (/^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128));
  if (version === 0 || !isPrefix || more.length > 0) throw badFilter(`${JSON.stringify(cidr)} is no network, for example "10.0.0.0/8"`);
  return cidr;
}
