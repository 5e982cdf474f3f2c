/** The token endpoint: an assertion or a refresh token in, an access or ID token out. Sources: RFC 6749, RFC 7523, https://developers.google.com/identity/protocols/oauth2/service-account */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { isApiError, oauthError } from '../../errors.ts';
import type { CreateTokenRequest, TokenSchema } from '../../gen/google/oauth2/oauth2_pb.js';
import type { Assertion, Assertions } from '../../identity/assertion.ts';
import type { IdTokens } from '../../identity/id-tokens.ts';
import { REFRESH_CLIENT } from '../../identity/principal.ts';
import type { Tokens } from '../../identity/tokens.ts';
import { MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';

export interface TokenEndpointDeps {
  readonly tokens: Pick<Tokens, 'mint' | 'verifyRefreshToken'>;
  readonly idTokens: Pick<IdTokens, 'mint'>;
  readonly assertions: Assertions;
  isOwnHost(host: string): boolean;
}

type Answer = MessageInitShape<typeof TokenSchema>;

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
/** By which an assertion may name the token endpoint, whatever it was sent to: libraries write Google's address whatever the key file says. */
const AUDIENCES = new Set(['https://oauth2.googleapis.com/token', 'https://www.googleapis.com/oauth2/v4/token', 'https://accounts.google.com/o/oauth2/token']);
const OWN_PATHS = new Set(['/token', '/oauth2.googleapis.com/token', '/www.googleapis.com/oauth2/v4/token', '/oauth2/v4/token']);

export function createTokenEndpoint(deps: TokenEndpointDeps): (request: CreateTokenRequest, now: Micros) => Promise<Answer> {
  return async (request, now) => {
    switch (request.grantType) {
      case JWT_BEARER:
        return fromAssertion(request.assertion, deps, now);
      case 'refresh_token':
        return fromRefreshToken(request, deps, now);
      case '':
        throw oauthError('invalid_request', 'Missing required parameter: grant_type');
      default:
        throw oauthError('unsupported_grant_type', `Invalid grant_type: ${request.grantType.slice(0, 100)}`);
    }
  };
}

async function fromAssertion(jwt: string, deps: TokenEndpointDeps, now: Micros): Promise<Answer> {
  if (jwt === '') throw oauthError('invalid_request', 'Missing required parameter: assertion');
  const assertion = await deps.assertions.verify(jwt);
  if ('refused' in assertion) throw oauthError('invalid_grant', assertion.refused);
  const { email, uniqueId, claims } = assertion;
  checkAudience(claims, deps);
  // Speaking for somebody else takes a grant of the Workspace domain's administrator, whom actas does not know.
  const sub: unknown = claims.sub;
  if (sub !== undefined && (typeof sub !== 'string' || sub.toLowerCase() !== email))
    throw oauthError('unauthorized_client', 'Client is unauthorized to retrieve access tokens using this method, or client not authorized for any of the scopes requested.');
  const { scope, target_audience: audience } = claims;
  if (typeof audience === 'string' && audience !== '') return { idToken: await deps.idTokens.mint({ audience, email, uniqueId, includeEmail: true }) };
  const scopes = typeof scope === 'string' ? scope.split(/\s+/).filter((one) => one !== '') : [];
  if (scopes.length === 0) throw invalidScope();
  return accessToken({ member: `serviceAccount:${email}`, scopes, uniqueId }, deps, now);
}

/** An assertion for somewhere else is not one for us, even by a key that we know. */
function checkAudience({ aud }: Assertion['claims'], deps: TokenEndpointDeps): void {
  if (typeof aud === 'string') {
    if (AUDIENCES.has(aud)) return;
    const url = URL.canParse(aud) ? new URL(aud) : undefined;
    if (url !== undefined && deps.isOwnHost(url.host) && OWN_PATHS.has(url.pathname)) return;
  }
  throw oauthError('invalid_grant', 'Invalid JWT: Failed audience check. The right audience is https://oauth2.googleapis.com/token');
}

async function fromRefreshToken(request: CreateTokenRequest, deps: TokenEndpointDeps, now: Micros): Promise<Answer> {
  const { refreshToken, clientId, clientSecret } = request;
  if (refreshToken === '') throw oauthError('invalid_request', 'Missing required parameter: refresh_token');
  if (clientId !== REFRESH_CLIENT.id || clientSecret !== REFRESH_CLIENT.secret) throw oauthError('invalid_client', 'The OAuth client was not found.');
  const grant = await deps.tokens.verifyRefreshToken(refreshToken);
  if (grant === undefined) throw revoked();
  const asked = request.scope.split(/\s+/).filter((one) => one !== '');
  // Fewer than were granted, never more (RFC 6749 section 6).
  if (asked.some((one) => !grant.scopes.includes(one))) throw oauthError('invalid_scope', 'Some requested scopes were not granted to this refresh token.');
  const scopes = asked.length === 0 ? grant.scopes : asked;
  return { ...(await accessToken({ member: grant.member, scopes, refreshToken }, deps, now)), scope: scopes.join(' ') };
}

async function accessToken(request: Parameters<Tokens['mint']>[0], deps: TokenEndpointDeps, now: Micros): Promise<Answer> {
  try {
    const { token, expireTime } = await deps.tokens.mint(request);
    // Recorded: 3599. A client must not count on the second in which the answer is on its way.
    return { accessToken: token, tokenType: 'Bearer', expiresIn: Math.floor(((expireTime ?? now) - now) / MICROS_PER_SECOND) - 1 };
  } catch (error) {
    if (isApiError(error) && error.status === 'INVALID_ARGUMENT') throw invalidScope();
    if (isApiError(error) && error.status === 'FAILED_PRECONDITION') throw revoked();
    throw error;
  }
}

function revoked() {
  return oauthError('invalid_grant', 'Token has been expired or revoked.');
}

function invalidScope() {
  return oauthError('invalid_scope', 'Invalid OAuth scope or ID token audience provided.');
}
