/**
 * `matches`: regular expressions in time linear in the text, as RE2's. V8's own take exponential time on some, so they are simulated here, all ways at once
 * (Thompson). Of RE2's syntax: literals, `.`, classes with `\d \w \s` and their opposites, groups, `|`, `* + ? {m,n}`, `^ $ \b \B`, and a leading `(?i)`.
 * Source: https://github.com/google/re2/wiki/Syntax
 */
import type { CelFunction } from './function.ts';
import { noOverload } from './operator.ts';
import { CelFailure } from './value.ts';

/** `weight`: what asking `test` costs. */
type Step =
  | { readonly op: 'char'; readonly test: Test; readonly weight: number }
  | { readonly op: 'assert'; readonly test: (before: number, after: number) => boolean }
  | { op: 'split'; first: number; second: number }
  | { op: 'jump'; first: number }
  | { readonly op: 'match' };

const MAX_STEPS = 2000;
const NONE = -1;

class Unsupported extends Error {}

/** @returns whether the pattern is found anywhere in a text; a failure for a pattern that is wrong, unsupported or too large */
export function compilePattern(pattern: string): ((text: string) => boolean | CelFailure) | CelFailure {
  try {
    const program = new PatternParser(pattern).parse();
    const weight = program.reduce((sum, step) => sum + (step.op === 'char' ? step.weight : 1), 0);
    return (text) => isFound(program, weight, text);
  } catch (error) {
    if (error instanceof Unsupported || error instanceof RangeError)
      return new CelFailure(`regular expression ${JSON.stringify(pattern.slice(0, 100))}: ${error instanceof Unsupported ? error.message : 'nested too deeply'}`);
    throw error;
  }
}

/** Steps over a long text with a large pattern would take too long even so. */
const MAX_WORK = 2_000_000;

export const MATCHES: CelFunction<unknown> = {
  name: 'matches',
  target: 'string',
  args: ['string'],
  result: 'bool',
  // Beside the limit of one call, so that many in a loop end as well.
  cost: ([text]) => (typeof text === 'string' ? text.length >>> 2 : 0),
  call([text, pattern]) {
    if (typeof text !== 'string' || typeof pattern !== 'string') return noOverload('matches');
    const found = compilePattern(pattern);
    return found instanceof CelFailure ? found : found(text);
  },
  prepare([, pattern]) {
    if (typeof pattern !== 'string') return this.call.bind(this);
    const found = compilePattern(pattern);
    return found instanceof CelFailure ? found : ([text]) => (typeof text === 'string' ? found(text) : noOverload('matches'));
  },
};

function isFound(program: readonly Step[], weight: number, text: string): boolean | CelFailure {
  const codes = Array.from(text, (character) => character.codePointAt(0) ?? 0);
  if (codes.length * weight > MAX_WORK) return new CelFailure('matches: the text is too long for this pattern');
  const seen = new Int32Array(program.length).fill(NONE);
  let current: number[] = [];
  let matched = false;
  const follow = (into: number[], start: number, at: number): void => {
    const stack = [start];
    for (let pc = stack.pop(); pc !== undefined; pc = stack.pop()) {
      if (seen[pc] === at) continue;
      seen[pc] = at;
      const step = program[pc];
      if (step === undefined) continue;
      if (step.op === 'match') matched = true;
      else if (step.op === 'jump') stack.push(step.first);
      else if (step.op === 'split') stack.push(step.second, step.first);
      else if (step.op === 'char') into.push(pc);
      else if (step.test(codes[at - 1] ?? NONE, codes[at] ?? NONE)) stack.push(pc + 1);
    }
  };
  for (let at = 0; at <= codes.length; at++) {
    // Found anywhere: an attempt begins at each place.
    follow(current, 0, at);
    if (matched || at === codes.length) return matched;
    const next: number[] = [];
    const code = codes[at] ?? NONE;
    for (const pc of current) {
      const step = program[pc];
      if (step?.op === 'char' && step.test(code)) follow(next, pc + 1, at + 1);
    }
    if (matched) return true;
    current = next;
  }
  return matched;
}

const isDigit = (code: number) => code >= 48 && code <= 57;
const isWord = (code: number) => isDigit(code) || (code >= 65 && code <= 90) || (code >= 97 && code <= 122) || code === 95;
const isSpace = (code: number) => code === 32 || (code >= 9 && code <= 13 && code !== 11);
const isBoundary = (before: number, after: number) => isWord(before) !== isWord(after);
const CLASSES: Readonly<Record<string, (code: number) => boolean>> = {
  d: isDigit,
  w: isWord,
  s: isSpace,
  D: (code) => !isDigit(code),
  W: (code) => !isWord(code),
  S: (code) => !isSpace(code),
};
const ESCAPES: Readonly<Record<string, number>> = { n: 10, r: 13, t: 9, f: 12, v: 11 };

type Test = (code: number) => boolean;
/** Writes its steps behind what is there. */
type Emit = (steps: Step[]) => void;

class PatternParser {
  readonly #text: readonly string[];
  readonly #ignoreCase: boolean;
  #at = 0;

  constructor(pattern: string) {
    this.#ignoreCase = pattern.startsWith('(?i)');
    this.#text = Array.from(this.#ignoreCase ? pattern.slice(4) : pattern);
  }

  parse(): readonly Step[] {
    const emit = this.#alternatives(0);
    if (this.#at < this.#text.length) throw new Unsupported('unexpected )');
    const steps: Step[] = [];
    emit(steps);
    steps.push({ op: 'match' });
    return steps;
  }

  #peek(): string | undefined {
    return this.#text[this.#at];
  }

  #alternatives(depth: number): Emit {
    if (depth > 50) throw new Unsupported('nested too deeply');
    const parts = [this.#sequence(depth)];
    while (this.#peek() === '|') {
      this.#at++;
      parts.push(this.#sequence(depth));
    }
    return parts.reduceRight((right, left) => (steps) => {
      const split = push(steps, { op: 'split', first: steps.length + 1, second: 0 });
      left(steps);
      const jump = push(steps, { op: 'jump', first: 0 });
      split.second = steps.length;
      right(steps);
      jump.first = steps.length;
    });
  }

  #sequence(depth: number): Emit {
    const parts: Emit[] = [];
    for (let next = this.#peek(); next !== undefined && next !== '|' && next !== ')'; next = this.#peek()) parts.push(this.#repeated(this.#atom(depth)));
    return (steps) => {
      for (const part of parts) part(steps);
    };
  }

  #repeated(atom: Emit): Emit {
    const next = this.#peek();
    let range: readonly [number, number] | undefined;
    if (next === '*') range = [0, Infinity];
    else if (next === '+') range = [1, Infinity];
    else if (next === '?') range = [0, 1];
    else if (next === '{') range = this.#counts();
    if (range === undefined) return atom;
    if (next !== '{') this.#at++;
    // Whether it takes much or little does not matter for whether it matches.
    if (this.#peek() === '?') this.#at++;
    if (['*', '+', '?', '{'].includes(this.#peek() ?? '')) throw new Unsupported('invalid nested repetition');
    const [min, max] = range;
    return (steps) => {
      for (let i = 0; i < min; i++) atom(steps);
      if (max === Infinity) {
        const split = push(steps, { op: 'split', first: steps.length + 1, second: 0 });
        const back = steps.length - 1;
        atom(steps);
        steps.push({ op: 'jump', first: back });
        split.second = steps.length;
        return;
      }
      const splits = [];
      for (let i = min; i < max; i++) {
        splits.push(push(steps, { op: 'split', first: steps.length + 1, second: 0 }));
        atom(steps);
      }
      for (const split of splits) split.second = steps.length;
    };
  }

  /** `{2}`, `{2,}`, `{2,5}` */
  #counts(): readonly [number, number] {
    const {
      length,
      min = '',
      comma,
      max = '',
    } = /^(?<length>\{(?<min>\d{1,4})(?<comma>,)?(?<max>\d{0,4})\})/.exec(this.#text.slice(this.#at, this.#at + 12).join(''))?.groups ?? {};
    if (length === undefined) throw new Unsupported('write a literal brace as \\{');
    this.#at += length.length;
    const least = Number(min);
    const most = comma === undefined ? least : max === '' ? Infinity : Number(max);
    if (least > 1000 || (most !== Infinity && most > 1000) || most < least) throw new Unsupported('bad repetition');
    return [least, most];
  }

  #atom(depth: number): Emit {
    const character = this.#text[this.#at++] ?? '';
    switch (character) {
      case '(':
        return this.#group(depth);
      case '[':
        return this.#class();
      case '.':
        return char((code) => code !== 10);
      case '^':
        return assertion((before) => before === NONE);
      case '$':
        return assertion((_, after) => after === NONE);
      case '*':
      case '+':
      case '?':
        throw new Unsupported(`nothing to repeat before ${character}`);
      case '\\':
        return this.#escape();
      default:
        return char(this.#cased(exactly(character.codePointAt(0) ?? 0)));
    }
  }

  #group(depth: number): Emit {
    if (this.#peek() === '?') {
      const { prefix } = /^(?<prefix>\?(?::|P?<[A-Za-z_]\w*>))/.exec(this.#text.slice(this.#at, this.#at + 100).join(''))?.groups ?? {};
      if (prefix === undefined) throw new Unsupported('this kind of group is not supported');
      this.#at += prefix.length;
    }
    const inner = this.#alternatives(depth + 1);
    if (this.#text[this.#at++] !== ')') throw new Unsupported('missing )');
    return inner;
  }

  #escape(): Emit {
    const letter = this.#text[this.#at++];
    if (letter === 'b') return assertion(isBoundary);
    if (letter === 'B') return assertion((before, after) => !isBoundary(before, after));
    if (letter === 'A') return assertion((before) => before === NONE);
    if (letter === 'z') return assertion((_, after) => after === NONE);
    return char(this.#cased(this.#escaped(letter)));
  }

  #escaped(letter: string | undefined): Test {
    if (letter === undefined) throw new Unsupported('it ends in a backslash');
    const known = CLASSES[letter];
    if (known !== undefined) return known;
    const code = ESCAPES[letter];
    if (code !== undefined) return exactly(code);
    if (/[A-Za-z0-9]/.test(letter)) throw new Unsupported(`\\${letter} is not supported`);
    return exactly(letter.codePointAt(0) ?? 0);
  }

  #class(): Emit {
    const isNot = this.#peek() === '^';
    if (isNot) this.#at++;
    const tests: Test[] = [];
    for (let isFirst = true; isFirst || this.#peek() !== ']'; isFirst = false) {
      const character = this.#text[this.#at++];
      if (character === undefined) throw new Unsupported('missing ]');
      if (character === '[' && this.#peek() === ':') throw new Unsupported('[:class:] is not supported');
      if (character === '\\') {
        const letter = this.#text[this.#at++];
        if (letter !== undefined && Object.hasOwn(CLASSES, letter)) {
          tests.push(this.#escaped(letter));
          continue;
        }
        tests.push(this.#range(ESCAPES[letter ?? ''] ?? literal(letter)));
      } else tests.push(this.#range(character.codePointAt(0) ?? 0));
    }
    this.#at++;
    return char(
      this.#cased((code) => tests.some((test) => test(code)) !== isNot),
      tests.length,
    );
  }

  /** One character of a class, or from it to another. */
  #range(from: number): Test {
    if (this.#peek() !== '-' || this.#text[this.#at + 1] === ']') return exactly(from);
    this.#at++;
    const last = this.#text[this.#at++];
    const to = last === '\\' ? literal(this.#text[this.#at++]) : last?.codePointAt(0);
    if (to === undefined || to < from) throw new Unsupported('bad range in a class');
    return (code) => code >= from && code <= to;
  }

  #cased(test: Test): Test {
    if (!this.#ignoreCase) return test;
    return (code) => {
      const text = String.fromCodePoint(code);
      return test(code) || test(text.toLowerCase().codePointAt(0) ?? code) || test(text.toUpperCase().codePointAt(0) ?? code);
    };
  }
}

function literal(letter: string | undefined): number {
  if (letter === undefined || /[A-Za-z0-9]/.test(letter)) throw new Unsupported(`\\${letter ?? ''} is not supported in a class`);
  return letter.codePointAt(0) ?? 0;
}

function exactly(wanted: number): Test {
  return (code) => code === wanted;
}

function char(test: Test, weight = 1): Emit {
  return (steps) => push(steps, { op: 'char', test, weight });
}

function assertion(test: (before: number, after: number) => boolean): Emit {
  return (steps) => push(steps, { op: 'assert', test });
}

/** @throws where the pattern, with its repetitions written out, is too large */
function push<S extends Step>(steps: Step[], step: S): S {
  if (steps.length >= MAX_STEPS) throw new Unsupported('too large');
  steps.push(step);
  return step;
}
