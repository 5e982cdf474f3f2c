import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { LogEntry, LogLine, LogQuery, LogSource } from './log-entry.ts';
import { type LogStore, openLogStore } from './log-store.ts';

let dir: string;
let logs: LogStore;
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logs-'));
  logs = await openLogStore(dir);
});
afterEach(async () => {
  await logs.close();
  await rm(dir, { recursive: true });
});

const START = BigInt(Date.now()) * 1_000_000n;
function source(over: Partial<LogSource> = {}): LogSource {
  const { job = 'hello', execution = `${job}-abcde`, taskIndex = 0, attempt = 0 } = over;
  return {
    projectId: 'demo',
    location: 'us-central1',
    job,
    execution,
    executionUid: 'u',
    task: `${execution}-task${taskIndex}`,
    taskIndex,
    attempt,
    attemptId: `${execution}-${taskIndex}-${attempt}`,
    labels: {},
    ...over,
  };
}
function lines(texts: readonly string[], over: Partial<LogLine> = {}, from = START): LogLine[] {
  return texts.map((text, index) => ({ container: 'main', stream: 'stdout', timeNs: from + BigInt(index), text, ...over }));
}
async function all(query: Partial<LogQuery> = {}): Promise<LogEntry[]> {
  const found: LogEntry[] = [];
  let pageToken = '';
  do {
    const page = await logs.query({ projectIds: ['demo'], order: 'asc', pageSize: 1000, ...query, pageToken });
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}
const texts = (entries: readonly LogEntry[]): string[] => entries.map((entry) => entry.payload);

describe('lines', () => {
  it('come back whole and in order, with where they are from', async () => {
    const from = source({ labels: { team: 'a' } });
    await logs.append(from, lines(['one', '', 'ünï\u0000cödé', 'x'.repeat(256 * 1024)]));
    await logs.append(from, lines(['bad'], { stream: 'stderr' }, START + 10n));
    await logs.append(from, lines(['Container called exit(1).'], { container: '', stream: 'stderr' }, START + 11n));
    const entries = await all();
    expect(texts(entries)).toEqual(['one', '', 'ünï\u0000cödé', 'x'.repeat(256 * 1024), 'bad', 'Container called exit(1).']);
    expect(entries.map((entry) => [entry.stream, entry.severity])).toEqual([
      ['stdout', 0],
      ['stdout', 0],
      ['stdout', 0],
      ['stdout', 0],
      ['stderr', 0],
      ['system', 500],
    ]);
    expect(entries[0]).toMatchObject({ source: from, container: 'main', timeNs: START, kind: 'text' });
    expect(new Set(entries.map((entry) => entry.insertId)).size).toBe(6);
    expect(entries[0]?.insertId).toMatch(/^[0-9a-f]{24}$/);
  });

  it('keeps the pieces of a long line together, as they are', async () => {
    await logs.append(source(), [...lines(['{"a":'], { partial: true }), ...lines(['other'], { stream: 'stderr' }), ...lines(['1'], { partial: true })]);
    await logs.append(source(), lines(['}', '{"b":2}'], {}, START + 5n));
    const entries = (await all()).filter((entry) => entry.stream === 'stdout');
    const uid = entries[0]?.split?.uid;
    expect(entries.map((entry) => [entry.kind, entry.split])).toEqual([
      ['text', { uid, index: 0 }],
      ['text', { uid, index: 1 }],
      ['text', { uid, index: 2 }],
      ['json', undefined],
    ]);
  });

  it('are counted by a cursor for each container, kept with them over a restart', async () => {
    expect(await logs.cursor(source().attemptId)).toEqual({});
    await logs.append(source(), [...lines(['a']), ...lines(['b']), ...lines(['side'], { container: 'side' }), ...lines(['x'], { container: '' })]);
    await logs.append(source(), lines(['c']));
    const expected = { main: { timeNs: START, count: 3 }, side: { timeNs: START, count: 1 }, '': { timeNs: START, count: 1 } };
    expect(await logs.cursor(source().attemptId)).toEqual(expected);
    await logs.close();
    logs = await openLogStore(dir);
    expect(await logs.cursor(source().attemptId)).toEqual(expected);
    expect(texts(await all())).toEqual(['a', 'b', 'side', 'x', 'c']);
  });

  it('are never lost or doubled by a reader that goes on from the cursor (property)', async () => {
    const output = fc.array(fc.record({ container: fc.constantFrom('main', 'side'), step: fc.integer({ min: 0, max: 1 }) }), { minLength: 1, maxLength: 40 });
    let run = 0;
    await fc.assert(
      fc.asyncProperty(output, fc.array(fc.integer({ min: 1, max: 15 }), { minLength: 1, maxLength: 8 }), async (steps, batches) => {
        const attempt = source({ execution: `run-${run++}` });
        const clock = { main: START, side: START };
        const produced = steps.map(
          ({ container, step }, index): LogLine => ({ container, stream: 'stdout', timeNs: (clock[container] += BigInt(step)), text: `${container} ${index}` }),
        );
        // Each round is a reader that begins anew, as after a crash, and dies after one batch.
        for (let round = 0; ; round++) {
          const cursor = await logs.cursor(attempt.attemptId);
          const skipped: Record<string, number> = {};
          const left = produced.filter((line) => {
            const at = cursor[line.container];
            if (at === undefined || line.timeNs > at.timeNs) return true;
            if (line.timeNs < at.timeNs) return false;
            return (skipped[line.container] = (skipped[line.container] ?? 0) + 1) > at.count;
          });
          if (left.length === 0) break;
          await logs.append(attempt, left.slice(0, batches[round % batches.length]));
        }
        const entries = await all({ execution: attempt.execution });
        for (const container of ['main', 'side'])
          expect(texts(entries.filter((entry) => entry.container === container))).toEqual(produced.filter((line) => line.container === container).map((line) => line.text));
      }),
      { numRuns: 25 },
    );
  });

  it('survive kill -9: what was answered is there, and the cursor says exactly what is', async () => {
    await logs.close();
    const script = `
      import { openLogStore } from ${JSON.stringify(new URL('./log-store.ts', import.meta.url).href)};
      const logs = await openLogStore(${JSON.stringify(dir)});
      const source = ${JSON.stringify(source())};
      for (let n = 0; ; n += 10) {
        await logs.append(source, Array.from({ length: 10 }, (_, i) => ({ container: 'main', stream: 'stdout', timeNs: ${START}n + BigInt(Math.floor((n + i) / 7)), text: String(n + i) })));
        console.log(n + 10);
      }`;
    const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] });
    let answered = 0;
    for await (const chunk of child.stdout) {
      answered = Number(String(chunk).trim().split('\n').at(-1));
      if (answered >= 500) break;
    }
    child.kill('SIGKILL');
    await once(child, 'exit');
    logs = await openLogStore(dir);
    const kept = await all();
    expect(kept.length).toBeGreaterThanOrEqual(answered);
    expect(texts(kept)).toEqual(kept.map((_, index) => String(index)));
    const lastNs = START + BigInt(Math.floor((kept.length - 1) / 7));
    expect(await logs.cursor(source().attemptId)).toEqual({ main: { timeNs: lastNs, count: kept.filter((entry) => entry.timeNs === lastNs).length } });
  });

  it('of 50 MB from one task stay bounded in memory, with many readers beside it', async () => {
    const text = 'x'.repeat(1000);
    let most = 0;
    const before = process.memoryUsage().rss;
    const writers = Array.from({ length: 4 }, async (_, task) => {
      for (let n = 0; n < 50; n++) {
        await logs.append(
          source({ taskIndex: task }),
          lines(
            Array.from({ length: 250 }, () => text),
            {},
            START + BigInt(n * 1000),
          ),
        );
        most = Math.max(most, logs.stats().queuedBytes);
      }
    });
    await Promise.all(writers);
    expect(most).toBeLessThanOrEqual(16 * 1024 * 1024);
    expect(logs.stats().queuedBytes).toBe(0);
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(200);
    // A page is bounded in bytes as well.
    const page = await logs.query({ projectIds: ['demo'], order: 'desc', pageSize: 100_000 });
    expect(page.entries.length).toBeLessThan(5000);
    expect(page.nextPageToken).not.toBe('');
  });

  it('wait for room, and a wait can be given up', async () => {
    await logs.close();
    logs = await openLogStore(dir, { maxQueueBytes: 100_000 });
    const big = lines(['y'.repeat(90_000)]);
    const gone = new AbortController();
    const first = logs.append(source({ taskIndex: 0 }), big);
    const second = logs.append(source({ taskIndex: 1 }), big, gone.signal);
    const third = logs.append(source({ taskIndex: 2 }), big);
    gone.abort();
    await expect(second).rejects.toMatchObject({ status: 'CANCELLED' });
    await Promise.all([first, third]);
    expect((await all()).map((entry) => entry.source.taskIndex)).toEqual([0, 2]);
  });
});

describe('queries', () => {
  beforeEach(async () => {
    await logs.append(source({ job: 'a' }), lines(['a0', 'a1', '{"severity":"ERROR","message":"a2"}']));
    await logs.append(source({ job: 'b' }), lines(['b0', 'b1'], {}, START + 100n));
    await logs.append(source({ job: 'b', taskIndex: 1, location: 'europe-west1' }), lines(['c0'], {}, START + 50n));
    await logs.append(source({ projectId: 'other', job: 'a' }), lines(['other'], {}, START + 60n));
  });
  // One store for all: starting the thread takes longer than any of these.
  it('find what they ask for, in pages of any size', async () => {
    const cases: [string, Partial<LogQuery>, string[]][] = [
      ['project, in the order of time', {}, ['a0', 'a1', 'a2', 'c0', 'b0', 'b1']],
      ['newest first', { order: 'desc' }, ['b1', 'b0', 'c0', 'a2', 'a1', 'a0']],
      ['several projects, merged', { projectIds: ['other', 'demo', 'demo', 'none'] }, ['a0', 'a1', 'a2', 'c0', 'other', 'b0', 'b1']],
      ['job', { job: 'b' }, ['c0', 'b0', 'b1']],
      ['execution', { execution: 'a-abcde' }, ['a0', 'a1', 'a2']],
      ['location', { location: 'europe-west1' }, ['c0']],
      ['task', { job: 'b', taskIndex: 0 }, ['b0', 'b1']],
      ['severity', { minSeverity: 400 }, ['a2']],
      ['text', { textContains: 'B' }, ['b0', 'b1']],
      ['time', { fromNs: START + 2n, toNs: START + 100n }, ['a2', 'c0']],
      [
        'a condition, served by the index',
        {
          where: {
            op: 'and',
            all: [
              { op: 'compare', field: { name: 'job' }, comparison: '=', value: 'B' },
              { op: 'compare', field: { name: 'timeNs' }, comparison: '>', value: String(START + 50n) },
            ],
          },
        },
        ['b0', 'b1'],
      ],
      [
        'a condition, row by row',
        {
          where: {
            op: 'or',
            all: [
              { op: 'compare', field: { name: 'text' }, comparison: ':', value: '0' },
              { op: 'not', of: { op: 'compare', field: { name: 'severity' }, comparison: '<', value: '500' } },
            ],
          },
        },
        ['a0', 'a2', 'c0', 'b0'],
      ],
    ];
    for (const [name, query, expected] of cases) {
      expect([name, texts(await all(query))]).toEqual([name, expected]);
      expect([name, texts(await all({ ...query, pageSize: 1 }))]).toEqual([name, expected]);
    }
  });
  it('refuse the page token of another query, and can be given up', async () => {
    const { nextPageToken } = await logs.query({ projectIds: ['demo'], order: 'asc', pageSize: 1 });
    const [digest] = JSON.parse(Buffer.from(nextPageToken, 'base64url').toString()) as string[];
    for (const place of [['x', 1], [1, 1], ['1'], ['9'.repeat(30), 1], ['1', 1.5]])
      await expect(
        logs.query({ projectIds: ['demo'], order: 'asc', pageSize: 1, pageToken: Buffer.from(JSON.stringify([digest, ...place])).toString('base64url') }),
      ).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(logs.query({ projectIds: ['demo'], order: 'desc', pageSize: 1, pageToken: nextPageToken })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(logs.query({ projectIds: ['demo'], order: 'asc', pageSize: 1 }, AbortSignal.abort())).rejects.toMatchObject({ status: 'CANCELLED' });
    const gone = new AbortController();
    const asked = logs.query({ projectIds: ['demo'], order: 'asc', pageSize: 1 }, gone.signal);
    gone.abort();
    await expect(asked).rejects.toMatchObject({ status: 'CANCELLED' });
  });
  it('go on by their token where the time was up', async () => {
    await logs.append(source({ job: 'many' }), lines(Array.from({ length: 200 }, (_, n) => `n${n}`)));
    await logs.close();
    logs = await openLogStore(dir, { queryTimeMs: 0 });
    const first = await logs.query({ projectIds: ['demo'], job: 'many', textContains: 'n199', order: 'asc', pageSize: 10 });
    expect(first.entries).toEqual([]);
    expect(first.nextPageToken).not.toBe('');
    expect(texts(await all({ job: 'many', textContains: 'n199' }))).toEqual(['n199']);
  });
});

it('tells who listens of each commit', async () => {
  const heard: [string, number][] = [];
  const stop = logs.onAppend((from, count) => heard.push([from.execution, count]));
  await logs.append(source(), lines(['a', 'b']));
  stop();
  await logs.append(source(), lines(['c']));
  expect(heard).toEqual([['hello-abcde', 2]]);
});

describe('retention', () => {
  it('by age', async () => {
    await logs.append(source(), lines(['a', 'b']));
    logs.audit(AUDIT);
    await logs.close();
    logs = await openLogStore(dir, { retention: { maxAgeMs: -1000 } });
    expect(await logs.sweep()).toBe(3);
    expect(await all()).toEqual([]);
    // The cursor stays: a task that still runs goes on where it was.
    expect(await logs.cursor(source().attemptId)).toMatchObject({ main: { count: 1 } });
  });
  it('by size, oldest first, and the file shrinks', async () => {
    await logs.close();
    const limit = 3_000_000;
    logs = await openLogStore(dir, { retention: { maxBytes: limit } });
    for (let n = 0; n < 6; n++)
      await logs.append(
        source(),
        lines(
          Array.from({ length: 1000 }, (_, i) => `${n * 1000 + i} ${'x'.repeat(1000)}`),
          {},
          START + BigInt(n * 1000),
        ),
      );
    expect(await logs.sweep()).toBeGreaterThan(3000);
    const left = await all();
    expect(left.at(-1)?.payload).toMatch(/^5999 /);
    await logs.close();
    expect((await stat(join(dir, 'logs.sqlite'))).size).toBeLessThan(limit * 2);
    logs = await openLogStore(dir);
  });
});

const AUDIT = {
  timeMicros: 1,
  principal: 'user:a@example.com',
  delegation: ['user:first@example.com'],
  method: 'google.cloud.run.v2.Jobs.GetJob',
  resource: '//run.googleapis.com/projects/demo/locations/l/jobs/j',
  permissions: [{ permission: 'run.jobs.get', resource: '//run.googleapis.com/projects/demo/locations/l/jobs/j', granted: true }],
  status: 'OK',
  latencyMs: 1.5,
  requestId: 'r',
  door: 'rest',
};
describe('audit', () => {
  it('keeps entries, found by who, what and whether', async () => {
    logs.audit(AUDIT);
    logs.audit({ ...AUDIT, principal: 'user:b@example.com', status: 'PERMISSION_DENIED', permissions: [{ permission: 'run.jobs.run', resource: 'x', granted: false }] });
    expect(await logs.queryAudit({ pageSize: 10 })).toMatchObject([{ principal: 'user:b@example.com' }, AUDIT]);
    expect(await logs.queryAudit({ principal: 'user:a@example.com', pageSize: 10 })).toEqual([{ ...AUDIT, id: 1 }]);
    expect(await logs.queryAudit({ granted: false, pageSize: 10 })).toHaveLength(1);
    expect(await logs.queryAudit({ permission: 'run.jobs.run', granted: true, pageSize: 10 })).toHaveLength(0);
    expect(await logs.queryAudit({ resourcePrefix: '//run.googleapis.com/projects/demo/', beforeId: 2, pageSize: 10 })).toHaveLength(1);
  });
  it('is written at the end, and drops rather than waits', async () => {
    await logs.close();
    logs = await openLogStore(dir, { maxAuditWaiting: 5 });
    for (let n = 0; n < 8; n++) logs.audit({ ...AUDIT, requestId: String(n) });
    expect(logs.stats()).toMatchObject({ auditWaiting: 5, auditDropped: 3 });
    await logs.close();
    logs = await openLogStore(dir);
    expect(await logs.queryAudit({ pageSize: 10 })).toHaveLength(5);
  });
});

it('is readable by its owner alone, refuses work after its end, and says why it cannot open', async () => {
  await logs.append(source(), lines(['a']));
  for (const file of ['logs.sqlite', 'logs.sqlite-wal']) expect((await stat(join(dir, file))).mode & 0o777).toBe(0o600);
  await logs.close();
  await expect(logs.append(source(), lines(['b']))).rejects.toMatchObject({ status: 'UNAVAILABLE' });
  await expect(openLogStore(join(dir, 'logs.sqlite', 'x'))).rejects.toThrow(/ENOTDIR|EEXIST/);
  await mkdir(join(dir, 'other', 'logs.sqlite'), { recursive: true });
  await expect(openLogStore(join(dir, 'other'))).rejects.toThrow(/EISDIR/);
});
