/** What of a request's or an answer's headers goes on to the other side. */
import type { IncomingHttpHeaders } from 'node:http';

/** Of one connection alone. Source: RFC 9110 section 7.6.1 */
const HOP_BY_HOP = ['connection', 'keep-alive', 'proxy-connection', 'proxy-authenticate', 'proxy-authorization', 'te', 'trailer', 'transfer-encoding', 'upgrade', 'http2-settings'];
/** Who the caller is, or what would turn the method into another one. */
const WITHHELD = [
  'host',
  'expect',
  'authorization',
  'x-serverless-authorization',
  'x-goog-iam-authorization-token',
  'x-goog-iam-authority-selector',
  'cookie',
  'x-http-method-override',
  'x-http-method',
  'x-method-override',
  'forwarded',
  'via',
];
const NEVER_SENT = new Set([...HOP_BY_HOP, ...WITHHELD]);
/** A cookie of an upstream would be one of this server's own name. */
const NEVER_ANSWERED = new Set([...HOP_BY_HOP, 'set-cookie', 'alt-svc', 'strict-transport-security']);
/** Parameters that are a token. */
const TOKENS = ['access_token', 'oauth_token', 'bearer_token', '$httpMethod'];

type Headers = Record<string, string | string[]>;

/** @param own headers of the configuration, in the place of the caller's of the same name */
export function headersToSend(headers: IncomingHttpHeaders, own: Readonly<Record<string, string>>): Headers {
  const kept = keep(headers, NEVER_SENT);
  for (const name of Object.keys(kept)) if (name.startsWith('x-forwarded-')) delete kept[name];
  for (const [name, value] of Object.entries(own)) kept[name.toLowerCase()] = value;
  return kept;
}

export function headersToAnswer(headers: IncomingHttpHeaders): Headers {
  return keep(headers, NEVER_ANSWERED);
}

/** The query as it goes on. */
export function queryToSend(query: URLSearchParams): string {
  const kept = new URLSearchParams(query);
  for (const name of TOKENS) kept.delete(name);
  return kept.size === 0 ? '' : `?${kept.toString()}`;
}

function keep(headers: IncomingHttpHeaders, without: ReadonlySet<string>): Headers {
  const named = new Set((headers.connection ?? '').split(',').map((name) => name.trim().toLowerCase()));
  const kept: Headers = {};
  for (const [name, value] of Object.entries(headers)) if (value !== undefined && !name.startsWith(':') && !without.has(name) && !named.has(name)) kept[name] = value;
  return kept;
}
