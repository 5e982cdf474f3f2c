import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { loadCatalogue } from '../policy/catalogue.ts';
import { createFakeClock } from '../services/fake-call.ts';
import { openStore, type Store } from '../store/database.ts';
import { findGroup, listGroupMembers } from '../store/groups.ts';
import { applySeed } from './apply.ts';
import { parseSeed } from './seed.ts';

const PLACES = `
organizations: [{ number: 111111111111, displayName: example.com }]
projects: [{ id: demo, number: 123456789012, parent: organizations/111111111111 }]
serviceAccounts: [{ project: demo, id: hello-sa }]
`;
const GROUPS = `
groups:
  - email: Team@example.com
    displayName: Team
    members: ["user:Dev@example.com", "group:core@example.com", "serviceAccount:hello-sa@demo.iam.gserviceaccount.com"]
  - { email: core@example.com, members: [] }
`;

let dir: string;
let store: Store;
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'seed-groups-'));
  store = await openStore(dir);
});
afterEach(async () => {
  await store.close();
  rmSync(dir, { recursive: true, force: true });
});

const clock = createFakeClock();
const apply = (text: string, force = true) =>
  applySeed(
    parseSeed(text, 'seed.yaml'),
    {
      store,
      clock,
      catalogue: loadCatalogue(),
      applyJob: async () => undefined,
      applyDenyPolicy: async () => undefined,
      applySecret: async () => undefined,
      services: () => Promise.reject(new Error('not asked for')),
    },
    { force },
  );
const membersOf = (email: string) => listGroupMembers(store.read, email);

test('groups are made with their members, and applied again nothing changes', async () => {
  await apply(PLACES + GROUPS);
  const made = await findGroup(store.read, 'team@example.com');
  expect(made).toMatchObject({ parent: 'organizations/111111111111', display_name: 'Team' });
  expect(await membersOf('team@example.com')).toEqual(['group:core@example.com', 'serviceAccount:hello-sa@demo.iam.gserviceaccount.com', 'user:dev@example.com']);
  await apply(PLACES + GROUPS);
  expect(await findGroup(store.read, 'team@example.com')).toEqual(made);
});

test('declared members replace the others; what is not declared stays', async () => {
  await apply(PLACES + GROUPS);
  await apply(`${PLACES}groups:\n  - { email: team@example.com, members: ["user:new@example.com"] }\n  - { email: core@example.com, members: ["group:team@example.com"] }\n`);
  expect(await membersOf('team@example.com')).toEqual(['user:new@example.com']);
  expect(await membersOf('core@example.com')).toEqual(['group:team@example.com']);
  await apply(`${PLACES}groups:\n  - { email: team@example.com, description: "All of us" }\n`);
  expect(await membersOf('team@example.com')).toEqual(['user:new@example.com']);
  expect(await findGroup(store.read, 'team@example.com')).toMatchObject({ display_name: 'Team', description: 'All of us' });
});

test.each([
  ['groups: [{ email: team }]', 'seed.yaml: groups[0].email is "team": must be an e-mail address, for example team@example.com.'],
  ['groups: [{ email: a@b.example, members: ["dev@b.example"] }]', 'groups[0].members[0] is "dev@b.example": must be user:EMAIL, serviceAccount:EMAIL or group:EMAIL.'],
  ['groups: [{ email: a@b.example }, { email: A@b.example }]', 'groups[1] declares a@b.example again, after groups[0]. Declare it once.'],
])('%s is refused when it is read', (text, message) => {
  expect(() => parseSeed(text, 'seed.yaml')).toThrow(message);
});

test.each([
  ['groups: [{ email: a@b.example }]', 'groups[0]: group a@b.example needs an organization, and there is none. Declare one under organizations.'],
  [
    `${PLACES}groups: [{ email: a@example.com, members: ["group:b@example.com"] }, { email: b@example.com, members: ["group:a@example.com"] }]`,
    'groups[0].members: group a@example.com would be in itself: a@example.com > b@example.com > a@example.com. Take one of them out.',
  ],
  [`${PLACES}groups: [{ email: a@example.com, organization: 5 }]`, 'groups[0].organization: organization 5 does not exist.'],
  [
    `${PLACES}groups: [{ email: a@example.com, members: ["serviceAccount:none-such@demo.iam.gserviceaccount.com"] }]`,
    'groups[0].members: serviceAccount:none-such@demo.iam.gserviceaccount.com does not exist.',
  ],
  [
    'organizations: [{ number: 1, displayName: one }, { number: 2, displayName: two }]\ngroups: [{ email: a@b.example }]',
    'groups[0]: there are several organizations, and none is called b.example. Write organization: NUMBER for group a@b.example.',
  ],
])('%s is refused when it is applied, and nothing is kept', async (text, message) => {
  await expect(apply(text)).rejects.toThrow(message);
  expect(await findGroup(store.read, 'a@example.com')).toBeUndefined();
});
