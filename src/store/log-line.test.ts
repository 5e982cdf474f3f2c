import * as fc from 'fast-check';
import { expect, it } from 'vitest';
import { fromRfc3339, parseLine } from './log-line.ts';

const NOW = 1_700_000_000_000_000;
const NS = BigInt(NOW) * 1000n;
const parse = (value: unknown) => parseLine(typeof value === 'string' ? value : JSON.stringify(value), NS, NOW);

it.each<[string, unknown, object]>([
  ['plain text', 'hello', { kind: 'text', payload: 'hello', severity: 0, timeNs: NS }],
  ['an array is text', '[1]', { kind: 'text', payload: '[1]' }],
  ['broken JSON is text', '{"a":', { kind: 'text', payload: '{"a":' }],
  ['an object', { a: 1 }, { kind: 'json', payload: '{"a":1}', severity: 0 }],
  ['a message alone becomes text', { severity: 'warning', message: 'm' }, { kind: 'text', payload: 'm', severity: 400 }],
  ['a message with company stays', { severity: 'Error', message: 'm', b: 2 }, { kind: 'json', payload: '{"message":"m","b":2}', severity: 500 }],
  ['severity by number', { severity: 350, a: 1 }, { severity: 300 }],
  ['severity by alias', { severity: 'FATAL', a: 1 }, { severity: 600 }],
  ['severity that is none', { severity: 'constructor', a: 1 }, { severity: 0 }],
  ['time', { time: '2023-11-14T22:13:19.123456789Z', a: 1 }, { timeNs: NS - 1_000_000_000n + 123_456_789n, payload: '{"a":1}' }],
  ['timestamp in parts', { timestamp: { seconds: 1_700_000_000, nanos: 5 }, a: 1 }, { timeNs: NS + 5n }],
  ['timestampSeconds', { timestampSeconds: '1700000001', timestampNanos: '7', a: 1 }, { timeNs: NS + 1_000_000_007n }],
  ['a time far off is not believed', { time: '2001-01-01T00:00:00Z', a: 1 }, { timeNs: NS, payload: '{"a":1}' }],
  [
    'labels, trace, span, id',
    {
      'logging.googleapis.com/labels': { k: 'v', n: 1 },
      'logging.googleapis.com/trace': 't',
      'logging.googleapis.com/spanId': 's',
      'logging.googleapis.com/trace_sampled': true,
      'logging.googleapis.com/insertId': 'i',
      a: 1,
    },
    { extras: { labels: { k: 'v' }, trace: 't', spanId: 's', traceSampled: true }, insertId: 'i', payload: '{"a":1}' },
  ],
  ['__proto__ is a name like others', '{"__proto__":{"x":1},"a":1}', { payload: '{"__proto__":{"x":1},"a":1}' }],
  ['nested too deep is text', '{"a":'.repeat(5000) + '1' + '}'.repeat(5000), { kind: 'text' }],
])('%s', (_, line, expected) => {
  expect(parse(line)).toMatchObject(expected);
});

it('takes anything', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.json(),
        fc.object().map((value) => JSON.stringify({ ...value, severity: value, time: value, 'logging.googleapis.com/labels': value })),
      ),
      (line) => {
        const parsed = parse(line);
        if (parsed.kind === 'json') JSON.parse(parsed.payload);
        expect(parsed.severity).toBeGreaterThanOrEqual(0);
        expect(typeof parsed.timeNs).toBe('bigint');
      },
    ),
  );
});

it('reads times with offsets and nanoseconds, and nothing else', () => {
  expect(fromRfc3339('2023-11-14T23:13:20.5+01:00')).toBe(NS + 500_000_000n);
  for (const wrong of ['', '2023-11-14', '2023-13-14T00:00:00Z', '2023-11-14T00:00:00', 'now']) expect(fromRfc3339(wrong)).toBeUndefined();
});
