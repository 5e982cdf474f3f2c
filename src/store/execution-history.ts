/**
 * How many executions of a job are remembered: the last thousand that have ended, and all of the last seven days, as on Cloud Run
 * (https://docs.cloud.google.com/run/quotas, https://docs.cloud.google.com/run/docs/execute/jobs). Older ones are marked as deleted long ago: from
 * then on nobody sees them, and what forgets deleted executions (retention.ts) forgets them too.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Micros } from '../timestamp.ts';
import type { Store } from './database.ts';
import { DELETED_KEPT_MICROS } from './jobs.ts';
import { prepare } from './sqlite.ts';

const KEPT = 1000;
const KEPT_FOR_MICROS = 7 * 24 * 3600 * 1_000_000;
/** Jobs read at once, and rows changed in one transaction: a few milliseconds. */
const AT_ONCE = 500;

/** Looks at every job, a few at a time. @returns how many executions were marked */
export async function expireOldExecutions(store: Pick<Store, 'read' | 'write'>, now: Micros): Promise<number> {
  const completedBefore = now - KEPT_FOR_MICROS;
  let total = 0;
  let after = '';
  for (;;) {
    const jobs = await selectJobs(store.read, { after });
    for (const { name } of jobs) {
      // Served in between: whoever waits for an answer.
      await nextTurn();
      const [oldestKept] = await selectOldestKept(store.read, { job: name });
      if (oldestKept === undefined) continue;
      let marked: number;
      do {
        marked = await markSome(store, { ...oldestKept, job: name, completedBefore, expired: now - DELETED_KEPT_MICROS });
        total += marked;
      } while (marked === AT_ONCE);
    }
    const last = jobs.at(-1);
    if (last === undefined || jobs.length < AT_ONCE) return total;
    after = last.name;
  }
}

const selectJobs = prepare<{ name: string }, 'after'>(['after'], (db, { after }) =>
  db.selectFrom('jobs').select('name').where('delete_time', 'is', null).where('name', '>', after).orderBy('name').limit(AT_ONCE),
);

/** The last of those that are kept for their number; undefined where the job has no more than that. */
const selectOldestKept = prepare<{ create_time: Micros; uid: string }, 'job'>(['job'], (db, { job }) =>
  db
    .selectFrom('executions')
    .select(['create_time', 'uid'])
    .where('job', '=', job)
    .where('phase', '=', 'done')
    .where('delete_time', 'is', null)
    .orderBy('create_time', 'desc')
    .orderBy('uid')
    .limit(1)
    .offset(KEPT - 1),
);

async function markSome(
  store: Pick<Store, 'write'>,
  older: { readonly job: string; readonly create_time: Micros; readonly uid: string; readonly completedBefore: Micros; readonly expired: Micros },
): Promise<number> {
  return store.write(async ({ db }) => {
    const some = db
      .selectFrom('executions')
      .select('uid')
      .where('job', '=', older.job)
      // Nothing ends before it is made: with this the index leads to the old ones alone.
      .where('create_time', '<=', Math.min(older.create_time, older.completedBefore))
      .where('phase', '=', 'done')
      .where('delete_time', 'is', null)
      .where('completion_time', '<=', older.completedBefore)
      .where((e) => e.or([e('create_time', '<', older.create_time), e('uid', '>', older.uid)]))
      .limit(AT_ONCE);
    const changed = await db.updateTable('executions').set({ delete_requested: 1, delete_time: older.expired }).where('uid', 'in', some).executeTakeFirst();
    return Number(changed.numUpdatedRows);
  });
}
