/** A registry of images in memory, on loopback, where engines allow plain HTTP: what a pull asks of it (OCI distribution specification), and who may. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:http';
import { buffer } from 'node:stream/consumers';
import { gzipSync } from 'node:zlib';
import { pack } from 'tar-stream';

const MANIFEST = 'application/vnd.docker.distribution.manifest.v2+json';

export interface TestRegistry {
  /** `127.0.0.1:PORT`. */
  readonly host: string;
  /** `Authorization` of every request so far; undefined where there was none. */
  readonly seen: (string | undefined)[];
  /** Puts an image of one layer under `REPOSITORY:TAG`. @returns its manifest's digest */
  push(name: string, files: Readonly<Record<string, string>>): Promise<string>;
  close(): void;
}

/** @param credentials `user:password`, wanted of everybody */
export async function startTestRegistry(credentials: string): Promise<TestRegistry> {
  const blobs = new Map<string, Buffer>();
  const manifests = new Map<string, Buffer>();
  const seen: (string | undefined)[] = [];
  const server = createServer((request, response) => {
    seen.push(request.headers.authorization);
    const refuse = (status: number, code: string) =>
      response
        .writeHead(status, { 'content-type': 'application/json', ...(status === 401 ? { 'www-authenticate': 'Basic realm="test"' } : {}) })
        .end(JSON.stringify({ errors: [{ code, message: code.toLowerCase().replace('_', ' ') }] }));
    if (request.headers.authorization !== `Basic ${Buffer.from(credentials).toString('base64')}`) return refuse(401, 'UNAUTHORIZED');
    const [, repository = '', kind, reference = ''] = /^\/v2\/(.+)\/(manifests|blobs)\/(.+)$/.exec(request.url ?? '') ?? [];
    if (request.url === '/v2/') return response.end('{}');
    const found = kind === 'manifests' ? manifests.get(reference.startsWith('sha256:') ? reference : `${repository}:${reference}`) : blobs.get(reference);
    if (found === undefined) return refuse(404, kind === 'manifests' ? 'MANIFEST_UNKNOWN' : 'BLOB_UNKNOWN');
    response.writeHead(200, {
      'content-type': kind === 'manifests' ? MANIFEST : 'application/octet-stream',
      'content-length': found.length,
      'docker-content-digest': digestOf(found),
    });
    return response.end(request.method === 'HEAD' ? undefined : found);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  return {
    host: `127.0.0.1:${typeof address === 'object' ? address?.port : 0}`,
    seen,
    async push(name, files) {
      const tar = await tarOf(files);
      const layer = gzipSync(tar);
      const config = Buffer.from(JSON.stringify({ architecture: 'amd64', os: 'linux', config: { Cmd: ['/none'] }, rootfs: { type: 'layers', diff_ids: [digestOf(tar)] } }));
      for (const blob of [layer, config]) blobs.set(digestOf(blob), blob);
      const describe = (mediaType: string, blob: Buffer) => ({ mediaType, size: blob.length, digest: digestOf(blob) });
      const manifest = Buffer.from(
        JSON.stringify({
          schemaVersion: 2,
          mediaType: MANIFEST,
          config: describe('application/vnd.docker.container.image.v1+json', config),
          layers: [describe('application/vnd.docker.image.rootfs.diff.tar.gzip', layer)],
        }),
      );
      for (const key of [name, digestOf(manifest)]) manifests.set(key, manifest);
      return digestOf(manifest);
    },
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

/** A tar archive of these files, by path. */
export async function tarOf(files: Readonly<Record<string, string>>): Promise<Buffer> {
  const tar = pack();
  for (const [name, content] of Object.entries(files)) tar.entry({ name }, content);
  tar.finalize();
  return buffer(tar);
}

function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}
