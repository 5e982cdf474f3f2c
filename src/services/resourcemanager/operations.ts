/**
 * Operations of Resource Manager: `operations/cp.N` (v3) and `operations/pc.N` (v1). The work is done in the request's own transaction,
 * so each is finished when it is stored; the first answer still shows it unfinished, as Google's does, and the first poll the result.
 */
import { randomBytes } from 'node:crypto';
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyPack, EmptySchema } from '@bufbuild/protobuf/wkt';
import { notFound } from '../../errors.ts';
import { type Operation, OperationSchema, Operations } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { findOperation, insertOperation, operationFromRow, operationToRow } from '../../store/operations.ts';
import type { Micros } from '../../timestamp.ts';
import { type AnyService, defineService } from '../service.ts';
import { RESOURCE_MANAGER_OPERATIONS } from './operations-outline.ts';
import { plainDenied } from './words.ts';

const PROJECT = 'resourcemanager.projects.get';
const FOLDER = 'resourcemanager.folders.get';
const KEY = 'resourcemanager.tagKeys.get';
const VALUE = 'resourcemanager.tagValues.get';
const HOLD = 'resourcemanager.tagHolds.list';
/** By the first letters of an operation's name: what reading it takes on its target. `pc` is v1's, the first letter of the others says create, update, move, delete or undelete. */
const READERS = {
  ...{ pc: PROJECT, cp: PROJECT, up: PROJECT, mp: PROJECT, dp: PROJECT, ud: PROJECT },
  ...{ cf: FOLDER, uf: FOLDER, mf: FOLDER, df: FOLDER, rf: FOLDER },
  ...{ ck: KEY, uk: KEY, dk: KEY, cv: VALUE, uv: VALUE, dv: VALUE, ch: HOLD, dh: HOLD },
} as const;
type OperationKind = keyof typeof READERS;

/** What an operation was about, and what came of it. */
interface Outcome<M extends DescMessage, R extends DescMessage> {
  readonly kind: OperationKind;
  /** Full name of what the reader needs a permission on, projects by id. */
  readonly target: string;
  readonly metadata: readonly [M, MessageShape<M>];
  readonly response: readonly [R, MessageShape<R>];
}

/** Stores the finished operation. @returns the first answer: the name with empty metadata, of a folder's with all of it, in v1 the name alone */
export async function recordOperation<M extends DescMessage, R extends DescMessage>(db: Db, outcome: Outcome<M, R>, now: Micros): Promise<Operation> {
  const name = `operations/${outcome.kind}.${randomBytes(8).readBigUInt64BE()}`;
  const metadata = anyPack(...outcome.metadata);
  const done = create(OperationSchema, { name, done: true, metadata, result: { case: 'response', value: anyPack(...outcome.response) } });
  const row = operationToRow(done, outcome.target, now);
  // Not in any project's list: the rows of Cloud Run's operations have a project and a location.
  await insertOperation(db, { ...row, project_id: '', location: '' });
  if (outcome.kind === 'pc') return create(OperationSchema, { name });
  return create(OperationSchema, { name, metadata: outcome.kind.endsWith('f') ? metadata : anyPack(outcome.metadata[0], create(outcome.metadata[0])) });
}

/** An operation that nobody has to ask about again: recorded for tag bindings, without name and metadata; and the answer to `validate_only`. */
export function finishedOperation<R extends DescMessage>(schema: R, response: MessageShape<R>): Operation {
  return create(OperationSchema, { done: true, result: { case: 'response', value: anyPack(schema, response) } });
}
export function emptyOperation(): Operation {
  return finishedOperation(EmptySchema, create(EmptySchema));
}

/** google.longrunning.Operations for Resource Manager's own. */
export function createOperationsService(deps: { readonly store: Store }): AnyService {
  return defineService<typeof Operations>({
    desc: Operations,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: plainDenied,
    methods: {
      getOperation: {
        access: {
          authenticated: true,
          why: 'Only the operation says what it is about; its name cannot be guessed, and reading it takes the permission to get that.',
        },
        async handle({ name }, call) {
          const permission = readerOf(name);
          const row = permission === undefined ? undefined : await findOperation(deps.store.read, name);
          if (row === undefined || permission === undefined) throw notFound(`Operation ${name} was not found.`);
          await call.authorize({ permission, resource: row.target });
          return operationFromRow(row);
        },
      },
      listOperations: 'unimplemented',
      deleteOperation: 'unimplemented',
      cancelOperation: 'unimplemented',
      waitOperation: 'unimplemented',
    },
  });
}

function readerOf(name: string): string | undefined {
  const readers: Readonly<Record<string, string | undefined>> = READERS;
  return RESOURCE_MANAGER_OPERATIONS.owns(name) ? readers[name.slice('operations/'.length, name.indexOf('.'))] : undefined;
}
