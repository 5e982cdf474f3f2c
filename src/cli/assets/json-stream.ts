/** Objects out of a stream of JSON, one at a time: those of one array, or that stand one after another, as an export writes them one to a line. */

import type { JsonRecord } from '../export-read.ts';
import { failure } from '../failure.ts';
import { isJson, isRecord } from '../json.ts';

export interface StreamedObject {
  /** From 1. */
  readonly line: number;
  readonly value: JsonRecord;
}

/** In characters. An asset has some thousand; a text without an end must not fill the memory. */
const LONGEST = 64 * 1024 * 1024;
const [QUOTE, BACKSLASH, OPEN, CLOSE, OPEN_LIST, CLOSE_LIST, COMMA, NEWLINE, MARK] = ['"', '\\', '{', '}', '[', ']', ',', '\n', '\uFEFF'].map((each) => each.charCodeAt(0));

/** @param file for messages @throws failure for anything but such a stream, with the line */
export async function* jsonObjects(chunks: AsyncIterable<string | Buffer>, file: string): AsyncGenerator<StreamedObject> {
  const state = { line: 1, started: 0, depth: 0, lists: 0, inText: false, escaped: false };
  // An object may be spread over chunks.
  let kept = '';
  for await (const chunk of chunks) {
    const text = String(chunk);
    let from = 0;
    for (let at = 0; at < text.length; at += 1) {
      const code = text.charCodeAt(at);
      if (code === NEWLINE) state.line += 1;
      if (state.depth === 0) {
        if (code === OPEN) {
          [state.depth, state.started, from] = [1, state.line, at];
        } else if (code === OPEN_LIST) state.lists += 1;
        else if (code === CLOSE_LIST) state.lists -= 1;
        else if (code !== COMMA && code !== MARK && !isSpace(code)) throw broken(file, state.line, `${JSON.stringify(text[at])} stands where an object should begin`);
      } else if (isEnd(state, code)) {
        yield { line: state.started, value: parsed(kept + text.slice(from, at + 1), file, state.started) };
        [kept, from] = ['', text.length];
      }
    }
    if (state.depth > 0) kept += text.slice(from);
    if (kept.length > LONGEST) throw broken(file, state.started, `one object has more than ${LONGEST} characters`);
  }
  if (state.depth > 0 || state.lists !== 0) throw broken(file, state.line, 'the file ends before its JSON does');
}

/** Goes on by one character inside an object. */
function isEnd(state: { depth: number; inText: boolean; escaped: boolean }, code: number): boolean {
  if (state.escaped) state.escaped = false;
  else if (state.inText && code === BACKSLASH) state.escaped = true;
  else if (code === QUOTE) state.inText = !state.inText;
  else if (state.inText) return false;
  else if (code === OPEN || code === OPEN_LIST) state.depth += 1;
  else if (code === CLOSE || code === CLOSE_LIST) state.depth -= 1;
  return state.depth === 0;
}

function isSpace(code: number): boolean {
  return code === 0x20 || (code >= 0x09 && code <= 0x0d);
}

function parsed(text: string, file: string, line: number): JsonRecord {
  try {
    const value: unknown = JSON.parse(text);
    if (isJson(value) && isRecord(value)) return value;
  } catch (error) {
    throw broken(file, line, error instanceof Error ? error.message : String(error));
  }
  throw broken(file, line, 'this is no object');
}

function broken(file: string, line: number, why: string): Error {
  return failure(`Cannot read ${file}, line ${line}: ${why}.`);
}
