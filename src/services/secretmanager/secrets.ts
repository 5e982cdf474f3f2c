/** Secrets: what they are called, how long they live, who is told. Their payloads are in their versions. */
import { create } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import { type Secret, SecretSchema } from '../../gen/google/cloud/secretmanager/v1/resources_pb.js';
import type { CreateSecretRequest, SecretManagerService, UpdateSecretRequest } from '../../gen/google/cloud/secretmanager/v1/service_pb.js';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { Db, Store } from '../../store/database.ts';
import type { SecretKeyring } from '../../store/secret-keyring.ts';
import { findSecretVersion } from '../../store/secret-versions.ts';
import { countSecrets, deleteSecret, findSecret, insertSecret, listSecrets, type SecretRow, secretFromRow, secretResource, updateSecret } from '../../store/secrets.ts';
import type { Micros } from '../../timestamp.ts';
import type { Call, Check, Methods } from '../service.ts';
import { secretFilter } from './filter.ts';
import { listPage } from './list-page.ts';
import { checkSecretId, type Parent, parseParent, parseSecretName, requirePlace, type StoredPlace, shownName, storedSecretName } from './names.ts';
import { authorizeTags, bindTags } from './tags.ts';
import { applyUpdate, newSecret } from './validate-secret.ts';

export interface SecretDeps {
  readonly store: Store;
  /** What payloads are encrypted under. */
  readonly keyring: SecretKeyring;
  /** Warns of roles in a secret's policy that it lacks. */
  readonly catalogue: Pick<RoleCatalogue, 'role'>;
  /** What organization policies say about grants; without it nothing is refused. */
  readonly constraints?: Pick<ConstraintChecks, 'grants'>;
}

type SecretMethods = Pick<Methods<typeof SecretManagerService>, 'listSecrets' | 'createSecret' | 'getSecret' | 'updateSecret' | 'deleteSecret'>;

export function secretMethods({ store }: Pick<SecretDeps, 'store'>): SecretMethods {
  return {
    createSecret: {
      access: {
        checks({ parent, secretId }) {
          checkSecretId(secretId);
          return [parentCheck('create', parseParent(parent))];
        },
      },
      handle: (request, call) => createSecret(store, request, call),
    },
    getSecret: {
      access: { checks: ({ name }) => [secretCheck('secrets.get', name)] },
      async handle({ name }, call) {
        const { place, row } = await requireSecret(store.read, name, call.now());
        return toSecret(row, place);
      },
    },
    listSecrets: {
      access: { checks: ({ parent }) => [parentCheck('list', parseParent(parent))] },
      async handle(request, call) {
        const place = await requirePlace(store.read, parseParent(request.parent));
        const now = call.now();
        const matches = request.filter === '' ? undefined : secretFilter(request.filter);
        const page = await listPage<SecretRow>({
          query: ['secrets', place.projectId, place.location, request.filter],
          request,
          read: (after = '', limit) => listSecrets(store.read, place, { after, limit, now }),
          keyOf: ({ name }) => name,
          matches: matches && ((row) => matches(Object.assign(secretFromRow(row), { etag: row.etag }), shownName(row.name, place.projectNumber))),
          count: () => countSecrets(store.read, place, now),
        });
        return { secrets: page.items.map((row) => toSecret(row, place)), nextPageToken: page.nextPageToken, totalSize: page.totalSize };
      },
    },
    updateSecret: {
      access: { checks: ({ secret }) => [secretCheck('secrets.update', secret?.name ?? '', 'secret.name')] },
      handle: (request, call) => changeSecret(store, request, call),
    },
    deleteSecret: {
      access: { checks: ({ name }) => [secretCheck('secrets.delete', name)] },
      handle: ({ name, etag }, call) =>
        store.write(async (tx) => {
          const { row } = await requireSecret(tx.db, name, call.now());
          refuseStale(row.etag, etag);
          // Its policy goes with it: nobody is let in by the policy of a secret that is no more.
          if (await deleteSecret(tx.db, row.name)) tx.touch('policies', secretResource(row.name));
          return {};
        }),
    },
  };
}

/** Decided on the parent: what does not exist yet has no policy of its own. */
function parentCheck(verb: 'create' | 'list', { project, location }: Parent): Check {
  return { permission: `secretmanager.secrets.${verb}`, resource: secretResource(location === '' ? `projects/${project}` : `projects/${project}/locations/${location}`) };
}

/** @param permission `secrets.get`, `versions.add` @throws INVALID_ARGUMENT */
export function secretCheck(permission: string, name: string, field?: string): Check {
  parseSecretName(name, field);
  return { permission: `secretmanager.${permission}`, resource: secretResource(name) };
}

/** @throws NOT_FOUND in the recorded words, which have the project's number */
export async function requireSecret(db: Db, name: string, now: Micros): Promise<{ readonly place: StoredPlace; readonly row: SecretRow }> {
  const parsed = parseSecretName(name);
  const place = await requirePlace(db, parsed);
  const stored = storedSecretName(place, parsed.secret);
  const row = await findSecret(db, stored, now);
  if (row === undefined) throw notFound(`Secret [${shownName(stored, place.projectNumber)}] not found.`);
  return { place, row };
}

/** @param etag of the request; empty: whatever it is. Source of the status: https://cloud.google.com/secret-manager/docs/etags */
export function refuseStale(current: string, etag: string): void {
  if (etag !== '' && etag !== current)
    throw failedPrecondition(`The etag ${etag} in the request is not that of the resource, which was changed meanwhile. Read it again, and retry.`, {
      type: 'ETAG_MISMATCH',
      subject: etag,
      description: `the current etag is ${current}`,
    });
}

async function createSecret(store: Store, request: CreateSecretRequest, call: Call): Promise<Secret> {
  const parent = parseParent(request.parent);
  const now = call.now();
  const secret = newSecret(request.secret, parent.location !== '', now);
  const place = await requirePlace(store.read, parent);
  const name = storedSecretName(place, request.secretId);
  const tags = Object.entries(request.secret?.tags ?? {});
  await authorizeTags(store.read, tags, secretResource(name), call);
  if (Object.keys(secret.versionAliases).length > 0) throw noSuchVersion('a secret begins without versions');
  warnOfUnserved(secret, call);
  return store.write(async (tx) => {
    if ((await findSecret(tx.db, name, now)) !== undefined) throw alreadyExists(`Secret [${shownName(name, place.projectNumber)}] already exists.`);
    const row = await insertSecret(tx.db, name, place, secret, now);
    if (await bindTags(tx.db, tags, secretResource(name), place, now)) tx.touch('policies');
    return toSecret(row, place);
  });
}

async function changeSecret(store: Store, { secret: given = create(SecretSchema), updateMask }: UpdateSecretRequest, call: Call): Promise<Secret> {
  return store.write(async (tx) => {
    const now = call.now();
    const { place, row } = await requireSecret(tx.db, given.name, now);
    refuseStale(row.etag, given.etag);
    const secret = secretFromRow(row);
    const paths = updateMask?.paths ?? [];
    applyUpdate(secret, given, paths, place.location !== '', now);
    if (paths.includes('version_aliases'))
      for (const [alias, version] of Object.entries(secret.versionAliases))
        if ((await findSecretVersion(tx.db, row.name, Number(version))) === undefined) throw noSuchVersion(`there is no version ${version}, which ${alias} is to stand for`);
    warnOfUnserved(secret, call);
    return toSecret(await updateSecret(tx.db, row, secret, now), place);
  });
}

function noSuchVersion(why: string): Error {
  return invalidRequest(`secret.version_aliases: An alias must stand for a version that exists, but ${why}.`, [{ field: 'secret.version_aliases', description: why }]);
}

/** Never silently: what is kept but does nothing here. */
function warnOfUnserved({ topics, replication, customerManagedEncryption }: Secret, call: Call): void {
  if (topics.length > 0) call.warn('Topics and rotation are kept, but nothing is published to a topic here, and no secret is rotated.');
  const kind = replication?.replication;
  const keys = kind?.case === 'automatic' ? [kind.value] : kind?.case === 'userManaged' ? kind.value.replicas : [];
  if (customerManagedEncryption !== undefined || keys.some((key) => key.customerManagedEncryption !== undefined))
    call.warn('The Cloud KMS key is kept, but payloads are encrypted with the key of this server alone.');
}

function toSecret(row: SecretRow, { projectNumber }: StoredPlace): Secret {
  return Object.assign(secretFromRow(row), { name: shownName(row.name, projectNumber), etag: row.etag });
}
