/** Who holds a permission, as far as the caller may see. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { HolderSchema, ListHoldersResponseSchema } from '../../gen/actas/v1/explain_pb.js';
import type { Explanation, Holder, WhoCan } from '../../policy/explanation.ts';
import { type AllowState, showExplanation, type Visibility } from '../visible-explanation.ts';
import { ACCESS, toCondition } from './explanation.ts';

type Way = Holder['by'][number];

/** @param about the explanation of anybody's access to the same resource: what of its policies may be read */
export async function showHolders(found: WhoCan, about: Explanation, visibility: Visibility): Promise<MessageInitShape<typeof ListHoldersResponseSchema>> {
  const shown = await showExplanation(about, visibility);
  const readable = new Set(shown.resources.filter(({ allow }) => allow !== undefined).map(({ resource }) => resource));
  const holders = new Map<string, { readonly holder: Holder; readonly isWhole: boolean; readonly ways: Way[] }>();
  const unevaluated = found.unevaluatedRoles.filter(({ resource }) => readable.has(resource));
  for (const holder of found.holders) {
    for (const way of holder.by) {
      if (!readable.has(way.resource)) continue;
      if (!(await visibility.role(way.role))) {
        if (!unevaluated.some(({ role, resource }) => role === way.role && resource === way.resource)) unevaluated.push({ role: way.role, resource: way.resource });
        continue;
      }
      const path = await readablePath(way.path, visibility);
      const member = path[0] ?? holder.member;
      const known = holders.get(member) ?? { holder, isWhole: member === holder.member, ways: [] };
      // Members of one group that may not be read are one.
      if (!known.ways.some(({ role, resource, condition }) => role === way.role && resource === way.resource && condition === way.condition) || known.isWhole)
        known.ways.push({ ...way, path });
      holders.set(member, known);
    }
  }
  const all = [...holders].sort(([a], [b]) => (a < b ? -1 : 1));
  return {
    holders: all.map(([member, { holder, isWhole, ways }]) => toHolder(member, { holder, isWhole, ways }, shown.hidden)),
    allowPoliciesHidden: shown.hidden.allow,
    denyPoliciesHidden: shown.hidden.deny,
    unevaluatedRoles: unevaluated.map(({ role, resource }) => ({ role, fullResourceName: resource })),
  };
}

/** From the last group that may not be read on: who is in it is not told. */
async function readablePath(path: readonly string[], visibility: Visibility): Promise<readonly string[]> {
  let from = 0;
  for (const [at, member] of path.entries()) if (at > 0 && member.startsWith('group:') && !(await visibility.group(member))) from = at;
  return path.slice(from);
}

function toHolder(
  member: string,
  { holder, isWhole, ways }: { readonly holder: Holder; readonly isWhole: boolean; readonly ways: readonly Way[] },
  hidden: { readonly allow: boolean; readonly deny: boolean },
): MessageInitShape<typeof HolderSchema> {
  const holds = ways.some(({ condition }) => condition === undefined || condition.result === 'true');
  const isSet = !isWhole || holder.isSet;
  return {
    member,
    isSet,
    access: ACCESS[stateOf({ holds, isSet, isDenied: holder.deniedBy !== undefined }, hidden)],
    deniedBy: hidden.deny || isSet ? '' : (holder.deniedBy?.policy ?? ''),
    ways: ways.map(({ role, resource, path, condition }) => ({ role, fullResourceName: resource, path: [...path], ...toCondition(condition) })),
  };
}

function stateOf(
  holder: { readonly holds: boolean; readonly isSet: boolean; readonly isDenied: boolean },
  hidden: { readonly allow: boolean; readonly deny: boolean },
): AllowState {
  if (hidden.deny) return 'UNKNOWN_INFO';
  if (holder.isDenied && !holder.isSet) return 'NOT_GRANTED';
  return holder.holds ? 'GRANTED' : hidden.allow ? 'UNKNOWN_INFO' : 'NOT_GRANTED';
}
