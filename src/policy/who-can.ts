/** The question turned round: everybody who holds a permission on a resource, and by which binding. */
import { bindingHolds } from './compiled-policy.ts';
import type { ConditionContext } from './condition.ts';
import type { Decision, Question } from './decision.ts';
import { explainCondition } from './explain.ts';
import type { Holder, WhoCan } from './explanation.ts';
import { normalMember } from './member.ts';
import type { Chain } from './policy-graph.ts';
import { roleHolds } from './role-set.ts';
import type { PolicySource } from './source.ts';

/** More members than this are left out of a group. */
const MAX_MEMBERS = 10_000;

export interface WhoCanOptions {
  readonly source: PolicySource;
  readonly chain: Chain;
  readonly context: ConditionContext;
  readonly permission: string;
  readonly permissionNumber: number;
  readonly decide: (question: Pick<Question, 'member'>) => Decision | Promise<Decision>;
}

/** @throws what the source throws */
export async function listHolders(options: WhoCanOptions): Promise<WhoCan> {
  const { source, chain, context, permission, permissionNumber, decide } = options;
  if (chain.broken) return { outcome: 'unreachable', holders: [], unevaluatedRoles: [] };
  const by = new Map<string, Holder['by'][number][]>();
  const unevaluatedRoles: { role: string; resource: string }[] = [];
  for (const { allow, resource } of chain.nodes) {
    for (const binding of allow?.bindings ?? []) {
      const holds = roleHolds(binding.role, permission, permissionNumber);
      if (holds === undefined) unevaluatedRoles.push({ role: binding.role.name, resource });
      if (holds !== true) continue;
      const condition = explainCondition(binding.condition, binding.expr, bindingHolds(binding, context), context);
      for (const written of binding.members)
        for (const path of await expand(source, normalMember(written))) {
          const [member = ''] = path;
          by.set(member, [...(by.get(member) ?? []), { role: binding.role.name, resource, path, condition }]);
        }
    }
  }
  const holders: Holder[] = [];
  for (const [member, ways] of by) {
    const isSet = !/^(?:user|serviceAccount|principal):/.test(member);
    const decision = isSet ? undefined : await decide({ member });
    const allowed = decision?.allowed ?? ways.some(({ condition }) => condition === undefined || condition.result === 'true');
    holders.push({ member, isSet, allowed, deniedBy: decision?.deniedBy, by: ways });
  }
  return { outcome: 'known', holders: holders.sort((a, b) => (a.member < b.member ? -1 : 1)), unevaluatedRoles };
}

/** Paths from each who is in a group, however deep, to the member; the member alone where it is no group or an empty one. */
async function expand(source: PolicySource, member: string): Promise<(readonly string[])[]> {
  // A `deleted:` member names nobody.
  if (member.startsWith('deleted:')) return [];
  if (!member.startsWith('group:') || source.membersOf === undefined) return [[member]];
  const found: (readonly string[])[] = [];
  const seen = new Set([member]);
  const queue: (readonly string[])[] = [[member]];
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    for (const raw of await source.membersOf(path[0] ?? '')) {
      const inner = normalMember(raw);
      if (seen.has(inner) || seen.size >= MAX_MEMBERS) continue;
      seen.add(inner);
      (inner.startsWith('group:') ? queue : found).push([inner, ...path]);
    }
  }
  return found.length === 0 ? [[member]] : found;
}
