/**
 * `--filter` and `--sort-by` of the list commands, on the client as gcloud does it.
 * Grammar: terms joined by AND or OR, which parentheses must part where both are there, clauses side by side which must all hold, NOT or `-` before a term; a term is `key OP value` with
 * OP one of = != : < <= > >= ~ !~, where `:` and `=` take a list in parentheses, or a bare word that any value may hold.
 * Source: `gcloud topic filters`.
 */
import { usageFailure } from './failure.ts';
import { isList, isRecord, type Json, plainText } from './json.ts';
import { keyReader } from './projection.ts';
import { regularExpression } from './transforms.ts';

export type Predicate = (item: Json) => boolean;

type Token = { readonly kind: 'word' | 'operator' | 'open' | 'close'; readonly text: string; readonly quoted?: boolean };

const TOKEN = /\s+|(\()|(\))|(!=|!~|<=|>=|[=:<>~])|("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|((?:[^\s()=:<>~!"']|!(?![=~]))+)/gy;

/** @throws usage when the expression cannot be read */
export function parseFilter(text: string): Predicate {
  const tokens = tokenize(text);
  let at = 0;
  const peek = (): Token | undefined => tokens[at];
  const bad = (): Error => usageFailure(`Cannot read the filter '${text}' at '${peek()?.text ?? 'its end'}'.`, "Write, for example, --filter='name:hello AND reconciling!=true'");
  const isWord = (word: string): boolean => peek()?.kind === 'word' && peek()?.quoted !== true && peek()?.text === word;

  // What only stands side by side is joined after the words AND and OR are.
  const parseAll = (): Predicate => {
    const clauses = [parseClause()];
    while (peek() !== undefined && peek()?.kind !== 'close') clauses.push(parseClause());
    return (item) => clauses.every((clause) => clause(item));
  };
  const parseClause = (): Predicate => {
    const terms = [parseNot()];
    const word = isWord('OR') ? 'OR' : 'AND';
    while (isWord('AND') || isWord('OR')) {
      if (!isWord(word)) throw usageFailure(`The filter '${text}' has AND and OR side by side.`, 'Say by parentheses what belongs together: (a OR b) AND c');
      at += 1;
      terms.push(parseNot());
    }
    return word === 'OR' ? (item) => terms.some((term) => term(item)) : (item) => terms.every((term) => term(item));
  };
  const parseNot = (): Predicate => {
    const token = peek();
    if (isWord('NOT')) {
      at += 1;
      const term = parseNot();
      return (item) => !term(item);
    }
    if (token?.kind === 'word' && token.quoted !== true && token.text.startsWith('-') && token.text.length > 1) {
      tokens[at] = { ...token, text: token.text.slice(1) };
      const term = parseNot();
      return (item) => !term(item);
    }
    if (token?.kind !== 'open') return parseTerm();
    at += 1;
    const inner = parseAll();
    if (peek()?.kind !== 'close') throw bad();
    at += 1;
    return inner;
  };
  const parseTerm = (): Predicate => {
    const word = peek();
    if (word?.kind !== 'word' || isWord('AND') || isWord('OR')) throw bad();
    at += 1;
    const operator = peek();
    if (operator?.kind !== 'operator') return (item) => holds(item, word.text);
    at += 1;
    const values = parseValues();
    return compare(keyReader(word.text), operator.text, values);
  };
  const parseValues = (): string[] => {
    const first = peek();
    if (first?.kind === 'word') {
      at += 1;
      // A time or an image (`us-docker.pkg.dev/p/i:v1`) holds colons of its own.
      let value = first.text;
      while (peek()?.kind === 'operator' && peek()?.text === ':' && tokens[at + 1]?.kind === 'word') {
        value += `:${tokens[at + 1]?.text ?? ''}`;
        at += 2;
      }
      return [value];
    }
    if (first?.kind !== 'open') throw bad();
    at += 1;
    const values: string[] = [];
    while (peek()?.kind === 'word') {
      if (!isWord('OR')) values.push(...(peek()?.text ?? '').split(',').filter((value) => value !== ''));
      at += 1;
    }
    if (peek()?.kind !== 'close') throw bad();
    at += 1;
    return values;
  };

  const predicate = parseAll();
  if (at < tokens.length) throw bad();
  return predicate;
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  while (pattern.lastIndex < text.length) {
    const match = pattern.exec(text);
    if (match === null) throw usageFailure(`Cannot read the filter '${text}'.`, 'A quote is not closed, or a character stands where no key or operator can.');
    const [, open, close, operator, quoted, word] = match;
    if (open !== undefined) tokens.push({ kind: 'open', text: open });
    else if (close !== undefined) tokens.push({ kind: 'close', text: close });
    else if (operator !== undefined) tokens.push({ kind: 'operator', text: operator });
    else if (quoted !== undefined) tokens.push({ kind: 'word', text: quoted.slice(1, -1).replaceAll(/\\(.)/g, '$1'), quoted: true });
    else if (word !== undefined) tokens.push({ kind: 'word', text: word });
  }
  return tokens;
}

function compare(read: (item: Json) => Json | undefined, operator: string, values: readonly string[]): Predicate {
  const each = (item: Json, test: (value: Json) => boolean): boolean => leaves(read(item)).some(test);
  const equal = (item: Json): boolean => each(item, (value) => values.some((wanted) => plainText(value).toLowerCase() === wanted.toLowerCase()));
  const [wanted = ''] = values;
  if (operator === '=') return equal;
  if (operator === '!=') return (item) => !equal(item);
  if (operator === ':') return (item) => values.some((pattern) => matches(read(item), pattern));
  if (operator === '~' || operator === '!~') {
    const pattern = regularExpression(wanted);
    return (item) => each(item, (value) => pattern.test(plainText(value))) === (operator === '~');
  }
  return (item) => each(item, (value) => ordered(order(value, wanted), operator));
}

function ordered(difference: number, operator: string): boolean {
  if (operator === '<') return difference < 0;
  if (operator === '<=') return difference <= 0;
  return operator === '>' ? difference > 0 : difference >= 0;
}

function matches(value: Json | undefined, pattern: string): boolean {
  if (pattern === '*') return !isNothing(value);
  const wanted = pattern.toLowerCase();
  if (isRecord(value) && Object.hasOwn(value, pattern)) return true;
  return leaves(value).some((leaf) => {
    const text = plainText(leaf).toLowerCase();
    return wanted.endsWith('*') ? text.split(/[/\s]/).some((word) => word.startsWith(wanted.slice(0, -1))) || text.startsWith(wanted.slice(0, -1)) : text.includes(wanted);
  });
}

function isNothing(value: Json | undefined): boolean {
  return value === undefined || value === null || (isList(value) && value.length === 0) || (isRecord(value) && Object.keys(value).length === 0);
}

function holds(item: Json, word: string): boolean {
  return matches(item, word);
}

function leaves(value: Json | undefined): Json[] {
  if (value === undefined) return [];
  if (isList(value)) return value.flatMap((item) => leaves(item));
  return isRecord(value) ? Object.values(value).flatMap((item) => leaves(item)) : [value];
}

function order(value: Json | undefined, other: string): number {
  const text = plainText(value);
  const time = instantOf(text) - instantOf(other);
  if (!Number.isNaN(time) && time !== 0) return time;
  const difference = Number(text) - Number(other);
  if (text !== '' && other !== '' && !Number.isNaN(difference)) return difference;
  return text < other ? -1 : text > other ? 1 : 0;
}

const TIME = /^\d{4}-\d\d-\d\d(?:[Tt ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:[Zz]|[+-]\d\d:?\d\d)?)?$/;
const AGO = /^-p(?:(?<weeks>\d+)w)?(?:(?<days>\d+)d)?(?:t(?:(?<hours>\d+)h)?(?:(?<minutes>\d+)m)?(?:(?<seconds>\d+)s)?)?$/i;

/** In milliseconds; NaN for what is no time. `-P30D` is a time from now, as `gcloud topic datetimes` has it; months and years are not known. */
function instantOf(text: string): number {
  if (TIME.test(text)) return Date.parse(text);
  const ago = AGO.exec(text)?.groups;
  if (ago === undefined) return Number.NaN;
  const part = (name: string, seconds: number): number => Number(ago[name] ?? 0) * seconds * 1000;
  return Date.now() - part('weeks', 604_800) - part('days', 86_400) - part('hours', 3600) - part('minutes', 60) - part('seconds', 1);
}

/** `--sort-by=~createTime,name`: a tilde reverses one key. */
export function sortBy(items: readonly Json[], keys: string): Json[] {
  const readers = keys.split(',').map((key) => ({ read: keyReader(key.trim().replace(/^~/, '')), sign: key.trim().startsWith('~') ? -1 : 1 }));
  return items.toSorted((left, right) => {
    for (const { read, sign } of readers) {
      const difference = order(read(left), plainText(read(right)));
      if (difference !== 0) return difference * sign;
    }
    return 0;
  });
}
