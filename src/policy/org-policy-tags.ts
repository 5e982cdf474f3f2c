/**
 * Conditions of organization policy rules: one to ten questions about tags, joined by `&&` and `||`. The dialect is a corner of CEL
 * that is small enough to be read whole; everything outside it is refused when the policy is set.
 * Source: google/cloud/orgpolicy/v2/orgpolicy.proto, PolicyRule.condition; hasTagKey and hasTagKeyId: the reference of the JSON API.
 */
import type { Tag } from './tag.ts';

const MAX_QUESTIONS = 10;
const MAX_LENGTH = 4096;
/** The parser descends once for each. */
const MAX_PARENTHESES = 20;

/** Whether a resource's tags (its own, and those it inherits) meet the condition. */
export type TagCondition = (tags: readonly Tag[]) => boolean;

/** A condition outside the dialect. The message is a sentence for the author of the policy. */
export class TagConditionError extends Error {
  override readonly name = 'TagConditionError';
}

const TOKEN = /\s*(?:(?<operator>&&|\|\||\(|\))|resource\.(?<fn>\w+)\(\s*(?<args>(?:'[^'\\]*'|"[^"\\]*")(?:\s*,\s*(?:'[^'\\]*'|"[^"\\]*"))*)\s*\))/y;

/** By function: how many arguments, their forms, and the answer. */
const QUESTIONS: Readonly<Record<string, { readonly forms: readonly RegExp[]; readonly ask: (tag: Tag, first: string, second: string) => boolean }>> = {
  matchTag: { forms: [/^[a-z0-9.:-]+\/[^/]+$/, /^[^/]+$/], ask: (tag, key, value) => tag.key === key && tag.value === value },
  matchTagId: { forms: [/^tagKeys\/\d+$/, /^tagValues\/\d+$/], ask: (tag, key, value) => tag.keyId === key && tag.valueId === value },
  hasTagKey: { forms: [/^[a-z0-9.:-]+\/[^/]+$/], ask: (tag, key) => tag.key === key },
  hasTagKeyId: { forms: [/^tagKeys\/\d+$/], ask: (tag, key) => tag.keyId === key },
};

type Token = '&&' | '||' | '(' | ')' | TagCondition;

/** @throws TagConditionError */
export function parseTagCondition(expression: string): TagCondition {
  if (expression.length > MAX_LENGTH) throw new TagConditionError(`It has ${expression.length} characters, and may have at most ${MAX_LENGTH}.`);
  const tokens = tokenize(expression);
  const questions = tokens.filter((token) => typeof token === 'function').length;
  if (questions > MAX_QUESTIONS) throw new TagConditionError(`It has ${questions} subexpressions, and may have at most ${MAX_QUESTIONS}.`);
  if (tokens.filter((token) => token === '(').length > MAX_PARENTHESES) throw new TagConditionError(`It has more than ${MAX_PARENTHESES} parentheses.`);
  let at = 0;
  const disjunction = (): TagCondition => joined(conjunction, '||', (answers) => answers.some(Boolean));
  const conjunction = (): TagCondition => joined(operand, '&&', (answers) => answers.every(Boolean));
  const joined = (part: () => TagCondition, operator: Token, join: (answers: boolean[]) => boolean): TagCondition => {
    const parts = [part()];
    for (; tokens[at] === operator; parts.push(part())) at += 1;
    return (tags) => join(parts.map((one) => one(tags)));
  };
  const operand = (): TagCondition => {
    const token = tokens[at];
    at += 1;
    if (typeof token === 'function') return token;
    if (token !== '(') throw new TagConditionError("A subexpression such as resource.matchTag('123456789/environment', 'prod') is missing.");
    const inner = disjunction();
    if (tokens[at] !== ')') throw new TagConditionError('A closing parenthesis is missing.');
    at += 1;
    return inner;
  };
  const condition = disjunction();
  if (at < tokens.length) throw new TagConditionError('Subexpressions must be joined by && or ||.');
  return condition;
}

function tokenize(expression: string): Token[] {
  const tokens: Token[] = [];
  const token = new RegExp(TOKEN);
  const text = expression.trimEnd();
  while (token.lastIndex < text.length) {
    const from = token.lastIndex;
    const groups = token.exec(text)?.groups;
    const operator = groups?.['operator'];
    if (operator === '&&' || operator === '||' || operator === '(' || operator === ')') tokens.push(operator);
    else if (groups?.['fn'] !== undefined) tokens.push(question(groups['fn'], groups['args'] ?? ''));
    else
      throw new TagConditionError(
        `${JSON.stringify(text.slice(from, from + 40))} is not understood. Use resource.matchTag(), matchTagId(), hasTagKey() or hasTagKeyId(), joined by && or ||.`,
      );
  }
  return tokens;
}

function question(name: string, text: string): TagCondition {
  const found = Object.hasOwn(QUESTIONS, name) ? QUESTIONS[name] : undefined;
  if (found === undefined) throw new TagConditionError(`resource.${name}() is not offered here. Use matchTag(), matchTagId(), hasTagKey() or hasTagKeyId().`);
  const args = [...text.matchAll(/'([^']*)'|"([^"]*)"/g)].map((match) => match[1] ?? match[2] ?? '');
  if (args.length !== found.forms.length) throw new TagConditionError(`resource.${name}() takes ${found.forms.length} arguments, but ${args.length} were given.`);
  const wrong = args.find((value, i) => found.forms[i]?.test(value) !== true);
  if (wrong !== undefined) throw new TagConditionError(`${JSON.stringify(wrong)} has not the form that resource.${name}() takes.`);
  const [first = '', second = ''] = args;
  return (tags) => tags.some((tag) => found.ask(tag, first, second));
}
