import { describe, expect, it, test } from 'vitest';
import { parseLabelSelector } from './label-selector.ts';

const LABELS = { 'run.googleapis.com/job': 'hello', 'run.googleapis.com/runningState': 'Failed', env: 'prod', empty: '' };

describe('label selectors', () => {
  test.each([
    ['', true],
    ['run.googleapis.com/job = hello', true],
    ['run.googleapis.com/job==hello', true],
    ['run.googleapis.com/job=other', false],
    ['env!=test', true],
    ['env != prod', false],
    ['missing!=x', true],
    ['run.googleapis.com/execution = e', false],
    ['run.googleapis.com/runningState in (Failed,Running)', true],
    ['run.googleapis.com/runningState in (Pending)', false],
    ['run.googleapis.com/runningState notin (Pending, Running)', true],
    ['missing notin (a)', true],
    ['env', true],
    ['missing', false],
    ['!missing', true],
    ['!env', false],
    ['empty=', true],
    ['env=prod,run.googleapis.com/runningState in (Failed,Running),!missing', true],
    ['env=prod,missing', false],
  ])('%s: %s', (selector, expected) => expect(parseLabelSelector(selector).matches(LABELS)).toBe(expected));

  it('says the one value that a label must have', () => {
    const selector = parseLabelSelector('run.googleapis.com/job = hello, env in (a,b)');
    expect(selector.valueOf('run.googleapis.com/job')).toBe('hello');
    expect(selector.valueOf('env')).toBeUndefined();
  });

  test.each(['a b', 'a in b', '=x', 'a=b c', 'a in (b', `a=${'x'.repeat(5000)}`])('refuses %s', (selector) => {
    expect(() => parseLabelSelector(selector)).toThrow(/label_selector/);
  });
});
