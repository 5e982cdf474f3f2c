/**
 * The JSON of google.cloud.run.v2 as far as the CLI reads it. Every field is optional, because nothing is checked before it
 * is read; whatever else an answer holds is kept when a job is read, changed and written back.
 */

export interface Condition {
  type?: string;
  state?: string;
  message?: string;
  lastTransitionTime?: string;
  severity?: string;
  reason?: string;
  executionReason?: string;
}

export interface EnvVar {
  name?: string;
  value?: string;
  valueSource?: { secretKeyRef?: { secret?: string; version?: string } };
}

export interface Volume {
  name?: string;
  emptyDir?: { medium?: string; sizeLimit?: string };
  secret?: { secret?: string; items?: { version?: string; path?: string; mode?: number }[]; defaultMode?: number };
}

export interface VolumeMount {
  name?: string;
  mountPath?: string;
}

export interface Probe {
  initialDelaySeconds?: number;
  timeoutSeconds?: number;
  periodSeconds?: number;
  failureThreshold?: number;
  httpGet?: { path?: string; port?: number };
  tcpSocket?: { port?: number };
  grpc?: { port?: number; service?: string };
}

export interface Container {
  name?: string;
  image?: string;
  command?: string[];
  args?: string[];
  env?: EnvVar[];
  workingDir?: string;
  resources?: { limits?: Record<string, string> };
  volumeMounts?: VolumeMount[];
  dependsOn?: string[];
  startupProbe?: Probe;
}

export interface TaskTemplate {
  containers?: Container[];
  maxRetries?: number;
  timeout?: string;
  serviceAccount?: string;
  volumes?: Volume[];
}

export interface Job {
  name?: string;
  labels?: Record<string, string>;
  createTime?: string;
  updateTime?: string;
  creator?: string;
  lastModifier?: string;
  client?: string;
  clientVersion?: string;
  template?: { labels?: Record<string, string>; parallelism?: number; taskCount?: number; template?: TaskTemplate };
  startExecutionToken?: string;
  runExecutionToken?: string;
  terminalCondition?: Condition;
  executionCount?: number;
  latestCreatedExecution?: { name?: string; createTime?: string; completionTime?: string; completionStatus?: string };
  reconciling?: boolean;
  etag?: string;
}

export interface Execution {
  name?: string;
  creator?: string;
  createTime?: string;
  startTime?: string;
  completionTime?: string;
  job?: string;
  parallelism?: number;
  taskCount?: number;
  template?: TaskTemplate;
  conditions?: Condition[];
  runningCount?: number;
  succeededCount?: number;
  failedCount?: number;
  cancelledCount?: number;
  retriedCount?: number;
  logUri?: string;
}

export interface Task {
  name?: string;
  index?: number;
  createTime?: string;
  startTime?: string;
  completionTime?: string;
  execution?: string;
  containers?: Container[];
  volumes?: Volume[];
  maxRetries?: number;
  timeout?: string;
  serviceAccount?: string;
  conditions?: Condition[];
  retried?: number;
  lastAttemptResult?: { status?: { code?: number; message?: string }; exitCode?: number; termSignal?: number };
}

export function shortName(name: string | undefined): string {
  return name?.split('/').at(-1) ?? '';
}

export function conditionOf(resource: { readonly conditions?: readonly Condition[] }, type: string): Condition | undefined {
  return resource.conditions?.find((condition) => condition.type === type);
}

export function hasEnded(condition: Condition | undefined): boolean {
  return condition?.state === 'CONDITION_SUCCEEDED' || condition?.state === 'CONDITION_FAILED';
}

/** In the words of gcloud's runningState. */
export type RunningState = 'Pending' | 'Running' | 'Succeeded' | 'Failed' | 'Cancelled' | 'Abandoned';

export function executionState(execution: Execution): RunningState {
  const completed = conditionOf(execution, 'Completed');
  if (completed?.state === 'CONDITION_SUCCEEDED') return 'Succeeded';
  if (completed?.state === 'CONDITION_FAILED') return completed.executionReason === 'CANCELLED' ? 'Cancelled' : 'Failed';
  return conditionOf(execution, 'Started')?.state === 'CONDITION_SUCCEEDED' || (execution.runningCount ?? 0) > 0 ? 'Running' : 'Pending';
}

export function taskState(task: Task): RunningState {
  const completed = conditionOf(task, 'Completed');
  if (completed?.state === 'CONDITION_SUCCEEDED') return 'Succeeded';
  if (completed?.state === 'CONDITION_FAILED') {
    if (completed.executionReason !== 'CANCELLED') return 'Failed';
    return task.startTime === undefined ? 'Abandoned' : 'Cancelled';
  }
  return task.startTime === undefined ? 'Pending' : 'Running';
}

/** `3`, `signal 9`, or nothing where the attempt ended without either (a timeout, a cancellation). */
export function exitOf(task: Task): string {
  const result = task.lastAttemptResult;
  if (result?.termSignal !== undefined) return `signal ${result.termSignal}`;
  // JSON leaves a zero out.
  return String(result?.exitCode ?? (taskState(task) === 'Succeeded' ? 0 : ''));
}

const SYMBOLS: Readonly<Record<RunningState, string>> = { Pending: '…', Running: '…', Succeeded: '✔', Failed: 'X', Cancelled: '!', Abandoned: '!' };

export function stateSymbol(state: RunningState): string {
  return SYMBOLS[state];
}

/** gcloud's first column: ready, failed or under way. */
export function readySymbol(condition: Condition | undefined): string {
  if (condition?.state === 'CONDITION_SUCCEEDED') return '✔';
  return condition?.state === 'CONDITION_FAILED' ? 'X' : '…';
}

/** `3 tasks: 1 running, 2 succeeded`. */
export function progressOf(execution: Execution): string {
  const count = execution.taskCount ?? 1;
  const counts = [
    ['running', execution.runningCount],
    ['succeeded', execution.succeededCount],
    ['failed', execution.failedCount],
    ['cancelled', execution.cancelledCount],
  ] as const;
  const known = counts.reduce((sum, [, number]) => sum + (number ?? 0), 0);
  const parts = counts.filter(([, number]) => (number ?? 0) > 0).map(([word, number]) => `${number} ${word}`);
  if (known < count) parts.unshift(`${count - known} waiting`);
  const retried = execution.retriedCount ?? 0;
  return `${count} task${count === 1 ? '' : 's'}: ${parts.join(', ')}${retried > 0 ? ` (${retried} retried)` : ''}`;
}

/** `2026-11-23T18:51:46.123456Z` as `2026-11-23 18:51:46 UTC`, as gcloud's tables show times. */
export function showTime(time: string | undefined): string {
  return time === undefined ? '' : `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;
}

/** The time between two instants, `1m8.83s`; still running where there is no end. */
export function elapsed(from: string | undefined, to: string | undefined, nowMs: number): string {
  if (from === undefined) return '';
  const seconds = Math.max(0, ((to === undefined ? nowMs : Date.parse(to)) - Date.parse(from)) / 1000);
  const minutes = Math.floor(seconds / 60);
  return minutes === 0
    ? `${trim(seconds)}s`
    : minutes < 60
      ? `${minutes}m${trim(seconds - minutes * 60)}s`
      : `${Math.floor(minutes / 60)}h${minutes % 60}m${Math.floor(seconds % 60)}s`;
}

function trim(seconds: number): string {
  return String(Math.round(seconds * 100) / 100);
}
