/** The entry of the command-line program: hands the process to `runCli` and sets its exit code. A plain `actas up` starts without it. */
import type { Sink } from './io.ts';
import { readUpFlags } from './up-flags.ts';

function sink(stream: NodeJS.WriteStream): Sink {
  return {
    write: (text) => void stream.write(text),
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      // A pseudo-terminal that nobody sized says 0.
      return stream.isTTY && stream.columns > 0 ? stream.columns : undefined;
    },
    stream,
  };
}

async function run(line: readonly string[]): Promise<number> {
  // `actas ... | head` closes the pipe early; what is left to say has no reader.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit(0);
  });
  const { runCli } = await import('./cli.ts');
  return runCli(line, {
    env: process.env,
    out: sink(process.stdout),
    err: sink(process.stderr),
    stdin: process.stdin,
    onInterrupt(listener) {
      process.on('SIGINT', listener);
      return () => void process.off('SIGINT', listener);
    },
  });
}

const words = process.argv.slice(2);
const flags = words[0] === 'up' ? readUpFlags(words.slice(1)) : undefined;
if (flags === undefined) process.exitCode = await run(words);
else await (await import('./up.ts')).up(flags);
