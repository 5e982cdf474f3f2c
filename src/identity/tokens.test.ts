import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { accessTokenStore } from '../store/access-tokens.ts';
import { openStore, type Store } from '../store/database.ts';
import { CLOUD_PLATFORM_SCOPE, createTokens, type TokenStore, type Tokens } from './tokens.ts';

const MINUTE = 60_000_000;
let dir: string;
let store: Store;
let now = 1_700_000_000_000_000;
const clock = { now: () => now };
let finds = 0;
let tokens: Tokens;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'tokens-'));
  store = await openStore(dir);
});
afterAll(async () => {
  await store.close();
  await rm(dir, { recursive: true });
});
beforeEach(() => {
  finds = 0;
  const kept = accessTokenStore(store);
  const counting: TokenStore = {
    ...kept,
    find: (hash) => {
      finds++;
      return kept.find(hash);
    },
  };
  tokens = createTokens({ store: counting, clock, cacheSize: 3 });
});

describe('tokens', () => {
  it('verifies what it minted, from the store once and then from memory', async () => {
    const { token, expireTime } = await tokens.mint({ member: 'user:alice@example.com' });
    expect(token).toMatch(/^actas_at_[A-Za-z0-9_-]{43}$/);
    expect(expireTime).toBe(now + 60 * MINUTE);
    const expected = {
      member: 'user:alice@example.com',
      scopes: [CLOUD_PLATFORM_SCOPE],
      expireTime,
      expired: false,
      administrator: false,
      uniqueId: undefined,
      delegation: [],
      grant: null,
    };
    expect(await tokens.verify(token)).toEqual(expected);
    expect(tokens.verify(token)).toEqual(expected);
    expect(finds).toBe(1);
  });

  it('knows no token of another form, of another server, or cut short', async () => {
    const { token } = await tokens.mint({ member: 'user:alice@example.com' });
    for (const wrong of ['', 'ya29.abc', 'actas_at_', token.slice(0, -1), `${token}x`, `${token.slice(0, -4)}AAAA`, token.toUpperCase(), 'x'.repeat(1e6)])
      expect(await tokens.verify(wrong)).toBeUndefined();
  });

  it('says that a token has ended, and forgets it a day later', async () => {
    const { token } = await tokens.mint({ member: 'user:alice@example.com', lifetimeMs: 1000 });
    expect(await tokens.verify(token)).toMatchObject({ expired: false });
    now += 1_000_000;
    expect(await tokens.verify(token)).toMatchObject({ expired: true });
    expect(await tokens.deleteExpired()).toBe(0);
    now += 24 * 60 * MINUTE + 1;
    expect(await tokens.deleteExpired()).toBeGreaterThan(0);
    expect(await tokens.verify(token)).toBeUndefined();
  });

  it("keeps the owner's token for ever and marks it; nobody can ask for that mark as a scope", async () => {
    const { token, expireTime } = await tokens.mint({ member: 'user:owner@example.com', lifetimeMs: null, administrator: true });
    expect(expireTime).toBeNull();
    now += 1e15;
    expect(await tokens.verify(token)).toMatchObject({ administrator: true, expired: false, scopes: [CLOUD_PLATFORM_SCOPE] });
    await tokens.deleteExpired();
    expect(await tokens.verify(token)).toMatchObject({ administrator: true });
    for (const scope of ['actas:administrator', 'actas:unique-id:1', '', 'a b', 'a,b', 'ä', 'x'.repeat(257)]) {
      await expect(tokens.mint({ member: 'user:a@example.com', scopes: [scope] })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
      await expect(tokens.forServiceAccount('sa@p.iam.gserviceaccount.com', [scope])).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    }
    await expect(tokens.mint({ member: 'user:a@example.com', scopes: [] })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  it('revokes at once here, and within a minute where another process did it', async () => {
    const { token } = await tokens.mint({ member: 'user:alice@example.com' });
    expect(await tokens.verify(token)).toBeDefined();
    const elsewhere = createTokens({ store: accessTokenStore(store), clock });
    await elsewhere.revoke(token);
    expect(await tokens.verify(token)).toBeDefined();
    now += MINUTE;
    expect(await tokens.verify(token)).toBeUndefined();
    const own = await tokens.mint({ member: 'user:alice@example.com' });
    expect(await tokens.verify(own.token)).toBeDefined();
    await tokens.revoke(own.token);
    expect(await tokens.verify(own.token)).toBeUndefined();
  });

  it('keeps no more verified tokens in memory than it was told', async () => {
    const minted = await Promise.all(Array.from({ length: 5 }, () => tokens.mint({ member: 'user:alice@example.com' })));
    for (const { token } of minted) await tokens.verify(token);
    finds = 0;
    for (const { token } of minted.slice(2)) await tokens.verify(token);
    expect(finds).toBe(0);
    await tokens.verify(minted[0]?.token ?? '');
    expect(finds).toBe(1);
  });
});

describe("a service account's token", () => {
  const email = 'sa@demo.iam.gserviceaccount.com';

  it('is the same until five minutes before its end, for the same scopes in any order', async () => {
    const first = await tokens.forServiceAccount(email, ['openid', CLOUD_PLATFORM_SCOPE]);
    expect(first.expiresInSeconds).toBe(3600);
    now += 54 * MINUTE;
    expect(await tokens.forServiceAccount(email, [CLOUD_PLATFORM_SCOPE, 'openid', 'openid'])).toEqual({ token: first.token, expiresInSeconds: 360 });
    now += MINUTE;
    const second = await tokens.forServiceAccount(email, [CLOUD_PLATFORM_SCOPE, 'openid']);
    expect(second).toMatchObject({ expiresInSeconds: 3600 });
    expect(second.token).not.toBe(first.token);
    expect(await tokens.verify(first.token)).toMatchObject({ member: `serviceAccount:${email}`, expired: false });
  });

  it('differs by account, by scopes and by unique id, and is minted once for many at once', async () => {
    const answers = await Promise.all(Array.from({ length: 50 }, () => tokens.forServiceAccount(email, ['a'], '1')));
    const others = await Promise.all([tokens.forServiceAccount(email, ['b'], '1'), tokens.forServiceAccount(email, ['a'], '2'), tokens.forServiceAccount(`x${email}`, ['a'], '1')]);
    expect(new Set(answers.map((answer) => answer.token)).size).toBe(1);
    expect(new Set([...answers, ...others].map((answer) => answer.token)).size).toBe(4);
    expect(await tokens.verify(answers[0]?.token ?? '')).toMatchObject({ uniqueId: '1', scopes: ['a'] });
  });

  it('is made anew after it was revoked', async () => {
    const first = await tokens.forServiceAccount(email, ['a']);
    await tokens.revoke(first.token);
    expect((await tokens.forServiceAccount(email, ['a'])).token).not.toBe(first.token);
  });

  it('is bounded in its sets of scopes, and recovers', async () => {
    for (let i = 0; i < 64; i++) await tokens.forServiceAccount(email, [`scope-${i}`]);
    await expect(tokens.forServiceAccount(email, ['one-more'])).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
    await tokens.forServiceAccount(email, ['scope-0']);
    now += 60 * MINUTE;
    await tokens.forServiceAccount(email, ['one-more']);
  });

  it('is asked for again after the store failed', async () => {
    let fail = true;
    const kept = accessTokenStore(store);
    const flaky = createTokens({ clock, store: { ...kept, insert: (row) => (fail ? Promise.reject(new Error('disk full')) : kept.insert(row)) } });
    await expect(flaky.forServiceAccount(email, ['a'])).rejects.toThrow('disk full');
    fail = false;
    expect((await flaky.forServiceAccount(email, ['a'])).expiresInSeconds).toBe(3600);
  });
});

it('no token is in any file of the store', async () => {
  const { token } = await tokens.mint({ member: 'user:alice@example.com' });
  const { token: other } = await tokens.forServiceAccount('sa@demo.iam.gserviceaccount.com', ['a']);
  await tokens.verify(token);
  const files = await readdir(dir);
  expect(files).toContain('state.sqlite');
  for (const file of files) {
    const bytes = await readFile(join(dir, file));
    for (const secret of [token, other, 'actas_at_']) expect(bytes.includes(secret)).toBe(false);
  }
});

describe('refresh tokens', () => {
  it('are no access tokens, are kept as hashes, and end with what was made from them', async () => {
    const refreshToken = await tokens.mintRefreshToken('user:alice@example.com', [CLOUD_PLATFORM_SCOPE]);
    const mine = await tokens.mint({ member: 'user:alice@example.com', refreshToken });
    const other = await tokens.mint({ member: 'user:alice@example.com' });
    expect(await tokens.verify(refreshToken)).toBeUndefined();
    expect(await tokens.verifyRefreshToken(mine.token)).toBeUndefined();
    expect(await tokens.verifyRefreshToken(refreshToken)).toMatchObject({ member: 'user:alice@example.com', scopes: [CLOUD_PLATFORM_SCOPE] });
    // Once from the store, so that it is in the cache when its grant ends.
    expect(await tokens.verify(mine.token)).toMatchObject({ expired: false });
    const kept = Buffer.concat(await Promise.all((await readdir(dir)).map((name) => readFile(join(dir, name)))));
    expect(kept.includes(refreshToken)).toBe(false);
    now += 400 * 24 * 60 * MINUTE;
    expect(await tokens.deleteExpired()).toBeGreaterThan(0);
    expect(await tokens.verifyRefreshToken(refreshToken)).toBeDefined();
    const later = await tokens.mint({ member: 'user:alice@example.com', refreshToken });
    expect(await tokens.verify(later.token)).toBeDefined();
    expect(await tokens.revoke(refreshToken)).toBe(true);
    expect(await tokens.verify(later.token)).toBeUndefined();
    expect(await tokens.verifyRefreshToken(refreshToken)).toBeUndefined();
    expect(await tokens.revoke(refreshToken)).toBe(false);
    expect(await tokens.revoke(other.token.slice(0, -1))).toBe(false);
  });

  it('gives no access token by a refresh token that is revoked while it is being made', async () => {
    const refreshToken = await tokens.mintRefreshToken('user:alice@example.com', [CLOUD_PLATFORM_SCOPE]);
    const kept = accessTokenStore(store);
    const made: Uint8Array[] = [];
    const slow = createTokens({
      clock,
      store: {
        ...kept,
        async insert(row) {
          made.push(row.hash);
          await tokens.revoke(refreshToken);
          await kept.insert(row);
        },
      },
    });
    await expect(slow.mint({ member: 'user:alice@example.com', refreshToken })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    for (const hash of made) expect(await kept.find(hash)).toBeUndefined();
    expect(made).toHaveLength(1);
  });

  it('remember on whose behalf a token was made', async () => {
    const delegation = ['user:alice@example.com', 'serviceAccount:middle@p.iam.gserviceaccount.com'];
    const { token } = await tokens.mint({ member: 'serviceAccount:x@p.iam.gserviceaccount.com', delegation });
    expect(await tokens.verify(token)).toMatchObject({ delegation });
  });
});
