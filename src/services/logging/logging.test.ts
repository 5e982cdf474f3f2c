import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { toJson } from '@bufbuild/protobuf';
import * as fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { isApiError } from '../../errors.ts';
import { type ListLogEntriesResponse, ListLogEntriesResponseSchema } from '../../gen/google/logging/v2/logging_pb.js';
import type { LogLine, LogSource } from '../../store/log-entry.ts';
import { type LogStore, openLogStore } from '../../store/log-store.ts';
import { callUnary, createFakeCall } from '../fake-call.ts';
import type { AnyService, Lookup } from '../service.ts';
import { createLoggingService } from './logging.ts';

const START = BigInt(Date.now()) * 1_000_000n;
const NOBODY: Lookup = { serviceAccount: () => Promise.resolve(undefined) };
let dir: string;
let logs: LogStore;
let service: AnyService;
const DEMO = { id: 'demo', number: '123456789012' };

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
const line = (text: string, at: number, over: Partial<LogLine> = {}): LogLine => ({ container: 'main', stream: 'stdout', timeNs: START + BigInt(at) * 1_000_000n, text, ...over });
const list = async (request: object, call = createFakeCall()): Promise<ListLogEntriesResponse> =>
  // What the method's descriptor says that it answers.
  (await callUnary(service, 'listLogEntries', { resourceNames: ['projects/demo'], ...request }, call, NOBODY)) as ListLogEntriesResponse;
const payloads = (response: ListLogEntriesResponse): unknown[] => response.entries.map((entry) => entry.payload.value);

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'logging-'));
  logs = await openLogStore(dir);
  service = createLoggingService({ logs, findProject: (project) => Promise.resolve({ demo: DEMO, '123456789012': DEMO, other: { id: 'other', number: '2' } }[project]) });
  await logs.append(SOURCE, [
    line('zero', 0),
    line('{"severity":"ERROR","message":"one","code":7,"ok":true,"ip":"10.1.2.3","dotted.key":1,"list":[{"name":"a"},{"name":"b"}]}', 1),
    line('two', 2, { stream: 'stderr' }),
    line('Container called exit(1).', 3, { container: '', stream: 'stderr' }),
  ]);
  await logs.append({ ...SOURCE, job: 'sync', execution: 'sync-12345', attemptId: 'uid2-1', taskIndex: 3, attempt: 1 }, [
    line('{"severity":"WARNING","message":"three","logging.googleapis.com/labels":{"k":"v"},"httpRequest":{"status":404,"latency":"1.5s","requestSize":"12"}}', 4),
  ]);
});
afterAll(async () => {
  await logs.close();
  await rm(dir, { recursive: true });
});

it('shapes entries as they are recorded of jobs', async () => {
  const { entries } = await list({});
  expect(toJson(ListLogEntriesResponseSchema, { $typeName: 'google.logging.v2.ListLogEntriesResponse', entries: entries.slice(0, 2), nextPageToken: '' })).toEqual({
    entries: [
      {
        textPayload: 'zero',
        insertId: expect.stringMatching(/^[0-9a-f]{24}$/),
        resource: { type: 'cloud_run_job', labels: { job_name: 'hello', location: 'us-central1', project_id: 'demo' } },
        timestamp: expect.any(String),
        labels: {
          team: 'blue',
          instanceId: 'uid-0',
          'run.googleapis.com/task_attempt': '0',
          'run.googleapis.com/task_index': '0',
          'run.googleapis.com/execution_name': 'hello-abcde',
          container_name: 'main',
        },
        logName: 'projects/demo/logs/run.googleapis.com%2Fstdout',
        receiveTimestamp: expect.any(String),
      },
      expect.objectContaining({ jsonPayload: expect.objectContaining({ message: 'one', code: 7 }), severity: 'ERROR' }),
    ],
  });
  expect(entries.map((entry) => entry.logName.replace(/^.*%2F/, ''))).toEqual(['stdout', 'stdout', 'stderr', 'system', 'stdout']);
  expect(entries.at(-1)).toMatchObject({ httpRequest: { status: 404, requestSize: 12n, latency: { seconds: 1n, nanos: 500_000_000 } }, labels: { k: 'v' } });
});

describe('filters', () => {
  const yesterday = new Date(Date.now() - 86_400_000).toISOString();
  it.each<[string, unknown[]]>([
    [
      `resource.type = cloud_run_job \n AND resource.labels.job_name = hello \n AND resource.labels.location = us-central1 \n AND severity >= DEFAULT \n AND timestamp>="${yesterday}"`,
      ['zero', 'one', 'two', 'exit'],
    ],
    [
      'resource.type ="cloud_run_job" resource.labels.job_name="sync" labels."run.googleapis.com/execution_name"="sync-12345" labels."run.googleapis.com/task_attempt"="1"',
      ['three'],
    ],
    ['logName:"run.googleapis.com%2Fstdout" labels."run.googleapis.com/task_index"="0"', ['zero', 'one']],
    ['logName="projects/demo/logs/run.googleapis.com%2Fstderr"', ['two']],
    ['logName="projects/demo/logs/run.googleapis.com/stderr"', ['two']],
    ['logName="projects/other/logs/run.googleapis.com%2Fstderr"', []],
    ['log_name:varlog', ['exit']],
    ['severity=ERROR', ['one', 'exit']],
    ['severity = (ERROR OR WARNING)', ['one', 'exit', 'three']],
    ['severity>WARNING AND NOT logName:system', ['one']],
    ['textPayload:ZE', ['zero']],
    ['textPayload="zero" OR textPayload="two" AND resource.labels.job_name=hello', ['zero', 'two']],
    ['resource.labels.job_name=sync OR textPayload=two resource.labels.job_name!=hello', ['three']],
    ['jsonPayload.code=7', ['one']],
    ['jsonPayload.code>6', ['one']],
    ['jsonPayload.message:*', ['one']],
    ['labels.k=v', ['three']],
    ['textPayload=~"^z.*o$"', ['zero']],
    ['textPayload!~"two|zero" resource.labels.job_name=hello', ['exit']],
    ['textPayload=~("^zero$" OR "^two$")', ['zero', 'two']],
    ['severity=~"^(ERROR|WARNING)$"', ['one', 'exit', 'three']],
    ['log_id("run.googleapis.com/stderr") OR log_id("run.googleapis.com%2Fvarlog%2Fsystem")', ['two', 'exit']],
    ['source("projects/demo") severity>=ERROR', ['one', 'exit']],
    ['SEARCH("called EXIT")', ['exit']],
    ['SEARCH(textPayload, "call")', []],
    ['SEARCH("`exit(1)`")', ['exit']],
    ['SEARCH("\\"exit called\\"")', []],
    ['sample(insertId, 1)', ['zero', 'one', 'two', 'exit', 'three']],
    ['sample(insertId, 0)', []],
    ['httpRequest.status>=400 httpRequest.status<500', ['three']],
    ['httpRequest.latency>"1s" httpRequest.request_size=12', ['three']],
    ['httpRequest.latency>"1600ms"', []],
    ['jsonPayload.list.name="b"', ['one']],
    ['jsonPayload.list.name:"c"', []],
    ['jsonPayload.list:name', ['one']],
    ['jsonPayload.ok=true', ['one']],
    ['jsonPayload."dotted.key"=1', ['one']],
    ['jsonPayload.none!=7', []],
    ['NOT jsonPayload.code=7 severity>=WARNING', ['exit', 'three']],
    ['jsonPayload.code!=8', ['one']],
    ['ip_in_net(jsonPayload.ip, "10.0.0.0/8")', ['one']],
    ['ip_in_net(jsonPayload.ip, "11.0.0.0/8")', []],
    ['regexp_extract(jsonPayload.ip, "^10\\\\.(\\\\d+)") = "1"', ['one']],
    ['cast(labels."run.googleapis.com/task_index", INT64) > 2', ['three']],
    ['jsonPayload.message:* AND textPayload:(NOT "x") OR jsonPayload.code=(7 OR 8) jsonPayload.message=("one" OR "x")', ['one']],
    ['textPayload:* textPayload=(NOT "zero" AND NOT "two")', ['exit', 'three']],
    ['textPayload=(three)', ['three']],
    ['labels.team:*', ['zero', 'one', 'two', 'exit', 'three']],
    ['-labels.k=v severity<500', ['zero', 'two']],
    ['exit', ['exit']],
    ['"called exit"', ['exit']],
    ['resource.type="k8s_container"', []],
    ['resource.labels.cluster_name="x"', []],
    ['NOT (severity>=ERROR OR resource.labels.job_name="sync") -- a comment', ['zero', 'two']],
    ['timestamp<"2001-01-01"', []],
    ['  ', ['zero', 'one', 'two', 'exit', 'three']],
  ])('%s', async (filter, expected) => {
    const words = payloads(await list({ filter })).map((payload) =>
      typeof payload === 'string' ? (payload.startsWith('Container') ? 'exit' : payload) : (payload as { message: string }).message,
    );
    expect(words).toEqual(expected);
  });

  it.each<[string, string]>([
    ['textPayload=~"a("', 'is no regular expression of RE2'],
    ['textPayload=~"(?=a)"', 'is no regular expression of RE2'],
    ['foo(insertId, 0.1)', 'the function foo is not supported'],
    ['sample(insertId, 2)', 'the function sample is called as sample(field, 0.25)'],
    ['ip_in_net(jsonPayload.ip, "10/8")', '"10/8" is no network'],
    ['cast(labels.x, TIMESTAMP) > 1', 'with a type of STRING, INT64'],
    ['httpRequest.nope=1', "Field not found: 'httpRequest.nope'"],
    ['thud=1', "Field not found: 'thud'"],
    ['severity>=LOUD', '"LOUD" is not a severity'],
    ['timestamp>="yesterday"', '"yesterday" is not an RFC 3339 time'],
    ['(severity=ERROR', 'a parenthesis is not closed'],
    ['severity=', 'it ends where something more is needed'],
    ['textPayload="x', 'has no closing quote'],
    ['AND severity=ERROR', '"AND" at position 1 is not understood'],
    ['severity=ERROR)', '")" at position 15 is not understood'],
    ['('.repeat(100), 'nested deeper than 50'],
    [`severity=${'('.repeat(5000)}`, 'nested deeper than 50'],
    ['a '.repeat(300), 'more than 256 comparisons'],
    ['x'.repeat(20_001), 'longer than 20000 characters'],
    ['__proto__=1', "Field not found: '__proto__'"],
  ])('refuses %s', async (filter, words) => {
    await expect(list({ filter })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining(words) });
  });

  it('never fails otherwise, whatever is written', async () => {
    const piece = fc.oneof(
      fc.constantFrom(
        'AND',
        'OR',
        'NOT',
        '-',
        '(',
        ')',
        '=',
        '!=',
        ':',
        '>=',
        '"',
        '.',
        'severity',
        'timestamp',
        'labels."a b"',
        'jsonPayload.code',
        'logName',
        'ERROR',
        '"x"',
        '7',
        ',',
        '~',
        '=~',
        'SEARCH(',
        'cast(',
        'httpRequest.latency',
      ),
      fc.string({ maxLength: 6 }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.array(piece, { maxLength: 12 }).map((pieces) => pieces.join(' ')),
        async (filter) => {
          const outcome = await list({ filter }).then(
            () => 'OK',
            (error: unknown) => (isApiError(error) ? error.status : error),
          );
          expect(['OK', 'INVALID_ARGUMENT']).toContain(outcome);
        },
      ),
      { numRuns: 500 },
    );
  });
});

it('pages in either order', async () => {
  const seen: unknown[] = [];
  let pageToken = '';
  do {
    const page = await list({ orderBy: 'timestamp desc', pageSize: 2, pageToken });
    seen.push(...payloads(page));
    pageToken = page.nextPageToken;
  } while (pageToken !== '');
  expect(seen).toEqual(payloads(await list({})).reverse());
  await expect(list({ pageToken: 'x' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  await expect(list({ pageSize: -1 })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  await expect(list({ orderBy: 'severity' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
});

it('asks for the permission on every project, by id or number, and takes nothing else', async () => {
  const call = createFakeCall();
  await list({ resourceNames: ['projects/123456789012', 'projects/other', 'projects/demo/locations/global/buckets/_Default/views/_AllLogs'] }, call);
  expect(call.asked).toEqual(
    ['123456789012', 'other', 'demo'].map((project) => ({ permission: 'logging.logEntries.list', resource: `//cloudresourcemanager.googleapis.com/projects/${project}` })),
  );
  await list({ resourceNames: ['folders/1', 'organizations/2/locations/global/buckets/_Default/views/_AllLogs'] }, call);
  expect(call.asked.slice(3).map(({ resource }) => resource)).toEqual(['//cloudresourcemanager.googleapis.com/folders/1', '//cloudresourcemanager.googleapis.com/organizations/2']);
  await expect(list({}, createFakeCall({ decide: () => false }))).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  for (const resourceNames of [[], ['billingAccounts/1'], ['projects/'], ['demo']]) await expect(list({ resourceNames })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  expect((await list({ resourceNames: ['projects/123456789012'] })).entries).toHaveLength(5);
  expect((await list({ resourceNames: ['projects/unknown'] })).entries).toEqual([]);
});
