/** google.longrunning.Operations for changes of deny policies. */
import { notFound } from '../../errors.ts';
import { Operations } from '../../gen/google/longrunning/operations_pb.js';
import type { Store } from '../../store/database.ts';
import { findOperation, operationFromRow } from '../../store/operations.ts';
import { findProject } from '../../store/projects.ts';
import { type AnyService, defineService } from '../service.ts';
import { denyPolicyName, parseDenyOperationName } from './deny-names.ts';
import { denyCheck, denyPolicyDenied } from './deny-policies.ts';

export function createDenyOperationsService({ store }: { readonly store: Store }): AnyService {
  return defineService<typeof Operations>({
    desc: Operations,
    host: 'iam.googleapis.com',
    legacyErrors: false,
    denied: denyPolicyDenied,
    methods: {
      getOperation: {
        access: { checks: ({ name }) => [denyCheck('get', parseDenyOperationName(name))] },
        async handle({ name }) {
          const point = parseDenyOperationName(name);
          const number = point.kind === 'projects' ? (await findProject(store.read, point.id))?.number : point.id;
          const [id = '', , operation = ''] = name.split('/').slice(-3);
          const stored = `${denyPolicyName({ ...point, id: number ?? point.id }, id)}/operations/${operation}`;
          const row = await findOperation(store.read, stored);
          if (row === undefined) throw notFound(`Operation '${stored}' was not found.`);
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
