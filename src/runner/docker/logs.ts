/**
 * Follows the output of containers. It hides reconnects: a reader sees every line once and in order, whatever happens to the connection.
 * It reads no faster than its reader does, and holds no more than a chunk and an unfinished line.
 *
 * Every connection reads from the container's first line and skips what was told before. The engine's own `since` would drop lines that were
 * stamped before their predecessors (stdout and stderr are stamped apart, clocks are set back), and the engine reads its whole file anyway.
 */
import type { LogCursor, LogLine } from '../driver.ts';
import { createFrameReader, createSkipper, type RawLine } from './log-frames.ts';

export interface LogSource {
  readonly container: string;
  /** Answers once the container's output may be read; false where it never will. */
  ready(signal: AbortSignal): Promise<boolean>;
  /** The engine's stream of frames, with timestamps, until the output ends. */
  connect(signal: AbortSignal): Promise<AsyncIterable<Buffer>>;
  /** When the first line can have been written at the earliest, where the engine's own word is too coarse. Always the same for a container. */
  notBeforeNs?(): bigint;
  /** Whether the container has ended, so that an output that ends is complete. */
  isOver(): boolean;
  /** Waits after a broken connection; false where there is nothing left to read. */
  recover(error: unknown, signal: AbortSignal): Promise<boolean>;
}

interface Position {
  timeNs: bigint;
  count: number;
}

/** One container's lines from the cursor on. */
export async function* followContainer(source: LogSource, from: LogCursor, signal: AbortSignal): AsyncGenerator<LogLine> {
  if (!(await source.ready(signal))) return;
  const start = from[source.container];
  let position: Position | undefined = start === undefined ? undefined : { ...start };
  for (let complete = false; !complete && !signal.aborted; ) {
    // Read before the connection: only an output that was opened after the container's end is surely whole when it ends.
    const wasOver = source.isOver();
    const reader = createFrameReader(source.notBeforeNs?.());
    const skip = createSkipper(position);
    try {
      for await (const chunk of await source.connect(signal)) {
        for (const line of reader.push(chunk)) {
          if (skip(line)) continue;
          position = advance(position, line);
          yield { container: source.container, ...line };
          if (signal.aborted) return;
        }
      }
      complete = wasOver;
      if (complete) for (const line of reader.end()) if (!skip(line)) yield { container: source.container, ...line };
      if (!complete && !source.isOver() && !(await source.recover(undefined, signal))) return;
    } catch (error) {
      if (signal.aborted) return;
      if (!(await source.recover(error, signal))) return;
    }
  }
}

function advance(position: Position | undefined, line: RawLine): Position {
  if (position === undefined || position.timeNs !== line.timeNs) return { timeNs: line.timeNs, count: 1 };
  position.count++;
  return position;
}

/** Several containers' lines as they come; in order within each. */
export async function* followAll(sources: readonly LogSource[], from: LogCursor, signal: AbortSignal): AsyncGenerator<LogLine> {
  const [only] = sources;
  if (sources.length === 1 && only !== undefined) {
    yield* followContainer(only, from, signal);
    return;
  }
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const pending = new Map<AsyncGenerator<LogLine>, Promise<{ readonly from: AsyncGenerator<LogLine>; readonly result: IteratorResult<LogLine> }>>();
  const pull = (generator: AsyncGenerator<LogLine>) =>
    pending.set(
      generator,
      generator.next().then((result) => ({ from: generator, result })),
    );
  for (const source of sources) pull(followContainer(source, from, either));
  try {
    while (pending.size > 0) {
      const { from: generator, result } = await Promise.race(pending.values());
      if (result.done === true) {
        pending.delete(generator);
        continue;
      }
      yield result.value;
      pull(generator);
    }
  } finally {
    stop.abort();
    await Promise.allSettled(pending.values());
  }
}
