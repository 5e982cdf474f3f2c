/** Policy Troubleshooter and actas.v1.Explanations through both doors, and what they tell to whom. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AccessState, Explanations } from '../src/gen/actas/v1/explain_pb.js';
import { PolicyTroubleshooter } from '../src/gen/google/cloud/policytroubleshooter/iam/v3/troubleshooter_pb.js';
import { IamChecker } from '../src/gen/google/cloud/policytroubleshooter/v1/checker_pb.js';
import { IamChecker as AlphaChecker } from '../src/gen/google/cloud/policytroubleshooter/v2alpha1/troubleshooter_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const ORG = 'organizations/111111111111';
const FOLDER = 'folders/222222222222';
const CRM = '//cloudresourcemanager.googleapis.com';
const ACCOUNT = 'target@demo.iam.gserviceaccount.com';
const RESOURCE = `//iam.googleapis.com/projects/demo/serviceAccounts/${ACCOUNT}`;
const ACT_AS = 'iam.serviceAccounts.actAs';
const NOBODY = 'user:nobody@elsewhere.example';
const HOST = '/policytroubleshooter.googleapis.com';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'target' });
  await server.call('POST', `/actas/v1/${ORG}/groups`, { email: 'team@example.com' });
  await server.call('POST', `/actas/v1/${ORG}/groups/team@example.com:addMembers`, { members: ['user:dev@example.com'] });
  await bind(`/iam.googleapis.com/v1/projects/demo/serviceAccounts/${ACCOUNT}`, [
    { role: 'roles/iam.serviceAccountUser', members: ['group:team@example.com'] },
    {
      role: 'roles/iam.serviceAccountUser',
      members: ['user:late@example.com'],
      condition: { title: 'until May', expression: "request.time < timestamp('2026-05-01T00:00:00Z')" },
    },
  ]);
  await bind('/cloudresourcemanager.googleapis.com/v3/projects/demo', [{ role: 'roles/viewer', members: ['user:reader@example.com', 'user:banned@example.com'] }], true);
  const denied = await server.call('POST', `/iam.googleapis.com/v2/policies/cloudresourcemanager.googleapis.com%2Fprojects%2Fdemo/denypolicies?policyId=guard`, {
    rules: [
      {
        description: 'not these',
        denyRule: { deniedPrincipals: ['principal://goog/subject/banned@example.com'], deniedPermissions: ['iam.googleapis.com/serviceAccounts.actAs'] },
      },
    ],
  });
  if (denied.status !== 200) throw new Error(denied.text);
});
afterAll(() => server.close());

async function bind(path: string, bindings: readonly object[], keep = false): Promise<void> {
  const now = keep ? (await server.call('POST', `${path}:getIamPolicy`, {})).json : {};
  const set = await server.call('POST', `${path}:setIamPolicy`, { policy: { version: 3, bindings: [...(now.bindings ?? []), ...bindings] } });
  if (set.status !== 200) throw new Error(set.text);
}

const tuple = (principal: string, fullResourceName = RESOURCE, permission = ACT_AS) => ({ accessTuple: { principal, fullResourceName, permission } });
const ask = async (version: string, body: object, as?: string) => (await server.call('POST', `${HOST}/${version}/iam:troubleshoot`, body, as === undefined ? {} : { as })).json;
const explain = async (principal: string, as?: string, fullResourceName = RESOURCE) =>
  (await server.call('POST', '/actas/v1/access:explain', { principal, permission: ACT_AS, fullResourceName }, as === undefined ? {} : { as })).json;
const holders = async (as?: string) =>
  (await server.call('POST', '/actas/v1/access:listHolders', { permission: ACT_AS, fullResourceName: RESOURCE }, as === undefined ? {} : { as })).json;

describe('Policy Troubleshooter', () => {
  test('v3 explains a grant through a group, with the policies', async () => {
    const answer = await ask('v3', tuple('dev@example.com'));
    expect(answer).toMatchObject({
      overallAccessState: 'CAN_ACCESS',
      accessTuple: { principal: 'dev@example.com', permission: ACT_AS, permissionFqdn: 'iam.googleapis.com/serviceAccounts.actAs' },
      allowPolicyExplanation: { allowAccessState: 'ALLOW_ACCESS_STATE_GRANTED', relevance: 'HEURISTIC_RELEVANCE_HIGH' },
      denyPolicyExplanation: { denyAccessState: 'DENY_ACCESS_STATE_NOT_DENIED', permissionDeniable: true },
    });
    const [own, ...above] = answer.allowPolicyExplanation.explainedPolicies;
    expect([own, ...above].map(({ fullResourceName }) => fullResourceName)).toEqual([RESOURCE, `${CRM}/projects/demo`, `${CRM}/${FOLDER}`, `${CRM}/${ORG}`]);
    expect(own.policy.bindings).toHaveLength(2);
    const [granting, late] = own.bindingExplanations;
    expect(granting).toMatchObject({
      allowAccessState: 'ALLOW_ACCESS_STATE_GRANTED',
      role: 'roles/iam.serviceAccountUser',
      rolePermission: 'ROLE_PERMISSION_INCLUDED',
      combinedMembership: { membership: 'MEMBERSHIP_MATCHED' },
      memberships: { 'group:team@example.com': { membership: 'MEMBERSHIP_MATCHED', relevance: 'HEURISTIC_RELEVANCE_HIGH' } },
    });
    expect(late).toMatchObject({ allowAccessState: 'ALLOW_ACCESS_STATE_NOT_GRANTED', condition: { title: 'until May' } });
  });

  test('v3 evaluates conditions at the time that is asked about', async () => {
    const at = async (receiveTime: string) => {
      const answer = await ask('v3', { accessTuple: { ...tuple('late@example.com').accessTuple, conditionContext: { request: { receiveTime } } } });
      return [answer.overallAccessState, answer.allowPolicyExplanation.explainedPolicies[0].bindingExplanations[1].conditionExplanation.value];
    };
    expect(await at('2026-04-01T00:00:00Z')).toEqual(['CAN_ACCESS', true]);
    expect(await at('2026-06-01T00:00:00Z')).toEqual(['CANNOT_ACCESS', false]);
  });

  test('v3 explains a denial', async () => {
    const answer = await ask('v3', tuple('banned@example.com'));
    expect(answer).toMatchObject({ overallAccessState: 'CANNOT_ACCESS', denyPolicyExplanation: { denyAccessState: 'DENY_ACCESS_STATE_DENIED' } });
    expect(answer.denyPolicyExplanation.explainedResources[0]).toMatchObject({
      denyAccessState: 'DENY_ACCESS_STATE_DENIED',
      fullResourceName: `${CRM}/projects/demo`,
      explainedPolicies: [
        {
          ruleExplanations: [
            {
              denyAccessState: 'DENY_ACCESS_STATE_DENIED',
              deniedPermissions: { 'iam.googleapis.com/serviceAccounts.actAs': { permissionMatchingState: 'PERMISSION_PATTERN_MATCHED' } },
              deniedPrincipals: { 'principal://goog/subject/banned@example.com': { membership: 'MEMBERSHIP_MATCHED' } },
            },
          ],
        },
      ],
    });
  });

  test('v1 and v2alpha1 look at allow policies; v1 evaluates no condition', async () => {
    for (const version of ['v1', 'v2alpha1']) {
      expect(await ask(version, tuple('dev@example.com'))).toMatchObject({ access: 'GRANTED' });
      expect(await ask(version, tuple('banned@example.com'))).toMatchObject({ access: 'NOT_GRANTED' });
    }
    const memberships = { 'user:late@example.com': { membership: 'MEMBERSHIP_INCLUDED', relevance: 'HIGH' } };
    expect(await ask('v1', tuple('late@example.com'))).toMatchObject({
      access: 'UNKNOWN_CONDITIONAL',
      explainedPolicies: [{ bindingExplanations: [{}, { memberships }] }, {}, {}, {}],
    });
    expect(await ask('v2alpha1', tuple('late@example.com'))).toMatchObject({
      access: 'NOT_GRANTED',
      explainedPolicies: [{ bindingExplanations: [{}, { memberships, conditionExplanation: { value: false } }] }, {}, {}, {}],
    });
  });

  test('a permission may be in the form of v2', async () => {
    expect(await ask('v3', tuple('dev@example.com', RESOURCE, 'iam.googleapis.com/serviceAccounts.actAs'))).toMatchObject({ overallAccessState: 'CAN_ACCESS' });
    expect(await ask('v3', tuple('reader@example.com', `${CRM}/projects/demo`, 'cloudresourcemanager.googleapis.com/projects.get'))).toMatchObject({
      overallAccessState: 'CAN_ACCESS',
    });
  });

  test.each([
    ['no tuple', {}, 'access_tuple: required field'],
    ['a group', tuple('group:team@example.com'), 'access_tuple.principal: "group:team@example.com"'],
    ['no principal', tuple(''), 'access_tuple.principal: ""'],
    ['a short name', tuple('a@example.com', 'projects/demo'), 'access_tuple.full_resource_name: "projects/demo"'],
    ['no permission', tuple('a@example.com', RESOURCE, ''), 'access_tuple.permission: ""'],
    ['two words', tuple('a@example.com', RESOURCE, 'run.jobs run'), 'access_tuple.permission: "run.jobs run"'],
  ])('%s is refused in every version', async (_name, body, message) => {
    for (const version of ['v1', 'v2alpha1', 'v3']) {
      const { error } = await ask(version, body);
      expect(error.status).toBe('INVALID_ARGUMENT');
      expect(error.message).toContain(message);
    }
  });

  test('through gRPC', async () => {
    const transport = await server.grpc();
    const request = { accessTuple: { principal: 'dev@example.com', fullResourceName: RESOURCE, permission: ACT_AS } };
    expect((await createClient(IamChecker, transport).troubleshootIamPolicy(request)).access).toBe(1);
    expect((await createClient(AlphaChecker, transport).troubleshootIamPolicy(request)).access).toBe(1);
    expect((await createClient(PolicyTroubleshooter, transport).troubleshootIamPolicy(request)).overallAccessState).toBe(1);
  });
});

describe('our own', () => {
  test('why: the way through a group, the clauses of a condition, changes in order', async () => {
    const granted = await explain('user:dev@example.com');
    expect(granted).toMatchObject({ access: 'GRANTED', groups: [{ group: 'group:team@example.com' }] });
    expect(granted.changes).toBeUndefined();
    expect(granted.resources[0].bindings[0]).toMatchObject({ membership: 'INCLUDED', path: ['user:dev@example.com', 'group:team@example.com'], access: 'GRANTED' });
    const late = await explain('user:late@example.com');
    expect(late).toMatchObject({ access: 'NOT_GRANTED' });
    expect(late.resources[0].bindings[1]).toMatchObject({ conditionResult: { result: 'false' } });
    expect(late.changes.map(({ kind }: { kind: string }) => kind)).toEqual(expect.arrayContaining(['addBinding', 'addToGroup', 'changeCondition']));
    const gives = late.changes.map((change: { gives?: number }) => change.gives ?? 0);
    expect(gives).toEqual(gives.toSorted((a: number, b: number) => a - b));
  });

  test('who can: everybody, and by which way', async () => {
    const found = await holders();
    const access = Object.fromEntries(found.holders.map((holder: { member: string; access: string }) => [holder.member, holder.access]));
    expect(access).toMatchObject({ 'user:dev@example.com': 'GRANTED', 'user:late@example.com': 'NOT_GRANTED', 'user:owner@example.com': 'GRANTED' });
    expect(found.holders.find(({ member }: { member: string }) => member === 'user:dev@example.com').ways).toEqual([
      { role: 'roles/iam.serviceAccountUser', fullResourceName: RESOURCE, path: ['user:dev@example.com', 'group:team@example.com'] },
    ]);
  });

  test('through gRPC', async () => {
    const client = createClient(Explanations, await server.grpc());
    const question = { permission: ACT_AS, fullResourceName: RESOURCE };
    expect((await client.explainAccess({ principal: 'user:dev@example.com', ...question })).access).toBe(AccessState.GRANTED);
    expect((await client.listHolders(question)).holders.length).toBeGreaterThan(2);
  });

  test.each([
    ['principal', { principal: 'dev@example.com', permission: ACT_AS, fullResourceName: RESOURCE }, 'principal: "dev@example.com" is not one who can ask'],
    ['domain', { principal: 'domain:example.com', permission: ACT_AS, fullResourceName: RESOURCE }, 'principal: "domain:example.com"'],
    ['permission', { principal: 'user:dev@example.com', permission: 'actAs', fullResourceName: RESOURCE }, 'permission: "actAs" is not a permission'],
    ['resource', { principal: 'user:dev@example.com', permission: ACT_AS, fullResourceName: '//x' }, 'full_resource_name: "//x"'],
    ['sets', { principal: 'user:dev@example.com', permission: ACT_AS, fullResourceName: RESOURCE, principalSets: ['group:x'] }, 'principal_sets[0]: "group:x"'],
  ])('a bad %s is refused', async (_name, body, message) => {
    const { error } = (await server.call('POST', '/actas/v1/access:explain', body)).json;
    expect([error.status, error.message]).toEqual(['INVALID_ARGUMENT', expect.stringContaining(message)]);
  });
});

describe('what is told to whom', () => {
  /** The answer with what was asked about taken out: its name, in full or in part. */
  const bare = (answer: object, name: string) => {
    const parts = name
      .split('/')
      .filter((part) => /@|demo|absent|\d{12}/.test(part))
      .toSorted((a, b) => b.length - a.length);
    return [name, name.replace(/^\/\/[^/]+\//, ''), ...parts.flatMap((part) => [part, part.slice(part.indexOf('@') + 1).replace('.iam.gserviceaccount.com', '')])].reduce(
      (text, part) => text.replaceAll(part, 'X'),
      JSON.stringify(answer),
    );
  };
  const pairs = [
    ['an account', RESOURCE, '//iam.googleapis.com/projects/demo/serviceAccounts/absent@demo.iam.gserviceaccount.com'],
    ['a project', `${CRM}/projects/demo`, `${CRM}/projects/absent`],
    ['an account of another project', RESOURCE, '//iam.googleapis.com/projects/absent/serviceAccounts/target@absent.iam.gserviceaccount.com'],
    ['a folder', `${CRM}/${FOLDER}`, `${CRM}/folders/999999999999`],
    ['an organization', `${CRM}/${ORG}`, `${CRM}/organizations/999999999999`],
  ] as const;

  test.each(pairs)('to who may read nothing %s that is there looks like one that is not', async (_name, there, absent) => {
    for (const principal of ['dev@example.com', 'banned@example.com', 'owner@example.com', 'late@example.com', 'unheard@example.com']) {
      for (const version of ['v1', 'v2alpha1', 'v3']) {
        const [a, b] = [await ask(version, tuple(principal, there), NOBODY), await ask(version, tuple(principal, absent), NOBODY)];
        expect(bare(a, there)).toBe(bare(b, absent));
        expect(JSON.stringify(a)).toMatch(/UNKNOWN_INFO/);
        expect(JSON.stringify(a)).not.toMatch(/"bindings"|team@|"(?:NOT_)?GRANTED"|CAN_ACCESS|CANNOT/);
      }
      const [a, b] = [await explain(`user:${principal}`, NOBODY, there), await explain(`user:${principal}`, NOBODY, absent)];
      expect(bare(a, there)).toBe(bare(b, absent));
      expect(a).toMatchObject({ access: 'UNKNOWN_INFO', allowPoliciesHidden: true, denyPoliciesHidden: true });
      expect(a.resources).toBeUndefined();
    }
  });

  test('who asks about itself is told what a try would tell, and no more', async () => {
    const own = await explain('user:dev@example.com', 'user:dev@example.com');
    expect(own).toEqual({
      principal: 'user:dev@example.com',
      permission: ACT_AS,
      fullResourceName: RESOURCE,
      access: 'GRANTED',
      allowPoliciesHidden: true,
      denyPoliciesHidden: true,
    });
    const refused = await explain('user:nobody@elsewhere.example', NOBODY);
    const denial = await server.call('POST', `/iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ACCOUNT}:generateAccessToken`, { scope: ['x'] }, { as: NOBODY });
    expect(denial.status).toBe(403);
    expect(refused).toMatchObject({ access: 'NOT_GRANTED', changes: [{ kind: 'addBinding', command: expect.stringContaining('--role=roles/iam.serviceAccountUser') }] });
    expect(Object.keys(refused).toSorted()).toEqual(['access', 'allowPoliciesHidden', 'changes', 'denyPoliciesHidden', 'fullResourceName', 'permission', 'principal']);
  });

  test('a reader of the project sees what it may read, and that more is hidden, once', async () => {
    const answer = await ask('v3', tuple('dev@example.com'), 'user:reader@example.com');
    expect(answer.allowPolicyExplanation.explainedPolicies).toHaveLength(3);
    expect(answer.allowPolicyExplanation.explainedPolicies[2]).toEqual({ allowAccessState: 'ALLOW_ACCESS_STATE_UNKNOWN_INFO' });
    // Who is in the group is not for this caller.
    expect(answer).toMatchObject({ overallAccessState: 'UNKNOWN_INFO' });
    expect(answer.allowPolicyExplanation.explainedPolicies[0].bindingExplanations[0]).toMatchObject({
      allowAccessState: 'ALLOW_ACCESS_STATE_UNKNOWN_INFO',
      combinedMembership: { membership: 'MEMBERSHIP_UNKNOWN_INFO' },
    });
    const why = await explain('user:dev@example.com', 'user:reader@example.com');
    expect(why.groups).toBeUndefined();
    expect(why.changes).toMatchObject([{ kind: 'addBinding' }]);
    expect(JSON.stringify(why)).not.toContain('222222222222');
  });

  test('the members of a group that may not be read are not listed', async () => {
    const found = await holders('user:reader@example.com');
    const members = found.holders.map(({ member }: { member: string }) => member);
    expect(members).toContain('group:team@example.com');
    expect(members).not.toContain('user:dev@example.com');
    expect(members).not.toContain('user:owner@example.com');
    expect(found.holders.every(({ access }: { access: string }) => access === 'UNKNOWN_INFO')).toBe(true);
  });

  test('nobody is listed to who may read nothing', async () => {
    expect(await holders(NOBODY)).toEqual({ permission: ACT_AS, fullResourceName: RESOURCE, allowPoliciesHidden: true, denyPoliciesHidden: true });
  });
});
