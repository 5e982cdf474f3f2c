/** google.cloud.resourcemanager.v3.Projects. */
import { create, type DescMessage, type MessageInitShape, type MessageShape } from '@bufbuild/protobuf';
import { invalidRequest } from '../../errors.ts';
import {
  CreateProjectMetadataSchema,
  DeleteProjectMetadataSchema,
  MoveProjectMetadataSchema,
  type Project,
  Project_State,
  ProjectSchema,
  Projects,
  UndeleteProjectMetadataSchema,
  UpdateProjectMetadataSchema,
} from '../../gen/google/cloud/resourcemanager/v3/projects_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import type { Store, Tx } from '../../store/database.ts';
import { listProjects, type ProjectRow } from '../../store/projects.ts';
import { toTimestamp } from '../../timestamp.ts';
import { parseFilter } from '../list-filter.ts';
import { type AnyService, type Call, defineService, type Methods } from '../service.ts';
import { checkNewProject, createProject, isEditorWithheld } from './create-project.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { recordOperation } from './operations.ts';
import { authorizeLeaving, changeProject, createCheck, deleteProject, getProject, moveChecks, resolveParent, undeleteProject } from './project-changes.ts';
import { visiblePage } from './visible-page.ts';
import { v3Denied } from './words.ts';

type ProjectMethods = Methods<typeof Projects>;

export function createProjectsV3Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof Projects>({
    desc: Projects,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: { ...nodePolicyMethods(deps, 'projects'), ...reads(deps.store), ...creation(deps), ...changes(deps.store) },
  });
}

function reads(store: Store): Pick<ProjectMethods, 'getProject' | 'listProjects' | 'searchProjects'> {
  return {
    getProject: {
      access: { checks: ({ name }) => [nodeCheck('resourcemanager.projects.get', parseNode(name, ['projects']))] },
      handle: async ({ name }) => toV3(await getProject(store.read, keyOf(name))),
    },
    listProjects: {
      access: { checks: ({ parent }) => [nodeCheck('resourcemanager.projects.list', parseNode(parent, ['folders', 'organizations'], 'parent'))] },
      async handle(request) {
        const { parent, showDeleted } = request;
        const page = await visiblePage<ProjectRow>({
          query: ['v3.projects', parent, showDeleted],
          request,
          read: (after, limit) => listProjects(store.read, { parent, limit, showDeleted, ...(after === undefined ? {} : { after }) }),
          keyOf: (row) => row.project_id,
          isVisible: () => true,
        });
        return { projects: page.rows.map(toV3), nextPageToken: page.nextPageToken };
      },
    },
    searchProjects: {
      access: { authenticated: true, why: 'Shows only the projects on which the caller has resourcemanager.projects.get.' },
      handle: (request, call) => search(store, request, call),
    },
  };
}

function creation({ store, orgPolicies }: ResourceManagerDeps): Pick<ProjectMethods, 'createProject'> {
  return {
    createProject: {
      access: { checks: async ({ project }) => [createCheck(await resolveParent(store.read, project?.parent ?? ''))] },
      async handle({ project }, call) {
        const given = project ?? create(ProjectSchema);
        const parent = await resolveParent(store.read, given.parent);
        const withoutEditor = await isEditorWithheld(orgPolicies, parent, call.principal);
        const { projectId, displayName, labels } = given;
        return store.write(async (tx) => {
          const row = await createProject(tx, checkNewProject({ projectId, parent, displayName, labels, owner: call.principal.member, withoutEditor }), call.now());
          const metadata = create(CreateProjectMetadataSchema, { createTime: toTimestamp(row.create_time), gettable: true, ready: true });
          return record(tx, 'cp', row, CreateProjectMetadataSchema, metadata, call);
        });
      },
    },
  };
}

function changes(store: Store): Pick<ProjectMethods, 'updateProject' | 'moveProject' | 'deleteProject' | 'undeleteProject'> {
  return {
    updateProject: {
      access: { checks: ({ project }) => [nodeCheck('resourcemanager.projects.update', parseNode(project?.name ?? '', ['projects'], 'project.name'))] },
      handle: ({ project, updateMask }, call) =>
        store.write(async (tx) => {
          const given = project ?? create(ProjectSchema);
          const row = await changeProject(tx, keyOf(given.name), { ...maskedChange(given, updateMask?.paths ?? []), etag: given.etag }, call.now());
          return record(tx, 'up', row, UpdateProjectMetadataSchema, create(UpdateProjectMetadataSchema), call);
        }),
    },
    moveProject: {
      access: { checks: ({ name, destinationParent }) => moveChecks(keyOf(name), destinationParent) },
      async handle({ name, destinationParent: to }, call) {
        const from = await authorizeLeaving(store.read, keyOf(name), call);
        return store.write(async (tx) => {
          const row = await changeProject(tx, keyOf(name), { move: { from, to } }, call.now());
          return record(tx, 'mp', row, MoveProjectMetadataSchema, create(MoveProjectMetadataSchema), call);
        });
      },
    },
    deleteProject: {
      access: { checks: ({ name }) => [nodeCheck('resourcemanager.projects.delete', parseNode(name, ['projects']))] },
      handle: ({ name }, call) =>
        store.write(async (tx) => {
          const before = await getProject(tx.db, keyOf(name));
          // As the proto says: deleting what is being deleted is no error, and does nothing.
          const row = before.state === 'ACTIVE' ? await deleteProject(tx, keyOf(name), call.now()) : before;
          return record(tx, 'dp', row, DeleteProjectMetadataSchema, create(DeleteProjectMetadataSchema), call);
        }),
    },
    undeleteProject: {
      access: { checks: ({ name }) => [nodeCheck('resourcemanager.projects.undelete', parseNode(name, ['projects']))] },
      handle: ({ name }, call) =>
        store.write(async (tx) => record(tx, 'ud', await undeleteProject(tx, keyOf(name), call.now()), UndeleteProjectMetadataSchema, create(UndeleteProjectMetadataSchema), call)),
    },
  };
}

function keyOf(name: string): string {
  return parseNode(name, ['projects']).id;
}

function record<M extends DescMessage>(tx: Tx, kind: 'cp' | 'up' | 'mp' | 'dp' | 'ud', row: ProjectRow, schema: M, metadata: MessageShape<M>, call: Call): Promise<Operation> {
  const target = nodeResource({ kind: 'projects', id: row.project_id });
  return recordOperation(tx.db, { kind, target, metadata: [schema, metadata], response: [ProjectSchema, create(ProjectSchema, toV3(row))] }, call.now());
}

async function search(store: Store, request: { readonly query: string; readonly pageSize: number; readonly pageToken: string }, call: Call) {
  const filter = parseFilter(request.query, ['projectId', 'id', 'displayName', 'name', 'state', 'lifecycleState', 'parent', 'parent.type', 'parent.id', 'labels.*'], 'query');
  const page = await visiblePage<ProjectRow>({
    query: ['v3.projects:search', request.query],
    request,
    read: (after, limit) => listProjects(store.read, { limit, showDeleted: true, ...(after === undefined ? {} : { after }) }),
    keyOf: (row) => row.project_id,
    isVisible: (row) => filter((field) => projectField(row, field)) && mayGet(row, call),
  });
  return { projects: page.rows.map(toV3), nextPageToken: page.nextPageToken };
}

export function mayGet(row: ProjectRow, call: Call): Promise<boolean> {
  return call.isAllowed({ permission: 'resourcemanager.projects.get', resource: nodeResource({ kind: 'projects', id: row.project_id }) });
}

/** What filters of both versions may ask about a project; `name` is its display name in both. */
export function projectField(row: ProjectRow, field: string): string | undefined {
  const [parentCollection = '', parentId = ''] = (row.parent ?? '').split('/');
  switch (field) {
    case 'projectId':
    case 'id':
      return row.project_id;
    case 'displayName':
    case 'name':
      return row.display_name;
    case 'projectNumber':
      return row.number;
    case 'state':
    case 'lifecycleState':
      return row.state;
    case 'parent':
      return row.parent ?? undefined;
    case 'parent.type':
      return parentCollection === '' ? undefined : parentCollection.slice(0, -1);
    case 'parent.id':
      return parentId === '' ? undefined : parentId;
    default:
      return projectLabels(row)[field.slice('labels.'.length)];
  }
}

export function projectLabels(row: ProjectRow): Record<string, string> {
  return Object.fromEntries(Object.entries(JSON.parse(row.labels)).map(([key, value]) => [key, String(value)]));
}

/** Without a mask, everything that can be changed (AIP-134). @throws INVALID_ARGUMENT */
function maskedChange(project: Project, paths: readonly string[]): { displayName?: string; labels?: Record<string, string> } {
  const change: { displayName?: string; labels?: Record<string, string> } = {};
  for (const path of paths.length === 0 || paths.includes('*') ? ['display_name', 'labels'] : paths) {
    if (path === 'display_name' || path === 'displayName') change.displayName = project.displayName;
    else if (path === 'labels') change.labels = project.labels;
    else
      throw invalidRequest(`update_mask: ${JSON.stringify(path)} cannot be updated. Only display_name and labels can.`, [
        { field: 'update_mask', description: `${path} cannot be updated` },
      ]);
  }
  return change;
}

function toV3(row: ProjectRow): MessageInitShape<typeof ProjectSchema> {
  return {
    name: `projects/${row.number}`,
    parent: row.parent ?? '',
    projectId: row.project_id,
    state: Project_State[row.state],
    displayName: row.display_name,
    createTime: toTimestamp(row.create_time),
    updateTime: toTimestamp(row.update_time),
    ...(row.delete_time === null ? {} : { deleteTime: toTimestamp(row.delete_time) }),
    etag: row.etag,
    labels: projectLabels(row),
  };
}
