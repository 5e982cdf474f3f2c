import type { IncomingMessage } from 'node:http';
import { describe, expect, test } from 'vitest';
import { ApiError, invalidRequest, notFound, oauthError, unavailable } from '../errors.ts';
import { Control } from '../gen/actas/v1/control_pb.js';
import { isForm, oauthAnswer, oauthParameters } from './oauth.ts';

// Only the headers are read.
const request = (headers: Record<string, string>) => ({ headers }) as unknown as IncomingMessage;
const FORM = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8' };

describe('parameters', () => {
  test('come from the query and from a form', () => {
    const all = oauthParameters(Control.method.issueToken, new URLSearchParams('a=1'), request(FORM), 'b=2+3&c=%26');
    expect([...all]).toEqual([
      ['a', '1'],
      ['b', '2 3'],
      ['c', '&'],
    ]);
    expect(isForm(request({ 'content-type': 'application/json' }))).toBe(false);
  });

  test.each([
    ['token=a&token=b', ''],
    ['token=a', 'token=b'],
  ])('one that is there twice is refused: %s, %s', (query, form) => {
    expect(() => oauthParameters(Control.method.issueToken, new URLSearchParams(query), request(FORM), form)).toThrow('Parameter specified multiple times: token');
  });
});

test.each([
  [oauthError('invalid_grant', 'x'), 400, 'invalid_grant'],
  [oauthError('unauthorized_client', 'x'), 401, 'unauthorized_client'],
  [invalidRequest('x'), 400, 'invalid_request'],
  [notFound('x'), 404, 'invalid_request'],
  [unavailable('x'), 503, 'temporarily_unavailable'],
  [new ApiError('INTERNAL', 'x'), 500, 'server_error'],
])('%o in OAuth’s words', (error, http, code) => {
  expect(oauthAnswer(error)).toEqual({ http, json: { error: code, error_description: 'x' } });
});
