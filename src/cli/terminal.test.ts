import { PassThrough } from 'node:stream';
import { expect, test } from 'vitest';
import { createTerminal } from './terminal.ts';

function written(isTTY: boolean, show: (terminal: ReturnType<typeof createTerminal>) => void): string {
  let all = '';
  const stream = new PassThrough();
  const sink = { write: (text: string) => void (all += text), isTTY, columns: undefined, stream };
  show(createTerminal({ env: {}, out: sink, err: sink, stdin: stream, onInterrupt: () => () => undefined }, { quiet: false }));
  return all;
}

test('what a task wrote does not speak to the terminal; colours stay, and a pipe gets it as it is', () => {
  const line = 'a\u001b[31mred\u001b[0m\tb\u001b]0;title\u0007\u001b[2J\u009b1;1H\u202egnp\r\nnext\rover\b\u0000';
  const tame = 'a\u001b[31mred\u001b[0m\tb\\x1b]0;title\\x07\\x1b[2J\\x9b1;1H\\u202egnp\nnext\\x0dover\\x08\\x00';
  expect(written(false, (terminal) => terminal.print(line))).toBe(`${line}\n`);
  for (const show of ['print', 'alert', 'note'] as const) expect(written(true, (terminal) => terminal[show](line))).toBe(`${tame}\n`);
  expect(written(true, (terminal) => terminal.printRaw(line))).toBe(line);
});

test.each([
  [false, 30],
  [true, 30],
  [true, 200],
])('a table fits the terminal and no pipe is cut, box: %s, %i columns', async (box, columns) => {
  const rows = [
    ['projects/p/locations/us-central1/jobs/hello', '3'],
    ['a', 'a value that is long enough to be cut'],
  ];
  const draw = async (isTTY: boolean): Promise<string[]> => {
    let all = '';
    const stream = new PassThrough();
    const sink = { write: (text: string) => void (all += text), isTTY, columns: isTTY ? columns : undefined, stream };
    await createTerminal({ env: {}, out: sink, err: sink, stdin: stream, onInterrupt: () => () => undefined }, { quiet: false }).table(['NAME', 'VALUE'], rows, { box });
    return all.trimEnd().split('\n');
  };
  const shown = await draw(true);
  expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(columns);
  expect(shown.join('\n').includes('…')).toBe(columns < 100);
  expect((await draw(false)).join('\n')).toContain('projects/p/locations/us-central1/jobs/hello');
});
