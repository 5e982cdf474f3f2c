/**
 * A Java trust store with one certificate more. Both kinds that a `cacerts` can be: JKS (Java's own until 17, and what Debian and Red Hat make of the
 * system's authorities) and PKCS#12 (RFC 7292; Java's own since 18, without a password). What is in it stays as it is, byte by byte; of a PKCS#12
 * store with a password no secret is opened, since its parts may be protected each in its own way. Pure.
 *
 * Ours, because the libraries that could do it read neither JKS nor what Java writes without a password, or bring twenty packages.
 * Sources: sun.security.provider.JavaKeyStore and sun.security.pkcs12.PKCS12KeyStore of OpenJDK.
 */
import { createHash, createHmac } from 'node:crypto';
import { contentOf, type DerValue, der, partsOf, readDer } from './der.ts';

/** Of every Java's own store; it protects nothing, for certificates are public. */
const PASSWORD = 'changeit';
const JKS_MAGIC = 0xfeedfeed;
const JKS_DIGEST_BYTES = 20;
const JKS_CERTIFICATE = 2;

/** @param alias in ASCII @param certificate DER @returns undefined for what is no such store, or has another password */
export function withCertificate(store: Buffer, alias: string, certificate: Buffer, nowMs: number): Buffer | undefined {
  try {
    return store.length > 4 && store.readUInt32BE(0) === JKS_MAGIC ? extendJks(store, alias, certificate, nowMs) : extendPkcs12(store, alias, certificate);
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function extendJks(store: Buffer, alias: string, certificate: Buffer, nowMs: number): Buffer | undefined {
  const body = store.subarray(0, -JKS_DIGEST_BYTES);
  if (body.readUInt32BE(4) !== 2 || !jksDigest(body).equals(store.subarray(-JKS_DIGEST_BYTES))) return undefined;
  const head = Buffer.from(body.subarray(0, 12));
  head.writeUInt32BE(head.readUInt32BE(8) + 1, 8);
  const time = Buffer.alloc(8);
  time.writeBigUInt64BE(BigInt(nowMs));
  const entry = [uint32(JKS_CERTIFICATE), text(alias), time, text('X.509'), uint32(certificate.length), certificate];
  const extended = Buffer.concat([head, body.subarray(12), ...entry]);
  return Buffer.concat([extended, jksDigest(extended)]);
}

function jksDigest(body: Buffer): Buffer {
  return createHash('sha1').update(Buffer.from(PASSWORD, 'utf16le').swap16()).update('Mighty Aphrodite').update(body).digest();
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function text(ascii: string): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(ascii.length);
  return Buffer.concat([bytes, Buffer.from(ascii, 'latin1')]);
}

/** Object identifiers, encoded: data, certBag, x509Certificate, friendlyName, Oracle's trustedKeyUsage, anyExtendedKeyUsage. */
const DATA = Buffer.from('06092a864886f70d010701', 'hex');
const CERTIFICATE_BAG = Buffer.from('060b2a864886f70d010c0a0103', 'hex');
const X509 = Buffer.from('060a2a864886f70d01091601', 'hex');
const FRIENDLY_NAME = Buffer.from('06092a864886f70d010914', 'hex');
/** Without it Java takes no certificate of a store for trusted. */
const TRUSTED_KEY_USAGE = Buffer.from('060c6086480186f966adca7b0101', 'hex');
const ANY_USAGE = Buffer.from('0604551d2500', 'hex');
const HASHES: Readonly<Record<string, { readonly name: string; readonly blockBytes: number }>> = {
  '06052b0e03021a': { name: 'sha1', blockBytes: 64 },
  '0609608648016503040201': { name: 'sha256', blockBytes: 64 },
  '0609608648016503040202': { name: 'sha384', blockBytes: 128 },
  '0609608648016503040203': { name: 'sha512', blockBytes: 128 },
};

function extendPkcs12(store: Buffer, alias: string, certificate: Buffer): Buffer | undefined {
  const [version, safe, mac] = partsOf(readDer(store)[0]);
  const [type, wrapped] = partsOf(safe);
  if (version === undefined || type === undefined || !type.whole.equals(DATA)) return undefined;
  const content = contentOf(partsOf(wrapped, 0xa0)[0], 0x04);
  if (mac !== undefined && !macOf(mac, content).equals(contentOf(digestOf(mac)[1], 0x04))) return undefined;
  const extended = der(0x30, ...partsOf(readDer(content)[0]).map(({ whole }) => whole), dataContent(der(0x30, certificateBag(alias, certificate))));
  return der(0x30, version.whole, dataContent(extended), ...(mac === undefined ? [] : [renewMac(mac, extended)]));
}

function dataContent(content: Buffer): Buffer {
  return der(0x30, DATA, der(0xa0, der(0x04, content)));
}

function certificateBag(alias: string, certificate: Buffer): Buffer {
  const name = der(0x1e, Buffer.from(alias, 'utf16le').swap16());
  return der(
    0x30,
    CERTIFICATE_BAG,
    der(0xa0, der(0x30, X509, der(0xa0, der(0x04, certificate)))),
    der(0x31, der(0x30, FRIENDLY_NAME, der(0x31, name)), der(0x30, TRUSTED_KEY_USAGE, der(0x31, ANY_USAGE))),
  );
}

/** Algorithm and digest. */
function digestOf(mac: DerValue): readonly DerValue[] {
  return partsOf(partsOf(mac)[0]);
}

function renewMac(mac: DerValue, content: Buffer): Buffer {
  const [, ...saltAndCount] = partsOf(mac);
  const [algorithm] = digestOf(mac);
  return der(0x30, der(0x30, algorithm?.whole ?? Buffer.alloc(0), der(0x04, macOf(mac, content))), ...saltAndCount.map(({ whole }) => whole));
}

/** @throws RangeError for an algorithm that is not known */
function macOf(mac: DerValue, content: Buffer): Buffer {
  const [, salt, count] = partsOf(mac);
  const [algorithm] = digestOf(mac);
  const hash = HASHES[partsOf(algorithm)[0]?.whole.toString('hex') ?? ''];
  if (hash === undefined) throw new RangeError('another algorithm');
  const iterations = count === undefined ? 1 : Number.parseInt(contentOf(count, 0x02).toString('hex'), 16);
  return createHmac(hash.name, deriveMacKey(hash, contentOf(salt, 0x04), iterations))
    .update(content)
    .digest();
}

/** Java writes 10,000, and wrote 100,000; more would keep everybody else waiting. */
const MOST_ITERATIONS = 200_000;

/** RFC 7292 appendix B.2, for as many bytes as the hash has: then one round gives all. */
function deriveMacKey({ name, blockBytes }: { readonly name: string; readonly blockBytes: number }, salt: Buffer, iterations: number): Buffer {
  if (iterations > MOST_ITERATIONS) throw new RangeError('too many rounds');
  const fill = (bytes: Buffer) => (bytes.length === 0 ? bytes : Buffer.alloc(blockBytes * Math.ceil(bytes.length / blockBytes), bytes));
  const password = Buffer.from(`${PASSWORD}\0`, 'utf16le').swap16();
  // 3: a key for a MAC.
  let key = createHash(name).update(Buffer.alloc(blockBytes, 3)).update(fill(salt)).update(fill(password)).digest();
  for (let round = 1; round < iterations; round++) key = createHash(name).update(key).digest();
  return key;
}
