/**
 * People who sign in with an OpenID Connect provider of their own: an ID token of it is a bearer token here. The claim of their address
 * makes them `user:ADDRESS`; a claim of groups, where the configuration names one, makes them members of `group:ADDRESS` as well.
 *
 * Invariants: only tokens of the configured issuer for the configured audience count; an address that the provider says is not verified
 * is nobody's; a token that was verified is not verified again before it ends, and never honoured past that.
 */
import { decodeJwt } from 'jose';
import type { Clock } from '../timestamp.ts';
import { MICROS_PER_SECOND } from '../timestamp.ts';
import type { Authentication } from './authenticator.ts';
import type { OidcVerifier } from './oidc.ts';
import { type Principal, parsePrincipal } from './principal.ts';
import { hashToken } from './tokens.ts';

export interface OidcCallersConfig {
  readonly issuer: string;
  readonly audience: string;
  /** Claim that holds the address; `email` by default. */
  readonly emailClaim: string;
  /** Claim that holds groups' addresses: a list, or one; undefined: none. */
  readonly groupsClaim: string | undefined;
}

export interface OidcCallers {
  /** Whether a JWT says that it is of this issuer; says nothing about whether it is good. */
  isIssuerOf(jwt: string): boolean;
  authenticate(jwt: string): Authentication | Promise<Authentication>;
}

interface Known {
  readonly principal: Principal;
  /** Seconds. */
  readonly exp: number;
}

const NOBODY: Authentication = { refused: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' };
const EXPIRED: Authentication = { refused: 'ACCESS_TOKEN_EXPIRED' };
const MAX_KNOWN = 10_000;
const MAX_GROUPS = 500;
const ADDRESS = /^[^\s@:]{1,128}@[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?$/i;

export function createOidcCallers(config: OidcCallersConfig, { oidc, clock }: { readonly oidc: OidcVerifier; readonly clock: Clock }): OidcCallers {
  const known = new Map<string, Known>();
  const atNow = ({ principal, exp }: Known): Authentication => (exp * MICROS_PER_SECOND > clock.now() ? { principal } : EXPIRED);
  return {
    isIssuerOf(jwt) {
      try {
        return decodeJwt(jwt).iss === config.issuer;
      } catch {
        // Three parts with dots between that are no JWT.
        return false;
      }
    },
    authenticate(jwt) {
      const key = hashToken(jwt).toString('base64');
      const hit = known.get(key);
      if (hit !== undefined) return atNow(hit);
      return oidc.verify(jwt, { issuer: config.issuer, audiences: [config.audience] }).then((verdict) => {
        if ('refused' in verdict) return /expired/i.test(verdict.refused) ? EXPIRED : NOBODY;
        const principal = principalOf(verdict.claims, config);
        if (principal === undefined) return NOBODY;
        if (known.size >= MAX_KNOWN) known.clear();
        const entry = { principal, exp: verdict.claims.exp ?? 0 };
        known.set(key, entry);
        return atNow(entry);
      });
    },
  };
}

function principalOf(claims: Readonly<Record<string, unknown>>, { emailClaim, groupsClaim }: OidcCallersConfig): Principal | undefined {
  const email = claims[emailClaim];
  if (typeof email !== 'string' || !ADDRESS.test(email) || !isVerified(claims['email_verified'])) return undefined;
  const said = groupsClaim === undefined ? [] : claims[groupsClaim];
  const groups = (Array.isArray(said) ? said : [said]).filter((group): group is string => typeof group === 'string' && ADDRESS.test(group));
  return { ...parsePrincipal(`user:${email}`), sets: groups.slice(0, MAX_GROUPS).map((group) => `group:${group.toLowerCase()}`) };
}

/** Not every provider says; some say it as a text. What is said and is not yes is no. */
function isVerified(said: unknown): boolean {
  return said === undefined || said === true || said === 'true';
}
