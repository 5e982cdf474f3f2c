/**
 * Label selectors of Kubernetes: `a=b,c!=d,e in (f,g),h notin (i),j,!k`; all must hold.
 * Source: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 */
import { invalidArgument } from '../../../errors.ts';

export interface LabelSelector {
  matches(labels: Readonly<Record<string, string>>): boolean;
  /** The one value that a label must have, where the selector says so. */
  valueOf(key: string): string | undefined;
}

interface Requirement {
  readonly key: string;
  readonly test: (value: string | undefined) => boolean;
  readonly only?: string;
}

const KEY = String.raw`[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?`;
const VALUE = '[A-Za-z0-9._-]*';
const SET = new RegExp(String.raw`^(${KEY})\s+(in|notin)\s*\(([^()]*)\)$`);
const EQUALITY = new RegExp(String.raw`^(${KEY})\s*(==|=|!=)\s*(${VALUE})$`);
const EXISTENCE = new RegExp(String.raw`^(!?)\s*(${KEY})$`);
const MAX_LENGTH = 4096;

/** @throws INVALID_ARGUMENT */
export function parseLabelSelector(text: string): LabelSelector {
  if (text.length > MAX_LENGTH) throw invalidArgument('label_selector', `must have at most ${MAX_LENGTH} characters, but has ${text.length}.`);
  const requirements = parts(text).map(requirement);
  return {
    matches: (labels) => requirements.every(({ key, test }) => test(labels[key])),
    valueOf: (key) => requirements.find((each) => each.key === key && each.only !== undefined)?.only,
  };
}

/** At commas outside of parentheses. */
function parts(text: string): string[] {
  return text.split(/,(?![^(]*\))/).flatMap((part) => (part.trim() === '' ? [] : [part.trim()]));
}

function requirement(part: string): Requirement {
  const set = SET.exec(part);
  if (set !== null) {
    const [, key = '', operator, list = ''] = set;
    const values = new Set(list.split(',').map((value) => value.trim()));
    return { key, test: operator === 'in' ? (value) => value !== undefined && values.has(value) : (value) => value === undefined || !values.has(value) };
  }
  const equality = EQUALITY.exec(part);
  if (equality !== null) {
    const [, key = '', operator, wanted = ''] = equality;
    return operator === '!=' ? { key, test: (value) => value !== wanted } : { key, test: (value) => value === wanted, only: wanted };
  }
  const existence = EXISTENCE.exec(part);
  if (existence === null)
    throw invalidArgument(
      'label_selector',
      `${JSON.stringify(part.slice(0, 200))} is no requirement. Write key=value, key!=value, key in (a,b), key notin (a,b), key or !key, with commas between.`,
    );
  const [, negation, key = ''] = existence;
  return { key, test: negation === '!' ? (value) => value === undefined : (value) => value !== undefined };
}
