/**
 * Workload identity federation: pools of outside identities (a CI system's, a cluster's) and the OIDC providers that vouch for them.
 * What is declared here is used by the token exchange (services/sts); this folder only keeps it.
 *
 * Invariants: names carry the project's number, whatever the request had; a deleted pool or provider can be brought back for thirty days
 * and its id is taken until then; every change ends what was kept of earlier answers, so that a disabled pool's tokens end at once.
 * Must not know: tokens, keys, or how a mapping is evaluated beyond asking whether it is one.
 */
import { WorkloadIdentityPools } from '../../gen/google/iam/v1/workload_identity_pools_pb.js';
import type { Store } from '../../store/database.ts';
import { type AnyService, defineService } from '../service.ts';
import { createPoolOperationsService } from './pool-operations.ts';
import { poolMethods } from './pools.ts';
import { providerMethods } from './providers.ts';

export function createWorkloadIdentityServices({ store }: { readonly store: Store }): readonly AnyService[] {
  return [
    defineService<typeof WorkloadIdentityPools>({
      desc: WorkloadIdentityPools,
      host: 'iam.googleapis.com',
      legacyErrors: true,
      denied: ({ permission, asked }) => `Permission '${permission}' denied on resource '//iam.googleapis.com/${asked}' (or it may not exist).`,
      methods: { ...poolMethods(store), ...providerMethods(store) },
    }),
    createPoolOperationsService(store),
  ];
}
