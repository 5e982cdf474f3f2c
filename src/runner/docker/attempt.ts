/** What we know of one attempt, and how the engine's word about a container becomes that. Pure, but for the waiting. */
import type Dockerode from 'dockerode';
import type { AttemptExit, AttemptId, AttemptState } from '../driver.ts';
import type { Plan } from './container-options.ts';
import { parseEngineTime } from './log-frames.ts';
import { type ContainerExit, codeOrSignal } from './outcome.ts';

export interface Member {
  readonly name: string;
  dockerId?: string;
  state: 'absent' | 'created' | 'running' | 'exited';
  exit?: ContainerExit['exit'];
  /** The reading of its exit that is under way. */
  settling?: Promise<void>;
}

export interface Attempt {
  readonly id: AttemptId;
  readonly members: Map<string, Member>;
  /** Where there are several containers, or will be. */
  sandboxId?: string;
  plan?: Plan;
  startedAtMs?: number;
  exit?: AttemptExit;
  /** The start that is under way. */
  starting?: Promise<void>;
  /** Aborted when no further container is to start. */
  readonly halt: AbortController;
  finishing: boolean;
  removing: boolean;
  readonly timers: Set<NodeJS.Timeout>;
  readonly watchers: Set<() => void>;
}

export function newAttempt(id: AttemptId): Attempt {
  return { id, members: new Map(), halt: new AbortController(), finishing: false, removing: false, timers: new Set(), watchers: new Set() };
}

export function memberOf(attempt: Attempt, name: string): Member {
  const known = attempt.members.get(name);
  if (known !== undefined) return known;
  const member: Member = { name, state: 'absent' };
  attempt.members.set(name, member);
  return member;
}

/** Tells everybody who waits on the attempt to look again. */
export function changed(attempt: Attempt): void {
  // A watcher that is done takes itself out, which a Set allows while it is walked.
  for (const watcher of attempt.watchers) watcher();
}

/** Waits until the condition holds; false where the signal came first. */
export function when(attempt: Attempt, condition: () => boolean, signal?: AbortSignal): Promise<boolean> {
  if (condition()) return Promise.resolve(true);
  if (signal?.aborted === true) return Promise.resolve(false);
  return new Promise((resolve) => {
    const finish = (result: boolean) => {
      attempt.watchers.delete(look);
      signal?.removeEventListener('abort', aborted);
      resolve(result);
    };
    const look = () => {
      if (condition()) finish(true);
    };
    const aborted = () => finish(false);
    attempt.watchers.add(look);
    signal?.addEventListener('abort', aborted);
  });
}

export function stateOf(attempt: Attempt): AttemptState {
  const started = attempt.startedAtMs === undefined ? {} : { startedAtMs: attempt.startedAtMs };
  if (attempt.exit !== undefined) return { id: attempt.id, state: 'exited', ...started, exit: attempt.exit };
  return { id: attempt.id, state: attempt.startedAtMs === undefined ? 'created' : 'running', ...started };
}

type EngineState = Dockerode.ContainerInspectInfo['State'];

/** Milliseconds since the epoch; undefined for "never". */
export function engineTimeMs(text: string): number | undefined {
  const ns = parseEngineTime(text);
  return ns === undefined ? undefined : Number(ns / 1_000_000n);
}

/** How a container ended, or undefined while it has not. */
export function exitFrom(state: EngineState, nowMs: number): ContainerExit['exit'] | undefined {
  const startedAtMs = engineTimeMs(state.StartedAt);
  const finishedAtMs = engineTimeMs(state.FinishedAt);
  if (state.Running || state.Paused || state.Restarting) return undefined;
  if (startedAtMs === undefined) return state.Error === '' ? undefined : { cause: 'startFailed', message: state.Error, finishedAtMs: finishedAtMs ?? nowMs };
  const outcome = codeOrSignal(state.ExitCode);
  // The kernel may have ended a child only; where the container then succeeds all the same, it was no failure.
  const cause = state.OOMKilled && state.ExitCode !== 0 ? 'outOfMemory' : 'exited';
  return { ...outcome, cause, startedAtMs, finishedAtMs: Math.max(startedAtMs, finishedAtMs ?? nowMs) };
}
