/** Tells a story in a terminal: headings, plain sentences, and commands that are really run, with what they really printed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

const WIDTH = 100;

export interface Finished {
  readonly code: number;
  /** stdout and stderr, in the order in which they came. */
  readonly output: string;
}

export interface Narrator {
  heading(text: string): void;
  say(text: string): void;
  /** A line that is not wrapped: something to copy. */
  line(text: string): void;
  /** What was expected to be seen, and was. @throws Error where it was not */
  check(isTrue: boolean, what: string): void;
  /** Prints `$ actas ...` and what it prints, as it comes. */
  actas(args: readonly string[]): Promise<Finished>;
  /** Stops what runs now. */
  interrupt(): void;
}

export interface NarratorOptions {
  readonly write: (text: string) => void;
  /** Program and first arguments that `actas` stands for. */
  readonly actas: readonly [string, ...string[]];
  readonly env: NodeJS.ProcessEnv;
  readonly isColored: boolean;
}

export function createNarrator({ write, actas, env, isColored }: NarratorOptions): Narrator {
  const bold = (text: string) => (isColored ? `\u001b[1m${text}\u001b[22m` : text);
  const green = (text: string) => (isColored ? `\u001b[32m${text}\u001b[39m` : text);
  let running: ChildProcess | undefined;
  let chapter = 0;
  return {
    heading(text) {
      chapter += 1;
      write(`\n${bold(`${chapter}. ${text}`)}\n`);
    },
    say: (text) => write(`${wrap(text, WIDTH).join('\n')}\n`),
    line: (text) => write(`${text}\n`),
    check(isTrue, what) {
      if (!isTrue) throw new Error(`This should have been seen, and was not: ${what}`);
      write(
        `${wrap(`${green('✓')} ${what}`, WIDTH - 2, '  ')
          .map((line) => `  ${line}`)
          .join('\n')}\n`,
      );
    },
    async actas(args) {
      write(
        `\n${commandLines(['actas', ...args])
          .map((line) => `  ${bold(line)}`)
          .join('\n')}\n`,
      );
      const child = spawn(actas[0], [...actas.slice(1), ...args], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
      running = child;
      let output = '';
      const show = (line: string): void => {
        output += `${line}\n`;
        write(
          `${wrap(line, WIDTH - 2, '    ')
            .map((part) => `  ${part}`.trimEnd())
            .join('\n')}\n`,
        );
      };
      for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', show);
      const code = await new Promise<number>((resolve, reject) => {
        child.once('error', reject);
        child.once('close', (status) => resolve(status ?? 1));
      });
      running = undefined;
      write('\n');
      return { code, output };
    },
    interrupt: () => void running?.kill('SIGTERM'),
  };
}

/** `$ actas ...`, folded after flags as one would in a shell. */
function commandLines(words: readonly string[]): string[] {
  const lines: string[] = [];
  let line = '$';
  for (const word of words.map(quoteShell)) {
    if (line.length + word.length + 5 > WIDTH) {
      lines.push(`${line} \\`);
      line = `     ${word}`;
    } else line += ` ${word}`;
  }
  return [...lines, line];
}

/** Folds at spaces, and leaves those inside a line as they are. @param rest what continued lines begin with, beside the first line's own indentation */
function wrap(text: string, width: number, rest = ''): string[] {
  const indent = `${/^\s*/.exec(text)?.[0] ?? ''}${rest}`;
  const lines: string[] = [];
  let line = '';
  for (const [piece] of text.trimEnd().matchAll(/\s*\S+/g)) {
    if (line !== '' && line.length + piece.length > width) {
      lines.push(line);
      line = indent + piece.trimStart();
    } else line += piece;
  }
  return [...lines, line];
}

function quoteShell(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Splits a line of shell into its words; knows quotes, nothing else. */
export function shellWords(line: string): string[] {
  return [...line.trim().matchAll(/(?:[^\s'"]|'[^']*'|"[^"]*")+/g)].map((match) =>
    match[0].replace(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? ''),
  );
}
