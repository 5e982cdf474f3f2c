/**
 * Cloud Run jobs, API v2: Jobs, Executions, Tasks, and the operations of run.googleapis.com. Hides validation, defaults, names and
 * what a change of a definition writes.
 * Invariants: every change is one transaction that leaves rows for the reconciling loop (a job or execution `reconciling`, an
 * operation that names it); a handler never waits for the loop, and starts nothing itself. Operations are completed by who finishes
 * their target; the two that need nobody (an unchanged update, the deletion of an ended execution) are born done.
 * Must not know: engines, images' contents, tokens, other APIs' services.
 */
import { Executions } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { Jobs } from '../../gen/google/cloud/run/v2/job_pb.js';
import { Tasks } from '../../gen/google/cloud/run/v2/task_pb.js';
import { Operations } from '../../gen/google/longrunning/operations_pb.js';
import { type AnyService, defineService } from '../service.ts';
import { executionMethods } from './executions.ts';
import { jobMethods } from './jobs.ts';
import { operationMethods } from './operations.ts';
import { DENIED, type RunDeps } from './run-deps.ts';
import { taskMethods } from './tasks.ts';

/** Jobs, Executions, Tasks and Operations. The proto package's other services are registered as unimplemented by who calls this. */
export function createRunServices(deps: RunDeps): readonly AnyService[] {
  const api = {
    host: 'run.googleapis.com',
    legacyErrors: false,
    denied: DENIED,
  };
  return [
    defineService({ ...api, desc: Jobs, methods: jobMethods(deps) }),
    defineService({ ...api, desc: Executions, methods: executionMethods(deps) }),
    defineService({ ...api, desc: Tasks, methods: taskMethods(deps) }),
    defineService({ ...api, desc: Operations, methods: operationMethods(deps) }),
  ];
}
