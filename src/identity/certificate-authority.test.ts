import { X509Certificate } from 'node:crypto';
import { chmodSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { openCertificateAuthority } from './certificate-authority.ts';

const root = mkdtempSync(join(tmpdir(), 'actas-ca-'));
afterAll(() => rmSync(root, { recursive: true }));
const DAY_MS = 86_400_000;

function open(directory: string, names: readonly string[] = [], now = () => Date.now()) {
  const replaced: string[] = [];
  const authority = openCertificateAuthority({
    directory,
    names,
    now,
    write: (file, text) => writeFileSync(file, text, { mode: 0o600 }),
    replaced: (why) => replaced.push(why),
  });
  return { ...authority, replaced, certificateOf: (name?: string) => new X509Certificate(authority.leaf(name)?.cert ?? '') };
}
const fresh = () => mkdtempSync(join(root, 'd-'));

test('the key is for its owner alone, also where somebody opened it up, and the authority stays the same', () => {
  const directory = fresh();
  const first = open(directory);
  expect(statSync(join(directory, 'ca-key.pem')).mode & 0o777).toBe(0o600);
  chmodSync(join(directory, 'ca-key.pem'), 0o644);
  expect(open(directory)).toMatchObject({ certificate: first.certificate, replaced: [] });
  expect(statSync(join(directory, 'ca-key.pem')).mode & 0o777).toBe(0o600);
  expect(readFileSync(join(directory, 'ca.pem'), 'utf8')).not.toContain('PRIVATE');
});

test('what it signs after a restart is signed in its name', () => {
  const directory = fresh();
  const ca = new X509Certificate(open(directory).certificate);
  expect(open(directory).certificateOf('run.googleapis.com').checkIssued(ca)).toBe(true);
});

test('certificates are for the name that is asked for, of names that are ours', () => {
  const authority = open(fresh(), ['actas.corp.example', '*.actas.corp.example', '10.1.2.3', '0.0.0.0', 'bad name', '']);
  const ca = new X509Certificate(authority.certificate);
  for (const name of [
    'run.googleapis.com',
    'us-central1-run.googleapis.com',
    'a.b.googleapis.com',
    'googleapis.com',
    'accounts.google.com',
    'x-uc.a.run.app',
    'us-docker.pkg.dev',
    'actas.corp.example',
    'x.actas.corp.example',
    'RUN.GOOGLEAPIS.COM.',
  ]) {
    const leaf = authority.certificateOf(name);
    expect([leaf.checkHost(name.replace(/\.$/, '')) !== undefined, leaf.checkIssued(ca), leaf.verify(ca.publicKey), leaf.ca], name).toEqual([true, true, true, false]);
    expect(leaf.checkHost('storage.googleapis.com')).toBeUndefined();
  }
  for (const name of [undefined, 'localhost', '127.0.0.1']) {
    const leaf = authority.certificateOf(name);
    expect([leaf.checkHost('localhost'), leaf.checkIP('127.0.0.1'), leaf.checkIP('::1')]).toEqual(['localhost', '127.0.0.1', '::1']);
  }
  expect(authority.certificateOf('10.1.2.3').checkIP('10.1.2.3')).toBe('10.1.2.3');
  for (const name of ['example.com', 'evilgoogleapis.com', 'google.com', 'www.google.com', 'y.x.actas.corp.example', 'googleapis.com.evil.example', '../x.googleapis.com', ''])
    expect(authority.leaf(name), name).toBeUndefined();
});

test('they are kept while they are good, and made anew before they end', () => {
  let now = Date.now();
  const authority = open(fresh(), [], () => now);
  const first = authority.leaf('iam.googleapis.com');
  now += 5 * DAY_MS;
  expect(authority.leaf('iam.googleapis.com')).toBe(first);
  now += 1.5 * DAY_MS;
  expect(authority.leaf('iam.googleapis.com')).not.toBe(first);
  // Names without end cost memory without end, if all were kept.
  for (let i = 0; i < 300; i += 1) authority.leaf(`n${i}.googleapis.com`);
  const last = authority.leaf('n299.googleapis.com');
  expect(authority.leaf('n299.googleapis.com')).toBe(last);
});

test('an authority that is of no more use is replaced, and that is said', () => {
  const directory = fresh();
  const first = open(directory);
  const wider = open(directory, ['actas.corp.example']);
  expect(wider.replaced).toEqual(['the configuration names other hosts now']);
  expect(wider.certificate).not.toBe(first.certificate);
  expect(open(directory, ['actas.corp.example']).certificate).toBe(wider.certificate);
  expect(open(directory, ['actas.corp.example'], () => Date.now() + 3640 * DAY_MS).replaced[0]).toMatch(/^it ends on /);
  writeFileSync(join(directory, 'ca-key.pem'), 'broken');
  expect(open(directory).replaced[0]).toMatch(/cannot be read$/);
});
