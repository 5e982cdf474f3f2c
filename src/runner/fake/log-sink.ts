/** A log sink in memory, for tests: keeps lines and cursor together, as the contract asks. */
import type { AttemptId, LogCursor, LogLine } from '../driver.ts';
import { cursorAfter } from '../log-cursor.ts';
import type { LogSink, LogSource } from '../log-sink.ts';

export interface MemoryLogSink extends LogSink {
  readonly lines: ReadonlyMap<AttemptId, readonly LogLine[]>;
  readonly sources: ReadonlyMap<AttemptId, LogSource>;
  /** The next calls of `append` fail, so many. */
  failNext(count: number): void;
}

export function createMemoryLogSink(): MemoryLogSink {
  const lines = new Map<AttemptId, LogLine[]>();
  const sources = new Map<AttemptId, LogSource>();
  let failures = 0;
  return {
    lines,
    sources,
    failNext(count) {
      failures = count;
    },
    append(source, added) {
      if (failures > 0) {
        failures--;
        return Promise.reject(new Error('the sink is full'));
      }
      sources.set(source.attemptId, source);
      lines.set(source.attemptId, [...(lines.get(source.attemptId) ?? []), ...added]);
      return Promise.resolve();
    },
    cursor: (id): Promise<LogCursor> => Promise.resolve(cursorAfter(lines.get(id) ?? [])),
  };
}
