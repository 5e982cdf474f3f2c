import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openStore, type Store } from './database.ts';
import { CROSS_PROJECT_ORIGIN, insertCrossProjectLien, listLiens } from './liens.ts';
import { claimTagNumber, findTagKey, findTagParent, findTagValue, insertTagBinding, insertTagKey, insertTagValue, listTags } from './tags.ts';

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'store-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const JOB = '//run.googleapis.com/projects/demo/locations/us-central1/jobs/j';

test('what is bound to a resource itself, as conditions ask for it', async () => {
  const row = { description: '', etag: 'e', create_time: 1, update_time: 1 };
  const { key, value } = await store.write(async ({ db }) => {
    const numbers = { key: await claimTagNumber(db), value: await claimTagNumber(db) };
    await insertTagKey(db, { ...row, number: numbers.key, parent: 'organizations/1', short_name: 'env', namespaced_name: '1/env', purpose: '' });
    await insertTagValue(db, { ...row, number: numbers.value, key_number: numbers.key, short_name: 'prod', namespaced_name: '1/env/prod' });
    await insertTagBinding(db, { resource: JOB, key_number: numbers.key, value_number: numbers.value, create_time: 1 });
    return numbers;
  });
  expect(await listTags(store.read, JOB)).toEqual([{ keyId: `tagKeys/${key}`, key: '1/env', valueId: `tagValues/${value}`, value: 'prod' }]);
  expect(await listTags(store.read, '//cloudresourcemanager.googleapis.com/projects/demo')).toEqual([]);
  expect([(await findTagKey(store.read, '1/env'))?.number, (await findTagValue(store.read, '1/env/prod'))?.number]).toEqual([key, value]);
  expect([await findTagParent(store.read, `tagValues/${value}`), await findTagParent(store.read, `tagKeys/${key}`), await findTagParent(store.read, 'tagKeys/1')]).toEqual([
    { parent: `tagKeys/${key}` },
    { parent: 'organizations/1' },
    undefined,
  ]);
  await expect(store.write(({ db }) => insertTagBinding(db, { resource: JOB, key_number: key, value_number: '2', create_time: 1 }))).rejects.toThrow(/UNIQUE/);
});

test('the lien of cross-project use is placed once', async () => {
  for (let i = 0; i < 2; i++) await store.write(({ db }) => insertCrossProjectLien(db, '123456789012', 1));
  expect(await listLiens(store.read, { parent: 'projects/123456789012', limit: 10 })).toMatchObject([
    { name: expect.stringMatching(/^liens\/p123456789012-l[0-9a-f]{32}$/), origin: CROSS_PROJECT_ORIGIN, restrictions: '["resourcemanager.projects.delete"]' },
  ]);
});
