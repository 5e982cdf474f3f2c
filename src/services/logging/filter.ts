/**
 * The Logging query language: comparisons and functions joined by AND (or nothing), OR, NOT and parentheses. What is
 * not understood is refused by name, never ignored: a filter that silently matched too much would mislead.
 *
 * Deviation: of the functions, SEARCH, log_id, source, sample, ip_in_net, regexp_extract and cast (to STRING, INT64, FLOAT64, BOOL) are understood.
 * Source: https://docs.cloud.google.com/logging/docs/view/logging-query-language
 */
import type { CastType, Comparison, LogCondition, LogField } from '../../store/log-entry.ts';
import { checkedPattern, comparison, decodeLogId, fieldOf, type ProjectIds } from './filter-fields.ts';
import { checkNet } from './filter-net.ts';
import { badFilter, type Token, tokenize } from './filter-tokens.ts';

const MAX_DEPTH = 50;
/** What is evaluated on every row must stay small. */
const MAX_TERMS = 256;

/** @throws INVALID_ARGUMENT that says what is not understood */
export function parseFilter(filter: string, projects: ProjectIds): LogCondition | undefined {
  const reader = createReader(tokenize(filter), projects);
  return reader.isAtEnd() ? undefined : reader.whole();
}

function createReader(tokens: readonly Token[], projects: ProjectIds) {
  const cursor = createCursor(tokens);
  const { peek, next, isWord, deeper } = cursor;

  // "The NOT operator has the highest precedence, followed by OR and AND in that order."
  const conjunction = (one: () => LogCondition): LogCondition => {
    const all = [disjunction(one)];
    while (peek().kind !== 'end' && peek().kind !== 'close') {
      if (isWord('AND')) next();
      all.push(disjunction(one));
    }
    return all.length === 1 && all[0] !== undefined ? all[0] : { op: 'and', all };
  };
  const disjunction = (one: () => LogCondition): LogCondition => {
    const all = [negation(one)];
    while (isWord('OR')) {
      next();
      all.push(negation(one));
    }
    return all.length === 1 && all[0] !== undefined ? all[0] : { op: 'or', all };
  };
  const negation = (one: () => LogCondition): LogCondition =>
    deeper(() => {
      if (isWord('NOT') || isWord('-')) {
        next();
        return { op: 'not', of: negation(one) };
      }
      if (peek().kind !== 'open') return one();
      next();
      const inner = conjunction(one);
      if (next().kind !== 'close') throw badFilter('a parenthesis is not closed');
      return inner;
    });
  const restriction = (): LogCondition => {
    const first = peek();
    if ((first.kind !== 'word' && first.kind !== 'text') || first.value === 'AND' || first.value === 'OR') throw unexpected(first);
    const isNegated = first.kind === 'word' && first.value.startsWith('-');
    const condition = positive(isNegated);
    return isNegated ? { op: 'not', of: condition } : condition;
  };
  const positive = (isNegated: boolean): LogCondition => {
    const first = peek();
    const path = readPath(next, peek, isNegated);
    cursor.count();
    const name = path.join('.');
    const following = peek();
    if (following.kind === 'open' && first.kind === 'word' && following.at === first.at + first.value.length) {
      const called = callFunction(name.toLowerCase(), readArguments(cursor), name);
      return 'field' in called ? compared(called.field, name) : called.condition;
    }
    if (following.kind !== 'operator') return { op: 'compare', field: { name: 'any' }, comparison: ':', value: name };
    return compared(fieldOf(path), name);
  };
  /** One value, or several in parentheses: `severity = (ERROR OR CRITICAL)`. */
  const compared = (field: LogField, name: string): LogCondition => {
    const operator = next();
    if (operator.kind !== 'operator') throw unexpected(operator);
    const one = (): LogCondition => {
      const token = next();
      if ((token.kind !== 'word' && token.kind !== 'text') || (token.kind === 'word' && (token.value === 'AND' || token.value === 'OR'))) throw unexpected(token);
      cursor.count();
      // Just left over: the tokenizer makes no other operators.
      return comparison(field, operator.value as Comparison, token.value, name, projects);
    };
    if (peek().kind !== 'open') return one();
    return deeper(() => {
      next();
      const inner = conjunction(one);
      const closing = next();
      if (closing.kind !== 'close') throw unexpected(closing);
      return inner;
    });
  };
  return {
    isAtEnd: () => peek().kind === 'end',
    whole: (): LogCondition => {
      const condition = conjunction(restriction);
      if (peek().kind !== 'end') throw unexpected(peek());
      return condition;
    },
  };
}

function createCursor(tokens: readonly Token[]) {
  let at = 0;
  let depth = 0;
  let terms = 0;
  const peek = (): Token => tokens[Math.min(at, tokens.length - 1)] ?? { kind: 'end', value: '', at: 0 };
  return {
    peek,
    next(): Token {
      const token = peek();
      at++;
      return token;
    },
    isWord: (word: string): boolean => peek().kind === 'word' && peek().value === word,
    count(): void {
      if (++terms > MAX_TERMS) throw badFilter(`it has more than ${MAX_TERMS} comparisons`);
    },
    deeper<T>(read: () => T): T {
      if (++depth > MAX_DEPTH) throw badFilter(`it is nested deeper than ${MAX_DEPTH}`);
      try {
        return read();
      } finally {
        depth--;
      }
    },
  };
}
type Cursor = ReturnType<typeof createCursor>;

function unexpected(token: Token): Error {
  return badFilter(token.kind === 'end' ? 'it ends where something more is needed' : `${JSON.stringify(token.value)} at position ${token.at + 1} is not understood`);
}

/** `labels."run.googleapis.com/execution_name"`: words end in a dot where a quoted key follows. */
function readPath(next: () => Token, peek: () => Token, isNegated: boolean): readonly string[] {
  const path: string[] = [];
  let token = next();
  let text = isNegated ? token.value.slice(1) : token.value;
  let wasDot = true;
  for (;;) {
    if (token.kind === 'text') path.push(text);
    else path.push(...text.split('.').filter((part) => part !== ''));
    wasDot = token.kind === 'word' && text.endsWith('.');
    const following = peek();
    const continues = (wasDot && following.kind === 'text') || (token.kind === 'text' && path.length > 1 && following.kind === 'word' && following.value.startsWith('.'));
    if (!continues) return path;
    token = next();
    text = token.value;
  }
}

/** A path, a text or a function's result. */
type Argument = { readonly path: readonly string[]; readonly text: string } | { readonly field: LogField };

function readArguments(cursor: Cursor): readonly Argument[] {
  const { peek, next, deeper } = cursor;
  return deeper(() => {
    next();
    const all: Argument[] = [];
    while (peek().kind !== 'close') {
      if (all.length > 0) {
        const comma = next();
        if (comma.kind !== 'comma') throw unexpected(comma);
      }
      const first = peek();
      if (first.kind !== 'word' && first.kind !== 'text') throw unexpected(first);
      const path = readPath(next, peek, false);
      const following = peek();
      if (first.kind === 'word' && following.kind === 'open') {
        const called = callFunction(path.join('.').toLowerCase(), readArguments(cursor), path.join('.'));
        if (!('field' in called)) throw badFilter(`${path.join('.')} cannot stand in a function`);
        all.push(called);
      } else all.push({ path, text: path.join('.') });
    }
    next();
    return all;
  });
}

const CASTS: readonly string[] = ['STRING', 'INT64', 'FLOAT64', 'BOOL'] satisfies CastType[];

/** @param given as it was written, for errors */
function callFunction(name: string, all: readonly Argument[], given: string): { readonly condition: LogCondition } | { readonly field: LogField } {
  const wrong = (form: string): Error => badFilter(`the function ${given} is called as ${form}`);
  const [first, second] = all;
  const field = (argument: Argument | undefined, form: string): LogField => {
    if (argument === undefined) throw wrong(form);
    return 'field' in argument ? argument.field : fieldOf(argument.path);
  };
  const text = (argument: Argument | undefined, form: string): string => {
    if (argument === undefined || 'field' in argument) throw wrong(form);
    return argument.text;
  };
  const most = (count: number, form: string): void => {
    if (all.length > count) throw wrong(form);
  };
  switch (name) {
    case 'search': {
      const form = `SEARCH("words") or SEARCH(field, "words")`;
      most(2, form);
      return { condition: { op: 'search', field: all.length === 2 ? field(first, form) : { name: 'any' }, query: text(all.at(-1), form) } };
    }
    case 'log_id':
    case 'source': {
      const form = name === 'log_id' ? 'log_id("run.googleapis.com/stdout")' : 'source("projects/my-project")';
      most(1, form);
      const value = text(first, form);
      const of: LogField = { name: name === 'log_id' ? 'logId' : 'parent' };
      return { condition: { op: 'compare', field: of, comparison: '=', value: name === 'log_id' ? decodeLogId(value) : value } };
    }
    case 'sample': {
      const form = 'sample(field, 0.25), with a part from 0 to 1';
      most(2, form);
      const fraction = Number(text(second, form));
      if (!(fraction >= 0 && fraction <= 1)) throw wrong(form);
      return { condition: { op: 'sample', field: field(first, form), fraction } };
    }
    case 'ip_in_net': {
      const form = 'ip_in_net(field, "10.0.0.0/8")';
      most(2, form);
      return { condition: { op: 'net', field: field(first, form), cidr: checkNet(text(second, form)) } };
    }
    case 'regexp_extract': {
      const form = 'regexp_extract(field, "expression")';
      most(2, form);
      return { field: { name: 'extract', of: field(first, form), pattern: checkedPattern(text(second, form)) } };
    }
    case 'cast': {
      const form = `cast(field, TYPE), with a type of ${CASTS.join(', ')}`;
      most(2, form);
      const type = text(second, form).toUpperCase();
      if (!CASTS.includes(type)) throw wrong(form);
      // One of the list just above.
      return { field: { name: 'cast', of: field(first, form), type: type as CastType } };
    }
    default:
      throw badFilter(`the function ${given} is not supported`);
  }
}
