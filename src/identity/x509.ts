/**
 * A minimal self-signed X.509 certificate (RFC 5280) around an RSA key: the form in which Google has always published its keys and
 * those of service accounts, and which older verifiers insist on. Deterministic: the same key gives the same bytes after every restart.
 */
import { createPublicKey, type KeyObject, sign } from 'node:crypto';
import type { Micros } from '../timestamp.ts';

const SUBJECT = 'federated-signon.system.gserviceaccount.com';
const YEARS = 30;

/** DER object identifiers: sha256WithRSAEncryption, commonName. */
const SHA256_WITH_RSA = Buffer.from('06092a864886f70d01010b', 'hex');
const COMMON_NAME = Buffer.from('0603550403', 'hex');

/** @param options.serial hexadecimal digits @param options.notAfter 30 years later where absent @returns PEM */
export function selfSignedCertificate(
  privateKey: KeyObject,
  options: { readonly serial: string; readonly subject?: string; readonly notBefore: Micros; readonly notAfter?: Micros },
): string {
  const algorithm = der(0x30, SHA256_WITH_RSA, Buffer.from('0500', 'hex'));
  const name = der(0x30, der(0x31, der(0x30, COMMON_NAME, der(0x0c, Buffer.from(options.subject ?? SUBJECT)))));
  const from = new Date(Math.floor(options.notBefore / 1000));
  // Year 9999 stands for "never" (RFC 5280 section 4.1.2.5).
  const until = options.notAfter === undefined ? new Date(Date.UTC(from.getUTCFullYear() + YEARS, from.getUTCMonth(), 1)) : new Date(Math.floor(options.notAfter / 1000));
  const body = der(
    0x30,
    // Version 3; the serial's first byte is fixed so that it is positive and of 20 bytes, the most that is allowed.
    Buffer.from('a003020102', 'hex'),
    der(0x02, Buffer.from(`40${options.serial.slice(0, 38).padStart(38, '0')}`, 'hex')),
    algorithm,
    name,
    der(0x30, time(from), time(until)),
    name,
    createPublicKey(privateKey).export({ format: 'der', type: 'spki' }),
  );
  const certificate = der(0x30, body, algorithm, der(0x03, Buffer.from([0]), sign('sha256', body, privateKey)));
  const lines = certificate.toString('base64').match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
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
