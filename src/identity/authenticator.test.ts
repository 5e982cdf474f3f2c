import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { accessTokenStore } from '../store/access-tokens.ts';
import { openStore, type Store } from '../store/database.ts';
import { systemClock } from '../timestamp.ts';
import { type AccountStatus, createAccountStatuses } from './account-status.ts';
import { createAuthenticator } from './authenticator.ts';
import { ensureOwnerToken } from './owner-token.ts';
import { createTokens } from './tokens.ts';

const directory = mkdtempSync(join(tmpdir(), 'actas-identity-'));
let store: Store;
beforeAll(async () => {
  store = await openStore(directory);
});
afterAll(async () => {
  await store.close();
  rmSync(directory, { recursive: true });
});

const EMAIL = 'x@p.iam.gserviceaccount.com';

test('a token speaks for the account of its time alone', async () => {
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  let status: AccountStatus = { active: true, uniqueId: '1' };
  const accounts = createAccountStatuses(async () => status);
  const assertions = { verify: async () => ({ refused: 'none' }) };
  const { authenticate: ask } = createAuthenticator({ tokens, accounts, clock: systemClock, assertions, isOwnHost: () => false, isProviderActive: () => true });
  const authenticate = (token: string) => ask(token, 'run.googleapis.com');
  const { token } = await tokens.mint({ member: `serviceAccount:${EMAIL}`, uniqueId: '1' });
  const change = (to: AccountStatus) => {
    status = to;
    accounts.invalidate();
  };
  expect(await authenticate(token)).toMatchObject({ principal: { member: `serviceAccount:${EMAIL}` } });
  expect(authenticate(token), 'the second answer is at hand').not.toBeInstanceOf(Promise);
  change({ active: false, uniqueId: '1' });
  expect(await authenticate(token)).toEqual({ refused: 'ACCESS_TOKEN_EXPIRED' });
  change({ active: true, uniqueId: '2' });
  expect(await authenticate(token)).toEqual({ refused: 'ACCESS_TOKEN_EXPIRED' });
  change({ active: true, uniqueId: '1' });
  expect(await authenticate(token)).toMatchObject({ principal: {} });
  expect(await authenticate('Bearer nonsense')).toEqual({ refused: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' });
});

test('a load that began before an invalidation leaves nothing behind', async () => {
  const pending: ((status: AccountStatus) => void)[] = [];
  const accounts = createAccountStatuses(() => new Promise((resolve) => pending.push(resolve)));
  const before = accounts.get(EMAIL);
  accounts.invalidate();
  pending[0]?.({ active: true, uniqueId: '1' });
  expect(await before).toMatchObject({ active: true });
  const after = accounts.get(EMAIL);
  expect(after).toBeInstanceOf(Promise);
  pending[1]?.({ active: false, uniqueId: '1' });
  expect(await after).toMatchObject({ active: false });
  expect(accounts.get(EMAIL)).toEqual({ active: false, uniqueId: '1' });
});

test("the owner's token stays, is made again when its file is lost, and then the one before it is nobody's", async () => {
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  const file = join(directory, 'owner-token');
  let hash: string | undefined;
  const last = {
    find: async () => hash,
    update: async (value: string) => {
      hash = value;
    },
  };
  const ensure = async (owner: string): Promise<string> => {
    const write = (path: string, text: string) => writeFileSync(path, text, { mode: 0o600 });
    // Another start, so another cache.
    await ensureOwnerToken({ file, owner, tokens: createTokens({ store: accessTokenStore(store), clock: systemClock }), store: accessTokenStore(store), write, last });
    return readFileSync(file, 'utf8').trim();
  };
  const first = await ensure('user:owner@example.com');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(await ensure('user:owner@example.com')).toBe(first);
  writeFileSync(file, 'garbage');
  const second = await ensure('user:owner@example.com');
  expect(await tokens.verify(first)).toBeUndefined();
  expect(await tokens.verify(second)).toMatchObject({ administrator: true, expireTime: null });
  await ensure('user:other@example.com');
  expect(await createTokens({ store: accessTokenStore(store), clock: systemClock }).verify(second)).toBeUndefined();
});
