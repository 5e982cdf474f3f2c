/** What a person writes for a service account, as the API names it. */
import type { Session } from '../session.ts';

export interface NamedAccount {
  readonly name: string;
  readonly key: string;
}

/** An account by e-mail address, unique id, its short name in this project, or its resource name. */
export async function accountName(session: Session, given: string): Promise<NamedAccount> {
  const project = await session.project();
  if (/^projects\/[^/]+\/serviceAccounts\/[^/]+$/.test(given)) return { name: given, key: given.split('/').at(-1) ?? given };
  const key = given.includes('@') || /^\d+$/.test(given) ? given : `${given}@${project}.iam.gserviceaccount.com`;
  return { name: `projects/-/serviceAccounts/${key}`, key };
}

/** Changes go to the account's own project where the address tells it: `-` hides a missing account behind a denial. */
export function ownName(account: NamedAccount, project: string): string {
  const owner = /@([^.]+)\.iam\.gserviceaccount\.com$/.exec(account.key)?.[1] ?? project;
  return account.name.startsWith('projects/-/') ? `projects/${owner}/serviceAccounts/${account.key}` : account.name;
}
