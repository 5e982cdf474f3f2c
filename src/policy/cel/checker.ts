/** The walk over a parsed expression that checks it and makes the closures that evaluate it, in one pass. */
import { type parse, unparse } from '@bufbuild/cel';
import { all, and, binary, choice, EXHAUSTED, equality, lengthCost, type Node, not, or, presence, selection, unary } from './closure.ts';
import type { CelFunction } from './function.ts';
import { noOverload, OPERATOR_TYPES, OPERATORS } from './operator.ts';
import type { Dialect } from './program.ts';
import { CelFailure, type CelType, type CelValue, isAssignable, isList, isMap, isOfType, typeName } from './value.ts';

type Expr = ReturnType<typeof parse>['expr'];
type Part<K extends string> = Extract<Expr['exprKind'], { case: K }>['value'];

/** Why an expression cannot be used, with the place in it (0-based) where there is one. */
export class CelIssue extends Error {
  readonly offset: number | undefined;
  constructor(message: string, offset?: number) {
    super(offset === undefined ? message : `${message} (at character ${offset + 1})`);
    this.offset = offset;
  }
}

interface Checked<C> {
  readonly type: CelType;
  readonly node: Node<C>;
  /** Set where the value is known before any evaluation. */
  readonly constant?: CelValue;
}

const MAX_DEPTH = 200;
const LOGICAL: ReadonlySet<string> = new Set(['_&&_', '_||_', '!_']);

export class Checker<C> {
  readonly names = new Set<string>();
  readonly clauses: { readonly expression: string; readonly node: Node<C> }[] = [];
  readonly #dialect: Dialect<C>;
  readonly #positions: Readonly<Record<string, number>>;
  /** Variables of the macros around, innermost last. */
  readonly #scopes: { readonly name: string; readonly type: CelType; readonly slot: number }[] = [];
  #logical = 0;
  #slots = 0;

  constructor(dialect: Dialect<C>, positions: Readonly<Record<string, number>>) {
    this.#dialect = dialect;
    this.#positions = positions;
  }

  checkRoot(expr: Expr): Checked<C> {
    const checked = this.#check(expr, 0, true);
    const wanted = this.#dialect.result;
    if (!isAssignable(checked.type, wanted)) throw this.#issue(expr, `the expression is of type ${typeName(checked.type)}, and has to be of type ${typeName(wanted)}`);
    return checked;
  }

  #issue(expr: Expr, message: string): CelIssue {
    return new CelIssue(message, this.#positions[String(expr.id)]);
  }

  /** @param isClause whether nothing but `&&` and `||` stands above */
  #check(expr: Expr, depth: number, isClause = false): Checked<C> {
    if (depth > MAX_DEPTH) throw new CelIssue('the expression is nested too deeply');
    const kind = expr.exprKind;
    const isLogical = kind.case === 'callExpr' && (kind.value.function === '_&&_' || kind.value.function === '_||_');
    const checked = this.#checkKind(expr, depth + 1, isClause && isLogical);
    if (isClause && !isLogical) this.clauses.push({ expression: textOf(expr), node: checked.node });
    return checked;
  }

  #checkKind(expr: Expr, depth: number, isClause: boolean): Checked<C> {
    const kind = expr.exprKind;
    switch (kind.case) {
      case 'constExpr':
        return this.#constant(expr, kind.value);
      case 'identExpr':
      case 'selectExpr':
        return this.#name(expr, depth);
      case 'callExpr':
        return this.#call(expr, kind.value, depth, isClause);
      case 'listExpr':
        return this.#list(kind.value, depth);
      case 'structExpr':
        return this.#map(expr, kind.value, depth);
      case 'comprehensionExpr':
        if (!this.#dialect.macros) throw this.#issue(expr, 'macros are not supported here');
        return this.#comprehension(expr, kind.value, depth);
      default:
        throw this.#issue(expr, 'this kind of expression is not supported');
    }
  }

  #constant(expr: Expr, { constantKind }: Part<'constExpr'>): Checked<C> {
    switch (constantKind.case) {
      case 'boolValue':
        return constant('bool', constantKind.value);
      case 'stringValue':
        return constant('string', constantKind.value);
      case 'int64Value':
        return constant('int', constantKind.value);
      case 'doubleValue':
        return constant('double', constantKind.value);
      case 'nullValue':
        return constant('null', null);
      default:
        throw this.#issue(expr, 'unsigned numbers and bytes are not supported');
    }
  }

  /** `a`, `a.b`, `a.b.c`: the longest declared name, and fields of it. */
  #name(expr: Expr, depth: number): Checked<C> {
    const dotted = dottedName(expr);
    const kind = expr.exprKind;
    const isTest = kind.case === 'selectExpr' && kind.value.testOnly;
    if (dotted !== undefined && !isTest) {
      const local = this.#scopes.findLast(({ name }) => name === dotted);
      if (local !== undefined) return { type: local.type, node: (run) => run.locals[local.slot] ?? null };
      const variable = Object.hasOwn(this.#dialect.variables, dotted) ? this.#dialect.variables[dotted] : undefined;
      if (variable !== undefined) {
        this.names.add(dotted);
        return { type: variable.type, node: (run) => variable.read(run.context) };
      }
    }
    if (kind.case !== 'selectExpr') throw this.#issue(expr, `undeclared reference to '${dotted ?? ''}'`);
    if (isTest && !this.#dialect.macros) throw this.#issue(expr, 'macros are not supported here');
    const { operand, field } = kind.value;
    if (operand === undefined) throw this.#issue(expr, 'undeclared reference');
    if (dotted !== undefined && !this.#isDeclared(dotted)) throw this.#issue(expr, `undeclared reference to '${dotted}'`);
    const of = this.#check(operand, depth);
    if (of.type !== 'dyn' && !(typeof of.type === 'object' && 'map' in of.type)) throw this.#issue(expr, `type ${typeName(of.type)} has no field '${field}'`);
    return { type: isTest ? 'bool' : typeof of.type === 'object' && 'map' in of.type ? of.type.map : 'dyn', node: isTest ? presence(of.node, field) : selection(of.node, field) };
  }

  /** Whether some beginning of a dotted name is one that was declared. */
  #isDeclared(dotted: string): boolean {
    const parts = dotted.split('.');
    return parts.some((_, index) => {
      const prefix = parts.slice(0, index + 1).join('.');
      return Object.hasOwn(this.#dialect.variables, prefix) || this.#scopes.some(({ name }) => name === prefix);
    });
  }

  #call(expr: Expr, call: Part<'callExpr'>, depth: number, isClause: boolean): Checked<C> {
    const name = call.function;
    if (call.target === undefined && (LOGICAL.has(name) || name === '_?_:_' || Object.hasOwn(OPERATOR_TYPES, name) || name === '@not_strictly_false')) {
      if (LOGICAL.has(name) && ++this.#logical > this.#dialect.maxLogicalOperators)
        throw this.#issue(expr, `the expression has more than ${this.#dialect.maxLogicalOperators} logical operators`);
      if (this.#dialect.operators?.has(name) === false) throw this.#issue(expr, `the operator ${name.replaceAll('_', '').replace('@', '')} is not supported here`);
      const args = call.args.map((arg) => this.#check(arg, depth, isClause));
      return this.#operator(expr, name, args);
    }
    const namespace = call.target === undefined ? undefined : dottedName(call.target);
    const full = namespace === undefined ? undefined : `${namespace}.${name}`;
    if (full !== undefined && this.#dialect.functions.some((one) => one.name === full)) return this.#apply(expr, full, undefined, call.args, depth);
    return this.#apply(expr, name, call.target, call.args, depth);
  }

  #operator(expr: Expr, name: string, args: readonly Checked<C>[]): Checked<C> {
    const [a, b, c] = args;
    if (a === undefined) throw this.#issue(expr, `no operand for ${name}`);
    const refuse = () => this.#issue(expr, `found no matching overload for '${name}' applied to '(${args.map(({ type }) => typeName(type)).join(', ')})'`);
    if (name === '@not_strictly_false') return { type: 'bool', node: (run) => a.node(run) !== false };
    if (LOGICAL.has(name)) {
      if (!args.every(({ type }) => isAssignable(type, 'bool'))) throw refuse();
      return { type: 'bool', node: b === undefined ? not(a.node) : name === '_&&_' ? and(a.node, b.node) : or(a.node, b.node) };
    }
    if (name === '_?_:_') {
      if (b === undefined || c === undefined || !isAssignable(a.type, 'bool') || !isAssignable(b.type, c.type)) throw refuse();
      return { type: b.type === 'dyn' ? c.type : b.type, node: choice(a.node, b.node, c.node) };
    }
    const type = OPERATOR_TYPES[name]?.(...args.map((arg) => arg.type));
    if (type === undefined) throw refuse();
    if (b === undefined) return folded(type, unary(a.node), args);
    if (name === '_==_' || name === '_!=_') return folded(type, equality(a.node, b.node, name === '_==_'), args);
    const operator = OPERATORS[name];
    if (operator === undefined) throw refuse();
    return folded(type, binary(a.node, b.node, operator), args);
  }

  #apply(expr: Expr, name: string, target: Expr | undefined, args: readonly Expr[], depth: number): Checked<C> {
    const named = this.#dialect.functions.filter((one) => one.name === name && (one.target === undefined) === (target === undefined));
    if (named.length === 0) throw this.#issue(expr, `undeclared reference to '${name}'`);
    const operands = [...(target === undefined ? [] : [target]), ...args].map((one) => this.#check(one, depth));
    const chosen = named.find((one) => {
      const types = one.target === undefined ? one.args : [one.target, ...one.args];
      return types.length === operands.length && types.every((type, index) => isAssignable(operands[index]?.type ?? 'null', type));
    });
    if (chosen === undefined) throw this.#issue(expr, `found no matching overload for '${name}' applied to '(${operands.map(({ type }) => typeName(type)).join(', ')})'`);
    this.names.add(name);
    const prepared = chosen.prepare?.(operands.map(({ constant: value }) => value)) ?? chosen.call.bind(chosen);
    if (prepared instanceof CelFailure) throw this.#issue(expr, prepared.message);
    return this.#invocation(expr, chosen, prepared, operands);
  }

  #invocation(expr: Expr, fn: CelFunction<C>, call: CelFunction<C>['call'], operands: readonly Checked<C>[]): Checked<C> {
    const constants = operands.map(({ constant: value }) => value);
    if (constants.every((value) => value !== undefined)) {
      if (fn.readsContext === true) return { type: fn.result, node: (run) => call(constants, run.context) };
      // Nothing of the context is read, so any will do; a literal that is wrong ("timestamp('x')") is found here.
      const value = call(constants, undefined as C);
      if (value instanceof CelFailure) throw this.#issue(expr, value.message);
      return constant(fn.result, value);
    }
    const types = fn.target === undefined ? fn.args : [fn.target, ...fn.args];
    const parts = operands.map(({ node, type }, index) => {
      const wanted = types[index] ?? 'dyn';
      return { node, unsure: type === 'dyn' && wanted !== 'dyn' ? wanted : undefined };
    });
    return {
      type: fn.result,
      node(run) {
        if (--run.budget < 0) return EXHAUSTED;
        const values: CelValue[] = [];
        for (const { node, unsure } of parts) {
          const value = node(run);
          if (value instanceof CelFailure) return value;
          if (unsure !== undefined && !isOfType(value, unsure)) return noOverload(fn.name);
          values.push(value);
        }
        run.budget -= (fn.cost?.(values) ?? 0) + values.reduce<number>((sum, value) => sum + lengthCost(value), 0);
        if (run.budget < 0) return EXHAUSTED;
        const result = call(values, run.context);
        if (!(result instanceof CelFailure)) run.budget -= lengthCost(result);
        return result;
      },
    };
  }

  #list({ elements }: Part<'listExpr'>, depth: number): Checked<C> {
    const parts = elements.map((element) => this.#check(element, depth));
    const [first] = parts;
    const type: CelType = { list: first !== undefined && parts.every((part) => isAssignable(part.type, first.type)) ? first.type : 'dyn' };
    const constants = parts.map(({ constant: value }) => value);
    if (constants.every((value) => value !== undefined)) return constant(type, constants);
    return { type, node: (run) => all(parts, run) };
  }

  #map(expr: Expr, { messageName, entries }: Part<'structExpr'>, depth: number): Checked<C> {
    if (messageName !== '') throw this.#issue(expr, `messages (${messageName}) are not supported`);
    const parts = entries.map(({ keyKind, value }) => {
      const key = keyKind.case === 'mapKey' ? this.#check(keyKind.value, depth).constant : undefined;
      if (typeof key !== 'string' || value === undefined) throw this.#issue(expr, 'the keys of a map have to be string literals');
      return { key, ...this.#check(value, depth) };
    });
    const [first] = parts;
    const type: CelType = { map: first !== undefined && parts.every((part) => isAssignable(part.type, first.type)) ? first.type : 'dyn' };
    return {
      type,
      node(run) {
        const values = all(parts, run);
        return values instanceof CelFailure ? values : Object.fromEntries(parts.map(({ key }, index) => [key, values[index] ?? null]));
      },
    };
  }

  #comprehension(expr: Expr, part: Part<'comprehensionExpr'>, depth: number): Checked<C> {
    const { iterRange, accuInit, loopCondition, loopStep, result } = part;
    if (iterRange === undefined || accuInit === undefined || loopCondition === undefined || loopStep === undefined || result === undefined)
      throw this.#issue(expr, 'this macro is not supported');
    const range = this.#check(iterRange, depth);
    if (range.type !== 'dyn' && typeof range.type === 'string') throw this.#issue(expr, `expression of type '${range.type}' cannot be range of a comprehension`);
    const initial = this.#check(accuInit, depth);
    const accumulator = { name: part.accuVar, type: typeof initial.type === 'object' ? ({ list: 'dyn' } as const) : initial.type, slot: this.#slots++ };
    const element = { name: part.iterVar, type: typeof range.type === 'object' && 'list' in range.type ? range.type.list : ('dyn' as const), slot: this.#slots++ };
    this.#scopes.push(accumulator, element);
    // The parser's own operators in a macro are not the writer's.
    const counted = this.#logical;
    const condition = this.#check(loopCondition, depth).node;
    const step = this.#check(loopStep, depth).node;
    if (this.#logical > counted) this.#logical = Math.max(counted, this.#logical - 2);
    this.#scopes.pop();
    const end = this.#check(result, depth);
    this.#scopes.pop();
    return {
      type: end.type,
      node(run) {
        const over = range.node(run);
        if (over instanceof CelFailure) return over;
        const items = isList(over) ? over : isMap(over) ? Object.keys(over) : undefined;
        if (items === undefined) return noOverload('comprehension');
        run.locals[accumulator.slot] = initial.node(run);
        for (const item of items) {
          if (--run.budget < 0) return EXHAUSTED;
          run.locals[element.slot] = item;
          if (condition(run) === false) break;
          const next = step(run);
          run.locals[accumulator.slot] = next;
          if (isList(next)) run.budget -= next.length >>> 4;
        }
        return end.node(run);
      },
    };
  }
}

/** The expression as text again; macros are not written back. */
function textOf(expr: Expr): string {
  try {
    return unparse(expr);
  } catch {
    return '(an expression with macros)';
  }
}

function constant<C>(type: CelType, value: CelValue): Checked<C> {
  return { type, constant: value, node: () => value };
}

/** Computes beforehand what has nothing but literals in it. */
function folded<C>(type: CelType, node: Node<C>, args: readonly Checked<C>[]): Checked<C> {
  if (args.some((arg) => arg.constant === undefined)) return { type, node };
  // No literal reads the context.
  const value = node({ context: undefined as C, budget: 1_000_000, locals: [] });
  return value instanceof CelFailure ? { type, node: () => value } : constant(type, value);
}

/** `a.b.c` where that is nothing but names. */
function dottedName(expr: Expr): string | undefined {
  const kind = expr.exprKind;
  if (kind.case === 'identExpr') return kind.value.name;
  if (kind.case !== 'selectExpr' || kind.value.testOnly || kind.value.operand === undefined) return undefined;
  const of = dottedName(kind.value.operand);
  return of === undefined ? undefined : `${of}.${kind.value.field}`;
}
