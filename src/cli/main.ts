/** The entry of the command-line program: hands the process to `runCli` and sets its exit code. */
import { runCli } from './cli.ts';
import type { Io, Sink } from './io.ts';

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

const io: Io = {
  env: process.env,
  out: sink(process.stdout),
  err: sink(process.stderr),
  stdin: process.stdin,
  onInterrupt(listener) {
    process.on('SIGINT', listener);
    return () => void process.off('SIGINT', listener);
  },
};

// `actas ... | head` closes the pipe early; what is left to say has no reader.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit(0);
});

process.exitCode = await runCli(process.argv.slice(2), io);
