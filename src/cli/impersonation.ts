/** `--impersonate-service-account`: tokens of an account for who may have them, through a chain of delegates where there is one. */
import { type Api, CREDENTIALS } from './api.ts';
import { failure, usageFailure } from './failure.ts';

export interface Chain {
  /** `projects/-/serviceAccounts/EMAIL` */
  readonly name: string;
  readonly email: string;
  readonly delegates: readonly string[];
}

/** What gcloud asks for, less the scopes of APIs that are not here. */
export const SCOPES = ['openid', 'https://www.googleapis.com/auth/userinfo.email', 'https://www.googleapis.com/auth/cloud-platform'];

/** @param given comma-separated: the delegates in order, and the account last @throws usage */
export function parseChain(given: string): Chain {
  const accounts = given.split(',').map((one) => one.trim());
  const wrong = accounts.find((account) => !/^(?:[^@\s/]+@[^@\s/]+|\d+)$/.test(account));
  if (wrong !== undefined)
    throw usageFailure(`--impersonate-service-account: '${wrong}' is not a service account.`, 'Write its e-mail address; before it, separated by commas, those of delegates.');
  const names = accounts.map((account) => `projects/-/serviceAccounts/${account}`);
  return { name: names.at(-1) ?? '', email: accounts.at(-1) ?? '', delegates: names.slice(0, -1) };
}

/** @throws ApiFailure naming the link that is missing */
export async function impersonate(api: Api, { name, email, delegates }: Chain): Promise<string> {
  const { accessToken } = await api.send<{ accessToken?: string }>('POST', CREDENTIALS, `${name}:generateAccessToken`, { delegates, scope: SCOPES });
  if (accessToken === undefined) throw failure(`The control plane gave no token for ${email}.`);
  return accessToken;
}

/** @throws ApiFailure */
export async function impersonateForIdToken(api: Api, { name, email, delegates }: Chain, options: { readonly audience: string; readonly includeEmail: boolean }): Promise<string> {
  const { token } = await api.send<{ token?: string }>('POST', CREDENTIALS, `${name}:generateIdToken`, { delegates, ...options });
  if (token === undefined) throw failure(`The control plane gave no ID token for ${email}.`);
  return token;
}
