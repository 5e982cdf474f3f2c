/**
 * The engine's log stream taken apart: 8-byte frames (stream, length), in each one `TIMESTAMP text`, where a line of more than 16 KiB comes
 * as several frames of which only the last ends in a newline. Pure: bytes in, lines out, and never more held than one line's limit.
 * Source: Docker Engine API, "Attach to a container", stream format; json-file's copier (daemon/logger/copier.go).
 */
import { type LogLine, MAX_LINE_BYTES } from '../driver.ts';

export type RawLine = Omit<LogLine, 'container'>;

const HEADER_BYTES = 8;
/** An RFC 3339 time with nine digits of a second is 30 bytes; some zones make it longer. */
const LONGEST_TIMESTAMP = 40;
const NEWLINE = 0x0a;
const SPACE = 0x20;

interface OpenLine {
  timeNs: bigint;
  pieces: Buffer[];
  bytes: number;
}

export interface FrameReader {
  /** The lines that these bytes complete, in the order of their ends. */
  push(chunk: Buffer): RawLine[];
  /** The lines without an end of their own: call it only when the container's output has ended. */
  end(): RawLine[];
}

/**
 * One for each container and each connection; it starts at the beginning of a line.
 * @param notBeforeNs no line is older: an engine that tells whole seconds tells lines from before the container's start
 */
export function createFrameReader(notBeforeNs = 0n): FrameReader {
  let rest: Buffer = Buffer.alloc(0);
  const open: { stdout?: OpenLine; stderr?: OpenLine } = {};
  const parseTime = createTimeParser();
  // What the engine writes of two streams may be out of order by moments, and a clock may be set back: the times that we tell never decrease.
  let latestNs = notBeforeNs;

  const tell = (lines: RawLine[], stream: 'stdout' | 'stderr', line: OpenLine, bytes: Buffer, partial: boolean) => {
    if (line.timeNs > latestNs) latestNs = line.timeNs;
    lines.push({ stream, timeNs: latestNs, text: bytes.toString('utf8'), ...(partial ? { partial: true } : {}) });
  };

  const take = (lines: RawLine[], stream: 'stdout' | 'stderr', payload: Buffer) => {
    const space = payload.subarray(0, LONGEST_TIMESTAMP).indexOf(SPACE);
    const timeNs = space < 0 ? undefined : parseTime(payload.toString('latin1', 0, space));
    let text = timeNs === undefined ? payload : payload.subarray(space + 1);
    const ended = text.length > 0 && text[text.length - 1] === NEWLINE;
    if (ended) text = text.subarray(0, text.length - 1);
    const line = open[stream] ?? { timeNs: timeNs ?? latestNs, pieces: [], bytes: 0 };
    line.pieces.push(text);
    line.bytes += text.length;
    // At the limit itself the line may still end here: then it is whole.
    while (line.bytes > MAX_LINE_BYTES) cut(lines, stream, line);
    if (ended) {
      tell(lines, stream, line, joined(line), false);
      delete open[stream];
    } else {
      open[stream] = line;
    }
  };

  const cut = (lines: RawLine[], stream: 'stdout' | 'stderr', line: OpenLine) => {
    const all = joined(line);
    const end = characterBoundary(all, MAX_LINE_BYTES);
    tell(lines, stream, line, all.subarray(0, end), true);
    // A copy: a slice would keep the whole chunk in memory.
    line.pieces = [Buffer.from(all.subarray(end))];
    line.bytes = all.length - end;
  };

  return {
    push(chunk) {
      const lines: RawLine[] = [];
      let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
      while (bytes.length >= HEADER_BYTES) {
        const length = bytes.readUInt32BE(4);
        if (bytes.length < HEADER_BYTES + length) break;
        take(lines, bytes[0] === 2 ? 'stderr' : 'stdout', bytes.subarray(HEADER_BYTES, HEADER_BYTES + length));
        bytes = bytes.subarray(HEADER_BYTES + length);
      }
      rest = bytes;
      return lines;
    },
    end() {
      const lines: RawLine[] = [];
      for (const stream of ['stdout', 'stderr'] as const) {
        const line = open[stream];
        if (line !== undefined && line.bytes > 0) tell(lines, stream, line, joined(line), false);
        delete open[stream];
      }
      return lines;
    },
  };
}

function joined(line: OpenLine): Buffer {
  const [only] = line.pieces;
  return line.pieces.length === 1 && only !== undefined ? only : Buffer.concat(line.pieces);
}

/** The last place at or before `limit` that does not split a UTF-8 character (continuation bytes are 10xxxxxx). */
function characterBoundary(bytes: Buffer, limit: number): number {
  let at = limit;
  while (at > limit - 4 && at > 0 && ((bytes[at] ?? 0) & 0xc0) === 0x80) at--;
  return at > limit - 4 ? at : limit;
}

/** Nanoseconds since the epoch of `2026-01-02T03:04:05.123456789Z`; undefined for anything else. Neighbouring lines mostly share their second, so that one is kept. */
function createTimeParser(): (text: string) => bigint | undefined {
  let known = '';
  let knownNs = 0n;
  return (text) => {
    const match = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)$/.exec(text);
    if (match === null) return undefined;
    const [, second = '', fraction = '', zone = ''] = match;
    const key = second + zone;
    if (key !== known) {
      const ms = Date.parse(key);
      if (Number.isNaN(ms)) return undefined;
      known = key;
      knownNs = BigInt(ms) * 1_000_000n;
    }
    return knownNs + BigInt(fraction.padEnd(9, '0'));
  };
}

/** Nanoseconds of an engine's timestamp; undefined for Go's zero time, which means "never". */
export function parseEngineTime(text: string): bigint | undefined {
  if (text.startsWith('0001-')) return undefined;
  return createTimeParser()(text);
}

/** Drops the lines that a cursor says were kept already; for lines read from a container's first one on. */
export function createSkipper(from: { readonly timeNs: bigint; readonly count: number } | undefined): (line: RawLine) => boolean {
  if (from === undefined) return () => false;
  let left = from.count;
  let passed = false;
  return (line) => {
    if (passed) return false;
    if (line.timeNs < from.timeNs) return true;
    if (line.timeNs === from.timeNs && left > 0) {
      left--;
      return true;
    }
    passed = true;
    return false;
  };
}
