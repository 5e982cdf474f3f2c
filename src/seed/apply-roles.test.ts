import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadCatalogue } from '../policy/catalogue.ts';
import { createFakeClock } from '../services/fake-call.ts';
import { openStore, type Store } from '../store/database.ts';
import { findRole, updateRole } from '../store/roles.ts';
import { applySeed } from './apply.ts';
import { parseSeed } from './seed.ts';

const PLACES = `
organizations: [{ number: 111111111111, displayName: example.com }]
projects: [{ id: demo, number: 123456789012, parent: organizations/111111111111 }]
`;
const NAME = 'projects/demo/roles/jobRunner';
const ROLE = `${PLACES}roles: [{ name: ${NAME}, title: Job runner, stage: GA, includedPermissions: [run.jobs.run, run.jobs.get] }]\n`;
const catalogue = loadCatalogue();

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'seed-roles-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const clock = createFakeClock();
const apply = (text: string) =>
  applySeed(
    parseSeed(text, 'seed.yaml'),
    {
      store,
      clock,
      catalogue,
      applyJob: async () => undefined,
      applyDenyPolicy: async () => undefined,
      applySecret: async () => undefined,
      services: () => Promise.reject(new Error('not asked for')),
    },
    { force: true },
  );

test('custom roles are made, and applied again nothing changes', async () => {
  await apply(ROLE);
  const made = await findRole(store.read, NAME);
  expect(made).toMatchObject({ parent: 'projects/demo', title: 'Job runner', stage: 'GA', permissions: '["run.jobs.get","run.jobs.run"]' });
  await apply(ROLE.replace('projects/demo/roles', 'projects/123456789012/roles'));
  expect(await findRole(store.read, NAME)).toEqual(made);
  await apply(`${PLACES}roles: [{ name: organizations/111111111111/roles/any.role, includedPermissions: [resourcemanager.folders.get] }]`);
  expect(await findRole(store.read, 'organizations/111111111111/roles/any.role')).toMatchObject({ stage: 'ALPHA', title: '' });
});

test('what was changed or deleted is brought to what is declared', async () => {
  await apply(ROLE);
  await store.write(async ({ db }) => {
    const row = await findRole(db, NAME);
    if (row !== undefined) await updateRole(db, { ...row, permissions: '[]', delete_time: 5 });
  });
  await apply(ROLE);
  expect(await findRole(store.read, NAME)).toMatchObject({ permissions: '["run.jobs.get","run.jobs.run"]', delete_time: null });
});

test.each([
  [`roles: [{ name: roles/run.invoker }]`, 'roles[0].name is "roles/run.invoker": must be projects/PROJECT/roles/ID or organizations/NUMBER/roles/ID'],
  [`roles: [{ name: ${NAME}, stage: NEW }]`, 'roles[0].stage is "NEW": must be ALPHA, BETA, GA, DEPRECATED, DISABLED or EAP'],
  [`roles: [{ name: ${NAME} }, { name: ${NAME} }]`, `roles[1] declares ${NAME} again`],
])('%s is refused when it is read', (text, message) => {
  expect(() => parseSeed(text, 'seed.yaml')).toThrow(message);
});

test.each([
  [ROLE.replace('run.jobs.get', 'run.jobs.fly'), 'roles[0]: Permission run.jobs.fly is not valid.'],
  [ROLE.replace('projects/demo/roles', 'projects/other/roles'), 'role projects/other/roles/jobRunner is in projects/other, which does not exist. Declare it under projects.'],
  [ROLE.replace('Job runner', 'x'.repeat(101)), 'roles[0]: role.title: must have at most 100 characters'],
])('a role that cannot be is refused when it is applied, and nothing is kept', async (text, message) => {
  await expect(apply(text)).rejects.toThrow(message);
  expect(await findRole(store.read, NAME)).toBeUndefined();
});
