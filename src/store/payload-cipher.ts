/**
 * Payloads of secrets at rest: each has a data key of its own, which is wrapped by a key-encryption key. Both are AES-256-GCM, with the place of the
 * payload as additional data: what was stored for one version opens for no other, and a changed byte opens for none.
 * Must not know: where key-encryption keys come from, and what a payload is for.
 */
import { createCipheriv, createDecipheriv, createHash, randomBytes } from 'node:crypto';

/** A key-encryption key of 256 bits. Its id is made from it, so that the two cannot be mixed up. */
export interface WrappingKey {
  /** 16 hex digits. */
  readonly id: string;
  readonly bytes: Buffer;
}

/** What a payload belongs to. */
export interface PayloadPlace {
  /** Of the secret. */
  readonly uid: string;
  /** Of the secret, with the project's id. */
  readonly name: string;
  readonly version: number;
}

/** As it is stored. */
export interface SealedPayload {
  readonly keyId: string;
  readonly wrappedKey: Uint8Array;
  readonly ciphertext: Uint8Array;
}

/** What is stored is not what was written: a byte was changed, it was moved from another place, or its key is another. */
export class PayloadCorrupt extends Error {
  override readonly name = 'PayloadCorrupt';
}

export const KEY_BYTES = 32;
const CIPHER = 'aes-256-gcm';
const NONCE_BYTES = 12;
const TAG_BYTES = 16;

export function wrappingKey(bytes: Buffer): WrappingKey {
  return { id: createHash('sha256').update('actas secrets key\0').update(bytes).digest('hex').slice(0, 16), bytes };
}

export function sealPayload(key: WrappingKey, place: PayloadPlace, data: Uint8Array): SealedPayload {
  const dataKey = randomBytes(KEY_BYTES);
  return { keyId: key.id, wrappedKey: seal(key.bytes, dataKey, bound('key', place)), ciphertext: seal(dataKey, data, bound('payload', place)) };
}

/** @throws PayloadCorrupt */
export function openPayload(key: WrappingKey, place: PayloadPlace, sealed: SealedPayload): Buffer {
  return open(open(key.bytes, sealed.wrappedKey, bound('key', place)), sealed.ciphertext, bound('payload', place));
}

/** The same data key under another key-encryption key; the payload itself is not touched. @throws PayloadCorrupt */
export function rewrapKey(from: WrappingKey, to: WrappingKey, place: PayloadPlace, wrappedKey: Uint8Array): Uint8Array {
  return seal(to.bytes, open(from.bytes, wrappedKey, bound('key', place)), bound('key', place));
}

function bound(what: 'key' | 'payload', { uid, name, version }: PayloadPlace): Buffer {
  return Buffer.from(JSON.stringify(['actas', what, uid, name, version]));
}

/** @returns nonce, ciphertext and tag in one */
function seal(key: Buffer, data: Uint8Array, additional: Buffer): Buffer {
  const nonce = randomBytes(NONCE_BYTES);
  const cipher = createCipheriv(CIPHER, key, nonce, { authTagLength: TAG_BYTES }).setAAD(additional);
  return Buffer.concat([nonce, cipher.update(data), cipher.final(), cipher.getAuthTag()]);
}

function open(key: Buffer, sealed: Uint8Array, additional: Buffer): Buffer {
  if (sealed.length < NONCE_BYTES + TAG_BYTES) throw new PayloadCorrupt('it is too short');
  const end = sealed.length - TAG_BYTES;
  try {
    const decipher = createDecipheriv(CIPHER, key, sealed.subarray(0, NONCE_BYTES), { authTagLength: TAG_BYTES }).setAAD(additional).setAuthTag(sealed.subarray(end));
    return Buffer.concat([decipher.update(sealed.subarray(NONCE_BYTES, end)), decipher.final()]);
  } catch (cause) {
    throw new PayloadCorrupt('its authentication tag does not fit', { cause });
  }
}
