/**
 * Service accounts here that act as real ones of Google Cloud (`identity: google`): how the configuration says it, and whether an account does. Off by
 * default, and named one by one: what such a task calls is real.
 */

/** The real account behind one here: its tasks get that one's tokens, and see its address and project. */
export interface GoogleAccount {
  /** Address of the real account. */
  readonly account: string;
  /** Id of the real project, which its tasks take for their own. */
  readonly project: string;
  readonly projectNumber?: string;
  /** The only scopes that its tokens may have, all of them where a task names none. Without it: what a task asks for, else Cloud Run's own. */
  readonly scopes?: readonly string[];
  /** Of the IAM Service Account Credentials API, no slash at the end. */
  readonly endpoint: string;
  /** File of PEM certificates that alone are trusted at that endpoint. */
  readonly ca?: string;
}

/** Address of a service account here, in lower case -> the real one. */
export type GoogleAccounts = Readonly<Record<string, GoogleAccount>>;

export const IAM_CREDENTIALS = 'https://iamcredentials.googleapis.com';

/** The real account that tasks of a service account here act as, if any: then they reach the real Google, and nothing of theirs is intercepted. */
export function findGoogleAccount(accounts: GoogleAccounts, email: string): GoogleAccount | undefined {
  return Object.hasOwn(accounts, email) ? accounts[email] : undefined;
}

/** For people, a sentence for each: what such a task does is real. */
export function describeGoogleAccounts(accounts: GoogleAccounts): readonly { readonly email: string; readonly sentence: string }[] {
  return Object.entries(accounts).map(([email, { account, project }]) => ({
    email,
    sentence: `tasks of ${email} act as the real ${account} at Google, in project ${project}: what they change there is changed`,
  }));
}

/**
 * One entry of the configuration's `identities`.
 * @param refuse throws, with what would do
 * @returns undefined for one that stays local
 */
export function readGoogleAccount(email: string, given: unknown, refuse: (what: string) => never): GoogleAccount | undefined {
  const no = (name: string, found: unknown, what: string): never => refuse(`${email}: ${name} is ${found === undefined ? 'not set' : JSON.stringify(found)}: ${what}`);
  if (!isAccount(email)) return refuse(`${JSON.stringify(email)} must be the address of a service account here, such as runner@demo.iam.gserviceaccount.com`);
  if (typeof given !== 'object' || given === null)
    return refuse(`${email} must say identity: google, and the real account: { identity: google, account: NAME@PROJECT.iam.gserviceaccount.com }`);
  const { identity, account, project, projectNumber, scopes, endpoint = IAM_CREDENTIALS, ca, ...others } = { ...given } as { readonly [name: string]: unknown };
  const [unknown] = Object.keys(others);
  if (unknown !== undefined) return refuse(`${email} has no ${unknown}: it may have identity, account, project, projectNumber, scopes, endpoint and ca`);
  if (identity === 'local') return undefined;
  if (identity !== 'google') return no('identity', identity, 'must be google (real tokens of the real account) or local');
  if (!isAccount(account)) return no('account', account, 'must be the address of the real service account, such as runner@my-project.iam.gserviceaccount.com');
  if (!isOptional(projectNumber, isProjectNumber)) return no('projectNumber', projectNumber, 'must be the number of the real project');
  if (!isOptional(scopes, isListOfText)) return no('scopes', scopes, 'must be a list of OAuth scopes, such as https://www.googleapis.com/auth/devstorage.read_only');
  if (!isText(endpoint) || !isSafeEndpoint(endpoint)) return no('endpoint', endpoint, `must be an https URL such as ${IAM_CREDENTIALS}; http is for loopback alone`);
  if (!isOptional(ca, isText)) return no('ca', ca, 'must be a file of PEM certificates');
  return {
    account: account.toLowerCase(),
    project: projectOf(account, project, no),
    ...(projectNumber === undefined ? {} : { projectNumber: `${projectNumber}` }),
    ...(scopes === undefined ? {} : { scopes }),
    endpoint: endpoint.replace(/\/+$/, ''),
    ...(ca === undefined ? {} : { ca }),
  };
}

/** The project that an account's address names, unless another is meant: the data may be in it, and not the account. */
function projectOf(account: string, given: unknown, no: (name: string, found: unknown, what: string) => never): string {
  const project = given ?? /@([a-z][a-z0-9-]+)\.iam\.gserviceaccount\.com$/i.exec(account)?.[1];
  if (isText(project) && /^[a-z][a-z0-9.:-]*$/.test(project)) return project;
  return no('project', given, `must be the id of the real project${given === undefined ? `; the address of ${account} does not say it` : ''}`);
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== '';
}
/** YAML reads it as a number, unless it is quoted. */
function isProjectNumber(value: unknown): value is string | number {
  return typeof value === 'string' ? /^\d{1,19}$/.test(value) : Number.isSafeInteger(value) && Number(value) > 0;
}
function isListOfText(value: unknown): value is readonly string[] {
  return Array.isArray(value) && value.length > 0 && value.every(isText);
}
function isOptional<T>(value: unknown, is: (value: unknown) => value is T): value is T | undefined {
  return value === undefined || is(value);
}
function isAccount(value: unknown): value is string {
  return isText(value) && /^[a-z0-9][a-z0-9-]*@[a-z0-9.-]+\.gserviceaccount\.com$/i.test(value);
}

/** What the caller's own token may be sent to. */
function isSafeEndpoint(url: string): boolean {
  if (!URL.canParse(url)) return false;
  const { protocol, hostname, username, search, hash } = new URL(url);
  return (protocol === 'https:' || (protocol === 'http:' && ['127.0.0.1', 'localhost', '[::1]'].includes(hostname))) && username === '' && search === '' && hash === '';
}
