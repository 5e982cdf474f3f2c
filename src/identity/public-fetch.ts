/**
 * Fetches a small JSON document from somewhere on the internet that a caller named (an issuer's discovery document, its keys), without
 * becoming the caller's hand inside our own network: https alone, no redirect, no address that is not public (looked at when the name has
 * been resolved, so that a name which changes its address is no way in), a deadline, and a limit of size.
 */
import { type LookupAddress, type LookupAllOptions, lookup as lookupName } from 'node:dns';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { BlockList, isIP, type LookupFunction } from 'node:net';

/** What could not be fetched, in words for whoever configured it. */
export class FetchError extends Error {
  override readonly name = 'FetchError';
}

export type FetchJson = (url: string) => Promise<unknown>;

const TIMEOUT_MS = 5000;
const MAX_BYTES = 512 * 1024;

/** Special-purpose addresses. Sources: IANA's registries for IPv4 and IPv6 (RFC 6890). */
const NOT_PUBLIC = new BlockList();
for (const [net, bits] of [
  ['0.0.0.0', 8],
  ['10.0.0.0', 8],
  ['100.64.0.0', 10],
  ['127.0.0.0', 8],
  ['169.254.0.0', 16],
  ['172.16.0.0', 12],
  ['192.0.0.0', 24],
  ['192.0.2.0', 24],
  ['192.168.0.0', 16],
  ['198.18.0.0', 15],
  ['198.51.100.0', 24],
  ['203.0.113.0', 24],
  ['224.0.0.0', 3],
] as const)
  NOT_PUBLIC.addSubnet(net, bits, 'ipv4');

/** Of IPv6 only global unicast is public; of that, not what leads to IPv4 addresses by another way (6to4, Teredo) nor documentation. */
const GLOBAL_V6 = new BlockList();
GLOBAL_V6.addSubnet('2000::', 3, 'ipv6');
for (const [net, bits] of [
  ['2001::', 23],
  ['2001:db8::', 32],
  ['2002::', 16],
  ['3fff::', 20],
] as const)
  NOT_PUBLIC.addSubnet(net, bits, 'ipv6');

export function isPublicAddress(address: string): boolean {
  const version = isIP(address);
  if (version === 4) return !NOT_PUBLIC.check(address, 'ipv4');
  return version === 6 && GLOBAL_V6.check(address, 'ipv6') && !NOT_PUBLIC.check(address, 'ipv6');
}

/** @param resolve tells all addresses of a name @returns one for connections, which go to nothing but the addresses that were looked at */
export function createPublicLookup(resolve: (name: string, options: LookupAllOptions, done: (error: Error | null, addresses: LookupAddress[]) => void) => void): LookupFunction {
  return (hostname, options, callback) => {
    resolve(hostname, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, []);
      const hidden = addresses.find(({ address }) => !isPublicAddress(address));
      if (hidden !== undefined) return callback(new FetchError(`${hostname} leads to ${hidden.address}, which is not a public address`), []);
      callback(null, options.all === true ? addresses : (addresses[0]?.address ?? ''), addresses[0]?.family);
    });
  };
}
const lookupPublic = createPublicLookup(lookupName);

/**
 * @param isTrusted whether the configuration names this origin (`https://idp.internal:8443`): then its address may be private, and http will do
 * @returns fetches and parses; rejects with FetchError
 */
export function createPublicFetch(isTrusted: (origin: string) => boolean): FetchJson {
  return (text) =>
    new Promise((resolve, reject) => {
      const fail = (why: string, cause?: unknown) => reject(new FetchError(`${text.slice(0, 300)} cannot be read: ${why}`, { cause }));
      const url = URL.canParse(text) ? new URL(text) : undefined;
      if (url === undefined) return fail('it is no URL');
      const trusted = isTrusted(url.origin);
      if (url.protocol !== 'https:' && !(trusted && url.protocol === 'http:')) return fail('only https is fetched');
      // A literal address is never looked up.
      const literal = url.hostname.replace(/^\[|\]$/g, '');
      if (!trusted && isIP(literal) !== 0 && !isPublicAddress(literal)) return fail(`${literal} is not a public address`);
      const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
      const signal = AbortSignal.timeout(TIMEOUT_MS);
      const request = send(url, { signal, headers: { accept: 'application/json' }, ...(trusted ? {} : { lookup: lookupPublic }) }, (response) => {
        if (response.statusCode !== 200) {
          response.destroy();
          return fail(`it answered ${response.statusCode ?? 'nothing'}`);
        }
        const chunks: Buffer[] = [];
        let size = 0;
        response.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_BYTES) response.destroy(new FetchError(`it is larger than ${MAX_BYTES} bytes`));
          else chunks.push(chunk);
        });
        response.on('error', (error) => fail(error.message, error));
        response.on('end', () => {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')));
          } catch (error) {
            fail('it is not JSON', error);
          }
        });
      });
      request.on('error', (error) => fail(signal.aborted ? `no answer within ${TIMEOUT_MS} ms` : error.message, error));
      request.end();
    });
}
