/** What can be said of the file of the logs without opening it as a database: enough for a start, which leaves the rest to the logs' own thread. */
import { chmodSync, closeSync, openSync, readSync } from 'node:fs';

export const LOG_SCHEMA_VERSION = 3;

/** Where SQLite keeps `user_version`, four bytes. Source: https://www.sqlite.org/fileformat2.html (the database header) */
const VERSION_OFFSET = 60;

/** Makes it where there is none, 0600. @throws where it cannot be used, or a newer program wrote it */
export function checkLogFile(file: string): void {
  const opened = openSync(file, 'a+', 0o600);
  try {
    const version = Buffer.alloc(4);
    if (readSync(opened, version, 0, 4, VERSION_OFFSET) === 4 && version.readUInt32BE() > LOG_SCHEMA_VERSION) throw tooNew(file);
  } finally {
    closeSync(opened);
  }
  chmodSync(file, 0o600);
}

export function tooNew(file: string): Error {
  return new Error(`The database ${file} was written by a newer actas; nothing was changed.`);
}
