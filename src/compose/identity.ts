/** Who callers and tasks are: tokens, keys, the states of accounts, and the task behind a connection. */
import { isIP } from 'node:net';
import type { Config } from '../config.ts';
import { createAccountKeys } from '../identity/account-keys.ts';
import { type AccountStatuses, createAccountStatuses } from '../identity/account-status.ts';
import { createAssertions } from '../identity/assertion.ts';
import { createAuthenticator } from '../identity/authenticator.ts';
import { findGoogleAccount, type GoogleAccounts } from '../identity/google-account.ts';
import { createIdTokens } from '../identity/id-tokens.ts';
import { createOidcVerifier, type OidcVerifier } from '../identity/oidc.ts';
import { createOidcCallers, type OidcCallers } from '../identity/oidc-callers.ts';
import { createPublicFetch } from '../identity/public-fetch.ts';
import { createSigningKeys } from '../identity/signing-keys.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { TaskIdentity } from '../metadata/server.ts';
import type { LeaseTable } from '../runner/lease-table.ts';
import type { Store } from '../store/database.ts';
import { findProject } from '../store/projects.ts';
import { accountKeyStore } from '../store/service-account-keys.ts';
import { findServiceAccount, isServiceAccountActive } from '../store/service-accounts.ts';
import { signingKeyStore } from '../store/signing-keys.ts';
import { systemClock } from '../timestamp.ts';

export type Identity = ReturnType<typeof createIdentity>;

/** @param names under which this server may be addressed, without ports; more may join while it serves */
export function createIdentity(store: Store, names: ReadonlySet<string>, tokens: Tokens, config: Config) {
  const keys = createSigningKeys({ store: signingKeyStore(store), clock: systemClock });
  const accounts = createAccountStatuses(async (email) => ({
    active: await isServiceAccountActive(store.read, email),
    uniqueId: (await findServiceAccount(store.read, email))?.unique_id,
  }));
  const accountKeys = createAccountKeys({ store: accountKeyStore(store), clock: systemClock });
  const assertions = createAssertions({ keys: accountKeys, accounts, clock: systemClock });
  const isOwnHost = (host: string): boolean => isLoopback(host) || names.has(host.replace(/:\d+$/, ''));
  const oidc = createOidcVerifier({ fetchJson: createPublicFetch((origin) => config.trustedIssuer.includes(origin)), clock: systemClock });
  const providers = createAccountStatuses(async (name) => {
    const { findActiveProvider } = await import('../store/active-provider.ts');
    return { active: (await findActiveProvider(store.read, name)) !== undefined, uniqueId: undefined };
  });
  for (const topic of ['federation', 'hierarchy'] as const) store.onCommit(topic, () => providers.invalidate());
  const isProviderActive = (name: string): boolean | Promise<boolean> => {
    const status = providers.get(name);
    return status instanceof Promise ? status.then(({ active }) => active) : status.active;
  };
  const authenticator = createAuthenticator({ tokens, accounts, clock: systemClock, assertions, isOwnHost, isProviderActive, oidcCallers: oidcCallersOf(config, oidc) });
  const invalidate = (): void => {
    tokens.invalidate();
    accounts.invalidate();
    accountKeys.invalidate();
    authenticator.invalidate();
  };
  // A project's deletion ends its accounts as well.
  for (const topic of ['serviceAccounts', 'serviceAccountKeys', 'hierarchy'] as const) store.onCommit(topic, invalidate);
  const describe = async (token: string) => {
    const found = await authenticator.authenticate(token, 'oauth2.googleapis.com');
    const kept = await tokens.verify(token);
    if ('refused' in found || kept === undefined) return undefined;
    const { member, email, uniqueId } = found.principal;
    return { member, email, uniqueId, scopes: kept.scopes, expireTime: kept.expireTime };
  };
  return { tokens, keys, accounts, accountKeys, assertions, authenticator, isOwnHost, oidc, describe, idTokens: createIdTokens({ keys, clock: systemClock }) };
}

function oidcCallersOf(config: Config, oidc: OidcVerifier): OidcCallers | undefined {
  const { oidcIssuer: issuer, oidcAudience: audience, oidcEmailClaim: emailClaim, oidcGroupsClaim: groupsClaim } = config;
  return issuer === undefined || audience === undefined ? undefined : createOidcCallers({ issuer, audience, emailClaim, groupsClaim }, { oidc, clock: systemClock });
}

function isLoopback(host: string): boolean {
  return /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d+)?$/.test(host);
}

/** The task behind a connection to the metadata server: by its leased address, or by its random host name. */
export function taskLookup(store: Store, leases: LeaseTable, accounts: AccountStatuses, google: GoogleAccounts) {
  return async (connection: { readonly remoteAddress: string; readonly host: string | undefined }): Promise<TaskIdentity | undefined> => {
    const host = connection.host?.replace(/:\d+$/, '') ?? '';
    // A host name that was asked for is known to one task alone; an address is known to everybody, and counts only where the connection is from.
    const lease = leases.lookup(connection.remoteAddress) ?? (isIP(host) === 0 ? leases.lookup(host) : undefined);
    if (lease === undefined) return undefined;
    const project = await findProject(store.read, lease.projectId);
    const account = await accounts.get(lease.serviceAccount);
    const real = findGoogleAccount(google, lease.serviceAccount);
    return {
      attemptId: lease.attemptId,
      serviceAccount: { email: lease.serviceAccount, uniqueId: account.uniqueId ?? '' },
      projectId: lease.projectId,
      projectNumber: project?.number ?? '',
      location: lease.location,
      instanceId: lease.attemptId,
      ...(real === undefined ? {} : { google: real }),
    };
  };
}
