/** Conditions of v2 in the form of v1: True, False or Unknown, and reasons in CamelCase. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import type { Timestamp } from '@bufbuild/protobuf/wkt';
import type { ConditionSchema } from '../../../gen/google/cloud/run/v1/resources_pb.js';
import { type Condition, Condition_CommonReason, Condition_ExecutionReason, Condition_Severity, Condition_State } from '../../../gen/google/cloud/run/v2/condition_pb.js';

type V1Condition = MessageInitShape<typeof ConditionSchema>;

export function conditionToV1({ type, state, message, lastTransitionTime, severity, reasons }: Condition): V1Condition {
  return {
    type,
    status: state === Condition_State.CONDITION_SUCCEEDED ? 'True' : state === Condition_State.CONDITION_FAILED ? 'False' : 'Unknown',
    message,
    ...(lastTransitionTime === undefined ? {} : { lastTransitionTime }),
    reason: reasons.case === 'reason' ? camel(Condition_CommonReason[reasons.value]) : reasons.case === 'executionReason' ? camel(Condition_ExecutionReason[reasons.value]) : '',
    // An error is what a condition without severity is about.
    severity: severity === Condition_Severity.INFO ? 'Info' : severity === Condition_Severity.WARNING ? 'Warning' : '',
  };
}

/**
 * Of a job: `Ready`; while it is looked at also `Retry`, as recorded right after a creation.
 * @param terminal without a type in the first answer to a create, and without a time until the job has been looked at, which v1 has all the same (recorded)
 * @param createTime the time then
 */
export function jobConditions(terminal: Condition | undefined, isReconciling: boolean, createTime: Timestamp | undefined): V1Condition[] {
  if (terminal === undefined) return [];
  const since = terminal.lastTransitionTime ?? createTime;
  const time = since === undefined ? {} : { lastTransitionTime: since };
  const ready = { ...conditionToV1({ ...terminal, type: 'Ready' }), ...time };
  if (!isReconciling) return [ready];
  return [
    ready,
    { type: 'Retry', status: 'True', severity: 'Info', reason: 'ImmediateRetry', message: 'System will retry after 0:00:00 from lastTransitionTime for attempt 0.', ...time },
  ];
}

function camel(name: string | undefined): string {
  if (name === undefined || name.endsWith('_UNDEFINED') || name.endsWith('_UNSPECIFIED')) return '';
  return name
    .toLowerCase()
    .split('_')
    .map((word) => word.slice(0, 1).toUpperCase() + word.slice(1))
    .join('');
}
