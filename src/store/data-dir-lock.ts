/**
 * One control plane per data directory: an exclusive lock that the operating system takes back when the process ends, however it
 * ends. It is a lock of SQLite's on a database of its own, because Node offers no file locks.
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';

export interface DataDirLock {
  release(): void;
}

/** @throws Error where another process holds it */
export function lockDataDir(dataDir: string): DataDirLock {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  const file = join(dataDir, 'lock.sqlite');
  closeSync(openSync(file, 'a', 0o600));
  const database = new DatabaseSync(file, { timeout: 0 });
  try {
    database.exec('PRAGMA journal_mode = DELETE; BEGIN EXCLUSIVE');
  } catch (error) {
    database.close();
    throw new Error(`Another actas runs on ${dataDir}. Look with \`actas status\`, stop it with \`actas stop\`, or choose another --data-dir.`, { cause: error });
  }
  return { release: () => database.close() };
}
