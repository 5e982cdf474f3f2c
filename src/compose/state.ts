/** The state of a data directory: its lock, the store, the database of logs, and what keeps them small. */

import { randomBytes } from 'node:crypto';
import type { Config } from '../config.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Log } from '../services/service.ts';
import { lockDataDir } from '../store/data-dir-lock.ts';
import { openStore, type Store } from '../store/database.ts';
import { type LogStore, prepareLogStore } from '../store/log-store.ts';
import type { SecretKeyring } from '../store/secret-keyring.ts';
import { findSetting, updateSetting } from '../store/settings.ts';
import { systemClock } from '../timestamp.ts';
import { openSecretKeys } from './secret-keys.ts';

/** Steps that undo what was built, run last to first. */
export type Undo = (() => Promise<void> | void)[];

export interface State {
  readonly store: Store;
  readonly logs: LogStore;
  openLogs(): Promise<void>;
  readonly instanceId: string;
  /** What payloads of secrets are encrypted under. */
  readonly keyring: SecretKeyring;
}

/** @throws Error with a sentence for people */
export async function openState(config: Config, log: Log, undo: Undo): Promise<State> {
  const lock = lockDataDir(config.dataDir);
  undo.push(() => lock.release());
  const { logs, open } = prepareLogStore(config.dataDir, {
    retention: { maxAgeMs: config.logRetention, maxBytes: config.logMaxSize },
    home: `projects/${config.project}`,
    onError: (error) => log.error({ err: error }, 'the log store failed'),
  });
  const store = await openStore(config.dataDir);
  undo.push(() => store.close());
  // Before the store: whose log an entry belongs to is looked up there. Without a question the logs have no thread yet, and nothing to close.
  undo.push(() => logs.close());
  const keyring = await openSecretKeys(config, store);
  return { store, logs, openLogs: open, instanceId: await instanceOf(store), keyring };
}

/** A name for this data directory that outlives restarts: containers carry it, so that each control plane knows its own. */
async function instanceOf(store: Store): Promise<string> {
  const known = await findSetting(store.read, 'instance');
  if (known !== undefined) return known;
  const made = randomBytes(6).toString('hex');
  await store.write(({ db }) => updateSetting(db, 'instance', made));
  return made;
}

/** Forgets what nobody needs any more. @returns stops */
export function startHousekeeping(store: Store, tokens: Tokens, log: Log): () => void {
  const timer = setInterval(() => {
    for (const work of [tokens.deleteExpired(), import('../store/retention.ts').then(({ deleteExpired }) => deleteExpired(store, systemClock.now()))])
      work.catch((error: unknown) => log.warn({ err: error }, 'what has expired was not removed'));
  }, 3_600_000).unref();
  return () => clearInterval(timer);
}
