/**
 * Every error that we return. One class, built only by the constructors below, in Google's own wording; one exhaustive
 * table to the gRPC code, the HTTP status and the legacy reason. Anything else that is thrown is a bug: `server/dispatch`
 * answers INTERNAL with a request id and logs the cause chain.
 * Sources: google/rpc/code.proto, google/rpc/error_details.proto; the wordings are held against recordings by the tests.
 */

/** google.rpc.Code -> number on the gRPC wire, HTTP status, and the `reason` of the legacy `errors[]` list. */
export const STATUS = {
  CANCELLED: { code: 1, http: 499, reason: 'cancelled' },
  UNKNOWN: { code: 2, http: 500, reason: 'backendError' },
  INVALID_ARGUMENT: { code: 3, http: 400, reason: 'badRequest' },
  DEADLINE_EXCEEDED: { code: 4, http: 504, reason: 'deadlineExceeded' },
  NOT_FOUND: { code: 5, http: 404, reason: 'notFound' },
  ALREADY_EXISTS: { code: 6, http: 409, reason: 'alreadyExists' },
  PERMISSION_DENIED: { code: 7, http: 403, reason: 'forbidden' },
  RESOURCE_EXHAUSTED: { code: 8, http: 429, reason: 'rateLimitExceeded' },
  FAILED_PRECONDITION: { code: 9, http: 400, reason: 'failedPrecondition' },
  ABORTED: { code: 10, http: 409, reason: 'aborted' },
  OUT_OF_RANGE: { code: 11, http: 400, reason: 'badRequest' },
  UNIMPLEMENTED: { code: 12, http: 501, reason: 'notImplemented' },
  INTERNAL: { code: 13, http: 500, reason: 'backendError' },
  UNAVAILABLE: { code: 14, http: 503, reason: 'backendError' },
  DATA_LOSS: { code: 15, http: 500, reason: 'backendError' },
  UNAUTHENTICATED: { code: 16, http: 401, reason: 'authError' },
} as const;
export type StatusName = keyof typeof STATUS;

/** A message of google/rpc/error_details.proto with its fields, as plain data: `rpc-status.ts` packs it for the wire. */
export type ErrorDetail =
  | { readonly type: 'google.rpc.ErrorInfo'; readonly value: { readonly reason: string; readonly domain: string; readonly metadata: Readonly<Record<string, string>> } }
  | { readonly type: 'google.rpc.BadRequest'; readonly value: { readonly fieldViolations: readonly { readonly field: string; readonly description: string }[] } }
  | {
      readonly type: 'google.rpc.PreconditionFailure';
      readonly value: { readonly violations: readonly { readonly type: string; readonly subject: string; readonly description: string }[] };
    }
  | { readonly type: 'google.rpc.LocalizedMessage'; readonly value: { readonly locale: string; readonly message: string } }
  /** A message of one API alone, packed by who knows it. */
  | { readonly type: 'google.protobuf.Any'; readonly value: { readonly typeUrl: string; readonly value: Uint8Array<ArrayBuffer> } }
  | { readonly type: 'google.rpc.Help'; readonly value: { readonly links: readonly { readonly description: string; readonly url: string }[] } };

/** An error that a caller is meant to read. `details` are in the order in which they are sent. */
export class ApiError extends Error {
  override readonly name = 'ApiError';
  readonly status: StatusName;
  readonly details: readonly ErrorDetail[];
  constructor(status: StatusName, message: string, details: readonly ErrorDetail[] = [], cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.status = status;
    this.details = details;
  }
}

export function isApiError(error: unknown): error is ApiError {
  return error instanceof ApiError;
}

/**
 * The request is at fault. `field` is the path that the sentence names, in the spelling that the API uses for it;
 * the message on the wire is `field: description`, as Cloud Run prints it.
 */
export function invalidArgument(field: string, description: string): ApiError {
  return invalidRequest(`${field}: ${description}`, [{ field, description }]);
}

/** As `invalidArgument`, for the wordings that do not begin with the field. */
export function invalidRequest(message: string, violations: readonly { field: string; description: string }[] = []): ApiError {
  return new ApiError('INVALID_ARGUMENT', message, violations.length === 0 ? [] : [{ type: 'google.rpc.BadRequest', value: { fieldViolations: violations } }]);
}

export function notFound(message: string): ApiError {
  return new ApiError('NOT_FOUND', message);
}

export function alreadyExists(message: string): ApiError {
  return new ApiError('ALREADY_EXISTS', message);
}

/** @param remedy what lifts it, where one command does */
export function failedPrecondition(message: string, violation?: { type: string; subject: string; description: string }, remedy?: Remedy): ApiError {
  const details: ErrorDetail[] = violation === undefined ? [] : [{ type: 'google.rpc.PreconditionFailure', value: { violations: [violation] } }];
  return new ApiError('FAILED_PRECONDITION', message, remedy === undefined ? details : [...details, remedyDetail(remedy)]);
}

/**
 * Managed and custom constraints that refuse a change. Source: https://docs.cloud.google.com/iam/docs/troubleshoot-org-policies
 * @param resource as it is shown, `projects/p` @param violated constraints without their prefix, each with what it says about itself
 */
export function orgPolicyViolation(resource: string, violated: readonly { readonly constraint: string; readonly description: string }[]): ApiError {
  const named = violated.map(({ constraint, description }) => `"constraints/${constraint}": ${JSON.stringify(description)}`).join(', ');
  const metadata = { customConstraints: violated.map(({ constraint }) => `constraints/${constraint}`).join(','), resource };
  return new ApiError('FAILED_PRECONDITION', `Operation denied by org policy on resource '${resource}': [${named}].`, [
    { type: 'google.rpc.ErrorInfo', value: { reason: 'CUSTOM_ORG_POLICY_VIOLATION', domain: 'googleapis.com', metadata } },
  ]);
}

/** A concurrent change: the caller reads again and retries. */
export function aborted(message: string): ApiError {
  return new ApiError('ABORTED', message);
}

export function resourceExhausted(message: string): ApiError {
  return new ApiError('RESOURCE_EXHAUSTED', message);
}

export function unavailable(message: string, cause?: unknown): ApiError {
  return new ApiError('UNAVAILABLE', message, [], cause);
}

/** What is stored is not what was written, and cannot be mended from here. */
export function dataLoss(message: string, cause?: unknown): ApiError {
  return new ApiError('DATA_LOSS', message, [], cause);
}

export function deadlineExceeded(message: string): ApiError {
  return new ApiError('DEADLINE_EXCEEDED', message);
}

export function cancelled(message: string): ApiError {
  return new ApiError('CANCELLED', message);
}

/** @param what the full name of the RPC, for example `google.cloud.run.v2.Services.CreateService` */
export function unimplemented(what: string): ApiError {
  return new ApiError('UNIMPLEMENTED', `${what} is not implemented by actas.`);
}

/** A call of an API that this server does not have. @param host as the caller named it @param why what it would take */
export function unservedHost(host: string, why: string): ApiError {
  return new ApiError('UNIMPLEMENTED', `actas does not serve ${host}. ${why}`);
}

/** The way out of a denial: one sentence, and the command that mends it. */
export interface Remedy {
  /** For example `Ask someone who may set the policy of project demo to run:` */
  readonly sentence: string;
  readonly command: string;
}

/**
 * The caller may not. `resource` is the name as it was asked for; the error is the same to the byte whether it exists or not.
 * @param domain the service that refuses, for example `run.googleapis.com`
 */
export function permissionDenied(message: string, info: { permission: string; resource: string; domain: string }, remedy?: Remedy): ApiError {
  const metadata = { permission: info.permission, resource: info.resource };
  const details: ErrorDetail[] = [{ type: 'google.rpc.ErrorInfo', value: { reason: 'IAM_PERMISSION_DENIED', domain: info.domain, metadata } }];
  if (remedy !== undefined) details.push(remedyDetail(remedy));
  return new ApiError('PERMISSION_DENIED', message, details);
}

function remedyDetail({ sentence, command }: Remedy): ErrorDetail {
  return { type: 'google.rpc.LocalizedMessage', value: { locale: 'en-US', message: `${sentence}\n  ${command}` } };
}

/** A refusal that no grant would lift (a foreign browser page, a forbidden combination of settings). */
export function forbidden(message: string, help?: { description: string; url: string }): ApiError {
  return new ApiError('PERMISSION_DENIED', message, help === undefined ? [] : [{ type: 'google.rpc.Help', value: { links: [help] } }]);
}

/** @param reason `CREDENTIALS_MISSING` where none came, `ACCESS_TOKEN_EXPIRED` or `ACCESS_TOKEN_TYPE_UNSUPPORTED` where a bad one did (google.api.ErrorReason) */
export function unauthenticated(reason: 'CREDENTIALS_MISSING' | 'ACCESS_TOKEN_EXPIRED' | 'ACCESS_TOKEN_TYPE_UNSUPPORTED', info: { service: string; method: string }): ApiError {
  const message =
    reason === 'CREDENTIALS_MISSING'
      ? 'Request is missing required authentication credential. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.'
      : 'Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.';
  return new ApiError('UNAUTHENTICATED', message, [{ type: 'google.rpc.ErrorInfo', value: { reason, domain: 'googleapis.com', metadata: info } }]);
}

/** The token is good, but was not given for this API. @param info the API's host and the RPC */
export function insufficientScopes(info: { service: string; method: string }): ApiError {
  const reason = 'ACCESS_TOKEN_SCOPE_INSUFFICIENT';
  return new ApiError('PERMISSION_DENIED', 'Request had insufficient authentication scopes.', [
    { type: 'google.rpc.ErrorInfo', value: { reason, domain: 'googleapis.com', metadata: info } },
  ]);
}

/** In the domain of `ErrorInfo` whose reasons are error codes of OAuth 2.0. */
export const OAUTH_DOMAIN = 'oauth2.googleapis.com';

/** Error codes of OAuth 2.0. Sources: RFC 6749 section 5.2, RFC 6750 section 3.1; `invalid_scope` and the rest as Google's token endpoint answers them. */
export type OAuthCode =
  | 'invalid_request'
  | 'invalid_grant'
  | 'invalid_client'
  | 'invalid_scope'
  | 'invalid_token'
  | 'unauthorized_client'
  | 'unsupported_grant_type'
  | 'invalid_target';

/** A refusal of a token endpoint, which answers `{error, error_description}` over REST. `invalid_client` and `unauthorized_client` are 401, as at Google. */
export function oauthError(code: OAuthCode, description: string): ApiError {
  const status = code === 'invalid_client' || code === 'unauthorized_client' ? 'UNAUTHENTICATED' : 'INVALID_ARGUMENT';
  return new ApiError(status, description, [{ type: 'google.rpc.ErrorInfo', value: { reason: code, domain: OAUTH_DOMAIN, metadata: {} } }]);
}

/** A bug of ours, as the wire sees it: no cause, no stack, an id under which the log has both. */
export function internal(requestId: string): ApiError {
  return new ApiError('INTERNAL', `Internal error encountered. The server's log has it under request id ${requestId}.`);
}
