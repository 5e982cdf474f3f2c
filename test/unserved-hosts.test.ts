/** Hosts of Google's that nothing here serves: 501 with the host named, through both doors, to those who are known, and audited. */
import { request } from 'node:http';
import { connect } from 'node:http2';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** As a client that was led here by a proxy or a name server: with the API's own name in `Host`. */
function named(host: string, path: string, headers: Record<string, string>): Promise<{ status: number | undefined; text: string }> {
  return new Promise((resolve, reject) => {
    request(`${server.url}${path}`, { headers: { ...headers, host } }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (part: string) => (text += part));
      response.on('end', () => resolve({ status: response.statusCode, text }));
    })
      .on('error', reject)
      .end();
  });
}

const bearer = () => ({ authorization: `Bearer ${server.ownerToken}` });

test.each([
  ['bigquery.googleapis.com', 'bigquery.googleapis.com'],
  ['bigquery.googleapis.com:443', 'bigquery.googleapis.com'],
  ['us-central1-aiplatform.googleapis.com', 'aiplatform.googleapis.com'],
  ['us-docker.pkg.dev', 'us-docker.pkg.dev'],
])('%s answers 501 and is named', async (authority, host) => {
  const answer = await named(authority, '/v1/things', bearer());
  expect(answer.status).toBe(501);
  expect(JSON.parse(answer.text)).toMatchObject({ error: { code: 501, status: 'UNIMPLEMENTED', message: expect.stringContaining(`actas does not serve ${host}.`) } });
});

test('so does its name before the path', async () => {
  const answer = await server.call('POST', '/bigquery.googleapis.com/bigquery/v2/projects/demo/queries', {});
  expect(answer.status).toBe(501);
  expect(answer.json.error.message).toContain('bigquery.googleapis.com');
  expect((await server.call('GET', '/bigquery.googleapis.com/healthz')).status).toBe(501);
});

test('a caller without a token learns nothing, and a foreign page nothing either', async () => {
  expect((await named('bigquery.googleapis.com', '/v1/things', {})).status).toBe(401);
  expect((await named('bigquery.googleapis.com', '/v1/things', { authorization: 'Bearer nonsense' })).status).toBe(401);
  expect((await named('bigquery.googleapis.com', '/v1/things', { ...bearer(), origin: 'https://evil.example' })).status).toBe(403);
  expect((await named('example.com', '/v1/things', bearer())).status).toBe(403);
});

test.each([
  [true, '12'],
  [false, '16'],
])('over gRPC, with a token: %s', async (withToken, status) => {
  const session = connect(server.url);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/google.spanner.v1.Spanner/CreateSession',
    ':authority': 'spanner.googleapis.com',
    'content-type': 'application/grpc',
    te: 'trailers',
    ...(withToken ? bearer() : {}),
  });
  stream.end();
  const headers = await new Promise<Record<string, unknown>>((resolve, reject) => stream.once('response', resolve).once('error', reject));
  expect(headers).toMatchObject({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': status });
  if (withToken) expect(decodeURIComponent(String(headers['grpc-message']))).toContain('actas does not serve spanner.googleapis.com.');
  session.destroy();
});

test('each such call is in the metrics, under no name that a caller chose', async () => {
  await named('bigquery.googleapis.com', '/v1/things', bearer());
  const { text } = await server.call('GET', '/metrics');
  expect(text).toMatch(/actas_requests_total\{method="none",status="UNIMPLEMENTED",door="rest"\} [1-9]/);
  expect(text).not.toContain('bigquery');
});
