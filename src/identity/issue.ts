/** Tokens for those whom the owner of a data directory names. */
import { failedPrecondition, invalidArgument } from '../errors.ts';
import type { Micros } from '../timestamp.ts';
import type { AccountStatuses } from './account-status.ts';
import type { Principal } from './principal.ts';
import { CLOUD_PLATFORM_SCOPE, type Tokens } from './tokens.ts';

export interface IssuedToken {
  readonly token: string;
  readonly expireTime: Micros | null;
  readonly refreshToken?: string;
}

/** What `gcloud auth application-default login` asks its user for, less what actas has no use for. */
const USER_SCOPES = ['openid', 'https://www.googleapis.com/auth/userinfo.email', CLOUD_PLATFORM_SCOPE];

/**
 * An account's token belongs to the account of now, not to a later one of the same name.
 * @throws FAILED_PRECONDITION where it cannot have one, INVALID_ARGUMENT where it cannot have a refresh token
 */
export async function issueToken(
  { member, email, kind }: Principal,
  { tokens, accounts }: { readonly tokens: Pick<Tokens, 'mint' | 'mintRefreshToken'>; readonly accounts: Pick<AccountStatuses, 'get'> },
  { withRefreshToken = false }: { readonly withRefreshToken?: boolean } = {},
): Promise<IssuedToken> {
  if (kind === 'user') {
    if (!withRefreshToken) return tokens.mint({ member });
    const refreshToken = await tokens.mintRefreshToken(member, USER_SCOPES);
    return { ...(await tokens.mint({ member, scopes: USER_SCOPES, refreshToken })), refreshToken };
  }
  if (withRefreshToken) throw invalidArgument('with_refresh_token', `${email} is a service account: it has keys, or is impersonated, but has no refresh token.`);
  const { active, uniqueId } = await accounts.get(email);
  if (!active) throw failedPrecondition(`Service account ${email} does not exist or is disabled: it cannot have a token.`);
  return tokens.mint({ member, ...(uniqueId === undefined ? {} : { uniqueId }) });
}
