/** Operations of Service Usage: enabling and disabling is done when they are stored, and the first answer says so. */
import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { notFound } from '../../errors.ts';
import { OperationMetadataSchema } from '../../gen/google/api/serviceusage/v1/resources_pb.js';
import { type Operation, OperationSchema, Operations } from '../../gen/google/longrunning/operations_pb.js';
import type { Db, Store } from '../../store/database.ts';
import { findOperation, insertOperation, operationFromRow, operationToRow } from '../../store/operations.ts';
import type { Micros } from '../../timestamp.ts';
import { type AnyService, defineService } from '../service.ts';
import { SERVICE_USAGE_OPERATIONS } from './operations-outline.ts';
import { usageDenied } from './words.ts';

const HOST = 'serviceusage.googleapis.com';
const NOTHING_TO_DO = 'operations/noop.DONE_OPERATION';

/** Google's answer where everything is so already: it needs no name of its own, as nobody has to ask about it again. */
export function idleOperation(response: Any): Operation {
  return create(OperationSchema, { name: NOTHING_TO_DO, done: true, result: { case: 'response', value: response } });
}

/** Stores the finished operation. @param about the names of the services that were changed */
export async function recordOperation(
  db: Db,
  operation: { readonly projectNumber: string; readonly about: readonly string[]; readonly response: Any },
  now: Micros,
): Promise<Operation> {
  const done = create(OperationSchema, {
    name: `operations/acf.p2-${operation.projectNumber}-${randomUUID()}`,
    done: true,
    metadata: anyPack(OperationMetadataSchema, create(OperationMetadataSchema, { resourceNames: [...operation.about] })),
    result: { case: 'response', value: operation.response },
  });
  // Not in any project's list: the rows of Cloud Run's operations have a project and a location.
  await insertOperation(db, { ...operationToRow(done, `//${HOST}/projects/${operation.projectNumber}`, now), project_id: '', location: '' });
  return done;
}

/** google.longrunning.Operations for Service Usage's own. */
export function createOperationsService({ store }: { readonly store: Store }): AnyService {
  return defineService<typeof Operations>({
    desc: Operations,
    host: HOST,
    legacyErrors: false,
    denied: usageDenied,
    methods: {
      getOperation: {
        access: {
          // The name says which project it is about. What changed nothing is about none, and nobody may ask about it.
          checks: ({ name }) => {
            const number = SERVICE_USAGE_OPERATIONS.owns(name) ? /\.p2-(\d+)-/.exec(name)?.[1] : undefined;
            return [{ permission: 'serviceusage.operations.get', resource: `//${HOST}/projects/${number ?? '0'}`, asked: name }];
          },
        },
        async handle({ name }) {
          const row = await findOperation(store.read, name);
          if (row === undefined) throw notFound(`Operation ${name} was not found.`);
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
