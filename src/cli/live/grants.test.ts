/** A service agent's grant, from policies as Google would give them: a yes where one is seen, a no only where nothing was left unread. */
import { describe, expect, it } from 'vitest';
import { loadCatalogue } from '../../policy/catalogue.ts';
import { Untold } from '../../services/untold.ts';
import type { Google } from './google.ts';
import { isGranted } from './grants.ts';

const AGENT = 'serviceAccount:service-1@serverless-robot-prod.iam.gserviceaccount.com';
const EMAIL = 'far@accounts.iam.gserviceaccount.com';
const ACCOUNT = `projects/-/serviceAccounts/${EMAIL}`;
const QUESTION = { member: AGENT, permission: 'iam.serviceAccounts.getAccessToken', resource: `//iam.googleapis.com/projects/accounts/serviceAccounts/${EMAIL}` };
const CREATOR = 'roles/iam.serviceAccountTokenCreator';
const catalogue = loadCatalogue();

const bound = (role: string, member: string, condition?: object) => ({ bindings: [{ role, members: [member], ...(condition === undefined ? {} : { condition }) }], version: 3 });
const EMPTY = { etag: 'ACAB' };
/** Project, folder and organization, all readable, none with a grant. */
const TREE: Readonly<Record<string, object | null>> = {
  [`${ACCOUNT}:getIamPolicy`]: EMPTY,
  'projects/accounts': { name: 'projects/7', projectId: 'accounts', parent: 'folders/8' },
  'projects/accounts:getIamPolicy': EMPTY,
  'folders/8': { name: 'folders/8', parent: 'organizations/9' },
  'folders/8:getIamPolicy': EMPTY,
  'organizations/9:getIamPolicy': EMPTY,
};

/** @param changes path -> answer; null: denied */
function ask(changes: Readonly<Record<string, object | null>> = {}): Promise<boolean> {
  const answers = { ...TREE, ...changes };
  const read = async <T extends object>(path: string): Promise<T | undefined> => {
    const answer = answers[path];
    if (answer === null) throw new Untold(`PERMISSION_DENIED: ${path}`);
    // The test's own answers have the shapes that are asked for.
    return answer as T | undefined;
  };
  const google: Google = { find: (_prefix, path) => read(path), ask: (_prefix, path) => read(path), manifest: async () => undefined };
  return isGranted(google, catalogue, QUESTION);
}

describe('a grant that is seen', () => {
  it.each([`${ACCOUNT}:getIamPolicy`, 'projects/accounts:getIamPolicy', 'folders/8:getIamPolicy', 'organizations/9:getIamPolicy'])('counts at %s', async (where) => {
    expect(await ask({ [where]: bound(CREATOR, AGENT) })).toBe(true);
  });

  it('counts whatever could not be read above it', async () => {
    const above = { 'projects/accounts': null, 'projects/accounts:getIamPolicy': null };
    expect(await ask({ [`${ACCOUNT}:getIamPolicy`]: bound(CREATOR, AGENT), ...above })).toBe(true);
    expect(await ask({ 'projects/accounts:getIamPolicy': bound(CREATOR, AGENT), 'folders/8': null })).toBe(true);
  });

  it('counts by a custom role that can be read, and under a condition that is true', async () => {
    const role = 'projects/accounts/roles/minter';
    expect(await ask({ [`${ACCOUNT}:getIamPolicy`]: bound(role, AGENT), [role]: { includedPermissions: [QUESTION.permission] } })).toBe(true);
    expect(await ask({ [`${ACCOUNT}:getIamPolicy`]: bound(CREATOR, AGENT, { title: 't', expression: 'request.time > timestamp("2020-01-01T00:00:00Z")' }) })).toBe(true);
  });
});

describe('no grant', () => {
  it('is a no where everything was read', async () => {
    expect(await ask()).toBe(false);
    expect(await ask({ [`${ACCOUNT}:getIamPolicy`]: bound('roles/iam.serviceAccountUser', AGENT) })).toBe(false);
    expect(await ask({ [`${ACCOUNT}:getIamPolicy`]: bound(CREATOR, AGENT, { title: 't', expression: 'request.time < timestamp("2020-01-01T00:00:00Z")' }) })).toBe(false);
  });

  it.each([
    ['the policy of the account', { [`${ACCOUNT}:getIamPolicy`]: null }, `the policy of projects/accounts/serviceAccounts/${EMAIL}`],
    ['the project', { 'projects/accounts': null }, 'the parent of project accounts'],
    ['the folder', { 'folders/8': null }, 'the parent of folder 8'],
    ['the policy of the organization', { 'organizations/9:getIamPolicy': null }, 'the policy of organizations/9'],
    ['the members of a group', { 'folders/8:getIamPolicy': bound(CREATOR, 'group:agents@example.com') }, 'the members of group:agents@example.com'],
    [
      'a custom role',
      { [`${ACCOUNT}:getIamPolicy`]: bound('projects/accounts/roles/minter', AGENT), 'projects/accounts/roles/minter': null },
      'role projects/accounts/roles/minter',
    ],
    ['a predefined role that is not known', { [`${ACCOUNT}:getIamPolicy`]: bound('roles/new.thing', AGENT), 'roles/new.thing': null }, 'role roles/new.thing'],
  ] as const)('is not known where %s could not be read', async (_what, changes, named) => {
    await expect(ask(changes)).rejects.toThrow(Untold);
    await expect(ask(changes)).rejects.toThrow(named);
  });
});
