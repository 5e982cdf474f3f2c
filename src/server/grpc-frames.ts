/** Messages of a gRPC request as they are on the wire, and the names in them: enough to judge a call whose proto is not here. */
import type { Readable } from 'node:stream';
import { BinaryReader, WireType } from '@bufbuild/protobuf/wire';
import { ApiError, invalidRequest, resourceExhausted } from '../errors.ts';

/** Pub/Sub takes 10 MB in one message, gRPC's own default is 4 MB. One message of each call is held at a time. */
const MAX_MESSAGE_BYTES = 16 * 1024 * 1024;
/** A byte of flags, four of length. Source: gRPC over HTTP/2, "Length-Prefixed-Message". */
const PREFIX_BYTES = 5;

/** One message: `frame` is what is passed on, `message` what is in it. */
export interface Frame {
  readonly frame: Buffer;
  readonly message: Buffer;
}

/** @throws ApiError for what is no such stream, or a message that is compressed or too long */
export async function* readFrames(request: Readable): AsyncGenerator<Frame, void, undefined> {
  let held: Buffer[] = [];
  let size = 0;
  let wanted: number | undefined;
  // The answer goes out on the same stream, so the end of reading must not be its end.
  for await (const chunk of request.iterator({ destroyOnReturn: false })) {
    // Node's streams of bytes hand out Buffers unless an encoding was set.
    held.push(chunk as Buffer);
    size += (chunk as Buffer).length;
    for (;;) {
      if (wanted === undefined && size >= PREFIX_BYTES) {
        held = [Buffer.concat(held)];
        wanted = PREFIX_BYTES + messageLength(held[0] ?? Buffer.alloc(0));
      }
      if (wanted === undefined || size < wanted) break;
      const all = Buffer.concat(held);
      const frame = all.subarray(0, wanted);
      held = [all.subarray(wanted)];
      size -= wanted;
      wanted = undefined;
      yield { frame, message: frame.subarray(PREFIX_BYTES) };
    }
  }
  if (size > 0) throw invalidRequest('The request ends within a message.');
}

function messageLength(prefix: Buffer): number {
  if (prefix[0] !== 0) throw new ApiError('UNIMPLEMENTED', 'Compressed messages are not passed on to an upstream: send them with grpc-encoding identity.');
  const length = prefix.readUInt32BE(1);
  if (length > MAX_MESSAGE_BYTES) throw resourceExhausted(`A message may have ${MAX_MESSAGE_BYTES} bytes, and this one has ${length}.`);
  return length;
}

/**
 * The strings at a path of field numbers. All that are there, in whatever order and however often: which of them another reader takes does not matter.
 * @throws INVALID_ARGUMENT where the bytes are no message
 */
export function stringsAt(message: Uint8Array, path: readonly number[]): readonly string[] {
  try {
    return [...walk(message, path)];
  } catch {
    throw invalidRequest('The request cannot be decoded.');
  }
}

function* walk(message: Uint8Array, [field, ...below]: readonly number[]): Generator<string> {
  const reader = new BinaryReader(message);
  while (reader.pos < reader.len) {
    const [number, type] = reader.tag();
    if (number !== field || type !== WireType.LengthDelimited) {
      reader.skip(type, number);
      continue;
    }
    const bytes = reader.bytes();
    if (below.length > 0) yield* walk(bytes, below);
    else {
      const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
      if (text !== '') yield text;
    }
  }
}
