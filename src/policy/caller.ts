/** Whom the members of policies name when one particular caller asks: it itself, its domain, the groups that it is in by any path, everybody. */
import { ANY_CUSTOMER } from './deny-rule.ts';
import { membersThatName, normalMember } from './member.ts';
import { addToFilter, createMemberFilter, type MemberFilter, type MemberIndex, type MemberNumbers } from './member-index.ts';
import type { PolicySource } from './source.ts';

interface HeldRoles {
  readonly index: MemberIndex;
  /** How many names the caller had. */
  readonly names: number;
  readonly roles: Uint32Array;
}

/** A caller's names, the most particular first. */
export interface Caller {
  readonly member: string;
  /** Every member that names the caller, in normal form. */
  readonly forms: readonly string[];
  /** For a group, the members that lead to it from the caller: `group:inner`, `group:outer`. */
  readonly paths: ReadonlyMap<string, readonly string[]>;
  readonly names: ReadonlySet<string>;
  /** Numbers of those forms that stand in a policy that was read. */
  numbers: number[];
  readonly filter: MemberFilter;
  /** Of long policies that were asked about: the roles that they bind to any of the caller's names, as bits by role number. */
  readonly held: (HeldRoles | undefined)[];
  /** How many numbers had been given when `numbers` was made. */
  numbered: number;
}

/** A caller is in no more groups; whoever is, is taken to be in the first of them. */
const MAX_GROUPS = 10_000;

/** @param sets further members that name a federated caller @throws what the source throws */
export async function readCaller(source: PolicySource, member: string, sets: readonly string[]): Promise<Caller> {
  const own = membersThatName(member);
  const [normal] = own;
  if (normal === undefined) return { member, forms: [], names: new Set(), paths: new Map(), numbers: [], filter: createMemberFilter(), held: [], numbered: 0 };
  const given = sets.map(normalMember);
  const paths = new Map<string, readonly string[]>();
  const queue = [normal, ...given];
  for (const set of given) if (set.startsWith('group:')) paths.set(set, [set]);
  for (let next = queue.shift(); next !== undefined && source.groupsOf !== undefined; next = queue.shift()) {
    if (!canBeInGroups(next)) continue;
    for (const raw of await source.groupsOf(next)) {
      const group = normalMember(raw);
      // What was reached before is not gone through again, so a circle ends.
      if (group === normal || paths.has(group) || paths.size >= MAX_GROUPS) continue;
      paths.set(group, [...(paths.get(next) ?? []), group]);
      queue.push(group);
    }
  }
  const isOfCustomer = normal.startsWith('user:') || normal.startsWith('group:');
  const [first, ...everybody] = own;
  const forms = [...new Set([...(first === undefined ? [] : [first]), ...given, ...paths.keys(), ...everybody, ...(isOfCustomer ? [ANY_CUSTOMER] : [])])];
  return { member: normal, forms, names: new Set(forms), paths, numbers: [], filter: createMemberFilter(), held: [], numbered: 0 };
}

function canBeInGroups(member: string): boolean {
  return /^(?:user|serviceAccount|group|principal):/.test(member);
}

/** The caller's numbers, brought up to date where a policy that was read since has brought new members. */
export function numbersOf(caller: Caller, all: MemberNumbers): readonly number[] {
  const { numbers, names } = caller;
  if (caller.numbered === all.size) return numbers;
  if (all.size - caller.numbered > names.size) {
    // More new members than names: it is quicker to look the names up.
    numbers.length = 0;
    for (const form of caller.forms) {
      const number = all.find(form);
      if (number !== undefined) numbers.push(number);
    }
  } else for (let number = caller.numbered; number < all.size; number++) if (names.has(all.names[number] ?? '')) numbers.push(number);
  for (const number of numbers) addToFilter(caller.filter, number);
  caller.numbered = all.size;
  return numbers;
}

/** A caller keeps the roles of no more policies: each has its place, and goes when another of that place comes. */
const HELD_PLACES = 64;

/**
 * The roles that a policy binds to the caller, whatever their conditions, as bits.
 * @param place of what carries the policy: the same as long as it is known, and near to those of its ancestors
 * @param index of its allow policy, labelled with role numbers
 */
export function rolesHeld(caller: Caller, place: number, index: MemberIndex): Uint32Array {
  const slot = place % HELD_PLACES;
  const known = caller.held[slot];
  // A caller's names are only ever added to, so their number tells whether it has them all.
  if (known !== undefined && known.index === index && known.names === caller.numbers.length) return known.roles;
  const roles = new Uint32Array(index.labelWords);
  for (const number of caller.numbers) {
    let at = index.find(number);
    if (at < 0) continue;
    for (; (index.items[at] ?? -1) >= 0; at++) {
      const role = index.labels[at] ?? 0;
      roles[role >>> 5] = (roles[role >>> 5] ?? 0) | (1 << (role & 31));
    }
  }
  while (caller.held.length <= slot) caller.held.push(undefined);
  caller.held[slot] = { index, names: caller.numbers.length, roles };
  return roles;
}
