/**
 * Which permission on which resource each method of an API needs that actas does not have itself, so that a call can be judged before it is
 * passed on to whoever serves it. Text beside this file (`methods/HOST.txt`, `methods/README.md` has the format), or of the configuration.
 * What is in no table has no answer here, and must not be let through.
 */
import { existsSync, readFileSync } from 'node:fs';
import { compilePattern, type PathPattern } from './method-path.ts';
import { compileTemplate, type ResourceTemplate } from './method-resource.ts';

/** Names that a request says, by variable. A variable that is absent was not said. */
export type SaidNames = ReadonlyMap<string, readonly string[]>;

/** One method. */
export interface ForeignMethod {
  /** `google.pubsub.v1.Publisher.Publish`, `storage.objects.get`: for the audit trail. */
  readonly name: string;
  /** Whether it changes nothing, as far as its permissions tell. */
  readonly reads: boolean;
  /**
   * What a call needs. A name that was not said has its checks left out, unless it must be said.
   * @param isFirst false for a later message of a stream, which says only what is new
   * @returns undefined where the request does not say a name that the method needs, or says one that is none
   */
  checks(said: SaidNames, isFirst?: boolean): readonly { readonly permission: string; readonly resource: string }[] | undefined;
}

/** Where a request says names, beside its path: variable -> fields of the JSON body, in both spellings. */
export interface HttpMatch {
  readonly method: ForeignMethod;
  readonly said: SaidNames;
  readonly bodyFields: ReadonlyMap<string, readonly string[]>;
  /** Those of the names that a parameter says. */
  readonly queryNames: ReadonlySet<string>;
}
/** Variable -> paths of field numbers. */
export interface GrpcMatch {
  readonly method: ForeignMethod;
  readonly fields: ReadonlyMap<string, readonly (readonly number[])[]>;
}

export interface MethodTable {
  /** @param path as it was sent, percent-encoded */
  http(verb: string, path: string, query: URLSearchParams): HttpMatch | undefined;
  /** @param path `/google.pubsub.v1.Publisher/Publish` */
  grpc(path: string): GrpcMatch | undefined;
  /** Whether a token opens a method. One that is for reading alone opens what only gets and lists. @param held its scopes; undefined: everything */
  isOpen(method: ForeignMethod, held: readonly string[] | undefined): boolean;
}

interface HttpLine {
  readonly verb: string;
  readonly pattern: PathPattern;
  readonly query: ReadonlyMap<string, string>;
  readonly body: ReadonlyMap<string, readonly string[]>;
  readonly only: ReadonlySet<string> | undefined;
  readonly method: ForeignMethod;
}

const DEFAULT_SCOPES = ['https://www.googleapis.com/auth/cloud-platform'];

// Deviation: an upload to Cloud Storage needs storage.objects.create alone. Google asks for storage.objects.delete as well where an object is replaced, which cannot be known here.
// Deviation: what writes to Firestore (Commit, Write, BatchWrite) needs the permissions to create, update and delete. Google asks for those of the writes that are in it.

/**
 * The methods that come with the program, and those that somebody declared, which come first.
 * @param project whose resources those are that do not say their project (buckets)
 * @throws Error that names the line at fault
 */
export function loadMethodTable(host: string, project: string, declared = '', directory: URL = new URL('methods/', import.meta.url)): MethodTable {
  const file = new URL(`${host}.txt`, directory);
  const own = existsSync(file) ? readFileSync(file, 'utf8') : '';
  return createMethodTable(host, project, [declared, own]);
}

/** @param texts in the format of methods/README.md; the first that has a method has it @throws Error that names the line at fault */
export function createMethodTable(host: string, project: string, texts: readonly string[]): MethodTable {
  const http: HttpLine[] = [];
  const grpc = new Map<string, GrpcMatch>();
  const scopes = new Set<string>();
  for (const text of texts) {
    const hasVerbs = /^ +http \S+ \S*[}a-zA-Z]:[a-zA-Z]+(?: |$)/m.test(text);
    for (const block of blocksOf(host, text)) {
      if ('scopes' in block) for (const scope of block.scopes) scopes.add(scope);
      else readMethod(block, { host, project, hasVerbs, http, grpc });
    }
  }
  const wanted = scopes.size === 0 ? new Set(DEFAULT_SCOPES) : scopes;
  const literals = new Set(http.map(({ pattern }) => pattern.firstSegment));
  return {
    http(verb, path, query) {
      const first = path.split('/')[1];
      for (const line of http) {
        if (line.verb !== verb) continue;
        // `/{bucket}/{object}` is no way around the methods below `/storage`.
        if (line.pattern.firstSegment === undefined && literals.has(first)) continue;
        const said = line.pattern.match(path);
        if (said === undefined || (line.only !== undefined && [...query.keys()].some((key) => line.only?.has(key) !== true))) continue;
        for (const [name, key] of line.query) said.set(name, query.getAll(key));
        return { method: line.method, said, bodyFields: line.body, queryNames: new Set(line.query.values()) };
      }
      return undefined;
    },
    grpc: (path) => grpc.get(path),
    isOpen: (method, held) => held === undefined || held.some((scope) => wanted.has(scope) && (!/[./]read[-_]?only$/.test(scope) || method.reads)),
  };
}

interface MethodBlock {
  readonly name: string;
  readonly lines: readonly string[];
}

function blocksOf(host: string, text: string): readonly (MethodBlock | { readonly scopes: readonly string[] })[] {
  const blocks: (MethodBlock | { readonly scopes: readonly string[] })[] = [];
  let lines: string[] | undefined;
  for (const raw of text.split('\n')) {
    const line = raw.trimEnd();
    if (line === '' || line.trimStart().startsWith('#')) continue;
    if (line.startsWith('scopes ')) blocks.push({ scopes: line.slice('scopes '.length).split(/ +/) });
    else if (/^[A-Za-z][\w.]*$/.test(line)) blocks.push({ name: line, lines: (lines = []) });
    else if (/^ +\S/.test(line) && lines !== undefined) lines.push(line.trim());
    else throw new Error(fault(host, line));
  }
  return blocks;
}

interface Growing {
  readonly host: string;
  readonly project: string;
  readonly hasVerbs: boolean;
  readonly http: HttpLine[];
  readonly grpc: Map<string, GrpcMatch>;
}

function readMethod({ name, lines }: MethodBlock, { host, project, hasVerbs, http, grpc }: Growing): void {
  const templates: ResourceTemplate[] = [];
  const method: ForeignMethod = {
    name,
    get reads() {
      return templates.every(({ permission }) => /\.(?:get|list)$/.test(permission));
    },
    checks: (said, isFirst = true) => allChecks(templates, said, isFirst),
  };
  const declared = new Set<string>();
  const free = new Set(lines.flatMap((line) => [...line.matchAll(/\{(\w+)%\}/g)].map(([, variable = '']) => variable)));
  for (const line of lines) {
    const [word, first = '', second = '', ...rest] = line.split(/ +/);
    if (word === 'http' && /^[A-Z]+$/.test(first) && second.startsWith('/')) {
      const pattern = compilePattern(second, { hasVerbs, free });
      const places = readPlaces(host, line, rest);
      for (const variable of [...pattern.variables, ...places.query.keys(), ...places.body.keys()]) declared.add(variable);
      http.push({ verb: first, pattern, ...places, method });
    } else if (word === 'grpc' && /^[\w.]+\/\w+$/.test(first)) {
      const fields = new Map([second, ...rest].filter((part) => part !== '').map((part) => readFields(host, line, part)));
      for (const variable of fields.keys()) declared.add(variable);
      if (!grpc.has(`/${first}`)) grpc.set(`/${first}`, { method, fields });
    } else if (word === 'check' && /^[\w.,/]+$/.test(first) && second !== '' && rest.length === 0) {
      for (const permission of first.split(',')) templates.push(compileTemplate({ host, project, permission, text: second }));
    } else throw new Error(fault(host, line));
  }
  const unknown = templates.flatMap(({ variables }) => variables).find((variable) => !declared.has(variable));
  if (unknown !== undefined) throw new Error(`Methods of ${host}: ${name} checks {${unknown}}, which no http or grpc line of it says.`);
  if (templates.length === 0) throw new Error(`Methods of ${host}: ${name} has no check: a call that needs no permission is never passed on.`);
}

function allChecks(templates: readonly ResourceTemplate[], said: SaidNames, isFirst: boolean): { permission: string; resource: string }[] | undefined {
  const checks: { permission: string; resource: string }[] = [];
  for (const template of templates) {
    const resources = template.resources(said, isFirst);
    if (resources === undefined) return undefined;
    for (const resource of resources) checks.push({ permission: template.permission, resource });
  }
  return checks;
}

/** `name=?query`, `name=body.field,other.field`, `only:a,b`. */
function readPlaces(host: string, line: string, parts: readonly string[]): Pick<HttpLine, 'query' | 'body' | 'only'> {
  const query = new Map<string, string>();
  const body = new Map<string, readonly string[]>();
  let only: ReadonlySet<string> | undefined;
  for (const part of parts) {
    const [, name = '', mark, fields = ''] = /^(\w+)=(\??)([\w.,]+)$/.exec(part) ?? [];
    if (part.startsWith('only:')) only = new Set(part.slice('only:'.length).split(','));
    else if (name === '') throw new Error(fault(host, line));
    else if (mark === '?') query.set(name, fields);
    else body.set(name, fields.split(','));
  }
  return { query, body, only };
}

function readFields(host: string, line: string, part: string): [string, readonly (readonly number[])[]] {
  const [, name = '', paths = ''] = /^(\w+)=([\d.,]+)$/.exec(part) ?? [];
  if (name === '') throw new Error(fault(host, line));
  return [name, paths.split(',').map((path) => path.split('.').map(Number))];
}

function fault(host: string, line: string): string {
  return `Methods of ${host}: cannot read ${JSON.stringify(line)}. Write the method's name, and below it, indented, lines such as "http GET /v1/{name=projects/*/things/*}", "grpc google.things.v1.Things/GetThing name=1" and "check things.things.get {name}".`;
}
