/**
 * What the policies of a chain of nodes come to, for one constraint and one resource. Pure: everything that is read is handed in.
 * Boolean: the nearest policy decides alone. List: what is inherited is united with what is set, and a denied value beats an allowed one.
 * Source: google/cloud/orgpolicy/v2/orgpolicy.proto; https://docs.cloud.google.com/organization-policy/hierarchy-evaluation
 */
import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { type PolicySpec, type PolicySpec_PolicyRule, PolicySpecSchema } from '../gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { parseTagCondition, TagConditionError } from './org-policy-tags.ts';
import { parseValue } from './org-policy-values.ts';
import type { Tag } from './tag.ts';

/** What a boolean constraint, a managed or a custom one among them, comes to. */
export interface Enforcement {
  readonly enforced: boolean;
  /** Of the rule that decided; of managed constraints alone. */
  readonly parameters: JsonObject;
}

/** A list constraint's values where it is asked about. A denied value beats an allowed one; with `all` set, what it says holds for every value that is not denied. */
export interface ConstraintValues {
  /** `deny`: no value may be used. `allow`: every one but those denied. Undefined: those allowed (where there are some), less those denied. */
  readonly all: 'allow' | 'deny' | undefined;
  /** As in the policies, without the prefix `is:`. */
  readonly allowed: ReadonlySet<string>;
  readonly denied: ReadonlySet<string>;
}

/**
 * @param specs of the nodes that have one, nearest first @param fallback whether it is enforced where no policy says so
 * @param tags of the resource, its own and those it inherits
 */
export function enforcementOf(specs: readonly PolicySpec[], fallback: boolean, tags: readonly Tag[]): Enforcement {
  const [nearest] = specs;
  const rule = nearest === undefined || nearest.reset ? undefined : (nearest.rules.find((one) => isMet(one, tags)) ?? nearest.rules.find((one) => one.condition === undefined));
  return { enforced: rule?.kind.case === 'enforce' ? rule.kind.value : fallback, parameters: rule?.parameters ?? {} };
}

/** @param isDenied whether every value is denied where no policy says otherwise */
export function valuesOf(specs: readonly PolicySpec[], isDenied: boolean, tags: readonly Tag[]): ConstraintValues {
  const merged = { allowAll: false, denyAll: false, allowed: new Set<string>(), denied: new Set<string>() };
  let isDecided = false;
  for (const spec of specs) {
    if (spec.reset) {
      // The default, in place of everything above; what nearer policies set is united with it.
      if (isDenied) merged.denyAll ||= !isDecided;
      else merged.allowAll ||= !isDecided;
      isDecided = true;
      break;
    }
    const rules = rulesInForce(spec, tags);
    isDecided ||= rules.length > 0;
    for (const rule of rules) addRule(merged, rule);
    if (!spec.inheritFromParent) break;
  }
  const { allowed, denied } = merged;
  if (merged.denyAll) return { all: 'deny', allowed: new Set(), denied: new Set() };
  if (merged.allowAll) return { all: 'allow', allowed: new Set(), denied };
  if (!isDecided) return { all: isDenied ? 'deny' : 'allow', allowed, denied };
  // Values that are denied, and none that are allowed: all others are.
  return { all: allowed.size === 0 ? 'allow' : undefined, allowed, denied };
}

function addRule(merged: { allowAll: boolean; denyAll: boolean; allowed: Set<string>; denied: Set<string> }, { kind }: PolicySpec_PolicyRule): void {
  if (kind.case === 'allowAll') merged.allowAll ||= kind.value;
  if (kind.case === 'denyAll') merged.denyAll ||= kind.value;
  if (kind.case !== 'values') return;
  for (const value of kind.value.allowedValues) merged.allowed.add(bare(value));
  for (const value of kind.value.deniedValues) merged.denied.add(bare(value));
}

/** A condition that is met and says something of all values goes before the rules that have none: it is an exemption, or a ban, for what has the tag. */
function rulesInForce(spec: PolicySpec, tags: readonly Tag[]): PolicySpec_PolicyRule[] {
  const met = spec.rules.filter((rule) => isMet(rule, tags));
  if (met.some(({ kind }) => kind.case === 'denyAll' || kind.case === 'allowAll')) return met;
  return [...met, ...spec.rules.filter((rule) => rule.condition === undefined)];
}

/** A condition that cannot be read, which none that was checked is, is not met. */
function isMet(rule: PolicySpec_PolicyRule, tags: readonly Tag[]): boolean {
  if (rule.condition === undefined) return false;
  try {
    return parseTagCondition(rule.condition.expression)(tags);
  } catch (error) {
    if (error instanceof TagConditionError) return false;
    throw error;
  }
}

function bare(value: string): string {
  const { kind, text } = parseValue(value);
  return kind === 'is' ? text : value;
}

/** The rules that an effective policy shows. A boolean policy's conditions stay: they look at what lies below the node. */
export function effectiveSpec(kind: 'boolean' | 'list', specs: readonly PolicySpec[], isDenied: boolean, tags: readonly Tag[]): PolicySpec {
  if (kind === 'boolean') {
    const [nearest] = specs;
    const rules = nearest === undefined || nearest.reset ? [] : nearest.rules;
    return create(PolicySpecSchema, { rules: rules.length > 0 ? rules : [{ kind: { case: 'enforce', value: isDenied } }] });
  }
  const { all, allowed, denied } = valuesOf(specs, isDenied, tags);
  const rules: MessageInitShape<typeof PolicySpecSchema>['rules'] =
    all === 'deny'
      ? [{ kind: { case: 'denyAll', value: true } }]
      : all === 'allow' && denied.size === 0
        ? [{ kind: { case: 'allowAll', value: true } }]
        : [{ kind: { case: 'values', value: { allowedValues: [...allowed], deniedValues: [...denied] } } }];
  return create(PolicySpecSchema, { rules });
}
