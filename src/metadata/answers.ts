/** How the metadata server's answers look on the wire: headers, error pages, ETags. */
import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';

export interface Answer {
  readonly status: number;
  readonly type: string;
  readonly body: string;
  readonly location?: string;
}

/** The value of `Server` was seen on Cloud Run; libraries in the field compare it exactly. */
const BASE_HEADERS = { 'Metadata-Flavor': 'Google', Server: 'Metadata Server for Serverless', 'X-XSS-Protection': '0', 'X-Frame-Options': 'SAMEORIGIN' };

export function text(body: string): Answer {
  return { status: 200, type: 'application/text', body };
}
export function json(value: unknown): Answer {
  return { status: 200, type: 'application/json', body: JSON.stringify(value) };
}
export function notFound(path: string): Answer {
  return { status: 404, type: 'text/html', body: page(404, `The requested URL <code>${escape(path.slice(0, 200))}</code> was not found on this server.`) };
}
export function forbidden(path: string, why: string): Answer {
  return { status: 403, type: 'text/html', body: page(403, `Your client does not have permission to get URL <code>${escape(path.slice(0, 200))}</code> from this server. ${why}`) };
}
export function page(status: number, sentence: string): string {
  return `<!DOCTYPE html>\n<html lang=en>\n  <title>Error ${status}</title>\n  <p><b>${status}.</b> <ins>That's an error.</ins>\n  <p>${sentence}  <ins>That's all we know.</ins>\n`;
}
export function escape(value: string): string {
  return value.replace(/[&<>"'\p{Cc}]/gu, (character) => `&#${character.charCodeAt(0)};`);
}
export function etagOf(body: string): string {
  return createHash('sha256').update(body).digest('hex').slice(0, 16);
}

export function send(request: IncomingMessage, response: ServerResponse, answer: Answer): void {
  if (response.headersSent || response.destroyed) return;
  const length = Buffer.byteLength(answer.body);
  response.writeHead(answer.status, {
    ...BASE_HEADERS,
    ...(answer.status === 200 ? { ETag: etagOf(answer.body) } : {}),
    ...(answer.location === undefined ? {} : { Location: answer.location }),
    'Content-Type': answer.type === 'text/html' ? 'text/html; charset=UTF-8' : answer.type,
    'Content-Length': length,
  });
  response.end(request.method === 'HEAD' ? undefined : answer.body);
}
