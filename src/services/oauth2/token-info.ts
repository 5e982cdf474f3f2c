/** What a token says of itself, and its end. Sources: https://developers.google.com/identity/sign-in/web/backend-auth , RFC 7009 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { decodeProtectedHeader, type JWTPayload } from 'jose';
import { oauthError } from '../../errors.ts';
import type { LegacyTokenInfoSchema, TokenInfoSchema } from '../../gen/google/oauth2/oauth2_pb.js';
import type { IdTokens } from '../../identity/id-tokens.ts';
import type { Tokens } from '../../identity/tokens.ts';
import { MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';
import { showsEmail, subjectOf } from './user-info.ts';

/** An access token that is good now. */
export interface DescribedToken {
  readonly member: string;
  readonly email: string;
  /** Of a service account; undefined: a user. */
  readonly uniqueId: string | undefined;
  readonly scopes: readonly string[];
  /** Null: never. */
  readonly expireTime: Micros | null;
}

type Info = MessageInitShape<typeof TokenInfoSchema>;

/** Google's answers give an end to every token; that of one without is far. */
const NO_END_SECONDS = 10 * 365 * 24 * 3600;

/** @throws invalid_token for what is no token, or no longer one */
export async function tokenInfo(
  { accessToken, idToken }: { readonly accessToken: string; readonly idToken: string },
  { identity }: { readonly identity: { readonly idTokens: IdTokens; describe(token: string): Promise<DescribedToken | undefined> } },
  now: Micros,
): Promise<Info> {
  if (idToken !== '') {
    const claims = await identity.idTokens.verify(idToken);
    if (claims === undefined) throw oauthError('invalid_token', 'Invalid Value');
    return fromClaims(idToken, claims);
  }
  if (accessToken === '') throw oauthError('invalid_request', 'Missing required parameter: access_token or id_token');
  const token = await identity.describe(accessToken);
  if (token === undefined) throw oauthError('invalid_token', 'Invalid Value');
  const seconds = token.expireTime === null ? NO_END_SECONDS : Math.max(0, Math.floor((token.expireTime - now) / MICROS_PER_SECOND));
  const subject = subjectOf(token);
  return {
    azp: subject,
    aud: subject,
    sub: subject,
    scope: token.scopes.join(' '),
    exp: String(Math.floor(now / MICROS_PER_SECOND) + seconds),
    expiresIn: String(seconds),
    ...(showsEmail(token.scopes) ? { email: token.email, emailVerified: 'true' } : {}),
    accessType: token.uniqueId === undefined ? 'offline' : 'online',
  };
}

/** The older shape of the same. */
export function legacyTokenInfo(info: Info): MessageInitShape<typeof LegacyTokenInfoSchema> {
  return {
    issuedTo: info.azp ?? '',
    audience: info.aud ?? '',
    userId: info.sub ?? '',
    scope: info.scope ?? '',
    expiresIn: Number(info.expiresIn ?? 0),
    email: info.email ?? '',
    verifiedEmail: info.emailVerified === 'true',
    accessType: info.accessType ?? '',
  };
}

/** Ends a token, whoever holds it. @throws invalid_token for what is none */
export async function revoke(token: string, tokens: Pick<Tokens, 'revoke'>): Promise<object> {
  if (token === '') throw oauthError('invalid_request', 'Missing required parameter: token');
  if (!(await tokens.revoke(token))) throw oauthError('invalid_token', 'Token expired or revoked');
  return {};
}

/** Recorded form: every value as text. */
function fromClaims(idToken: string, claims: JWTPayload): Info {
  const text = (value: unknown): string => (typeof value === 'string' ? value : typeof value === 'number' || typeof value === 'boolean' ? String(value) : '');
  const { alg = '', kid = '', typ = '' } = decodeProtectedHeader(idToken);
  return {
    iss: text(claims.iss),
    azp: text(claims['azp']),
    aud: text(claims.aud),
    sub: text(claims.sub),
    email: text(claims['email']),
    emailVerified: text(claims['email_verified']),
    iat: text(claims.iat),
    exp: text(claims.exp),
    alg,
    kid,
    typ,
  };
}
