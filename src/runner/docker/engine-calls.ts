/** Single requests to the engine, and what its refusals mean. */

import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import type { AttemptId } from '../driver.ts';
import type { Naming } from './container-options.ts';
import { LABEL_ATTEMPT, LABEL_CONTAINER, LABEL_OWNER } from './labels.ts';
import type { PartMount } from './volume-parts.ts';

/** The HTTP status of the engine's refusal; undefined where the engine did not answer at all. */
export function statusOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'statusCode' in error && typeof error.statusCode === 'number' ? error.statusCode : undefined;
}

export function isStatus(error: unknown, ...statuses: readonly number[]): boolean {
  const status = statusOf(error);
  return status !== undefined && statuses.includes(status);
}

/** For `.catch`: these statuses are as good as success. */
export function ignoring(...statuses: readonly number[]): (error: unknown) => undefined {
  return (error) => {
    if (!isStatus(error, ...statuses)) throw error;
    return undefined;
  };
}

/** The engine's own sentence, without the client's prefix. */
export function reasonOf(error: unknown): string {
  if (
    typeof error === 'object' &&
    error !== null &&
    'json' in error &&
    typeof error.json === 'object' &&
    error.json !== null &&
    'message' in error.json &&
    typeof error.json.message === 'string'
  )
    return error.json.message;
  return error instanceof Error ? error.message.trim() : String(error);
}

/** Creates a container, or finds the one of this name that an earlier try created. */
export async function createContainer(docker: Docker, options: Docker.ContainerCreateOptions): Promise<Docker.Container> {
  const { name = '', ...body } = options;
  try {
    // Apart, because the client would otherwise put all of it, the environment's values included, into the URL as well.
    const request: object = { _query: { name }, _body: body };
    return await docker.createContainer(request);
  } catch (error) {
    // Podman has no status of its own for a name that is taken.
    if (!isStatus(error, 409) && !(isStatus(error, 500) && /already in use/.test(reasonOf(error)))) throw error;
    const found = await docker.getContainer(name).inspect();
    for (const label of [LABEL_OWNER, LABEL_ATTEMPT]) if (found.Config.Labels[label] !== options.Labels?.[label]) throw error;
    return docker.getContainer(found.Id);
  }
}

/** The frames of a container's output with timestamps, from its first line on; the client would give an output that is not followed in one piece, and as text. */
export function outputOf(docker: Docker, id: string, { follow, signal }: { readonly follow: boolean; readonly signal: AbortSignal }): Promise<NodeJS.ReadableStream> {
  const call = {
    path: `/containers/${id}/logs?`,
    method: 'GET',
    isStream: true,
    abortSignal: signal,
    options: { stdout: true, stderr: true, timestamps: true, follow },
    statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
  };
  return new Promise((resolve, reject) => {
    docker.modem.dial(call, (error, stream) => {
      if (stream instanceof Readable) resolve(stream);
      else reject(error ?? new Error('The engine gives no output.'));
    });
  });
}

/**
 * A new volume belongs to root; an emptyDir is everybody's who runs in the attempt. (One in memory is mounted that way.) On the first container that
 * mounts it, before its start: Podman takes a volume's mode from the folder that it covers there, and never again.
 */
export async function openVolumes(container: Docker.Container, mounts: readonly PartMount[]): Promise<void> {
  const paths = mounts.flatMap(({ volume, path }) => (volume.medium === 'disk' ? [path] : []));
  if (paths.length === 0) return;
  const tar = pack();
  // From the root: the engine leaves the mode of an archive's own root as it is, and Podman, which takes a volume's mode from the folder that it will
  // cover, looks for that in the container's own file system, outer volumes left out.
  for (const path of paths) tar.entry({ name: `${path.slice(1)}/`, type: 'directory', mode: 0o777 });
  tar.finalize();
  await container.putArchive(Readable.from(tar), { path: '/' });
}

/** Everything that carries the attempt's label. */
export async function removeAttemptObjects(docker: Docker, naming: Naming, id: AttemptId): Promise<void> {
  const filters = { label: [`${LABEL_OWNER}=${naming.dataDirId}`, `${LABEL_ATTEMPT}=${id}`] };
  const containers = await docker.listContainers({ all: true, filters });
  // The sandbox last: Podman keeps a container whose network another one is in.
  for (const isMember of [true, false])
    await Promise.all(containers.filter(({ Labels }) => (Labels[LABEL_CONTAINER] !== undefined) === isMember).map(({ Id }) => removeContainer(docker, Id)));
  // Asked for apart from the containers: a crash may have come between.
  const { Volumes: volumes } = await docker.listVolumes({ filters });
  await Promise.all((volumes ?? []).map((volume) => docker.getVolume(volume.Name).remove({ force: true }).catch(ignoring(404))));
}

/** 409: its removal is under way already. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  await docker.getContainer(id).remove({ force: true, v: true }).catch(ignoring(404, 409));
}
