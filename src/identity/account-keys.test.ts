import { createPublicKey, verify } from 'node:crypto';
import { expect, test } from 'vitest';
import { MICROS_PER_SECOND } from '../timestamp.ts';
import { type AccountKeyRow, createAccountKeys } from './account-keys.ts';

const EMAIL = 'x@p.iam.gserviceaccount.com';
const DAY = 24 * 3600 * MICROS_PER_SECOND;

function fixture() {
  const rows: AccountKeyRow[] = [];
  let rotations = 0;
  let time = 1_700_000_000 * MICROS_PER_SECOND;
  const clock = { now: () => time, advance: (micros: number) => (time += micros) };
  const keys = createAccountKeys({
    clock,
    store: {
      list: async (email) => (email === EMAIL ? { uniqueId: '1', keys: [...rows] } : undefined),
      async rotate(row, now) {
        rotations += 1;
        rows.splice(0, rows.length, ...rows.filter((old) => old.type !== 'SYSTEM_MANAGED' || (old.valid_before_time ?? now) >= now), row);
        keys.invalidate();
      },
    },
  });
  return { rows, clock, keys, rotations: () => rotations };
}

test('many who sign at once share one new key, and its signature verifies with what is published', async () => {
  const { keys, rotations } = fixture();
  const data = Buffer.from('text');
  const signed = await Promise.all(Array.from({ length: 20 }, () => keys.sign(EMAIL, data)));
  expect(rotations()).toBe(1);
  expect(new Set(signed.map((one) => one?.keyId)).size).toBe(1);
  const [first] = signed;
  const published = await keys.published(EMAIL);
  const key = published?.keys.find(({ id }) => id === first?.keyId);
  if (first === undefined || key === undefined) throw new Error('nothing is published');
  expect(verify('sha256', data, key.publicKey, first.signature)).toBe(true);
  expect(createPublicKey(key.pem).equals(key.publicKey)).toBe(true);
});

test('a key signs for two weeks and is published for two days more', async () => {
  const { keys, clock, rotations } = fixture();
  const sign = async () => (await keys.sign(EMAIL, Buffer.from('x')))?.keyId;
  const first = await sign();
  clock.advance(13 * DAY);
  expect(await sign()).toBe(first);
  clock.advance(1.5 * DAY);
  const second = await sign();
  expect(second).not.toBe(first);
  expect((await keys.published(EMAIL))?.keys.map(({ id }) => id)).toEqual([first, second]);
  clock.advance(2 * DAY);
  expect((await keys.published(EMAIL))?.keys.map(({ id }) => id)).toEqual([second]);
  expect(rotations()).toBe(2);
});

test('nobody signs for an account that is not there', async () => {
  const { keys } = fixture();
  expect(await keys.sign('y@p.iam.gserviceaccount.com', Buffer.from('x'))).toBeUndefined();
  expect(await keys.signJwt('y@p.iam.gserviceaccount.com', '{}')).toBeUndefined();
  expect(await keys.published('y@p.iam.gserviceaccount.com')).toBeUndefined();
});
