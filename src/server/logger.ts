/** The program's own log, on stderr: one line per event, JSON for machines or text for people. Never holds a token. */
import { writeSync } from 'node:fs';
import { type DestinationStream, type Logger, pino } from 'pino';

/** Fields that must not reach the log even by mistake. */
const SECRET = ['authorization', 'token', 'accessToken', 'access_token', 'private_jwk', '*.authorization', '*.token', '*.accessToken', '*.access_token'];

export function createLogger(options: { readonly level: string; readonly format: 'text' | 'json' }): Logger {
  const settings = { level: options.level, base: undefined, redact: { paths: SECRET, censor: '[redacted]' } };
  // Synchronous to a file descriptor: the last lines before a crash are those that matter.
  if (options.format === 'json') return pino({ ...settings, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
  return pino(settings, textOutput());
}

/** Lines as people read them. The library that makes them so is loaded by the first line, so that the start does not wait for it. */
function textOutput(): DestinationStream {
  const waiting: string[] = [];
  let output: DestinationStream | undefined;
  const flushRaw = (): void => {
    for (const line of waiting.splice(0)) writeSync(2, line);
  };
  const load = async (): Promise<void> => {
    // Should the process end before: better as JSON than not at all.
    process.once('exit', flushRaw);
    const { default: pretty } = await import('pino-pretty');
    process.off('exit', flushRaw);
    output = pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY === true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' });
    for (const line of waiting.splice(0)) output.write(line);
  };
  return {
    write(line) {
      if (output !== undefined) output.write(line);
      else if (waiting.push(line) === 1) void load();
    },
  };
}
