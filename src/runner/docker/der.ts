/** Distinguished encoding rules (X.690), as far as trust stores and names of certificates need them. Pure. */

export interface DerValue {
  readonly tag: number;
  readonly content: Buffer;
  /** With tag and length. */
  readonly whole: Buffer;
}

/** All values that stand one after another. @throws RangeError where the bytes are no such values */
export function readDer(bytes: Buffer): readonly DerValue[] {
  const values: DerValue[] = [];
  for (let at = 0; at < bytes.length; ) {
    const tag = bytes.readUInt8(at);
    const first = bytes.readUInt8(at + 1);
    const lengthBytes = first < 0x80 ? 0 : first & 0x7f;
    // No length at all is BER's "until its end", which is not distinguished; four bytes are more than a store has.
    if (first === 0x80 || lengthBytes > 4) throw new RangeError('not DER');
    const length = first < 0x80 ? first : bytes.readUIntBE(at + 2, lengthBytes);
    const start = at + 2 + lengthBytes;
    const end = start + length;
    if (end > bytes.length) throw new RangeError('cut off');
    values.push({ tag, content: bytes.subarray(start, end), whole: bytes.subarray(at, end) });
    at = end;
  }
  return values;
}

/** The parts of a value that has the tag. @throws RangeError where it has another, or is missing */
export function partsOf(value: DerValue | undefined, tag = 0x30): readonly DerValue[] {
  return readDer(contentOf(value, tag));
}

/** @throws RangeError where it has another tag, or is missing */
export function contentOf(value: DerValue | undefined, tag: number): Buffer {
  if (value?.tag !== tag) throw new RangeError('another kind of value was expected');
  return value.content;
}

export function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  if (content.length < 0x80) return Buffer.concat([Buffer.from([tag, content.length]), content]);
  const digits = content.length.toString(16);
  const length = Buffer.from(digits.padStart(digits.length + (digits.length % 2), '0'), 'hex');
  return Buffer.concat([Buffer.from([tag, 0x80 | length.length]), length, content]);
}
