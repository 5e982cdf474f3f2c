import fc from 'fast-check';
import { expect, test } from 'vitest';
import { createAddressing } from './address.ts';

const { resolve, checkOrigin } = createAddressing(new Set(['run.googleapis.com', 'iam.googleapis.com']), new Set(['10.1.2.1']));
const at = (authority: string, url: string) => {
  const { host, region, path, query } = resolve(authority, url);
  return [host, region, path, query.toString()];
};

test.each([
  ['run.googleapis.com', '/v2/x?a=1&b=%20', ['run.googleapis.com', undefined, '/v2/x', 'a=1&b=+']],
  ['RUN.googleapis.com:443', '/v2/x', ['run.googleapis.com', undefined, '/v2/x', '']],
  ['us-central1-run.googleapis.com', '/v2/x', ['run.googleapis.com', 'us-central1', '/v2/x', '']],
  ['localhost:1', '/iam.googleapis.com/v1/x', ['iam.googleapis.com', undefined, '/v1/x', '']],
  ['[::1]:1', '/europe-west1-run.googleapis.com/v1/x', ['run.googleapis.com', 'europe-west1', '/v1/x', '']],
  ['10.1.2.1:8787', '/v1/x', [undefined, undefined, '/v1/x', '']],
  ['localhost', '/unknown.googleapis.com/v1/x', [undefined, undefined, '/v1/x', '']],
  // One prefix, and none where the name has said it already.
  ['localhost', '/run.googleapis.com/iam.googleapis.com/v1/x', ['run.googleapis.com', undefined, '/iam.googleapis.com/v1/x', '']],
  ['run.googleapis.com', '/iam.googleapis.com/v1/x', ['run.googleapis.com', undefined, '/iam.googleapis.com/v1/x', '']],
  // Terraform's google provider says the version of an http endpoint twice.
  ['localhost', '/iam.googleapis.com/v1/v1/projects/x', ['iam.googleapis.com', undefined, '/v1/projects/x', '']],
  ['localhost', '/iam.googleapis.com/v2beta/v2beta/x', ['iam.googleapis.com', undefined, '/v2beta/x', '']],
  ['localhost', '/iam.googleapis.com/v1/v2/x', ['iam.googleapis.com', undefined, '/v1/v2/x', '']],
  ['localhost', '/iam.googleapis.com/v1/v1beta/x', ['iam.googleapis.com', undefined, '/v1/v1beta/x', '']],
  ['iam.googleapis.com', '/v1/v1/x', ['iam.googleapis.com', undefined, '/v1/v1/x', '']],
  // Nothing is normalised away.
  ['localhost', '//evil.example/v1/x', [undefined, undefined, '//evil.example/v1/x', '']],
  ['localhost', '/run.googleapis.com/../iam.googleapis.com/v1/x', ['run.googleapis.com', undefined, '/../iam.googleapis.com/v1/x', '']],
  ['localhost', '/%2e%2e/v1', [undefined, undefined, '/%2e%2e/v1', '']],
  ['localhost', '*', [undefined, undefined, '*', '']],
  ['localhost:1', 'http://LOCALHOST:1/v1/x?y=z', [undefined, undefined, '/v1/x', 'y=z']],
])('%s %s', (authority, url, expected) => {
  expect(at(authority, url)).toEqual(expected);
});

test.each([
  ['evil.example', '/', 'is not a name of this server'],
  ['run.googleapis.com.evil.example', '/', 'is not a name of this server'],
  ['localhost', 'http://evil.example/v1', 'different hosts'],
  ['localhost', 'http://[/v1', 'different hosts'],
  [undefined, '/', 'names no host'],
  ['a b', '/', 'names no host'],
  ['evilgoogleapis.com', '/', 'is not a name of this server'],
])('%s %s is refused', (authority, url, message) => {
  expect(() => resolve(authority, url)).toThrow(message);
});

test('whatever the target is, it is resolved or refused by an error of ours', () => {
  fc.assert(
    fc.property(fc.string(), (url) => {
      try {
        resolve('localhost', url);
      } catch (error) {
        expect(error).toMatchObject({ name: 'ApiError' });
      }
    }),
  );
});

test('a page of our own origin may call, others may not', () => {
  checkOrigin({ origin: 'http://localhost:1', 'sec-fetch-site': 'same-origin' }, 'localhost:1');
  checkOrigin({ 'sec-fetch-site': 'none' }, 'localhost:1');
  for (const headers of [{ origin: 'http://localhost:2' }, { origin: 'null' }, { origin: '' }, { origin: 'http://localhost:1.evil.example' }, { 'sec-fetch-site': 'cross-site' }])
    expect(() => checkOrigin(headers, 'localhost:1')).toThrow('refused');
});
