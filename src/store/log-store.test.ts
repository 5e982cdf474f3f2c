import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { AuditEntry, LogCondition, LogEntry, LogField, LogLine, LogQuery, LogSource, NewLogEntry } from './log-entry.ts';
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
    const page = await logs.query({ parents: ['projects/demo'], order: 'asc', pageSize: 1000, ...query, pageToken });
    found.push(...page.entries);
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  return found;
}
const equal = (field: LogField, value: string): LogCondition => ({ op: 'compare', field, comparison: '=', value });
const both = (...conditions: readonly LogCondition[]): LogCondition => ({ op: 'and', all: conditions });
const ofJob = (job: string): LogCondition => equal({ name: 'resourceLabel', key: 'job_name' }, job);
const ofExecution = (execution: string): LogCondition => equal({ name: 'label', key: 'run.googleapis.com/execution_name' }, execution);
const texting = (part: string): LogCondition => ({ op: 'compare', field: { name: 'text' }, comparison: ':', value: part });
const texts = (entries: readonly LogEntry[]): string[] => entries.map((entry) => entry.payload);

describe('lines', () => {
  it('come back whole and in order, with where they are from', async () => {
    const from = source({ labels: { team: 'a' } });
    await logs.append(from, lines(['one', '', 'ünï\u0000cödé', 'x'.repeat(256 * 1024)]));
    await logs.append(from, lines(['bad'], { stream: 'stderr' }, START + 10n));
    await logs.append(from, lines(['Container called exit(1).'], { container: '', stream: 'stderr' }, START + 11n));
    const entries = await all();
    expect(texts(entries)).toEqual(['one', '', 'ünï\u0000cödé', 'x'.repeat(256 * 1024), 'bad', 'Container called exit(1).']);
    expect(entries.map(({ head }) => [head.logId.split('/').at(-1), head.severity])).toEqual([
      ['stdout', 0],
      ['stdout', 0],
      ['stdout', 0],
      ['stdout', 0],
      ['stderr', 0],
      ['system', 500],
    ]);
    expect(entries[0]).toMatchObject({
      head: {
        parent: 'projects/demo',
        resourceType: 'cloud_run_job',
        resourceLabels: { job_name: 'hello', location: 'us-central1', project_id: 'demo' },
        labels: { team: 'a', instanceId: from.attemptId, 'run.googleapis.com/execution_name': 'hello-abcde', container_name: 'main' },
      },
      timeNs: START,
      kind: 'text',
    });
    expect(new Set(entries.map((entry) => entry.insertId)).size).toBe(6);
    expect(entries[0]?.insertId).toMatch(/^[0-9a-f]{24}$/);
  });

  it('keeps the pieces of a long line together, as they are', async () => {
    await logs.append(source(), [...lines(['{"a":'], { partial: true }), ...lines(['other'], { stream: 'stderr' }), ...lines(['1'], { partial: true })]);
    await logs.append(source(), lines(['}', '{"b":2}'], {}, START + 5n));
    const entries = (await all()).filter(({ head }) => head.logId === 'run.googleapis.com/stdout');
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
        const entries = await all({ where: ofExecution(attempt.execution) });
        for (const container of ['main', 'side'])
          expect(texts(entries.filter(({ head }) => head.labels['container_name'] === container))).toEqual(
            produced.filter((line) => line.container === container).map((line) => line.text),
          );
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
    const page = await logs.query({ parents: ['projects/demo'], order: 'desc', pageSize: 100_000 });
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
    expect((await all()).map(({ head }) => head.labels['run.googleapis.com/task_index'])).toEqual(['0', '2']);
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
      ['several projects, merged', { parents: ['projects/other', 'projects/demo', 'projects/demo', 'projects/none'] }, ['a0', 'a1', 'a2', 'c0', 'other', 'b0', 'b1']],
      ['job', { where: ofJob('b') }, ['c0', 'b0', 'b1']],
      ['execution', { where: ofExecution('a-abcde') }, ['a0', 'a1', 'a2']],
      ['location', { where: equal({ name: 'resourceLabel', key: 'location' }, 'europe-west1') }, ['c0']],
      ['task', { where: both(ofJob('b'), equal({ name: 'label', key: 'run.googleapis.com/task_index' }, '0')) }, ['b0', 'b1']],
      ['severity', { where: { op: 'compare', field: { name: 'severity' }, comparison: '>=', value: '400' } }, ['a2']],
      ['text', { where: texting('B') }, ['b0', 'b1']],
      [
        'time',
        {
          where: both(
            { op: 'compare', field: { name: 'timeNs' }, comparison: '>=', value: String(START + 2n) },
            { op: 'compare', field: { name: 'timeNs' }, comparison: '<', value: String(START + 100n) },
          ),
        },
        ['a2', 'c0'],
      ],
      [
        'a condition, served by the index',
        {
          where: {
            op: 'and',
            all: [ofJob('B'), { op: 'compare', field: { name: 'timeNs' }, comparison: '>', value: String(START + 50n) }],
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
    const { nextPageToken } = await logs.query({ parents: ['projects/demo'], order: 'asc', pageSize: 1 });
    const [digest] = JSON.parse(Buffer.from(nextPageToken, 'base64url').toString()) as string[];
    for (const place of [['x', 1], [1, 1], ['1'], ['9'.repeat(30), 1], ['1', 1.5]])
      await expect(
        logs.query({ parents: ['projects/demo'], order: 'asc', pageSize: 1, pageToken: Buffer.from(JSON.stringify([digest, ...place])).toString('base64url') }),
      ).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(logs.query({ parents: ['projects/demo'], order: 'desc', pageSize: 1, pageToken: nextPageToken })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(logs.query({ parents: ['projects/demo'], order: 'asc', pageSize: 1 }, AbortSignal.abort())).rejects.toMatchObject({ status: 'CANCELLED' });
    const gone = new AbortController();
    const asked = logs.query({ parents: ['projects/demo'], order: 'asc', pageSize: 1 }, gone.signal);
    gone.abort();
    await expect(asked).rejects.toMatchObject({ status: 'CANCELLED' });
  });
  it('go on by their token where the time was up', async () => {
    await logs.append(source({ job: 'many' }), lines(Array.from({ length: 200 }, (_, n) => `n${n}`)));
    await logs.close();
    logs = await openLogStore(dir, { queryTimeMs: 0 });
    const first = await logs.query({ parents: ['projects/demo'], where: both(ofJob('many'), texting('n199')), order: 'asc', pageSize: 10 });
    expect(first.entries).toEqual([]);
    expect(first.nextPageToken).not.toBe('');
    expect(texts(await all({ where: both(ofJob('many'), texting('n199')) }))).toEqual(['n199']);
  });
});

it('tells who listens of each commit', async () => {
  let heard = 0;
  const stop = logs.onWrite(() => {
    heard++;
  });
  await logs.append(source(), lines(['a', 'b']));
  await logs.write([written('w')]);
  stop();
  await logs.append(source(), lines(['c']));
  expect(heard).toBe(2);
});

function written(text: string, over: Partial<NewLogEntry> = {}): NewLogEntry {
  const head = { parent: 'projects/demo', logId: 'mine', resourceType: 'global', resourceLabels: { project_id: 'demo' }, labels: {}, severity: 0 };
  return { head, timeNs: START, kind: 'text', payload: text, ...over };
}

describe('what callers write', () => {
  it('is one entry where log, time and id are the same', async () => {
    await logs.write([written('a', { insertId: '1' }), written('b', { insertId: '1' }), written('c', { insertId: '2' }), written('d', { insertId: '1', timeNs: START + 1n })]);
    expect(texts(await all())).toEqual(['a', 'c', 'd']);
  });
  it('is listed by its log, and goes with it', async () => {
    await logs.write([written('a'), written('b', { head: { ...written('').head, logId: 'run.googleapis.com/own' } })]);
    expect(await logs.listLogs(['projects/demo', 'projects/none'])).toEqual(['projects/demo/logs/mine', 'projects/demo/logs/run.googleapis.com%2Fown']);
    await logs.deleteLog('projects/demo', 'mine');
    expect(texts(await all())).toEqual(['b']);
    expect(await logs.listLogs(['projects/demo'])).toEqual(['projects/demo/logs/run.googleapis.com%2Fown']);
    await logs.write([written('again')]);
    expect(texts(await all())).toEqual(['b', 'again']);
  });
  it('is found in many streams as in one, in either order, in pages of any size', async () => {
    const entries = Array.from({ length: 3000 }, (_, n) =>
      written(`n${n}`, { timeNs: START + BigInt((n * 7919) % 3000), head: { ...written('').head, labels: { shard: String(n % 300), rare: String(n % 1000 === 0) } } }),
    );
    await logs.write(entries);
    const sorted = (wanted: (n: number) => boolean): string[] =>
      entries
        .filter((_, n) => wanted(n))
        .sort((a, b) => (a.timeNs < b.timeNs ? -1 : 1))
        .map(({ payload }) => payload);
    const label = (key: string, value: string): LogCondition => equal({ name: 'label', key }, value);
    const cases: [LogCondition, (n: number) => boolean][] = [
      [label('shard', '7'), (n) => n % 300 === 7],
      [label('rare', 'true'), (n) => n % 1000 === 0],
      [{ op: 'or', all: [label('shard', '1'), label('shard', '2')] }, (n) => n % 300 === 1 || n % 300 === 2],
      [label('rare', 'false'), (n) => n % 1000 !== 0],
      [{ op: 'and', all: [label('rare', 'false'), { op: 'or', all: Array.from({ length: 100 }, (_, n) => label('shard', String(n))) }] }, (n) => n % 1000 !== 0 && n % 300 < 100],
      [{ op: 'not', of: label('shard', '7') }, (n) => n % 300 !== 7],
    ];
    for (const [where, wanted] of cases) {
      const expected = sorted(wanted);
      expect(texts(await all({ where }))).toEqual(expected);
      expect(texts(await all({ where, order: 'desc', pageSize: 97 }))).toEqual(expected.toReversed());
    }
  });
});

describe('stack traces', () => {
  const trace = ['Traceback (most recent call last):', '  File "a.py", line 1, in <module>', '    f()', 'ValueError: bad'];
  it('are one entry, however they arrive, and the cursor counts their lines', async () => {
    await logs.append(source(), lines(['before', ...trace.slice(0, 2)]));
    await logs.append(source(), lines(trace.slice(2), {}, START + 3n));
    await logs.append(source(), lines(['after', 'x.y.FooException: z', '\tat a.b(C.java:1)', 'Caused by: d.E: f', '\t... 3 more', 'done'], {}, START + 5n));
    expect(texts(await all())).toEqual(['before', trace.join('\n'), 'after', 'x.y.FooException: z\n\tat a.b(C.java:1)\nCaused by: d.E: f\n\t... 3 more', 'done']);
    expect(await logs.cursor(source().attemptId)).toEqual({ main: { timeNs: START + 10n, count: 1 } });
  });
  it('end with a pause, with another stream, and with a line that is none of theirs', async () => {
    await logs.append(source(), [
      ...lines(['Error: late'], { stream: 'stderr' }),
      ...lines(['    at far (x.js:1:1)'], { stream: 'stderr' }, START + 5_000_000_000n),
      ...lines(['panic: no'], {}, START + 5_000_000_001n),
      ...lines(['    at out (x.js:1:1)'], { stream: 'stderr' }, START + 5_000_000_002n),
      ...lines(['goroutine 1 [running]:', 'main.main()', '\t/x.go:3 +0x1d', '{"message":"m"}'], {}, START + 5_000_000_003n),
    ]);
    expect(texts(await all())).toEqual(['Error: late', '    at far (x.js:1:1)', 'panic: no\ngoroutine 1 [running]:\nmain.main()\n\t/x.go:3 +0x1d', '    at out (x.js:1:1)', 'm']);
  });
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

const AUDIT: AuditEntry = {
  parent: 'projects/demo',
  log: 'activity',
  timeMicros: Number(START / 1000n),
  principal: 'user:a@example.com',
  delegation: ['user:first@example.com'],
  service: 'run.googleapis.com',
  method: 'google.cloud.run.v2.Jobs.CreateJob',
  resource: '//run.googleapis.com/projects/demo/locations/l/jobs/j',
  permissions: [{ permission: 'run.jobs.create', resource: '//run.googleapis.com/projects/demo/locations/l/jobs/j', granted: true }],
  status: 'OK',
  code: 0,
  message: '',
  latencyMs: 1.5,
  requestId: 'r',
  door: 'rest',
  peer: '127.0.0.1',
  userAgent: 'curl',
};
describe('audit', () => {
  it('keeps entries in the shape of AuditLog', async () => {
    logs.audit(AUDIT);
    logs.audit(
      Promise.resolve({
        ...AUDIT,
        log: 'policy' as const,
        requestId: 's',
        status: 'PERMISSION_DENIED',
        code: 7,
        message: 'no',
        permissions: [{ permission: 'run.jobs.run', resource: '//run.googleapis.com/x', granted: false }],
      }),
    );
    const [first, second] = await all();
    expect(first).toMatchObject({
      kind: 'proto',
      head: { logId: 'cloudaudit.googleapis.com/activity', resourceType: 'cloud_run_job', resourceLabels: { job_name: 'j', location: 'l', project_id: 'demo' }, severity: 300 },
    });
    expect(JSON.parse(first?.payload ?? '')).toEqual({
      '@type': 'type.googleapis.com/google.cloud.audit.AuditLog',
      serviceName: 'run.googleapis.com',
      methodName: AUDIT.method,
      resourceName: 'projects/demo/locations/l/jobs/j',
      status: {},
      authenticationInfo: {
        principalEmail: 'a@example.com',
        principalSubject: 'user:a@example.com',
        serviceAccountDelegationInfo: [{ principalSubject: 'user:first@example.com', firstPartyPrincipal: { principalEmail: 'first@example.com' } }],
      },
      authorizationInfo: [
        {
          resource: 'projects/demo/locations/l/jobs/j',
          permission: 'run.jobs.create',
          granted: true,
          resourceAttributes: { service: 'run.googleapis.com', name: 'projects/demo/locations/l/jobs/j' },
        },
      ],
      requestMetadata: { callerIp: '127.0.0.1', callerSuppliedUserAgent: 'curl', requestAttributes: {}, destinationAttributes: {} },
      metadata: { resource: AUDIT.resource, status: 'OK', latencyMs: 1.5, requestId: 'r', door: 'rest', delegation: ['user:first@example.com'] },
    });
    expect(second).toMatchObject({ head: { logId: 'cloudaudit.googleapis.com/policy', severity: 500 } });
    expect(JSON.parse(second?.payload ?? '')).toMatchObject({ status: { code: 7, message: 'no' }, authorizationInfo: [{ granted: false }] });
  });
  it('is written at the end, and drops rather than waits, and says so', async () => {
    await logs.close();
    logs = await openLogStore(dir, { maxAuditWaiting: 5 });
    for (let n = 0; n < 8; n++) logs.audit(n % 2 === 0 ? Promise.resolve({ ...AUDIT, requestId: String(n) }) : { ...AUDIT, requestId: String(n) });
    expect(logs.stats()).toMatchObject({ auditWaiting: 5, auditDropped: 3 });
    await logs.close();
    logs = await openLogStore(dir);
    const methods = (await all()).map(({ payload }) => /"methodName":"[^"]*?(\w+)"/.exec(payload)?.[1]);
    expect(methods.filter((name) => name === 'CreateJob')).toHaveLength(5);
    expect(methods.filter((name) => name === 'lost')).toHaveLength(1);
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
