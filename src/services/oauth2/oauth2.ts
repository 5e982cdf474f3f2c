/**
 * Google's OAuth 2.0 endpoints: the token endpoint of clients that hold a key file or a refresh token, what a token says and how it ends,
 * and the public keys of service accounts. Everybody may call them: what is sent is itself the proof.
 *
 * Invariants: errors are OAuth's, in Google's words; nothing that is answered about a token tells more than its holder could find out by
 * using it. Must not know: policies. A token that is handed out here opens exactly what the member behind it may do.
 */
import { LegacyOAuth2, OAuth2 } from '../../gen/google/oauth2/oauth2_pb.js';
import type { Assertions } from '../../identity/assertion.ts';
import type { IdTokens } from '../../identity/id-tokens.ts';
import type { Tokens } from '../../identity/tokens.ts';
import { type AnyService, defineService } from '../service.ts';
import { type CertificateDeps, createCertificateService } from './account-certificates.ts';
import { createTokenEndpoint } from './token.ts';
import { type DescribedToken, legacyTokenInfo, revoke, tokenInfo } from './token-info.ts';
import { createUserInfoService } from './user-info.ts';

export interface OAuthDeps extends CertificateDeps {
  readonly identity: CertificateDeps['identity'] & {
    readonly tokens: Pick<Tokens, 'mint' | 'revoke' | 'verifyRefreshToken'>;
    readonly idTokens: IdTokens;
    readonly assertions: Assertions;
    /** Whether a host (with or without a port) is this server itself. */
    isOwnHost(host: string): boolean;
    /** What an access token is now; undefined: nothing (any more). */
    describe(token: string): Promise<DescribedToken | undefined>;
  };
}

/** What only the caller can have, and what it may be told for it, is in the request itself. */
const PUBLIC = { public: true, why: 'The token, assertion or name in the request is all that it is about' } as const;

const COMMON = { legacyErrors: false, dialect: 'oauth', denied: () => 'Not authorized.' } as const;

/** oauth2.googleapis.com */
export function createOAuthService(deps: OAuthDeps): AnyService {
  const token = createTokenEndpoint(deps.identity);
  return defineService<typeof OAuth2>({
    ...COMMON,
    desc: OAuth2,
    host: 'oauth2.googleapis.com',
    methods: {
      createToken: { access: PUBLIC, handle: (request, call) => token(request, call.now()) },
      getTokenInfo: { access: PUBLIC, handle: (request, call) => tokenInfo(request, deps, call.now()) },
      revokeToken: { access: PUBLIC, handle: (request) => revoke(request.token, deps.identity.tokens) },
    },
  });
}

/** www.googleapis.com: the same under the names that older libraries know, who a token stands for, and the keys of accounts. */
export function createGoogleApisServices(deps: OAuthDeps): readonly AnyService[] {
  const token = createTokenEndpoint(deps.identity);
  const legacy = defineService<typeof LegacyOAuth2>({
    ...COMMON,
    desc: LegacyOAuth2,
    host: 'www.googleapis.com',
    methods: {
      createToken: { access: PUBLIC, handle: (request, call) => token(request, call.now()) },
      getTokenInfo: { access: PUBLIC, handle: (request, call) => tokenInfo(request, deps, call.now()) },
      getLegacyTokenInfo: { access: PUBLIC, handle: async (request, call) => legacyTokenInfo(await tokenInfo(request, deps, call.now())) },
    },
  });
  return [legacy, createUserInfoService(), createCertificateService(deps)];
}
