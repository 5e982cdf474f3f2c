import { create, fromJson, toJson } from '@bufbuild/protobuf';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { isApiError } from '../errors.ts';
import { CreateJobRequestSchema, JobSchema } from '../gen/google/cloud/run/v2/job_pb.js';
import { checkJson } from './json-check.ts';

function messageOf(json: unknown): string {
  try {
    checkJson(CreateJobRequestSchema, json);
  } catch (error) {
    if (isApiError(error)) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('JSON against its message', () => {
  test.each([
    [{ x: 1 }, `Invalid JSON payload received. Unknown name "x": Cannot find field.`],
    [{ job: { template: { x: 1 } } }, `Invalid JSON payload received. Unknown name "x" at 'job.template': Cannot find field.`],
    [
      { job: { template: { template: { containers: [{ imagee: 'a' }] } } } },
      `Invalid JSON payload received. Unknown name "imagee" at 'job.template.template.containers[0]': Cannot find field.`,
    ],
    [{ job: { template: { taskCount: 'abc' } } }, `Invalid value at 'job.template.task_count' (TYPE_INT32), "abc"`],
    [{ job: { template: { taskCount: 1.5 } } }, `Invalid value at 'job.template.task_count' (TYPE_INT32), 1.5`],
    [{ job: { template: { taskCount: 2147483648 } } }, `Invalid value at 'job.template.task_count' (TYPE_INT32), 2147483648`],
    [{ job: { launchStage: 'SOON' } }, `Invalid value at 'job.launch_stage' (type.googleapis.com/google.api.LaunchStage), "SOON"`],
    [{ job: { labels: { a: 1 } } }, `Invalid value at 'job.labels["a"]' (TYPE_STRING), 1`],
    [
      { job: { template: { template: { timeout: '10m' } } } },
      `Invalid value at 'job.template.template.timeout' (type.googleapis.com/google.protobuf.Duration), Field 'job.template.template.timeout', Illegal duration format; duration must end with "s": "10m"`,
    ],
    [{ job: [] }, `Invalid value at 'job' (type.googleapis.com/google.cloud.run.v2.Job), []`],
    [{ validateOnly: 'yes' }, `Invalid value at 'validate_only' (TYPE_BOOL), "yes"`],
    [{ jobId: 'a', job_id: 'b' }, `Invalid JSON payload received. Duplicate name "job_id": the field was already set as "jobId".`],
    [{ job: { template: { template: { containers: [{ image: 'a' }], maxRetries: 0 } }, launchStage: 4 }, job_id: 'j' }, 'accepted'],
    [{ job: null }, 'accepted'],
  ])('%j', (json, message) => {
    expect(messageOf(json)).toBe(message);
  });

  test('deep nesting is refused, not a stack overflow', () => {
    let json: unknown = {};
    for (let i = 0; i < 5000; i++) json = { job: json };
    expect(messageOf(json)).toMatch(/Unknown name "job" at 'job'/);
  });

  test('what it accepts, protobuf-es can read; it never throws anything but ApiError', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 6 }), fc.constantFrom('job', 'jobId', 'validateOnly', 'parent'), (text, key) => {
        const json: unknown = { [key]: JSON.parse(text) };
        if (messageOf(json) === 'accepted') fromJson(CreateJobRequestSchema, json as Parameters<typeof fromJson>[1]);
      }),
      { numRuns: 500 },
    );
  });

  test('what protobuf-es writes, it accepts', () => {
    const job = create(JobSchema, {
      name: 'projects/p/locations/l/jobs/j',
      generation: 5n,
      labels: { a: 'b' },
      template: { taskCount: 3, template: { containers: [{ image: 'i', resources: { limits: { cpu: '1' } } }], timeout: { seconds: 600n } } },
    });
    expect(() => checkJson(JobSchema, toJson(JobSchema, job))).not.toThrow();
  });
});
