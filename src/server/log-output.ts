/** Where lines of the log become text: loaded by the first line. */
import { type Logger, pino } from 'pino';
import type { Log } from '../services/service.ts';
import type { LoggerOptions } from './logger.ts';

/** Fields that must not reach the log even by mistake. */
const SECRET = ['authorization', 'token', 'accessToken', 'access_token', 'private_jwk', '*.authorization', '*.token', '*.accessToken', '*.access_token'];

export async function openOutput(options: LoggerOptions): Promise<Log> {
  const logger = await openPino(options);
  return {
    debug: (fields, message) => logger.log.debug(fields, message),
    info: (fields, message) => logger.log.info(fields, message),
    warn: (fields, message) => logger.log.warn(fields, message),
    error: (fields, message) => logger.log.error(fields, message),
  };
}

/** In an object, for a logger by itself looks like a promise to the types. */
async function openPino({ level, format }: LoggerOptions): Promise<{ readonly log: Logger }> {
  const settings = { level, base: undefined, redact: { paths: SECRET, censor: '[redacted]' } };
  // Synchronous to a file descriptor: the last lines before a crash are those that matter.
  if (format === 'json') return { log: pino({ ...settings, timestamp: pino.stdTimeFunctions.isoTime }, pino.destination({ fd: 2, sync: true })) };
  const { default: pretty } = await import('pino-pretty');
  return { log: pino(settings, pretty({ destination: 2, sync: true, colorize: process.stderr.isTTY === true, translateTime: 'SYS:HH:MM:ss.l', ignore: 'pid,hostname' })) };
}
