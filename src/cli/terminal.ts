/**
 * What a person sees. Results go to stdout, everything else to stderr. Colours and spinners only where stderr is a
 * terminal and NO_COLOR, CI and TERM=dumb do not say otherwise; tables are cut to the terminal's width, never in a pipe.
 */
import type { Ora } from 'ora';
import { failure } from './failure.ts';
import type { Io, Sink } from './io.ts';

export interface Terminal {
  /** One line, or several, on stdout. */
  print(text: string): void;
  /** On stdout, exactly as it is. */
  printRaw(text: string): void;
  /** On stdout without a line's end of its own, but tamed as `print` does. */
  printText(text: string): void;
  /** One line on stderr, above a running spinner; nothing with --quiet. */
  note(text: string): void;
  /** One line on stderr, always. */
  alert(text: string): void;
  /** A line that begins `WARNING:`, on stderr. */
  warn(text: string): void;
  table(head: readonly string[] | undefined, rows: readonly (readonly string[])[], look?: TableLook): Promise<void>;
  /** Shows the stages of something that takes a while. */
  stages(): Stages;
  /** Asks before something that cannot be undone. @returns true at once where nobody can be asked, as gcloud does */
  confirm(question: string): Promise<boolean>;
  /** Whether somebody may be reading along: stderr is a terminal. */
  readonly live: boolean;
  readonly style: Style;
}

/** How a table is drawn where it is not the plain way. */
export interface TableLook {
  /** Of each column; left where absent. */
  readonly align?: readonly ('left' | 'center' | 'right')[];
  /** With lines around it. */
  readonly box?: boolean;
}

/** A line per stage, `✓ Creating job...`, with a spinner while it lasts. One stage runs at a time. */
export interface Stages {
  start(title: string): Promise<void>;
  /** What the running stage is at. Without a terminal each new text is a line of its own. */
  detail(text: string): void;
  done(): void;
  fail(): void;
  /** The stage neither ended well nor badly: the person turned away. */
  leave(): void;
}

export interface Style {
  bold(text: string): string;
  red(text: string): string;
  green(text: string): string;
  yellow(text: string): string;
  dim(text: string): string;
}

/** What must not reach a terminal, control characters and marks that turn the direction of writing; behind it, what makes a colour of an escape. */
const CONTROLS = /(?<control>[\p{Cc}\u202a-\u202e\u2066-\u2069])(?<colour>\[[\d;]{0,30}m)?/gu;

/**
 * What tasks and other people wrote (lines of logs, titles, names) shown as text: on a terminal it must not move the cursor, rename the window or fill the
 * clipboard. In a file or a pipe it is what it is.
 */
function tamed(sink: Pick<Sink, 'isTTY'>, text: string): string {
  if (!sink.isTTY) return text;
  return text.replace(CONTROLS, (found, control: string, colour: string | undefined, at: number) => {
    if (control === '\n' || control === '\t' || (control === '\u001b' && colour !== undefined)) return found;
    const next = text[at + 1];
    if (control === '\r' && (next === undefined || next === '\n')) return '';
    const code = control.codePointAt(0) ?? 0;
    return `${code < 0x100 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u${code.toString(16)}`}${colour ?? ''}`;
  });
}

export function createTerminal(io: Io, options: { readonly quiet: boolean }): Terminal {
  const { env } = io;
  // Without a width the spinner's library would clear lines without end.
  const live = io.err.isTTY && io.err.columns !== undefined && env['TERM'] !== 'dumb' && !env['CI'] && !options.quiet;
  const unicode = hasUnicode(env);
  const style = createStyle(live && !env['NO_COLOR']);
  let spinner: Ora | undefined;
  const above = (write: () => void): void => {
    spinner?.clear();
    write();
  };
  return {
    live,
    style,
    print: (text) => above(() => io.out.write(`${tamed(io.out, text)}\n`)),
    printRaw: (text) => above(() => io.out.write(text)),
    printText: (text) => above(() => io.out.write(tamed(io.out, text))),
    note: (text) => (options.quiet ? undefined : above(() => io.err.write(`${tamed(io.err, text)}\n`))),
    alert: (text) => above(() => io.err.write(`${tamed(io.err, text)}\n`)),
    warn: (text) => above(() => io.err.write(`${style.yellow('WARNING:')} ${tamed(io.err, text)}\n`)),
    async table(head, rows, look = {}) {
      const text = await renderTable(head, rows, look, io.out.isTTY ? io.out.columns : undefined);
      if (text !== '') above(() => io.out.write(`${tamed(io.out, text)}\n`));
    },
    stages() {
      let title = '';
      let last = '';
      const end = (symbol: string): void => {
        if (title === '') return;
        if (spinner !== undefined) spinner.stopAndPersist({ symbol, text: `${title}${last === '' ? '' : ` ${style.dim(last)}`}` });
        else if (!options.quiet) io.err.write(`${symbol} ${title}\n`);
        spinner = undefined;
        title = '';
      };
      return {
        async start(next) {
          end(unicode ? style.green('✓') : 'OK');
          last = '';
          title = next;
          if (!live) return;
          const { default: ora } = await import('ora');
          spinner = ora({ text: next, stream: io.err.stream, discardStdin: false, hideCursor: true }).start();
        },
        detail(text) {
          if (text === last) return;
          last = text;
          if (spinner !== undefined) spinner.text = `${title} ${text}`;
          else if (!options.quiet) io.err.write(`  ${text}\n`);
        },
        done: () => end(unicode ? style.green('✓') : 'OK'),
        fail: () => end(unicode ? style.red('✗') : 'X'),
        leave: () => end('-'),
      };
    },
    async confirm(question) {
      if (options.quiet || io.stdin.isTTY !== true || !io.err.isTTY) return true;
      const { confirm } = await import('@inquirer/prompts');
      try {
        return await confirm({ message: question, default: true }, { input: io.stdin, output: io.err.stream });
      } catch (error) {
        // Ctrl-C at the question.
        if (error instanceof Error && error.name === 'ExitPromptError') throw failure('Aborted by user.');
        throw error;
      }
    },
  };
}

function hasUnicode(env: Io['env']): boolean {
  return process.platform !== 'linux' || /utf-?8/i.test(env['LC_ALL'] || env['LC_CTYPE'] || env['LANG'] || 'UTF-8');
}

function createStyle(colour: boolean): Style {
  const wrap =
    (open: number, close: number) =>
    (text: string): string =>
      colour ? `\u001b[${open}m${text}\u001b[${close}m` : text;
  return { bold: wrap(1, 22), dim: wrap(2, 22), red: wrap(31, 39), green: wrap(32, 39), yellow: wrap(33, 39) };
}

const GAP = 2;
const NARROWEST = 8;

async function renderTable(head: readonly string[] | undefined, rows: readonly (readonly string[])[], look: TableLook, width: number | undefined): Promise<string> {
  const { default: Table } = await import('cli-table3');
  const all = head === undefined ? rows : [head, ...rows];
  const count = Math.max(0, ...all.map((row) => row.length));
  if (count === 0) return '';
  const natural = Array.from({ length: count }, (_, column) => Math.max(0, ...all.map((row) => displayWidth(row[column] ?? ''))));
  const fitted = fit(natural, look.box === true && width !== undefined ? width - count - 3 : width);
  const options = {
    truncate: '…',
    ...(look.align === undefined ? {} : { colAligns: [...look.align] }),
    ...(look.box === true
      ? { colWidths: fitted.map((wide) => wide + GAP), style: { head: [], border: [], compact: true } }
      : { colWidths: fitted.map((wide) => wide + GAP), chars: NO_LINES, style: { 'padding-left': 0, 'padding-right': GAP, head: [], border: [] } }),
  };
  const lines = (row: readonly string[]): string[] => Array.from({ length: count }, (_, column) => oneLine(row[column] ?? ''));
  const table = new Table(look.box === true && head !== undefined ? { ...options, head: lines(head) } : options);
  for (const row of look.box === true ? rows : all) table.push(lines(row));
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n');
}

const NO_LINES = {
  top: '',
  'top-mid': '',
  'top-left': '',
  'top-right': '',
  bottom: '',
  'bottom-mid': '',
  'bottom-left': '',
  'bottom-right': '',
  left: '',
  'left-mid': '',
  mid: '',
  'mid-mid': '',
  right: '',
  'right-mid': '',
  middle: '',
};

/** Takes from the widest column first until the row fits. */
function fit(natural: readonly number[], width: number | undefined): number[] {
  const widths = [...natural];
  if (width === undefined) return widths;
  const total = (): number => widths.reduce((sum, wide) => sum + wide + GAP, 0) - GAP;
  while (total() > width) {
    const widest = widths.indexOf(Math.max(...widths));
    if ((widths[widest] ?? 0) <= NARROWEST) break;
    widths[widest] = (widths[widest] ?? 0) - 1;
  }
  return widths;
}

function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, ' ');
}

const segmenter = new Intl.Segmenter();
/** Columns of a terminal: East Asian wide characters and emoji take two. */
function displayWidth(text: string): number {
  const line = oneLine(text);
  if (/^[\u0020-\u007e]*$/.test(line)) return line.length;
  let width = 0;
  for (const { segment } of segmenter.segment(line))
    width += /\p{Extended_Pictographic}\ufe0f|\p{Emoji_Presentation}|[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]/u.test(segment)
      ? 2
      : 1;
  return width;
}
