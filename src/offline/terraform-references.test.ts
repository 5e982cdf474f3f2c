/** What a first plan of the real google provider leaves open; the plans were written by `npm run test:terraform -- --record`. */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { loadCatalogue } from '../policy/catalogue.ts';
import { compareStates } from './differences.ts';
import { readDocument, statesOf } from './read-state.ts';
import { followReferences } from './terraform-references.ts';

const planOf = (group: string) => readFileSync(new URL(`../../test/terraform/plans/${group}.json`, import.meta.url), 'utf8');
const compare = (text: string) => {
  const notes: string[] = [];
  const { before, after } = statesOf(readDocument(text, 'plan', notes), undefined, undefined, notes);
  const { gains } = compareStates(before, after, loadCatalogue());
  return { notes, gains: gains.map(({ principal, kind, accounts, ways }) => [principal, kind, ...accounts, ...ways.map(({ role }) => role)]) };
};

test('grants on and to an account that the same plan makes', () => {
  expect(planOf('accounts')).toMatch(/"service_account_id": true/);
  expect(planOf('accounts')).toMatch(/"member": true/);
  expect(compare(planOf('accounts'))).toEqual({
    notes: [],
    gains: [
      ['user:dev@example.com', 'act', 'terraform-sa@demo.iam.gserviceaccount.com', 'roles/iam.serviceAccountUser', 'roles/iam.serviceAccountTokenCreator'],
      ['serviceAccount:terraform-sa@demo.iam.gserviceaccount.com', 'other', 'roles/run.viewer'],
    ],
  });
});

test('a grant of a role that the same plan makes', () => {
  expect(planOf('roles')).toMatch(/"role": true/);
  const { notes, gains } = compare(planOf('roles'));
  expect(notes).toEqual([]);
  expect(gains).toContainEqual(['group:team@example.com', 'act', 'projects/demo/roles/terraformAttach']);
});

test('a whole policy', () => {
  expect(compare(planOf('project-policy'))).toMatchObject({
    notes: [],
    gains: [
      ['user:owner@example.com', 'act', 'roles/owner'],
      ['user:dev@example.com', 'other', 'roles/run.viewer'],
    ],
  });
});

test('what only the server can name, a new folder, is left out, and said once', () => {
  const { notes, gains } = compare(planOf('hierarchy'));
  expect(notes).toEqual([
    'google_folder_iam_member.viewer: folder will be known when it is applied, and is left out.',
    'google_tags_tag_key_iam_member.viewer: tag_key will be known when it is applied, and is left out.',
  ]);
  expect(gains).toContainEqual(['user:dev@example.com', 'act', 'reader-sa@terraform-data-1.iam.gserviceaccount.com', 'roles/iam.serviceAccountUser']);
  expect(gains).toContainEqual(['user:dev@example.com', 'other', 'organizations/111111111111/roles/terraformRunner']);
});

const made = (address: string) => ({ address, type: 'google_service_account', change: { after: { account_id: 'new-sa' } } });
const granted = (address: string, unknown: object) => ({ address, type: 'google_project_iam_member', change: { after: { role: 'roles/viewer' }, after_unknown: unknown } });
const configured = (address: string, references: string[]) => ({ address, expressions: { member: { references } } });
const provider = { google: { expressions: { project: { constant_value: 'demo' } } } };
const memberOf = (changes: ReturnType<typeof followReferences>) => changes.at(-1)?.change.after?.['member'];

test("a member in a module, whose account is in the provider's project", () => {
  const module = { resources: [configured('google_project_iam_member.a', ['google_service_account.x.email', 'google_service_account.x'])] };
  const changes = [made('module.m.google_service_account.x'), granted('module.m.google_project_iam_member.a', { member: true, etag: true })];
  const followed = followReferences(changes, { provider_config: provider, root_module: { module_calls: { m: { module } } } });
  expect(memberOf(followed)).toBe('serviceAccount:new-sa@demo.iam.gserviceaccount.com');
  expect(followed.at(-1)?.change.after_unknown).toEqual({ etag: true });
});

test("an organization's role", () => {
  const role = { address: 'google_organization_iam_custom_role.r', type: 'google_organization_iam_custom_role', change: { after: { org_id: '1', role_id: 'runner' } } };
  const changes = [role, granted('google_organization_iam_member.a', { role: true })];
  const root = {
    resources: [
      {
        address: 'google_organization_iam_member.a',
        expressions: { role: { references: ['google_organization_iam_custom_role.r.name', 'google_organization_iam_custom_role.r'] } },
      },
    ],
  };
  expect(followReferences(changes, { root_module: root }).at(-1)?.change.after?.['role']).toBe('organizations/1/roles/runner');
});

test.each([
  ['two accounts', ['google_service_account.x.email', 'google_service_account.x', 'google_service_account.y.email', 'google_service_account.y']],
  ['a variable beside it', ['google_service_account.x.email', 'google_service_account.x', 'var.who']],
  ['another attribute', ['google_service_account.x.unique_id', 'google_service_account.x']],
  ['one of many', ['google_service_account.x["a"].email', 'google_service_account.x["a"]', 'google_service_account.x']],
  ['an output of a module', ['module.m.email', 'module.m']],
  ['an account that the plan does not have', ['google_service_account.z.email', 'google_service_account.z']],
])('%s is left open', (_name, references) => {
  const changes = [made('google_service_account.x'), made('google_service_account.y'), granted('google_project_iam_member.a', { member: true })];
  expect(memberOf(followReferences(changes, { provider_config: provider, root_module: { resources: [configured('google_project_iam_member.a', references)] } }))).toBeUndefined();
});

test('an instance of many, and an account whose project nobody says, are left open', () => {
  const root = { resources: [configured('google_project_iam_member.a', ['google_service_account.x.email', 'google_service_account.x'])] };
  const many = [made('google_service_account.x'), granted('google_project_iam_member.a["b"]', { member: true })];
  expect(memberOf(followReferences(many, { provider_config: provider, root_module: root }))).toBeUndefined();
  const one = [made('google_service_account.x'), granted('google_project_iam_member.a', { member: true })];
  expect(memberOf(followReferences(one, { root_module: root }))).toBeUndefined();
  expect(memberOf(followReferences(one, undefined))).toBeUndefined();
});
