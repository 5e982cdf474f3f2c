/** How many single-row commits a second bare `node:sqlite` makes with rows of this size, WAL and the given `synchronous`: file, bytes, seconds, setting. */
import { DatabaseSync } from 'node:sqlite';

/** @returns commits per second */
export function measureCommits(file: string, bytes: number, seconds: number, synchronous: 'FULL' | 'NORMAL'): number {
  const database = new DatabaseSync(file);
  database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = ${synchronous}; CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, body BLOB NOT NULL)`);
  const insert = database.prepare('INSERT INTO rows (body) VALUES (?)');
  const body = new Uint8Array(bytes).fill(120);
  const began = performance.now();
  let done = 0;
  while (performance.now() < began + seconds * 1000) {
    insert.run(body);
    done++;
  }
  const rate = done / ((performance.now() - began) / 1000);
  database.close();
  return rate;
}
