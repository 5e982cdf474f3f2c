import { describe, expect, it } from 'vitest';
import { collectPairs, integerBetween, parseDuration, parseList, showDuration } from './values.ts';

describe('flag values', () => {
  it.each([
    ['a,b', ['a', 'b']],
    ['', []],
    ['^;^a,b;c', ['a,b', 'c']],
    ['^::^x,y::z', ['x,y', 'z']],
    ['-c,echo hi', ['-c', 'echo hi']],
  ])('reads the list %j', (text, list) => expect(parseList(text)).toEqual(list));

  it('reads pairs, adds up, and lets the value hold an equals sign', () => {
    const first = collectPairs('A=1,B=x=y', undefined);
    expect([...collectPairs('^:^C=a,b:A=2', first)]).toEqual([
      ['A', '2'],
      ['B', 'x=y'],
      ['C', 'a,b'],
    ]);
    expect(() => collectPairs('A', undefined)).toThrow(/not KEY=VALUE/);
  });

  it.each([
    ['90', 90],
    ['10m', 600],
    ['1h30m', 5400],
    ['2d', 172_800],
    ['45s', 45],
  ])('reads the duration %j', (text, seconds) => expect(parseDuration(text)).toBe(seconds));

  it.each(['', '10x', 'm10', '1h 30m', '0', '-1'])('refuses the duration %j', (text) => expect(() => parseDuration(text)).toThrow(/not a duration|shorter than/));

  it('shows durations as gcloud does', () => {
    expect(showDuration('600s')).toBe('10m');
    expect(showDuration('5400s')).toBe('1h30m');
    expect(showDuration(undefined)).toBeUndefined();
  });

  it('keeps numbers within bounds', () => {
    expect(integerBetween(0, 10)('3')).toBe(3);
    for (const text of ['11', '-1', '1.5', 'x', '']) expect(() => integerBetween(0, 10)(text)).toThrow(/whole number/);
  });
});
