/** What a condition came to, as v3 says it. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { create } from '@bufbuild/protobuf';
import { type Value, ValueSchema } from '@bufbuild/protobuf/wkt';
import { STATUS } from '../../errors.ts';
import type { ConditionExplanationSchema } from '../../gen/google/cloud/policytroubleshooter/iam/v3/troubleshooter_pb.js';
import type { ConditionExplanation } from '../../policy/explanation.ts';

/** @returns undefined where there is no condition */
export function explainCondition(condition: ConditionExplanation | undefined): MessageInitShape<typeof ConditionExplanationSchema> | undefined {
  if (condition === undefined) return undefined;
  const { expression, result, reason, clauses } = condition;
  let from = 0;
  const evaluationStates = clauses.map((clause) => {
    const start = Math.max(0, expression.indexOf(clause.expression, from));
    from = start;
    return { start, end: start + Math.max(1, clause.expression.length) - 1, value: valueOf(clause.result), errors: errorsOf(clause.result) };
  });
  return { value: valueOf(result), errors: reason === undefined ? [] : errorsOf(reason), evaluationStates };
}

function isBoolean(result: string): boolean {
  return result === 'true' || result === 'false';
}

function valueOf(result: string): Value {
  return create(ValueSchema, { kind: isBoolean(result) ? { case: 'boolValue', value: result === 'true' } : { case: 'nullValue', value: 0 } });
}

function errorsOf(result: string): { code: number; message: string }[] {
  return isBoolean(result) ? [] : [{ code: STATUS.INVALID_ARGUMENT.code, message: result }];
}
