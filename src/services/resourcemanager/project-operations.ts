/**
 * Operations of Resource Manager: `operations/cp.N` (v3) and `operations/pc.N` (v1). The work is done in the request's own transaction,
 * so each is finished when it is stored; the first answer still shows it unfinished, as Google's does, and the first poll the result.
 */
import { randomBytes } from 'node:crypto';
import { create, type DescMessage, type MessageShape } from '@bufbuild/protobuf';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { notFound } from '../../errors.ts';
import { type Operation, OperationSchema, Operations } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { findOperation, insertOperation, operationFromRow, operationToRow } from '../../store/operations.ts';
import type { Micros } from '../../timestamp.ts';
import { type AnyService, defineService } from '../service.ts';
import { nodeResource } from './names.ts';
import { RESOURCE_MANAGER_OPERATIONS } from './operations-outline.ts';
import { plainDenied } from './words.ts';

/** cp, up, dp, ud: create, update, delete, undelete in v3. pc: create in v1. */
export type OperationKind = 'cp' | 'up' | 'dp' | 'ud' | 'pc';

/** Stores the finished operation. @returns the first answer: the name with empty metadata, in v1 the name alone */
export async function recordOperation<M extends DescMessage, R extends DescMessage>(
  db: Db,
  operation: { readonly kind: OperationKind; readonly projectId: string; readonly metadata: readonly [M, MessageShape<M>]; readonly response: readonly [R, MessageShape<R>] },
  now: Micros,
): Promise<Operation> {
  const name = `operations/${operation.kind}.${randomBytes(8).readBigUInt64BE()}`;
  const metadata = anyPack(...operation.metadata);
  const done = create(OperationSchema, { name, done: true, metadata, result: { case: 'response', value: anyPack(...operation.response) } });
  const row = operationToRow(done, nodeResource({ kind: 'projects', id: operation.projectId }), now);
  // Not in any project's list: the rows of Cloud Run's operations have a project and a location.
  await insertOperation(db, { ...row, project_id: '', location: '' });
  return create(OperationSchema, operation.kind === 'pc' ? { name } : { name, metadata: anyPack(operation.metadata[0], create(operation.metadata[0])) });
}

/** google.longrunning.Operations for Resource Manager's own. */
export function createProjectOperationsService(deps: { readonly store: Store }): AnyService {
  return defineService<typeof Operations>({
    desc: Operations,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: plainDenied,
    methods: {
      getOperation: {
        access: {
          authenticated: true,
          why: 'Only the operation says which project it is about; its name cannot be guessed, and reading it takes resourcemanager.projects.get on that project.',
        },
        async handle({ name }, call) {
          const row = await findOperation(deps.store.read, name);
          if (row === undefined || !RESOURCE_MANAGER_OPERATIONS.owns(name)) throw notFound(`Operation ${name} was not found.`);
          await call.authorize({ permission: 'resourcemanager.projects.get', resource: row.target });
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
