/** google.longrunning.Operations of run.googleapis.com. There is no cancel, as with the real service: an execution is cancelled by its own method. */
import type { EmptySchema } from '@bufbuild/protobuf/wkt';
import { cancelled, invalidArgument, notFound } from '../../errors.ts';
import type {
  DeleteOperationRequestSchema,
  GetOperationRequestSchema,
  ListOperationsRequestSchema,
  ListOperationsResponseSchema,
  Operation,
  OperationSchema,
  Operations,
  WaitOperationRequestSchema,
} from '../../gen/google/longrunning/operations_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { Store } from '../../store/database.ts';
import { deleteOperation, findOperation, listOperations, operationFromRow } from '../../store/operations.ts';
import { fromDuration } from '../../timestamp.ts';
import type { Methods, Unary } from '../service.ts';
import { ANY, parseLocationName, parseOperationName, projectId, requireLocation, resource, storedName } from './places.ts';
import type { RunDeps } from './run-deps.ts';

const MAX_PAGE = 100;
/** Without a timeout, and at most: long enough to save polls, short enough for proxies between us and the caller. */
const DEFAULT_WAIT_MS = 30_000;
const MAX_WAIT_MS = 300_000;

export function operationMethods(deps: RunDeps): Methods<typeof Operations> {
  return { getOperation: getOperation(deps), listOperations: list(deps), deleteOperation: remove(deps), waitOperation: waitOperation(deps), cancelOperation: 'unimplemented' };
}

function named(permission: string) {
  return {
    checks: ({ name }: { readonly name: string }) => {
      parseOperationName(name, 'name');
      return [{ permission, resource: resource(name) }];
    },
  };
}

async function requireOperation(store: Store, name: string): Promise<Operation> {
  const row = await findOperation(store.read, name);
  if (row === undefined) throw notFound(`Operation '${name}' does not exist.`);
  return operationFromRow(row);
}

function getOperation({ store }: RunDeps): Unary<typeof GetOperationRequestSchema, typeof OperationSchema> {
  return {
    access: named('run.operations.get'),
    handle: async ({ name }) => requireOperation(store, await storedName(store.read, name)),
  };
}

function list({ store }: RunDeps): Unary<typeof ListOperationsRequestSchema, typeof ListOperationsResponseSchema> {
  return {
    access: {
      checks: ({ name }) => {
        parseLocationName(name, 'name');
        return [{ permission: 'run.operations.list', resource: resource(name) }];
      },
    },
    async handle(request) {
      const { projects, locations } = parseLocationName(request.name, 'name');
      if (locations !== ANY) requireLocation(locations);
      const done = parseFilter(request.filter);
      const size = pageSize(request.pageSize, MAX_PAGE, MAX_PAGE);
      const query = ['operations', request.name, request.filter];
      const [createTime, name] = decodePageToken(query, request.pageToken) ?? [];
      const rows = await listOperations(store.read, {
        projectId: await projectId(store.read, projects),
        ...(locations === ANY ? {} : { location: locations }),
        ...(done === undefined ? {} : { done }),
        ...(typeof createTime === 'number' && typeof name === 'string' ? { after: { createTime, name } } : {}),
        limit: size + 1,
      });
      const last = rows.length > size ? rows[size - 1] : undefined;
      return { operations: rows.slice(0, size).map(operationFromRow), nextPageToken: last === undefined ? '' : encodePageToken(query, [last.create_time, last.name]) };
    },
  };
}

function remove({ store }: RunDeps): Unary<typeof DeleteOperationRequestSchema, typeof EmptySchema> {
  return {
    access: named('run.operations.delete'),
    async handle(request) {
      const name = await storedName(store.read, request.name);
      if (!(await store.write((tx) => deleteOperation(tx.db, name)))) throw notFound(`Operation '${name}' does not exist.`);
      return {};
    },
  };
}

function waitOperation({ store }: RunDeps): Unary<typeof WaitOperationRequestSchema, typeof OperationSchema> {
  return {
    access: named('run.operations.get'),
    async handle(request, call) {
      const name = await storedName(store.read, request.name);
      const asked = request.timeout === undefined ? DEFAULT_WAIT_MS : fromDuration(request.timeout);
      if (asked < 0) throw invalidArgument('timeout', 'Must not be negative.');
      const until = AbortSignal.timeout(Math.ceil(Math.min(asked, MAX_WAIT_MS)));
      const operation = await waitUntilDone(store, name, AbortSignal.any([until, call.signal]));
      if (call.signal.aborted && !operation.done) throw cancelled('The caller gave up before the operation was done.');
      return operation;
    },
  };
}

/** @returns the operation as soon as it is done, or as it is when the signal is aborted */
async function waitUntilDone(store: Store, name: string, signal: AbortSignal): Promise<Operation> {
  let wake: () => void = () => undefined;
  const stop = store.onCommit('operations', () => wake());
  signal.addEventListener('abort', () => wake(), { once: true });
  try {
    for (;;) {
      // Made before the read: what is committed after it wakes us.
      const next = new Promise<void>((resolve) => {
        wake = resolve;
      });
      const operation = await requireOperation(store, name);
      if (operation.done || signal.aborted) return operation;
      await next;
    }
  } finally {
    stop();
  }
}

/** @returns whether the operations are to be done; undefined for both */
function parseFilter(filter: string): boolean | undefined {
  const text = filter.trim();
  if (text === '') return undefined;
  const value = /^done\s*[:=]\s*"?(true|false)"?$/i.exec(text)?.[1]?.toLowerCase();
  if (value === undefined) throw invalidArgument('filter', `${JSON.stringify(filter)} is not supported. Use done:true, done:false, or none.`);
  return value === 'true';
}
