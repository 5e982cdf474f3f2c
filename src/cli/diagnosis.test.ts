import { expect, test } from 'vitest';
import { bypassesGoogle } from '../identity/front-names.ts';
import { diagnose } from './diagnosis.ts';

const url = 'http://127.0.0.1:8787';
const authority = '-----BEGIN CERTIFICATE-----\nours\n-----END CERTIFICATE-----\n';
const files: Record<string, string> = { '/ours.pem': `${authority}others`, '/theirs.pem': 'others', '/adc.json': '{"type":"authorized_user","refresh_token":"x"}' };
const find = (env: Record<string, string>, platform = 'linux') => diagnose({ env, url, authority, platform, read: (file) => files[file] });
const ours = { HTTPS_PROXY: url, https_proxy: url, NODE_OPTIONS: '--require="/x/node-proxy.cjs"' };

test('a shell that is set up, and one that says nothing, have nothing wrong', () => {
  expect(find({})).toEqual([]);
  expect(find({ ...ours, SSL_CERT_FILE: '/ours.pem', CLOUDSDK_PROXY_TYPE: 'http', CLOUDSDK_PROXY_ADDRESS: '127.0.0.1', CLOUDSDK_PROXY_PORT: '8787' })).toEqual([]);
  // A company's proxy and bundle are nobody's mistake where clients are not led here.
  expect(find({ HTTPS_PROXY: 'http://proxy.corp.example:3128', REQUESTS_CA_BUNDLE: '/theirs.pem' })).toEqual([]);
});

test.each<[Record<string, string>, RegExp, string]>([
  [{ ...ours, https_proxy: 'http://u:secret@proxy.corp.example:3128' }, /^https_proxy leads to http:\/\/proxy\.corp\.example:3128/, 'eval "$(actas env)"'],
  [{ ...ours, NO_PROXY: 'localhost,.googleapis.com' }, /^NO_PROXY takes \.googleapis\.com past the proxy/, 'eval "$(actas env)"'],
  [{ ...ours, CLOUDSDK_PROXY_ADDRESS: '127.0.0.1' }, /CLOUDSDK_PROXY_TYPE, CLOUDSDK_PROXY_PORT is missing/, 'eval "$(actas env)"'],
  [{ ...ours, REQUESTS_CA_BUNDLE: '/theirs.pem' }, /^REQUESTS_CA_BUNDLE names \/theirs\.pem, which does not hold/, 'eval "$(actas env)"'],
  [{ ...ours, SSL_CERT_FILE: '/none.pem' }, /cannot be read/, 'eval "$(actas env)"'],
  [{ ...ours, NODE_TLS_REJECT_UNAUTHORIZED: '0' }, /turns the check of certificates off/, 'unset NODE_TLS_REJECT_UNAUTHORIZED'],
  [{ CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN: `${url}/` }, /names no region/, `export CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN=${url}/r/us-central1/`],
  [{ CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM: 'http://localhost:9999/' }, /does not lead to/, `export CLOUDSDK_API_ENDPOINT_OVERRIDES_IAM=${url}/iam.googleapis.com/`],
  [{ CLOUDSDK_CORE_UNIVERSE_DOMAIN: 'corp.example' }, /other names than Google's/, 'unset CLOUDSDK_CORE_UNIVERSE_DOMAIN'],
  [{ ...ours, GOOGLE_APPLICATION_CREDENTIALS: '/adc.json' }, /are of another place/, 'eval "$(actas env)"'],
])('%j', (env, text, remedy) => {
  expect(find(env)).toEqual([{ ok: false, text: expect.stringMatching(text), remedy }]);
});

test('in a shell that exec did not start, what Node does not lead here is spoken of', () => {
  expect(find({ ...ours, NODE_OPTIONS: '' })).toEqual([{ ok: true, text: expect.stringContaining("REST fallback of Google's clients"), remedy: 'actas exec -- node PROGRAM' }]);
});

test('on macOS Go is spoken of', () => {
  expect(find(ours, 'darwin')).toEqual([{ ok: true, text: expect.stringContaining('Go programs on macOS'), remedy: expect.stringContaining('security add-trusted-cert') }]);
});

test('which entries of NO_PROXY take a Google API past the proxy', () => {
  expect(
    ['*', '.googleapis.com', 'googleapis.com', '*.googleapis.com', 'run.googleapis.com', 'RUN.googleapis.com:443', 'com', '.com', 'google.com', 'app'].filter(
      (entry) => !bypassesGoogle(entry),
    ),
  ).toEqual([]);
  expect(['localhost', 'corp.example', 'evilgoogleapis.com', '10.0.0.0/8', '127.0.0.1'].filter(bypassesGoogle)).toEqual([]);
});
