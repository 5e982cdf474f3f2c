/**
 * Tokens of real service accounts of Google Cloud, by impersonation (IAM Service Account Credentials API) with the credentials of whoever runs this
 * control plane. Never those credentials themselves, never a local token in place of what Google refuses, and in memory alone.
 * Source: https://docs.cloud.google.com/iam/docs/reference/credentials/rest/v1/projects.serviceAccounts
 */
import { decodeJwt, errors } from 'jose';
import { type ApiError, failedPrecondition, forbidden, notFound, resourceExhausted, unavailable } from '../errors.ts';
import { type Clock, MICROS_PER_MILLI, MICROS_PER_SECOND } from '../timestamp.ts';
import type { FindGoogleCaller, GoogleAnswer, GoogleCaller } from './application-default.ts';
import type { GoogleAccount } from './google-account.ts';
import { createIssuedTokens, type Issued } from './issued-tokens.ts';
import { checkScopes } from './tokens.ts';

export interface GoogleTokens {
  /**
   * @param email of the account here; two that act as the same real one have tokens of their own
   * @param scopes that were asked for, none for those of the configuration, or `otherwise`
   * @throws FAILED_PRECONDITION, PERMISSION_DENIED, UNAVAILABLE, ... with what Google said, and the command that mends it
   */
  accessToken(email: string, real: GoogleAccount, scopes: readonly string[], otherwise: readonly string[]): Promise<{ token: string; expiresInSeconds: number }>;
  /** @throws as above */
  idToken(email: string, real: GoogleAccount, audience: string): Promise<string>;
}

/** As long as the metadata server's tokens are good. */
const LIFETIME = '3600s';
const MAX_SCOPE_SETS = 64;
const MAX_AUDIENCES = 1000;

export function createGoogleTokens(deps: { readonly findCaller: FindGoogleCaller; readonly clock: Clock }): GoogleTokens {
  const { findCaller, clock } = deps;
  const accessTokens = createIssuedTokens(clock, MAX_SCOPE_SETS);
  const idTokens = createIssuedTokens(clock, MAX_AUDIENCES);
  const ask = async (real: GoogleAccount, method: string, body: object): Promise<Readonly<Record<string, unknown>>> => {
    // Nothing that has ended stays because nobody asks for it again.
    void accessTokens.dropEnded();
    void idTokens.dropEnded();
    const caller = await findCaller();
    const url = `${real.endpoint}/v1/projects/-/serviceAccounts/${encodeURIComponent(real.account)}:${method}`;
    const answer = await caller.post(url, body, real.ca);
    if (answer.status !== 200) throw refusal(answer, real, caller);
    const fields = { ...Object(answer.data) } as Readonly<Record<string, unknown>>;
    if (Object.values(fields).includes(caller.token)) throw unavailable(`${real.endpoint} answers with the caller's own token, which is handed to nobody.`);
    return fields;
  };
  return {
    async accessToken(email, real, scopes, otherwise) {
      const wanted = [...new Set(checkScopes(scopes.length > 0 ? scopes : (real.scopes ?? otherwise)))].sort();
      const beyond = real.scopes === undefined ? undefined : wanted.find((scope) => !real.scopes?.includes(scope));
      if (beyond !== undefined)
        throw forbidden(`Scope ${beyond} is not among those that tokens of ${email} may have. Add it to scopes of ${email} in the configuration's identities.`);
      const make = async (): Promise<Issued> => {
        const { accessToken, expireTime } = await ask(real, 'generateAccessToken', { scope: wanted, lifetime: LIFETIME });
        const expireMs = typeof expireTime === 'string' ? Date.parse(expireTime) : Number.NaN;
        if (typeof accessToken !== 'string' || Number.isNaN(expireMs)) throw unavailable(`${real.endpoint} answers without a token.`);
        return { token: accessToken, expireTime: expireMs * MICROS_PER_MILLI };
      };
      return accessTokens.get(email, wanted.join(' '), make, `sets of scopes are in use for ${email}`);
    },
    async idToken(email, real, audience) {
      const make = async (): Promise<Issued> => {
        const { token } = await ask(real, 'generateIdToken', { audience, includeEmail: true });
        const exp = typeof token === 'string' ? expiryOf(token) : undefined;
        if (typeof token !== 'string' || exp === undefined) throw unavailable(`${real.endpoint} answers without a token.`);
        return { token, expireTime: exp * MICROS_PER_SECOND };
      };
      return (await idTokens.get(email, audience, make, `audiences are in use for ${email}`)).token;
    },
  };
}

/** Whether it is good is for who receives it; here only its end is looked at. @returns undefined where it is no JWT */
function expiryOf(token: string): number | undefined {
  try {
    return decodeJwt(token).exp;
  } catch (error) {
    if (error instanceof errors.JOSEError) return undefined;
    throw error;
  }
}

/** What Google said, and what mends it. */
function refusal({ status, data }: GoogleAnswer, { account, endpoint }: GoogleAccount, { member }: GoogleCaller): ApiError {
  const { error } = Object(data) as { error?: { status?: unknown; message?: unknown; details?: unknown } };
  const said = typeof error?.message === 'string' ? `${typeof error.status === 'string' ? error.status : status}: ${error.message}` : `HTTP ${status}`;
  const about = `Google gives no token of ${account}. It said: ${/[.!?]$/.test(said) ? said : `${said}.`}`;
  const project = /@([a-z][a-z0-9-]+)\.iam\.gserviceaccount\.com$/.exec(account)?.[1];
  if (status === 401) return failedPrecondition(`${about} Sign in anew on the machine of this control plane: gcloud auth application-default login`);
  if (status === 403 && JSON.stringify(error?.details ?? '').includes('"SERVICE_DISABLED"'))
    return forbidden(`${about} Enable the API in the project of ${member}: gcloud services enable iamcredentials.googleapis.com`);
  if (status === 403)
    return forbidden(
      `${about} Ask someone who may set the policy of that account to run: gcloud iam service-accounts add-iam-policy-binding ${account}` +
        `${project === undefined ? '' : ` --project=${project}`} --member=${member} --role=roles/iam.serviceAccountTokenCreator`,
    );
  if (status === 404) return notFound(`${about} Is the account of the configuration's identities there? gcloud iam service-accounts describe ${account}`);
  if (status === 429) return resourceExhausted(about);
  return status >= 500 ? unavailable(`${about} (${endpoint})`) : failedPrecondition(about);
}
