/** Custom constraints of an organization, where policies enforce them: conditions on the fields of what is created or changed. */
import { orgPolicyViolation } from '../errors.ts';
import { type CustomConstraint, CustomConstraint_ActionType, CustomConstraint_MethodType } from '../gen/google/cloud/orgpolicy/v2/constraint_pb.js';
import { BoundedMap } from './bounded-map.ts';
import { CelFailure, type CelMap } from './cel/value.ts';
import { type ConstraintContext, compileConstraint } from './dialects.ts';
import type { Asker, OrgPolicyEngine } from './org-policy.ts';

type Program = ReturnType<typeof compileConstraint>;

export interface ResourceChange {
  /** `run.googleapis.com/Job`. */
  readonly type: string;
  readonly method: 'CREATE' | 'UPDATE';
  /** Full name; the policies of its project and what is above are asked. */
  readonly resource: string;
  /** As the error names it. */
  readonly shown: string;
  /** Asked only where a constraint looks at them. */
  fields(): CelMap | Promise<CelMap>;
}

const MAX_LENGTH = 1000;
/** Steps of loops and calls in one evaluation: enough for every container of a job against every other, and ended within milliseconds. */
const BUDGET = 50_000;
const MAX_PROGRAMS = 1000;

/** @returns what is wrong with the condition, as a sentence without a subject; undefined where nothing is */
export function checkConstraintCondition(condition: string): string | undefined {
  if (condition.trim() === '') return 'must be set, for example: resource.spec.template.spec.taskCount > 10';
  if (condition.length > MAX_LENGTH) return `has ${condition.length} characters, and may have at most ${MAX_LENGTH}.`;
  const program = compileConstraint(condition);
  return 'evaluate' in program ? undefined : `is not valid: ${program.message}.`;
}

/** @returns throws FAILED_PRECONDITION where constraints that are enforced refuse the change; what those in dry run would refuse is reported */
export function createCustomChecks(engine: OrgPolicyEngine): (change: ResourceChange, asker: Asker) => Promise<void> {
  const programs = new BoundedMap<Program>(MAX_PROGRAMS);
  const programOf = (condition: string): Program => {
    const known = programs.get(condition);
    if (known !== undefined) return known;
    const made = compileConstraint(condition);
    programs.set(condition, made);
    return made;
  };
  return async (change, asker) => {
    const { type, resource, shown } = change;
    const method = CustomConstraint_MethodType[change.method];
    const constraints = (await engine.customConstraints(resource)).filter(({ resourceTypes, methodTypes }) => resourceTypes.includes(type) && methodTypes.includes(method));
    if (constraints.length === 0) return;
    const violated: { constraint: string; description: string }[] = [];
    let fields: CelMap | undefined;
    for (const constraint of constraints) {
      const id = constraint.name.slice(constraint.name.lastIndexOf('/') + 1);
      const { live, dryRun } = await engine.enforcement(id, resource);
      if (!live.enforced && dryRun?.enforced !== true) continue;
      fields ??= await change.fields();
      const fault = judge(constraint, programOf(constraint.condition), { resource: fields });
      if (fault === undefined) continue;
      if (live.enforced) violated.push({ constraint: id, description: fault });
      else if (asker.onlyAsks !== true) engine.report({ constraint: id, resource, value: undefined, member: asker.member });
    }
    if (violated.length > 0) throw orgPolicyViolation(shown, violated);
  };
}

/**
 * Deviation: a condition that cannot be evaluated (a label that is missing, more steps than are allowed) refuses the change, whether the constraint
 * allows or denies, and the error says why. What Google does then is not documented.
 * @returns what the constraint says about itself, where it refuses
 */
function judge(constraint: CustomConstraint, program: Program, context: ConstraintContext): string | undefined {
  const text = constraint.description || constraint.displayName;
  const result = 'evaluate' in program ? program.evaluate(context, BUDGET) : new CelFailure(program.message);
  if (result instanceof CelFailure) return `${text === '' ? '' : `${text} `}(The condition could not be evaluated: ${result.message}.)`;
  const isRefused = constraint.actionType === CustomConstraint_ActionType.DENY ? result === true : result !== true;
  return isRefused ? text : undefined;
}
