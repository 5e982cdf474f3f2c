/** Roles as bit sets: which permissions each holds, from the catalogue, or from a stored role in its place. */
import type { RoleCatalogue } from './catalogue.ts';
import type { StoredRole } from './source.ts';

/** A role, made ready for decisions. */
export interface CompiledRole {
  readonly name: string;
  /** Its place among the roles of the set. */
  readonly number: number;
  /** A bit for each permission number. */
  readonly bits: Uint32Array;
  /** Where not everything that it holds is known, asked for a permission that is not among its bits: false, or undefined for not known. */
  readonly uncertain: ((permission: string) => boolean | undefined) | undefined;
}

export interface RoleSet {
  /** @param stored what the source has under this name: it goes before the catalogue */
  compile(name: string, stored: StoredRole | undefined): CompiledRole;
  /** -1: no role that was compiled holds it. */
  permissionNumber(permission: string): number;
  /** A bit for each role number: set where the role holds the permission, or may hold it. */
  candidates(permission: string): Uint32Array;
}

/** About as many permissions as there are: others are worked out each time. */
const MAX_PERMISSIONS = 20_000;
/** Longer ones exist nowhere, and are not kept: whoever asks chooses them. */
export const MAX_PERMISSION = 256;

export function createRoleSet(catalogue: RoleCatalogue): RoleSet {
  const numbers = new Map<string, number>();
  const bitsOf = (permissions: Iterable<string>): Uint32Array => {
    const held: number[] = [];
    for (const permission of permissions) {
      const known = numbers.get(permission);
      const number = known ?? numbers.size;
      if (known === undefined) numbers.set(permission, number);
      held.push(number);
    }
    const bits = new Uint32Array(((held.reduce((most, one) => Math.max(most, one), -1) + 32) / 32) >>> 0);
    for (const number of held) bits[number >>> 5] = (bits[number >>> 5] ?? 0) | (1 << (number & 31));
    return bits;
  };
  const roles: CompiledRole[] = [];
  /** By permission, for the roles that there were. */
  let candidates = new Map<string, Uint32Array>();
  const bodyOf = (name: string, stored: StoredRole | undefined): Pick<CompiledRole, 'bits' | 'uncertain'> => {
    if (stored !== undefined) return { bits: bitsOf(stored.active ? stored.permissions : []), uncertain: undefined };
    const role = catalogue.role(name);
    if (role === undefined) return { bits: bitsOf([]), uncertain: () => undefined };
    return { bits: bitsOf(role.permissions), uncertain: role.partial ? (permission) => catalogue.has(name, permission) : undefined };
  };
  return {
    permissionNumber: (permission) => numbers.get(permission) ?? -1,
    candidates(permission) {
      const known = candidates.get(permission);
      if (known !== undefined) return known;
      const number = numbers.get(permission) ?? -1;
      const bits = new Uint32Array((roles.length + 31) >>> 5);
      for (const role of roles) if (roleHolds(role, permission, number) !== false) bits[role.number >>> 5] = (bits[role.number >>> 5] ?? 0) | (1 << (role.number & 31));
      if (candidates.size >= MAX_PERMISSIONS) candidates = new Map();
      if (permission.length <= MAX_PERMISSION) candidates.set(permission, bits);
      return bits;
    },
    compile(name, stored) {
      const role = { name, number: roles.length, ...bodyOf(name, stored) };
      roles.push(role);
      candidates = new Map();
      return role;
    },
  };
}

/** How many permissions roles of one set hold together, as far as they are known. */
export function countPermissions(roles: readonly CompiledRole[]): number {
  let count = 0;
  for (let word = Math.max(0, ...roles.map(({ bits }) => bits.length)) - 1; word >= 0; word--)
    for (let left = roles.reduce((all, { bits }) => all | (bits[word] ?? 0), 0); left !== 0; left &= left - 1) count++;
  return count;
}

/** Whether a role holds a permission; undefined where that is not known. @param number of the permission, from the same RoleSet */
export function roleHolds(role: CompiledRole, permission: string, number: number): boolean | undefined {
  if (number >= 0 && ((role.bits[number >>> 5] ?? 0) & (1 << (number & 31))) !== 0) return true;
  return role.uncertain === undefined ? false : role.uncertain(permission);
}
