/**
 * The filter of lists and searches: terms `field:value` (or `=`, `!=`), joined by a space, AND, OR, NOT and parentheses. How values compare is for each API
 * to say; by Resource Manager's rule it is without regard to case, `*` stands for any text, and `field:*` asks whether it is there.
 * Sources: the comments on SearchProjectsRequest.query, SearchFoldersRequest.query, and v1 projects.list; https://google.aip.dev/160
 */
import { invalidRequest } from '../errors.ts';

/** @returns the value of a field, undefined where the resource has no such field (`labels.KEY` of a label that is not set) */
export type Fields = (name: string) => string | undefined;
export type Filter = (fields: Fields) => boolean;
/** What a term asks of a field's value. @param operator `:`, `=`, `<`, `<=`, `>` or `>=`; `!=` is made of `=` @returns undefined where the operator asks nothing here */
export type Comparison = (operator: string, wanted: string) => ((value: string) => boolean) | undefined;

const MAX_LENGTH = 4096;
const MAX_DEPTH = 20;
const TOKEN =
  /\s*(?:(?<paren>[()])|(?<term>(?<field>[A-Za-z_][\w.-]*)\s*(?<op>!=|<=|>=|[:=<>])\s*(?:"(?<quoted>(?:[^"\\]|\\.)*)"|(?<bare>[^\s()"]+)))|(?<word>AND|OR|NOT)(?![\w.:=-]))/iy;

/** @param known the fields that may be asked about; `labels.*` allows any label @throws INVALID_ARGUMENT */
export function parseFilter(text: string, known: readonly string[], parameter: string, comparison: Comparison = equality): Filter {
  const refuse = (why: string) => invalidRequest(`${parameter}: ${why}`, [{ field: parameter, description: why }]);
  if (text.length > MAX_LENGTH) throw refuse(`is longer than ${MAX_LENGTH} characters.`);
  const tokens = tokenize(text, refuse);
  let at = 0;
  const word = (): string | undefined => tokens[at]?.['word']?.toUpperCase();

  const any = (depth: number): Filter => {
    const filters = [all(depth)];
    while (word() === 'OR') {
      at += 1;
      filters.push(all(depth));
    }
    return (fields) => filters.some((filter) => filter(fields));
  };
  const all = (depth: number): Filter => {
    const filters = [one(depth)];
    for (;;) {
      if (word() === 'AND') at += 1;
      else if (at >= tokens.length || word() === 'OR' || tokens[at]?.['paren'] === ')') return (fields) => filters.every((filter) => filter(fields));
      filters.push(one(depth));
    }
  };
  const one = (depth: number): Filter => {
    const token = tokens[at];
    if (token === undefined || depth > MAX_DEPTH) throw refuse(token === undefined ? 'ends too early.' : 'is nested too deeply.');
    at += 1;
    if (token['word']?.toUpperCase() === 'NOT') {
      const inner = one(depth + 1);
      return (fields) => !inner(fields);
    }
    if (token['paren'] === '(') {
      const inner = any(depth + 1);
      if (tokens[at]?.['paren'] !== ')') throw refuse('has a parenthesis that is not closed.');
      at += 1;
      return inner;
    }
    if (token['term'] !== undefined) return compare(token, known, comparison, refuse);
    throw refuse(`has ${JSON.stringify(token['word'] ?? token['paren'])} where a term is expected.`);
  };

  if (tokens.length === 0) return () => true;
  const filter = any(0);
  if (at < tokens.length) throw refuse('has a parenthesis that was not opened.');
  return filter;
}

type Token = Readonly<Record<string, string | undefined>>;

function tokenize(text: string, refuse: (why: string) => Error): Token[] {
  const tokens: Token[] = [];
  const expression = new RegExp(TOKEN);
  const end = text.trimEnd().length;
  while (expression.lastIndex < end) {
    const start = expression.lastIndex;
    const found = expression.exec(text);
    if (found?.groups === undefined) throw refuse(`cannot be read from ${JSON.stringify(text.slice(start, start + 40))} on. Write terms like field:value.`);
    tokens.push(found.groups);
  }
  return tokens;
}

function compare(token: Token, known: readonly string[], comparison: Comparison, refuse: (why: string) => Error): Filter {
  const field = token['field'] ?? '';
  const name =
    known.find((candidate) => candidate.toLowerCase() === field.toLowerCase()) ??
    (known.includes('labels.*') && /^labels\.[^.]/i.test(field) ? `labels.${field.slice('labels.'.length)}` : undefined);
  if (name === undefined) throw refuse(`cannot ask about ${JSON.stringify(field)}. It may ask about ${known.join(', ')}.`);
  const wanted = token['quoted']?.replace(/\\(.)/g, '$1') ?? token['bare'] ?? '';
  const operator = token['op'] ?? '';
  const negated = operator === '!=';
  const matches = comparison(negated ? '=' : operator, wanted);
  if (matches === undefined) throw refuse(`cannot compare ${JSON.stringify(field)} with ${operator}.`);
  return (fields) => {
    const value = fields(name);
    return (value !== undefined && matches(value)) !== negated;
  };
}

/** The rule of Resource Manager. */
const equality: Comparison = (operator, wanted) => (operator === ':' || operator === '=' ? wildcard(wanted) : undefined);

/** Linear in both lengths, unlike a regular expression made from the pattern. */
function wildcard(pattern: string): (value: string) => boolean {
  const pieces = pattern.toLowerCase().split('*');
  const first = pieces[0] ?? '';
  const last = pieces.at(-1) ?? '';
  return (value) => {
    const text = value.toLowerCase();
    if (pieces.length === 1) return text === first;
    if (text.length < first.length + last.length || !text.startsWith(first) || !text.endsWith(last)) return false;
    let from = first.length;
    const end = text.length - last.length;
    for (const piece of pieces.slice(1, -1)) {
      const found = text.indexOf(piece, from);
      if (found < 0 || found + piece.length > end) return false;
      from = found + piece.length;
    }
    return true;
  };
}
