/** Images of several kinds, as an engine makes them over: what is added, and that all else is as it was. */
import { spawnSync } from 'node:child_process';
import { randomUUID, X509Certificate } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { rootCertificates } from 'node:tls';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import { afterAll, afterEach, expect, test } from 'vitest';
import { describeWithEngine } from '../../../test/harness/engine.ts';
import { openCertificateAuthority } from '../../identity/certificate-authority.ts';
import { readFileOf } from './image-files.ts';
import { scopeOf } from './labels.ts';
import { dockerAt, silentLog } from './test-driver.ts';
import { createTrustImages } from './trust-image.ts';

const directory = mkdtempSync(join(tmpdir(), 'actas-trust-'));
const options = { directory, names: [], now: () => Date.now(), write: (file: string, text: string) => writeFileSync(file, text), replaced: () => undefined };
const { certificate: authority } = openCertificateAuthority(options);
const [root = ''] = rootCertificates;
afterAll(() => rmSync(directory, { recursive: true }));

describeWithEngine('images that trust the front door', (dockerHost) => {
  const docker = dockerAt(dockerHost);
  const undo: (() => Promise<unknown>)[] = [];
  afterEach(async () => {
    for (const step of undo.splice(0).reverse()) await step();
  });
  /** @param files content by path; a link begins with `->` */
  const build = async (files: Readonly<Record<string, string | Buffer>>, changes: readonly string[]): Promise<string> => {
    const tar = pack();
    for (const [path, content] of Object.entries(files)) {
      const link = /^->(.*)/.exec(String(content))?.[1];
      if (path.endsWith('/')) tar.entry({ name: path.slice(1), type: 'directory', mode: 0o755 });
      else if (link === undefined) tar.entry({ name: path.slice(1), mode: 0o444 }, content);
      else tar.entry({ name: path.slice(1), type: 'symlink', linkname: link });
    }
    tar.finalize();
    const name = `actas-test-trust:${randomUUID().slice(0, 8)}`;
    for await (const chunk of await docker.importImage(Readable.from(tar), { repo: name, changes: [...changes] })) expect(String(chunk)).not.toContain('"error"');
    undo.push(() => docker.getImage(name).remove());
    return (await docker.getImage(name).inspect()).Id;
  };
  const make = () => {
    const dataDirId = `test-${randomUUID()}`;
    const images = createTrustImages({ docker, naming: { dataDirId, scope: scopeOf(dataDirId) }, authority: async () => authority, log: silentLog });
    undo.push(() => images.remove());
    return images;
  };
  const contents = async (image: string, paths: readonly string[]): Promise<(string | undefined)[]> => {
    const container = await docker.createContainer({ Image: image, Cmd: ['x'] });
    undo.push(() => container.remove({ v: true }));
    return Promise.all(paths.map(async (path) => (await readFileOf(container, path))?.content.toString('latin1')));
  };
  const configOf = async (image: string): Promise<Docker.ImageInspectInfo['Config']> => (await docker.getImage(image).inspect()).Config;

  test("Red Hat's links, and all that the image says of itself", async () => {
    const base = await build(
      {
        '/etc/': '',
        '/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem': root,
        '/etc/pki/tls/certs/ca-bundle.crt': '->/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem',
        '/etc/ssl/certs': '->../pki/tls/certs',
      },
      ['USER 1000:1000', 'WORKDIR /srv', 'ENTRYPOINT ["/bin/program","--fast"]', 'CMD ["arg"]', 'ENV A="b c" D=$e', 'EXPOSE 8080', 'VOLUME /data', 'LABEL x=y'],
    );
    const derived = await make().of(base);
    const bundles = await contents(derived, ['/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/certs/ca-bundle.crt', '/etc/pki/ca-trust/source/anchors/actas.pem']);
    expect(bundles).toEqual([`${root}\n${authority}`, `${root}\n${authority}`, authority]);
    const [before, after] = [await configOf(base), await configOf(derived)];
    for (const key of ['User', 'WorkingDir', 'Entrypoint', 'Cmd', 'ExposedPorts', 'Volumes', 'Healthcheck'] as const) expect([key, after[key]]).toEqual([key, before[key]]);
    expect(after.Env).toEqual([...(before.Env ?? []), ...(after.Env ?? []).slice(before.Env?.length ?? 0)]);
    expect(after.Env).toContain('SSL_CERT_FILE=/etc/pki/tls/certs/ca-bundle.crt');
    expect(after.Labels).toMatchObject({ x: 'y' });
  });

  test('an image of nothing but a program', async () => {
    const base = await build({ '/program': 'x' }, []);
    const images = make();
    const [derived, again] = await Promise.all([images.of(base), images.of(base)]);
    expect(again).toBe(derived);
    const [bundle, alone] = await contents(derived, ['/etc/ssl/certs/ca-certificates.crt', '/usr/local/share/ca-certificates/actas.crt']);
    expect(bundle?.match(/BEGIN CERTIFICATE/g)).toHaveLength(rootCertificates.length + 1);
    expect(alone).toBe(authority);
    expect(new X509Certificate(alone ?? '').subject).toContain('actas');
  });

  const cacerts = '/etc/ssl/certs/java/cacerts';
  test.skipIf(!existsSync(cacerts) || spawnSync('keytool', ['-help']).status !== 0)("Java's trust store", async () => {
    const derived = await make().of(await build({ '/opt/jdk/lib/security/cacerts': readFileSync(cacerts) }, ['ENV JAVA_HOME=/opt/jdk']));
    const [store = ''] = await contents(derived, ['/opt/jdk/lib/security/cacerts']);
    writeFileSync(join(directory, 'cacerts'), Buffer.from(store, 'latin1'));
    const listed = spawnSync('keytool', ['-list', '-alias', 'actas', '-keystore', join(directory, 'cacerts'), '-storepass', 'changeit'], { encoding: 'utf8' });
    expect(listed.stdout).toContain('trustedCertEntry');
    expect(listed.stdout).toContain(new X509Certificate(authority).fingerprint256);
  });
});
