/**
 * The Security Token Service: exchanges an ID token of an outside issuer for an access token of ours, by the rules of a workload identity
 * pool provider (services/workloadidentity keeps them). RFC 8693, as Google has it.
 *
 * Invariants: nothing is fetched that the provider did not name; the principal is made of mapped attributes alone, and only after the
 * condition was true; the token ends with the provider, the pool and the project.
 * Must not know: HTTP, or what the principal may do.
 */
import { create } from '@bufbuild/protobuf';
import { oauthError } from '../../errors.ts';
import { type ExchangeTokenRequest, ExchangeTokenResponseSchema, SecurityTokenService } from '../../gen/google/identity/sts/v1/sts_pb.js';
import type { OidcVerifier } from '../../identity/oidc.ts';
import type { Tokens } from '../../identity/tokens.ts';
import { findActiveProvider } from '../../store/active-provider.ts';
import type { Db, Store } from '../../store/database.ts';
import { type AnyService, defineService } from '../service.ts';
import { mapAssertion } from './attribute-mapping.ts';

export interface StsDeps {
  readonly store: Store;
  readonly tokens: Pick<Tokens, 'mint'>;
  readonly oidc: OidcVerifier;
}

const GRANT_TYPE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';
const SUBJECT_TYPES: ReadonlySet<string> = new Set(['urn:ietf:params:oauth:token-type:jwt', 'urn:ietf:params:oauth:token-type:id_token']);
const AUDIENCE = /^\/\/iam\.googleapis\.com\/(?<name>projects\/\d+\/locations\/global\/workloadIdentityPools\/[a-z0-9-]+\/providers\/[a-z0-9-]+)$/;
const LIFETIME_SECONDS = 3600;

export function createStsService(deps: StsDeps): AnyService {
  return defineService<typeof SecurityTokenService>({
    desc: SecurityTokenService,
    host: 'sts.googleapis.com',
    legacyErrors: false,
    dialect: 'oauth',
    denied: ({ permission }) => `Permission '${permission}' denied.`,
    methods: {
      exchangeToken: {
        access: { public: true, why: 'The token that is exchanged says who calls; it is checked with its issuer.' },
        handle: (request) => exchange(deps, request),
      },
    },
  });
}

async function exchange({ store, tokens, oidc }: StsDeps, request: ExchangeTokenRequest) {
  checkRequest(request);
  const { name, config, provider } = await requireProvider(store.read, request.audience);
  const verdict = await oidc.verify(request.subjectToken, {
    issuer: config.issuerUri,
    audiences: config.allowedAudiences.length > 0 ? config.allowedAudiences : [`https://iam.googleapis.com/${name}`, `//iam.googleapis.com/${name}`],
    ...(config.jwksJson === '' ? {} : { jwks: config.jwksJson }),
  });
  if ('refused' in verdict) throw oauthError('invalid_grant', verdict.refused);
  const mapped = mapAssertion(verdict.claims, provider);
  const pool = `//iam.googleapis.com/${name.slice(0, name.indexOf('/providers/'))}`;
  const { token } = await tokens.mint({
    member: `principal:${pool}/subject/${mapped.subject}`,
    scopes: request.scope.split(' ').filter((scope) => scope !== ''),
    lifetimeMs: LIFETIME_SECONDS * 1000,
    federation: { provider: name, sets: [...mapped.sets.map((set) => `principalSet:${pool}/${set}`), `principalSet:${pool}/*`] },
  });
  return create(ExchangeTokenResponseSchema, { accessToken: token, issuedTokenType: ACCESS_TOKEN, tokenType: 'Bearer', expiresIn: LIFETIME_SECONDS });
}

/** @throws an OAuth error that names the parameter */
function checkRequest(request: ExchangeTokenRequest): void {
  const { grantType, requestedTokenType, subjectTokenType, subjectToken, scope } = request;
  if (grantType !== GRANT_TYPE) throw oauthError('unsupported_grant_type', `grant_type must be ${GRANT_TYPE}, but is ${shown(grantType)}.`);
  if (requestedTokenType !== ACCESS_TOKEN) throw oauthError('invalid_request', `requested_token_type must be ${ACCESS_TOKEN}, but is ${shown(requestedTokenType)}.`);
  // Deviation: tokens of AWS, SAML and mTLS, and access tokens to be restricted, are not exchanged.
  if (!SUBJECT_TYPES.has(subjectTokenType))
    throw oauthError('invalid_request', `subject_token_type must be one of ${[...SUBJECT_TYPES].join(', ')}, but is ${shown(subjectTokenType)}.`);
  if (subjectToken === '') throw oauthError('invalid_request', 'subject_token is required.');
  if (scope.trim() === '') throw oauthError('invalid_request', 'scope is required: https://www.googleapis.com/auth/cloud-platform, for example.');
}

function shown(text: string): string {
  return text === '' ? 'missing' : JSON.stringify(text.slice(0, 200));
}

/** One answer for what is missing, deleted, disabled, or of another kind: a stranger learns of no pool. */
async function requireProvider(db: Db, audience: string) {
  const { name = '' } = AUDIENCE.exec(audience)?.groups ?? {};
  const found = name === '' ? undefined : await findActiveProvider(db, name);
  if (found?.providerConfig.case !== 'oidc')
    throw oauthError(
      'invalid_target',
      'The target service indicated by the "audience" parameters is invalid. This might either be because the pool or provider is disabled or deleted or because it doesn\'t exist.',
    );
  return { name, provider: found, config: found.providerConfig.value };
}
