/** Organization policies through both doors: what is kept, what is refused, and in which words. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { OrgPolicy } from '../src/gen/google/cloud/orgpolicy/v2/orgpolicy_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const V2 = '/orgpolicy.googleapis.com/v2';
const CREATION = 'iam.disableServiceAccountCreation';
const EGRESS = 'run.allowedVPCEgress';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const create = (parent: string, id: string, policy: object) => server.call('POST', `${V2}/${parent}/policies`, { name: `${parent}/policies/${id}`, ...policy });
const get = (name: string) => server.call('GET', `${V2}/${name}`);
const remove = (name: string) => server.call('DELETE', `${V2}/${name}`);
const times = { etag: expect.any(String), updateTime: expect.any(String) };

describe('policies', () => {
  test('create, get, list, update and delete, by id and by number', async () => {
    expect(await get(`projects/demo/policies/${CREATION}`)).toMatchObject({
      status: 404,
      json: { error: { code: 404, message: 'Requested entity was not found.', status: 'NOT_FOUND' } },
    });
    const created = await create('projects/demo', CREATION, { spec: { rules: [{ enforce: true }] } });
    const policy = { name: `projects/123456789012/policies/${CREATION}`, etag: expect.any(String), spec: { rules: [{ enforce: true }], ...times } };
    expect([created.status, created.json]).toEqual([200, policy]);
    expect(created.json.spec.etag).toBe(created.json.etag);
    for (const project of ['demo', '123456789012']) expect((await get(`projects/${project}/policies/${CREATION}`)).json).toEqual(created.json);
    expect(await create('projects/123456789012', CREATION, { spec: { rules: [{ enforce: false }] } })).toMatchObject({
      status: 409,
      json: { error: { status: 'ALREADY_EXISTS' } },
    });
    expect((await get('projects/demo/policies')).json).toEqual({ policies: [created.json] });

    const patched = await server.call('PATCH', `${V2}/projects/demo/policies/${CREATION}`, { spec: { rules: [{ enforce: false }] }, etag: created.json.etag });
    expect(patched.json).toEqual({ ...policy, spec: { rules: [{ enforce: false }], ...times } });
    const stale = await server.call('PATCH', `${V2}/projects/demo/policies/${CREATION}`, { spec: { rules: [{ enforce: true }] }, etag: created.json.etag });
    expect(stale).toMatchObject({ status: 409, json: { error: { status: 'ABORTED' } } });
    expect(await remove(`projects/demo/policies/${CREATION}?etag=${encodeURIComponent(created.json.etag)}`)).toMatchObject({ status: 409 });
    expect(await remove(`projects/demo/policies/${CREATION}?etag=${encodeURIComponent(patched.json.etag)}`)).toMatchObject({ status: 200, json: {} });
    expect((await remove(`projects/demo/policies/${CREATION}`)).status).toBe(404);
    expect((await server.call('PATCH', `${V2}/projects/demo/policies/${CREATION}`, { spec: { rules: [{ enforce: true }] } })).status).toBe(404);
    expect((await get('projects/demo/policies')).json).toEqual({});
  });

  test('an update mask leaves the rest, in each of its spellings', async () => {
    const name = `folders/222222222222/policies/${EGRESS}`;
    await create('folders/222222222222', EGRESS, { spec: { rules: [{ allowAll: true }] }, dryRunSpec: { rules: [{ denyAll: true }] } });
    const patch = async (mask: string, body: object) => (await server.call('PATCH', `${V2}/${name}?updateMask=${mask}`, body)).json;
    expect(await patch('policy.spec', { spec: { rules: [{ denyAll: true }] } })).toMatchObject({
      spec: { rules: [{ denyAll: true }] },
      dryRunSpec: { rules: [{ denyAll: true }] },
    });
    for (const mask of ['policy.dry_run_spec', 'policy.dryRunSpec', 'dryRunSpec'])
      expect(await patch(mask, { dryRunSpec: { rules: [{ values: { allowedValues: [mask] } }] } })).toMatchObject({
        spec: { rules: [{ denyAll: true }] },
        dryRunSpec: { rules: [{ values: { allowedValues: [mask] } }] },
      });
    expect(await patch('*', { spec: { rules: [{ allowAll: true }] } })).not.toHaveProperty('dryRunSpec');
    expect(await patch('policy.etag', { spec: { rules: [{ allowAll: true }] } })).toMatchObject({
      error: { code: 400, message: expect.stringContaining('policy.dry_run_spec or *') },
    });
    expect((await remove(name)).status).toBe(200);
  });

  test('what is in force has no etag, and merges what is above', async () => {
    await create('organizations/111111111111', EGRESS, { spec: { rules: [{ values: { allowedValues: ['all-traffic'] } }] } });
    await create('projects/demo', EGRESS, { spec: { inheritFromParent: true, rules: [{ values: { allowedValues: ['is:private-ranges-only'] } }] } });
    expect((await get(`projects/demo/policies/${EGRESS}:getEffectivePolicy`)).json).toEqual({
      name: `projects/123456789012/policies/${EGRESS}`,
      spec: { rules: [{ values: { allowedValues: ['private-ranges-only', 'all-traffic'] } }] },
    });
    expect((await get('projects/demo/policies/iam.disableCrossProjectServiceAccountUsage:getEffectivePolicy')).json).toEqual({
      name: 'projects/123456789012/policies/iam.disableCrossProjectServiceAccountUsage',
      spec: { rules: [{ enforce: true }] },
    });
    expect((await get('folders/222222222222/policies/iam.allowServiceAccountCredentialLifetimeExtension:getEffectivePolicy')).json.spec).toEqual({ rules: [{ denyAll: true }] });
    expect((await get('projects/demo/policies/no.such:getEffectivePolicy')).status).toBe(404);
    for (const parent of ['organizations/111111111111', 'projects/demo']) expect((await remove(`${parent}/policies/${EGRESS}`)).status).toBe(200);
  });

  test.each([
    ['nothing', CREATION, {}, 'policy: says nothing'],
    ['no rule', CREATION, { spec: {} }, 'policy.spec.rules: must have exactly one rule without a condition, but 0 have none'],
    ['two plain rules', CREATION, { spec: { rules: [{ enforce: true }, { enforce: false }] } }, 'but 2 have none'],
    ['an empty rule', CREATION, { spec: { rules: [{}] } }, 'policy.spec.rules[0]: must set enforce'],
    ['values in a boolean policy', CREATION, { spec: { rules: [{ allowAll: true }] } }, 'policy.spec.rules[0]: must set enforce'],
    [
      'inheritance in a boolean policy',
      CREATION,
      { spec: { inheritFromParent: true, rules: [{ enforce: true }] } },
      'policy.spec.inherit_from_parent: can be true only for list constraints',
    ],
    [
      'a condition that says the same',
      CREATION,
      { spec: { rules: [{ enforce: true }, { enforce: true, condition: { expression: "resource.hasTagKey('1/a')" } }] } },
      'rules[1].enforce: must be false',
    ],
    [
      'another dialect',
      CREATION,
      { spec: { rules: [{ enforce: true }, { enforce: false, condition: { expression: 'request.time < now' } }] } },
      'rules[1].condition.expression: is not valid',
    ],
    ['rules with reset', CREATION, { spec: { reset: true, rules: [{ enforce: true }] } }, 'policy.spec.rules: must be empty where reset is true'],
    ['inheritance with reset', EGRESS, { spec: { reset: true, inheritFromParent: true } }, 'policy.spec.inherit_from_parent: must be false'],
    ['a switch in a list policy', EGRESS, { spec: { rules: [{ enforce: true }] } }, 'must set values, allow_all or deny_all'],
    ['a false allowAll', EGRESS, { spec: { rules: [{ allowAll: false }] } }, 'allow_all: must be true'],
    ['no values', EGRESS, { spec: { rules: [{ values: {} }] } }, 'must name at least one value'],
    ['a group where there are none', EGRESS, { spec: { rules: [{ values: { allowedValues: ['in:x'] } }] } }, 'is a value group'],
    ['a subtree where there are none', EGRESS, { spec: { rules: [{ values: { allowedValues: ['under:folders/1'] } }] } }, 'is a subtree'],
    ['no such form of a subtree', 'compute.trustedImageProjects', { spec: { rules: [{ values: { allowedValues: ['under:1'] } }] } }, 'must be under:projects/ID'],
    ['parameters of no managed constraint', CREATION, { spec: { rules: [{ enforce: true, parameters: { a: [] } }] } }, 'can be set only for managed constraints'],
    ['a parameter that does not exist', 'iam.managed.allowedPolicyMembers', { spec: { rules: [{ enforce: true, parameters: { a: [] } }] } }, 'parameters.a: is no parameter'],
    [
      'a parameter of another type',
      'iam.managed.allowedPolicyMembers',
      { spec: { rules: [{ enforce: true, parameters: { allowedMemberSubjects: 'x' } }] } },
      'must be a list of strings',
    ],
    ['no parameters where some are needed', 'iam.managed.allowedPolicyMembers', { spec: { rules: [{ enforce: true }] } }, 'rules[0].parameters: must be set'],
    ['the deprecated alternate', CREATION, { alternate: {}, spec: { rules: [{ enforce: true }] } }, 'policy.alternate: is not offered'],
    ['a fault in the dry run', CREATION, { dryRunSpec: { rules: [{ denyAll: true }] } }, 'policy.dry_run_spec.rules[0]: must set enforce'],
    ['a name with its prefix', 'constraints/x.y', { spec: { rules: [{ enforce: true }] } }, 'the constraint without "constraints/"'],
  ])('%s is refused', async (_case, id, policy, message) => {
    expect(await create('projects/demo', id, policy)).toMatchObject({ status: 400, json: { error: { status: 'INVALID_ARGUMENT', message: expect.stringContaining(message) } } });
    expect((await get('projects/demo/policies')).json).toEqual({});
  });

  test('what does not exist', async () => {
    const rules = { spec: { rules: [{ enforce: true }] } };
    expect(await create('projects/demo', 'no.such', rules)).toMatchObject({
      status: 404,
      json: { error: { message: expect.stringContaining('constraints/no.such does not exist') } },
    });
    expect(await create('projects/demo', 'custom.none', rules)).toMatchObject({ status: 404, json: { error: { message: expect.stringContaining('organizations/111111111111') } } });
    const other = await server.call('POST', `${V2}/projects/demo/policies`, { name: `folders/222222222222/policies/${CREATION}`, ...rules });
    expect(other).toMatchObject({ status: 400, json: { error: { message: expect.stringContaining('policy.name') } } });
  });

  test('owners of a project may read its policies and not set them', async () => {
    await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
      policy: { bindings: [{ role: 'roles/owner', members: ['user:p@example.com'] }] },
    });
    const as = 'user:p@example.com';
    expect((await server.call('GET', `${V2}/projects/demo/policies`, undefined, { as })).status).toBe(200);
    expect((await server.call('GET', `${V2}/projects/demo/constraints`, undefined, { as })).status).toBe(200);
    const denied = await server.call('POST', `${V2}/projects/demo/policies`, { name: `projects/demo/policies/${CREATION}`, spec: { rules: [{ enforce: true }] } }, { as });
    expect(denied).toMatchObject({
      status: 403,
      json: { error: { message: "Permission 'orgpolicy.policies.create' denied on resource '//orgpolicy.googleapis.com/projects/demo' (or it may not exist)." } },
    });
  });
});

describe('constraints', () => {
  test('the list names each with its default and kind', async () => {
    const { constraints } = (await get('projects/demo/constraints')).json;
    const byId = new Map<string, object>(constraints.map((one: { name: string }) => [one.name.replace('projects/123456789012/constraints/', ''), one]));
    expect(byId.get('iam.disableCrossProjectServiceAccountUsage')).toMatchObject({ constraintDefault: 'DENY', booleanConstraint: {}, supportsDryRun: true });
    expect(byId.get('gcp.resourceLocations')).toMatchObject({ constraintDefault: 'ALLOW', listConstraint: { supportsIn: true } });
    expect(byId.get('iam.disableServiceAccountKeyUpload')).toMatchObject({ equivalentConstraint: 'projects/123456789012/constraints/iam.managed.disableServiceAccountKeyUpload' });
    expect(byId.get('iam.managed.allowedPolicyMembers')).toMatchObject({
      booleanConstraint: { customConstraintDefinition: { parameters: { allowedMemberSubjects: { type: 'LIST', item: 'STRING' } } } },
    });
    expect(byId.size).toBeGreaterThan(60);
  });

  const NAME = 'organizations/111111111111/customConstraints/custom.smallJobs';
  const SMALL = {
    name: NAME,
    resourceTypes: ['run.googleapis.com/Job'],
    methodTypes: ['CREATE', 'UPDATE'],
    condition: 'resource.spec.template.spec.taskCount > 10',
    actionType: 'DENY',
    displayName: 'Small jobs',
  };
  const createConstraint = (change: object) => server.call('POST', `${V2}/organizations/111111111111/customConstraints`, { ...SMALL, ...change });

  test('custom ones: create, get, list, update, delete', async () => {
    expect(await get(NAME)).toMatchObject({ status: 404, json: { error: { message: 'Requested entity was not found.' } } });
    const created = await createConstraint({});
    expect(created.json).toEqual({ ...SMALL, updateTime: expect.any(String) });
    expect((await createConstraint({})).status).toBe(409);
    expect((await get(NAME)).json).toEqual(created.json);
    expect((await get('organizations/111111111111/customConstraints')).json).toEqual({ customConstraints: [created.json] });
    const { displayName: _, ...rest } = SMALL;
    expect((await server.call('PATCH', `${V2}/${NAME}`, { ...rest, condition: 'resource.spec.template.spec.taskCount > 20' })).json).toEqual({
      ...rest,
      condition: 'resource.spec.template.spec.taskCount > 20',
      updateTime: expect.any(String),
    });
    expect(await server.call('PATCH', `${V2}/${NAME}`, { ...SMALL, resourceTypes: ['run.googleapis.com/Service'] })).toMatchObject({
      status: 400,
      json: { error: { message: expect.stringContaining('resource_types: cannot be changed') } },
    });
    expect((await create('projects/demo', 'custom.smallJobs', { spec: { rules: [{ enforce: true }] } })).status).toBe(200);
    expect((await remove('projects/demo/policies/custom.smallJobs')).status).toBe(200);
    expect(await remove(NAME)).toMatchObject({ status: 200, json: {} });
    expect((await remove(NAME)).status).toBe(404);
  });

  test.each([
    ['another name', { name: 'organizations/111111111111/customConstraints/small' }, 'name: "small" must be custom.'],
    ['a long name', { name: `organizations/111111111111/customConstraints/custom.${'x'.repeat(70)}` }, '70 characters at most'],
    ['another organization', { name: 'organizations/1/customConstraints/custom.x' }, 'is not of organizations/111111111111'],
    ['no types', { resourceTypes: [] }, 'resource_types: must name 1 to 20'],
    ['an odd type', { resourceTypes: ['Job'] }, 'resource_types: "Job" is not of the form'],
    ['no methods', { methodTypes: [] }, 'method_types: must name at least one'],
    ['update alone', { methodTypes: ['UPDATE'] }, 'method_types: cannot be UPDATE alone'],
    ['delete', { methodTypes: ['CREATE', 'DELETE'] }, 'method_types: cannot be DELETE'],
    ['no action', { actionType: undefined }, 'action_type: must be ALLOW or DENY'],
    ['no condition', { condition: '' }, 'condition: must be set'],
    ['a condition that cannot be read', { condition: 'resource.spec ==' }, 'condition: is not valid: syntax error'],
    ['a name that is not there', { condition: 'request.time == 1' }, 'condition: is not valid'],
    ['a condition that is no condition', { condition: 'size("x")' }, 'condition: is not valid'],
    ['a long condition', { condition: `true${' '.repeat(1000)}&& true` }, 'condition: has 1011 characters'],
    ['a long display name', { displayName: 'x'.repeat(201) }, 'display_name: has 201'],
    ['a long description', { description: 'x'.repeat(2001) }, 'description: has 2001'],
  ])('%s is refused', async (_case, change, message) => {
    expect(await createConstraint(change)).toMatchObject({ status: 400, json: { error: { message: expect.stringContaining(message) } } });
  });
});

describe('through gRPC', () => {
  test('the same policies', async () => {
    const client = createClient(OrgPolicy, await server.grpc());
    const name = `projects/demo/policies/${CREATION}`;
    const created = await client.createPolicy({ parent: 'projects/demo', policy: { name, spec: { rules: [{ kind: { case: 'enforce', value: true } }] } } });
    expect(created.name).toBe(`projects/123456789012/policies/${CREATION}`);
    expect((await get(name)).json.etag).toBe(created.etag);
    expect((await client.getEffectivePolicy({ name })).spec?.rules[0]?.kind).toEqual({ case: 'enforce', value: true });
    expect((await client.listPolicies({ parent: 'projects/demo' })).policies).toHaveLength(1);
    expect((await client.listConstraints({ parent: 'projects/demo' })).constraints.length).toBeGreaterThan(60);
    await client.deletePolicy({ name, etag: created.etag });
    await expect(client.getPolicy({ name })).rejects.toThrow('Requested entity was not found.');
  });
});
