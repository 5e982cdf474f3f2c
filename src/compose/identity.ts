/** Who callers and tasks are: tokens, keys, the states of accounts, and the task behind a connection. */
import { type AccountStatuses, createAccountStatuses } from '../identity/account-status.ts';
import { createIdTokens } from '../identity/id-tokens.ts';
import { createSigningKeys } from '../identity/signing-keys.ts';
import { createTokens } from '../identity/tokens.ts';
import type { TaskIdentity } from '../metadata/server.ts';
import type { LeaseTable } from '../runner/lease-table.ts';
import { accessTokenStore } from '../store/access-tokens.ts';
import type { Store } from '../store/database.ts';
import { findProject } from '../store/projects.ts';
import { findServiceAccount, isServiceAccountActive } from '../store/service-accounts.ts';
import { signingKeyStore } from '../store/signing-keys.ts';
import { systemClock } from '../timestamp.ts';

export type Identity = ReturnType<typeof createIdentity>;

export function createIdentity(store: Store) {
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  const keys = createSigningKeys({ store: signingKeyStore(store), clock: systemClock });
  const accounts = createAccountStatuses(async (email) => ({
    active: await isServiceAccountActive(store.read, email),
    uniqueId: (await findServiceAccount(store.read, email))?.unique_id,
  }));
  // A project's deletion ends its accounts as well.
  store.onCommit('serviceAccounts', () => accounts.invalidate());
  store.onCommit('hierarchy', () => accounts.invalidate());
  return { tokens, keys, accounts, idTokens: createIdTokens({ keys, clock: systemClock }) };
}

/** The task behind a connection to the metadata server: by its leased address, or by its random host name. */
export function taskLookup(store: Store, leases: LeaseTable, accounts: AccountStatuses) {
  return async (connection: { readonly remoteAddress: string; readonly host: string | undefined }): Promise<TaskIdentity | undefined> => {
    const lease = leases.lookup(connection.remoteAddress) ?? (connection.host === undefined ? undefined : leases.lookup(connection.host.replace(/:\d+$/, '')));
    if (lease === undefined) return undefined;
    const project = await findProject(store.read, lease.projectId);
    const account = await accounts.get(lease.serviceAccount);
    return {
      attemptId: lease.attemptId,
      serviceAccount: { email: lease.serviceAccount, uniqueId: account.uniqueId ?? '' },
      projectId: lease.projectId,
      projectNumber: project?.number ?? '',
      location: lease.location,
      instanceId: lease.attemptId,
    };
  };
}
