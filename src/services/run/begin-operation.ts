/** Long-running operations at their beginning, and those that never get beyond it (`validate_only`). */
import { randomUUIDv7 } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { type Execution, ExecutionSchema } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { type Operation, OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import type { Tx } from '../../store/database.ts';
import { jobMetadata } from '../../store/jobs.ts';
import { insertOperation, operationToRow } from '../../store/operations.ts';
import type { Micros } from '../../timestamp.ts';

/** Ids grow with time, here as in the uids of what is made: an index then takes them at its end, and a commit of many writes few pages. */
export function newOperationName(target: string): string {
  return `${target.split('/', 4).join('/')}/operations/${randomUUIDv7()}`;
}

/**
 * Stores an operation about a job or execution.
 * @param options.isDone true where nothing is left to do: the response is the resource itself
 * @param options.body the job as it was encoded for its row
 */
export async function beginOperation(
  tx: Tx,
  name: string,
  about: Job | Execution,
  now: Micros,
  { isDone = false, body }: { readonly isDone?: boolean; readonly body?: Uint8Array } = {},
): Promise<Operation> {
  const operation = isDone ? doneOperation(name, about) : create(OperationSchema, { name, metadata: metadataOf(about, body) });
  await insertOperation(tx.db, operationToRow(operation, about.name, now));
  tx.touch('operations');
  return operation;
}

/** What `validate_only` answers: a finished operation that is stored nowhere. */
export function doneOperation(name: string, about: Job | Execution): Operation {
  return create(OperationSchema, { name, done: true, metadata: metadataOf(about), result: { case: 'response', value: pack(about) } });
}

function metadataOf(about: Job | Execution, body?: Uint8Array): Any {
  return about.$typeName === 'google.cloud.run.v2.Job' ? jobMetadata(about, body) : pack(about);
}

function pack(about: Job | Execution): Any {
  return about.$typeName === 'google.cloud.run.v2.Job' ? anyPack(JobSchema, about) : anyPack(ExecutionSchema, about);
}
