/**
 * TailLogEntries: what arrives from now on. Entries are held for the buffer window, so that those which came in late are put in their order; what a session
 * may be sent in a minute is limited, and what goes beyond it is counted and said.
 * Limits: https://docs.cloud.google.com/logging/quotas (sessions, 60,000 entries a minute), google/logging/v2/logging.proto (window).
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { ApiError, invalidArgument, resourceExhausted } from '../../errors.ts';
import { type TailLogEntriesRequest, TailLogEntriesResponse_SuppressionInfo_Reason, type TailLogEntriesResponseSchema } from '../../gen/google/logging/v2/logging_pb.js';
import type { LogStore } from '../../store/log-store.ts';
import { MICROS_PER_MILLI, type Micros } from '../../timestamp.ts';
import type { Call } from '../service.ts';
import { toLogEntry } from './entries.ts';
import { parseFilter } from './filter.ts';
import { type FindProject, parentsOf, scopeOf } from './log-parents.ts';

const DEFAULT_WINDOW_MS = 2000;
const MAX_WINDOW_MS = 60_000;
const MAX_RESPONSE = 1000;
const MAX_PER_MINUTE = 60_000;
const MAX_SESSION_MS = 3_600_000;

export interface TailDeps {
  readonly logs: Pick<LogStore, 'tail' | 'onWrite'>;
  readonly findProject: FindProject;
  readonly maxSessions: number;
}

type Response = MessageInitShape<typeof TailLogEntriesResponseSchema>;

export function createTail({ logs, findProject, maxSessions }: TailDeps) {
  let open = 0;
  return async function* tail(request: TailLogEntriesRequest, call: Call): AsyncGenerator<Response> {
    const windowMs = windowOf(request);
    const scope = await scopeOf(parentsOf(request.resourceNames), call, findProject);
    const where = parseFilter(request.filter, scope.projects);
    if (open >= maxSessions) throw resourceExhausted(`There are ${maxSessions} tail sessions open already. End one and try again.`);
    open++;
    const news = createNews(logs);
    try {
      const query = { parents: scope.parents, hidden: scope.hidden, ...(where === undefined ? {} : { where }) };
      const until = call.now() + MAX_SESSION_MS * MICROS_PER_MILLI;
      const allowance = createAllowance(call.now());
      let { lastId: afterId } = await logs.tail({ ...query, afterId: undefined, untilMicros: 0, most: 0 }, call.signal);
      let suppressed = 0;
      // Says that what is written from now on will come.
      yield {};
      while (!call.signal.aborted) {
        const now = call.now();
        if (now > until) throw new ApiError('OUT_OF_RANGE', 'The maximum duration of a tail session (1 hour) was reached. Start another.');
        const most = Math.min(MAX_RESPONSE, allowance.left(now));
        const part = await logs.tail({ ...query, afterId, untilMicros: now - windowMs * MICROS_PER_MILLI, most }, call.signal);
        afterId = part.lastId;
        suppressed += part.suppressed;
        allowance.take(part.entries.length);
        if (part.entries.length > 0 || part.suppressed > 0) {
          yield {
            entries: part.entries.map(toLogEntry),
            suppressionInfo: suppressed === 0 ? [] : [{ reason: TailLogEntriesResponse_SuppressionInfo_Reason.RATE_LIMIT, suppressedCount: suppressed }],
          };
          suppressed = 0;
        }
        if (!part.more) await news.next(windowMs, part.later, call.signal);
      }
    } finally {
      news.end();
      open--;
    }
  };
}

function windowOf({ bufferWindow }: TailLogEntriesRequest): number {
  if (bufferWindow === undefined) return DEFAULT_WINDOW_MS;
  const ms = Number(bufferWindow.seconds) * 1000 + bufferWindow.nanos / 1e6;
  if (!(ms >= 0 && ms <= MAX_WINDOW_MS)) throw invalidArgument('buffer_window', `must be from 0 to ${MAX_WINDOW_MS / 1000} seconds, but is ${ms / 1000} s.`);
  return ms;
}

/** How many more entries a session may be sent: a minute's worth at first, refilled as time passes. */
function createAllowance(start: Micros) {
  let tokens = MAX_PER_MINUTE;
  let last = start;
  return {
    left(now: Micros): number {
      tokens = Math.min(MAX_PER_MINUTE, tokens + ((now - last) / 60_000_000) * MAX_PER_MINUTE);
      last = now;
      return Math.floor(tokens);
    },
    take(count: number): void {
      tokens -= count;
    },
  };
}

/** How long what was written waits for more, so that a busy writer does not wake the reader for each line. */
const GATHER_MS = 50;

function createNews(logs: Pick<LogStore, 'onWrite'>) {
  let isNew = false;
  let wake: () => void = () => undefined;
  const stop = logs.onWrite(() => {
    isNew = true;
    wake();
  });
  const pause = (ms: number, signal: AbortSignal, isWoken: boolean): Promise<void> =>
    new Promise((resolve) => {
      const timer = ms === Number.POSITIVE_INFINITY ? undefined : setTimeout(done, ms);
      function done(): void {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        wake = () => undefined;
        resolve();
      }
      signal.addEventListener('abort', done, { once: true });
      if (isWoken) wake = done;
      if (signal.aborted) done();
    });
  return {
    end: stop,
    /** Resolves when there may be something to send. @param isWaiting whether something is there whose window is not over */
    async next(windowMs: number, isWaiting: boolean, signal: AbortSignal): Promise<void> {
      if (!isNew && !isWaiting) await pause(Number.POSITIVE_INFINITY, signal, true);
      isNew = false;
      await pause(Math.max(GATHER_MS, windowMs / 10), signal, false);
    },
  };
}
