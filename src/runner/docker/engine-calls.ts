/** Single requests to the engine, and what its refusals mean. */

import { posix } from 'node:path';
import { Readable } from 'node:stream';
import type Docker from 'dockerode';
import { pack } from 'tar-stream';
import type { AttemptId } from '../driver.ts';
import type { Naming } from './container-options.ts';
import { LABEL_ATTEMPT, LABEL_OWNER } from './labels.ts';
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
    if (!isStatus(error, 409)) throw error;
    const found = await docker.getContainer(name).inspect();
    for (const label of [LABEL_OWNER, LABEL_ATTEMPT]) if (found.Config.Labels[label] !== options.Labels?.[label]) throw error;
    return docker.getContainer(found.Id);
  }
}

/** A new volume belongs to root; an emptyDir is everybody's who runs in the attempt. (One in memory is mounted that way.) */
export async function openVolumes(container: Docker.Container, mounts: readonly PartMount[]): Promise<void> {
  for (const { volume, path } of mounts) {
    if (volume.medium !== 'disk') continue;
    const tar = pack();
    // By its name in the folder above: the engine leaves the mode of an archive's own root as it is.
    tar.entry({ name: `${posix.basename(path)}/`, type: 'directory', mode: 0o777 });
    tar.finalize();
    await container.putArchive(Readable.from(tar), { path: posix.dirname(path) });
  }
}

/** Everything that carries the attempt's label. */
export async function removeAttemptObjects(docker: Docker, naming: Naming, id: AttemptId): Promise<void> {
  const filters = { label: [`${LABEL_OWNER}=${naming.dataDirId}`, `${LABEL_ATTEMPT}=${id}`] };
  const containers = await docker.listContainers({ all: true, filters });
  await Promise.all(containers.map((container) => removeContainer(docker, container.Id)));
  // Asked for apart from the containers: a crash may have come between.
  const { Volumes: volumes } = await docker.listVolumes({ filters });
  await Promise.all((volumes ?? []).map((volume) => docker.getVolume(volume.Name).remove({ force: true }).catch(ignoring(404))));
}

/** 409: its removal is under way already. */
export async function removeContainer(docker: Docker, id: string): Promise<void> {
  await docker.getContainer(id).remove({ force: true, v: true }).catch(ignoring(404, 409));
}
