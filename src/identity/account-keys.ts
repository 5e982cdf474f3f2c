/**
 * The keys of service accounts: those that prove who an account is, and the system-managed one that signs for it. A system-managed
 * key is made when it is first needed, signs for two weeks and is published for a little longer, as Google's do
 * (https://docs.cloud.google.com/iam/docs/service-account-creds#google-managed-keys).
 *
 * Invariants: the private part of a user's key is never kept; a key speaks for the account that it was made for, not for a later one of
 * the same address. Must not know: who asks, or which permissions that takes.
 */
import { createPrivateKey, createPublicKey, generateKeyPair, type KeyObject, randomBytes, sign } from 'node:crypto';
import { promisify } from 'node:util';
import type { JWK_RSA_Private } from 'jose';
import { type Clock, MICROS_PER_SECOND, type Micros } from '../timestamp.ts';
import { selfSignedCertificate } from './x509.ts';

/** A key as it is kept; the names are the store's. */
export interface AccountKeyRow {
  readonly id: string;
  readonly account_unique_id: string;
  /** Certificate or public key. */
  readonly public_pem: string;
  readonly origin: string;
  readonly type: string;
  readonly algorithm: string;
  readonly disabled: 0 | 1;
  readonly disable_reason: string;
  readonly create_time: Micros;
  readonly valid_after_time: Micros;
  /** Null: it is good for ever. */
  readonly valid_before_time: Micros | null;
  readonly private_jwk: string | null;
}

/** Where keys are kept; `store/service-account-keys.ts` implements it. */
export interface AccountKeyStore {
  /** All keys of the living account of this address. */
  list(email: string): Promise<{ readonly uniqueId: string; readonly keys: readonly AccountKeyRow[] } | undefined>;
  /** Puts a system-managed key in the place of those that ended. */
  rotate(row: AccountKeyRow, now: Micros): Promise<void>;
}

export interface PublishedKey {
  readonly id: string;
  /** As it is kept: a certificate, or a bare public key. */
  readonly pem: string;
  readonly publicKey: KeyObject;
}

export interface AccountKeys {
  /** What proves an account's word now: keys neither disabled nor out of their time. Undefined: there is no such account. */
  published(email: string): Promise<{ readonly uniqueId: string; readonly keys: readonly PublishedKey[] } | undefined>;
  /** RS256 with the system-managed key. Undefined: there is no such account. */
  sign(email: string, data: Uint8Array): Promise<{ readonly keyId: string; readonly signature: Buffer } | undefined>;
  /** A compact JWS of the text as it is, under a header that names the key. */
  signJwt(email: string, payload: string): Promise<{ readonly keyId: string; readonly jwt: string } | undefined>;
  /** Every answer from now on is read anew. */
  invalidate(): void;
}

/** A key pair as it is handed out and kept. */
export interface NewKey {
  readonly id: string;
  readonly privateKey: KeyObject;
  readonly certificate: string;
}

interface Loaded {
  readonly uniqueId: string;
  readonly keys: readonly (PublishedKey & { readonly row: AccountKeyRow })[];
}

const makeKeyPair = promisify(generateKeyPair);
const signOffThread = promisify<string, Uint8Array, KeyObject, Buffer>(sign);
const DAY = 24 * 3600 * MICROS_PER_SECOND;
const SIGNS_FOR = 14 * DAY;
const VALID_FOR = 16 * DAY;
/** More accounts than that sign at once on no machine; past it the cache starts over. */
const MAX_CACHED = 1000;

/** 2048-bit RSA, off the event loop. @param owner unique id of the account: the certificate's name, as at Google */
export async function generateKey(owner: string, validity: { readonly notBefore: Micros; readonly notAfter: Micros }): Promise<NewKey> {
  const { privateKey } = await makeKeyPair('rsa', { modulusLength: 2048 });
  // Google's ids are 40 hex digits.
  const id = randomBytes(20).toString('hex');
  return { id, privateKey, certificate: selfSignedCertificate(privateKey, { serial: id, subject: owner, ...validity }) };
}

export function createAccountKeys({ store, clock }: { readonly store: AccountKeyStore; readonly clock: Clock }): AccountKeys {
  let cache = new Map<string, Loaded>();
  /** A thousand tasks that start together wait for one new key. */
  const making = new Map<string, Promise<void>>();

  const load = async (email: string): Promise<Loaded | undefined> => {
    const known = cache.get(email);
    if (known !== undefined) return known;
    // A load that began before an invalidation must not fill the cache that came after it.
    const mine = cache;
    const found = await store.list(email);
    if (found === undefined) return undefined;
    const loaded = { uniqueId: found.uniqueId, keys: found.keys.map((row) => ({ id: row.id, pem: row.public_pem, publicKey: createPublicKey(row.public_pem), row })) };
    if (mine === cache) {
      if (cache.size >= MAX_CACHED) cache.clear();
      cache.set(email, loaded);
    }
    return loaded;
  };

  const signer = async (email: string): Promise<{ id: string; privateKey: KeyObject } | undefined> => {
    for (let tries = 0; tries < 3; tries += 1) {
      const account = await load(email);
      if (account === undefined) return undefined;
      const newest = account.keys.findLast(({ row }) => row.private_jwk !== null && row.create_time + SIGNS_FOR > clock.now());
      // What `rotate` below wrote itself.
      if (newest?.row.private_jwk) return { id: newest.id, privateKey: createPrivateKey({ key: JSON.parse(newest.row.private_jwk) as JWK_RSA_Private, format: 'jwk' }) };
      const { uniqueId } = account;
      let pending = making.get(uniqueId);
      if (pending === undefined) {
        pending = makeSystemKey(store, uniqueId, clock.now()).finally(() => making.delete(uniqueId));
        making.set(uniqueId, pending);
      }
      await pending;
      cache.delete(email);
    }
    throw new Error('The store lost the key that was just inserted.');
  };

  return {
    async published(email) {
      const account = await load(email);
      if (account === undefined) return undefined;
      const now = clock.now();
      return {
        uniqueId: account.uniqueId,
        keys: account.keys.filter(({ row }) => row.disabled === 0 && row.valid_after_time <= now && (row.valid_before_time === null || now < row.valid_before_time)),
      };
    },
    async sign(email, data) {
      const key = await signer(email);
      return key === undefined ? undefined : { keyId: key.id, signature: await signOffThread('sha256', data, key.privateKey) };
    },
    async signJwt(email, payload) {
      const key = await signer(email);
      if (key === undefined) return undefined;
      const header = JSON.stringify({ alg: 'RS256', kid: key.id, typ: 'JWT' });
      const signed = `${Buffer.from(header).toString('base64url')}.${Buffer.from(payload).toString('base64url')}`;
      return { keyId: key.id, jwt: `${signed}.${(await signOffThread('sha256', Buffer.from(signed), key.privateKey)).toString('base64url')}` };
    },
    invalidate() {
      cache = new Map();
    },
  };
}

async function makeSystemKey(store: AccountKeyStore, uniqueId: string, now: Micros): Promise<void> {
  const validity = { notBefore: now, notAfter: now + VALID_FOR };
  const { id, privateKey, certificate } = await generateKey(uniqueId, validity);
  await store.rotate(
    {
      id,
      account_unique_id: uniqueId,
      public_pem: certificate,
      origin: 'GOOGLE_PROVIDED',
      type: 'SYSTEM_MANAGED',
      algorithm: 'KEY_ALG_RSA_2048',
      disabled: 0,
      disable_reason: '',
      create_time: now,
      valid_after_time: validity.notBefore,
      valid_before_time: validity.notAfter,
      private_jwk: JSON.stringify(privateKey.export({ format: 'jwk' })),
    },
    now,
  );
}
