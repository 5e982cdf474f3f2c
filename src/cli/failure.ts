/**
 * What a command that did not work tells a person, and the exit code that it tells a script.
 * Invariants: every failure that a command foresees is a `CliFailure`; anything else is a bug and shows its stack.
 * This is the reading end of the API's errors: src/errors.ts makes them, this file shows them, so nothing here is sent anywhere.
 */

/** Exit codes, as `actas --help` and docs/cli.md list them. */
export const EXIT = { ok: 0, error: 1, usage: 2, notRunning: 3, denied: 4, notFound: 5, cancelled: 6, untold: 7, no: 8, interrupted: 130 } as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** What each code means, for `--help` and the reference. */
export const EXIT_MEANINGS: readonly (readonly [ExitCode, string])[] = [
  [EXIT.ok, 'done; with `execute --wait`: the execution succeeded'],
  [EXIT.error, 'refused by the API or failed; with `execute --wait`: the execution failed; with `check`: something is missing'],
  [EXIT.usage, 'wrong flags or arguments'],
  [EXIT.notRunning, 'no control plane answers'],
  [EXIT.denied, 'permission denied, or not authenticated'],
  [EXIT.notFound, 'not found'],
  [EXIT.cancelled, 'with `execute --wait`: the execution was cancelled'],
  [EXIT.untold, 'with `check`: nothing is missing, but not everything could be told; with `why`: the answer cannot be told'],
  [EXIT.no, 'the answer is no: with `why`: no permission; with `iam test`: an expectation failed; with `iam diff`: somebody gains something'],
  [EXIT.interrupted, 'interrupted by Ctrl-C; an execution that was being waited for keeps running'],
];

/** A failure that was foreseen. `lines` follow the message, each on its own line: the remedy, fields, hints. */
export class CliFailure extends Error {
  override readonly name = 'CliFailure';
  /** One of `EXIT`, but where another program is run: then as shells say it. */
  readonly exitCode: number;
  readonly lines: readonly string[];
  constructor(exitCode: number, message: string, lines: readonly string[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.exitCode = exitCode;
    this.lines = lines;
  }
}

/** The flags or arguments are at fault; nothing was sent. */
export function usageFailure(message: string, ...lines: readonly string[]): CliFailure {
  return new CliFailure(EXIT.usage, message, lines);
}

export function failure(message: string, ...lines: readonly string[]): CliFailure {
  return new CliFailure(EXIT.error, message, lines);
}

/** Nobody answers where the control plane should be. */
export function notRunningFailure(message: string, lines: readonly string[], cause?: unknown): CliFailure {
  return new CliFailure(EXIT.notRunning, message, lines, cause);
}

/** One item of `error.details`, as JSON. Only what is shown is named. */
export interface ErrorDetail {
  readonly '@type'?: string;
  readonly reason?: string;
  readonly metadata?: Readonly<Record<string, string>>;
  readonly message?: string;
  readonly fieldViolations?: readonly { readonly field?: string; readonly description?: string }[];
  readonly violations?: readonly { readonly type?: string; readonly subject?: string; readonly description?: string }[];
  readonly links?: readonly { readonly description?: string; readonly url?: string }[];
}

/** The API refused: its status name, its words, and the details that help. */
export class ApiFailure extends CliFailure {
  readonly status: string;
  /** The API's own words, without the status. */
  readonly reason: string;
  readonly details: readonly ErrorDetail[];
  constructor(status: string, reason: string, details: readonly ErrorDetail[]) {
    super(exitCodeOf(status), `${status}: ${reason}`, detailLines(reason, details));
    this.status = status;
    this.reason = reason;
    this.details = details;
  }
}

export function isApiFailure(error: unknown, status: string): error is ApiFailure {
  return error instanceof ApiFailure && error.status === status;
}

function exitCodeOf(status: string): ExitCode {
  if (status === 'PERMISSION_DENIED' || status === 'UNAUTHENTICATED') return EXIT.denied;
  return status === 'NOT_FOUND' ? EXIT.notFound : EXIT.error;
}

function detailLines(message: string, details: readonly ErrorDetail[]): string[] {
  const lines: string[] = [];
  for (const detail of details) {
    const kind = detail['@type']?.split('.').at(-1);
    if (kind === 'LocalizedMessage' && detail.message !== undefined && detail.message !== message) lines.push(...detail.message.split('\n'));
    for (const violation of detail.fieldViolations ?? []) {
      const line = `${violation.field ?? ''}: ${violation.description ?? ''}`;
      if (line !== message) lines.push(`- ${line}`);
    }
    for (const violation of detail.violations ?? [])
      if (violation.description !== message)
        lines.push(`- ${[violation.type, violation.subject, violation.description].filter((part) => part !== undefined && part !== '').join(': ')}`);
    for (const link of detail.links ?? []) lines.push([link.description, link.url].filter((part) => part !== undefined && part !== '').join(': '));
  }
  return lines;
}

const STATUS_BY_CODE: readonly string[] = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
];

/** The request was accepted, and what it began has failed. */
export class OperationFailure extends ApiFailure {}

/** The error that a finished Operation carries: its code is google.rpc.Code, not HTTP. */
export function operationFailure(error: { readonly code?: number; readonly message?: string; readonly details?: readonly ErrorDetail[] }): OperationFailure {
  return new OperationFailure(STATUS_BY_CODE[error.code ?? 2] ?? 'UNKNOWN', error.message ?? 'The operation failed without a message.', error.details ?? []);
}
