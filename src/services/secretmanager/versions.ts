/** Versions of secrets: adding and reading payloads, and the states that decide whether they can be read. */
import { create } from '@bufbuild/protobuf';
import { crc32c } from '../../crc32c.ts';
import { dataLoss, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import {
  ReplicationStatusSchema,
  type Secret,
  type SecretPayload,
  type SecretVersion,
  SecretVersion_State,
  SecretVersionSchema,
} from '../../gen/google/cloud/secretmanager/v1/resources_pb.js';
import type { SecretManagerService } from '../../gen/google/cloud/secretmanager/v1/service_pb.js';
import type { Db } from '../../store/database.ts';
import { PayloadCorrupt } from '../../store/payload-cipher.ts';
import { KeyringError } from '../../store/secret-keyring.ts';
import {
  addSecretVersion,
  countSecretVersions,
  findSecretVersion,
  listSecretVersions,
  readPayload,
  type SecretVersionRow,
  updateSecretVersion,
  versionFromRow,
  versionNumber,
} from '../../store/secret-versions.ts';
import { findSecret, type SecretRow, secretFromRow, secretResource } from '../../store/secrets.ts';
import { fromDuration, MICROS_PER_MILLI, type Micros, toTimestamp } from '../../timestamp.ts';
import type { Call, Check, Methods } from '../service.ts';
import { versionFilter } from './filter.ts';
import { listPage } from './list-page.ts';
import { parseVersionName, requirePlace, type StoredPlace, shownName, storedSecretName } from './names.ts';
import { refuseStale, requireSecret, type SecretDeps, secretCheck } from './secrets.ts';

const MAX_PAYLOAD_BYTES = 64 * 1024;

type VersionMethods = Pick<
  Methods<typeof SecretManagerService>,
  'addSecretVersion' | 'listSecretVersions' | 'getSecretVersion' | 'accessSecretVersion' | 'enableSecretVersion' | 'disableSecretVersion' | 'destroySecretVersion'
>;
type Found = { readonly place: StoredPlace; readonly secret: SecretRow; readonly row: SecretVersionRow };

export function versionMethods(deps: SecretDeps): VersionMethods {
  return { ...payloads(deps), ...reads(deps), ...changes(deps) };
}

function versionCheck(verb: string, name: string): Check {
  parseVersionName(name);
  return { permission: `secretmanager.versions.${verb}`, resource: secretResource(name) };
}

function payloads({ store, keyring }: SecretDeps): Pick<VersionMethods, 'addSecretVersion' | 'accessSecretVersion'> {
  return {
    addSecretVersion: {
      access: { checks: ({ parent }) => [secretCheck('versions.add', parent, 'parent')] },
      handle: async ({ parent, payload }, call) => {
        const data = checkedPayload(payload);
        try {
          return await store.write(async (tx) => {
            const now = call.now();
            const { place, row: secret } = await requireSecret(tx.db, parent, now);
            const version = newVersion(secretFromRow(secret), payload?.dataCrc32c !== undefined, now);
            return toVersion(await addSecretVersion(tx.db, keyring, secret, version, data, now), place, now);
          });
        } catch (error) {
          if (error instanceof KeyringError) throw failedPrecondition(error.message);
          throw error;
        }
      },
    },
    accessSecretVersion: {
      access: { checks: ({ name }) => [versionCheck('access', name)] },
      async handle({ name }, call) {
        const now = call.now();
        const { place, secret, row } = await requireVersion(store.read, name, now);
        const shown = shownVersion(row, place);
        const { state } = versionFromRow(row, now);
        // Recorded: https://github.com/google-github-actions/get-secretmanager-secrets/issues/268
        if (state !== SecretVersion_State.ENABLED) throw failedPrecondition(`Secret Version [${shown}] is in ${SecretVersion_State[state]} state.`);
        try {
          const data = await readPayload(store.read, keyring, secret, row.version);
          return { name: shown, payload: { data: new Uint8Array(data), dataCrc32c: BigInt(crc32c(data)) } };
        } catch (error) {
          if (error instanceof PayloadCorrupt)
            throw dataLoss(
              `The payload of Secret Version [${shown}] cannot be decrypted: what is stored is not what was written (${error.message}). Add the payload as a new version.`,
              error,
            );
          throw error;
        }
      },
    },
  };
}

function reads({ store }: SecretDeps): Pick<VersionMethods, 'getSecretVersion' | 'listSecretVersions'> {
  return {
    getSecretVersion: {
      access: { checks: ({ name }) => [versionCheck('get', name)] },
      async handle({ name }, call) {
        const now = call.now();
        const { place, row } = await requireVersion(store.read, name, now);
        return toVersion(row, place, now);
      },
    },
    listSecretVersions: {
      access: { checks: ({ parent }) => [secretCheck('versions.list', parent, 'parent')] },
      async handle(request, call) {
        const now = call.now();
        const { place, row: secret } = await requireSecret(store.read, request.parent, now);
        const matches = request.filter === '' ? undefined : versionFilter(request.filter);
        const page = await listPage<SecretVersionRow>({
          query: ['versions', secret.uid, request.filter],
          request,
          read: (after, limit) => listSecretVersions(store.read, secret.name, { ...(after === undefined ? {} : { before: Number(after) }), limit }),
          keyOf: ({ version }) => String(version),
          matches: matches && ((row) => matches(versionFromRow(row, now), shownVersion(row, place))),
          count: () => countSecretVersions(store.read, secret.name),
        });
        return { versions: page.items.map((row) => toVersion(row, place, now)), nextPageToken: page.nextPageToken, totalSize: page.totalSize };
      },
    },
  };
}

function changes({ store }: SecretDeps): Pick<VersionMethods, 'enableSecretVersion' | 'disableSecretVersion' | 'destroySecretVersion'> {
  const change = (
    { name, etag }: { readonly name: string; readonly etag: string },
    call: Call,
    next: (found: Found, version: SecretVersion, now: Micros) => { state: SecretVersion_State; destroyAt: Micros | null },
  ): Promise<SecretVersion> =>
    store.write(async (tx) => {
      const now = call.now();
      const found = await requireVersion(tx.db, name, now, true);
      const version = versionFromRow(found.row, now);
      refuseStale(version.etag, etag);
      // Recorded: https://github.com/hashicorp/terraform-provider-google/issues/12504
      if (version.state === SecretVersion_State.DESTROYED) throw failedPrecondition('SecretVersion.state is already DESTROYED.');
      return toVersion(await updateSecretVersion(tx.db, found.row, next(found, version, now), now), found.place, now);
    });
  return {
    enableSecretVersion: {
      access: { checks: ({ name }) => [versionCheck('enable', name)] },
      // A destruction that was asked for is called off.
      handle: (request, call) => change(request, call, () => ({ state: SecretVersion_State.ENABLED, destroyAt: null })),
    },
    disableSecretVersion: {
      access: { checks: ({ name }) => [versionCheck('disable', name)] },
      handle: (request, call) => change(request, call, ({ row }) => ({ state: SecretVersion_State.DISABLED, destroyAt: row.destroy_at })),
    },
    destroySecretVersion: {
      access: { checks: ({ name }) => [versionCheck('destroy', name)] },
      handle: (request, call) =>
        change(request, call, ({ secret, row }, _version, now) => {
          const { versionDestroyTtl } = secretFromRow(secret);
          if (versionDestroyTtl === undefined) return { state: SecretVersion_State.DESTROYED, destroyAt: null };
          return { state: SecretVersion_State.DISABLED, destroyAt: row.destroy_at ?? now + fromDuration(versionDestroyTtl) * MICROS_PER_MILLI };
        }),
    },
  };
}

/** @param byNumber whether it must be named by its number: `latest` and aliases are for reading (service.proto) @throws NOT_FOUND, INVALID_ARGUMENT */
async function requireVersion(db: Db, name: string, now: Micros, byNumber = false): Promise<Found> {
  const parsed = parseVersionName(name);
  const place = await requirePlace(db, parsed);
  const stored = storedSecretName(place, parsed.secret);
  const shown = shownName(stored, place.projectNumber);
  if (byNumber && !/^\d+$/.test(parsed.version))
    throw invalidRequest(`The provided Secret Version ID [${name}] does not match the expected format [projects/*/secrets/*/versions/*]. Name the version by its number.`, [
      { field: 'name', description: 'must end with the number of a version' },
    ]);
  const secret = await findSecret(db, stored, now);
  // Recorded of gcloud: the same words for a secret that there is not.
  if (parsed.version === 'latest' && (secret === undefined || secret.last_version === 0)) throw notFound(`Secret [${shown}] not found or has no versions.`);
  const number = secret === undefined ? undefined : versionNumber(parsed.version, secret);
  const row = secret === undefined || number === undefined ? undefined : await findSecretVersion(db, stored, number);
  if (secret === undefined || row === undefined) throw notFound(`Secret Version [${shown}/versions/${parsed.version}] not found.`);
  return { place, secret, row };
}

/** @throws INVALID_ARGUMENT. What is wrong is said without a byte of the payload */
function checkedPayload(payload: SecretPayload | undefined): Uint8Array {
  const data = payload?.data ?? new Uint8Array();
  if (data.length === 0) throw invalidRequest('Secret Payload cannot be empty.', [{ field: 'payload.data', description: 'must have at least one byte' }]);
  if (data.length > MAX_PAYLOAD_BYTES)
    throw invalidRequest(`payload.data: The payload has ${data.length} bytes; at most ${MAX_PAYLOAD_BYTES} are allowed.`, [
      { field: 'payload.data', description: `at most ${MAX_PAYLOAD_BYTES} bytes` },
    ]);
  if (payload?.dataCrc32c !== undefined && BigInt.asUintN(64, payload.dataCrc32c) !== BigInt(crc32c(data)))
    throw invalidRequest('payload.data_crc32c: The checksum is not that of the payload: it was changed on its way, or the checksum is not a CRC32C.', [
      { field: 'payload.data_crc32c', description: 'must be the CRC32C (Castagnoli) of payload.data' },
    ]);
  return data;
}

function newVersion(secret: Secret, clientSpecifiedPayloadChecksum: boolean, now: Micros): SecretVersion {
  const version = create(SecretVersionSchema, { createTime: toTimestamp(now), state: SecretVersion_State.ENABLED, clientSpecifiedPayloadChecksum });
  const replication = secret.replication?.replication;
  // A regional secret has none.
  if (replication?.case === 'automatic') version.replicationStatus = create(ReplicationStatusSchema, { replicationStatus: { case: 'automatic', value: {} } });
  if (replication?.case === 'userManaged')
    version.replicationStatus = create(ReplicationStatusSchema, {
      replicationStatus: { case: 'userManaged', value: { replicas: replication.value.replicas.map(({ location }) => ({ location })) } },
    });
  return version;
}

function shownVersion({ secret, version }: SecretVersionRow, { projectNumber }: StoredPlace): string {
  return `${shownName(secret, projectNumber)}/versions/${version}`;
}

function toVersion(row: SecretVersionRow, place: StoredPlace, now: Micros): SecretVersion {
  return Object.assign(versionFromRow(row, now), { name: shownVersion(row, place) });
}
