/** Log entries as lines for people. */

import { isRecord, type Json } from './json.ts';
import type { LogEntry } from './log-reading.ts';

/** `2026-11-23 18:51:46 ERROR run.googleapis.com/stdout text`. */
export function showLogEntry(entry: LogEntry): string {
  const log = decodeURIComponent((entry.logName ?? '').split('/logs/')[1] ?? '');
  return [(entry.timestamp ?? '').slice(0, 19).replace('T', ' '), entry.severity ?? 'DEFAULT', log, payloadOf(entry)].join(' ');
}

function payloadOf({ textPayload, jsonPayload, protoPayload }: LogEntry): string {
  if (textPayload !== undefined) return textPayload;
  const message = jsonPayload?.['message'];
  if (typeof message === 'string') return message;
  if (jsonPayload !== undefined) return JSON.stringify(jsonPayload);
  return protoPayload === undefined ? '' : showCall(protoPayload);
}

/** `2026-11-23 18:51:46 user:dev@example.com google.cloud.run.v2.Jobs.GetJob projects/p/... PERMISSION_DENIED 1.2 ms (run.jobs.get: no)`. */
export function showAuditEntry(entry: LogEntry): string {
  return `${(entry.timestamp ?? '').slice(0, 23).replace('T', ' ')} ${showCall(entry.protoPayload ?? {})}`;
}

function showCall(payload: Readonly<Record<string, unknown>>): string {
  const at = (value: unknown, key: string): unknown => (typeof value === 'object' && value !== null ? Object.entries(value).find(([name]) => name === key)?.[1] : undefined);
  const text = (value: unknown): string => (typeof value === 'string' ? value : '');
  const { metadata, authenticationInfo: caller, authorizationInfo: asked } = payload;
  const latency = at(metadata, 'latencyMs');
  const delegation = at(metadata, 'delegation');
  const who = text(at(caller, 'principalSubject'));
  return [
    who === '' ? '(nobody)' : who,
    ...(Array.isArray(delegation) && delegation.length > 0 ? [`for ${delegation.map(text).join(', ')}`] : []),
    text(payload['methodName']),
    text(payload['resourceName']),
    text(at(metadata, 'status')) || (at(payload['status'], 'code') === undefined ? 'OK' : `code ${String(at(payload['status'], 'code'))}`),
    ...(typeof latency === 'number' ? [`${latency.toFixed(1)} ms`] : []),
    ...(Array.isArray(asked) ? [`(${asked.map((one) => `${text(at(one, 'permission'))}: ${at(one, 'granted') === true ? 'yes' : 'no'}`).join(', ')})`] : []),
  ]
    .filter((part) => part !== '')
    .join(' ');
}

/** @throws where the text is no JSON object */
export function jsonObject(text: string): { readonly [key: string]: Json } | undefined {
  try {
    // JSON.parse gives JSON.
    const value = JSON.parse(text) as Json;
    return isRecord(value) ? value : undefined;
  } catch {
    // Said by the caller, in the words of the flag.
    return undefined;
  }
}
