/** The resources that a method's permissions are asked about, from the names that a request says: `{topic}`, `projects/{@project}/buckets/{bucket}`. */
import { isPlain } from './method-path.ts';

export interface ResourceTemplate {
  readonly permission: string;
  readonly variables: readonly string[];
  /** Full resource names. @param isFirst whether a name has to be said that must be @returns undefined where one is missing or is no name */
  resources(said: ReadonlyMap<string, readonly string[]>, isFirst: boolean): readonly string[] | undefined;
}

interface Part {
  readonly variable: string;
  /** `{v:4}` the first four segments, `{v.4}` the fourth alone, `{v%}` all of it as one segment. */
  readonly select: 'all' | 'first' | 'nth' | 'encoded';
  readonly count: number;
}

const MAX_NAME = 4096;

/** @param given.project of `{@project}` @param given.text with `?` at its end where the names may be absent @throws Error where it cannot be read */
export function compileTemplate(given: { readonly host: string; readonly project: string; readonly permission: string; readonly text: string }): ResourceTemplate {
  const isOptional = given.text.endsWith('?');
  const text = (isOptional ? given.text.slice(0, -1) : given.text).replaceAll('{@project}', given.project);
  const pieces = text.split(/(\{[^}]*\})/).map((piece) => (piece.startsWith('{') ? readPart(given.host, given.text, piece) : piece));
  const variables = pieces.filter((piece) => typeof piece !== 'string').map(({ variable }) => variable);
  return {
    permission: given.permission,
    variables,
    resources(said, isFirst) {
      if (variables.some((variable) => (said.get(variable) ?? []).length === 0)) return isOptional || !isFirst ? [] : undefined;
      // Of one variable there may be several names; each is asked about with all of the others.
      let names = [''];
      for (const piece of pieces) {
        if (typeof piece === 'string') {
          names = names.map((name) => name + piece);
          continue;
        }
        const values = new Set((said.get(piece.variable) ?? []).map((value) => selected(value, piece)));
        if (values.has(undefined)) return undefined;
        names = names.flatMap((name) => [...values].map((value) => name + (value ?? '')));
      }
      return names.map((name) => fullName(given.host, name));
    },
  };
}

function readPart(host: string, text: string, piece: string): Part {
  const [, variable = '', mark = '', count = '0'] = /^\{(\w+)(?:([:.])(\d))?%?\}$/.exec(piece) ?? [];
  if (variable === '') throw new Error(`Methods of ${host}: cannot read ${piece} of the check on ${text}.`);
  return { variable, select: piece.endsWith('%}') ? 'encoded' : mark === ':' ? 'first' : mark === '.' ? 'nth' : 'all', count: Number(count) };
}

function selected(value: string, { select, count }: Part): string | undefined {
  if (value === '' || value.length > MAX_NAME || !isPlain(value)) return undefined;
  if (select === 'encoded') return encodeURIComponent(value);
  const segments = value.split('/');
  if (segments.includes('')) return undefined;
  if (select === 'all') return value;
  if (segments.length < count) return undefined;
  return select === 'first' ? segments.slice(0, count).join('/') : segments[count - 1];
}

/** A project is Resource Manager's, whichever API asks. */
function fullName(host: string, name: string): string {
  return /^projects\/[^/]+$/.test(name) ? `//cloudresourcemanager.googleapis.com/${name}` : `//${host}/${name}`;
}
