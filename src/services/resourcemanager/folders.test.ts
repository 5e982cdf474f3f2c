import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isServiceAccountActive } from '../../store/service-accounts.ts';
import { OWNER, openResourceManager, type ResourceManagerFixture } from './resource-manager-fixture.ts';

const ORG = 'organizations/111111111111';
const TEAM = 'folders/222222222222';
const MOVER = 'user:mover@example.com';

let fixture: ResourceManagerFixture;
beforeEach(async () => {
  fixture = await openResourceManager();
});
afterEach(() => fixture.close());

const run: ResourceManagerFixture['run'] = (...args) => fixture.run(...args);
const finish: ResourceManagerFixture['finish'] = (...args) => fixture.finish(...args);
const crm = (name: string) => `//cloudresourcemanager.googleapis.com/${name}`;

async function folder(displayName: string, parent = ORG): Promise<string> {
  return (await finish('v3.Folders.createFolder', { folder: { displayName, parent } })).name;
}

describe('folders', () => {
  test('v3: created, renamed, moved, deleted, undeleted, each with the folder as its result', async () => {
    const first = await run('v3.Folders.createFolder', { folder: { displayName: 'Data', parent: ORG } });
    expect(first).toMatchObject({ name: expect.stringMatching(/^operations\/cf\.\d+$/), done: false });
    const [{ name }] = (await run('v3.Folders.listFolders', { parent: ORG })).folders;
    expect(await finish('v3.Folders.updateFolder', { folder: { name, displayName: 'Data 2' }, updateMask: { paths: ['display_name'] } })).toEqual({
      '@type': 'type.googleapis.com/google.cloud.resourcemanager.v3.Folder',
      name,
      parent: ORG,
      displayName: 'Data 2',
      state: 'ACTIVE',
      createTime: expect.any(String),
      updateTime: expect.any(String),
      etag: expect.stringMatching(/^W\/"[0-9a-f]+"$/),
    });
    expect(await finish('v3.Folders.moveFolder', { name, destinationParent: TEAM })).toMatchObject({ parent: TEAM });
    expect(await finish('v3.Folders.deleteFolder', { name })).toMatchObject({ state: 'DELETE_REQUESTED', deleteTime: expect.any(String) });
    expect(await finish('v3.Folders.deleteFolder', { name })).toMatchObject({ state: 'DELETE_REQUESTED' });
    expect((await run('v3.Folders.listFolders', { parent: TEAM })).folders).toEqual([]);
    expect((await run('v3.Folders.listFolders', { parent: TEAM, showDeleted: true })).folders).toHaveLength(1);
    expect(await finish('v3.Folders.undeleteFolder', { name })).toMatchObject({ state: 'ACTIVE' });
    expect(await run('v3.Folders.getFolder', { name })).toMatchObject({ displayName: 'Data 2', parent: TEAM });
    await expect(run('v3.Folders.updateFolder', { folder: { name, displayName: 'x' }, updateMask: { paths: ['parent'] } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    await expect(run('v3.Folders.updateFolder', { folder: { name, displayName: 'x', etag: 'W/"old"' } })).rejects.toMatchObject({ status: 'ABORTED' });
  });

  test('v2, as gcloud calls it: creation and move are operations, the rest answers with the folder', async () => {
    const created = await finish('resourcemanager.v2.Folders.createFolder', { parent: TEAM, folder: { displayName: 'Sub' } });
    expect(created).toEqual({
      '@type': 'type.googleapis.com/google.cloud.resourcemanager.v2.Folder',
      name: expect.stringMatching(/^folders\/\d{12}$/),
      parent: TEAM,
      displayName: 'Sub',
      lifecycleState: 'ACTIVE',
      createTime: expect.any(String),
      updateTime: expect.any(String),
    });
    const { name } = created;
    expect(await run('resourcemanager.v2.Folders.updateFolder', { folder: { name, displayName: 'Sub 2' } })).toMatchObject({ displayName: 'Sub 2' });
    expect(await finish('resourcemanager.v2.Folders.moveFolder', { name, destinationParent: ORG })).toMatchObject({ parent: ORG });
    await expect(run('resourcemanager.v2.Folders.deleteFolder', { name, recursiveDelete: true })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    expect(await run('resourcemanager.v2.Folders.deleteFolder', { name })).toMatchObject({ lifecycleState: 2 });
    expect(await run('resourcemanager.v2.Folders.undeleteFolder', { name })).toMatchObject({ lifecycleState: 1 });
  });

  test('are listed in the order of their names, a page at a time', async () => {
    for (const name of ['b', 'c', 'a']) await folder(name, TEAM);
    const first = await run('v3.Folders.listFolders', { parent: TEAM, pageSize: 2 });
    const second = await run('v3.Folders.listFolders', { parent: TEAM, pageSize: 2, pageToken: first.nextPageToken });
    expect([...first.folders, ...second.folders].map(({ displayName }) => displayName)).toEqual(['a', 'b', 'c']);
    expect(second.nextPageToken).toBe('');
  });

  test('whoever creates one gets the roles of its creator', async () => {
    const creator = 'user:creator@example.com';
    await fixture.grant(crm(TEAM), 'roles/resourcemanager.folderCreator', creator);
    const { name } = await finish('v3.Folders.createFolder', { folder: { displayName: 'mine', parent: TEAM } }, creator);
    expect((await run('v3.Folders.getIamPolicy', { resource: name })).bindings).toMatchObject([
      { role: 'roles/resourcemanager.folderAdmin', members: [creator] },
      { role: 'roles/resourcemanager.folderEditor', members: [creator] },
    ]);
    await run('v3.Folders.deleteFolder', { name }, creator);
  });

  test('a name is unique among the active folders of a parent', async () => {
    const name = await folder('twice');
    const taken = {
      status: 'FAILED_PRECONDITION',
      message: `Folder reservation failed for parent [${ORG}], folder [] due to constraint: The folder operation violates display name uniqueness within the parent.`,
    };
    await expect(folder('twice')).rejects.toMatchObject(taken);
    await folder('twice', TEAM);
    await run('v3.Folders.deleteFolder', { name });
    const other = await folder('twice');
    await expect(run('v3.Folders.undeleteFolder', { name })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await expect(run('v3.Folders.moveFolder', { name: other, destinationParent: TEAM })).rejects.toMatchObject({ message: expect.stringContaining('uniqueness') });
    await expect(run('v3.Folders.updateFolder', { folder: { name: other, displayName: 'team' } })).rejects.toMatchObject({ message: expect.stringContaining('uniqueness') });
    expect(await finish('v3.Folders.updateFolder', { folder: { name: other, displayName: 'twice' } })).toMatchObject({ displayName: 'twice' });
  });

  test.each(['', ' x', 'x ', 'a/b', 'x'.repeat(31)])('the name %j is refused', async (displayName) => {
    await expect(folder(displayName)).rejects.toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('display_name') });
  });

  test('ten above each other and no more, counted by what a move brings along', async () => {
    let deepest = TEAM;
    for (let i = 2; i <= 10; i++) deepest = await folder(`level-${i}`, deepest);
    await expect(folder('level-11', deepest)).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('10 active folders') });
    const [top, inner] = [await folder('top'), await folder('inner', TEAM)];
    await run('v3.Folders.moveFolder', { name: inner, destinationParent: top });
    const { parent: ninth } = await run('v3.Folders.getFolder', { name: deepest });
    await expect(run('v3.Folders.moveFolder', { name: top, destinationParent: ninth })).rejects.toMatchObject({ message: expect.stringContaining('10 active folders') });
    await run('v3.Folders.deleteFolder', { name: inner });
    expect(await finish('v3.Folders.moveFolder', { name: top, destinationParent: ninth })).toMatchObject({ parent: ninth });
  });

  test('three hundred in a parent and no more', async () => {
    for (let i = 0; i < 299; i++) await run('v3.Folders.createFolder', { folder: { displayName: `f-${i}`, parent: ORG } });
    await expect(folder('one more')).rejects.toMatchObject({ message: expect.stringContaining('more than 300 folders') });
    await folder('elsewhere', TEAM);
  });

  test('does not move into itself, and is deleted only when nothing active is in it', async () => {
    const inner = await folder('inner', TEAM);
    await expect(run('v3.Folders.moveFolder', { name: TEAM, destinationParent: inner })).rejects.toMatchObject({ message: expect.stringContaining('in itself') });
    await expect(run('v3.Folders.deleteFolder', { name: TEAM })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('still holds active') });
    await run('v3.Projects.deleteProject', { name: 'projects/demo' });
    await expect(run('v3.Folders.deleteFolder', { name: TEAM })).rejects.toMatchObject({ message: expect.stringContaining('still holds active') });
    await run('v3.Folders.deleteFolder', { name: inner });
    await run('v3.Folders.deleteFolder', { name: TEAM });
    for (const [rpc, request] of [
      ['v3.Folders.undeleteFolder', { name: inner }],
      ['v3.Projects.undeleteProject', { name: 'projects/demo' }],
      ['v3.Projects.createProject', { project: { projectId: 'in-deleted', parent: TEAM } }],
      ['v3.Folders.createFolder', { folder: { displayName: 'new', parent: TEAM } }],
    ] as const)
      await expect(run(rpc, request)).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  test('moving takes the permission on the folder, its old and its new parent', async () => {
    const [from, to] = [await folder('from'), await folder('to')];
    const name = await folder('moved', from);
    const move = () => run('v3.Folders.moveFolder', { name, destinationParent: to }, MOVER);
    const role = 'roles/resourcemanager.folderMover';
    for (const at of [name, from]) {
      await expect(move()).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
      await fixture.grant(crm(at), role, MOVER);
    }
    await expect(move()).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await fixture.grant(crm(to), role, MOVER);
    await fixture.grant(crm(from), 'roles/viewer', MOVER);
    await expect(move()).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await fixture.grant(crm(from), role, MOVER);
    expect(await move()).toMatchObject({ name: expect.stringMatching(/^operations\/mf\./) });
  });
});

describe('projects move', () => {
  test('with what is inherited; by v3, and by v1 as gcloud does it', async () => {
    const to = await folder('to');
    await fixture.grant(crm(to), 'roles/run.viewer', 'user:viewer@example.com');
    const job = { permission: 'run.jobs.get', resource: '//run.googleapis.com/projects/demo/locations/us-central1/jobs/j' };
    expect(await fixture.decide('user:viewer@example.com', job)).toBe(false);
    expect(await finish('v3.Projects.moveProject', { name: 'projects/demo', destinationParent: to })).toMatchObject({ projectId: 'demo', parent: to });
    expect(await fixture.decide('user:viewer@example.com', job)).toBe(true);
    const back = { type: 'folder', id: '222222222222' };
    expect(await run('v1.Projects.updateProject', { projectId: 'demo', project: { name: 'demo', parent: back } })).toMatchObject({ parent: back });
    await expect(run('v3.Projects.moveProject', { name: 'projects/demo', destinationParent: 'folders/1' })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('v3.Projects.moveProject', { name: 'projects/nope', destinationParent: to })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('takes the permission on the project, its old and its new parent', async () => {
    const to = await folder('to');
    const role = 'roles/resourcemanager.projectMover';
    const moves = [
      () => run('v3.Projects.moveProject', { name: 'projects/demo', destinationParent: to }, MOVER),
      () => run('v1.Projects.updateProject', { projectId: 'demo', project: { parent: { type: 'folder', id: to.slice('folders/'.length) } } }, MOVER),
    ];
    for (const at of ['projects/demo', to, TEAM]) {
      for (const move of moves) await expect(move()).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
      await fixture.grant(crm(at), role, MOVER);
    }
    await moves[0]?.();
    expect(await run('v3.Projects.getProject', { name: 'projects/demo' })).toMatchObject({ parent: to });
  });
});

describe('the default service account of a new project', () => {
  const rolesOf = async (projectId: string) => (await run('v3.Projects.getIamPolicy', { resource: `projects/${projectId}` })).bindings.map(({ role }: { role: string }) => role);

  test.each(['iam.automaticIamGrantsForDefaultServiceAccounts', 'iam.managed.preventPrivilegedBasicRolesForDefaultServiceAccounts'])(
    'is no editor under %s',
    async (constraint) => {
      await run('v3.Projects.createProject', { project: { projectId: 'before-it', parent: TEAM } });
      fixture.enforced.add(constraint);
      await run('v3.Projects.createProject', { project: { projectId: 'after-v3', parent: TEAM } });
      await run('v1.Projects.createProject', { project: { projectId: 'after-v1', parent: { type: 'folder', id: '222222222222' } } });
      expect(await rolesOf('before-it')).toEqual(['roles/editor', 'roles/owner', 'roles/run.serviceAgent']);
      for (const projectId of ['after-v3', 'after-v1']) expect(await rolesOf(projectId)).toEqual(['roles/owner', 'roles/run.serviceAgent']);
      expect(await isServiceAccountActive(fixture.store.read, '123456789012-compute@developer.gserviceaccount.com')).toBe(true);
    },
  );
});

describe('liens', () => {
  const lien = { parent: 'projects/demo', restrictions: ['resourcemanager.projects.delete'], reason: 'production', origin: 'ops' };

  test('keep the project from being deleted until they are removed', async () => {
    const made = await run('v1.Liens.createLien', { lien });
    expect(made).toMatchObject({ ...lien, parent: 'projects/123456789012', name: expect.stringMatching(/^liens\/p123456789012-l/) });
    expect(await run('v1.Liens.getLien', { name: made.name })).toEqual(made);
    expect((await run('v1.Liens.listLiens', { parent: 'projects/123456789012' })).liens).toEqual([made]);
    for (const [rpc, request] of [
      ['v1.Projects.deleteProject', { projectId: 'demo' }],
      ['v3.Projects.deleteProject', { name: 'projects/demo' }],
    ] as const)
      await expect(run(rpc, request)).rejects.toMatchObject({
        status: 'FAILED_PRECONDITION',
        message: 'A lien to prevent deletion was placed on the project by [ops]. Remove the lien to allow deletion.',
      });
    await run('v1.Liens.deleteLien', { name: made.name });
    await expect(run('v1.Liens.getLien', { name: made.name })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    await run('v1.Projects.deleteProject', { projectId: 'demo' });
  });

  test.each([{ restrictions: [] }, { restrictions: ['resourcemanager.projects.get'] }, { reason: 'x'.repeat(201) }, { origin: 'x'.repeat(201) }])(
    '%j is refused',
    async (wrong) => {
      await expect(run('v1.Liens.createLien', { lien: { ...lien, ...wrong } })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    },
  );

  test('are for who may change them; an unknown one and a foreign one are denied alike', async () => {
    const { name } = await run('v1.Liens.createLien', { lien });
    const viewer = 'user:viewer@example.com';
    await fixture.grant(crm('projects/demo'), 'roles/browser', viewer);
    expect(await run('v1.Liens.getLien', { name }, viewer)).toMatchObject({ name });
    await expect(run('v1.Liens.deleteLien', { name }, viewer)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('v1.Liens.getLien', { name: 'liens/p999999999999-l0' })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('v1.Liens.getLien', { name: 'liens/x' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });

  test('that of cross-project use is protected by the organization where it says so', async () => {
    const origin = 'iam.googleapis.com/cross-project-service-accounts';
    const { name } = await run('v1.Liens.createLien', { lien: { ...lien, origin } });
    const modifier = 'user:modifier@example.com';
    await fixture.grant(crm('projects/demo'), 'roles/resourcemanager.lienModifier', modifier);
    fixture.enforced.add('iam.restrictCrossProjectServiceAccountLienRemoval');
    await expect(run('v1.Liens.deleteLien', { name }, modifier)).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    fixture.enforced.clear();
    await run('v1.Liens.deleteLien', { name }, modifier);
    const again = await run('v1.Liens.createLien', { lien: { ...lien, origin } });
    fixture.enforced.add('iam.restrictCrossProjectServiceAccountLienRemoval');
    await run('v1.Liens.deleteLien', { name: again.name }, OWNER);
  });
});
