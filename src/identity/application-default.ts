/**
 * The Application Default Credentials of whoever runs this control plane, as Google's own library finds them: GOOGLE_APPLICATION_CREDENTIALS, gcloud's
 * file, else the machine's metadata server; of a user, a service account's key, impersonated, or federated. Found anew for each use, so that a new
 * sign-in counts at once, and nothing of them is kept. Their tokens go to the endpoint that is asked, and nowhere else.
 */
import { readFileSync } from 'node:fs';
import { Agent } from 'node:https';
import type { AuthClient, GoogleAuth } from 'google-auth-library';
import { failedPrecondition, unavailable } from '../errors.ts';

/** Who asks Google. */
export interface GoogleCaller {
  /** As policies name it, or a placeholder for it where nothing says it: `user:YOUR_ADDRESS`. */
  readonly member: string;
  /** The caller's own token: to be sent, never to be handed out. */
  readonly token: string;
  /** @returns the answer, whatever its status is @throws UNAVAILABLE where there is none */
  post(url: string, body: object, ca: string | undefined): Promise<GoogleAnswer>;
}

export interface GoogleAnswer {
  readonly status: number;
  /** Parsed JSON, or text. */
  readonly data: unknown;
}

export type FindGoogleCaller = () => Promise<GoogleCaller>;

const CLOUD_PLATFORM = 'https://www.googleapis.com/auth/cloud-platform';
const MAX_ANSWER_BYTES = 256 * 1024;
const SIGN_IN = 'gcloud auth application-default login';

/** @param isOwn whether a URL leads to this control plane itself @param timeoutMs of each step @returns rejects with FAILED_PRECONDITION or UNAVAILABLE, in words for who runs it */
export function createFindGoogleCaller(isOwn: (url: string) => boolean, timeoutMs = 15_000): FindGoogleCaller {
  return () => within(timeoutMs, findCaller(isOwn, timeoutMs));
}

async function findCaller(isOwn: (url: string) => boolean, timeout: number): Promise<GoogleCaller> {
  const { GoogleAuth, UserRefreshClient } = await import('google-auth-library');
  // The library's own log lines have tokens in them. The project is asked for nothing, and looking for one would start gcloud.
  const clientOptions = { useAuthRequestParameters: false, transporterOptions: { timeout } };
  const auth = new GoogleAuth({ scopes: [CLOUD_PLATFORM], projectId: 'none', clientOptions });
  let client: AuthClient;
  try {
    client = await auth.getClient();
  } catch (error) {
    throw failedPrecondition(`This control plane finds no Application Default Credentials: ${wordsOf(error)} On its machine, run: ${SIGN_IN}`);
  }
  const file = fieldsOf(auth.jsonContent);
  for (const url of urlsIn(file))
    if (isOwn(url))
      throw failedPrecondition(
        `The Application Default Credentials that this control plane finds are its own (${url}), not Google's. Start it without GOOGLE_APPLICATION_CREDENTIALS, in a shell without what \`actas env\` sets.`,
      );
  // The library asks Google's own token endpoint whatever the file says; those of other languages ask the file's.
  if (client instanceof UserRefreshClient && file['token_uri'] !== undefined)
    client = new UserRefreshClient({
      ...clientOptions,
      clientId: file['client_id'] ?? '',
      clientSecret: file['client_secret'] ?? '',
      refreshToken: file['refresh_token'] ?? '',
      endpoints: { oauth2TokenUrl: file['token_uri'] },
      ...(client.quotaProjectId === undefined ? {} : { quotaProjectId: client.quotaProjectId }),
    });
  return callerOf(client, await tokenOf(client), await memberOf(auth, file), timeout);
}

async function tokenOf(client: AuthClient): Promise<string> {
  let token: string | null | undefined;
  try {
    ({ token } = await client.getAccessToken());
  } catch (error) {
    const status = statusOf(error);
    const words = wordsOf(error);
    if (status === undefined || status >= 500) throw unavailable(`Nothing answers who the Application Default Credentials of this control plane are for: ${words}`);
    throw failedPrecondition(`The Application Default Credentials of this control plane are refused: ${words} Sign in anew on its machine: ${SIGN_IN}`);
  }
  if (!token) throw failedPrecondition(`The Application Default Credentials of this control plane give no token. Sign in anew on its machine: ${SIGN_IN}`);
  return token;
}

function callerOf(client: AuthClient, token: string, member: string, timeout: number): GoogleCaller {
  return {
    member,
    token,
    async post(url, body, ca) {
      const request = {
        url,
        method: 'POST',
        data: body,
        responseType: 'json',
        timeout,
        redirect: 'error',
        size: MAX_ANSWER_BYTES,
        retry: false,
        validateStatus: () => true,
      } as const;
      try {
        const agent = ca === undefined ? {} : { agent: new Agent({ ca: readFileSync(ca) }) };
        const { status, data } = await client.request<unknown>({ ...request, ...agent });
        return { status, data };
      } catch (error) {
        throw unavailable(`${url} does not answer: ${wordsOf(error)}`);
      }
    },
  };
}

async function memberOf(auth: GoogleAuth, file: Readonly<Record<string, string>>): Promise<string> {
  if (file['type'] === 'authorized_user') return `user:${file['account'] || 'YOUR_ADDRESS'}`;
  try {
    const { client_email: email } = await auth.getCredentials();
    return email === undefined ? 'MEMBER' : `serviceAccount:${email}`;
  } catch {
    // The machine's metadata server gave a token, and does not say whose: that is wanted for a sentence alone.
    return 'MEMBER';
  }
}

/** The texts of a credentials file, those of the credentials inside it too. */
function fieldsOf(json: object | null): Readonly<Record<string, string>> {
  const entries = Object.entries(json ?? {}).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'string'
      ? [[name, value]]
      : typeof value === 'object' && value !== null
        ? Object.entries(fieldsOf(value)).map(([inner, text]) => [`${name}.${inner}`, text])
        : [],
  );
  return Object.fromEntries(entries);
}

function urlsIn(fields: Readonly<Record<string, string>>): readonly string[] {
  return Object.values(fields).filter((value) => /^https?:\/\//.test(value) && URL.canParse(value));
}

/** What Google or the library said, without the request: that has a token in it. */
function wordsOf(error: unknown): string {
  // It quotes what it cannot read, which may be of a key.
  if (error instanceof SyntaxError) return 'the file is not JSON.';
  const { error: code, error_description: description } = Object(Object(Object(error).response).data) as { error?: unknown; error_description?: unknown };
  const said = typeof code === 'string' ? [code, description].filter((word) => typeof word === 'string').join(': ') : error instanceof Error ? error.message : String(error);
  return /[.!?]$/.test(said) ? said : `${said}.`;
}

function statusOf(error: unknown): number | undefined {
  const { status } = Object(Object(error).response) as { status?: unknown };
  return typeof status === 'number' ? status : undefined;
}

/** Some ways to credentials (a metadata server, a program) have no deadline of their own. */
async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(unavailable(`The Application Default Credentials of this control plane give no token within ${ms / 1000} s.`)), ms).unref();
  });
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}
