import { create, createRegistry, toJson } from '@bufbuild/protobuf';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { file_google_cloud_resourcemanager_v3_projects, ProjectSchema as ProjectV3Schema } from '../../gen/google/cloud/resourcemanager/v3/projects_pb.js';
import { file_google_cloudresourcemanager_v1_projects, ProjectSchema as ProjectV1Schema } from '../../gen/google/cloudresourcemanager/v1/projects_pb.js';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import { OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { isServiceAccountActive, listServiceAccounts } from '../../store/service-accounts.ts';
import { RESOURCE_MANAGER_OPERATIONS } from './operations-outline.ts';
import { openResourceManager, type ResourceManagerFixture } from './resource-manager-fixture.ts';

let fixture: ResourceManagerFixture;
beforeEach(async () => {
  fixture = await openResourceManager();
});
afterEach(() => fixture.close());

const run: ResourceManagerFixture['run'] = (...args) => fixture.run(...args);

describe('projects v1', () => {
  const registry = createRegistry(file_google_cloudresourcemanager_v1_projects);

  test('creation as recorded: the name alone, then everything at the first poll; get is the same; delete is empty', async () => {
    const first = await run('v1.Projects.createProject', { project: { projectId: 'test-one', name: 'test-one', parent: { type: 'folder', id: '222222222222' } } });
    expect(toJson(OperationSchema, first, { registry })).toEqual({ name: expect.stringMatching(/^operations\/pc\.\d+$/) });
    const polled = await run('longrunning.Operations.getOperation', { name: first.name });
    const project = {
      projectNumber: expect.stringMatching(/^\d{12}$/),
      projectId: 'test-one',
      lifecycleState: 'ACTIVE',
      name: 'test-one',
      createTime: expect.any(String),
      parent: { type: 'folder', id: '222222222222' },
    };
    expect(toJson(OperationSchema, polled, { registry })).toEqual({
      name: first.name,
      done: true,
      metadata: { '@type': 'type.googleapis.com/google.cloudresourcemanager.v1.ProjectCreationStatus', gettable: true, ready: true },
      response: { '@type': 'type.googleapis.com/google.cloudresourcemanager.v1.Project', ...project },
    });
    expect(toJson(ProjectV1Schema, await run('v1.Projects.getProject', { projectId: 'test-one' }))).toEqual(project);
    await run('v1.Projects.deleteProject', { projectId: 'test-one' });
    expect(await run('v1.Projects.getProject', { projectId: 'test-one' })).toMatchObject({ lifecycleState: 2 });
    await expect(run('v1.Projects.deleteProject', { projectId: 'test-one' })).rejects.toMatchObject({ status: 'FAILED_PRECONDITION' });
    await run('v1.Projects.undeleteProject', { projectId: 'test-one' });
    await expect(run('v1.Projects.createProject', { project: { projectId: 'test-one' } })).rejects.toMatchObject({
      status: 'ALREADY_EXISTS',
      message: 'Requested entity already exists',
    });
  });

  test('a new project has its account, its agent and its creator; without a parent it goes to the only organization', async () => {
    await run('v1.Projects.createProject', { project: { projectId: 'test-two' } });
    const project = await run('v1.Projects.getProject', { projectId: 'test-two' });
    const number = String(project.projectNumber);
    expect(project.parent).toMatchObject({ type: 'organization', id: '111111111111' });
    expect((await listServiceAccounts(fixture.store.read, { projectId: 'test-two', limit: 9 })).map(({ email }) => email)).toEqual([
      `${number}-compute@developer.gserviceaccount.com`,
    ]);
    expect(toJson(PolicySchema, await run('v1.Projects.getIamPolicy', { resource: 'test-two', options: { requestedPolicyVersion: 3 } }))).toEqual({
      version: 1,
      etag: expect.any(String),
      bindings: [
        { role: 'roles/editor', members: [`serviceAccount:${number}-compute@developer.gserviceaccount.com`] },
        { role: 'roles/owner', members: ['user:owner@example.com'] },
        { role: 'roles/run.serviceAgent', members: [`serviceAccount:service-${number}@serverless-robot-prod.iam.gserviceaccount.com`] },
      ],
    });
  });

  test('ancestry, from the project up; by number too', async () => {
    const { ancestor } = await run('v1.Projects.getAncestry', { projectId: '123456789012' });
    expect(ancestor.map(({ resourceId }: { resourceId: { type: string; id: string } }) => `${resourceId.type}/${resourceId.id}`)).toEqual([
      'project/demo',
      'folder/222222222222',
      'organization/111111111111',
    ]);
  });

  test('the policy written back keeps its agents; its etag guards it; a role that is not known is kept with a warning', async () => {
    const policy = await run('v1.Projects.getIamPolicy', { resource: 'demo' });
    const roles = [
      { role: 'roles/run.developer', members: ['user:dev@example.com'] },
      { role: 'roles/unheard.of', members: ['user:dev@example.com'] },
    ];
    const set = await run('v1.Projects.setIamPolicy', {
      resource: 'demo',
      policy: create(PolicySchema, { ...policy, bindings: [...policy.bindings, ...create(PolicySchema, { bindings: roles }).bindings], version: 3 }),
      updateMask: { paths: ['bindings', 'etag', 'audit_configs'] },
    });
    expect(set.version).toBe(1);
    expect(fixture.lastCall().warnings).toEqual(['roles/unheard.of is not in the role catalogue: the binding is kept, but not evaluated.']);
    expect(set.bindings.map(({ role }: { role: string }) => role)).toEqual(['roles/editor', 'roles/run.developer', 'roles/run.serviceAgent', 'roles/unheard.of']);
    expect(await fixture.decide('user:dev@example.com', { permission: 'run.jobs.create', resource: '//run.googleapis.com/projects/demo/locations/us-central1/jobs/j' })).toBe(true);
    await expect(run('v1.Projects.setIamPolicy', { resource: 'demo', policy })).rejects.toMatchObject({ status: 'ABORTED' });
  });

  test('an unknown project and a foreign one are denied alike', async () => {
    for (const projectId of ['nope', 'demo'])
      await expect(run('v1.Projects.getProject', { projectId }, 'user:stranger@example.com')).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('v1.Projects.getProject', { projectId: 'nope' })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('lists show what the caller may get, by filter and page', async () => {
    for (let i = 0; i < 5; i++) await run('v1.Projects.createProject', { project: { projectId: `listed-${i}`, labels: { env: i % 2 === 0 ? 'dev' : 'prod' } } });
    const list = async (request: Record<string, unknown>, member?: string) =>
      (await run('v1.Projects.listProjects', request, member)).projects.map(({ projectId }: { projectId: string }) => projectId);
    expect(await list({ filter: 'lifecycleState:ACTIVE' })).toHaveLength(6);
    expect(await list({ filter: 'lifecycleState:ACTIVE AND (labels.env:dev OR id:demo)' })).toEqual(['demo', 'listed-0', 'listed-2', 'listed-4']);
    expect(await list({ filter: 'parent.type:folder parent.id:222222222222' })).toEqual(['demo']);
    expect(await list({}, 'user:stranger@example.com')).toEqual([]);
    await expect(list({ filter: 'colour:red' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
    const first = await run('v1.Projects.listProjects', { pageSize: 4 });
    const second = await run('v1.Projects.listProjects', { pageSize: 4, pageToken: first.nextPageToken });
    expect([...first.projects, ...second.projects].map(({ projectId }) => projectId)).toEqual(['demo', ...[0, 1, 2, 3, 4].map((i) => `listed-${i}`)]);
    expect(second.nextPageToken).toBe('');
  });

  test('PUT replaces name and labels', async () => {
    expect(await run('v1.Projects.updateProject', { projectId: 'demo', project: { name: 'Renamed', labels: { a: 'b' } } })).toMatchObject({ name: 'Renamed', labels: { a: 'b' } });
  });

  test.each(['short', 'Upper-case', 'ends-with-', 'x'.repeat(31)])('refuses the id %s', async (projectId) => {
    await expect(run('v1.Projects.createProject', { project: { projectId } })).rejects.toMatchObject({
      status: 'INVALID_ARGUMENT',
      message: expect.stringMatching(/^field \[project_id\] has issue \[/),
    });
  });
});

describe('projects v3', () => {
  const registry = createRegistry(file_google_cloud_resourcemanager_v3_projects);

  test('create, poll, get, update, delete, undelete', async () => {
    const first = await run('v3.Projects.createProject', { project: { projectId: 'third-one', parent: 'folders/222222222222', displayName: 'Third' } });
    expect(toJson(OperationSchema, first, { registry })).toEqual({
      name: expect.stringMatching(/^operations\/cp\./),
      metadata: { '@type': 'type.googleapis.com/google.cloud.resourcemanager.v3.CreateProjectMetadata' },
    });
    const polled = toJson(OperationSchema, await run('longrunning.Operations.getOperation', { name: first.name }), { registry });
    const project = toJson(ProjectV3Schema, await run('v3.Projects.getProject', { name: 'projects/third-one' }));
    expect(project).toMatchObject({
      name: expect.stringMatching(/^projects\/\d{12}$/),
      parent: 'folders/222222222222',
      projectId: 'third-one',
      state: 'ACTIVE',
      displayName: 'Third',
      etag: expect.any(String),
    });
    expect(polled).toMatchObject({ done: true, response: project });
    await run('v3.Projects.updateProject', { project: { name: 'projects/third-one', displayName: 'ignored', labels: { a: 'b' } }, updateMask: { paths: ['labels'] } });
    expect(await run('v3.Projects.getProject', { name: 'projects/third-one' })).toMatchObject({ displayName: 'Third', labels: { a: 'b' } });
    const account = (await listServiceAccounts(fixture.store.read, { projectId: 'third-one', limit: 1 }))[0]?.email ?? '';
    await run('v3.Projects.deleteProject', { name: 'projects/third-one' });
    expect(await isServiceAccountActive(fixture.store.read, account)).toBe(false);
    expect((await run('v3.Projects.listProjects', { parent: 'folders/222222222222' })).projects).toHaveLength(1);
    expect((await run('v3.Projects.listProjects', { parent: 'folders/222222222222', showDeleted: true })).projects).toHaveLength(2);
    await run('v3.Projects.undeleteProject', { name: 'projects/third-one' });
    expect(await isServiceAccountActive(fixture.store.read, account)).toBe(true);
  });

  test('an operation is read by who may get its project; an unknown one is not found', async () => {
    const { name } = await run('v3.Projects.createProject', { project: { projectId: 'fourth-one' } });
    await expect(run('longrunning.Operations.getOperation', { name }, 'user:stranger@example.com')).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
    await expect(run('longrunning.Operations.getOperation', { name: 'operations/cp.1' })).rejects.toMatchObject({ status: 'NOT_FOUND' });
    expect([RESOURCE_MANAGER_OPERATIONS.owns(name), RESOURCE_MANAGER_OPERATIONS.owns('projects/p/locations/l/operations/o')]).toEqual([true, false]);
  });

  test('creating takes projects.create on the parent', async () => {
    await expect(run('v3.Projects.createProject', { project: { projectId: 'fifth-one', parent: 'folders/222222222222' } }, 'user:stranger@example.com')).rejects.toMatchObject({
      status: 'PERMISSION_DENIED',
    });
    await expect(run('v3.Projects.createProject', { project: { projectId: 'fifth-one', parent: 'folders/5' } })).rejects.toMatchObject({ status: 'PERMISSION_DENIED' });
  });

  test('search and words', async () => {
    expect((await run('v3.Projects.searchProjects', { query: 'displayName:de* state=ACTIVE' })).projects).toMatchObject([{ projectId: 'demo' }]);
    const service = fixture.services.find(({ desc }) => desc.typeName === 'google.cloud.resourcemanager.v3.Projects');
    expect(service?.denied({ permission: 'resourcemanager.projects.get', resource: '//cloudresourcemanager.googleapis.com/projects/x', asked: 'projects/x' })).toBe(
      "Permission 'resourcemanager.projects.get' denied on resource '//cloudresourcemanager.googleapis.com/projects/x' (or it may not exist).",
    );
  });
});

describe('folders and organizations', () => {
  test('both versions show the same rows', async () => {
    expect(await run('v3.Folders.getFolder', { name: 'folders/222222222222' })).toMatchObject({ displayName: 'team', parent: 'organizations/111111111111', state: 1 });
    expect(await run('resourcemanager.v2.Folders.getFolder', { name: 'folders/222222222222' })).toMatchObject({ displayName: 'team', lifecycleState: 1 });
    expect((await run('v3.Folders.listFolders', { parent: 'organizations/111111111111' })).folders).toHaveLength(1);
    expect((await run('resourcemanager.v2.Folders.searchFolders', { query: 'displayName=nothing' })).folders).toEqual([]);
    expect(await run('v3.Organizations.getOrganization', { name: 'organizations/111111111111' })).toMatchObject({ displayName: 'example.com' });
    expect((await run('cloudresourcemanager.v1.Organizations.searchOrganizations', { filter: 'domain:example.com' })).organizations).toMatchObject([
      { name: 'organizations/111111111111' },
    ]);
    expect((await run('v3.Organizations.searchOrganizations', { query: 'domain:other.com' })).organizations).toEqual([]);
    expect((await run('v3.Organizations.searchOrganizations', {}, 'user:stranger@example.com')).organizations).toEqual([]);
  });

  test('policies of a folder hold below it; permissions are tested by what is inherited', async () => {
    await run('resourcemanager.v2.Folders.setIamPolicy', {
      resource: 'folders/222222222222',
      policy: { bindings: [{ role: 'roles/run.viewer', members: ['user:viewer@example.com'] }] },
    });
    expect(await fixture.decide('user:viewer@example.com', { permission: 'run.jobs.get', resource: '//run.googleapis.com/projects/demo/locations/us-central1/jobs/j' })).toBe(true);
    expect(
      (await run('v3.Projects.testIamPermissions', { resource: 'projects/demo', permissions: ['run.jobs.get', 'run.jobs.run'] }, 'user:viewer@example.com')).permissions,
    ).toEqual(['run.jobs.get']);
    expect((await run('v3.Folders.getIamPolicy', { resource: 'folders/222222222222' })).bindings).toHaveLength(1);
    await expect(run('v3.Organizations.getIamPolicy', { resource: 'organizations/111111111111' }, 'user:viewer@example.com')).rejects.toMatchObject({
      status: 'PERMISSION_DENIED',
    });
    await expect(run('v3.Folders.getIamPolicy', { resource: 'folders/../x' })).rejects.toMatchObject({ status: 'INVALID_ARGUMENT' });
  });
});
