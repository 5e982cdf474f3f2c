/** The owner's token: the trust root of a data directory, in a file that its owner alone can read. */
import { chmodSync, existsSync, readFileSync } from 'node:fs';
import { hashToken, type TokenStore, type Tokens } from './tokens.ts';

export interface OwnerTokenDeps {
  /** Written with mode 0600. */
  readonly file: string;
  /** Policy member. */
  readonly owner: string;
  readonly tokens: Pick<Tokens, 'mint' | 'verify'>;
  readonly store: Pick<TokenStore, 'delete'>;
  /** Writes a file whole or not at all, for its owner's eyes only. */
  write(file: string, text: string): void;
  /** Hash (base64) of the token that was made last, kept beside the tokens. */
  readonly last: { find(): Promise<string | undefined>; update(hash: string): Promise<void> };
}

/** Makes the token at the first start, and again when its file is gone or no longer good; the one before it is then good for nothing. */
export async function ensureOwnerToken({ file, owner, tokens, store, write, last }: OwnerTokenDeps): Promise<void> {
  if (existsSync(file)) {
    chmodSync(file, 0o600);
    const verified = await tokens.verify(readFileSync(file, 'utf8').trim());
    if (verified?.administrator === true && verified.member === owner) return;
  }
  const { token } = await tokens.mint({ member: owner, lifetimeMs: null, administrator: true });
  const before = await last.find();
  // The new one is in its file before the old one ends: whatever is cut off in between, one that works can be read.
  write(file, `${token}\n`);
  await last.update(hashToken(token).toString('base64'));
  if (before !== undefined) await store.delete(Buffer.from(before, 'base64'));
}
