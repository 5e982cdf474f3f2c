/** Allow policies of secrets: who may read them. */
import type { SecretManagerService } from '../../gen/google/cloud/secretmanager/v1/service_pb.js';
import { secretResource } from '../../store/secrets.ts';
import { getPolicy, setPolicy, testPermissions } from '../iam-policy.ts';
import type { Methods } from '../service.ts';
import { parseSecretName } from './names.ts';
import { requireSecret, type SecretDeps, secretCheck } from './secrets.ts';

type PolicyMethods = Pick<Methods<typeof SecretManagerService>, 'getIamPolicy' | 'setIamPolicy' | 'testIamPermissions'>;

export function policyMethods({ store, catalogue, constraints }: SecretDeps): PolicyMethods {
  return {
    getIamPolicy: {
      access: { checks: ({ resource }) => [secretCheck('secrets.getIamPolicy', resource, 'resource')] },
      async handle(request, call) {
        const { row } = await requireSecret(store.read, request.resource, call.now());
        return getPolicy(store, secretResource(row.name), request, catalogue, call);
      },
    },
    setIamPolicy: {
      access: { checks: ({ resource }) => [secretCheck('secrets.setIamPolicy', resource, 'resource')] },
      async handle(request, call) {
        const { row } = await requireSecret(store.read, request.resource, call.now());
        return setPolicy(
          store,
          request,
          {
            resource: secretResource(row.name),
            where: 'secret',
            check: secretCheck('secrets.setIamPolicy', request.resource, 'resource'),
            ensure: (db) => requireSecret(db, request.resource, call.now()),
            catalogue,
            constraints,
          },
          call,
        );
      },
    },
    testIamPermissions: {
      access: { authenticated: true, why: 'Says only what the caller itself may do; a secret that does not exist answers like one on which it may do nothing of its own.' },
      async handle({ resource, permissions }, call) {
        parseSecretName(resource, 'resource');
        return { permissions: await testPermissions(secretResource(resource), permissions, call) };
      },
    },
  };
}
