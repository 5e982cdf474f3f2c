/** Conditions of custom constraints. */

const MAX_LENGTH = 1000;

/** @returns what is wrong with the condition, as a sentence without a subject; undefined where nothing is */
export function checkConstraintCondition(condition: string): string | undefined {
  if (condition.trim() === '') return 'must be set, for example: resource.spec.template.spec.taskCount <= 10';
  if (condition.length > MAX_LENGTH) return `has ${condition.length} characters, and may have at most ${MAX_LENGTH}.`;
  return undefined;
}
