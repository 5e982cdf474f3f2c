import { Command } from 'commander';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { readUpFlags, UP_FLAGS } from './up-flags.ts';

/** As `actas up` reads its line where the quick way does not do. */
function slowly(words: readonly string[]): unknown {
  const command = new Command('up');
  for (const [flag, description] of UP_FLAGS) command.option(flag, description);
  return command.parse(words, { from: 'user' }).opts();
}

const plain = UP_FLAGS.filter(([flag]) => !flag.endsWith('...>')).map(([flag]) => flag.split(' '));

test('a line of plain flags is read as commander reads it', () => {
  fc.assert(
    fc.property(fc.subarray(plain), fc.infiniteStream(fc.tuple(fc.stringMatching(/^[^-].*$/), fc.boolean())), (flags, values) => {
      const words = flags.flatMap(([name = '', value]) => {
        const [text = '', isJoined = false] = values.next().value ?? [];
        return value === undefined ? [name] : isJoined ? [`${name}=${text}`] : [name, text];
      });
      expect(readUpFlags(words)).toEqual(slowly(words));
    }),
  );
});

test.each([
  ['--help'],
  ['-h'],
  ['--prot', '1'],
  ['--port'],
  ['--port', '--detach'],
  ['--port', '1', '--port', '2'],
  ['--detach=yes'],
  ['extra'],
  ['--images', 'a=b'],
  ['--'],
  ['__proto__'],
])('anything else is left to commander: %s', (...words) => {
  expect(readUpFlags(words)).toBeUndefined();
});
