/**
 * Who gains or loses what between two states. A gain is told where it begins: what a principal gains on a project is not told again of everything in it.
 * Members of a group are told one by one, as far as the states know them.
 */
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { membersThatName, normalMember } from '../policy/member.ts';
import { type PolicyState, parentOf, resourcesOf, type StateBinding } from './state.ts';

/** One binding by which something is held, and the way from the principal to its member. */
export interface Way {
  readonly role: string;
  readonly resource: string;
  readonly path: readonly string[];
  readonly condition: string | undefined;
}

/** What one principal gains, or loses, on one resource and all below it. */
export interface Difference {
  readonly principal: string;
  readonly resource: string;
  /** Those that let it act as a service account or change who may do what come first. */
  readonly permissions: readonly string[];
  /** `act`: to act as a service account. `grant`: to change policies, roles and what restricts them. */
  readonly kind: 'act' | 'grant' | 'other';
  /** Whether it is to change policies as well, where it is to act. */
  readonly grants: boolean;
  /** Where it is to act: the known service accounts that this is new for. */
  readonly accounts: readonly string[];
  readonly ways: readonly Way[];
  /** Whether it holds under a condition alone. */
  readonly conditional: boolean;
}

export interface Comparison {
  readonly gains: readonly Difference[];
  readonly losses: readonly Difference[];
  /** Roles that are bound, and of which it is not known what they hold: compared by their name. */
  readonly unknownRoles: readonly string[];
}

const ACTS = /^iam\.(?:serviceAccounts\.(?:actAs|getAccessToken|getOpenIdToken|implicitDelegation|signBlob|signJwt)|serviceAccountKeys\.create)$/;
const GRANTS =
  /\.setIamPolicy$|^iam\.(?:roles|denypolicies)\.(?:create|update|delete|undelete)$|^orgpolicy\.policy\.set$|^orgpolicy\.policies\.(?:create|update|delete)$|^actas\.groups\.(?:create|update|delete)$/;

export function compareStates(before: PolicyState, after: PolicyState, catalogue: RoleCatalogue): Comparison {
  const unknownRoles = new Set<string>();
  const [a, b] = [new Holdings(before, catalogue, unknownRoles), new Holdings(after, catalogue, unknownRoles)];
  return { gains: differences(a, b), losses: differences(b, a), unknownRoles: [...unknownRoles].sort() };
}

/** By permission the conditions under which it is held; `''`: none. */
type Held = ReadonlyMap<string, ReadonlySet<string>>;
const NOTHING: Held = new Map();

function append<V>(lists: Map<string, V[]>, key: string, value: V): void {
  const list = lists.get(key);
  if (list === undefined) lists.set(key, [value]);
  else list.push(value);
}

/** What everybody holds in one state. */
class Holdings {
  readonly state: PolicyState;
  readonly #catalogue: RoleCatalogue;
  readonly #unknown: Set<string>;
  readonly #names = new Map<string, ReadonlyMap<string, readonly string[]>>();
  readonly #held = new Map<string, Held>();
  readonly #groupsOf = new Map<string, string[]>();
  readonly #indexes = new Map<string, ReadonlyMap<string, readonly StateBinding[]>>();

  constructor(state: PolicyState, catalogue: RoleCatalogue, unknown: Set<string>) {
    this.state = state;
    this.#catalogue = catalogue;
    this.#unknown = unknown;
    for (const [group, members] of state.groups) for (const member of members) append(this.#groupsOf, normalMember(member), group);
  }

  /** Everybody whom a policy names, members of known groups in their place. */
  principals(): ReadonlySet<string> {
    const found = new Set<string>();
    const seen = new Set<string>();
    const add = (raw: string): void => {
      const member = normalMember(raw);
      if (seen.has(member) || member.startsWith('deleted:')) return;
      seen.add(member);
      const inside = this.state.groups.get(member) ?? [];
      if (inside.length === 0) found.add(member);
      for (const one of inside) add(one);
    };
    for (const bindings of this.state.policies.values()) for (const { members } of bindings) for (const member of members) add(member);
    return found;
  }

  /** Members that name a principal, each with the way to it. */
  names(principal: string): ReadonlyMap<string, readonly string[]> {
    const known = this.#names.get(principal);
    if (known !== undefined) return known;
    const own = membersThatName(principal);
    const names = new Map<string, readonly string[]>((own.length === 0 ? [principal] : own).map((name) => [name, name === principal ? [principal] : [principal, name]]));
    const queue = [principal];
    for (let next = queue.shift(); next !== undefined; next = queue.shift())
      for (const group of this.#groupsOf.get(next) ?? []) {
        if (names.has(group)) continue;
        names.set(group, [...(names.get(next) ?? []), group]);
        queue.push(group);
      }
    this.#names.set(principal, names);
    return names;
  }

  /** The bindings of one resource's own policy that name a principal. */
  direct(principal: string, resource: string): readonly { readonly binding: StateBinding; readonly path: readonly string[] }[] {
    const index = this.#bindings(resource);
    if (index.size === 0) return [];
    const found = new Map<StateBinding, readonly string[]>();
    for (const [name, path] of this.names(principal)) for (const binding of index.get(name) ?? []) if (!found.has(binding)) found.set(binding, path);
    return [...found].map(([binding, path]) => ({ binding, path }));
  }

  /** By member, in normal form. */
  #bindings(resource: string): ReadonlyMap<string, readonly StateBinding[]> {
    const known = this.#indexes.get(resource);
    if (known !== undefined) return known;
    const index = new Map<string, StateBinding[]>();
    for (const binding of this.state.policies.get(resource) ?? []) for (const member of binding.members) append(index, normalMember(member), binding);
    this.#indexes.set(resource, index);
    return index;
  }

  /** A policy, what its custom roles hold, and where the resource is: the same in the two states where nothing of these changes. */
  policySignature(resource: string): string {
    const bindings = this.state.policies.get(resource) ?? [];
    const roles = new Set(bindings.map(({ role }) => role));
    return JSON.stringify([parentOf(this.state, resource), bindings, [...roles].map((role) => this.state.roles.get(role))]);
  }

  /** The same in the two states exactly where nothing changes for the principal by this resource's own policy, or by where the resource is. */
  signature(principal: string, resource: string): string {
    const own = this.direct(principal, resource).map(
      ({ binding: { role, condition } }) =>
        `${role} ${condition?.expression ?? ''} ${[...(this.state.roles.get(role)?.permissions ?? [])].sort().join()} ${this.state.roles.get(role)?.active}`,
    );
    return `${parentOf(this.state, resource)}\n${own.sort().join('\n')}`;
  }

  held(principal: string, resource: string | undefined, depth = 0): Held {
    if (resource === undefined || depth > MAX_DEPTH) return NOTHING;
    const key = `${principal}\n${resource}`;
    const known = this.#held.get(key);
    if (known !== undefined) return known;
    const own = this.direct(principal, resource);
    const above = this.held(principal, parentOf(this.state, resource), depth + 1);
    const held = own.length === 0 ? above : new Map([...above].map(([permission, conditions]) => [permission, new Set(conditions)]));
    if (held instanceof Map && own.length > 0)
      for (const { binding } of own)
        for (const permission of this.permissionsOf(binding.role)) held.set(permission, new Set([...(held.get(permission) ?? []), binding.condition?.expression ?? '']));
    this.#held.set(key, held);
    return held;
  }

  permissionsOf(role: string): readonly string[] {
    const custom = this.state.roles.get(role);
    if (custom !== undefined) return custom.active ? custom.permissions : [];
    const known = this.#catalogue.role(role);
    if (known === undefined) this.#unknown.add(role);
    return known === undefined ? [`(what ${role} holds)`] : [...known.permissions];
  }

  /** The bindings by which any of some permissions are held. */
  ways(principal: string, resource: string, permissions: ReadonlySet<string>): Way[] {
    const ways: Way[] = [];
    let at: string | undefined = resource;
    for (let depth = 0; at !== undefined && depth <= MAX_DEPTH; depth++) {
      for (const { binding, path } of this.direct(principal, at))
        if (this.permissionsOf(binding.role).some((permission) => permissions.has(permission)))
          ways.push({ role: binding.role, resource: at, path, condition: binding.condition?.title });
      at = parentOf(this.state, at);
    }
    return ways;
  }
}

/** A project, ten levels of folders, an organization; more is a circle. */
const MAX_DEPTH = 64;

function differences(from: Holdings, to: Holdings): Difference[] {
  const principals = [...new Set([...from.principals(), ...to.principals()])].sort();
  const resources = [...new Set([from, to].flatMap(({ state }) => resourcesOf(state)))].sort();
  const changed = resources.filter((resource) => from.policySignature(resource) !== to.policySignature(resource));
  const found: Difference[] = [];
  for (const principal of principals) {
    const isElsewhere = [...from.names(principal).keys()].sort().join() !== [...to.names(principal).keys()].sort().join();
    const wider = [...to.names(principal).keys()].filter((name) => name !== principal && !name.startsWith('group:'));
    // Most people and most policies stay as they are, and are not looked at.
    for (const resource of isElsewhere ? resources : changed) {
      if (from.signature(principal, resource) === to.signature(principal, resource)) continue;
      const gained = gainedOn(from, to, principal, resource);
      if (gained.size === 0) continue;
      const parent = parentOf(to.state, resource);
      for (const other of [gainedOn(from, to, principal, parent), ...wider.map((name) => gainedOn(from, to, name, resource))])
        for (const permission of other) gained.delete(permission);
      if (gained.size > 0) found.push(describe(from, to, principal, resource, gained));
    }
  }
  return found.sort((a, b) => RANKS[a.kind] - RANKS[b.kind]);
}

const RANKS = { act: 0, grant: 1, other: 2 } as const;

/** Held without a condition where it was held under one alone, or under a condition that was none before, is gained too. */
function gainedOn(from: Holdings, to: Holdings, principal: string, resource: string | undefined): Set<string> {
  const [before, after] = [from.held(principal, resource), to.held(principal, resource)];
  const gained = new Set<string>();
  for (const [permission, conditions] of after) {
    const had = before.get(permission);
    if (had === undefined || (!had.has('') && [...conditions].some((condition) => !had.has(condition)))) gained.add(permission);
  }
  return gained;
}

function describe(from: Holdings, to: Holdings, principal: string, resource: string, gained: ReadonlySet<string>): Difference {
  const rank = (permission: string): number => (ACTS.test(permission) ? 0 : GRANTS.test(permission) ? 1 : 2);
  const permissions = [...gained].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  const kind = (['act', 'grant', 'other'] as const)[rank(permissions[0] ?? '')] ?? 'other';
  const after = to.held(principal, resource);
  return {
    principal,
    resource,
    permissions,
    kind,
    grants: permissions.some((permission) => GRANTS.test(permission)),
    accounts: kind === 'act' ? accountsGained(from, to, principal, resource) : [],
    ways: to.ways(principal, resource, gained),
    conditional: permissions.every((permission) => after.get(permission)?.has('') !== true),
  };
}

/** The known service accounts on and below a resource that the principal can newly act as. */
function accountsGained(from: Holdings, to: Holdings, principal: string, resource: string): string[] {
  const named = [...to.state.policies.keys()].filter((name) => name.includes('/serviceAccounts/'));
  const accounts = [...new Set([...to.state.accounts, ...from.state.accounts, ...named, resource])].filter((name) => name.includes('/serviceAccounts/'));
  return accounts
    .filter((account) => isBelow(to.state, account, resource) && [...gainedOn(from, to, principal, account)].some((permission) => ACTS.test(permission)))
    .map((account) => account.slice(account.lastIndexOf('/') + 1))
    .sort();
}

function isBelow(state: PolicyState, resource: string, above: string): boolean {
  let at: string | undefined = resource;
  for (let depth = 0; at !== undefined && depth <= MAX_DEPTH; depth++) {
    if (at === above) return true;
    at = parentOf(state, at);
  }
  return false;
}
