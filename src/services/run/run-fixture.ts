/** For the tests of this folder: the services on a real store in a temporary directory, called as the doors call them, with a caller whose permissions a test sets. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, type DescMessage, type DescMethodUnary, type DescService, fromBinary, type MessageInitShape, type MessageShape, toBinary } from '@bufbuild/protobuf';
import { type Any, anyPack, anyUnpack } from '@bufbuild/protobuf/wkt';
import { permissionDenied } from '../../errors.ts';
import { Condition_State, ConditionSchema } from '../../gen/google/cloud/run/v2/condition_pb.js';
import { type Execution, ExecutionSchema } from '../../gen/google/cloud/run/v2/execution_pb.js';
import { type Job, JobSchema } from '../../gen/google/cloud/run/v2/job_pb.js';
import { openStore, type Store } from '../../store/database.ts';
import { executionFromRow, executionToRow, findExecution, updateExecution } from '../../store/executions.ts';
import { findJob, jobFromRow, jobMetadata, jobToRow, resourceEtag, updateJob } from '../../store/jobs.ts';
import { completeOperation, listOpenOperations, updateOperation } from '../../store/operations.ts';
import { insertProject } from '../../store/projects.ts';
import { insertServiceAccount } from '../../store/service-accounts.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import type { AnyService, Call, Check } from '../service.ts';
import { createRunServices } from './run.ts';
import type { RunDeps } from './run-deps.ts';

export const PARENT = 'projects/demo/locations/us-central1';
export const DEFAULT_ACCOUNT = '123456789012-compute@developer.gserviceaccount.com';

export interface Fixture {
  readonly store: Store;
  /** What was checked, in order: `permission resource`, for others than the caller `member permission resource`. */
  readonly checked: string[];
  /** `permission`, or `member permission`: denied from now on. */
  readonly denied: Set<string>;
  /** `constraint resource`: not enforced there. All others are. */
  readonly lifted: Set<string>;
  /** What `Call.warn` said. */
  readonly warnings: string[];
  /** Decodes, checks access, calls: what dispatch does. */
  call<D extends DescService, M extends keyof D['method'] & string>(
    desc: D,
    method: M,
    request: MessageInitShape<InputOf<D, M>>,
    options?: { readonly signal?: AbortSignal },
  ): Promise<MessageShape<OutputOf<D, M>>>;
  /** Ends the reconciliation of a job, as the loop does. */
  settle(name: string, failure?: string): Promise<Job>;
  /** Ends an execution, as the loop does. */
  end(name: string): Promise<Execution>;
  now: Micros;
  close(): Promise<void>;
}
type InputOf<D extends DescService, M extends keyof D['method']> = D['method'][M] extends DescMethodUnary<infer I> ? I : never;
type OutputOf<D extends DescService, M extends keyof D['method']> = D['method'][M] extends DescMethodUnary<DescMessage, infer O> ? O : never;

export async function createFixture(options: Omit<RunDeps, 'store' | 'orgPolicies'> = {}): Promise<Fixture> {
  const dir = mkdtempSync(join(tmpdir(), 'actas-run-'));
  const store = await openStore(dir);
  await store.write(async (tx) => {
    for (const [project_id, number] of [
      ['demo', '123456789012'],
      ['other', '210987654321'],
    ] as const)
      await insertProject(tx.db, {
        project_id,
        number,
        parent: null,
        display_name: project_id,
        labels: '{}',
        state: 'ACTIVE',
        create_time: 1,
        update_time: 1,
        delete_time: null,
        etag: '',
      });
    for (const [projectId, email] of [
      ['demo', DEFAULT_ACCOUNT],
      ['demo', 'hello@demo.iam.gserviceaccount.com'],
      ['other', 'far@other.iam.gserviceaccount.com'],
    ] as const)
      await insertServiceAccount(tx.db, { projectId, email, displayName: '', description: '', createTime: 1 });
  });
  const lifted = new Set<string>();
  const services = createRunServices({ store, orgPolicies: { isEnforced: async (constraint, resource) => !lifted.has(`${constraint} ${resource}`) }, ...options });
  const checked: string[] = [];
  const warnings: string[] = [];
  const denied = new Set<string>();
  const ask = (who: string, { permission, resource }: Check) => {
    checked.push(`${who}${permission} ${resource}`);
    return !denied.has(`${who}${permission}`);
  };
  const refuse = (service: AnyService, check: Check, message?: string): never => {
    const asked = check.asked ?? check.resource.replace(/^\/\/[^/]+\//, '');
    throw permissionDenied(message ?? service.denied({ ...check, asked }), { permission: check.permission, resource: asked, domain: service.host });
  };
  const fixture: Fixture = {
    store,
    checked,
    denied,
    lifted,
    warnings,
    now: Date.UTC(2026, 0, 1) * 1000,
    async call(desc, method, request, { signal } = {}) {
      const service = services.find((candidate) => candidate.desc.typeName === desc.typeName);
      const served = service?.methods[method];
      if (service === undefined || served === undefined || served === 'unimplemented' || served.handle === undefined) throw new Error(`${desc.typeName}.${method} is not served`);
      const call: Call = {
        principal: { member: 'user:dev@example.com', email: 'dev@example.com', kind: 'user' },
        authorize: async (check, message) => void (ask('', check) || refuse(service, check, message)),
        isAllowed: async (check) => ask('', check),
        isMemberAllowed: async (member, check) => ask(`${member} `, check),
        signal: signal ?? new AbortController().signal,
        log: { debug() {}, info() {}, warn() {}, error() {} },
        now: () => (fixture.now += 1000),
        warn: (message) => void warnings.push(message),
      };
      const { input, output } = desc.method[method] ?? {};
      if (input === undefined || output === undefined) throw new Error(method);
      const message = create(input, request);
      const { access } = served;
      if ('checks' in access) for (const check of await access.checks(message, { serviceAccount: async () => undefined })) await call.authorize(check);
      const answer = create(output, await served.handle(message, call));
      // Over the wire and back: what cannot be encoded must fail here.
      const decoded = fromBinary(output, toBinary(output, answer));
      // The descriptor is the method's own, so the shape is too.
      return decoded as never;
    },
    settle: (name, failure) => settleJob(fixture, name, failure),
    end: (name) => endExecution(fixture, name),
    async close() {
      await store.close();
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return fixture;
}

function settleJob(fixture: Fixture, name: string, failure?: string): Promise<Job> {
  return fixture.store.write(async (tx) => {
    const row = await findJob(tx.db, name);
    if (row === undefined) throw new Error(`no job ${name}`);
    const now = (fixture.now += 1000);
    const job = jobFromRow(row);
    job.reconciling = false;
    job.observedGeneration = job.generation;
    job.terminalCondition = create(ConditionSchema, {
      type: 'Ready',
      state: failure === undefined ? Condition_State.CONDITION_SUCCEEDED : Condition_State.CONDITION_FAILED,
      message: failure ?? '',
      lastTransitionTime: job.terminalCondition?.lastTransitionTime ?? toTimestamp(now),
    });
    if (job.deleteTime !== undefined) job.etag = resourceEtag(name, now);
    await updateJob(tx.db, jobToRow(job, null));
    for (const operation of await listOpenOperations(tx.db, name))
      await updateOperation(tx.db, completeOperation(operation, { metadata: jobMetadata(job), result: { case: 'response', value: anyPack(JobSchema, job) } }));
    tx.touch('operations');
    return job;
  });
}

function endExecution(fixture: Fixture, name: string): Promise<Execution> {
  return fixture.store.write(async (tx) => {
    const row = await findExecution(tx.db, name);
    if (row === undefined) throw new Error(`no execution ${name}`);
    const now = (fixture.now += 1000);
    const execution = executionFromRow(row);
    execution.reconciling = false;
    execution.completionTime = toTimestamp(now);
    await updateExecution(tx.db, executionToRow(execution, { ...row, phase: 'done', delete_time: row.delete_requested === 1 ? now : null }));
    const packed = anyPack(ExecutionSchema, execution);
    for (const operation of await listOpenOperations(tx.db, name))
      await updateOperation(tx.db, completeOperation(operation, { metadata: packed, result: { case: 'response', value: packed } }));
    tx.touch('operations');
    return execution;
  });
}

export function unpackJob(any: Any | undefined): Job {
  const job = any === undefined ? undefined : anyUnpack(any, JobSchema);
  if (job === undefined) throw new Error('not a Job');
  return job;
}
export function unpackExecution(any: Any | undefined): Execution {
  const execution = any === undefined ? undefined : anyUnpack(any, ExecutionSchema);
  if (execution === undefined) throw new Error('not an Execution');
  return execution;
}
/** The recorded job, as its creator sends it. */
export const HELLO = { template: { template: { containers: [{ image: 'us-docker.pkg.dev/cloudrun/container/hello' }] } } };
