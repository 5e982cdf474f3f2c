/**
 * The predefined roles: which permissions each holds, as text files beside this one that a person can review and diff.
 * `catalogue/README.md` describes the format and where the lists come from. There are no wildcards and no inheritance: what a role
 * holds is written in it, so a new permission never widens a role unseen. A file is read, and a role parsed, when first asked about.
 */
import { readdirSync, readFileSync } from 'node:fs';

const STAGES = ['ALPHA', 'BETA', 'GA', 'DEPRECATED'] as const;
type RoleStage = (typeof STAGES)[number];

/** A predefined role. */
export interface Role {
  /** `roles/run.invoker`. */
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly stage: RoleStage;
  /** Every permission that the catalogue lists for it. */
  readonly permissions: ReadonlySet<string>;
  /** True where it holds more than is listed; then only the absence of a permission of one of `certainServices` says anything. */
  readonly partial: boolean;
  /** Services (`run`, `storage`) whose permissions are listed completely; undefined where that is true of all. */
  readonly certainServices: ReadonlySet<string> | undefined;
}

export interface RoleCatalogue {
  /** @param name `roles/run.invoker` */
  role(name: string): Role | undefined;
  /** Whether a role holds a permission. Undefined: not known, for the catalogue lacks the role, or lists it in part and not for this permission's service. */
  has(role: string, permission: string): boolean | undefined;
  /** All roles, by name. */
  roles(): Iterable<Role>;
  /** Names of the roles that are known to hold a permission, in order. */
  rolesWith(permission: string): readonly string[];
}

/** The catalogue's files: by the first word of the roles in them (`run` holds `roles/run.invoker`), and `basic` for the roles without a dot. */
interface RoleFiles {
  readonly names: readonly string[];
  read(name: string): string;
}

const BASIC = 'basic';

/** @throws Error when the folder is missing or empty: the program cannot run without it */
export function loadCatalogue(directory: URL = new URL('catalogue/', import.meta.url)): RoleCatalogue {
  const names = readdirSync(directory)
    .filter((file) => file.endsWith('.txt'))
    .map((file) => file.slice(0, -'.txt'.length));
  if (names.length === 0) throw new Error(`No role catalogue in ${directory.href}`);
  return createCatalogue({ names, read: (name) => readFileSync(new URL(`${name}.txt`, directory), 'latin1') });
}

/** @param files read when a role of theirs is first asked about; malformed text throws an Error there */
export function createCatalogue(files: RoleFiles): RoleCatalogue {
  const names = new Set(files.names);
  const read = new Map<string, ReadonlyMap<string, CatalogueRole>>();
  const find = (role: string): CatalogueRole | undefined => {
    const file = fileOf(role);
    return names.has(file) ? rolesOf(file).get(role) : undefined;
  };
  const rolesOf = (file: string): ReadonlyMap<string, CatalogueRole> => {
    const known = read.get(file);
    if (known !== undefined) return known;
    const roles = parseFile(file, files.read(file));
    read.set(file, roles);
    return roles;
  };
  let sorted: readonly CatalogueRole[] | undefined;
  const all = (): readonly CatalogueRole[] => (sorted ??= files.names.flatMap((file) => [...rolesOf(file).values()]).sort((a, b) => (a.name < b.name ? -1 : 1)));
  return {
    role: find,
    has: (role, permission) => find(role)?.has(permission),
    roles: all,
    rolesWith: (permission) =>
      all()
        .filter((role) => role.has(permission) === true)
        .map((role) => role.name),
  };
}

function fileOf(role: string): string {
  const dot = role.indexOf('.');
  return dot < 0 ? BASIC : role.slice('roles/'.length, dot);
}

/** The service of a permission: `run` of `run.jobs.get`, `iam.googleapis.com` of `iam.googleapis.com/workforcePools.get`. */
function serviceOf(permission: string): string {
  const slash = permission.indexOf('/');
  return slash >= 0 ? permission.slice(0, slash) : permission.slice(0, permission.indexOf('.'));
}

const HEADER = /^(?<id>\S+) (?<word>[A-Z]+) (?<title>.+)$/;

function parseFile(file: string, text: string): ReadonlyMap<string, CatalogueRole> {
  const roles = new Map<string, CatalogueRole>();
  for (const entry of text.split(/^role /m)) {
    if (entry.trim() === '') continue;
    const lineEnd = entry.indexOf('\n') >>> 0;
    const { id = '', word, title = '' } = HEADER.exec(entry.slice(0, lineEnd))?.groups ?? {};
    const name = `roles/${id}`;
    const stage = STAGES.find((one) => one === word);
    if (stage === undefined || fileOf(name) !== file || roles.has(name)) throw new Error(`Role catalogue: ${file}.txt has the role ${JSON.stringify(entry.slice(0, lineEnd))}`);
    roles.set(name, new CatalogueRole(name, stage, title, entry.slice(lineEnd + 1)));
  }
  return roles;
}

/** A role whose lines are parsed when somebody asks: most are never asked about. */
class CatalogueRole implements Role {
  readonly name: string;
  readonly stage: RoleStage;
  readonly title: string;
  #body: string | undefined;
  #description = '';
  #certain: ReadonlySet<string> | undefined;
  #permissions: ReadonlySet<string> = new Set();

  constructor(name: string, stage: RoleStage, title: string, body: string) {
    this.name = name;
    this.stage = stage;
    this.title = title;
    this.#body = body;
  }
  get description(): string {
    this.#parse();
    return this.#description;
  }
  get permissions(): ReadonlySet<string> {
    this.#parse();
    return this.#permissions;
  }
  get certainServices(): ReadonlySet<string> | undefined {
    this.#parse();
    return this.#certain;
  }
  get partial(): boolean {
    return this.certainServices !== undefined;
  }
  has(permission: string): boolean | undefined {
    if (this.#body !== undefined) this.#parse();
    if (this.#permissions.has(permission)) return true;
    return this.#certain === undefined || this.#certain.has(serviceOf(permission)) ? false : undefined;
  }
  #parse(): void {
    const body = this.#body;
    if (body === undefined) return;
    const permissions = new Set<string>();
    for (const line of body.split('\n')) {
      if (line === '') continue;
      const colon = line.indexOf(': ');
      if (!line.startsWith('  ') || colon < 0) throw new Error(`Role catalogue: ${this.name} has the line ${JSON.stringify(line)}`);
      const key = line.slice(2, colon);
      const value = line.slice(colon + 2);
      if (key === 'about') this.#description = value;
      else if (key === 'certain') this.#certain = new Set(value.split(' '));
      else for (const verb of value.split(' ')) permissions.add(`${key}.${verb}`);
    }
    this.#permissions = permissions;
    this.#body = undefined;
  }
}
