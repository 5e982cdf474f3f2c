/**
 * A minimal writer of X.509 certificates (RFC 5280), around keys that node has made: the self-signed form in which Google has always published
 * its keys and those of service accounts, and the certificates of the front door. It writes and never reads. The libraries that could do it
 * bring a container for dependencies and change globals; of what we need they leave out name constraints.
 */
import { createPublicKey, type KeyObject, randomBytes, sign } from 'node:crypto';
import { isIP } from 'node:net';
import type { Micros } from '../timestamp.ts';

const SUBJECT = 'federated-signon.system.gserviceaccount.com';
const YEARS = 30;

/** DER object identifiers: sha256WithRSAEncryption with its parameters, ecdsa-with-SHA256 (which has none), commonName. */
const SHA256_WITH_RSA = Buffer.from('06092a864886f70d01010b0500', 'hex');
const ECDSA_WITH_SHA256 = Buffer.from('06082a8648ce3d040302', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');
const SERVER_AUTH = Buffer.from('06082b06010505070301', 'hex');

export interface CertificateOptions {
  /** Common names. */
  readonly subject: string;
  readonly issuer: string;
  readonly publicKey: KeyObject;
  /** The issuer's private key, RSA or P-256. */
  readonly signer: KeyObject;
  /** Hexadecimal digits; random where absent. */
  readonly serial?: string;
  readonly notBefore: Date;
  readonly notAfter: Date;
  /** Made by the functions below. */
  readonly extensions?: readonly Buffer[];
}

/** @returns PEM; the same options with a serial and an RSA key give the same bytes */
export function certificate(options: CertificateOptions): string {
  const { serial = randomBytes(19).toString('hex'), signer, extensions = [] } = options;
  const algorithm = der(0x30, signer.asymmetricKeyType === 'rsa' ? SHA256_WITH_RSA : ECDSA_WITH_SHA256);
  const body = der(
    0x30,
    // Version 3; the serial's first byte is fixed so that it is positive and of 20 bytes, the most that is allowed.
    Buffer.from('a003020102', 'hex'),
    der(0x02, Buffer.from(`40${serial.slice(0, 38).padStart(38, '0')}`, 'hex')),
    algorithm,
    commonName(options.issuer),
    der(0x30, time(options.notBefore), time(options.notAfter)),
    commonName(options.subject),
    options.publicKey.export({ format: 'der', type: 'spki' }),
    ...(extensions.length === 0 ? [] : [der(0xa3, der(0x30, ...extensions))]),
  );
  const signed = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), sign('sha256', body, signer)));
  const lines = signed.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}

/** @param options.serial hexadecimal digits @param options.notAfter 30 years later where absent @returns PEM; the same key gives the same bytes after every restart */
export function selfSignedCertificate(
  privateKey: KeyObject,
  options: { readonly serial: string; readonly subject?: string; readonly notBefore: Micros; readonly notAfter?: Micros },
): string {
  const { serial, subject = SUBJECT } = options;
  const notBefore = new Date(Math.floor(options.notBefore / 1000));
  // Year 9999 stands for "never" (RFC 5280 section 4.1.2.5).
  const notAfter =
    options.notAfter === undefined ? new Date(Date.UTC(notBefore.getUTCFullYear() + YEARS, notBefore.getUTCMonth(), 1)) : new Date(Math.floor(options.notAfter / 1000));
  return certificate({ subject, issuer: subject, publicKey: createPublicKey(privateKey), signer: privateKey, serial, notBefore, notAfter });
}

/** Of an authority that signs leaves alone. */
export function authorityExtensions(keyId: Buffer, constraints: Buffer): readonly Buffer[] {
  return [extension('551d13', true, der(0x30, Buffer.from('0101ff020100', 'hex'))), extension('551d0f', true, Buffer.from('03020106', 'hex')), subjectKeyId(keyId), constraints];
}

/** Of a TLS server. @param names DNS names and IP addresses */
export function serverExtensions(keyId: Buffer, issuerKeyId: Buffer, names: readonly string[]): readonly Buffer[] {
  return [
    extension('551d13', true, der(0x30)),
    extension('551d0f', true, Buffer.from('03020780', 'hex')),
    extension('551d25', false, der(0x30, SERVER_AUTH)),
    subjectKeyId(keyId),
    extension('551d23', false, der(0x30, der(0x80, issuerKeyId))),
    extension('551d11', false, der(0x30, ...names.map((name) => (isIP(name) === 0 ? der(0x82, Buffer.from(name)) : der(0x87, address(name)))))),
  ];
}

/** The only names that certificates below an authority may have (RFC 5280 section 4.2.1.10). @param names domains, each with all below it, and IP addresses */
export function nameConstraints(names: readonly string[]): Buffer {
  const subtrees = names.map((name) => der(0x30, isIP(name) === 0 ? der(0x82, Buffer.from(name)) : der(0x87, address(name), Buffer.alloc(address(name).length, 0xff))));
  return extension('551d1e', true, der(0x30, der(0xa0, ...subtrees)));
}

function subjectKeyId(keyId: Buffer): Buffer {
  return extension('551d0e', false, der(0x04, keyId));
}

/** @param id the object identifier below 2.5.29, in hexadecimal */
function extension(id: string, critical: boolean, value: Buffer): Buffer {
  return der(0x30, der(0x06, Buffer.from(id, 'hex')), ...(critical ? [Buffer.from('0101ff', 'hex')] : []), der(0x04, value));
}

/** An IP address in 4 or 16 bytes. */
function address(text: string): Buffer {
  if (isIP(text) === 4) return Buffer.from(text.split('.').map(Number));
  const [head = '', tail] = text.split('::');
  const words = (part: string | undefined) => (part === undefined || part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const [left, right] = [words(head), words(tail)];
  const bytes = Buffer.alloc(16);
  for (const [at, word] of [...left, ...Array<number>(8 - left.length - right.length).fill(0), ...right].entries()) bytes.writeUInt16BE(word, at * 2);
  return bytes;
}

function commonName(name: string): Buffer {
  return der(0x30, der(0x31, der(0x30, COMMON_NAME, der(0x0c, Buffer.from(name)))));
}

/** GeneralizedTime from 2050 on, UTCTime before, as RFC 5280 section 4.1.2.5 demands. */
function time(date: Date): Buffer {
  const digits = `${date.toISOString().slice(0, 19).replace(/[-:T]/g, '')}Z`;
  return date.getUTCFullYear() >= 2050 ? der(0x18, Buffer.from(digits)) : der(0x17, Buffer.from(digits.slice(2)));
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const length = Buffer.from(content.length.toString(16).padStart(content.length > 0xffff ? 6 : content.length > 0xff ? 4 : 2, '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}
