import fc from 'fast-check';
import { describe, expect, it, vi } from 'vitest';
import { CliFailure } from './failure.ts';
import { parseFilter, sortBy } from './filter.ts';
import { type Json, plainText } from './json.ts';
import { parseColumns } from './projection.ts';

const job: Json = {
  name: 'projects/p/locations/us-central1/jobs/hello',
  createTime: '2026-11-23T18:51:46.123456Z',
  labels: { team: 'red', 'a.b': 'dotted' },
  template: { taskCount: 3, template: { containers: [{ image: 'us-docker.pkg.dev/p/i:v1', args: ['a', 'b'] }, { image: 'side' }], maxRetries: 0 } },
  reconciling: true,
};

function read(key: string): string {
  const [column] = parseColumns(key);
  return plainText(column?.read(job));
}

describe('projections', () => {
  it.each([
    ['name', 'projects/p/locations/us-central1/jobs/hello'],
    ['name.basename()', 'hello'],
    ['name.segment(3)', 'us-central1'],
    ['name.scope(locations)', 'us-central1/jobs/hello'],
    ['template.template.containers[0].image', 'us-docker.pkg.dev/p/i:v1'],
    ['template.template.containers[].image', 'us-docker.pkg.dev/p/i:v1;side'],
    ['template.template.containers.image', 'us-docker.pkg.dev/p/i:v1;side'],
    ['template.template.containers[0].args', 'a;b'],
    ['template.template.containers[0].args.join(" ")', 'a b'],
    ['template.template.containers.len()', '2'],
    ['template.task_count', '3'],
    ['labels', 'a.b=dotted;team=red'],
    ['labels."a.b"', 'dotted'],
    ['reconciling', 'True'],
    ['template.template.maxRetries', '0'],
    ['nothing.here[0].at.all', ''],
    ['createTime.date()', '2026-11-23T18:51:46'],
    ['createTime.date(format="%d %b %Y %H:%M", tz=Asia/Tokyo)', '24 Nov 2026 03:51'],
    ['createTime.iso()', '2026-11-23T18:51:46.123Z'],
    ['template.template.containers[0].args.map().upper().list(separator="+")', 'A+B'],
    ['name.split("/").slice(4:).join("|")', 'jobs|hello'],
    ['nothing.yesno(no=none)', 'none'],
    ['firstof(nothing, template.taskCount)', '3'],
  ])('%s', (key, text) => expect(read(key)).toBe(text));

  it('labels columns as gcloud does', () => {
    expect(parseColumns('name.basename():label=JOB, createTime,template.taskCount').map(({ label }) => label)).toEqual(['JOB', 'CREATE_TIME', 'TASK_COUNT']);
  });

  it('names what it does not know', () => {
    expect(() => parseColumns('name.frobnicate()')).toThrow(/frobnicate/);
    expect(() => parseColumns('a[x]')).toThrow(/not a key/);
  });
});

describe('filters', () => {
  it.each([
    ['name:hello', true],
    ['name:HELLO', true],
    ['name=hello', false],
    ['template.taskCount=3', true],
    ['template.taskCount>2 AND template.taskCount<4', true],
    ['template.taskCount>=4 OR labels.team=red', true],
    // As gcloud answers: AND by standing side by side comes after OR.
    ['labels.team=red OR name:hello template.taskCount=4', false],
    ['template.taskCount=4 labels.team=red OR name:hello', false],
    ['createTime<2026-11-24T04:00:00+09:00', true],
    ['createTime>2026-11-24T04:00:00+09:00', false],
    ['template.template.containers[0].args:*', true],
    ['template.template.containers[1].args:*', false],
    ['NOT labels.team=red', false],
    ['-labels.team=blue', true],
    ['labels.team:(blue red)', true],
    ['labels.team=(blue,green)', false],
    ['labels:team', true],
    ['labels.none:*', false],
    ['labels.team:*', true],
    ['labels.team!=blue', true],
    ['name~"jobs/h.*o$"', true],
    ['name!~nothing', true],
    ['createTime>2026-01-01', true],
    ['createTime<2026-11-23T18:00:00Z', false],
    ['template.template.containers.image=us-docker.pkg.dev/p/i:v1', true],
    ['template.template.containers[0].image:us-docker*', true],
    ['hello', true],
    ['(name:hello OR name:other) labels.team=red', true],
    ['reconciling=true', true],
  ])('%s', (filter, expected) => expect(parseFilter(filter)(job)).toBe(expected));

  it('knows times from now', () => {
    vi.useFakeTimers({ now: Date.parse('2026-11-25T18:51:46Z') });
    for (const [filter, expected] of [
      ['createTime<-p1d', true],
      ['createTime>-p1w', true],
      ['createTime>-pt47h59m', false],
      ['createTime>-P2DT1S', true],
    ] as const)
      expect(parseFilter(filter)(job), filter).toBe(expected);
    vi.useRealTimers();
  });

  it('wants parentheses where AND and OR stand side by side', () => {
    expect(() => parseFilter('a=1 AND b=2 OR c=3')).toThrow(/AND and OR side by side/);
    expect(() => parseFilter('a=1 OR b=2 AND c=3')).toThrow(/AND and OR side by side/);
    expect(parseFilter('(name:a OR name:hello) AND template.taskCount=3')(job)).toBe(true);
  });

  it.each(['name:', '(name:a', 'AND', 'a=(b', '= b', '"open'])('refuses %j', (filter) => expect(() => parseFilter(filter)).toThrow(/Cannot read the filter/));

  it('reads or refuses any text, and never crashes', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        try {
          return typeof parseFilter(text)(job) === 'boolean';
        } catch (error) {
          return error instanceof CliFailure && error.exitCode === 2;
        }
      }),
    );
  });

  it('sorts by several keys, a tilde reverses', () => {
    const items: Json[] = [
      { a: 2, b: 'x' },
      { a: 10, b: 'y' },
      { a: 2, b: 'a' },
    ];
    expect(sortBy(items, '~a,b')).toEqual([
      { a: 10, b: 'y' },
      { a: 2, b: 'a' },
      { a: 2, b: 'x' },
    ]);
  });
});
