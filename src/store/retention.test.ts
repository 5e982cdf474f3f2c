import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
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
