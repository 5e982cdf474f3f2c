import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isApiError } from '../errors.ts';
import { parseFilter } from './list-filter.ts';

const KNOWN = ['id', 'name', 'parent.id', 'labels.*'];
const project: Record<string, string> = { id: 'my-project', name: 'My Project', 'parent.id': '5', 'labels.env': 'dev' };
const matches = (text: string) => parseFilter(text, KNOWN, 'filter')((field) => project[field]);

describe('filters', () => {
  test.each([
    ['', true],
    ['id:my-project', true],
    ['ID=MY-PROJECT', true],
    ['id:my', false],
    ['id:my*', true],
    ['id:*pro*', true],
    ['id:*x*', false],
    ['name:"my project"', true],
    ['id!=other', true],
    ['labels.env:*', true],
    ['labels.none:*', false],
    ['NOT labels.none:*', true],
    ['id:other OR parent.id:5', true],
    ['id:other OR name:x parent.id:5', false],
    ['(id:other OR parent.id:5) AND labels.env=dev', true],
    ['NOT (id:other OR parent.id:5)', false],
  ])('%j', (text, expected) => {
    expect(matches(text)).toBe(expected);
  });

  test.each(['id', 'id:', '(id:x', 'id:x)', 'AND', 'id:x OR', 'colour:red', 'a&b', `${'('.repeat(30)}id:x${')'.repeat(30)}`])('refuses %j', (text) => {
    expect(() => matches(text)).toThrow(expect.objectContaining({ status: 'INVALID_ARGUMENT' }));
  });

  test('any text is a filter or is refused, quickly', () => {
    const piece = fc.oneof(fc.constantFrom('id:x', 'NOT', 'AND', 'OR', '(', ')', '*', ' ', 'id:a*a*a*a*a*', '"', '\\'), fc.string({ maxLength: 5 }));
    const isReadOrRefused = (pieces: readonly string[]): boolean => {
      try {
        return typeof parseFilter(pieces.join(' '), KNOWN, 'filter')(() => 'a'.repeat(2000)) === 'boolean';
      } catch (error) {
        return isApiError(error);
      }
    };
    expect(fc.check(fc.property(fc.array(piece, { maxLength: 40 }), isReadOrRefused))).toMatchObject({ failed: false });
  });
});
