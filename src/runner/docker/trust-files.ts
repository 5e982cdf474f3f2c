/** What an image must hold so that its programs trust a further authority: which files to look at, what they become, and what Node and Python must be told. Pure. */
import { createHash, X509Certificate } from 'node:crypto';
import { dirname } from 'node:path/posix';
import { rootCertificates } from 'node:tls';
import { der, partsOf, readDer } from './der.ts';
import { withCertificate } from './java-store.ts';

export interface ImageFile {
  /** Without links. */
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
}

export interface TrustChange {
  readonly files: readonly ImageFile[];
  /** `NAME=VALUE`, of variables that the image does not set itself. */
  readonly env: readonly string[];
  /** What could not be extended, for people. */
  readonly obstacles: readonly string[];
}

/** Where systems keep the authorities that they trust, the likeliest first: Debian and Alpine, Red Hat (a link, and its target), SUSE, Alpine's OpenSSL. */
const BUNDLES = [
  '/etc/ssl/certs/ca-certificates.crt',
  '/etc/pki/tls/certs/ca-bundle.crt',
  '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
  '/etc/ssl/ca-bundle.pem',
  '/etc/ssl/cert.pem',
] as const;
/** Debian, Red Hat, Temurin, and where distributions put their default one. Others are found by the image's JAVA_HOME. */
const JAVA_STORES = [
  '/etc/ssl/certs/java/cacerts',
  '/etc/pki/java/cacerts',
  '/opt/java/openjdk/lib/security/cacerts',
  '/usr/lib/jvm/default-java/lib/security/cacerts',
  '/usr/lib/jvm/default-jvm/lib/security/cacerts',
] as const;
/** Of runtimes and libraries that bring their own list and overlook the system's; each names a bundle that replaces it. */
const BUNDLE_VARIABLES = ['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'HTTPLIB2_CA_CERTS', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH', 'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE'] as const;
/** Names what Node trusts beside its own list. */
const NODE_VARIABLE = 'NODE_EXTRA_CA_CERTS';
/** An image may set it; set by us it would say nothing that curl does not know. */
const CURL_VARIABLE = 'CURL_CA_BUNDLE';
/** The authority alone, where `update-ca-certificates` of Debian and Alpine finds it, should a program in the container call it. */
const AUTHORITY_FILE = '/usr/local/share/ca-certificates/actas.crt';
/** The same for `update-ca-trust` of Red Hat, and what programs with GnuTLS and NSS read there. */
const RED_HAT_ANCHOR = '/etc/pki/ca-trust/source/anchors/actas.pem';

function bundlePaths(env: ReadonlyMap<string, string>): readonly string[] {
  return [...new Set([...BUNDLES, ...[...BUNDLE_VARIABLES, NODE_VARIABLE, CURL_VARIABLE].flatMap((name) => env.get(name) ?? [])])];
}

function javaPaths(env: ReadonlyMap<string, string>): readonly string[] {
  const home = env.get('JAVA_HOME');
  return [...JAVA_STORES, ...(home === undefined ? [] : [`${home}/lib/security/cacerts`, `${home}/jre/lib/security/cacerts`])];
}

/** What is to be read of an image before `extendTrust`. @param imageEnv `NAME=VALUE` */
export function trustPaths(imageEnv: readonly string[]): readonly string[] {
  const env = readEnv(imageEnv);
  return [...bundlePaths(env), ...javaPaths(env)].filter((path) => path.startsWith('/'));
}

/** @param found by the path that was asked for @param authority PEM */
export function extendTrust(found: ReadonlyMap<string, ImageFile>, imageEnv: readonly string[], authority: string, nowMs: number): TrustChange {
  const env = readEnv(imageEnv);
  const certificate = new X509Certificate(authority).raw;
  const files = new Map<string, ImageFile>();
  const obstacles: string[] = [];
  const add = (file: ImageFile) => files.set(file.path, file);
  const own = (path: string, text: string) => add({ path, content: Buffer.from(text), mode: 0o644, uid: 0, gid: 0 });
  own(AUTHORITY_FILE, authority);
  let bundle: string | undefined;
  for (const path of bundlePaths(env)) {
    const file = found.get(path);
    if (file === undefined) continue;
    if (!file.content.includes('-----BEGIN CERTIFICATE-----')) obstacles.push(`${path} is no list of certificates`);
    else {
      bundle ??= BUNDLES.find((known) => known === path);
      add({ ...file, content: Buffer.concat([file.content, Buffer.from(`\n${authority}`)]) });
    }
  }
  // Also for programs that bring a list for images that have none: to find one of a single authority, they would take it for all that there is.
  if (bundle === undefined) {
    bundle = BUNDLES[0];
    own(bundle, `${rootCertificates.join('\n')}\n${authority}`);
  }
  if (bundle.startsWith('/etc/pki/')) own(RED_HAT_ANCHOR, authority);
  else own(`${dirname(BUNDLES[0])}/${subjectHash(certificate)}.0`, authority);
  for (const path of javaPaths(env)) {
    const file = found.get(path);
    const content = file === undefined ? undefined : withCertificate(file.content, 'actas', certificate, nowMs);
    if (file !== undefined && content !== undefined) add({ ...file, content });
    else if (file !== undefined) obstacles.push(`${path} is no trust store of Java's usual kinds and password`);
  }
  const variables = [[NODE_VARIABLE, AUTHORITY_FILE] as const, ...BUNDLE_VARIABLES.map((name) => [name, bundle] as const)];
  return { files: [...files.values()], env: variables.filter(([name]) => !env.has(name)).map(([name, value]) => `${name}=${value}`), obstacles };
}

function readEnv(entries: readonly string[]): ReadonlyMap<string, string> {
  return new Map(
    entries.flatMap((entry): [string, string][] => {
      const cut = entry.indexOf('=');
      return cut < 0 || entry.length === cut + 1 ? [] : [[entry.slice(0, cut), entry.slice(cut + 1)]];
    }),
  );
}

const UTF8 = 0x0c;

/** The name under which OpenSSL looks a certificate up in a folder: X509_NAME_hash, of a name that is text throughout. */
export function subjectHash(certificate: Buffer): string {
  // Version, serial, algorithm, issuer, validity, subject.
  const subject = partsOf(partsOf(readDer(certificate)[0])[0])[5];
  const canonical = partsOf(subject).map((set) =>
    der(
      set.tag,
      ...readDer(set.content).map((pair) => {
        const [type, value] = partsOf(pair);
        const text = (value?.content.toString() ?? '')
          .trim()
          .replace(/\s+/g, ' ')
          .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
        return der(0x30, type?.whole ?? Buffer.alloc(0), der(UTF8, Buffer.from(text)));
      }),
    ),
  );
  return createHash('sha1').update(Buffer.concat(canonical)).digest().readUInt32LE(0).toString(16).padStart(8, '0');
}
