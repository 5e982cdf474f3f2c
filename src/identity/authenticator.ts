/**
 * From a bearer token to the principal that it stands for now: the token is good, and the account behind it is active and still the
 * same one. A bearer is an access token of ours, or a JWT that a key of a service account signed for one API.
 */
import type { Clock } from '../timestamp.ts';
import { MICROS_PER_SECOND } from '../timestamp.ts';
import type { AccountStatus, AccountStatuses } from './account-status.ts';
import type { Assertion, Assertions } from './assertion.ts';
import type { OidcCallers } from './oidc-callers.ts';
import { federatedPrincipal, type Principal, parsePrincipal } from './principal.ts';
import { hashToken, type Tokens, type VerifiedToken } from './tokens.ts';

/** Who a bearer token stands for; a reason (of google.api.ErrorReason) where it stands for nobody. */
export type Authentication = { readonly principal: Principal } | { readonly refused: 'ACCESS_TOKEN_EXPIRED' | 'ACCESS_TOKEN_TYPE_UNSUPPORTED' };

export interface AuthenticatorDeps {
  readonly tokens: Pick<Tokens, 'verify'>;
  readonly accounts: Pick<AccountStatuses, 'get'>;
  readonly clock: Clock;
  readonly assertions: Assertions;
  /** Whether a workload identity pool provider still vouches: asked at every request, so answers are kept. */
  isProviderActive(provider: string): boolean | Promise<boolean>;
  /** People who sign in elsewhere, where the configuration names a provider. */
  readonly oidcCallers?: OidcCallers | undefined;
  /** Whether a host (with or without a port) is this server itself, by which a JWT may name it too. */
  isOwnHost(host: string): boolean;
}

export interface Authenticator {
  /** The hot path of every request: no promise where everything is cached. @param host of the API that is called */
  authenticate(token: string, host: string): Authentication | Promise<Authentication>;
  /** Keys changed: every JWT is verified anew. */
  invalidate(): void;
}

const NOBODY: Authentication = { refused: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' };
const EXPIRED: Authentication = { refused: 'ACCESS_TOKEN_EXPIRED' };
const JWT = /^[\w-]+\.[\w-]+\.[\w-]+$/;
/** JWTs that were verified; past it the cache starts over. */
const MAX_CACHED = 10_000;

export function createAuthenticator(deps: AuthenticatorDeps): Authenticator {
  const { tokens, accounts, clock, assertions } = deps;
  let verified = new Map<string, Assertion>();

  const judge = (found: VerifiedToken | undefined): Authentication | Promise<Authentication> => {
    if (found === undefined) return NOBODY;
    if (found.expired) return EXPIRED;
    const { scopes, delegation, federation } = found;
    const principal: Principal = {
      ...(federation === undefined ? parsePrincipal(found.member) : federatedPrincipal(found.member, federation.sets)),
      scopes,
      ...(delegation.length === 0 ? {} : { delegation }),
      ...(found.administrator ? { administrator: true } : {}),
    };
    if (federation !== undefined) {
      const active = deps.isProviderActive(federation.provider);
      return active instanceof Promise ? active.then((known) => (known ? { principal } : EXPIRED)) : active ? { principal } : EXPIRED;
    }
    if (principal.kind === 'user') return { principal };
    const status = accounts.get(principal.email);
    return status instanceof Promise ? status.then((known) => withStatus(known, found.uniqueId, principal)) : withStatus(status, found.uniqueId, principal);
  };

  const judgeJwt = async (jwt: string, host: string): Promise<Authentication> => {
    const key = hashToken(jwt).toString('base64');
    let assertion = verified.get(key);
    if (assertion === undefined) {
      const mine = verified;
      const answer = await assertions.verify(jwt);
      if ('refused' in answer) return answer.expired === true ? EXPIRED : NOBODY;
      assertion = answer;
      if (mine === verified) {
        if (verified.size >= MAX_CACHED) verified.clear();
        verified.set(key, assertion);
      }
    }
    const { email, uniqueId, claims } = assertion;
    if (claims.exp * MICROS_PER_SECOND <= clock.now()) return EXPIRED;
    const scopes = scopesOf(claims, (audience) => names(audience, host) || deps.isOwnHost(audience));
    if (scopes === 'none' || (claims.sub !== undefined && claims.sub !== claims.iss)) return NOBODY;
    const principal: Principal = { ...parsePrincipal(`serviceAccount:${email}`), ...(scopes === 'all' ? {} : { scopes }) };
    return withStatus(await accounts.get(email), uniqueId, principal);
  };

  return {
    authenticate(token, host) {
      if (JWT.test(token)) return deps.oidcCallers?.isIssuerOf(token) === true ? deps.oidcCallers.authenticate(token) : judgeJwt(token, host);
      const found = tokens.verify(token);
      return found instanceof Promise ? found.then(judge) : judge(found);
    },
    invalidate() {
      verified = new Map();
    },
  };
}

/**
 * A JWT is for the API that is its audience, or for its scopes where it names no audience (https://google.aip.dev/auth/4111). One that names
 * both must be meant for this API: an assertion that is on its way to the token endpoint is no access token.
 */
function scopesOf({ aud, scope }: Assertion['claims'], isMeant: (host: string) => boolean): readonly string[] | 'all' | 'none' {
  if (aud !== undefined && !(typeof aud === 'string' && URL.canParse(aud) && isMeant(new URL(aud).host))) return 'none';
  if (typeof scope === 'string' && scope.trim() !== '') return scope.trim().split(/\s+/);
  return aud === undefined ? 'none' : 'all';
}

/** An API's own host, or its host in a region. */
function names(audience: string, host: string): boolean {
  return audience === host || (audience.endsWith(`-${host}`) && /^[a-z]+-[a-z]+\d+$/.test(audience.slice(0, -host.length - 1)));
}

function withStatus(status: AccountStatus, uniqueId: string | undefined, principal: Principal): Authentication {
  // A token of an account that was deleted and made again under the same e-mail is nobody's.
  const isSame = uniqueId === undefined || uniqueId === status.uniqueId;
  if (!status.active || !isSame) return EXPIRED;
  return { principal: status.uniqueId === undefined ? principal : { ...principal, uniqueId: status.uniqueId } };
}
