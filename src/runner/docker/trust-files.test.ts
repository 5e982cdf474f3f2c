import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { afterAll, describe, expect, test } from 'vitest';
import { openCertificateAuthority } from '../../identity/certificate-authority.ts';
import { extendTrust, type ImageFile, subjectHash, trustPaths } from './trust-files.ts';

const directory = mkdtempSync(join(tmpdir(), 'actas-trust-'));
afterAll(() => rmSync(directory, { recursive: true }));
const { certificate: authority } = openCertificateAuthority({
  directory,
  names: [],
  now: () => Date.now(),
  write: (file, text) => writeFileSync(file, text),
  replaced: () => undefined,
});
const [root = ''] = rootCertificates;
const file = (path: string, content: string | Buffer, more: Partial<ImageFile> = {}): ImageFile => ({ path, content: Buffer.from(content), mode: 0o644, uid: 0, gid: 0, ...more });
const extend = (found: Readonly<Record<string, ImageFile>>, env: readonly string[] = []) => {
  const change = extendTrust(new Map(Object.entries(found)), env, authority, 0);
  return { ...change, byPath: new Map(change.files.map((entry) => [entry.path, entry])) };
};

describe('what an image gets', () => {
  test('Debian, Alpine: one more in the bundle, and by its hash in the folder', () => {
    const { byPath, env, obstacles } = extend({ '/etc/ssl/certs/ca-certificates.crt': file('/etc/ssl/certs/ca-certificates.crt', root, { mode: 0o600, uid: 7 }) });
    const bundle = byPath.get('/etc/ssl/certs/ca-certificates.crt');
    expect(bundle).toMatchObject({ mode: 0o600, uid: 7 });
    expect(bundle?.content.toString()).toBe(`${root}\n${authority}`);
    expect(byPath.get(`/etc/ssl/certs/${subjectHash(new X509Certificate(authority).raw)}.0`)?.content.toString()).toBe(authority);
    expect(byPath.get('/usr/local/share/ca-certificates/actas.crt')?.content.toString()).toBe(authority);
    expect(env).toEqual([
      'NODE_EXTRA_CA_CERTS=/usr/local/share/ca-certificates/actas.crt',
      ...['SSL_CERT_FILE', 'REQUESTS_CA_BUNDLE', 'HTTPLIB2_CA_CERTS', 'GRPC_DEFAULT_SSL_ROOTS_FILE_PATH', 'CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE'].map(
        (name) => `${name}=/etc/ssl/certs/ca-certificates.crt`,
      ),
    ]);
    expect(obstacles).toEqual([]);
  });

  test('Red Hat: the file behind the link, once, and an anchor', () => {
    const real = file('/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem', root, { mode: 0o444 });
    const { files, byPath, env } = extend({ '/etc/pki/tls/certs/ca-bundle.crt': real, '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem': real });
    expect(files.map(({ path }) => path).sort()).toEqual([
      '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
      '/etc/pki/ca-trust/source/anchors/actas.pem',
      '/usr/local/share/ca-certificates/actas.crt',
    ]);
    expect(byPath.get(real.path)?.content.toString()).toBe(`${root}\n${authority}`);
    expect(env).toContain('REQUESTS_CA_BUNDLE=/etc/pki/tls/certs/ca-bundle.crt');
  });

  test('nothing there: the list of Node, with one more, so that no other site is distrusted by it', () => {
    const bundle = extend({}).byPath.get('/etc/ssl/certs/ca-certificates.crt')?.content.toString() ?? '';
    expect(bundle.match(/BEGIN CERTIFICATE/g)).toHaveLength(rootCertificates.length + 1);
  });

  test("a variable of the image's is not overridden; the file that it names is extended", () => {
    const imageEnv = ['SSL_CERT_FILE=/nix/ca.crt', 'CURL_CA_BUNDLE=/cacert.pem', 'NODE_EXTRA_CA_CERTS=', 'JAVA_HOME=/opt/jdk', 'odd'];
    expect(trustPaths(imageEnv)).toEqual(expect.arrayContaining(['/nix/ca.crt', '/cacert.pem', '/opt/jdk/lib/security/cacerts', '/opt/jdk/jre/lib/security/cacerts']));
    const { byPath, env } = extend({ '/nix/ca.crt': file('/nix/ca.crt', root), '/cacert.pem': file('/cacert.pem', root) }, imageEnv);
    expect(byPath.get('/nix/ca.crt')?.content.toString()).toContain(authority);
    expect(byPath.get('/cacert.pem')?.content.toString()).toContain(authority);
    expect(env.map((entry) => entry.split('=')[0])).not.toContain('SSL_CERT_FILE');
    expect(env).toContain('NODE_EXTRA_CA_CERTS=/usr/local/share/ca-certificates/actas.crt');
  });

  test('what is no list of certificates and no trust store stays as it is, and is told', () => {
    const { byPath, obstacles } = extend({
      '/etc/ssl/cert.pem': file('/etc/ssl/cert.pem', 'see elsewhere'),
      '/etc/pki/java/cacerts': file('/etc/pki/java/cacerts', Buffer.alloc(64, 1)),
    });
    expect(byPath.has('/etc/ssl/cert.pem')).toBe(false);
    expect(byPath.has('/etc/pki/java/cacerts')).toBe(false);
    expect(obstacles).toEqual(['/etc/ssl/cert.pem is no list of certificates', "/etc/pki/java/cacerts is no trust store of Java's usual kinds and password"]);
  });
});

const openssl = spawnSync('openssl', ['version']).status === 0;
test.skipIf(!openssl)('the hash is that of OpenSSL, for the authority and for all of the public ones', () => {
  const hashes = (pem: string) => execFileSync('openssl', ['x509', '-noout', '-hash'], { input: pem, encoding: 'utf8' }).trim();
  for (const pem of [authority, ...rootCertificates.filter((_, index) => index % 20 === 0)]) expect(subjectHash(new X509Certificate(pem).raw)).toBe(hashes(pem));
});
