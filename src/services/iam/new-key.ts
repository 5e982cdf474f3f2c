/** How an account gets a key: one that is made here, or the public part of one that was made elsewhere. What organization policies forbid is asked first. */
import { createPublicKey, type KeyObject, randomBytes, X509Certificate } from 'node:crypto';
import { alreadyExists, failedPrecondition, invalidArgument, orgPolicyViolation, resourceExhausted } from '../../errors.ts';
import { ServiceAccountKeyAlgorithm, ServiceAccountPrivateKeyType } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { generateKey } from '../../identity/account-keys.ts';
import { findConstraint } from '../../policy/constraint-catalogue.ts';
import type { Asker, OrgPolicies } from '../../policy/org-policy.ts';
import type { Store, Tx } from '../../store/database.ts';
import { insertServiceAccountKey, listServiceAccountKeys, type ServiceAccountKeyRow } from '../../store/service-account-keys.ts';
import { type ServiceAccountRow, serviceAccountResource } from '../../store/service-accounts.ts';
import { MICROS_PER_MILLI, MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';
import type { Call } from '../service.ts';
import { keyFile } from './key-file.ts';

interface NewKeyDeps {
  readonly store: Store;
  readonly orgPolicies: OrgPolicies;
  url(): string;
}

/** Source: https://docs.cloud.google.com/iam/quotas */
const MAX_USER_KEYS = 10;
const MIN_BITS = 2048;
/** Larger ones take so long to verify that a stranger could keep the server busy with them. */
const MAX_BITS = 4096;
/** Recorded: a key that does not expire says so. */
export const NEVER: Micros = Date.UTC(9999, 11, 31, 23, 59, 59) * MICROS_PER_MILLI;
const HOUR = 3600 * MICROS_PER_SECOND;

/**
 * Deviation: PKCS #12 files and 1024-bit keys, which Google still makes for old clients, are refused: no client of today wants them.
 * @throws INVALID_ARGUMENT, FAILED_PRECONDITION where a policy forbids it, RESOURCE_EXHAUSTED beyond ten keys
 */
export async function createKey(
  deps: NewKeyDeps,
  account: ServiceAccountRow,
  request: { readonly privateKeyType: ServiceAccountPrivateKeyType; readonly keyAlgorithm: ServiceAccountKeyAlgorithm },
  call: Pick<Call, 'principal' | 'now'>,
): Promise<{ row: ServiceAccountKeyRow; file: { type: ServiceAccountPrivateKeyType; data: Uint8Array } }> {
  const { store, orgPolicies } = deps;
  const now = call.now();
  const { TYPE_UNSPECIFIED, TYPE_GOOGLE_CREDENTIALS_FILE } = ServiceAccountPrivateKeyType;
  const { KEY_ALG_UNSPECIFIED, KEY_ALG_RSA_2048 } = ServiceAccountKeyAlgorithm;
  if (request.privateKeyType !== TYPE_UNSPECIFIED && request.privateKeyType !== TYPE_GOOGLE_CREDENTIALS_FILE)
    throw invalidArgument('private_key_type', 'only TYPE_GOOGLE_CREDENTIALS_FILE is made here.');
  if (request.keyAlgorithm !== KEY_ALG_UNSPECIFIED && request.keyAlgorithm !== KEY_ALG_RSA_2048) throw invalidArgument('key_algorithm', 'only KEY_ALG_RSA_2048 is made here.');
  await checkConstraints(orgPolicies, account, 'Creation', call.principal);
  const start = now - (now % MICROS_PER_SECOND);
  const lifetime = await maxLifetime(orgPolicies, account);
  // Before the transaction: all other writers would wait for it.
  await store.write((tx) => checkRoom(tx, account));
  const end = lifetime === undefined ? null : start + lifetime;
  const { id, privateKey, certificate } = await generateKey(account.unique_id, { notBefore: start, notAfter: end ?? NEVER });
  const row = toRow(account, { id, pem: certificate, origin: 'GOOGLE_PROVIDED', algorithm: 'KEY_ALG_RSA_2048', now, validAfter: start, validBefore: end });
  await store.write(async (tx) => {
    await checkRoom(tx, account);
    await insertServiceAccountKey(tx.db, row);
    tx.touch('serviceAccountKeys');
  });
  return { row, file: { type: TYPE_GOOGLE_CREDENTIALS_FILE, data: keyFile(account, { id, privateKey }, deps.url()) } };
}

/**
 * Deviation: a bare public key in PEM is taken as well as an X.509 certificate, which is all that Google takes; it never expires.
 * @param data PEM @throws as `createKey`, ALREADY_EXISTS where the account has this key
 */
export async function uploadKey(
  { store, orgPolicies }: NewKeyDeps,
  account: ServiceAccountRow,
  data: Uint8Array,
  call: Pick<Call, 'principal' | 'now'>,
): Promise<ServiceAccountKeyRow> {
  const now = call.now();
  const { pem, publicKey, validAfter, validBefore } = readPublicKey(data, now);
  await checkConstraints(orgPolicies, account, 'Upload', call.principal);
  if (validBefore !== null && validBefore <= now) throw invalidArgument('public_key_data', 'the certificate has expired.');
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  const id = randomBytes(20).toString('hex');
  const algorithm = bits === MIN_BITS ? 'KEY_ALG_RSA_2048' : 'KEY_ALG_UNSPECIFIED';
  const row = toRow(account, { id, pem, origin: 'USER_PROVIDED', algorithm, now, validAfter, validBefore });
  await store.write(async (tx) => {
    const keys = await checkRoom(tx, account);
    if (keys.some((key) => createPublicKey(key.public_pem).equals(publicKey))) throw alreadyExists(`Service account ${account.email} has this key already.`);
    await insertServiceAccountKey(tx.db, row);
    tx.touch('serviceAccountKeys');
  });
  return row;
}

function toRow(
  account: ServiceAccountRow,
  key: { id: string; pem: string; origin: string; algorithm: string; now: Micros; validAfter: Micros; validBefore: Micros | null },
): ServiceAccountKeyRow {
  return {
    id: key.id,
    account_unique_id: account.unique_id,
    public_pem: key.pem,
    origin: key.origin,
    type: 'USER_MANAGED',
    algorithm: key.algorithm,
    disabled: 0,
    disable_reason: '',
    create_time: key.now,
    valid_after_time: key.validAfter,
    valid_before_time: key.validBefore,
    private_jwk: null,
  };
}

/** @throws INVALID_ARGUMENT */
function readPublicKey(data: Uint8Array, now: Micros): { pem: string; publicKey: KeyObject; validAfter: Micros; validBefore: Micros | null } {
  const refuse = (why: string) => invalidArgument('public_key_data', why);
  const text = new TextDecoder().decode(data).trim();
  const blocks = text.match(/-----BEGIN ([A-Z0-9 ]+)-----[A-Za-z0-9+/=\s]+-----END \1-----/g) ?? [];
  if (/PRIVATE KEY/.test(text)) throw refuse('this is a private key, which must stay with you. Upload the certificate or public key that belongs to it.');
  if (blocks.length !== 1 || blocks[0] !== text) throw refuse('must be one X.509 certificate, or one public key, in PEM (-----BEGIN CERTIFICATE-----).');
  let publicKey: KeyObject;
  let certificate: X509Certificate | undefined;
  try {
    certificate = text.startsWith('-----BEGIN CERTIFICATE-----') ? new X509Certificate(text) : undefined;
    publicKey = certificate?.publicKey ?? createPublicKey(text);
  } catch {
    throw refuse('cannot be read as an X.509 certificate or a public key in PEM.');
  }
  const bits = publicKey.asymmetricKeyDetails?.modulusLength ?? 0;
  if (publicKey.asymmetricKeyType !== 'rsa' || bits < MIN_BITS || bits > MAX_BITS) throw refuse(`must be an RSA key of ${MIN_BITS} to ${MAX_BITS} bits.`);
  // Written again by us: what is published is what was read, and nothing that stood around it.
  const pem = certificate?.toString() ?? publicKey.export({ type: 'spki', format: 'pem' });
  const start = now - (now % MICROS_PER_SECOND);
  const end = (certificate?.validToDate.getTime() ?? Number.POSITIVE_INFINITY) * MICROS_PER_MILLI;
  return {
    pem,
    publicKey,
    validAfter: (certificate?.validFromDate.getTime() ?? start / MICROS_PER_MILLI) * MICROS_PER_MILLI,
    validBefore: end <= Number.MAX_SAFE_INTEGER ? end : null,
  };
}

/** @returns the account's keys @throws RESOURCE_EXHAUSTED */
async function checkRoom({ db }: Tx, account: ServiceAccountRow): Promise<ServiceAccountKeyRow[]> {
  const keys = await listServiceAccountKeys(db, account.unique_id);
  if (keys.filter((key) => key.type === 'USER_MANAGED').length >= MAX_USER_KEYS) throw resourceExhausted('Maximum number of keys on account reached.');
  return keys;
}

/** The words of both engines: https://docs.cloud.google.com/iam/docs/troubleshoot-org-policies @throws FAILED_PRECONDITION */
async function checkConstraints(orgPolicies: OrgPolicies, account: ServiceAccountRow, what: 'Creation' | 'Upload', asker: Asker): Promise<void> {
  const resource = serviceAccountResource(account);
  const legacy = `iam.disableServiceAccountKey${what}`;
  if (await orgPolicies.isEnforced(legacy, resource, asker)) {
    const description = `Key ${what.toLowerCase()} is not allowed on this service account.`;
    const subject = `projects/${account.project_id}/serviceAccounts/${account.email}?configvalue=${encodeURIComponent(account.email)}`;
    throw failedPrecondition(description, { type: `constraints/${legacy}`, subject, description });
  }
  const managed = `iam.managed.disableServiceAccountKey${what}`;
  if (await orgPolicies.isEnforced(managed, resource, asker)) {
    const description = findConstraint(managed)?.description ?? '';
    throw orgPolicyViolation(`projects/${account.project_id}`, [{ constraint: managed, description }]);
  }
}

/** How long a new key may live; of several values that are allowed, the shortest. Undefined: for ever. */
async function maxLifetime(orgPolicies: OrgPolicies, account: ServiceAccountRow): Promise<Micros | undefined> {
  const { allowed } = await orgPolicies.values('iam.serviceAccountKeyExpiryHours', serviceAccountResource(account));
  const hours = [...allowed].flatMap((value) => /^(\d{1,5})h$/.exec(value)?.[1] ?? []).map(Number);
  return hours.length === 0 ? undefined : Math.min(...hours) * HOUR;
}
