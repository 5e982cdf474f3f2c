/**
 * google.iam.admin.v1: service accounts, their allow policies and keys, roles and permissions.
 *
 * Invariants: an address has at most one living account; the grants of a deleted one are not those of its successor; what a caller
 * may do with an account is decided by the account's own policy and what it inherits, under the name that the store keeps.
 * Must not know: tokens. A disabled or deleted account is refused where callers are authenticated (`isServiceAccountActive`).
 */
import { IAM } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { type AnyService, defineService } from '../service.ts';
import { type KeyDeps, keyMethods } from './keys.ts';
import { createKnownPermissions } from './known-permissions.ts';
import { lintMethods } from './lint-policy.ts';
import { permissionQueries } from './permission-queries.ts';
import { type IamDeps, policyMethods } from './policies.ts';
import { roleDenied, roleMethods } from './roles.ts';
import { accountMethods } from './service-accounts.ts';
import { type SigningDeps, signingMethods } from './signing.ts';

export function createIamService(deps: IamDeps & KeyDeps & SigningDeps): AnyService {
  const roles = { store: deps.store, catalogue: deps.catalogue, known: createKnownPermissions(deps.catalogue) };
  return defineService<typeof IAM>({
    desc: IAM,
    host: 'iam.googleapis.com',
    legacyErrors: true,
    // The proto names the first alone, the reference of the REST API both.
    scopes: ['https://www.googleapis.com/auth/cloud-platform', 'https://www.googleapis.com/auth/iam'],
    // Denials on accounts name no resource: facts on `iam.serviceAccounts.create` and `getAccessToken` agree.
    denied: (check) => roleDenied(check) ?? `Permission '${check.permission}' denied on resource (or it may not exist).`,
    methods: {
      ...accountMethods(deps.store, deps.constraints),
      ...policyMethods(deps),
      ...keyMethods(deps),
      ...signingMethods(deps),
      ...roleMethods(roles),
      ...permissionQueries(roles),
      ...lintMethods(),
    },
  });
}
