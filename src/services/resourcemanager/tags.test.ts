import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { openResourceManager, type ResourceManagerFixture } from './resource-manager-fixture.ts';

const ORG = 'organizations/111111111111';
const TEAM = 'folders/222222222222';
const PROJECT = '//cloudresourcemanager.googleapis.com/projects/123456789012';
const crm = (name: string) => `//cloudresourcemanager.googleapis.com/${name}`;
const TAGGER = 'user:tagger@example.com';

let fixture: ResourceManagerFixture;
beforeEach(async () => {
  fixture = await openResourceManager();
});
afterEach(() => fixture.close());

const run: ResourceManagerFixture['run'] = (...args) => fixture.run(...args);
const finish: ResourceManagerFixture['finish'] = (...args) => fixture.finish(...args);

async function key(shortName: string, parent = ORG): Promise<string> {
  return (await finish('v3.TagKeys.createTagKey', { tagKey: { parent, shortName } })).name;
}
async function value(parent: string, shortName: string): Promise<string> {
  return (await finish('v3.TagValues.createTagValue', { tagValue: { parent, shortName } })).name;
}
const bind = (parent: string, tagValue: string, member?: string) => run('v3.TagBindings.createTagBinding', { tagBinding: { parent, tagValue } }, member);
const effective = async (parent: string) =>
  (await run('v3.TagBindings.listEffectiveTags', { parent })).effectiveTags.map((tag: { namespacedTagValue: string; inherited: boolean }) => [
    tag.namespacedTagValue,
    tag.inherited,
  ]);

describe('tag keys and values', () => {
  test('of a project: the number in the parent, the id in the namespaced name; found by both forms of it', async () => {
    const first = await run('v3.TagKeys.createTagKey', { tagKey: { parent: 'projects/demo', shortName: 'env', description: 'where' } });
    expect(first).toMatchObject({ name: expect.stringMatching(/^operations\/ck\.\d+$/), done: false });
    const [stored] = (await run('v3.TagKeys.listTagKeys', { parent: 'projects/123456789012' })).tagKeys;
    expect(stored).toMatchObject({ parent: 'projects/123456789012', shortName: 'env', namespacedName: 'demo/env', description: 'where', etag: expect.stringMatching(/=$/) });
    for (const name of ['demo/env', '123456789012/env']) expect(await run('v3.TagKeys.getNamespacedTagKey', { name })).toEqual(stored);
    const prod = await finish('v3.TagValues.createTagValue', { tagValue: { parent: stored.name, shortName: 'prod' } });
    expect(prod).toMatchObject({ parent: stored.name, namespacedName: 'demo/env/prod', name: expect.stringMatching(/^tagValues\/\d{15}$/) });
    expect(await run('v3.TagValues.getNamespacedTagValue', { name: '123456789012/env/prod' })).toMatchObject({ name: prod.name });
    expect((await run('v3.TagValues.listTagValues', { parent: stored.name })).tagValues).toMatchObject([{ name: prod.name }]);
  });

  test('names are unique in their parent, and of a form', async () => {
    const env = await key('env');
    await expect(key('env')).rejects.toMatchObject({ status: 'ALREADY_EXISTS', message: `A TagKey with short name 'env' already exists under parent '${ORG}'` });
    await key('env', 'projects/demo');
    await value(env, 'prod');
    await expect(value(env, 'prod')).rejects.toMatchObject({ status: 'ALREADY_EXISTS' });
    for (const wrong of ['', '-a', 'a-', 'a b', 'a/b', 'x'.repeat(64)]) {
      await expect(key(wrong)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
      await expect(value(env, wrong)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    }
    await expect(run('v3.TagKeys.createTagKey', { tagKey: { parent: ORG, shortName: 'x', description: 'x'.repeat(257) } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(run('v3.TagKeys.createTagKey', { tagKey: { parent: ORG, shortName: 'x', purpose: 1 } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    expect(await finish('v3.TagKeys.createTagKey', { tagKey: { parent: ORG, shortName: 'fw', purpose: 1, purposeData: { network: 'demo/default' } } })).toMatchObject({
      purpose: 'GCE_FIREWALL',
      purposeData: { network: 'demo/default' },
    });
  });

  test('are updated under their etag, and nothing but the description is', async () => {
    const name = await key('env');
    const { etag } = await run('v3.TagKeys.getTagKey', { name });
    const updated = await finish('v3.TagKeys.updateTagKey', { tagKey: { name, description: 'new', etag }, updateMask: { paths: ['description'] } });
    expect(updated).toMatchObject({ description: 'new', shortName: 'env' });
    expect(updated.etag).not.toBe(etag);
    await expect(run('v3.TagKeys.updateTagKey', { tagKey: { name, description: 'newer', etag } })).rejects.toMatchObject({ status: 'ABORTED' });
    await expect(run('v3.TagKeys.deleteTagKey', { name, etag })).rejects.toMatchObject({ status: 'ABORTED' });
    await expect(run('v3.TagKeys.updateTagKey', { tagKey: { name }, updateMask: { paths: ['short_name'] } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    const prod = await value(name, 'prod');
    expect(await finish('v3.TagValues.updateTagValue', { tagValue: { name: prod, description: 'live' } })).toMatchObject({ description: 'live' });
  });

  test('validate_only changes nothing', async () => {
    expect(await run('v3.TagKeys.createTagKey', { tagKey: { parent: ORG, shortName: 'env' }, validateOnly: true })).toMatchObject({ name: '', done: true });
    expect((await run('v3.TagKeys.listTagKeys', { parent: ORG })).tagKeys).toEqual([]);
    await expect(run('v3.TagKeys.createTagKey', { tagKey: { parent: ORG, shortName: '-' }, validateOnly: true })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    const env = await key('env');
    const prod = await value(env, 'prod');
    await run('v3.TagValues.deleteTagValue', { name: prod, validateOnly: true });
    await run('v3.TagBindings.createTagBinding', { tagBinding: { parent: PROJECT, tagValue: prod }, validateOnly: true });
    expect(await effective(PROJECT)).toEqual([]);
    await value(env, 'dev');
  });

  test('a key with values, and a value that is bound or held, are not deleted', async () => {
    const env = await key('env');
    const prod = await value(env, 'prod');
    await expect(run('v3.TagKeys.deleteTagKey', { name: env })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining(prod) });
    await bind(PROJECT, prod);
    await expect(run('v3.TagValues.deleteTagValue', { name: prod })).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: expect.stringContaining(`Cannot delete tag value, ${prod}, because it is still attached to resources in 'global' region.`),
    });
    await run('v3.TagBindings.deleteTagBinding', { name: `tagBindings/${encodeURIComponent(PROJECT)}/${prod}` });
    const hold = await finish('v3.TagHolds.createTagHold', { parent: prod, tagHold: { holder: '//compute.googleapis.com/x', origin: 'igm' } });
    await expect(run('v3.TagValues.deleteTagValue', { name: prod })).rejects.toMatchObject({ message: expect.stringContaining(hold.name) });
    await run('v3.TagHolds.deleteTagHold', { name: hold.name });
    expect(await finish('v3.TagValues.deleteTagValue', { name: prod })).toMatchObject({ name: prod, namespacedName: '111111111111/env/prod' });
    expect(await finish('v3.TagKeys.deleteTagKey', { name: env })).toMatchObject({ name: env });
    await expect(run('v3.TagKeys.getTagKey', { name: env })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('an unknown one and a foreign one are denied in the same words', async () => {
    const env = await key('env');
    const denial = async (rpc: string, name: string) => {
      const error: Error = await run(rpc, { name }, 'user:stranger@example.com').then(
        () => new Error('allowed'),
        (thrown: Error) => thrown,
      );
      return JSON.stringify([error.message, 'details' in error ? error.details : undefined]).replaceAll(name, 'NAME');
    };
    expect(await denial('v3.TagKeys.getTagKey', 'tagKeys/281470000000001')).toBe(await denial('v3.TagKeys.getTagKey', env));
    expect(await denial('v3.TagKeys.getNamespacedTagKey', '111111111111/nope')).toBe(await denial('v3.TagKeys.getNamespacedTagKey', '111111111111/env'));
  });

  test('policies of a key hold for its values, those of the organization for both', async () => {
    const env = await key('env');
    const prod = await value(env, 'prod');
    const role = 'roles/resourcemanager.tagViewer';
    await expect(run('v3.TagValues.getTagValue', { name: prod }, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await run('v3.TagKeys.setIamPolicy', { resource: env, policy: { bindings: [{ role, members: [TAGGER] }] } });
    expect(await run('v3.TagValues.getTagValue', { name: prod }, TAGGER)).toMatchObject({ name: prod });
    expect((await run('v3.TagKeys.getIamPolicy', { resource: env })).bindings).toMatchObject([{ role, members: [TAGGER] }]);
    expect((await run('v3.TagValues.getIamPolicy', { resource: prod })).bindings).toEqual([]);
    expect(
      (await run('v3.TagValues.testIamPermissions', { resource: prod, permissions: ['resourcemanager.tagValues.get', 'resourcemanager.tagValues.delete'] }, TAGGER)).permissions,
    ).toEqual(['resourcemanager.tagValues.get']);
    await expect(run('v3.TagValues.deleteTagValue', { name: prod }, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });
});

describe('tag bindings', () => {
  test('are made and removed at once; a project is shown by its number, and known by its id as well', async () => {
    const prod = await value(await key('env'), 'prod');
    const made = await finish('v3.TagBindings.createTagBinding', { tagBinding: { parent: crm('projects/demo'), tagValueNamespacedName: '111111111111/env/prod' } });
    const binding = { name: `tagBindings/%2F%2Fcloudresourcemanager.googleapis.com%2Fprojects%2F123456789012/${prod}`, parent: PROJECT, tagValue: prod };
    expect(made).toEqual({ '@type': 'type.googleapis.com/google.cloud.resourcemanager.v3.TagBinding', ...binding, tagValueNamespacedName: '111111111111/env/prod' });
    for (const parent of [PROJECT, crm('projects/demo')]) expect((await run('v3.TagBindings.listTagBindings', { parent })).tagBindings).toMatchObject([binding]);
    await run('v3.TagBindings.deleteTagBinding', { name: `tagBindings/${crm('projects/demo')}/${prod}` });
    expect((await run('v3.TagBindings.listTagBindings', { parent: PROJECT })).tagBindings).toEqual([]);
    await expect(run('v3.TagBindings.deleteTagBinding', { name: binding.name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
  });

  test('one value of a key on a resource', async () => {
    const env = await key('env');
    const [prod, dev] = [await value(env, 'prod'), await value(env, 'dev')];
    await bind(PROJECT, prod);
    await expect(bind(PROJECT, prod)).rejects.toMatchObject({ status: 'ALREADY_EXISTS' });
    await expect(bind(PROJECT, dev)).rejects.toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: 'A binding already exists between the given resource and a TagValue parented by the same TagKey as the given TagValue.',
    });
  });

  test('fifty on a resource and no more', async () => {
    for (let i = 0; i < 50; i++) await bind(PROJECT, await value(await key(`key-${i}`), 'v'));
    await expect(bind(PROJECT, await value(await key('one-more'), 'v'))).rejects.toMatchObject({ status: 'RESOURCE_EXHAUSTED' });
    expect((await run('v3.TagBindings.listEffectiveTags', { parent: PROJECT, pageSize: 20 })).effectiveTags).toHaveLength(20);
  });

  test('are inherited; the nearest value of a key wins', async () => {
    const env = await key('env');
    const [prod, dev] = [await value(env, 'prod'), await value(env, 'dev')];
    const team = await value(await key('team'), 'blue');
    await bind(crm(ORG), prod);
    await bind(crm(TEAM), team);
    const job = '//run.googleapis.com/projects/demo/locations/us-central1/services/s';
    const byKey = (tags: unknown[][]) => tags.toSorted((a, b) => String(a).localeCompare(String(b)));
    expect(byKey(await effective(job))).toEqual([
      ['111111111111/env/prod', true],
      ['111111111111/team/blue', true],
    ]);
    await bind(PROJECT, dev);
    expect(byKey(await effective(job))).toEqual([
      ['111111111111/env/dev', true],
      ['111111111111/team/blue', true],
    ]);
    expect(byKey(await effective(PROJECT))).toEqual([
      ['111111111111/env/dev', false],
      ['111111111111/team/blue', true],
    ]);
    expect(await effective(crm(ORG))).toEqual([['111111111111/env/prod', false]]);
    expect((await run('v3.TagBindings.listEffectiveTags', { parent: crm(ORG) })).effectiveTags).toMatchObject([
      { tagKey: env, namespacedTagKey: '111111111111/env', tagKeyParentName: ORG },
    ]);
  });

  test('a key of a project tags what is in the project', async () => {
    const prod = await value(await key('env', 'projects/demo'), 'prod');
    await expect(bind(crm(TEAM), prod)).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('is not in it') });
    await bind(PROJECT, prod);
    await run('v3.Projects.createProject', { project: { projectId: 'other-one', parent: TEAM } });
    await expect(bind(crm('projects/other-one'), prod)).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  test('take the right to use the value and the right to tag the resource', async () => {
    const prod = await value(await key('env'), 'prod');
    await expect(bind(PROJECT, prod, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await fixture.grant(crm(prod), 'roles/resourcemanager.tagUser', TAGGER);
    await expect(bind(PROJECT, prod, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await fixture.grant(crm('projects/demo'), 'roles/resourcemanager.tagUser', TAGGER);
    await bind(PROJECT, prod, TAGGER);
    await fixture.grant(crm(prod), 'roles/viewer', TAGGER);
    await expect(run('v3.TagBindings.deleteTagBinding', { name: `tagBindings/${PROJECT}/${prod}` }, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('of what is not kept here, such as a bucket, are for who may use and see the value', async () => {
    const prod = await value(await key('env'), 'prod');
    const parent = '//storage.googleapis.com/projects/_/buckets/b';
    await expect(bind(parent, prod, TAGGER)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await bind(parent, prod);
    const list = async (member?: string) => (await run('v3.TagBindings.listTagBindings', { parent }, member)).tagBindings;
    expect(await list()).toMatchObject([{ parent, tagValue: prod }]);
    expect(await list(TAGGER)).toEqual([]);
  });

  test.each(['', 'projects/demo', '//', '//run.googleapis.com', '//cloudresourcemanager.googleapis.com/tagKeys/1', '//cloudresourcemanager.googleapis.com/projects/demo/x'])(
    '%j is no resource to tag',
    async (parent) => {
      await expect(bind(parent, 'tagValues/1')).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    },
  );

  test('accounts and jobs that are not there cannot be tagged; to name the value twice or not at all is refused', async () => {
    const prod = await value(await key('env'), 'prod');
    for (const parent of ['//iam.googleapis.com/projects/demo/serviceAccounts/no@demo.iam.gserviceaccount.com', '//run.googleapis.com/projects/demo/locations/us-central1/jobs/no'])
      await expect(bind(parent, prod)).rejects.toMatchObject({ status: 'NOT_FOUND' });
    for (const tagBinding of [{ parent: PROJECT }, { parent: PROJECT, tagValue: prod, tagValueNamespacedName: '111111111111/env/prod' }])
      await expect(run('v3.TagBindings.createTagBinding', { tagBinding })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(run('v3.TagBindings.deleteTagBinding', { name: 'tagBindings/%E0%A4%A/tagValues/1' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});

test('holds: one of a holder and origin, found by a filter', async () => {
  const parent = await value(await key('env'), 'prod');
  const hold = { holder: '//compute.googleapis.com/projects/demo/x', origin: 'one', helpLink: 'https://example.com' };
  const made = await finish('v3.TagHolds.createTagHold', { parent, tagHold: hold });
  expect(made).toMatchObject({ ...hold, name: expect.stringMatching(new RegExp(`^${parent}/tagHolds/`)), createTime: expect.any(String) });
  await expect(run('v3.TagHolds.createTagHold', { parent, tagHold: hold })).rejects.toMatchObject({ status: 'ALREADY_EXISTS' });
  await run('v3.TagHolds.createTagHold', { parent, tagHold: { ...hold, origin: 'two' } });
  expect((await run('v3.TagHolds.listTagHolds', { parent, filter: 'origin="one"' })).tagHolds).toMatchObject([{ name: made.name }]);
  for (const wrong of [{ holder: '' }, { holder: 'x'.repeat(200) }, { origin: 'x'.repeat(200) }])
    await expect(run('v3.TagHolds.createTagHold', { parent, tagHold: { ...hold, ...wrong } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  expect(await finish('v3.TagHolds.deleteTagHold', { name: made.name })).toEqual({ '@type': 'type.googleapis.com/google.protobuf.Empty' });
  await expect(run('v3.TagHolds.deleteTagHold', { name: made.name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
});
