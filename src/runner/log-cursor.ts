import type { LogCursor, LogLine } from './driver.ts';

/** Where a reader stands that has kept these lines and no others; for sinks and their tests. */
export function cursorAfter(lines: readonly LogLine[]): LogCursor {
  const cursor: Record<string, { timeNs: bigint; count: number }> = {};
  for (const { container, timeNs } of lines) {
    const last = cursor[container];
    cursor[container] = last?.timeNs === timeNs ? { timeNs, count: last.count + 1 } : { timeNs, count: 1 };
  }
  return cursor;
}
