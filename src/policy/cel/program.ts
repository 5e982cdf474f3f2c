/**
 * Expressions: parsed, checked against a dialect (declared names, functions and their types, the type of the result, no more operators and no deeper than
 * allowed), and made into closures. `@bufbuild/cel` parses; its planner is not used, for it takes undeclared names and knows no limit.
 *
 * Invariants: what has passed `compileCel` can only end in a value of the dialect's result type or in a `CelFailure`; an evaluation ends within its budget.
 * Must not know: what the names stand for. That is the dialect's, see ../condition.ts.
 */
import { parse } from '@bufbuild/cel';
import { CelIssue, Checker } from './checker.ts';
import type { Node, Run } from './closure.ts';
import type { CelFunction } from './function.ts';
import { CelFailure, type CelResult, type CelType, isOfType } from './value.ts';

/** A name that stands for a value. */
export interface CelVariable<C> {
  readonly type: CelType;
  read(context: C): CelResult;
}

/** What an expression of one kind may say. `C` is what it is evaluated on. */
export interface Dialect<C> {
  /** By name, with dots where it has some: `request.time`, `resource`. A longer name goes before a shorter. */
  readonly variables: Readonly<Record<string, CelVariable<C>>>;
  readonly functions: readonly CelFunction<C>[];
  readonly result: 'bool' | 'string' | { readonly list: 'string' } | 'dyn';
  /** `&&`, `||` and `!`, as Google counts: "12 logical operators". Source: https://cloud.google.com/iam/docs/conditions-overview#cel */
  readonly maxLogicalOperators: number;
  /** Operators that may be used, in the parser's spelling (`_&&_`); undefined: all. */
  readonly operators?: ReadonlySet<string>;
  /** `has`, `all`, `exists`, `exists_one`, `map` and `filter`. */
  readonly macros: boolean;
  /** UTF-16 units. */
  readonly maxLength: number;
}

/** One part of a condition's `&&` and `||`, and what it came to. */
export interface CelClause {
  readonly expression: string;
  readonly result: CelResult;
}

export interface CelProgram<C> {
  readonly source: string;
  /** Variables and functions that it uses: `request.time`, `resource.matchTag`. */
  readonly names: ReadonlySet<string>;
  /** @param budget steps of loops and calls; a failure when they are used up */
  evaluate(context: C, budget?: number): CelResult;
  /** The parts of its `&&` and `||`, each evaluated by itself. */
  explain(context: C): readonly CelClause[];
}

/** Brackets inside of brackets. The parser's stack bears some hundred. */
const MAX_BRACKETS = 40;
const DEFAULT_BUDGET = 10_000;

/** @returns what is wrong with the expression, where it cannot be used */
export function compileCel<C>(source: string, dialect: Dialect<C>): CelProgram<C> | CelIssue {
  if (source.length > dialect.maxLength) return new CelIssue(`the expression has ${source.length} characters, and ${dialect.maxLength} are allowed`);
  if (bracketDepth(source) > MAX_BRACKETS) return new CelIssue('the expression is nested too deeply');
  let parsed: ReturnType<typeof parse>;
  try {
    parsed = parse(source);
  } catch (error) {
    // A RangeError is the parser's stack.
    return new CelIssue(
      error instanceof RangeError || !(error instanceof Error) ? 'the expression is nested too deeply' : `syntax error: ${error.message.replace(/^<input>:/, 'at ')}`,
    );
  }
  const checker = new Checker(dialect, parsed.sourceInfo?.positions ?? {});
  try {
    const { node } = checker.checkRoot(parsed.expr);
    const run = (context: C, budget: number): Run<C> => ({ context, budget, locals: [] });
    const settle = (result: CelResult): CelResult =>
      result instanceof CelFailure || isOfType(result, dialect.result)
        ? result
        : new CelFailure(`the result is not of type ${typeof dialect.result === 'string' ? dialect.result : 'list(string)'}`);
    return {
      source,
      names: checker.names,
      evaluate: (context, budget = DEFAULT_BUDGET) => settle(node(run(context, budget))),
      explain: (context) =>
        checker.clauses.map(({ expression, node: part }: { expression: string; node: Node<C> }) => ({ expression, result: part(run(context, DEFAULT_BUDGET)) })),
    };
  } catch (error) {
    if (error instanceof CelIssue) return error;
    throw error;
  }
}

/** The deepest nesting of brackets outside of string literals. */
function bracketDepth(source: string): number {
  let depth = 0;
  let deepest = 0;
  let quote = '';
  for (let at = 0; at < source.length; at++) {
    const character = source[at] ?? '';
    if (quote !== '') {
      if (character === '\\') at++;
      else if (character === quote) quote = '';
    } else if (character === '"' || character === "'") quote = character;
    else if (character === '(' || character === '[' || character === '{') deepest = Math.max(deepest, ++depth);
    else if (character === ')' || character === ']' || character === '}') depth--;
  }
  return deepest;
}

export { CelIssue } from './checker.ts';
