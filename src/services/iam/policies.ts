/** Allow policies of service accounts: who may act as them. */
import type { IAM } from '../../gen/google/iam/admin/v1/iam_pb.js';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { Db, Store } from '../../store/database.ts';
import { findServiceAccountName, serviceAccountResource } from '../../store/service-accounts.ts';
import { getPolicy, setPolicy, testPermissions } from '../iam-policy.ts';
import type { Methods } from '../service.ts';
import { parseAccountName } from './names.ts';
import { accountCheck, getAccount } from './service-accounts.ts';

export interface IamDeps {
  readonly store: Store;
  readonly catalogue: Pick<RoleCatalogue, 'role' | 'roles'>;
  /** What organization policies refuse; without it nothing is. */
  readonly constraints?: Pick<ConstraintChecks, 'accountCreation' | 'accountUpdate' | 'grants'>;
}

type PolicyMethods = Pick<Methods<typeof IAM>, 'getIamPolicy' | 'setIamPolicy' | 'testIamPermissions'>;

export function policyMethods({ store, catalogue, constraints }: IamDeps): PolicyMethods {
  const resourceOf = async (db: Db, name: string) => serviceAccountResource(await getAccount(db, name));
  return {
    getIamPolicy: {
      access: { checks: async ({ resource }, look) => [await accountCheck('iam.serviceAccounts.getIamPolicy', resource, look)] },
      handle: async (request, call) => getPolicy(store, await resourceOf(store.read, request.resource), request, catalogue, call),
    },
    setIamPolicy: {
      access: { checks: async ({ resource }, look) => [await accountCheck('iam.serviceAccounts.setIamPolicy', resource, look)] },
      async handle(request, call) {
        const resource = await resourceOf(store.read, request.resource);
        return setPolicy(
          store,
          request,
          {
            resource,
            where: 'serviceAccount',
            check: { permission: 'iam.serviceAccounts.setIamPolicy', resource, asked: request.resource },
            ensure: (db) => getAccount(db, request.resource),
            catalogue,
            constraints,
          },
          call,
        );
      },
    },
    testIamPermissions: {
      access: { authenticated: true, why: 'Says only what the caller itself may do; an account that does not exist answers like one on which it may do nothing.' },
      async handle({ resource: name, permissions }, call) {
        const { project, key } = parseAccountName(name);
        return { permissions: await testPermissions(await findServiceAccountName(store.read, project, key), permissions, call, name) };
      },
    },
  };
}
