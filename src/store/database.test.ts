import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { lockDataDir } from './data-dir-lock.ts';
import { openStore, type Store } from './database.ts';
import { findSetting, updateSetting } from './settings.ts';

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

const put = (key: string, value = 'x') => store.write(({ db }) => updateSetting(db, key, value));
const find = (key: string) => findSetting(store.read, key);

test("what is written is there for readers and after a new start, in files that are nobody else's", async () => {
  await put('a', '1');
  expect(await find('a')).toBe('1');
  for (const file of ['state.sqlite', 'state.sqlite-wal', 'state.sqlite-shm']) expect(statSync(join(dir, file)).mode & 0o777, file).toBe(0o600);
  await store.close();
  store = await openStore(dir);
  expect(await find('a')).toBe('1');
});

test('a work that throws, or whose query fails, undoes its own changes alone, also amid a batch', async () => {
  const outcomes = await Promise.allSettled([
    put('before'),
    store.write(async ({ db }) => {
      await updateSetting(db, 'thrown', 'x');
      throw new Error('no');
    }),
    put('between'),
    store.write(async ({ db }) => {
      await updateSetting(db, 'failed', 'x');
      await db.insertInto('settings').values({ key: 'before', value: 'twice' }).execute();
    }),
    put('after'),
  ]);
  expect(outcomes.map((outcome) => outcome.status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'rejected', 'fulfilled']);
  expect(await Promise.all(['before', 'thrown', 'between', 'failed', 'after'].map(find))).toEqual(['x', undefined, 'x', undefined, 'x']);
});

test("writers see each other's changes, one after the other, and none is lost", async () => {
  await put('sum', '0');
  await Promise.all(Array.from({ length: 300 }, () => store.write(async ({ db }) => updateSetting(db, 'sum', String(Number(await findSetting(db, 'sum')) + 1)))));
  expect(await find('sum')).toBe('300');
});

test('readers see nothing before the commit', async () => {
  const seen: (string | undefined)[] = [];
  await store.write(async ({ db }) => {
    await updateSetting(db, 'late', 'x');
    seen.push(await find('late'), await findSetting(db, 'late'));
  });
  expect(seen).toEqual([undefined, 'x']);
});

test('a transaction inside another is refused in place of waiting for itself; what one leaves behind may begin its own', async () => {
  await expect(store.write(() => put('inner'))).rejects.toThrow(/inside another/);
  expect(await find('inner')).toBeUndefined();
  let later: Promise<unknown> = Promise.resolve();
  await store.write(async () => {
    later = new Promise((resolve) => setImmediate(resolve)).then(() => new Promise((resolve) => setTimeout(resolve, 5))).then(() => put('later'));
  });
  await later;
  expect(await find('later')).toBe('x');
});

test('listeners hear of the topics of commits, not of what was undone; one that stopped hears nothing', async () => {
  const heard: string[] = [];
  const stop = store.onCommit('work', () => heard.push('work'));
  store.onCommit('policies', () => heard.push('policies'));
  await store.write(async ({ touch }) => touch('work'));
  await store
    .write(async ({ touch }) => {
      touch('policies');
      throw new Error('no');
    })
    .catch(() => undefined);
  expect(heard).toEqual(['work']);
  stop();
  await store.write(async ({ touch }) => touch('work'));
  expect(heard).toEqual(['work']);
});

test('another process that holds the lock: short is waited for, long is UNAVAILABLE, and the event loop goes on meanwhile', async () => {
  const other = new DatabaseSync(join(dir, 'state.sqlite'));
  let turns = 0;
  const ticker = setInterval(() => turns++, 10);
  other.exec('BEGIN IMMEDIATE');
  const short = put('short');
  setTimeout(() => other.exec('COMMIT'), 200);
  await short;
  expect(turns).toBeGreaterThan(2);
  other.exec('BEGIN IMMEDIATE');
  await expect(put('long')).rejects.toMatchObject({ status: 'UNAVAILABLE' });
  other.exec('COMMIT');
  clearInterval(ticker);
  await put('long');
  other.close();
});

test('closing lets what is under way finish, and refuses what comes later', async () => {
  const under = put('under way');
  const closing = store.close();
  await expect(put('late')).rejects.toMatchObject({ status: 'UNAVAILABLE' });
  await Promise.all([under, closing]);
  store = await openStore(dir);
  expect(await find('under way')).toBe('x');
});

test('the write-ahead log does not grow with the number of commits', async () => {
  const value = 'v'.repeat(4000);
  for (let i = 0; i < 3000; i++) await put(`key ${i % 50}`, value);
  expect(statSync(join(dir, 'state.sqlite-wal')).size).toBeLessThan(16 * 2 ** 20);
});

test('kill -9: what was acknowledged is there, and the lock of the data directory is free again', async () => {
  await store.close();
  const script = `
    const { openStore } = await import(${JSON.stringify(new URL('database.ts', import.meta.url).href)});
    const { lockDataDir } = await import(${JSON.stringify(new URL('data-dir-lock.ts', import.meta.url).href)});
    const { updateSetting } = await import(${JSON.stringify(new URL('settings.ts', import.meta.url).href)});
    const { writeSync } = await import('node:fs');
    // Held on to: what nobody refers to is collected, and its lock goes with it.
    globalThis.lock = lockDataDir(process.argv[1]);
    const store = await openStore(process.argv[1]);
    for (let i = 0; ; i++) { await store.write(({ db }) => updateSetting(db, 'k' + i, 'x')); writeSync(1, i + '\\n'); }`;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--input-type=module', '-e', script, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.setEncoding('utf8');
  // Read on to the end: a pipe that nobody reads any more would end the child before its kill.
  await new Promise<void>((resolve) =>
    child.stdout.on('data', (chunk: string) => {
      said += chunk;
      if (said.split('\n').length > 200) resolve();
    }),
  );
  expect(() => lockDataDir(dir)).toThrow(/Another actas runs/);
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
  store = await openStore(dir);
  const acknowledged = Number(said.trimEnd().split('\n').slice(0, -1).at(-1));
  expect(acknowledged).toBeGreaterThan(100);
  for (let i = 0; i <= acknowledged; i++) expect(await find(`k${i}`), `k${i}`).toBe('x');
  const lock = lockDataDir(dir);
  expect(() => lockDataDir(dir)).toThrow(/Another actas runs/);
  lock.release();
  lockDataDir(dir).release();
});

test('a database of a newer actas is left as it is', async () => {
  await store.close();
  const raw = new DatabaseSync(join(dir, 'state.sqlite'));
  raw.exec(`INSERT INTO kysely_migration VALUES ('9999-later', '2030-01-01T00:00:00.000Z')`);
  raw.close();
  await expect(openStore(dir)).rejects.toThrow(/newer actas/);
  const undo = new DatabaseSync(join(dir, 'state.sqlite'));
  undo.exec(`DELETE FROM kysely_migration WHERE name = '9999-later'`);
  undo.close();
  store = await openStore(dir);
});
