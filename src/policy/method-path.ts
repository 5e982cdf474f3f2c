/**
 * Paths of methods that are served elsewhere, in the syntax of google.api.http. Stricter than a server's own: what two programs could read
 * differently (dots, an encoded slash, double encoding) matches nothing, for another program acts on what is judged here.
 */
export interface PathPattern {
  readonly variables: readonly string[];
  /** Undefined where it begins with a variable. */
  readonly firstSegment: string | undefined;
  /** @param path percent-encoded @returns decoded values by variable */
  match(path: string): Map<string, readonly string[]> | undefined;
}

/**
 * `**2` is one or more pairs of segments, as documents of Firestore have them.
 * @param options.hasVerbs of this API's paths: then a colon in the last segment begins a verb, and never is a part of a name
 * @param options.free variables whose names may be anything, as an object's: encoded once, with slashes of their own
 * @throws Error where the template is not of the syntax
 */
export function compilePattern(template: string, { hasVerbs, free }: { readonly hasVerbs: boolean; readonly free: ReadonlySet<string> }): PathPattern {
  const variables: string[] = [];
  let pattern = '';
  let rest = template;
  while (rest !== '') {
    const variable = /^\{(\w+)(?:=([^}]+))?\}/.exec(rest);
    const literal = /^[^{}*]+/.exec(rest);
    const found = variable ?? literal;
    if (found === null) throw new Error(`Not a path template: ${template}`);
    rest = rest.slice(found[0].length);
    if (variable === null) {
      pattern += escape(found[0]);
      continue;
    }
    const [, name = '', inner = '*'] = variable;
    variables.push(name);
    pattern += `(${inner
      .split(/(\*\*2|\*\*|\*)/)
      .map((part, index, all) => wildcard(part, hasVerbs && rest === '' && index >= all.length - 2))
      .join('')})`;
  }
  const expression = new RegExp(`^${pattern}$`);
  return {
    variables,
    firstSegment: /^\/([^/{]+)/.exec(template)?.[1],
    match(path) {
      // Where these stand as they are, one program reads a step in the tree, or the path's end, and another a part of a name (URL Standard, section 4.4).
      if (/[\\#]/.test(path)) return undefined;
      const found = expression.exec(path);
      if (found === null) return undefined;
      const values = new Map<string, readonly string[]>();
      for (const [index, name] of variables.entries()) {
        const value = decode(found[index + 1] ?? '', free.has(name));
        if (value === undefined) return undefined;
        values.set(name, [value]);
      }
      return values;
    },
  };
}

function wildcard(part: string, isLast: boolean): string {
  const segment = isLast ? '[^/:]+' : '[^/]+';
  if (part === '*') return segment;
  if (part === '**') return isLast ? '[^:]+' : '.+';
  if (part === '**2') return `[^/]+/${segment}(?:/[^/]+/${segment})*`;
  return escape(part);
}

function escape(text: string): string {
  return text.replace(/[.+?^$()|[\]\\]/g, '\\$&');
}

function decode(raw: string, isFree: boolean): string | undefined {
  let value: string;
  try {
    value = decodeURIComponent(raw);
  } catch {
    return undefined;
  }
  if (!isFree && (value.includes('%') || value.split('/').length !== raw.split('/').length)) return undefined;
  return isPlain(value) ? value : undefined;
}

/** No segment that a program could take for a step in a tree, no control characters. */
export function isPlain(name: string): boolean {
  return !/\p{Cc}/u.test(name) && !name.split(/[/\\]/).some((segment) => segment === '.' || segment === '..');
}
