/** Roles as bit sets: which permissions each holds, from the catalogue, or from a stored role in its place. */
import type { RoleCatalogue } from './catalogue.ts';
import type { StoredRole } from './source.ts';

/** A role, made ready for decisions. */
export interface CompiledRole {
  readonly name: string;
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
}

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
  return {
    permissionNumber: (permission) => numbers.get(permission) ?? -1,
    compile(name, stored) {
      if (stored !== undefined) return { name, bits: bitsOf(stored.active ? stored.permissions : []), uncertain: undefined };
      const role = catalogue.role(name);
      if (role === undefined) return { name, bits: bitsOf([]), uncertain: () => undefined };
      return { name, bits: bitsOf(role.permissions), uncertain: role.partial ? (permission) => catalogue.has(name, permission) : undefined };
    },
  };
}

/** Whether a role holds a permission; undefined where that is not known. @param number of the permission, from the same RoleSet */
export function roleHolds(role: CompiledRole, permission: string, number: number): boolean | undefined {
  if (number >= 0 && ((role.bits[number >>> 5] ?? 0) & (1 << (number & 31))) !== 0) return true;
  return role.uncertain === undefined ? false : role.uncertain(permission);
}
