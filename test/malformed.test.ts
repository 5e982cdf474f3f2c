/**
 * Malformed input on every method, generated from the protos: never a 500, no hang, no stack trace, no half write. 501 and 503 only
 * where docs/errors.md lists them. More runs: FUZZ_RUNS=2000 npm run fuzz.
 */
import type { DescField, DescMessage } from '@bufbuild/protobuf';
import { ScalarType } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type Sample, sampleRequests } from './harness/sample-requests.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const RUNS = Number(process.env['FUZZ_RUNS'] ?? 25);
let server: TestServer;
let samples: readonly Sample[];
beforeAll(async () => {
  server = await startTestServer();
  samples = (await sampleRequests(await server.apis())).filter((s) => s.service.methods[s.method.localName] !== 'unimplemented');
});
afterAll(() => server.close());

const weirdText = fc.oneof(
  fc.constantFrom(
    '',
    '-',
    '..',
    '/',
    '%',
    '%00',
    '\u0000',
    'projects/',
    'projects/demo',
    'projects/demo/locations/us-central1/jobs/x',
    '${x}',
    'a'.repeat(5000),
    '*',
    '\ud83d\ude00',
    '0s',
    '1e400',
    'user:',
    'allUsers',
  ),
  fc.string({ maxLength: 40 }),
);
const weirdNumber = fc.constantFrom(0, -1, 1, 2 ** 31 - 1, -(2 ** 31), 2 ** 31, 1.5, 2 ** 53, 1e308);
const anything = fc.oneof(weirdText, weirdNumber, fc.boolean(), fc.constant(null), fc.constant([]), fc.constant({}), fc.jsonValue({ maxDepth: 3 }));

/** JSON that mostly has the right form and sometimes, anywhere, something else. */
function valueOf(desc: DescMessage, depth: number): fc.Arbitrary<unknown> {
  if (desc.typeName.startsWith('google.protobuf.') || depth > 5) return anything;
  const fields = Object.fromEntries(desc.fields.map((field) => [field.jsonName, fieldOf(field, depth)]));
  return fc.oneof(
    {
      weight: 12,
      arbitrary: fc
        .record(fields, { requiredKeys: [] })
        .chain((record) =>
          Object.keys(record).length > 6 ? fc.subarray(Object.entries(record), { maxLength: 6 }).map((entries) => Object.fromEntries(entries)) : fc.constant(record),
        ),
    },
    { weight: 1, arbitrary: anything },
  );
}
function fieldOf(field: DescField, depth: number): fc.Arbitrary<unknown> {
  const plain = (): fc.Arbitrary<unknown> => {
    switch (field.fieldKind) {
      case 'scalar':
        return field.scalar === ScalarType.STRING ? weirdText : field.scalar === ScalarType.BOOL ? fc.boolean() : weirdNumber;
      case 'enum':
        return fc.oneof(fc.constantFrom(...field.enum.values.map((v) => v.name)), fc.integer());
      case 'message':
        return valueOf(field.message, depth + 1);
      case 'map':
        return fc.dictionary(weirdText, weirdText, { maxKeys: 3 });
      case 'list':
        return fc.array(field.listKind === 'message' ? valueOf(field.message, depth + 1) : weirdText, { maxLength: 3 });
    }
  };
  return fc.oneof({ weight: 8, arbitrary: fc.constant(undefined).chain(plain) }, { weight: 1, arbitrary: anything });
}

/** What a reader could notice: the lists of everything that the project holds. */
async function snapshot(): Promise<string> {
  const parts = await Promise.all(
    [
      '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs',
      '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/-/executions',
      '/iam.googleapis.com/v1/projects/demo/serviceAccounts',
    ].map(async (path) => (await server.call('GET', `${path}?fields=jobs(name,generation),executions(name),accounts(email,displayName,disabled)`)).text),
  );
  return parts.join('\n');
}

describe('malformed input', () => {
  test('on every method', { timeout: 300_000 }, async () => {
    const wrong: string[] = [];
    for (const sample of samples) {
      const arbitrary = fc.tuple(
        valueOf(sample.method.input, 0),
        fc.dictionary(fc.constantFrom('pageSize', 'pageToken', 'jobId', 'validateOnly', 'updateMask', 'etag', 'filter', 'fields', 'alt', 'x'), weirdText, { maxKeys: 2 }),
        fc.option(weirdText, { freq: 4, nil: undefined }),
      );
      for (const [body, query, segment] of fc.sample(arbitrary, { numRuns: RUNS, seed: 20261 })) {
        const path = segment === undefined ? sample.path : sample.path.replace(/sample|demo/, encodeURIComponent(segment.toWellFormed()));
        const search = new URLSearchParams(Object.entries(query)).toString();
        const before = await snapshot();
        const answer = await server.call(sample.verb, `${path}${path.includes('?') ? '&' : '?'}${search}`, sample.body === undefined ? undefined : JSON.stringify(body ?? {}));
        const about = `${sample.name} ${sample.verb} ${path}?${search} ${JSON.stringify(body)?.slice(0, 600)} -> ${answer.status} ${answer.text.slice(0, 300)}`;
        if (answer.status >= 500) wrong.push(about);
        else if (answer.status >= 400) {
          // OAuth's errors have a form of their own (RFC 6749 section 5.2).
          const message: unknown = sample.service.dialect === 'oauth' ? answer.json?.error_description : answer.json?.error?.message;
          if (typeof message !== 'string' || message === '' || /\bat .+\.(ts|js):\d+/.test(answer.text)) wrong.push(`no clear error: ${about}`);
          if ((await snapshot()) !== before) wrong.push(`half a write: ${about}`);
        }
        if (wrong.length > 5) break;
      }
    }
    expect(wrong).toEqual([]);
    expect(samples.length * RUNS).toBeGreaterThan(1000);
  });

  test('bytes that are no JSON, no UTF-8, no HTTP body', async () => {
    const path = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs?jobId=x';
    for (const body of ['\u0000', '{"a":', '{"template":1e999}', '\ufeff{}', 'null', '[[[[', '['.repeat(100_000), `{"labels":{"__proto__":"x"},"template":null}`]) {
      const answer = await server.call('POST', path, body);
      expect(answer.status, body.slice(0, 40)).toBe(400);
      expect(answer.json?.error?.status, answer.text).toBe('INVALID_ARGUMENT');
    }
  });
});
