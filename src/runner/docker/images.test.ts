import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { describeWithEngine } from '../../../test/harness/engine.ts';
import { createImages, type Images } from './images.ts';
import { dockerAt, silentLog } from './test-driver.ts';
import { startTestRegistry, type TestRegistry, tarOf } from './test-registry.ts';

const CREDENTIALS = 'puller:s3cret:with colon';
const never = new AbortController().signal;

describeWithEngine('images', (dockerHost) => {
  const docker = dockerAt(dockerHost);
  const directory = mkdtempSync(join(tmpdir(), 'actas-images-'));
  const made = new Set<string>();
  let registry: TestRegistry;
  let repository: string;
  let auth: object;

  beforeAll(async () => {
    registry = await startTestRegistry(CREDENTIALS);
    auth = { auths: { [registry.host]: { auth: Buffer.from(CREDENTIALS).toString('base64') } } };
  });
  beforeEach(() => {
    repository = `team/${randomUUID()}`;
    registry.seen.length = 0;
  });
  afterAll(async () => {
    registry.close();
    rmSync(directory, { recursive: true, force: true });
    for (const id of made)
      await docker
        .getImage(id)
        .remove({ force: true })
        .catch(() => undefined);
  });

  const images = (config: object, mapping: Record<string, string> = {}): Images => {
    writeFileSync(join(directory, 'config.json'), JSON.stringify(config));
    return createImages({ docker, environment: { DOCKER_CONFIG: directory, PATH: `${directory}:${process.env['PATH']}` }, mapping, log: silentLog });
  };
  const resolve = async (from: Images, reference: string) => {
    const image = await from.resolve(reference, never);
    made.add(image.pinned);
    return image;
  };
  const push = (tag: string, word: string) => registry.push(`${repository}:${tag}`, { word: `${word} ${repository}` });

  test("a pull takes the user's password for that registry; the digest is the registry's, and stays good when the tag moves", async () => {
    const digest = await push('v1', 'one');
    const name = `${registry.host}/${repository}`;
    const first = await resolve(images(auth), `${name}:v1`);
    expect(first).toMatchObject({ digest, source: 'pulled', architecture: 'amd64', os: 'linux' });
    // A local image is used without asking anybody.
    registry.seen.length = 0;
    expect(await resolve(images({}), `${name}:v1`)).toMatchObject({ digest, source: 'local' });
    expect(registry.seen).toEqual([]);
    expect(await push('v1', 'two')).not.toBe(digest);
    await docker.getImage(`${name}:v1`).remove({ force: true });
    const second = await resolve(images(auth), `${name}:v1`);
    expect(second.pinned).not.toBe(first.pinned);
    // By its digest the first one is pulled again.
    expect(await resolve(images(auth), `${name}@${digest}`)).toMatchObject({ pinned: first.pinned, digest });
    expect(await resolve(images({}), `${name}@${digest}`)).toMatchObject({ pinned: first.pinned, digest, source: 'local' });
  });

  test('a credential helper is asked for the registry', async () => {
    const digest = await push('v1', 'helper');
    const [username, ...password] = CREDENTIALS.split(':');
    writeFileSync(
      join(directory, 'docker-credential-review'),
      `#!/bin/sh\nread server\necho "$1 $server" > ${directory}/asked\necho '${JSON.stringify({ Username: username, Secret: password.join(':') })}'\n`,
      { mode: 0o755 },
    );
    expect(await resolve(images({ credHelpers: { [registry.host]: 'review' } }), `${registry.host}/${repository}:v1`)).toMatchObject({ digest });
  });

  test.each([
    ['no password', {}, 'v1', 'unauthorized'],
    ['a wrong password', { auths: { registry: { auth: Buffer.from('puller:wrong').toString('base64') } } }, 'v1', 'unauthorized'],
    ['an unknown tag', undefined, 'v9', 'missing'],
  ])('%s', async (_, config, tag, kind) => {
    await push('v1', 'refused');
    const given = config === undefined ? auth : JSON.parse(JSON.stringify(config).replace('"registry"', JSON.stringify(registry.host)));
    await expect(images(given).resolve(`${registry.host}/${repository}:${tag}`, never)).rejects.toMatchObject({ name: 'ImageError', kind });
  });

  test('many that want one image at once wait for one pull', async () => {
    await push('v1', 'many');
    const from = images(auth);
    const found = await Promise.all(Array.from({ length: 5 }, () => resolve(from, `${registry.host}/${repository}:v1`)));
    expect(new Set(found.map((image) => image.pinned)).size).toBe(1);
    expect(registry.seen.length).toBeLessThan(12);
  });

  test('the mapping: a local image, a mirror, and archives of every kind', async () => {
    const wanted = `us-docker.pkg.dev/cloudrun/${repository}:latest`;
    const digest = await push('v1', 'mirror');
    const mirror = `${registry.host}/${repository}:v1`;
    const mirrored = await resolve(images(auth, { [wanted]: mirror }), wanted);
    expect(mirrored).toMatchObject({ source: 'mapped', digest });
    // As the execution names it, after a restart: that name with the mirror's digest.
    expect(await resolve(images({}, { [wanted]: mirror }), `${wanted.replace(':latest', '')}@${digest}`)).toMatchObject({ pinned: mirrored.pinned });
    registry.seen.length = 0;
    expect(await resolve(images({}, { [wanted]: mirror }), wanted)).toMatchObject({ source: 'mapped', pinned: mirrored.pinned });
    expect(registry.seen).toEqual([]);

    const saved = await buffer(await docker.getImage(mirror).get());
    const rootfs = await tarOf({ 'etc/word': repository });
    for (const [file, content] of Object.entries({ 'saved.tar': saved, 'saved.tar.gz': gzipSync(saved), 'rootfs.tar': rootfs, 'rootfs.tgz': gzipSync(rootfs) })) {
      const path = join(directory, file);
      writeFileSync(path, content);
      const image = await resolve(images({}, { [wanted]: path }), wanted);
      expect(image, file).toMatchObject({ source: 'mapped', os: 'linux', digest: expect.stringMatching(/^sha256:/) });
      if (file.startsWith('saved')) expect(image.pinned, file).toBe(mirrored.pinned);
      expect((await resolve(images({}, { [wanted]: path }), `${wanted.replace(':latest', '')}@${image.digest}`)).pinned, file).toBe(image.pinned);
    }
    await expect(images({}, { [wanted]: join(directory, 'absent.tar') }).resolve(wanted, never)).rejects.toMatchObject({
      kind: 'missing',
      message: expect.stringContaining('absent.tar'),
    });
  });
});
