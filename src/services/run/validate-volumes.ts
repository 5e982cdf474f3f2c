/** Volumes of a task, and where its containers mount them. */

import { invalidArgument } from '../../errors.ts';
import type { Container, SecretVolumeSource, Volume } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { EmptyDirVolumeSource_Medium } from '../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { parseBytes } from '../../quantity.ts';
import { DNS_LABEL, REQUIRED, type Refuse, refuseNul, refuseOutside } from './violations.ts';

const SECRET = /^(?:projects\/[^/\s]+\/secrets\/)?[A-Za-z0-9_-]{1,255}$/;
const SQL_INSTANCE = /^[^\s:/]+(?::[^\s:/]+)?:[a-z0-9-]+:[A-Za-z0-9_-]+$/;
const BUCKET = /^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$/;

export function validateVolumes(volumes: readonly Volume[], refuse: Refuse): void {
  const seen = new Set<string>();
  for (const [index, volume] of volumes.entries()) {
    const path = `template.template.volumes[${index}]`;
    if (volume.name === '') throw refuse(`${path}.name`, REQUIRED);
    if (!DNS_LABEL.test(volume.name)) throw refuse(`${path}.name`, 'must be a DNS label: lowercase letters, digits and hyphens, at most 63 characters.');
    if (seen.has(volume.name)) throw invalidArgument(`${path}.name`, `Volume name '${volume.name}' is used more than once.`);
    seen.add(volume.name);
    validateSource(volume, path, refuse);
  }
}

/** @param secret as a volume or a variable names it */
export function validateSecretName(secret: string, path: string, refuse: Refuse): void {
  if (secret === '') throw refuse(path, REQUIRED);
  if (!SECRET.test(secret)) throw refuse(path, 'must be {secret} for a secret of the same project, or projects/{project}/secrets/{secret}.');
}

function validateSource(volume: Volume, path: string, refuse: Refuse): void {
  const source = volume.volumeType;
  switch (source.case) {
    case 'secret':
      return validateSecret(source.value, `${path}.secret`, refuse);
    case 'cloudSqlInstance':
      for (const [index, instance] of source.value.instances.entries())
        if (!SQL_INSTANCE.test(instance)) throw refuse(`${path}.cloud_sql_instance.instances[${index}]`, 'must be in the form {project}:{location}:{instance}.');
      return;
    case 'emptyDir': {
      const { medium, sizeLimit } = source.value;
      if (EmptyDirVolumeSource_Medium[medium] === undefined) throw refuse(`${path}.empty_dir.medium`, `unknown value ${medium}.`);
      if (sizeLimit !== '' && !((parseBytes(sizeLimit) ?? 0) > 0))
        throw refuse(`${path}.empty_dir.size_limit`, `'${sizeLimit}' is not a size. Write a number of bytes, or one with a unit as in 512Mi.`);
      return;
    }
    case 'nfs':
      if (source.value.server === '') throw refuse(`${path}.nfs.server`, REQUIRED);
      if (!source.value.path.startsWith('/')) throw refuse(`${path}.nfs.path`, 'must be an absolute path.');
      return;
    case 'gcs':
      if (!BUCKET.test(source.value.bucket)) throw refuse(`${path}.gcs.bucket`, source.value.bucket === '' ? REQUIRED : 'must be the name of a bucket.');
      return;
    case undefined:
      throw refuse(path, 'must have exactly one of secret, cloud_sql_instance, empty_dir, nfs, gcs.');
  }
}

function validateSecret(secret: SecretVolumeSource, path: string, refuse: Refuse): void {
  validateSecretName(secret.secret, `${path}.secret`, refuse);
  refuseOutside(secret.defaultMode, 0, 0o777, `${path}.default_mode`, refuse);
  const paths = new Set<string>();
  for (const [index, item] of secret.items.entries()) {
    const at = `${path}.items[${index}]`;
    if (item.path === '') throw refuse(`${at}.path`, REQUIRED);
    if (item.version === '') throw refuse(`${at}.version`, REQUIRED);
    refuseOutside(item.mode, 0, 0o777, `${at}.mode`, refuse);
    refuseUnsafe(item.path, `${at}.path`, refuse);
    if (paths.has(item.path)) throw invalidArgument(`${at}.path`, `Path '${item.path}' is used more than once.`);
    paths.add(item.path);
  }
}

/** @param path of the container */
export function validateMounts(container: Container, volumes: readonly Volume[], path: string, refuse: Refuse): void {
  const taken = new Set<string>();
  for (const [index, mount] of container.volumeMounts.entries()) {
    const at = `${path}.volume_mounts[${index}]`;
    if (mount.name === '') throw refuse(`${at}.name`, REQUIRED);
    const volume = volumes.find((candidate) => candidate.name === mount.name);
    if (volume === undefined) throw invalidArgument(`${at}.name`, `Volume '${mount.name}' is not defined in template.template.volumes.`);
    const isSql = volume.volumeType.case === 'cloudSqlInstance';
    if (mount.mountPath === '' && !isSql) throw refuse(`${at}.mount_path`, REQUIRED);
    if (isSql && mount.mountPath !== '' && mount.mountPath !== '/cloudsql') throw refuse(`${at}.mount_path`, 'must be /cloudsql, or empty, for a Cloud SQL volume.');
    if (mount.mountPath.includes(':')) throw refuse(`${at}.mount_path`, "must not contain ':'.");
    refuseNul(mount.mountPath, `${at}.mount_path`, refuse);
    const target = isSql ? '/cloudsql' : mount.mountPath.replace(/\/+$/, '');
    if (!target.startsWith('/') || target.split('/').includes('..')) throw refuse(`${at}.mount_path`, "must be an absolute path below '/', without '..'.");
    if (taken.has(target)) throw invalidArgument(`${at}.mount_path`, `Path '${mount.mountPath}' is used by more than one mount of the container.`);
    taken.add(target);
    if (mount.subPath !== '') refuseUnsafe(mount.subPath, `${at}.sub_path`, refuse);
  }
}

function refuseUnsafe(text: string, path: string, refuse: Refuse): void {
  refuseNul(text, path, refuse);
  if (text.startsWith('/') || text.split('/').includes('..')) throw refuse(path, "must be a relative path without '..'.");
}
