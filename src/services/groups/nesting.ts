/** Groups in groups: who is in one through others, and that none is in itself. */
import type { Db } from '../../store/database.ts';
import { listGroupMembers, listMemberGroups } from '../../store/groups.ts';

/** @returns the way down from one group to another, both included; undefined where there is none */
export async function findNesting(db: Db, from: string, to: string): Promise<string[] | undefined> {
  const cameFrom = new Map<string, string | undefined>([[from, undefined]]);
  const queue = [from];
  for (let group = queue.shift(); group !== undefined; group = queue.shift()) {
    if (group === to) return wayTo(group, cameFrom);
    for (const next of await listMemberGroups(db, group)) {
      if (cameFrom.has(next)) continue;
      cameFrom.set(next, group);
      queue.push(next);
    }
  }
  return undefined;
}

function wayTo(group: string, cameFrom: ReadonlyMap<string, string | undefined>): string[] {
  const way: string[] = [];
  for (let at: string | undefined = group; at !== undefined; at = cameFrom.get(at)) way.unshift(at);
  return way;
}

/** A group that holds itself, through others or not. @returns the way around, beginning and ending with it; undefined where there is none */
export async function findLoop(db: Db, group: string): Promise<string[] | undefined> {
  for (const member of await listMemberGroups(db, group)) {
    const way = await findNesting(db, member, group);
    if (way !== undefined) return [group, ...way];
  }
  return undefined;
}

/** Everybody in the group, through other groups too, and those groups; in order. */
export async function listTransitiveMembers(db: Db, group: string): Promise<string[]> {
  const seen = new Set<string>();
  const queue = [group];
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    for (const member of await listGroupMembers(db, next)) {
      if (seen.has(member)) continue;
      seen.add(member);
      if (member.startsWith('group:')) queue.push(member.slice('group:'.length));
    }
  }
  return [...seen].sort();
}
