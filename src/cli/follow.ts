/** Follows log entries until Ctrl-C. */
import { type FollowOptions, followLogEntries, type LogEntry, type LogRange } from './log-reading.ts';
import type { Session } from './session.ts';

/** Resolves when the user has had enough. */
export async function follow(
  session: Session,
  range: LogRange,
  options: Pick<FollowOptions, 'windowSeconds' | 'since'>,
  show: (entries: readonly LogEntry[]) => Promise<void> | void,
): Promise<void> {
  const stop = new AbortController();
  const removeListener = session.io.onInterrupt(() => stop.abort());
  const suppressed = (count: number): void => session.terminal.warn(`${count} entries were left out: more arrived than a session may be sent.`);
  try {
    for await (const entries of followLogEntries(await session.api(), range, { ...options, signal: stop.signal, suppressed })) await show(entries);
  } catch (error) {
    if (!stop.signal.aborted) throw error;
  } finally {
    removeListener();
  }
}
