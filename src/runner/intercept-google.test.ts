import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { TaskTemplateSchema } from '../gen/google/cloud/run/v2/task_template_pb.js';
import { buildAttemptSpec } from './attempt-spec.ts';

test("Google's names lead a task here, unless its account is to meet the real Google", () => {
  const spec = (serviceAccount: string) =>
    buildAttemptSpec(
      {
        job: 'projects/demo/locations/us-central1/jobs/j',
        execution: 'projects/demo/locations/us-central1/jobs/j/executions/e',
        taskCount: 1,
        template: create(TaskTemplateSchema, { serviceAccount, containers: [{ image: 'i' }] }),
        images: ['sha256:1'],
        resources: [],
      },
      { uid: 'u', index: 0, attempt: 0 },
      { network: undefined, apiUrl: undefined, metadataPort: undefined, realAccounts: new Set(['real@demo.iam.gserviceaccount.com']) },
    );
  expect(spec('here@demo.iam.gserviceaccount.com').interceptGoogle).toBe(true);
  expect(spec('real@demo.iam.gserviceaccount.com').interceptGoogle).toBe(false);
});
