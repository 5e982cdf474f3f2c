/** Tokens for those whom the owner of a data directory names. */
import { failedPrecondition } from '../errors.ts';
import type { Micros } from '../timestamp.ts';
import type { AccountStatuses } from './account-status.ts';
import type { Principal } from './principal.ts';
import type { Tokens } from './tokens.ts';

/** An account's token belongs to the account of now, not to a later one of the same name. @throws FAILED_PRECONDITION where it cannot have one */
export async function issueToken(
  { member, email, kind }: Principal,
  { tokens, accounts }: { readonly tokens: Pick<Tokens, 'mint'>; readonly accounts: Pick<AccountStatuses, 'get'> },
): Promise<{ token: string; expireTime: Micros | null }> {
  if (kind === 'user') return tokens.mint({ member });
  const { active, uniqueId } = await accounts.get(email);
  if (!active) throw failedPrecondition(`Service account ${email} does not exist or is disabled: it cannot have a token.`);
  return tokens.mint({ member, ...(uniqueId === undefined ? {} : { uniqueId }) });
}
