/** What the loop asks for again and again must not read whole tables: the partial indexes are used. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openStore, type Store } from './database.ts';
import { listOpenOperations } from './operations.ts';
import { listEndingExecutions, listReconcilingJobs, renewLeases } from './work.ts';

const owner = { instance: 'i', boot: 'b' };
let dir: string;
let store: Store;
let statements: string[];
beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'actas-plan-'));
  store = await openStore(dir);
  statements = [];
  const original = DatabaseSync.prototype.prepare;
  DatabaseSync.prototype.prepare = function (text: string) {
    statements.push(text);
    return original.call(this, text);
  };
  await listReconcilingJobs(store.read, 10);
  await listOpenOperations(store.read, 'target');
  await listEndingExecutions(store.read, owner);
  await store.write(({ db }) => renewLeases(db, owner, 1));
  DatabaseSync.prototype.prepare = original;
});
afterAll(async () => {
  await store.close();
  rmSync(dir, { recursive: true });
});

test.each([
  ['jobs', 'jobs_reconciling'],
  ['operations', 'operations_open'],
  ['"executions"', 'executions_open'],
])('%s through %s', (table, index) => {
  const database = new DatabaseSync(join(dir, 'state.sqlite'), { readOnly: true });
  const about = statements.filter((text) => text.includes(table) && / where /i.test(text));
  expect(about.length).toBeGreaterThan(0);
  for (const text of about) {
    const plan = database.prepare(`EXPLAIN QUERY PLAN ${text}`).all(...Array.from({ length: text.split('?').length - 1 }, () => 1));
    expect(JSON.stringify(plan), text).toContain(index);
  }
  database.close();
});
