/** The log store where things are not as it left them: a file of an earlier version, and a disk that is full. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { LogEntry, LogLine, LogSource } from './log-entry.ts';
import { type LogStore, openLogStore } from './log-store.ts';

let dir: string;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'log-faults-'));
});
afterEach(() => rm(dir, { recursive: true }));

const SOURCE: LogSource = {
  projectId: 'demo',
  location: 'us-central1',
  job: 'hello',
  execution: 'hello-abcde',
  executionUid: 'u',
  task: 'hello-abcde-task0',
  taskIndex: 0,
  attempt: 0,
  attemptId: 'uid-0',
  labels: { team: 'blue' },
};
const NOW = BigInt(Date.now()) * 1_000_000n;

async function all(logs: LogStore): Promise<LogEntry[]> {
  const found: LogEntry[] = [];
  let pageToken = '';
  do {
    const page = await logs.query({ parents: ['projects/demo', 'projects/home'], order: 'asc', pageSize: 1000, pageToken });
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}

it('takes over what an earlier version kept', async () => {
  const old = new DatabaseSync(join(dir, 'logs.sqlite'));
  old.exec(`
    CREATE TABLE sources (id INTEGER PRIMARY KEY AUTOINCREMENT, attempt_id TEXT NOT NULL UNIQUE, body TEXT NOT NULL, update_time INTEGER NOT NULL) STRICT;
    CREATE TABLE cursors (source INTEGER NOT NULL, container TEXT NOT NULL, time_ns INTEGER NOT NULL, count INTEGER NOT NULL, splits TEXT, PRIMARY KEY (source, container)) STRICT, WITHOUT ROWID;
    CREATE TABLE entries (id INTEGER PRIMARY KEY AUTOINCREMENT, time_ns INTEGER NOT NULL, receive_time INTEGER NOT NULL, source INTEGER NOT NULL, project INTEGER NOT NULL, job INTEGER NOT NULL,
      execution INTEGER NOT NULL, severity INTEGER NOT NULL, stream TEXT NOT NULL, container TEXT NOT NULL, kind TEXT NOT NULL, payload TEXT NOT NULL, insert_id TEXT, extras TEXT, split TEXT) STRICT;
    CREATE INDEX entries_project ON entries (project, time_ns, id);
    CREATE INDEX entries_job ON entries (job, time_ns, id);
    CREATE INDEX entries_execution ON entries (execution, time_ns, id);
    CREATE TABLE audit (id INTEGER PRIMARY KEY AUTOINCREMENT, time INTEGER NOT NULL, principal TEXT NOT NULL, method TEXT NOT NULL, resource TEXT NOT NULL, permissions TEXT NOT NULL,
      status TEXT NOT NULL, latency_ms REAL NOT NULL, request_id TEXT NOT NULL, door TEXT NOT NULL, delegation TEXT NOT NULL DEFAULT '[]') STRICT;
    CREATE INDEX audit_principal ON audit (principal, id);
    PRAGMA user_version = 2;`);
  old.prepare('INSERT INTO sources (attempt_id, body, update_time) VALUES (?, ?, ?)').run(SOURCE.attemptId, JSON.stringify(SOURCE), Date.now() * 1000);
  old.prepare('INSERT INTO cursors VALUES (1, ?, ?, 2, ?)').run('main', NOW + 1n, JSON.stringify({ stdout: { uid: 'u1', index: 1 } }));
  const insert = old.prepare('INSERT INTO entries VALUES (NULL, ?, ?, 1, 1, 2, 3, ?, ?, ?, ?, ?, ?, ?, ?)');
  insert.run(NOW, Date.now() * 1000, 500, 'stderr', 'main', 'json', '{"message":"m","a":1}', 'own', '{"labels":{"k":"v"},"trace":"t"}', null);
  insert.run(NOW + 1n, Date.now() * 1000, 0, 'stdout', 'main', 'text', 'half', null, null, '{"uid":"u1","index":0}');
  const audit = old.prepare('INSERT INTO audit VALUES (NULL, ?, ?, ?, ?, ?, ?, 1.5, ?, ?, ?)');
  audit.run(
    Date.now() * 1000,
    'user:a@example.com',
    'm.Get',
    '//run.googleapis.com/projects/demo/locations/l/jobs/j',
    '[{"permission":"p","resource":"//x/y","granted":false}]',
    'PERMISSION_DENIED',
    'r1',
    'rest',
    '[]',
  );
  audit.run(Date.now() * 1000, '', 'none', '', '[]', 'UNAUTHENTICATED', 'r2', 'rest', '[]');
  old.close();

  const logs = await openLogStore(dir, { home: 'projects/home' });
  const entries = await all(logs);
  expect(entries.filter(({ kind }) => kind !== 'proto')).toMatchObject([
    {
      payload: '{"message":"m","a":1}',
      insertId: 'own',
      extras: { trace: 't' },
      head: { logId: 'run.googleapis.com/stderr', severity: 500, labels: { k: 'v', team: 'blue', container_name: 'main' } },
    },
    { payload: 'half', split: { uid: 'u1', index: 0 } },
  ]);
  expect(entries.filter(({ kind }) => kind === 'proto').map(({ head }) => head.parent)).toEqual(['projects/demo', 'projects/home']);
  // A line that was open goes on where it was.
  expect(await logs.cursor(SOURCE.attemptId)).toEqual({ main: { timeNs: NOW + 1n, count: 2 } });
  await logs.append(SOURCE, [{ container: 'main', stream: 'stdout', timeNs: NOW + 2n, text: 'whole' }]);
  expect((await all(logs)).find(({ payload }) => payload === 'whole')?.split).toEqual({ uid: 'u1', index: 1 });
  await logs.close();
  const view = new DatabaseSync(join(dir, 'logs.sqlite'), { readOnly: true });
  expect(view.prepare('SELECT principal, method, status, permissions FROM audit ORDER BY id LIMIT 1').get()).toEqual({
    principal: 'user:a@example.com',
    method: 'm.Get',
    status: 'PERMISSION_DENIED',
    permissions: '[{"permission":"p","resource":"//x/y","granted":false}]',
  });
  view.close();
});

const mayMount = process.platform === 'linux' && process.getuid?.() === 0;

it.skipIf(!mayMount)('says that the disk is full, keeps what it had, and goes on where it was once there is room (needs root, to mount a small tmpfs)', async () => {
  const mount = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', dir], { encoding: 'utf8' });
  expect(mount.stderr).toBe('');
  try {
    const filler = join(dir, 'filler');
    await writeFile(filler, Buffer.alloc(3 * 1024 * 1024));
    const logs = await openLogStore(dir);
    const lines = Array.from({ length: 3000 }, (_, n): LogLine => ({ container: 'main', stream: 'stdout', timeNs: NOW + BigInt(n), text: `${n} ${'x'.repeat(1000)}` }));
    // As the runner does: in order, from the cursor on, until all is kept.
    let failures = 0;
    for (;;) {
      const place = (await logs.cursor(SOURCE.attemptId))['main'];
      const from = place === undefined ? 0 : Number(place.timeNs - NOW) + 1;
      if (from === lines.length) break;
      try {
        await logs.append(SOURCE, lines.slice(from, from + 100));
      } catch (error) {
        expect(error).toMatchObject({ status: 'UNAVAILABLE' });
        failures++;
        // What was kept before is still there, and nothing else.
        expect((await all(logs)).length).toBe(from);
        await rm(filler, { force: true });
        spawnSync('mount', ['-o', 'remount,size=40m', dir]);
      }
    }
    expect(failures, 'the disk was never full').toBeGreaterThan(0);
    expect((await all(logs)).map(({ payload }) => Number(payload.split(' ')[0]))).toEqual(lines.map((_, n) => n));
    await logs.close();
  } finally {
    spawnSync('umount', ['-l', dir]);
  }
});
