/**
 * The driver that runs nothing (`--driver fake`): an attempt "runs" for a while and ends as its environment says (behaviour.ts).
 * For tests, for trying the API without an engine, and as the plainest example of the contract. It has no network, so
 * its tasks get no tokens. Images: every reference exists but those that `isMissing` names. Attempts are kept in memory, so they are lost with the
 * process, unless a state directory is given: then they are found again after a restart and end when they would have ended.
 */
import { createHash } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Clock, MICROS_PER_MILLI, systemClock } from '../../timestamp.ts';
import {
  type AttemptExit,
  type AttemptId,
  type AttemptSpec,
  type AttemptState,
  type Driver,
  type DriverListener,
  ImageError,
  type LogCursor,
  type LogLine,
  type ResolvedImage,
} from '../driver.ts';
import { imageName } from '../image-name.ts';
import { createSystemTimers, type Timers } from '../timers.ts';
import { createAttemptFiles } from './attempt-files.ts';
import { type FakeBehaviour, readBehaviour } from './behaviour.ts';

export interface FakeDriverOptions {
  readonly clock?: Clock;
  readonly timers?: Timers;
  /** How long an attempt runs that does not say it. Default 100. */
  readonly durationMs?: number;
  /** Which references no registry has. Default: those with `missing` or `does-not-exist` in them. */
  readonly isMissing?: (reference: string) => boolean;
  /** Which references the registry refuses to show us. Default: those with `unauthorized` in them. */
  readonly isUnauthorized?: (reference: string) => boolean;
  /** Changes what `resolveImage` answers, or throws: for tests of architectures, ports and engines that are away. */
  readonly image?: (reference: string, image: ResolvedImage) => ResolvedImage | Promise<ResolvedImage>;
  /** Overrides what the environment says. */
  readonly behaviour?: (attempt: AttemptSpec, read: FakeBehaviour) => FakeBehaviour;
  /** Where attempts are kept over restarts. */
  readonly stateDir?: string;
  /** Whether `starts` is kept, which grows with every attempt. Default true, for tests. */
  readonly countsStarts?: boolean;
  /** Default: 8 CPUs, 32 GiB. */
  readonly cpuMillis?: number;
  readonly memoryBytes?: number;
}

/** An attempt as it is kept: all that happens to it follows from these. */
export interface FakeAttempt {
  readonly id: AttemptId;
  readonly behaviour: FakeBehaviour;
  readonly startedAtMs: number;
  /** SIGTERM came, and how long it may take. */
  stop?: { readonly atMs: number; readonly graceMs: number };
}

/** For looking into the fake from outside. */
export interface FakeDriver extends Driver {
  /** Attempts that run now. */
  running(): readonly AttemptId[];
  /** How often each attempt was really started; more than once would be a bug of the loop. */
  readonly starts: ReadonlyMap<AttemptId, number>;
  /** The specification that an attempt was last started with. */
  spec(id: AttemptId): AttemptSpec | undefined;
  /** Pretends that the engine went away or came back. While it is away every call fails. */
  setAvailable(available: boolean): void;
}

const SIGKILL = 9;
const SIGTERM = 15;

export function createFakeDriver(options: FakeDriverOptions = {}): FakeDriver {
  const clock = options.clock ?? systemClock;
  const timers = options.timers ?? createSystemTimers(clock);
  const files = options.stateDir === undefined ? undefined : createAttemptFiles(options.stateDir);
  const attempts = new Map<AttemptId, FakeAttempt>();
  const specs = new Map<AttemptId, AttemptSpec>();
  const starts = new Map<AttemptId, number>();
  const cancelTimer = new Map<AttemptId, () => void>();
  const told = new Set<AttemptId>();
  const waiting = new Set<() => void>();
  let listener: DriverListener | undefined;
  let available = true;

  const nowMs = () => Math.floor(clock.now() / MICROS_PER_MILLI);
  const demand = () => {
    if (!available) throw new Error('The fake engine is away.');
  };
  const hasEnded = (attempt: FakeAttempt) => endsAtMs(attempt) <= nowMs();
  const wakeReaders = () => {
    for (const wake of waiting) wake();
    waiting.clear();
  };

  /** Tells the listener when the attempt ends, once. */
  const watch = (attempt: FakeAttempt) => {
    cancelTimer.get(attempt.id)?.();
    const when = endsAtMs(attempt);
    if (!Number.isFinite(when)) return;
    const tell = () => {
      if (told.has(attempt.id) || !attempts.has(attempt.id) || listener === undefined) return;
      told.add(attempt.id);
      cancelTimer.delete(attempt.id);
      listener.exited(exitOf(attempt));
      wakeReaders();
    };
    cancelTimer.set(attempt.id, timers.at(when * MICROS_PER_MILLI, tell));
  };
  const forget = (id: AttemptId) => {
    cancelTimer.get(id)?.();
    cancelTimer.delete(id);
    attempts.delete(id);
    specs.delete(id);
    told.delete(id);
    files?.remove(id);
    wakeReaders();
  };

  return {
    name: 'fake',
    starts,
    running: () => [...attempts.values()].filter((attempt) => !hasEnded(attempt)).map((attempt) => attempt.id),
    spec: (id) => specs.get(id),
    setAvailable(next) {
      available = next;
      listener?.available(next, next ? 'The fake engine is back.' : 'The fake engine is away.');
    },
    async open({ keep, listener: given }) {
      await nextTurn();
      demand();
      listener = given;
      for (const attempt of files?.readAll() ?? []) if (!attempts.has(attempt.id)) attempts.set(attempt.id, attempt);
      for (const attempt of [...attempts.values()]) {
        if (keep.has(attempt.id)) watch(attempt);
        else forget(attempt.id);
      }
      return {
        description: 'fake driver: runs nothing, ends attempts as their environment says',
        cpuMillis: options.cpuMillis ?? 8000,
        memoryBytes: options.memoryBytes ?? 32 * 2 ** 30,
        warnings: [],
      };
    },
    async resolveImage(reference, signal) {
      await nextTurn();
      signal.throwIfAborted();
      if (!available) throw new ImageError('unavailable', 'The fake engine is away.');
      if ((options.isMissing ?? isMissingByName)(reference)) throw new ImageError('missing', `manifest for ${reference} not found: manifest unknown`);
      if ((options.isUnauthorized ?? ((name) => name.includes('unauthorized')))(reference)) throw new ImageError('unauthorized', `pull access denied for ${reference}`);
      const digest = reference.split('@')[1] ?? `sha256:${createHash('sha256').update(reference).digest('hex')}`;
      const image: ResolvedImage = { pinned: `${imageName(reference)}@${digest}`, digest, architecture: 'amd64', os: 'linux', exposedPorts: [], source: 'local' };
      return options.image === undefined ? image : options.image(reference, image);
    },
    async start(spec) {
      await nextTurn();
      demand();
      if (attempts.has(spec.id)) return;
      const read = readBehaviour(spec, options.durationMs ?? 100);
      const attempt: FakeAttempt = { id: spec.id, behaviour: options.behaviour?.(spec, read) ?? read, startedAtMs: nowMs() };
      attempts.set(spec.id, attempt);
      specs.set(spec.id, spec);
      if (options.countsStarts !== false) starts.set(spec.id, (starts.get(spec.id) ?? 0) + 1);
      files?.write(attempt);
      if (attempt.behaviour.startError === undefined) listener?.started(spec.id, attempt.startedAtMs);
      watch(attempt);
    },
    async stop(id, graceMs) {
      await nextTurn();
      demand();
      const attempt = attempts.get(id);
      if (attempt === undefined || attempt.stop !== undefined || hasEnded(attempt)) return;
      attempt.stop = { atMs: nowMs(), graceMs };
      files?.write(attempt);
      watch(attempt);
    },
    async attempts() {
      await nextTurn();
      demand();
      return [...attempts.values()].map((attempt): AttemptState => {
        const ended = hasEnded(attempt);
        return { id: attempt.id, state: ended ? 'exited' : 'running', startedAtMs: attempt.startedAtMs, ...(ended ? { exit: exitOf(attempt) } : {}) };
      });
    },
    async *logs(id, from, signal) {
      const attempt = attempts.get(id);
      if (attempt === undefined) return;
      for (const line of linesOf(attempt)) if (isAfter(from, line.line, line.ordinal)) yield line.line;
      while (attempts.get(id) === attempt && !hasEnded(attempt) && !signal.aborted) {
        await new Promise<void>((resolve) => {
          waiting.add(resolve);
          signal.addEventListener('abort', () => resolve(), { once: true });
        });
      }
    },
    async remove(id) {
      await nextTurn();
      demand();
      const attempt = attempts.get(id);
      if (attempt !== undefined && hasEnded(attempt)) forget(id);
    },
    async close({ keepRunning }) {
      await nextTurn();
      listener = undefined;
      for (const cancel of cancelTimer.values()) cancel();
      cancelTimer.clear();
      if (!keepRunning) for (const id of [...attempts.keys()]) forget(id);
      wakeReaders();
    },
  };
}

function isMissingByName(reference: string): boolean {
  return reference.includes('missing') || reference.includes('does-not-exist');
}

function endsAtMs(attempt: FakeAttempt): number {
  const { behaviour, startedAtMs, stop } = attempt;
  if (behaviour.startError !== undefined) return startedAtMs;
  const byItself = startedAtMs + behaviour.durationMs;
  return stop === undefined ? byItself : Math.min(byItself, behaviour.ignoreSigterm ? stop.atMs + stop.graceMs : stop.atMs);
}

function exitOf(attempt: FakeAttempt): AttemptExit {
  const { id, behaviour, startedAtMs, stop } = attempt;
  const finishedAtMs = endsAtMs(attempt);
  if (behaviour.startError !== undefined) return { id, cause: 'startFailed', message: behaviour.startError, finishedAtMs };
  const base = { id, startedAtMs, finishedAtMs };
  if (stop !== undefined && finishedAtMs < startedAtMs + behaviour.durationMs) return { ...base, signal: behaviour.ignoreSigterm ? SIGKILL : SIGTERM, cause: 'exited' };
  if (behaviour.outOfMemory) return { ...base, signal: SIGKILL, cause: 'outOfMemory' };
  if (behaviour.signal !== undefined) return { ...base, signal: behaviour.signal, cause: 'exited' };
  return { ...base, exitCode: behaviour.exitCode, cause: 'exited' };
}

/** All lines bear the time of the start, so only their number tells them apart: what a cursor must bear. */
function linesOf(attempt: FakeAttempt): readonly { readonly line: LogLine; readonly ordinal: number }[] {
  const timeNs = BigInt(attempt.startedAtMs) * 1_000_000n;
  const seen = new Map<string, number>();
  return attempt.behaviour.lines.map((line) => {
    const ordinal = seen.get(line.container) ?? 0;
    seen.set(line.container, ordinal + 1);
    return { line: { ...line, timeNs }, ordinal };
  });
}

/** @param ordinal how many lines of the same time the container wrote before this one */
function isAfter(from: LogCursor, line: LogLine, ordinal: number): boolean {
  const kept = from[line.container];
  return kept === undefined || line.timeNs > kept.timeNs || (line.timeNs === kept.timeNs && ordinal >= kept.count);
}
