import { expect, test } from 'vitest';
import { ListJobsRequestSchema, UpdateJobRequestSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { checkJson } from './json-check.ts';
import { assignPath, type JsonObject, mergeQuery, systemParameters } from './query-params.ts';

function merged(query: string, json: JsonObject = {}, skip?: string): JsonObject {
  mergeQuery(UpdateJobRequestSchema, new URLSearchParams(query), json, skip);
  return json;
}

test.each([
  ['validateOnly=true&allow_missing', { validateOnly: true, allowMissing: true }],
  ['validateOnly=0', { validateOnly: false }],
  // As Python writes it, and gcloud with it.
  ['validateOnly=False&allowMissing=True', { validateOnly: false, allowMissing: true }],
  ['validateOnly=maybe', { validateOnly: 'maybe' }],
  ['job.launch_stage=4', { job: { launchStage: 4 } }],
  ['job.launchStage=GA&job.etag=e', { job: { launchStage: 'GA', etag: 'e' } }],
  ['validateOnly=false&validateOnly=true', { validateOnly: true }],
  ['quotaUser=me&job.nope=1&job.labels.x=1&__proto__.x=1&constructor=1', {}],
])('%s', (query, expected) => {
  expect(merged(query)).toEqual(expected);
});

test('path and body go before the query', () => {
  expect(merged('validateOnly=true', { validate_only: false })).toEqual({ validate_only: false });
  expect(merged('job.etag=q', { job: { etag: 'b' } }, 'job')).toEqual({ job: { etag: 'b' } });
  const json: JsonObject = { job: { name: 'from the body' } };
  assignPath(UpdateJobRequestSchema, json, 'job.name', 'from the path');
  expect(json).toEqual({ job: { name: 'from the path' } });
});

test('what does not fit is named by the check of the body', () => {
  const json: JsonObject = {};
  mergeQuery(ListJobsRequestSchema, new URLSearchParams('pageSize=many'), json, undefined);
  expect(() => checkJson(ListJobsRequestSchema, json)).toThrow(`Invalid value at 'page_size' (TYPE_INT32), "many"`);
});

test('system parameters', () => {
  const read = (query: string) => systemParameters(new URLSearchParams(query));
  expect(read('')).toEqual({ prettyPrint: true, enumsAsNumbers: false, fields: undefined });
  expect(read('$alt=json;enum-encoding=int&$prettyPrint=false&$fields=a')).toEqual({ prettyPrint: false, enumsAsNumbers: true, fields: 'a' });
  expect(() => read('alt=media')).toThrow('Use alt=json');
});
