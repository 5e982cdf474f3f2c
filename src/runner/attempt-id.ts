import type { AttemptId } from './driver.ts';

/** How a driver knows a task's attempt: stable over restarts of the control plane. */
export function attemptId(taskUid: string, attempt: number): AttemptId {
  return `${taskUid}-${attempt}`;
}
