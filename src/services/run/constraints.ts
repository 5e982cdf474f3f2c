/** What organization policies say about a job that is about to be created or changed. */
import { create } from '@bufbuild/protobuf';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { constraintFields } from '../../policy/constraint-fields.ts';
import type { Asker } from '../../policy/org-policy.ts';
import type { ProjectFacts } from './question.ts';
import type { RunDeps } from './run-deps.ts';

/** @throws FAILED_PRECONDITION */
export async function checkConstraints(
  { constraints }: Pick<RunDeps, 'constraints'>,
  change: { readonly job: Job; readonly name: string; readonly method: 'CREATE' | 'UPDATE' },
  project: ProjectFacts,
  asker: Asker,
): Promise<void> {
  await constraints?.jobChange(
    {
      ...change,
      async fields() {
        // Custom constraints name the fields of version 1; its code is loaded for those who have some.
        const [{ JobSchema: V1JobSchema }, { jobToV1 }] = await Promise.all([import('../../gen/google/cloud/run/v1/resources_pb.js'), import('./v1/objects.ts')]);
        return constraintFields(V1JobSchema, create(V1JobSchema, jobToV1(create(JobSchema, { ...change.job, name: change.name }), project.number, null)));
      },
    },
    asker,
  );
}
