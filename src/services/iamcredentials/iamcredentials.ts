/**
 * google.iam.credentials.v1: short-lived credentials of service accounts, for who may have them. What each method asks is a permission
 * on the account, through a chain of delegates where the request names one (chain.ts).
 *
 * Invariants: a token that is made here names on whose behalf, wherever it is used; nothing is made for an account that is disabled or gone;
 * what the caller may not is answered alike, whether the account exists or not. Must not know: how keys are kept.
 */
import { failedPrecondition, invalidArgument } from '../../errors.ts';
import { IAMCredentials } from '../../gen/google/iam/credentials/v1/credentials_pb.js';
import type { AccountKeys } from '../../identity/account-keys.ts';
import type { IdTokens } from '../../identity/id-tokens.ts';
import { checkClaims } from '../../identity/jwt-claims.ts';
import type { Tokens } from '../../identity/tokens.ts';
import type { Asker, OrgPolicies } from '../../policy/org-policy.ts';
import type { Store } from '../../store/database.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findProject } from '../../store/projects.ts';
import { findServiceAccount, findServiceAccountName, isServiceAccountActive, type ServiceAccountRow, serviceAccountResource } from '../../store/service-accounts.ts';
import { fromDuration, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, defineService, type Lookup, type Methods } from '../service.ts';
import { type Chained, firstCheck, followChain, parseTarget } from './chain.ts';

export interface CredentialsDeps {
  readonly store: Store;
  readonly orgPolicies: OrgPolicies;
  readonly identity: {
    readonly tokens: Pick<Tokens, 'mint'>;
    readonly idTokens: Pick<IdTokens, 'mint'>;
    readonly accountKeys: Pick<AccountKeys, 'sign' | 'signJwt'>;
  };
}

type CredentialMethods = Methods<typeof IAMCredentials>;

const HOUR_MS = 3_600_000;
const EXTENDED_MS = 12 * HOUR_MS;

export function createCredentialsService(deps: CredentialsDeps): AnyService {
  return defineService<typeof IAMCredentials>({
    desc: IAMCredentials,
    host: 'iamcredentials.googleapis.com',
    legacyErrors: false,
    denied: ({ permission }) => `Permission '${permission}' denied on resource (or it may not exist).`,
    methods: { ...tokenMethods(deps), ...signMethods(deps) },
  });
}

function tokenMethods(deps: CredentialsDeps): Pick<CredentialMethods, 'generateAccessToken' | 'generateIdToken'> {
  const { orgPolicies, identity, store } = deps;
  const target = createTarget(store);
  return {
    generateAccessToken: {
      access: { checks: async (request, look) => [await firstCheck(request, 'iam.serviceAccounts.getAccessToken', look)] },
      async handle(request, call) {
        const { account, delegation } = await target(request, 'iam.serviceAccounts.getAccessToken', call);
        if (request.scope.length === 0) throw invalidArgument('scope', 'at least one scope is required.');
        const lifetimeMs = await checkLifetime(request.lifetime === undefined ? HOUR_MS : fromDuration(request.lifetime), account, orgPolicies, call.principal);
        const member = `serviceAccount:${account.email}`;
        const { token, expireTime } = await identity.tokens.mint({ member, scopes: request.scope, lifetimeMs, uniqueId: account.unique_id, delegation });
        return { accessToken: token, ...(expireTime === null ? {} : { expireTime: toTimestamp(expireTime - (expireTime % 1_000_000)) }) };
      },
    },
    generateIdToken: {
      access: { checks: async (request, look) => [await firstCheck(request, 'iam.serviceAccounts.getOpenIdToken', look)] },
      async handle(request, call) {
        const { account } = await target(request, 'iam.serviceAccounts.getOpenIdToken', call);
        if (request.audience === '') throw invalidArgument('audience', 'required field not present.');
        const { email, unique_id: uniqueId } = account;
        const organizationNumber = request.organizationNumberIncluded ? await organizationOf(store, account.project_id) : undefined;
        const { audience, includeEmail, useEmailAzp: emailAsAzp } = request;
        return {
          token: await identity.idTokens.mint({ audience, email, uniqueId, includeEmail, emailAsAzp, ...(organizationNumber === undefined ? {} : { organizationNumber }) }),
        };
      },
    },
  };
}

function signMethods({ identity, store }: CredentialsDeps): Pick<CredentialMethods, 'signBlob' | 'signJwt' | 'getAllowedLocations'> {
  const target = createTarget(store);
  const gone = () => failedPrecondition('The service account was deleted meanwhile.');
  return {
    signBlob: {
      access: { checks: async (request, look) => [await firstCheck(request, 'iam.serviceAccounts.signBlob', look)] },
      async handle(request, call) {
        const { account } = await target(request, 'iam.serviceAccounts.signBlob', call);
        if (request.payload.length === 0) throw invalidArgument('payload', 'required field not present.');
        const signed = await identity.accountKeys.sign(account.email, request.payload);
        if (signed === undefined) throw gone();
        return { keyId: signed.keyId, signedBlob: new Uint8Array(signed.signature) };
      },
    },
    signJwt: {
      access: { checks: async (request, look) => [await firstCheck(request, 'iam.serviceAccounts.signJwt', look)] },
      async handle(request, call) {
        const { account } = await target(request, 'iam.serviceAccounts.signJwt', call);
        const signed = await identity.accountKeys.signJwt(account.email, checkClaims(request.payload, call.now(), { addExpiry: false }));
        if (signed === undefined) throw gone();
        return { keyId: signed.keyId, signedJwt: signed.jwt };
      },
    },
    getAllowedLocations: {
      access: { checks: async ({ name }, look) => [await firstCheck({ name, delegates: [] }, 'iam.serviceAccounts.get', look)] },
      // Trust boundaries are not served: no account is limited.
      handle: async () => ({ encodedLocations: '0x0' }),
    },
  };
}

/** The account at the end of the chain, once all its links hold. */
function createTarget(store: Store) {
  const look: Lookup = { serviceAccount: (project, key) => findServiceAccountName(store.read, project, key) };
  /** Reached only by who may: so it may say what is wrong. @throws FAILED_PRECONDITION */
  const active = async (key: string): Promise<ServiceAccountRow> => {
    const account = await findServiceAccount(store.read, key);
    if (account === undefined) throw failedPrecondition(`Service account ${key} has been deleted.`);
    if (account.disabled === 1) throw failedPrecondition(`Service account ${account.email} is disabled.`);
    if (!(await isServiceAccountActive(store.read, account.email))) throw failedPrecondition(`The project of service account ${account.email} is being deleted.`);
    return account;
  };
  return async (request: Chained, permission: string, call: Call): Promise<{ account: ServiceAccountRow; delegation: readonly string[] }> => {
    const delegation = await followChain(request, permission, call, { look, find: async (key) => (await active(key)).email });
    return { account: await active(parseTarget(request.name, 'name')), delegation };
  };
}

async function organizationOf(store: Store, projectId: string): Promise<string | null> {
  const project = await findProject(store.read, projectId);
  const top = (await listAncestors(store.read, project?.parent ?? null)).at(-1);
  return top?.startsWith('organizations/') === true ? top.slice('organizations/'.length) : null;
}

/** @throws INVALID_ARGUMENT */
async function checkLifetime(lifetimeMs: number, account: ServiceAccountRow, orgPolicies: OrgPolicies, asker: Asker): Promise<number> {
  if (!(lifetimeMs >= 1000)) throw invalidArgument('lifetime', 'must be at least one second.');
  if (lifetimeMs <= HOUR_MS) return lifetimeMs;
  const constraint = 'iam.allowServiceAccountCredentialLifetimeExtension';
  const isExtended = await orgPolicies.isValueAllowed(constraint, serviceAccountResource(account), account.email, asker);
  if (!isExtended) throw invalidArgument('lifetime', `must be at most 3600s. An organization policy with constraints/${constraint} may let ${account.email} have up to 43200s.`);
  if (lifetimeMs > EXTENDED_MS) throw invalidArgument('lifetime', 'must be at most 43200s.');
  return lifetimeMs;
}
