/** Lines that were written for gcloud name fields of Cloud Run v1; they are answered from v1, everything else from v2. */
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, type FakeApi, run, startFakeApi } from '../test-shell.ts';

const PARENT = 'projects/demo/locations/us-central1';
const V1 = '/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/demo';
const job = (name: string, taskCount: number) => ({ name: `${PARENT}/jobs/${name}`, template: { taskCount, template: { containers: [{ image: 'i' }] } } });
const v1Job = (name: string, taskCount: number) => ({
  metadata: { name, selfLink: `/apis/run.googleapis.com/v1/namespaces/1/jobs/${name}` },
  spec: { template: { spec: { taskCount } } },
});
const EXECUTION = `${PARENT}/jobs/a/executions/a-x1`;
const STATES = [
  { name: `${EXECUTION}/tasks/a-x1-task0`, startTime: '2026-01-01T00:00:00Z', conditions: [{ type: 'Completed', state: 'CONDITION_SUCCEEDED' }] },
  { name: `${EXECUTION}/tasks/a-x1-task1`, index: 1, startTime: '2026-01-01T00:00:00Z' },
  { name: `${EXECUTION}/tasks/a-x1-task2`, index: 2 },
];

let fake: FakeApi | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

/** @returns what was printed, and the paths under v1 that were read */
async function printed(...argv: string[]): Promise<{ out: string; err: string; code: number; v1: string[] }> {
  fake = await startFakeApi(({ verb, path }): Answer | undefined => {
    const { pathname, searchParams } = new URL(path, 'http://x');
    if (pathname === '/actas/v1/status') return { body: { project: 'demo' } };
    if (verb === 'POST' && pathname.endsWith(':run')) return { body: { metadata: { name: EXECUTION } } };
    if (pathname.endsWith(`${PARENT}/jobs`)) return { body: { jobs: [job('b', 2), job('a', 5)] } };
    if (pathname.endsWith(`${PARENT}/jobs/a`)) return { body: job('a', 5) };
    if (pathname.endsWith(EXECUTION)) return { body: { name: EXECUTION } };
    if (pathname.endsWith(`${EXECUTION}/tasks`)) return { body: { tasks: STATES } };
    // Two pages.
    if (pathname === `${V1}/jobs`)
      return { body: searchParams.get('continue') === null ? { items: [v1Job('b', 2)], metadata: { continue: 'more' } } : { items: [v1Job('a', 5)], metadata: {} } };
    if (pathname === `${V1}/jobs/a`) return { body: v1Job('a', 5) };
    if (pathname === `${V1}/executions/a-x1`) return { body: { metadata: { name: 'a-x1', labels: { job: 'a' } } } };
    if (pathname === `${V1}/tasks`) return { body: { items: STATES.map(({ name }) => ({ metadata: { name: name.split('/').at(-1) } })), metadata: {} } };
    return undefined;
  });
  const { out, err, code } = await run(['run', 'jobs', ...argv], { env: fake.env });
  return { out, err, code, v1: fake.seen.map(({ path }) => path).filter((path) => path.startsWith(V1)) };
}

describe('lists', () => {
  it.each<[string[], string]>([
    [['--format=value(metadata.name,spec.template.spec.taskCount)'], 'b\t2\na\t5\n'],
    [['--format=value(metadata.name)', '--sort-by=metadata.name', '--limit=1'], 'a\n'],
    [['--format=value(metadata.name)', '--filter=spec.template.spec.taskCount>2'], 'a\n'],
    [
      ['--uri'],
      'https://us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/1/jobs/b\nhttps://us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/1/jobs/a\n',
    ],
    // What v1's keys choose is shown in the shape that was asked for.
    [['--format=value(name.basename())', '--filter=metadata.name:a'], 'a\n'],
  ])('%j', async (flags, out) => {
    const result = await printed('list', ...flags);
    expect({ out: result.out, code: result.code }).toEqual({ out, code: 0 });
    expect(result.v1.map((path) => new URL(path, 'http://x').searchParams.get('continue'))).toEqual([null, 'more']);
  });

  it("a filter of v1's keys leaves the table as it is", async () => {
    const { out } = await printed('list', '--filter=metadata.name=a');
    expect(out).toMatch(/^ +JOB +REGION.*\n.* a +us-central1/);
    expect(out).not.toMatch(/ b /);
  });

  it('v2 keys are read from v2 alone', async () => {
    expect(await printed('list', '--format=value(name.basename(),template.taskCount)', '--filter=template.taskCount>2')).toMatchObject({ out: 'a\t5\n', v1: [] });
  });
});

it.each<[string[], string]>([
  [['describe', 'a', '--format=value(spec.template.spec.taskCount)'], '5\n'],
  [['execute', 'a', '--async', '--format=value(metadata.name)'], 'a-x1\n'],
  [['executions', 'describe', 'a-x1', '--format=value(metadata.labels.job)'], 'a\n'],
])('%j', async (argv, out) => expect(await printed(...argv)).toMatchObject({ out, code: 0 }));

describe("tasks are chosen by gcloud's groups of states", () => {
  it.each<[string[], string]>([
    [['--completed'], '0'],
    [['--no-completed'], '1,2'],
    [['--started'], '0,1'],
    [['--no-started'], '2'],
    [['--succeeded', '--no-started'], '0,2'],
    [[], '0,1,2'],
  ])('%j', async (flags, indexes) => {
    const { out } = await printed('executions', 'tasks', 'list', '--execution=a-x1', '--format=value[terminator=","](name.segment(-1).sub(".*task",""))', ...flags);
    expect(out.replace(/,$/, '')).toBe(indexes);
    await fake?.close();
    fake = undefined;
    expect((await printed('executions', 'tasks', 'list', '--execution=a-x1', '--format=value(metadata.name)', ...flags)).out.match(/\d(?=\n)/g)?.join(',')).toBe(indexes);
  });
});
