import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openStore, type Store } from './database.ts';
import { DELETED_KEPT_MICROS } from './jobs.ts';
import { deleteExpired } from './retention.ts';

const NOW = 1_800_000_000_000_000;
const OLD = NOW - DELETED_KEPT_MICROS;
const NEW = OLD + 1;

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'store-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const body = new Uint8Array();
const at = { project_id: 'demo', location: 'us-central1', body };

async function fill(uid: string, deleteTime: number | null, tasks: number): Promise<void> {
  await store.write(async ({ db }) => {
    await db
      .insertInto('jobs')
      .values({ ...at, uid, name: uid, generation: 1, reconciling: 0, operation: null, create_time: 1, delete_time: deleteTime })
      .execute();
    await db
      .insertInto('executions')
      .values({
        ...at,
        uid,
        name: uid,
        job: uid,
        job_uid: uid,
        phase: 'done',
        cancel_requested: 0,
        delete_requested: 0,
        operation: '',
        lease_owner: null,
        lease_expire_time: null,
        create_time: 1,
        completion_time: 2,
        delete_time: deleteTime,
      })
      .execute();
    for (let index = 0; index < tasks; index++)
      await db
        .insertInto('tasks')
        .values({
          uid: `${uid}-${index}`,
          name: `${uid}-${index}`,
          execution_uid: uid,
          task_index: index,
          body,
          state: 'succeeded',
          attempt: 0,
          attempt_create_time: null,
          attempt_start_time: null,
          stop_cause: null,
        })
        .execute();
  });
}

test('what was deleted 30 days ago goes, all of it, and nothing else', async () => {
  await fill('old', OLD, 1203);
  await fill('new', NEW, 3);
  await fill('kept', null, 2);
  await store.write(async ({ db }) => {
    for (const [name, done, create_time] of [
      ['done', 1, OLD],
      ['open', 0, OLD],
      ['young', 1, NEW],
    ] as const)
      await db
        .insertInto('operations')
        .values({ ...at, name, done, target: '', create_time })
        .execute();
    for (const [email, delete_time] of [
      ['gone@x', OLD],
      ['kept@x', null],
      ['restorable@x', NEW],
    ] as const) {
      await db
        .insertInto('service_accounts')
        .values({ unique_id: email, email, project_id: 'demo', display_name: '', description: '', oauth2_client_id: '', disabled: 0, etag: '', create_time: 1, delete_time })
        .execute();
    }
  });
  expect(await deleteExpired(store, NOW)).toBe(1203 + 1 + 1 + 1 + 1);
  const left = async (table: 'jobs' | 'executions') => (await store.read.selectFrom(table).select('uid').orderBy('uid').execute()).map((row) => row.uid);
  expect(await left('jobs')).toEqual(['kept', 'new']);
  expect(await left('executions')).toEqual(['kept', 'new']);
  expect(await store.read.selectFrom('tasks').select('uid').execute()).toHaveLength(5);
  expect((await store.read.selectFrom('operations').select('name').orderBy('name').execute()).map((row) => row.name)).toEqual(['open', 'young']);
  expect((await store.read.selectFrom('service_accounts').select('email').orderBy('email').execute()).map((row) => row.email)).toEqual(['kept@x', 'restorable@x']);
  expect(await deleteExpired(store, NOW)).toBe(0);
});

describe('of executions that have ended', () => {
  const DAY = 24 * 3600 * 1_000_000;
  const LONG_AGO = NOW - 20 * DAY;
  /** @param times of the ends, each a second after the beginning */
  const insert = (job: string, times: readonly number[], change: object = {}) =>
    store.write(async ({ db }) => {
      for (const [index, time] of times.entries())
        await db
          .insertInto('executions')
          .values({
            ...at,
            uid: `${job}-${index}`,
            name: `${job}/executions/${index}`,
            job,
            job_uid: job,
            phase: 'done',
            cancel_requested: 0,
            delete_requested: 0,
            operation: '',
            lease_owner: null,
            lease_expire_time: null,
            create_time: time - 1_000_000,
            completion_time: time,
            delete_time: null,
            ...change,
          })
          .execute();
    });
  const count = async (job: string) => (await store.read.selectFrom('executions').select('uid').where('job', '=', job).execute()).length;

  test('a job keeps its last thousand, and all of the last seven days', async () => {
    for (const job of ['busy', 'quiet', 'recent', 'tied']) await fill(job, null, 0);
    await store.write(({ db }) => db.deleteFrom('executions').execute());
    await insert('busy', [...Array.from({ length: 1700 }, (_, index) => LONG_AGO + index), ...Array.from({ length: 40 }, (_, index) => NOW - DAY + index)]);
    // One of those that go has tasks, more than one transaction takes; an open one goes nowhere.
    await store.write(async ({ db }) => {
      for (let index = 0; index < 1001; index++)
        await db
          .insertInto('tasks')
          .values({
            uid: `old-${index}`,
            name: `old-${index}`,
            execution_uid: 'busy-0',
            task_index: index,
            body,
            state: 'succeeded',
            attempt: 0,
            attempt_create_time: null,
            attempt_start_time: null,
            stop_cause: null,
          })
          .execute();
    });
    await insert(
      'quiet',
      Array.from({ length: 1000 }, (_, index) => LONG_AGO + index),
    );
    await insert(
      'recent',
      Array.from({ length: 1100 }, (_, index) => NOW - 6 * DAY + index),
    );
    await insert(
      'tied',
      Array.from({ length: 1010 }, () => LONG_AGO),
    );
    await store.write(({ db }) => db.updateTable('executions').set({ phase: 'running', completion_time: null }).where('uid', '=', 'busy-1').execute());

    expect(await deleteExpired(store, NOW)).toBe(739 + 1001 + 10);
    expect(await count('busy')).toBe(1001);
    expect((await store.read.selectFrom('executions').select('uid').where('job', '=', 'busy').orderBy('create_time').limit(2).execute()).map((row) => row.uid)).toEqual([
      'busy-1',
      'busy-740',
    ]);
    expect(await store.read.selectFrom('tasks').select('uid').execute()).toEqual([]);
    expect([await count('quiet'), await count('recent'), await count('tied')]).toEqual([1000, 1100, 1000]);
    expect(await deleteExpired(store, NOW)).toBe(0);
  });

  test('no transaction is long', async () => {
    for (let job = 0; job < 3; job++) {
      await fill(`many-${job}`, null, 0);
      await insert(
        `many-${job}`,
        Array.from({ length: 2500 }, (_, index) => LONG_AGO + index),
      );
    }
    let most = 0;
    const counted: Pick<Store, 'read' | 'write'> = {
      read: store.read,
      write: (work) =>
        store.write(async (tx) => {
          const before = (await tx.db.selectFrom('executions').select('uid').where('delete_time', 'is', null).execute()).length;
          const result = await work(tx);
          most = Math.max(most, before - (await tx.db.selectFrom('executions').select('uid').where('delete_time', 'is', null).execute()).length);
          return result;
        }),
    };
    await deleteExpired(counted, NOW);
    expect(most).toBe(500);
    expect(await count('many-2')).toBe(1000);
  });
});
