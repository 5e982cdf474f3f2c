/** Volumes, from v1 to v2 and back. Cloud SQL instances are a volume in v2 and an annotation in v1. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalidArgument } from '../../../errors.ts';
import type * as v1 from '../../../gen/google/cloud/run/v1/resources_pb.js';
import type { VolumeSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import type * as v2 from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { VolumeSchema as V2VolumeSchema } from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import { EmptyDirVolumeSource_Medium } from '../../../gen/google/cloud/run/v2/k8s.min_pb.js';
import type { SecretAliases } from './secrets.ts';

/** The name that v1 reserves for what the annotation says, and where it is mounted. */
export const CLOUDSQL_VOLUME = 'cloudsql';
export const CLOUDSQL_PATH = '/cloudsql';
const GCS_DRIVER = 'gcsfuse.run.googleapis.com';

/** @param path for errors */
export function volumeToV2(from: v1.Volume, secrets: SecretAliases, path: string): MessageInitShape<typeof V2VolumeSchema> {
  const { name, secret, emptyDir, nfs, csi } = from;
  const kinds = [secret, emptyDir, nfs, csi].filter((kind) => kind !== undefined).length;
  if (kinds > 1) throw invalidArgument(path, 'must have one of secret, empty_dir, nfs and csi alone.');
  if (name === CLOUDSQL_VOLUME) throw invalidArgument(`${path}.name`, `'${CLOUDSQL_VOLUME}' is reserved for the annotation run.googleapis.com/cloudsql-instances.`);
  if (secret !== undefined) {
    const items = secret.items.map((item) => ({ path: item.path, version: item.key, mode: item.mode ?? 0 }));
    return { name, volumeType: { case: 'secret', value: { secret: secrets.secretOf(secret.secretName), items, defaultMode: secret.defaultMode ?? 0 } } };
  }
  if (emptyDir !== undefined) return { name, volumeType: { case: 'emptyDir', value: { medium: mediumToV2(emptyDir.medium, path), sizeLimit: emptyDir.sizeLimit } } };
  if (nfs !== undefined) return { name, volumeType: { case: 'nfs', value: { server: nfs.server, path: nfs.path, readOnly: nfs.readOnly } } };
  return csi === undefined ? { name } : { name, volumeType: { case: 'gcs', value: bucket(csi, path) } };
}

function mediumToV2(medium: string, path: string): EmptyDirVolumeSource_Medium {
  if (medium === '') return EmptyDirVolumeSource_Medium.MEDIUM_UNSPECIFIED;
  if (medium.toLowerCase() === 'memory') return EmptyDirVolumeSource_Medium.MEMORY;
  throw invalidArgument(`${path}.empty_dir.medium`, `must be Memory or empty, but is ${JSON.stringify(medium)}.`);
}

function bucket(csi: v1.CSIVolumeSource, path: string) {
  const { driver, readOnly, volumeAttributes } = csi;
  if (driver !== GCS_DRIVER) throw invalidArgument(`${path}.csi.driver`, `must be ${GCS_DRIVER}, but is ${JSON.stringify(driver)}.`);
  const unknown = Object.keys(volumeAttributes).find((key) => key !== 'bucketName' && key !== 'mountOptions');
  if (unknown !== undefined) throw invalidArgument(`${path}.csi.volume_attributes`, `${JSON.stringify(unknown)} is not known. Known: bucketName, mountOptions.`);
  const options = volumeAttributes['mountOptions'] ?? '';
  return { bucket: volumeAttributes['bucketName'] ?? '', readOnly, mountOptions: options === '' ? [] : options.split(',') };
}

/** @returns undefined for the volume that v1 says by an annotation */
export function volumeToV1({ name, volumeType }: v2.Volume, secrets: SecretAliases): MessageInitShape<typeof VolumeSchema> | undefined {
  switch (volumeType.case) {
    case 'cloudSqlInstance':
      return undefined;
    case 'secret': {
      const { secret, items, defaultMode } = volumeType.value;
      return {
        name,
        secret: {
          secretName: secrets.aliasOf(secret),
          items: items.map((item) => ({ key: item.version, path: item.path, ...(item.mode === 0 ? {} : { mode: item.mode }) })),
          ...(defaultMode === 0 ? {} : { defaultMode }),
        },
      };
    }
    case 'emptyDir':
      return { name, emptyDir: { medium: volumeType.value.medium === EmptyDirVolumeSource_Medium.MEMORY ? 'Memory' : '', sizeLimit: volumeType.value.sizeLimit } };
    case 'nfs':
      return { name, nfs: { server: volumeType.value.server, path: volumeType.value.path, readOnly: volumeType.value.readOnly } };
    case 'gcs': {
      const { bucket: bucketName, readOnly, mountOptions } = volumeType.value;
      return { name, csi: { driver: GCS_DRIVER, readOnly, volumeAttributes: { bucketName, ...(mountOptions.length === 0 ? {} : { mountOptions: mountOptions.join(',') }) } } };
    }
    default:
      return { name };
  }
}
