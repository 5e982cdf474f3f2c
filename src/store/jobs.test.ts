import { create, toBinary } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { expect, test } from 'vitest';
import { JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { jobMetadata, jobToRow } from './jobs.ts';

test.each([
  ['with everything', { name: 'projects/p/locations/l/jobs/j', uid: '6f9619ff-8b86-d011-b42d-00c04fc964ff', generation: 3n, labels: { a: 'b' }, template: { taskCount: 2 } }],
  ['without a uid', { name: 'projects/p/locations/l/jobs/j', generation: 1n }],
  ['with a uid and nothing else', { uid: 'u' }],
])('metadata of operations is the job without its uid: %s', (_name, fields) => {
  const job = create(JobSchema, fields);
  const expected = anyPack(JobSchema, create(JobSchema, { ...fields, uid: '' }));
  expect(jobMetadata(job)).toEqual(expected);
  expect(jobMetadata(job, jobToRow(job, null).body)).toEqual(expected);
  // What it was cut from is whole.
  expect(jobToRow(job, null).body).toEqual(toBinary(JobSchema, job));
});
