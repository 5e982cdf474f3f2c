/** Lets go of what is too old or too much, in steps so short that lines which arrive meanwhile hardly wait. Runs on the worker thread alone. */
import type { DatabaseSync } from 'node:sqlite';
import { MICROS_PER_MILLI, type Micros } from '../timestamp.ts';
import type { LogRetention } from './log-entry.ts';
import type { Streams } from './log-streams.ts';

const ROWS_PER_STEP = 500;
const PAGES_PER_STEP = 2000;
/** Once too much, it goes down to this part, so that the limit is not met again by the next line. */
const LOW_WATER = 0.9;
/** A source keeps the cursor of an attempt: longer than the longest attempt (168 h), though its lines be gone. */
const KEEP_SOURCE_MS = 8 * 24 * 3600 * 1000;

export interface Sweep {
  /** One step, in a transaction of its own. @returns how many entries went; 0: nothing is left to do */
  step(now: Micros): number;
}

export function createSweep(raw: DatabaseSync, streams: Streams, retention: LogRetention): Sweep {
  const expired = raw.prepare(`SELECT max(id) AS id FROM (SELECT id, receive_time FROM entries ORDER BY id LIMIT ${ROWS_PER_STEP}) WHERE receive_time < ?`);
  const oldest = raw.prepare(`SELECT max(id) AS id FROM (SELECT id FROM entries ORDER BY id LIMIT ${ROWS_PER_STEP})`);
  const remove = raw.prepare('DELETE FROM entries WHERE id <= ?');
  const removeCursors = raw.prepare('DELETE FROM cursors WHERE source IN (SELECT id FROM sources WHERE update_time < ?)');
  const removeSources = raw.prepare('DELETE FROM sources WHERE update_time < ?');
  const first = raw.prepare('SELECT receive_time FROM entries ORDER BY id LIMIT 1');
  const pragma = (name: string): number => Number(Object.values(raw.prepare(`PRAGMA ${name}`).get() ?? {})[0]);
  const usedBytes = (): number => (pragma('page_count') - pragma('freelist_count')) * pragma('page_size');
  let isShrinking = false;

  const deleteUpTo = (statement: typeof remove, row: Record<string, unknown> | undefined): number =>
    typeof row?.['id'] === 'number' ? Number(statement.run(row['id']).changes) : 0;

  return {
    step(now) {
      const horizon = now - retention.maxAgeMs * MICROS_PER_MILLI;
      const used = usedBytes();
      if (used > retention.maxBytes) isShrinking = true;
      else if (used <= retention.maxBytes * LOW_WATER) isShrinking = false;
      raw.exec('BEGIN IMMEDIATE');
      try {
        let gone = deleteUpTo(remove, isShrinking ? oldest.get() : expired.get(horizon));
        if (gone === 0) {
          // A stream or source whose last line is older than the oldest line left has none left: entries leave as they came.
          const left = Number(first.get()?.['receive_time'] ?? now);
          streams.removeBefore(left);
          const until = Math.min(left, now - KEEP_SOURCE_MS * MICROS_PER_MILLI);
          removeCursors.run(until);
          gone = Number(removeSources.run(until).changes);
        }
        raw.exec('COMMIT');
        raw.exec(`PRAGMA incremental_vacuum(${PAGES_PER_STEP})`);
        return gone;
      } catch (error) {
        if (raw.isTransaction) raw.exec('ROLLBACK');
        streams.forget();
        throw error;
      }
    },
  };
}
