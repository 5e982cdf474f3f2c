/** Making a service account: the same for the API and for the seed. */
import { alreadyExists, invalidRequest } from '../../errors.ts';
import type { Tx } from '../../store/database.ts';
import { findServiceAccount, insertServiceAccount, type ServiceAccountRow } from '../../store/service-accounts.ts';
import type { Micros } from '../../timestamp.ts';

/** Source: the proto's comments on ServiceAccount, and https://docs.cloud.google.com/iam/quotas */
const MAX_DISPLAY_NAME_BYTES = 100;
const MAX_DESCRIPTION_BYTES = 256;

export interface NewServiceAccount {
  readonly projectId: string;
  readonly accountId: string;
  readonly displayName: string;
  readonly description: string;
  readonly disabled?: boolean;
}

/** @throws INVALID_ARGUMENT for an id or a text out of bounds, ALREADY_EXISTS where the project has such an account */
export async function createServiceAccount(tx: Tx, account: NewServiceAccount, now: Micros): Promise<ServiceAccountRow> {
  checkAccountId(account.accountId);
  checkTexts(account);
  const email = `${account.accountId}@${account.projectId}.iam.gserviceaccount.com`;
  if ((await findServiceAccount(tx.db, email)) !== undefined)
    throw alreadyExists(`Service account ${account.accountId} already exists within project projects/${account.projectId}.`);
  tx.touch('serviceAccounts');
  return insertServiceAccount(tx.db, {
    projectId: account.projectId,
    email,
    displayName: account.displayName,
    description: account.description,
    disabled: account.disabled ?? false,
    createTime: now,
  });
}

/** @throws INVALID_ARGUMENT in Google's words */
export function checkAccountId(accountId: string): void {
  const refuse = (message: string) => invalidRequest(message, [{ field: 'account_id', description: message }]);
  if (accountId.length < 6 || accountId.length > 30) throw refuse(`The account ID "${accountId}" does not have a length between 6 and 30.`);
  if (!/^[a-z][a-z\d-]*[a-z\d]$/.test(accountId)) throw refuse(`${accountId} does not match [a-z][a-z\\d\\-]*[a-z\\d].`);
}

/** @throws INVALID_ARGUMENT */
export function checkTexts(account: { readonly displayName: string; readonly description: string }): void {
  const tooLong = (field: string, text: string, most: number) => {
    const bytes = Buffer.byteLength(text);
    if (bytes > most)
      throw invalidRequest(`The ${field} has ${bytes} bytes in UTF-8, and may have at most ${most}.`, [
        { field: `service_account.${field}`, description: `at most ${most} bytes in UTF-8` },
      ]);
  };
  tooLong('display_name', account.displayName, MAX_DISPLAY_NAME_BYTES);
  tooLong('description', account.description, MAX_DESCRIPTION_BYTES);
}
