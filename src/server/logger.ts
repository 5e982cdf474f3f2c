/** The program's own log, on stderr: one line per event, JSON for machines or text for people. Never holds a token. */
import { type Logger, pino } from 'pino';
import pretty from 'pino-pretty';

/** Fields that must not reach the log even by mistake. */
const SECRET = ['authorization', 'token', 'accessToken', 'access_token', 'private_jwk', '*.authorization', '*.token', '*.accessToken', '*.access_token'];

export function createLogger(options: { readonly level: string; readonly format: 'text' | 'json' }): Logger {
  const settings = { level: options.level, base: undefined, redact: { paths: SECRET, censor: '[redacted]' } };
  // Synchronous to a file descriptor: the last lines before a crash are those that matter.
  if (options.format === 'json') return pino({ ...settings, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true }));
  return pino(settings, pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY === true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' }));
}
