import { execFileSync, spawnSync } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { withCertificate } from './java-store.ts';

const keytool = spawnSync('keytool', ['-help']).status === 0;
const directory = mkdtempSync(join(tmpdir(), 'actas-java-'));
afterAll(() => rmSync(directory, { recursive: true }));
const file = (name: string) => join(directory, name);

describe.skipIf(!keytool)(`Java's own keytool${keytool ? '' : ' (not installed)'}`, () => {
  let certificate = Buffer.alloc(0);
  const run = (...args: string[]) => execFileSync('keytool', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  const make = (store: string, ...more: string[]) =>
    run('-genkeypair', '-keyalg', 'EC', '-alias', 'there', '-dname', 'CN=there', '-keystore', file(store), '-storepass', 'changeit', '-keypass', 'changeit', ...more);
  beforeAll(() => {
    make('other', '-storetype', 'PKCS12');
    certificate = Buffer.from(new X509Certificate(run('-exportcert', '-rfc', '-alias', 'there', '-keystore', file('other'), '-storepass', 'changeit')).raw);
    writeFileSync(file('cert'), certificate);
  });
  const stores: readonly (readonly [string, readonly string[]])[] = [
    ['JKS', ['-storetype', 'JKS']],
    ['PKCS12 with a password', ['-storetype', 'PKCS12']],
    ['PKCS12 as Java 8 writes it', ['-storetype', 'PKCS12', '-J-Dkeystore.pkcs12.legacy']],
    ['PKCS12 without one', ['-storetype', 'PKCS12', '-J-Dkeystore.pkcs12.certProtectionAlgorithm=NONE', '-J-Dkeystore.pkcs12.macAlgorithm=NONE']],
  ];
  test.each(stores)('takes %s for a store that trusts one more', (kind, options) => {
    const path = file(kind.replaceAll(' ', '-'));
    run('-importcert', '-noprompt', '-alias', 'first', '-file', file('cert'), '-keystore', path, '-storepass', 'changeit', ...options);
    const extended = withCertificate(readFileSync(path), 'actas', certificate, 1_700_000_000_000);
    if (extended === undefined) throw new Error('not taken for a store');
    writeFileSync(path, extended);
    const listed = run('-list', '-keystore', path, '-storepass', 'changeit');
    expect(listed).toMatch(/first, .*trustedCertEntry/);
    expect(listed).toMatch(/actas, .*trustedCertEntry/);
    // Another one after it.
    expect(withCertificate(extended, 'again', certificate, 0)).toBeDefined();
  });

  test('a store of another password stays as it is', () => {
    for (const storetype of ['JKS', 'PKCS12']) {
      const path = file(`secret-${storetype}`);
      run('-importcert', '-noprompt', '-alias', 'first', '-file', file('cert'), '-keystore', path, '-storepass', 'another', '-storetype', storetype);
      expect(withCertificate(readFileSync(path), 'actas', certificate, 0)).toBeUndefined();
    }
  });

  test("this machine's own cacerts, where it has one", () => {
    const own = ['/etc/ssl/certs/java/cacerts', '/etc/pki/java/cacerts'].find((path) => existsSync(path));
    if (own === undefined) return;
    const count = (path: string) => run('-list', '-keystore', path, '-storepass', 'changeit').match(/trustedCertEntry/g)?.length ?? 0;
    const extended = withCertificate(readFileSync(own), 'actas', certificate, 0);
    writeFileSync(file('own'), extended ?? '');
    expect(count(file('own'))).toBe(count(own) + 1);
  });
});

test('what is no store is none, whatever it is', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), fc.constantFrom('', 'feedfeed00000002', '30820100020103', '3080', '30', '3003020103'), (bytes, head) => {
      expect(withCertificate(Buffer.concat([Buffer.from(head, 'hex'), bytes]), 'actas', Buffer.from('3000', 'hex'), 0)).toBeUndefined();
    }),
  );
});
