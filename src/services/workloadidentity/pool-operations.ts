/** Operations on pools and providers. The work is done in the request's own transaction, so each is finished from the start. */
import { randomBytes } from 'node:crypto';
import { create, type Message } from '@bufbuild/protobuf';
import { type GenMessage } from '@bufbuild/protobuf/codegenv2';
import { anyPack } from '@bufbuild/protobuf/wkt';
import { notFound } from '../../errors.ts';
import { WorkloadIdentityPoolOperationMetadataSchema } from '../../gen/google/iam/v1/workload_identity_pools_pb.js';
import { type Operation, OperationSchema, Operations } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { findOperation, insertOperation, operationFromRow, operationToRow } from '../../store/operations.ts';
import { findProject } from '../../store/projects.ts';
import type { Micros } from '../../timestamp.ts';
import { type AnyService, defineService } from '../service.ts';
import { POOL_OPERATIONS } from './operations-outline.ts';

/** @param name of the pool or provider, as stored */
export async function recordOperation<M extends Message>(db: Db, name: string, schema: GenMessage<M>, response: M, now: Micros): Promise<Operation> {
  const operation = create(OperationSchema, {
    name: `${name}/operations/${randomBytes(8).toString('hex')}`,
    done: true,
    metadata: anyPack(WorkloadIdentityPoolOperationMetadataSchema, create(WorkloadIdentityPoolOperationMetadataSchema)),
    result: { case: 'response', value: anyPack(schema, response) },
  });
  // Not in any project's list: the rows of Cloud Run's operations have a project and a location.
  await insertOperation(db, { ...operationToRow(operation, name, now), project_id: '', location: '' });
  return operation;
}

/** google.longrunning.Operations for pools and providers. */
export function createPoolOperationsService(store: Store): AnyService {
  const target = (name: string) => name.slice(0, name.lastIndexOf('/operations/'));
  return defineService<typeof Operations>({
    desc: Operations,
    host: 'iam.googleapis.com',
    legacyErrors: true,
    denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '//iam.googleapis.com/${asked}' (or it may not exist).`,
    methods: {
      getOperation: {
        access: {
          checks: ({ name }) => [
            {
              permission: name.includes('/providers/') ? 'iam.googleapis.com/workloadIdentityPoolProviders.get' : 'iam.googleapis.com/workloadIdentityPools.get',
              resource: `//iam.googleapis.com/${target(name)}`,
              asked: target(name),
            },
          ],
        },
        async handle({ name }) {
          const row = POOL_OPERATIONS.owns(name) ? await findOperation(store.read, await storedOperation(store.read, name)) : undefined;
          if (row === undefined) throw notFound('Requested entity was not found.');
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

/** With the project's number, as it was recorded. */
async function storedOperation(db: Db, name: string): Promise<string> {
  const [, asked = ''] = name.split('/');
  const project = await findProject(db, asked);
  return project === undefined ? name : `projects/${project.number}${name.slice('projects/'.length + asked.length)}`;
}
