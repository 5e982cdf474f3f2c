/**
 * How REST speaks to OAuth 2.0 clients, for the services that declare it (`dialect: 'oauth'`): forms beside JSON, a token in the
 * `Authorization` header in place of the parameter `access_token`, and errors as `{error, error_description}`.
 * Sources: RFC 6749 sections 3.2 and 5.2, RFC 6750 section 2.
 */
import type { IncomingMessage } from 'node:http';
import type { DescMethod } from '@bufbuild/protobuf';
import { type ApiError, OAUTH_DOMAIN, oauthError, STATUS } from '../errors.ts';

/** No endpoint has a quarter of it. */
const MAX_PARAMETERS = 100;

export function isForm(request: IncomingMessage): boolean {
  return /^application\/x-www-form-urlencoded\b/i.test(request.headers['content-type'] ?? '');
}

/** All parameters of a request, wherever it carries them. @throws INVALID_ARGUMENT for one that is there twice: two readers could take either */
export function oauthParameters({ input }: DescMethod, query: URLSearchParams, request: IncomingMessage, text: string): URLSearchParams {
  const all = new URLSearchParams(query);
  if (isForm(request)) for (const [key, value] of new URLSearchParams(text)) all.append(key, value);
  const seen = new Set<string>();
  for (const key of all.keys()) {
    if (seen.has(key)) throw oauthError('invalid_request', `Parameter specified multiple times: ${key.slice(0, 100)}`);
    seen.add(key);
    // Looking a parameter up is a walk over all of them, and nobody has proven anything yet.
    if (seen.size > MAX_PARAMETERS) throw oauthError('invalid_request', `More than ${MAX_PARAMETERS} parameters.`);
  }
  const bearer = /^bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1];
  const takesToken = input.fields.some((field) => field.name === 'access_token');
  if (bearer !== undefined && takesToken && !all.has('access_token') && !all.has('id_token')) all.set('access_token', bearer);
  return all;
}

/** Body and HTTP status of an error. */
export function oauthAnswer(error: ApiError): { readonly http: number; readonly json: { readonly error: string; readonly error_description: string } } {
  const { http } = STATUS[error.status];
  return { http, json: { error: codeOf(error), error_description: error.message } };
}

function codeOf(error: ApiError): string {
  for (const { type, value } of error.details) if (type === 'google.rpc.ErrorInfo' && value.domain === OAUTH_DOMAIN) return value.reason;
  // What other layers refuse (a body that is no form, a server that stops), in the words of RFC 6749.
  if (error.status === 'UNAVAILABLE') return 'temporarily_unavailable';
  return STATUS[error.status].http >= 500 ? 'server_error' : error.status === 'PERMISSION_DENIED' ? 'access_denied' : 'invalid_request';
}
