/**
 * The front door's own certificate authority: made when somebody first speaks TLS or asks for it, kept in the data directory, and bound by name
 * constraints, so that whoever trusts it trusts it for Google's API names and this server's own, and for no other site, even if its key is stolen.
 * Certificates of servers live a week, in memory alone, under one key of this process.
 */
import { createHash, createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { isIP } from 'node:net';
import { join } from 'node:path';
import { GOOGLE_DOMAINS, isGoogleName, matchesName } from './front-names.ts';
import { authorityExtensions, certificate, nameConstraints, serverExtensions } from './x509.ts';

/** Public, for clients to trust. */
export const AUTHORITY_FILE = 'ca.pem';
const KEY_FILE = 'ca-key.pem';
const DAY_MS = 86_400_000;
const AUTHORITY_DAYS = 3650;
const LEAF_DAYS = 7;
/** Of the names that are asked for; the oldest goes first. */
const MAX_LEAVES = 256;
/** One certificate for all of them: a client that connects by address names none. */
const LOOPBACK = ['localhost', '127.0.0.1', '::1'] as const;

export interface Leaf {
  /** PEM. */
  readonly key: string;
  readonly cert: string;
}

export interface CertificateAuthority {
  /** PEM. */
  readonly certificate: string;
  /** @param name as the client says it; none for who connects by address @returns undefined for a name that is not ours to speak for */
  leaf(name: string | undefined): Leaf | undefined;
}

export interface AuthorityOptions {
  readonly directory: string;
  /** What the configuration adds: names, `*.` before one for one label more, and addresses. In lower case. */
  readonly names: readonly string[];
  /** Milliseconds. */
  now(): number;
  /** Writes a file whole or not at all, with mode 0600. */
  write(file: string, text: string): void;
  /** Told when one that clients may trust was replaced. */
  replaced(why: string): void;
}

interface Authority {
  readonly pem: string;
  readonly key: KeyObject;
  readonly name: string;
  readonly notBefore: number;
}

/** Reads it, or makes it where there is none, where it ends within a month, or where it is for other names than the configuration's. */
export function openCertificateAuthority(options: AuthorityOptions): CertificateAuthority {
  const own = options.names.filter((name) => isCertifiable(name) && !isGoogleName(name.replace(/^\*\./, '')) && !isLoopback(name));
  const constraints = nameConstraints([...GOOGLE_DOMAINS, ...LOOPBACK, ...new Set(own.map((name) => name.replace(/^\*\./, '')))]);
  const authority = readAuthority(options, constraints) ?? makeAuthority(options, constraints);
  const pair = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const key = pair.privateKey.export({ format: 'pem', type: 'pkcs8' });
  const leaves = new Map<string, { readonly leaf: Leaf; readonly freshUntil: number }>();

  const mint = (name: string, now: number): Leaf => {
    const names = name === 'localhost' ? LOOPBACK : [name];
    const cert = certificate({
      // A common name has at most 64 characters; who is meant stands in the extension.
      subject: name.length > 64 ? 'actas' : name,
      issuer: authority.name,
      publicKey: pair.publicKey,
      signer: authority.key,
      // Some clocks are behind: containers, virtual machines after a sleep.
      notBefore: new Date(Math.max(authority.notBefore, now - DAY_MS)),
      notAfter: new Date(now + LEAF_DAYS * DAY_MS),
      extensions: serverExtensions(keyId(pair.publicKey), keyId(createPublicKey(authority.key)), names),
    });
    return { key, cert };
  };
  return {
    certificate: authority.pem,
    leaf(given) {
      const asked = given?.toLowerCase().replace(/\.$/, '') ?? 'localhost';
      const name = isLoopback(asked) ? 'localhost' : asked;
      if (name !== 'localhost' && !((isGoogleName(name) && name.length <= 253) || matchesName(name, own))) return undefined;
      const now = options.now();
      const known = leaves.get(name);
      if (known !== undefined && known.freshUntil > now) return known.leaf;
      const leaf = mint(name, now);
      leaves.delete(name);
      leaves.set(name, { leaf, freshUntil: now + (LEAF_DAYS - 1) * DAY_MS });
      const oldest = leaves.keys().next().value;
      if (leaves.size > MAX_LEAVES && oldest !== undefined) leaves.delete(oldest);
      return leaf;
    },
  };
}

function readAuthority({ directory, now, replaced }: AuthorityOptions, constraints: Buffer): Authority | undefined {
  const [file, keyFile] = [join(directory, AUTHORITY_FILE), join(directory, KEY_FILE)];
  if (!existsSync(file) || !existsSync(keyFile)) return undefined;
  chmodSync(keyFile, 0o600);
  const pem = readFileSync(file, 'utf8');
  let found: X509Certificate;
  let key: KeyObject;
  try {
    found = new X509Certificate(pem);
    key = createPrivateKey(readFileSync(keyFile));
  } catch {
    replaced(`${file} or its key cannot be read`);
    return undefined;
  }
  const why = !found.checkPrivateKey(key)
    ? `${keyFile} is not its key`
    : Date.parse(found.validTo) < now() + 30 * DAY_MS
      ? `it ends on ${found.validTo}`
      : found.raw.includes(constraints)
        ? undefined
        : 'the configuration names other hosts now';
  if (why !== undefined) {
    replaced(why);
    return undefined;
  }
  // Node writes it as RFC 2253 does, with a backslash before the comma; certificates below it have the name as it is.
  const name = found.subject.replace(/^CN=/, '').replace(/\\(.)/g, '$1');
  return { pem, key, name, notBefore: Date.parse(found.validFrom) };
}

function makeAuthority({ directory, now, write }: AuthorityOptions, constraints: Buffer): Authority {
  const { publicKey, privateKey: key } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  // Two of them in one trust store must not be taken for each other.
  const name = `actas ${randomBytes(4).toString('hex')}, for Google API names on this machine`;
  const notBefore = now() - DAY_MS;
  const pem = certificate({
    subject: name,
    issuer: name,
    publicKey,
    signer: key,
    notBefore: new Date(notBefore),
    notAfter: new Date(now() + AUTHORITY_DAYS * DAY_MS),
    extensions: authorityExtensions(keyId(publicKey), constraints),
  });
  write(join(directory, KEY_FILE), key.export({ format: 'pem', type: 'pkcs8' }));
  write(join(directory, AUTHORITY_FILE), pem);
  return { pem, key, name, notBefore };
}

function keyId(key: KeyObject): Buffer {
  return createHash('sha256')
    .update(key.export({ format: 'der', type: 'spki' }))
    .digest()
    .subarray(0, 20);
}

function isLoopback(name: string): boolean {
  return LOOPBACK.some((one) => one === name);
}

/** Whether a configured name can stand in a certificate: an address that is one and not all, or a host. */
function isCertifiable(name: string): boolean {
  if (isIP(name) !== 0) return !['0.0.0.0', '::'].includes(name) && !/:.*\./.test(name);
  return /^(?:\*\.)?[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*$/.test(name);
}
