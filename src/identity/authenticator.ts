/** From a bearer token to the principal that it stands for now: the token is good, and the account behind it is active and still the same one. */
import type { AccountStatus, AccountStatuses } from './account-status.ts';
import { type Principal, parsePrincipal } from './principal.ts';
import type { Tokens, VerifiedToken } from './tokens.ts';

/** Who a bearer token stands for; a reason (of google.api.ErrorReason) where it stands for nobody. */
export type Authentication = { readonly principal: Principal } | { readonly refused: 'ACCESS_TOKEN_EXPIRED' | 'ACCESS_TOKEN_TYPE_UNSUPPORTED' };

/** The hot path of every request: no promise where everything is cached. */
export function createAuthenticator({ tokens, accounts }: { readonly tokens: Pick<Tokens, 'verify'>; readonly accounts: Pick<AccountStatuses, 'get'> }) {
  const judge = (found: VerifiedToken | undefined): Authentication | Promise<Authentication> => {
    if (found === undefined) return { refused: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' };
    if (found.expired) return { refused: 'ACCESS_TOKEN_EXPIRED' };
    const principal: Principal = { ...parsePrincipal(found.member), ...(found.administrator ? { administrator: true } : {}) };
    if (principal.kind === 'user') return { principal };
    const status = accounts.get(principal.email);
    return status instanceof Promise ? status.then((known) => withStatus(known, found, principal)) : withStatus(status, found, principal);
  };
  return (token: string): Authentication | Promise<Authentication> => {
    const found = tokens.verify(token);
    return found instanceof Promise ? found.then(judge) : judge(found);
  };
}

function withStatus(status: AccountStatus, found: VerifiedToken, principal: Principal): Authentication {
  // A token of an account that was deleted and made again under the same e-mail is nobody's.
  const isSame = found.uniqueId === undefined || found.uniqueId === status.uniqueId;
  return status.active && isSame ? { principal } : { refused: 'ACCESS_TOKEN_EXPIRED' };
}
