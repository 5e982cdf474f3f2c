/** Whom the members of policies name when one particular caller asks: it itself, its domain, the groups that it is in by any path, everybody. */
import { ANY_CUSTOMER } from './deny-rule.ts';
import { membersThatName, normalMember } from './member.ts';
import { addToFilter, createMemberFilter, type MemberFilter, type MemberIndex, type MemberNumbers } from './member-index.ts';
import type { PolicySource } from './source.ts';

/** Of long policies that were asked about: the roles that they bind to any of the caller's names. One block of memory, which a decision goes through. */
interface HeldRoles {
  /** Of 32 bits each, for one policy. */
  readonly words: number;
  /** By place: the stamp of the policy, and how many names the caller had; 0 where there is none. */
  readonly stamps: Int32Array;
  readonly names: Int32Array;
  /** By place, then by role number. */
  readonly bits: Int32Array;
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
  /** Made when the first long policy is asked about. */
  held: HeldRoles | undefined;
  /** How many numbers had been given when `numbers` was made. */
  numbered: number;
}

/** A caller is in no more groups; whoever is, is taken to be in the first of them. */
const MAX_GROUPS = 10_000;

/** @param sets further members that name a federated caller @throws what the source throws */
export async function readCaller(source: PolicySource, member: string, sets: readonly string[]): Promise<Caller> {
  const own = membersThatName(member);
  const [normal] = own;
  if (normal === undefined) return { member, forms: [], names: new Set(), paths: new Map(), numbers: [], filter: createMemberFilter(), held: undefined, numbered: 0 };
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
  return { member: normal, forms, names: new Set(forms), paths, numbers: [], filter: createMemberFilter(), held: undefined, numbered: 0 };
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
 * Whether a policy binds one of some roles to the caller, whatever the condition.
 * @param place of what carries the policy: the same as long as it is known, and near to those of its ancestors
 * @param policy with its index labelled with role numbers
 * @param roles bits by role number
 */
export function holdsAny(caller: Caller, place: number, policy: { readonly stamp: number; readonly index: MemberIndex }, roles: Uint32Array): boolean {
  const { index, stamp } = policy;
  const words = index.labelWords;
  let { held } = caller;
  if (held === undefined || held.words < words) {
    held = { words, stamps: new Int32Array(HELD_PLACES), names: new Int32Array(HELD_PLACES), bits: new Int32Array(HELD_PLACES * words) };
    caller.held = held;
  }
  const slot = place % HELD_PLACES;
  const { bits } = held;
  const begin = slot * held.words;
  // A caller's names are only ever added to, so their number tells whether it has them all.
  if (held.stamps[slot] !== stamp || held.names[slot] !== caller.numbers.length) {
    held.stamps[slot] = stamp;
    held.names[slot] = caller.numbers.length;
    gather(caller, index, bits, begin);
  }
  for (let word = 0; word < words; word++) if (((bits[begin + word] ?? 0) & (roles[word] ?? 0)) !== 0) return true;
  return false;
}

function gather(caller: Caller, index: MemberIndex, bits: Int32Array, begin: number): void {
  bits.fill(0, begin, begin + index.labelWords);
  for (const number of caller.numbers) {
    let at = index.find(number);
    if (at < 0) continue;
    for (; (index.items[at] ?? -1) >= 0; at++) {
      const role = index.labels[at] ?? 0;
      const word = begin + (role >>> 5);
      bits[word] = (bits[word] ?? 0) | (1 << (role & 31));
    }
  }
}
