/** The two values that are made on request. Neither is ever logged. */
import { isApiError, STATUS, type StatusName } from '../errors.ts';
import type { GoogleAccount } from '../identity/google-account.ts';
import type { GoogleTokens } from '../identity/google-tokens.ts';
import type { IdTokens } from '../identity/id-tokens.ts';
import type { Tokens } from '../identity/tokens.ts';
import type { Log } from '../services/service.ts';
import { type Answer, escape, json, page, text } from './answers.ts';
import { DEFAULT_SCOPES, type TaskIdentity } from './tree.ts';

export interface Credentials {
  readonly tokens: Pick<Tokens, 'forServiceAccount'>;
  readonly idTokens: Pick<IdTokens, 'mint'>;
  /** Those of the real accounts that some act as. */
  readonly google: GoogleTokens;
  /** False for an account that is disabled or gone: it gets no new tokens. */
  isActive(email: string): Promise<boolean>;
  /** Whether the service agent of a project may make tokens of this kind for the account, now. Asked for each that is made, not for local ones that are handed out again. */
  canMint(account: string, project: { readonly id: string; readonly number: string }, kind: 'access' | 'id'): Promise<boolean>;
  /** A token of a real account was handed out, or refused. */
  onGoogleToken(handout: GoogleHandout): void;
  readonly log: Log;
}

/** Who asked for a token of which real account, and what came of it: everything but the token. */
export interface GoogleHandout {
  readonly task: TaskIdentity;
  readonly real: GoogleAccount;
  readonly kind: 'access' | 'id';
  /** Whether the service agent here may make tokens of the account here. */
  readonly granted: boolean;
  readonly status: StatusName | 'OK';
  readonly latencyMs: number;
}

/** `token`: the account's access token; `scopes` of the query narrows it. */
export async function tokenAnswer(credentials: Credentials, task: TaskIdentity, query: URLSearchParams): Promise<Answer> {
  const { email } = task.serviceAccount;
  if (!(await credentials.isActive(email))) return inactive(email);
  const asked = query
    .getAll('scopes')
    .flatMap((list) => list.split(/[\s,]+/))
    .filter((scope) => scope !== '');
  return orRefused(async () => {
    const { token, expiresInSeconds } = await accessToken(credentials, task, asked);
    credentials.log.debug({ attempt: task.attemptId, serviceAccount: task.google?.account ?? email }, 'Handed out an access token.');
    const body = { access_token: token, expires_in: expiresInSeconds, token_type: 'Bearer' };
    if (query.get('alt') === 'text')
      return text(
        Object.entries(body)
          .map(([name, value]) => `${name} ${value}\n`)
          .join(''),
      );
    return json(body);
  });
}

/** `identity`: an ID token for the `audience` of the query. */
export async function identityAnswer(credentials: Credentials, task: TaskIdentity, query: URLSearchParams): Promise<Answer> {
  const { email } = task.serviceAccount;
  const audience = query.get('audience') ?? '';
  if (audience === '') return { status: 400, type: 'text/html', body: 'non-empty audience parameter required\n' };
  if (!(await credentials.isActive(email))) return inactive(email);
  return orRefused(async () => {
    const token = await idToken(credentials, task, audience);
    credentials.log.debug({ attempt: task.attemptId, serviceAccount: task.google?.account ?? email }, 'Handed out an ID token.');
    return query.get('alt') === 'json' ? json(token) : { status: 200, type: 'text/html', body: token };
  });
}

async function accessToken(credentials: Credentials, task: TaskIdentity, asked: readonly string[]): Promise<{ token: string; expiresInSeconds: number }> {
  const { email, uniqueId } = task.serviceAccount;
  const { google: real } = task;
  if (real !== undefined) return googleToken(credentials, task, real, 'access', () => credentials.google.accessToken(email, real, asked, DEFAULT_SCOPES));
  const authority = { id: task.projectId, authorize: () => authorizeMint(credentials, task, 'access') };
  return credentials.tokens.forServiceAccount(email, asked.length === 0 ? DEFAULT_SCOPES : asked, uniqueId, authority);
}

async function idToken(credentials: Credentials, task: TaskIdentity, audience: string): Promise<string> {
  const { email, uniqueId } = task.serviceAccount;
  const { google: real } = task;
  if (real !== undefined) return googleToken(credentials, task, real, 'id', () => credentials.google.idToken(email, real, audience));
  await authorizeMint(credentials, task, 'id');
  // Cloud Run's tokens have the e-mail in either format; the claims about a Compute Engine machine have nothing to say here.
  return credentials.idTokens.mint({ audience, email, uniqueId, includeEmail: true });
}

/** What holds here holds first, and for each that is handed out: one that is handed out again is as real as a new one. */
async function googleToken<T>(credentials: Credentials, task: TaskIdentity, real: GoogleAccount, kind: 'access' | 'id', get: () => Promise<T>): Promise<T> {
  const started = performance.now();
  let granted = false;
  let status: GoogleHandout['status'] = 'OK';
  try {
    await authorizeMint(credentials, task, kind);
    granted = true;
    return await get();
  } catch (error) {
    status = isApiError(error) ? error.status : error instanceof MintRefused ? 'PERMISSION_DENIED' : 'INTERNAL';
    throw error;
  } finally {
    credentials.onGoogleToken({ task, real, kind, granted, status, latencyMs: performance.now() - started });
  }
}

async function orRefused(answer: () => Promise<Answer>): Promise<Answer> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof MintRefused) return refused(error);
    if (!isApiError(error)) throw error;
    return { status: STATUS[error.status].http, type: 'text/html', body: page(STATUS[error.status].http, escape(error.message)) };
  }
}

/** The agent of the task's project may make no token: a grant is missing, or the account's project keeps its accounts to itself. */
class MintRefused extends Error {}

async function authorizeMint(credentials: Credentials, task: TaskIdentity, kind: 'access' | 'id'): Promise<void> {
  const { email } = task.serviceAccount;
  if (await credentials.canMint(email, { id: task.projectId, number: task.projectNumber }, kind)) return;
  const permission = kind === 'access' ? 'iam.serviceAccounts.getAccessToken' : 'iam.serviceAccounts.getOpenIdToken';
  credentials.log.warn({ attempt: task.attemptId, serviceAccount: email, permission }, "The service agent of a task's project may not make tokens of its service account.");
  throw new MintRefused(
    `Google Cloud Run Service Agent of project ${task.projectId} cannot make tokens of the service account ${email}: it lacks permission ${permission} on it, ` +
      'or the account is of another project, and constraint iam.disableCrossProjectServiceAccountUsage is enforced there. Deploying or running the job again says which, and what mends it.',
  );
}

/** Clients were seen to get 500 where the platform may not make the token. */
function refused(error: MintRefused): Answer {
  return { status: 500, type: 'text/html', body: page(500, escape(error.message)) };
}

/** What Google's answers for a disabled account is not on record; clients were seen to get an error with a text. 403, as no retry would help. */
function inactive(email: string): Answer {
  return { status: 403, type: 'text/html', body: page(403, `Service account ${escape(email)} is disabled or does not exist, so it gets no tokens.`) };
}
