/**
 * ID tokens of service accounts: RS256 JWTs with the claims that Google's metadata server and IAM Credentials give them
 * (https://docs.cloud.google.com/docs/authentication/token-types#id). Anybody can check them with the published keys.
 */
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose';
import { type Clock, MICROS_PER_SECOND } from '../timestamp.ts';
import type { SigningKeys } from './signing-keys.ts';

export interface IdTokenRequest {
  /** Verbatim into `aud`. */
  readonly audience: string;
  readonly email: string;
  /** 21 digits: `sub` and `azp`. */
  readonly uniqueId: string;
  /** Adds `email` and `email_verified`. */
  readonly includeEmail: boolean;
  /** `azp` is the address, not the number. */
  readonly emailAsAzp?: boolean;
  /** Adds `google.organization_number`; null: the account's project is in none. */
  readonly organizationNumber?: string | null;
  readonly issuer?: string;
}

export interface IdTokens {
  /** @returns the bare JWT, good for an hour */
  mint(request: IdTokenRequest): Promise<string>;
  /** @returns the claims, or undefined where signature, issuer, audience or time are wrong */
  verify(token: string, expected?: { readonly audience?: string; readonly issuer?: string }): Promise<JWTPayload | undefined>;
}

const ISSUER = 'https://accounts.google.com';
const LIFETIME_SECONDS = 3600;

export function createIdTokens(options: { readonly keys: SigningKeys; readonly clock: Clock }): IdTokens {
  const { keys, clock } = options;
  return {
    async mint(request) {
      const { kid, privateKey } = await keys.current();
      const iat = Math.floor(clock.now() / MICROS_PER_SECOND);
      const claims: JWTPayload = { aud: request.audience, azp: request.emailAsAzp === true ? request.email : request.uniqueId };
      if (request.includeEmail) Object.assign(claims, { email: request.email, email_verified: true });
      const { organizationNumber } = request;
      if (organizationNumber !== undefined) claims['google'] = { organization_number: organizationNumber === null ? null : Number(organizationNumber) };
      Object.assign(claims, { exp: iat + LIFETIME_SECONDS, iat, iss: request.issuer ?? ISSUER, sub: request.uniqueId });
      return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid, typ: 'JWT' }).sign(privateKey);
    },
    async verify(token, expected = {}) {
      try {
        const { payload } = await jwtVerify(
          token,
          async (header) => {
            const key = await keys.find(header.kid ?? '');
            if (key === undefined) throw new errors.JWKSNoMatchingKey();
            return key.publicKey;
          },
          {
            algorithms: ['RS256'],
            issuer: expected.issuer ?? ISSUER,
            ...(expected.audience === undefined ? {} : { audience: expected.audience }),
            currentDate: new Date(Math.floor(clock.now() / 1000)),
            requiredClaims: ['exp', 'iat', 'sub'],
          },
        );
        return payload;
      } catch (error) {
        // Everything that can be wrong with a token is a JOSEError; the rest (the store) is not the token's fault.
        if (error instanceof errors.JOSEError) return undefined;
        throw error;
      }
    },
  };
}
