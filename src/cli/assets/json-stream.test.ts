import fc from 'fast-check';
import { expect, test } from 'vitest';
import { jsonObjects } from './json-stream.ts';

async function read(chunks: readonly string[]): Promise<unknown[]> {
  const found: unknown[] = [];
  async function* stream() {
    yield* chunks;
  }
  for await (const { value } of jsonObjects(stream(), 'file')) found.push(value);
  return found;
}

/** Cut after every so many characters. */
function cut(text: string, size: number): string[] {
  return text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
}

test('lists, printed lists and lines are read alike, wherever the chunks are cut', async () => {
  const objects = fc.array(fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue(), { noNullPrototype: true }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(objects, fc.integer({ min: 1, max: 40 }), async (given, size) => {
      // What JSON cannot hold (-0) is not what this is about.
      const values: unknown[] = JSON.parse(JSON.stringify(given));
      for (const text of [JSON.stringify(values), JSON.stringify(values, undefined, 2), values.map((each) => `${JSON.stringify(each)}\r\n`).join('')])
        expect(await read(cut(text, size))).toEqual(values);
    }),
    { numRuns: 300 },
  );
});

test.each([
  ['yaml: 1', 'file, line 1: "y" stands where an object should begin'],
  ['{"a":1}\n{"a":\n', 'file, line 3: the file ends before its JSON does'],
  ['[{"a":1}', 'the file ends before its JSON does'],
  ['{"a":1}\n\n{"a" 1}', 'file, line 3: '],
])('%j is refused with its line', async (text, words) => {
  await expect(read([text])).rejects.toThrow(words);
});
