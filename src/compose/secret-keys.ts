/** The keys that payloads of secrets are kept under: asked for at the start, so that nothing is served that could not be read. */
import { join } from 'node:path';
import type { Config } from '../config.ts';
import type { Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import { type Rewrapped, requireKeys, rewrapAll } from '../store/secret-key-rotation.ts';
import { openKeyring, type SecretKeyring } from '../store/secret-keyring.ts';

/** @throws KeyringError where the keys are not those of what is stored, or others can read them */
export async function openSecretKeys({ secretsKey, secretsKeyFile, dataDir }: Config, store: Store): Promise<SecretKeyring> {
  const given = secretsKey === undefined ? undefined : { keys: secretsKey, setting: 'ACTAS_SECRETS_KEY (secretsKey)' };
  const keyring = openKeyring(secretsKeyFile ?? join(dataDir, 'secrets-key'), given);
  await requireKeys(store.read, keyring);
  return keyring;
}

/** A new key, and everything under it. @throws KeyringError */
export function rotateSecretsKey(store: Store, keyring: SecretKeyring): Promise<Rewrapped> {
  keyring.add();
  return rewrapAll(store, keyring);
}

/** Goes on with a change of keys that was cut off, or that whoever gives the keys began. */
export async function finishRotation(store: Store, keyring: SecretKeyring, log: Log): Promise<void> {
  if (keyring.ids().length < 2) return;
  try {
    const { keyId, rewrapped, damaged } = await rewrapAll(store, keyring);
    if (rewrapped > 0) log.info({ keyId, rewrapped }, `the data keys of ${rewrapped} versions of secrets were wrapped with the new key`);
    if (damaged.length > 0) log.error({ damaged }, 'versions of secrets cannot be decrypted with any key');
  } catch (error) {
    log.error({ err: error }, 'the keys of secrets could not be changed to the end');
  }
}
