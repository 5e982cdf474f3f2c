/** Conditions of executions and tasks: one of each type, in the order in which Cloud Run lists them, with the time of the last change of state. */
import { create } from '@bufbuild/protobuf';
import { type Condition, type Condition_Severity, type Condition_State, ConditionSchema } from '../gen/google/cloud/run/v2/condition_pb.js';
import { type Micros, toTimestamp } from '../timestamp.ts';

const ORDER = ['Completed', 'ResourcesAvailable', 'Started', 'ContainerReady', 'Retry'];

export interface ConditionChange {
  readonly type: string;
  readonly state: Condition_State;
  readonly message?: string;
  readonly severity?: Condition_Severity;
  readonly reasons?: Condition['reasons'];
}

/** Adds or replaces the condition of this type, in place. */
export function setCondition(conditions: Condition[], change: ConditionChange, now: Micros): void {
  const at = conditions.findIndex((condition) => condition.type === change.type);
  const old = conditions[at];
  const lastTransitionTime = old?.state === change.state && old.lastTransitionTime !== undefined ? old.lastTransitionTime : toTimestamp(now);
  const next = create(ConditionSchema, { ...change, lastTransitionTime });
  if (old !== undefined) conditions[at] = next;
  else conditions.push(next);
  conditions.sort((a, b) => rank(a.type) - rank(b.type));
}

export function findCondition(conditions: readonly Condition[], type: string): Condition | undefined {
  return conditions.find((condition) => condition.type === type);
}

/** Those of our own come after Google's, in the order in which they were added. */
function rank(type: string): number {
  const at = ORDER.indexOf(type);
  return at < 0 ? ORDER.length : at;
}
