/** Names of service accounts, taken apart at the edge. */
import { invalidRequest } from '../../errors.ts';

const PROJECT = /^projects\/(?<project>[a-z0-9][a-z0-9-]*)$/;
const ACCOUNT = /^projects\/(?<project>-|[a-z0-9][a-z0-9-]*)\/serviceAccounts\/(?<key>[^/\s]+)$/;

/** @returns the project's id or number @throws INVALID_ARGUMENT */
export function parseProjectName(name: string): string {
  const project = PROJECT.exec(name)?.groups?.['project'];
  if (project === undefined)
    throw invalidRequest(`Invalid resource name ${JSON.stringify(name)}. Write projects/PROJECT_ID.`, [{ field: 'name', description: 'must be projects/PROJECT_ID' }]);
  return project;
}

export interface AccountName {
  /** Id, number, or `-` for whichever project has the account. */
  readonly project: string;
  /** E-mail or unique id. */
  readonly key: string;
}

/** @throws INVALID_ARGUMENT */
export function parseAccountName(name: string): AccountName {
  const groups = ACCOUNT.exec(name)?.groups;
  const project = groups?.['project'];
  const key = groups?.['key'];
  if (project === undefined || key === undefined)
    throw invalidRequest(`Invalid resource name ${JSON.stringify(name)}. Write projects/PROJECT_ID/serviceAccounts/EMAIL.`, [
      { field: 'name', description: 'must be projects/PROJECT_ID/serviceAccounts/EMAIL' },
    ]);
  return { project, key };
}

const KEY = /^(?<account>projects\/[^/]+\/serviceAccounts\/[^/\s]+)\/keys\/(?<id>[^/\s]+)$/;

/** @returns the account's name as it was asked for, and the key's id @throws INVALID_ARGUMENT */
export function parseKeyName(name: string): { readonly account: string; readonly id: string } {
  const groups = KEY.exec(name)?.groups;
  const account = groups?.['account'];
  const id = groups?.['id'];
  if (account === undefined || id === undefined)
    throw invalidRequest(`Invalid resource name ${JSON.stringify(name)}. Write projects/PROJECT_ID/serviceAccounts/EMAIL/keys/KEY_ID.`, [
      { field: 'name', description: 'must be projects/PROJECT_ID/serviceAccounts/EMAIL/keys/KEY_ID' },
    ]);
  parseAccountName(account);
  return { account, id };
}
