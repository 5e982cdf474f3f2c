/**
 * Every flag that gcloud has for jobs, executions and tasks: served, or refused by name with the reason. `gcloud-flags.json` is the list, made from
 * gcloud's own parser; `npm run test:gcloud` holds it against the help of the gcloud that is installed.
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { beforeAll, describe, expect, it } from 'vitest';
import { CliCommand, type Shell } from '../src/cli/command.ts';
import { buildProgram, findCommand } from '../src/cli/program.ts';
import { run } from '../src/cli/test-shell.ts';

interface Flags {
  readonly served: readonly string[];
  /** With what is said of them. */
  readonly refused?: Readonly<Record<string, string>>;
  /** Groups of which one alternative may be given; an alternative is flags that may stand together. */
  readonly exclusive?: readonly (readonly (readonly string[])[])[];
}
interface Facts {
  readonly everywhere: Flags;
  readonly commands: Readonly<Record<string, Flags>>;
}

// The file is part of the repository, and in this form.
const FACTS = JSON.parse(readFileSync(new URL('gcloud-flags.json', import.meta.url), 'utf8')) as Facts;
const COMMANDS = Object.entries(FACTS.commands);

let program: CliCommand;
beforeAll(async () => {
  const { PassThrough } = await import('node:stream');
  const sink = { write() {}, isTTY: false, columns: undefined, stream: new PassThrough() };
  const shell: Shell = { io: { env: {}, out: sink, err: sink, stdin: new PassThrough(), onInterrupt: () => () => {} }, exitCode: 0 };
  program = await buildProgram(shell, '*');
});

/** `--no-async` is what `--async` says when it is not given; gcloud has it for every flag without a value. */
function has(command: Command, flag: string): boolean {
  const positive = flag.startsWith('--no-') ? `--${flag.slice('--no-'.length)}` : undefined;
  return command.options.some(({ long, short, required }) => long === flag || short === flag || (long === positive && !required));
}

/** Every two flags that must not stand together. */
function exclusivePairs(groups: NonNullable<Flags['exclusive']>): [left: string, right: string][] {
  return groups.flatMap((alternatives) =>
    alternatives.flatMap((one, index) => alternatives.slice(index + 1).flatMap((other) => one.flatMap((left) => other.map((right): [string, string] => [left, right])))),
  );
}

describe.each(COMMANDS)('%s', (name, { served, refused = {} }) => {
  const words = name.split(' ');

  it('has every flag that is listed as served', () => {
    const command = findCommand(program, words);
    expect(command).toBeInstanceOf(CliCommand);
    expect(command.commands, `${name} is a command, not a group`).toEqual([]);
    const missing = [...served, ...FACTS.everywhere.served].filter((flag) => flag !== '--help' && flag !== '-h' && !has(command, flag));
    expect(missing).toEqual([]);
  });

  it('has none of those that are listed as refused', () => {
    const command = findCommand(program, words);
    expect(Object.keys(refused).filter((flag) => command.options.some(({ long }) => long === flag))).toEqual([]);
  });

  it.each(Object.entries({ ...refused, ...FACTS.everywhere.refused }))('refuses %s in words', async (flag, reason) => {
    const { code, out, err } = await run([...words, 'x', `${flag}=y`]);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(`${flag} is not supported: ${reason}`);
  });
});

describe.each(COMMANDS.filter(([, { exclusive }]) => exclusive !== undefined))('%s', (name, { exclusive = [] }) => {
  it('refuses flags together that gcloud refuses together', async () => {
    const words = name.split(' ');
    const command = findCommand(program, words);
    // A value that every flag here takes.
    const word = (flag: string): string => (command.options.find(({ long }) => long === flag)?.required === true ? `${flag}=K=s:1` : flag);
    const image = name.endsWith('create') ? ['--image=x'] : [];
    for (const [left, right] of exclusivePairs(exclusive))
      expect(await run([...words, 'x', ...image, word(left), word(right)]), `${left} ${right}`).toMatchObject({ code: 2, err: expect.stringContaining('cannot be used with') });
  });
});

it.each(['beta', 'alpha'])('takes a line of the track %s', async (track) => {
  for (const before of [[], ['--quiet', '--project', 'p'], ['--project=p']])
    expect(await run([...before, track, 'run', 'jobs', 'create', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('--gpu-type') });
});

it('takes --no-FLAG for a flag without a value, the last one counts', async () => {
  // Both are refused together, so that the line is wrong only where both count.
  const together = ['run', 'jobs', 'update', 'x', '--async', '--wait'];
  expect(await run(together)).toMatchObject({ code: 2, err: expect.stringContaining('cannot be used with') });
  expect((await run([...together, '--no-async'])).err).not.toContain('cannot be used with');
  expect(await run([...together, '--no-async', '--async'])).toMatchObject({ code: 2 });
  // With a value there is no such thing.
  expect(await run(['run', 'jobs', 'update', 'x', '--no-image'])).toMatchObject({ code: 2, err: expect.stringContaining('--no-image') });
});
