/**
 * The two forms in which Cloud Run says that a request is wrong: what the proto's own rules forbid is a
 * `Violation in CreateJobRequest.job.template...`, what a job cannot mean is named from the resource on (`template.template...`).
 */
import { type ApiError, invalidArgument } from '../../errors.ts';

/** Makes the error for a field that breaks a rule of shape. @param path below what `violationIn` was given, in the proto's spelling */
export type Refuse = (path: string, description: string) => ApiError;

/** @param where `CreateJobRequest.job`, `RunJobRequest.overrides` */
export function violationIn(where: string): Refuse {
  return (path, description) => invalidArgument(path === '' ? `Violation in ${where}` : `Violation in ${where}.${path}`, description);
}

export const REQUIRED = 'required field not present.';

export const DNS_LABEL = /^[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?$/;

/** No string that ends up in a process's arguments, environment or paths can hold it. */
export function refuseNul(text: string, path: string, refuse: Refuse): void {
  if (text.includes('\0')) throw refuse(path, 'must not contain the NUL character.');
}

export function refuseOutside(value: number, least: number, most: number, path: string, refuse: Refuse): void {
  if (value < least || value > most) throw refuse(path, `must be between ${least} and ${most}, but is ${value}.`);
}
