/**
 * Paths in the syntax of google.api.http, compiled to matchers: `/v2/{name=projects/*\/locations/*\/jobs/*}:run`.
 * Source: google/api/http.proto ("Path template syntax").
 */
export interface PathMatcher {
  /** @returns the values of the variables by field path, percent-decoded, or undefined where the path does not match */
  match(path: string): ReadonlyMap<string, string> | undefined;
  /** `projects/{project}/jobs/{job}`-like text for error messages. */
  readonly template: string;
}

/** @throws Error where the template is not of the syntax: a mistake of ours, found at start */
export function compilePath(template: string): PathMatcher {
  const fields: string[] = [];
  let pattern = '';
  let rest = template;
  while (rest !== '') {
    const variable = /^\{([a-zA-Z0-9_.]+)(?:=([^}]+))?\}/.exec(rest);
    if (variable !== null) {
      fields.push(variable[1] ?? '');
      pattern += `(${segments(variable[2] ?? '*')})`;
      rest = rest.slice(variable[0].length);
      continue;
    }
    const literal = /^[^{]+/.exec(rest);
    if (literal === null) throw new Error(`not a path template: ${template}`);
    pattern += segments(literal[0]);
    rest = rest.slice(literal[0].length);
  }
  // A trailing slash is accepted on collections (recorded), so it is allowed everywhere.
  const expression = new RegExp(`^${pattern}/?$`);
  return {
    template,
    match(path) {
      const found = expression.exec(path);
      if (found === null) return undefined;
      const values = new Map<string, string>();
      for (const [index, field] of fields.entries()) {
        const value = decode(found[index + 1] ?? '');
        if (value === undefined) return undefined;
        values.set(field, value);
      }
      return values;
    },
  };
}

function segments(text: string): string {
  return text
    .split(/(\*\*|\*)/)
    .map((part) => (part === '**' ? '.+' : part === '*' ? '[^/:]+(?::[^/:]+)*?' : part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')))
    .join('');
}

/** Clients encode once or twice (`%252F`); names never hold a percent sign of their own. */
function decode(value: string): string | undefined {
  try {
    const once = decodeURIComponent(value);
    return once.includes('%') ? decodeURIComponent(once) : once;
  } catch {
    return undefined;
  }
}
