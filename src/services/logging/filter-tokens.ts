/** Splits a filter of the Logging query language into tokens. Source: https://docs.cloud.google.com/logging/docs/view/logging-query-language */
import { invalidRequest } from '../../errors.ts';

export interface Token {
  readonly kind: 'word' | 'text' | 'operator' | 'open' | 'close' | 'comma' | 'end';
  readonly value: string;
  /** Where it begins, from 0. */
  readonly at: number;
}

const OPERATOR = /^(?:=~|!~|!=|<=|>=|=|<|>|:)/;
/** Unquoted: what does not mean anything else. A dot is part of a word, and split off by whoever reads a path. */
const WORD = /^[^\s"'()=!<>:,~]+/;
const MAX_CHARS = 20_000;

/** @throws INVALID_ARGUMENT where something is no token, or the filter is longer than Google takes */
export function tokenize(filter: string): readonly Token[] {
  if (filter.length > MAX_CHARS) throw badFilter(`it is longer than ${MAX_CHARS} characters`);
  const tokens: Token[] = [];
  let at = 0;
  while (at < filter.length) {
    const rest = filter.slice(at, at + 600);
    const space = /^(?:\s+|--[^\n]*)/.exec(rest)?.[0];
    if (space !== undefined) {
      at += space.length;
      continue;
    }
    const first = rest.charAt(0);
    if (first === '"' || first === "'") {
      const { value, end } = quoted(filter, at);
      tokens.push({ kind: 'text', value, at });
      at = end;
      continue;
    }
    const operator = OPERATOR.exec(rest)?.[0];
    const word = wordAt(filter, at);
    const [kind, value]: [Token['kind'], string] =
      operator !== undefined ? ['operator', operator] : first === '(' ? ['open', first] : first === ')' ? ['close', first] : first === ',' ? ['comma', first] : ['word', word];
    if (value === '') throw badFilter(`${JSON.stringify(first)} at position ${at + 1} is not understood`);
    tokens.push({ kind, value, at });
    at += value.length;
  }
  tokens.push({ kind: 'end', value: '', at });
  return tokens;
}

function wordAt(filter: string, at: number): string {
  return WORD.exec(filter.slice(at))?.[0] ?? '';
}

function quoted(filter: string, at: number): { value: string; end: number } {
  const quote = filter.charAt(at);
  let value = '';
  for (let i = at + 1; i < filter.length; i++) {
    const character = filter.charAt(i);
    if (character === quote) return { value, end: i + 1 };
    if (character !== '\\') value += character;
    else {
      i++;
      const escaped = filter.charAt(i);
      value += escaped === 'n' ? '\n' : escaped === 't' ? '\t' : escaped === 'r' ? '\r' : escaped;
    }
  }
  throw badFilter(`the text that begins at position ${at + 1} has no closing quote`);
}

/** @param why a clause without a full stop */
export function badFilter(why: string): Error {
  return invalidRequest(`Unparseable filter: ${why}.`, [{ field: 'filter', description: why }]);
}
