/**
 * Keys of service accounts, as google.iam.admin.v1.IAM manages them. The private part of a key is in the answer to its creation and
 * nowhere else; system-managed keys are listed and published, and nobody may change them.
 */
import { createPublicKey, X509Certificate } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { failedPrecondition, invalidArgument, notFound } from '../../errors.ts';
import {
  ServiceAccountKeyAlgorithm as Algorithm,
  type IAM,
  ListServiceAccountKeysRequest_KeyType as KeyType,
  ServiceAccountKeyOrigin as Origin,
  ServiceAccountPublicKeyType as PublicKeyType,
  type ServiceAccountKeySchema,
} from '../../gen/google/iam/admin/v1/iam_pb.js';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { OrgPolicies } from '../../policy/org-policy.ts';
import type { Db, Store, Tx } from '../../store/database.ts';
import { deleteServiceAccountKey, findServiceAccountKey, listServiceAccountKeys, type ServiceAccountKeyRow, updateServiceAccountKey } from '../../store/service-account-keys.ts';
import type { ServiceAccountRow } from '../../store/service-accounts.ts';
import { MICROS_PER_SECOND, type Micros, toTimestamp } from '../../timestamp.ts';
import type { Check, Lookup, Methods } from '../service.ts';
import { parseKeyName } from './names.ts';
import { createKey, NEVER, uploadKey } from './new-key.ts';
import { accountCheck, getAccount } from './service-accounts.ts';

export interface KeyDeps {
  readonly store: Store;
  readonly orgPolicies: OrgPolicies;
  /** What custom constraints say about a new key; without it nothing is refused. */
  readonly constraints?: Pick<ConstraintChecks, 'keyCreation'>;
  /** Where this server is reached; the key file names it. */
  url(): string;
}

type KeyMethods = Pick<
  Methods<typeof IAM>,
  | 'createServiceAccountKey'
  | 'uploadServiceAccountKey'
  | 'listServiceAccountKeys'
  | 'getServiceAccountKey'
  | 'deleteServiceAccountKey'
  | 'disableServiceAccountKey'
  | 'enableServiceAccountKey'
>;

export function keyMethods(deps: KeyDeps): KeyMethods {
  const { store } = deps;
  return {
    createServiceAccountKey: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccountKeys.create', name, look)] },
      async handle(request, call) {
        const account = await getAccount(store.read, request.name);
        await deps.constraints?.keyCreation({ projectId: account.project_id, email: account.email, origin: 'GOOGLE_PROVIDED' }, call.principal);
        const { row, file } = await createKey(deps, account, request, call);
        return { ...toKey(row, account), privateKeyType: file.type, privateKeyData: file.data };
      },
    },
    uploadServiceAccountKey: {
      // The permission is that of creating one (dataset of methods and permissions).
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccountKeys.create', name, look)] },
      async handle({ name, publicKeyData }, call) {
        const account = await getAccount(store.read, name);
        await deps.constraints?.keyCreation({ projectId: account.project_id, email: account.email, origin: 'USER_PROVIDED' }, call.principal);
        return toKey(await uploadKey(deps, account, publicKeyData, call), account);
      },
    },
    listServiceAccountKeys: {
      access: { checks: async ({ name }, look) => [await accountCheck('iam.serviceAccountKeys.list', name, look)] },
      async handle({ name, keyTypes }) {
        checkTypes(keyTypes);
        const account = await getAccount(store.read, name);
        const keys = (await listServiceAccountKeys(store.read, account.unique_id)).map((row) => toKey(row, account));
        return { keys: keyTypes.length === 0 ? keys : keys.filter((key) => keyTypes.includes(key.keyType)) };
      },
    },
    getServiceAccountKey: {
      access: { checks: async ({ name }, look) => [await keyCheck('iam.serviceAccountKeys.get', name, look)] },
      async handle({ name, publicKeyType }) {
        const { account, key } = await getKey(store.read, name);
        return { ...toKey(key, account), publicKeyData: publicKeyData(key, publicKeyType) };
      },
    },
    ...changeMethods(store),
  };
}

function changeMethods(store: Store): Pick<KeyMethods, 'deleteServiceAccountKey' | 'disableServiceAccountKey' | 'enableServiceAccountKey'> {
  const change = (name: string, work: (tx: Tx, key: ServiceAccountKeyRow) => Promise<void>): Promise<object> =>
    store.write(async (tx) => {
      const { key } = await getKey(tx.db, name);
      if (key.type === 'SYSTEM_MANAGED') throw failedPrecondition(`Key ${key.id} is managed by the system: it can be neither changed nor deleted.`);
      await work(tx, key);
      tx.touch('serviceAccountKeys');
      return {};
    });
  return {
    // Tokens that the key was exchanged for live on (proto, DeleteServiceAccountKey).
    deleteServiceAccountKey: {
      access: { checks: async ({ name }, look) => [await keyCheck('iam.serviceAccountKeys.delete', name, look)] },
      handle: ({ name }) => change(name, ({ db }, { id }) => deleteServiceAccountKey(db, id)),
    },
    disableServiceAccountKey: {
      access: { checks: async ({ name }, look) => [await keyCheck('iam.serviceAccountKeys.disable', name, look)] },
      handle: ({ name }) => change(name, ({ db }, { id }) => updateServiceAccountKey(db, id, { disabled: 1, disable_reason: 'SERVICE_ACCOUNT_KEY_DISABLE_REASON_USER_INITIATED' })),
    },
    enableServiceAccountKey: {
      access: { checks: async ({ name }, look) => [await keyCheck('iam.serviceAccountKeys.enable', name, look)] },
      handle: ({ name }) => change(name, ({ db }, { id }) => updateServiceAccountKey(db, id, { disabled: 0, disable_reason: '' })),
    },
  };
}

/** A key has no policy of its own: the account's decides. */
async function keyCheck(permission: string, name: string, look: Lookup): Promise<Check> {
  return { ...(await accountCheck(permission, parseKeyName(name).account, look)), asked: name };
}

/** @throws NOT_FOUND */
async function getKey(db: Db, name: string): Promise<{ account: ServiceAccountRow; key: ServiceAccountKeyRow }> {
  const parsed = parseKeyName(name);
  const account = await getAccount(db, parsed.account);
  const key = await findServiceAccountKey(db, account.unique_id, parsed.id);
  if (key === undefined) throw notFound(`Service account key ${parsed.id} does not exist.`);
  return { account, key };
}

/** @throws INVALID_ARGUMENT */
function checkTypes(types: readonly KeyType[]): void {
  if (types.some((type) => type !== KeyType.USER_MANAGED && type !== KeyType.SYSTEM_MANAGED)) throw invalidArgument('key_types', 'must be USER_MANAGED or SYSTEM_MANAGED.');
  if (new Set(types).size < types.length) throw invalidArgument('key_types', 'a type is there twice.');
}

/** @throws INVALID_ARGUMENT */
function publicKeyData(key: ServiceAccountKeyRow, type: PublicKeyType): Uint8Array {
  const isCertificate = key.public_pem.includes('BEGIN CERTIFICATE');
  switch (type) {
    case PublicKeyType.TYPE_NONE:
      return new Uint8Array();
    case PublicKeyType.TYPE_X509_PEM_FILE:
      if (!isCertificate) throw invalidArgument('public_key_type', 'this key was uploaded without a certificate. Ask for TYPE_RAW_PUBLIC_KEY.');
      return new TextEncoder().encode(key.public_pem);
    case PublicKeyType.TYPE_RAW_PUBLIC_KEY: {
      const publicKey = isCertificate ? new X509Certificate(key.public_pem).publicKey : createPublicKey(key.public_pem);
      return new TextEncoder().encode(publicKey.export({ type: 'spki', format: 'pem' }));
    }
    default:
      throw invalidArgument('public_key_type', 'must be TYPE_NONE, TYPE_X509_PEM_FILE or TYPE_RAW_PUBLIC_KEY.');
  }
}

/** Recorded: no public key, whole seconds, `disabled` only where true. */
function toKey(row: ServiceAccountKeyRow, account: ServiceAccountRow): MessageInitShape<typeof ServiceAccountKeySchema> & { readonly keyType: KeyType } {
  return {
    name: `projects/${account.project_id}/serviceAccounts/${account.email}/keys/${row.id}`,
    // The store holds the names of these three enums.
    keyAlgorithm: Algorithm[row.algorithm as keyof typeof Algorithm],
    // See above.
    keyOrigin: Origin[row.origin as keyof typeof Origin],
    // See above.
    keyType: KeyType[row.type as keyof typeof KeyType],
    validAfterTime: toTimestamp(wholeSeconds(row.valid_after_time)),
    validBeforeTime: toTimestamp(wholeSeconds(row.valid_before_time ?? NEVER)),
    disabled: row.disabled === 1,
  };
}

function wholeSeconds(micros: Micros): Micros {
  return micros - (micros % MICROS_PER_SECOND);
}
