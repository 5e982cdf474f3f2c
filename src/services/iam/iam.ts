/**
 * google.iam.admin.v1: service accounts and their allow policies. Keys, roles and the deprecated signing methods answer
 * UNIMPLEMENTED by name.
 *
 * Invariants: an address has at most one living account; the grants of a deleted one are not those of its successor; what a caller
 * may do with an account is decided by the account's own policy and what it inherits, under the name that the store keeps.
 * Must not know: tokens. A disabled or deleted account is refused where callers are authenticated (`isServiceAccountActive`).
 */
import { IAM } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { type AnyService, defineService } from '../service.ts';
import { type IamDeps, policyMethods } from './policies.ts';
import { accountMethods } from './service-accounts.ts';

export function createIamService(deps: IamDeps): AnyService {
  return defineService<typeof IAM>({
    desc: IAM,
    host: 'iam.googleapis.com',
    legacyErrors: true,
    // This API's denials name no resource: facts on `iam.serviceAccounts.create` and `getAccessToken` agree.
    denied: ({ permission }) => `Permission '${permission}' denied on resource (or it may not exist).`,
    methods: {
      ...accountMethods(deps.store),
      ...policyMethods(deps),
      listServiceAccountKeys: 'unimplemented',
      getServiceAccountKey: 'unimplemented',
      createServiceAccountKey: 'unimplemented',
      uploadServiceAccountKey: 'unimplemented',
      deleteServiceAccountKey: 'unimplemented',
      disableServiceAccountKey: 'unimplemented',
      enableServiceAccountKey: 'unimplemented',
      signBlob: 'unimplemented',
      signJwt: 'unimplemented',
      queryGrantableRoles: 'unimplemented',
      listRoles: 'unimplemented',
      getRole: 'unimplemented',
      createRole: 'unimplemented',
      updateRole: 'unimplemented',
      deleteRole: 'unimplemented',
      undeleteRole: 'unimplemented',
      queryTestablePermissions: 'unimplemented',
      queryAuditableServices: 'unimplemented',
      lintPolicy: 'unimplemented',
    },
  });
}
