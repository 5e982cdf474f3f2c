/** What organization policies say about a job that is about to be created or changed. */
import { create } from '@bufbuild/protobuf';
import type { ApiError } from '../../errors.ts';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { constraintFields } from '../../policy/constraint-fields.ts';
import type { Asker } from '../../policy/org-policy.ts';
import type { ProjectFacts } from './question.ts';
import type { RunDeps } from './run-deps.ts';

type Change = { readonly job: Job; readonly name: string; readonly method: 'CREATE' | 'UPDATE' };

/** @throws FAILED_PRECONDITION: the first refusal */
export async function checkConstraints(deps: Pick<RunDeps, 'constraints'>, change: Change, project: ProjectFacts, asker: Asker): Promise<void> {
  for await (const refusal of constraintRefusals(deps, change, project, asker)) throw refusal;
}

/** Each refusal, for who asks beforehand. */
export async function* constraintRefusals({ constraints }: Pick<RunDeps, 'constraints'>, change: Change, project: ProjectFacts, asker: Asker): AsyncIterable<ApiError> {
  if (constraints === undefined) return;
  yield* constraints.jobRefusals(
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
