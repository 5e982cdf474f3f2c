import { it } from 'vitest';
import { create } from '@bufbuild/protobuf';
import { Jobs, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { createFixture, HELLO, PARENT } from './run-fixture.ts';
import { newExecution, newTasks } from './new-execution.ts';
import { insertTasks } from '../../store/tasks.ts';
import { findJob, jobFromRow } from '../../store/jobs.ts';
it('perf', async () => {
  const f = await createFixture();
  await f.call(Jobs, 'createJob', { parent: PARENT, jobId: 'j', job: { template: { ...HELLO.template, taskCount: 10000 } } });
  const row = await findJob(f.store.read, `${PARENT}/jobs/j`);
  const job = row === undefined ? create(JobSchema) : jobFromRow(row);
  for (let i = 0; i < 3; i++) {
    let t = performance.now();
    const e = newExecution(job, undefined, { name: `${PARENT}/jobs/j/executions/j-abcd${i}`, creator: 'x', now: 1 });
    const rows = newTasks(e, 1);
    console.log('build', performance.now() - t);
    t = performance.now();
    await f.store.write(async (tx) => { const t2 = performance.now(); await insertTasks(tx.db, rows); console.log('insert', performance.now() - t2, rows[0]?.body.length); });
    console.log('write', performance.now() - t);
  }
  await f.close();
});
