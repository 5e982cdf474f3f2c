/** The program's own log, on stderr: one line per event, JSON for machines or text for people. Never holds a token. */
import { writeSync } from 'node:fs';
import type { Log } from '../services/service.ts';

const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'silent'] as const;

export interface LoggerOptions {
  readonly level: (typeof LEVELS)[number];
  readonly format: 'text' | 'json';
}

/** The library that writes lines is loaded by the first of them, so that the start does not wait for it. */
export function createLogger(options: LoggerOptions): Log {
  const waiting: { readonly level: keyof Log; readonly fields: object; readonly message: string }[] = [];
  let output: Log | undefined;
  /** Should the process end before it is loaded: the words alone, because what must not be in a line is known to the library. */
  const flushRaw = (): void => {
    for (const { level, message } of waiting.splice(0)) writeSync(2, `${JSON.stringify({ level, time: new Date().toISOString(), msg: message })}\n`);
  };
  const load = async (): Promise<void> => {
    process.once('exit', flushRaw);
    const { openOutput } = await import('./log-output.ts');
    output = await openOutput(options);
    process.off('exit', flushRaw);
    for (const { level, fields, message } of waiting.splice(0)) output[level](fields, message);
  };
  const at = (level: keyof Log) =>
    LEVELS.indexOf(level) < LEVELS.indexOf(options.level)
      ? () => undefined
      : (fields: object, message: string): void => {
          if (output !== undefined) output[level](fields, message);
          else if (waiting.push({ level, fields, message }) === 1) void load();
        };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}
