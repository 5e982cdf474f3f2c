/** Who gains what, held against the decision engine itself; and what is read from files. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { createAuthorizer } from '../policy/authorizer.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import { compareStates } from './differences.ts';
import { readDocument, statesOf } from './read-state.ts';
import { emptyState, type PolicyState, sourceOf } from './state.ts';

const catalogue = loadCatalogue();
const PROJECT = '//cloudresourcemanager.googleapis.com/projects/p';
const FOLDER = '//cloudresourcemanager.googleapis.com/folders/2';
const ORG = '//cloudresourcemanager.googleapis.com/organizations/1';
const ACCOUNT = '//iam.googleapis.com/projects/p/serviceAccounts/x@p.iam.gserviceaccount.com';

const compare = (before: string, after?: string, resource?: string) => {
  const notes: string[] = [];
  const states = statesOf(readDocument(before, 'before', notes), after === undefined ? undefined : readDocument(after, 'after', notes), resource, notes);
  return { ...compareStates(states.before, states.after, catalogue), notes };
};
const policy = (...bindings: object[]) => JSON.stringify({ version: 3, etag: 'BwX=', bindings });
const short = ({ gains }: ReturnType<typeof compare>) =>
  gains.map(({ principal, kind, resource, accounts }) => [principal, kind, resource.split('/').slice(-2).join('/'), ...accounts]);

describe('against the decision engine', () => {
  const ROLES = ['roles/viewer', 'roles/run.developer', 'roles/iam.serviceAccountUser', 'roles/owner', 'projects/p/roles/custom'];
  const MEMBERS = ['user:a@x.org', 'user:b@y.org', 'group:g@x.org', 'group:h@x.org', 'domain:x.org', 'allUsers', 'serviceAccount:x@p.iam.gserviceaccount.com'];
  const PEOPLE = ['user:a@x.org', 'user:b@y.org', 'user:c@z.org', 'serviceAccount:x@p.iam.gserviceaccount.com'];
  const PERMISSIONS = ['iam.serviceAccounts.actAs', 'run.jobs.run', 'run.jobs.get', 'resourcemanager.projects.setIamPolicy', 'resourcemanager.projects.get'];

  /** Always the same numbers for one seed. */
  function numbers(seed: number): (most: number) => number {
    let state = seed;
    return (most) => {
      state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
      return Math.floor((state / 2_147_483_648) * most);
    };
  }
  function anyState(pick: (most: number) => number): PolicyState {
    const state = emptyState();
    state.projects.set('p', { number: '10', parent: 'folders/2' });
    state.folders.set('2', { parent: 'organizations/1' });
    state.accounts.add(ACCOUNT);
    state.groups.set('group:g@x.org', pick(2) === 0 ? ['user:c@z.org'] : ['group:h@x.org']);
    state.groups.set('group:h@x.org', pick(2) === 0 ? ['user:b@y.org'] : ['user:b@y.org', 'user:c@z.org']);
    state.roles.set('projects/p/roles/custom', { permissions: PERMISSIONS.filter(() => pick(2) === 0), active: pick(4) > 0 });
    for (const resource of [ORG, FOLDER, PROJECT, ACCOUNT])
      state.policies.set(
        resource,
        Array.from({ length: pick(3) }, () => ({ role: ROLES[pick(ROLES.length)] ?? '', members: [MEMBERS[pick(MEMBERS.length)] ?? ''] })),
      );
    return state;
  }

  test('what is told as gained is denied before and allowed after, and what is not told is not gained', async () => {
    const wrong: string[] = [];
    let seen = 0;
    for (let seed = 1; seed <= 60; seed++) {
      const pick = numbers(seed);
      const [before, after] = [anyState(pick), anyState(pick)];
      const [old, young] = [before, after].map((state) => createAuthorizer({ source: sourceOf(state), catalogue }));
      const { gains } = compareStates(before, after, catalogue);
      for (const member of PEOPLE)
        for (const permission of PERMISSIONS) {
          const above: Record<string, readonly string[]> = { [ORG]: [ORG], [FOLDER]: [ORG, FOLDER], [PROJECT]: [ORG, FOLDER, PROJECT], [ACCOUNT]: [ORG, FOLDER, PROJECT, ACCOUNT] };
          for (const [resource, chain] of Object.entries(above)) {
            const question = { member, permission, resource };
            const gained = (await old?.decide(question))?.allowed === false && (await young?.decide(question))?.allowed === true;
            // Through a wider set that gains it too it is told of the set.
            const told = gains.some(
              (gain) =>
                chain.includes(gain.resource) &&
                gain.permissions.includes(permission) &&
                (gain.principal === member || ['allUsers', 'domain:x.org', 'group:g@x.org'].includes(gain.principal)),
            );
            if (gained) seen++;
            if (gained && !told) wrong.push(`seed ${seed}: ${member} gains ${permission} on ${resource}, untold`);
            const own = gains.find((gain) => gain.principal === member && gain.resource === resource && gain.permissions.includes(permission));
            if (own !== undefined && !gained) wrong.push(`seed ${seed}: ${member} is told to gain ${permission} on ${resource}`);
          }
        }
    }
    expect(wrong).toEqual([]);
    expect(seen).toBeGreaterThan(100);
  });
});

describe('what is told', () => {
  test('acting as somebody comes first, then changing policies, then the rest; a loss is a gain turned round', () => {
    const before = policy({ role: 'roles/viewer', members: ['user:old@x.org'] });
    const after = policy(
      { role: 'roles/run.viewer', members: ['user:c@x.org'] },
      { role: 'roles/resourcemanager.projectIamAdmin', members: ['user:b@x.org'] },
      { role: 'roles/iam.serviceAccountTokenCreator', members: ['user:a@x.org'] },
    );
    const compared = compare(before, after);
    expect(short(compared)).toEqual([
      ['user:a@x.org', 'act', 'projects/unnamed'],
      ['user:b@x.org', 'grant', 'projects/unnamed'],
      ['user:c@x.org', 'other', 'projects/unnamed'],
    ]);
    expect(compared.losses.map(({ principal }) => principal)).toEqual(['user:old@x.org']);
    expect(compare(after, before).gains).toEqual(compared.losses);
    expect(compare(after, after)).toMatchObject({ gains: [], losses: [], unknownRoles: [] });
  });

  test('a condition that is dropped is a gain, one that is added a loss', () => {
    const under = policy({
      role: 'roles/run.viewer',
      members: ['user:a@x.org'],
      condition: { title: 'until May', expression: "request.time < timestamp('2026-05-01T00:00:00Z')" },
    });
    const always = policy({ role: 'roles/run.viewer', members: ['user:a@x.org'] });
    expect(compare(under, always).gains).toMatchObject([{ principal: 'user:a@x.org', conditional: false }]);
    expect(compare(under, always).losses).toEqual([]);
    expect(compare('{"etag":"ACAB"}', under).gains).toMatchObject([{ conditional: true, ways: [{ condition: 'until May' }] }]);
  });

  test('a folder that is moved brings to everything in it what is above its new place', () => {
    const seed = (parent: string) =>
      `organizations: [{ number: 1, displayName: x }]\nfolders: [{ number: 2, displayName: a, parent: organizations/1 }, { number: 3, displayName: b, parent: ${parent} }]\nprojects: [{ id: proj, number: 100000, parent: folders/3 }]\npolicies: [{ resource: folders/2, bindings: [{ role: roles/owner, members: ["user:a@x.org"] }] }]\n`;
    expect(compare(seed('organizations/1'), seed('folders/2')).gains).toMatchObject([
      { principal: 'user:a@x.org', kind: 'act', resource: '//cloudresourcemanager.googleapis.com/folders/3', accounts: ['100000-compute@developer.gserviceaccount.com'] },
    ]);
  });

  test('roles that are not known are compared by their name', () => {
    const compared = compare('{"bindings":[]}', policy({ role: 'roles/unheard.of', members: ['user:a@x.org'] }));
    expect(compared).toMatchObject({ gains: [{ permissions: ['(what roles/unheard.of holds)'] }], unknownRoles: ['roles/unheard.of'] });
  });
});

describe('files', () => {
  const seed = readFileSync(new URL('../../examples/seed.yaml', import.meta.url), 'utf8');

  test('a new member of a group gains what the group has', () => {
    const compared = compare(seed, seed.replace('members: ["user:dev@shop.example"] }\nroles', 'members: ["user:dev@shop.example", "user:new@shop.example"] }\nroles'));
    expect(compared.gains).toMatchObject([
      {
        principal: 'user:new@shop.example',
        resource: '//cloudresourcemanager.googleapis.com/projects/shop-prod',
        ways: [{ role: 'roles/run.developer', path: ['user:new@shop.example', 'group:developers@shop.example'] }],
      },
    ]);
  });

  const changes = (...resources: readonly { address?: string; type: string; before?: object | null; after?: object | null; after_unknown?: object }[]) =>
    JSON.stringify({
      format_version: '1.2',
      terraform_version: '1.9.0',
      resource_changes: resources.map(({ address = 'x.y', type, before = null, after = null, after_unknown = {} }) => ({
        address,
        mode: 'managed',
        type,
        change: { actions: ['create'], before, after, after_unknown },
      })),
    });
  const ACCOUNT_ID = 'projects/shop-prod/serviceAccounts/nightly-report@shop-prod.iam.gserviceaccount.com';
  const act = { service_account_id: ACCOUNT_ID, role: 'roles/iam.serviceAccountUser', member: 'user:new@shop.example', condition: [] };

  test('a plan alone: members, bindings, policies, custom roles, what is not known yet', () => {
    const compared = compare(
      changes(
        { type: 'google_service_account_iam_member', after: act },
        { type: 'google_project_iam_custom_role', after: { project: 'shop-prod', role_id: 'runner', permissions: ['run.jobs.run'], stage: 'GA' } },
        {
          type: 'google_project_iam_binding',
          after: { project: 'shop-prod', role: 'projects/shop-prod/roles/runner', members: ['user:runner@shop.example'], condition: [{ title: 't', expression: 'true' }] },
        },
        { type: 'google_folder_iam_policy', after: { folder: 'folders/2', policy_data: JSON.stringify({ bindings: [{ role: 'roles/browser', members: ['user:b@x.org'] }] }) } },
        { type: 'google_cloud_run_v2_job_iam_member', after: { project: 'shop-prod', location: 'europe-west1', name: 'nightly', role: 'roles/run.invoker', member: 'allUsers' } },
        { type: 'google_organization_iam_member', before: { org_id: '1', role: 'roles/viewer', member: 'user:gone@x.org' } },
        {
          address: 'google_project_iam_member.late',
          type: 'google_project_iam_member',
          after: { project: 'shop-prod', role: 'roles/viewer' },
          after_unknown: { member: true, etag: true },
        },
      ),
    );
    expect(short(compared)).toEqual([
      ['user:new@shop.example', 'act', 'serviceAccounts/nightly-report@shop-prod.iam.gserviceaccount.com', 'nightly-report@shop-prod.iam.gserviceaccount.com'],
      ['allUsers', 'other', 'jobs/nightly'],
      ['user:b@x.org', 'other', 'folders/2'],
      ['user:runner@shop.example', 'other', 'projects/shop-prod'],
    ]);
    expect(compared.losses).toMatchObject([{ principal: 'user:gone@x.org', resource: ORG }]);
    expect(compared.notes).toEqual(['google_project_iam_member.late: member will be known when it is applied, and is left out.']);
  });

  test('a plan on what is there: a binding takes its role from everybody else', () => {
    const binding = changes({
      type: 'google_service_account_iam_binding',
      after: { service_account_id: ACCOUNT_ID, role: 'roles/iam.serviceAccountUser', members: ['user:new@shop.example'] },
    });
    const compared = compare(seed, binding);
    expect(compared.gains).toMatchObject([{ principal: 'user:new@shop.example', kind: 'act' }]);
    expect(compared.losses).toMatchObject([{ principal: 'user:dev@shop.example', kind: 'act', accounts: ['nightly-report@shop-prod.iam.gserviceaccount.com'] }]);
    expect(compare(seed, changes({ type: 'google_service_account_iam_member', after: act })).losses).toEqual([]);
  });

  test('a state of Terraform, with modules', () => {
    const resource = { mode: 'managed', address: 'module.m.google_service_account_iam_member.a', type: 'google_service_account_iam_member', values: act };
    const state = JSON.stringify({ format_version: '1.0', terraform_version: '1.9.0', values: { root_module: { child_modules: [{ resources: [resource] }] } } });
    expect(compare('{"bindings":[]}', state, PROJECT).gains).toMatchObject([{ principal: 'user:new@shop.example', kind: 'act' }]);
  });

  test('exports: a list of searched policies, and lines of an asset export with its ancestors', () => {
    const searched = JSON.stringify([{ resource: PROJECT, policy: { bindings: [{ role: 'roles/viewer', members: ['user:a@x.org'] }] } }]);
    expect(compare('[]', searched).gains).toMatchObject([{ principal: 'user:a@x.org', resource: PROJECT }]);
    const line = (name: string, role: string) =>
      JSON.stringify({ name, iamPolicy: { bindings: [{ role, members: ['user:a@x.org'] }] }, ancestors: ['projects/10', 'folders/2', 'organizations/1'] });
    const lines = [line('//cloudresourcemanager.googleapis.com/folders/2', 'roles/viewer'), line('//cloudresourcemanager.googleapis.com/projects/10', 'roles/viewer')].join('\n');
    // What is gained on the folder is not told again of the project in it.
    expect(compare('[]', lines).gains).toMatchObject([{ resource: FOLDER }]);
    // An account by its unique id, a project by its number, and a custom role: told apart by what the export says of them.
    const described = [
      {
        name: '//iam.googleapis.com/projects/shop-prod/serviceAccounts/77',
        asset_type: 'iam.googleapis.com/ServiceAccount',
        resource: { data: { email: 'z@shop-prod.iam.gserviceaccount.com', uniqueId: '77' } },
        ancestors: ['projects/10'],
      },
      {
        name: '//iam.googleapis.com/projects/shop-prod/roles/act',
        asset_type: 'iam.googleapis.com/Role',
        resource: { data: { includedPermissions: ['iam.serviceAccounts.actAs'] } },
        ancestors: ['projects/10'],
      },
      {
        name: '//iam.googleapis.com/projects/shop-prod/serviceAccounts/77',
        asset_type: 'iam.googleapis.com/ServiceAccount',
        iam_policy: { bindings: [{ role: 'projects/shop-prod/roles/act', members: ['user:a@x.org'] }] },
        ancestors: ['projects/10'],
      },
    ];
    expect(compare('[]', described.map((each) => JSON.stringify(each)).join('\n'))).toMatchObject({
      gains: [{ principal: 'user:a@x.org', kind: 'act', accounts: ['z@shop-prod.iam.gserviceaccount.com'] }],
      notes: [],
    });
    expect(compare('[]', JSON.stringify([{ resource: '//storage.googleapis.com/b', policy: { bindings: [] } }])).notes).toEqual([
      expect.stringContaining('whose policies are not known here'),
    ]);
  });

  test.each([
    ['a text', 'hello', 'holds no policies'],
    ['broken JSON', '{"bindings": [', 'is neither YAML nor JSON'],
    ['a binding without a role', '{"bindings": [{}]}', 'bindings.0.role'],
    ['a broken seed', 'projects: 7', 'projects is 7'],
    ['a plan without changes in its form', '{"resource_changes": [7]}', 'resource_changes.0'],
  ])('%s is refused', (_name, text, message) => {
    expect(() => compare(text, text)).toThrow(message);
  });
  test('one file that is no plan, and a policy of nobody knows what', () => {
    expect(() => compare(seed)).toThrow('Name two files.');
    expect(() => compare(seed, policy())).toThrow('Add --resource=projects/PROJECT.');
  });
});
