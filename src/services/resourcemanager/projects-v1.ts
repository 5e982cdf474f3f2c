/** Resource Manager v1, projects: what gcloud and Terraform call. Recorded: creation answers an operation of which only the name shows. */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { LifecycleState, type Project, ProjectCreationStatusSchema, ProjectSchema, Projects, type ResourceId } from '../../gen/google/cloudresourcemanager/v1/projects_pb.js';
import type { Store } from '../../store/database.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { listProjects, type ProjectRow } from '../../store/projects.ts';
import { toTimestamp } from '../../timestamp.ts';
import { parseFilter } from '../list-filter.ts';
import { type AnyService, type Call, type Check, defineService, type Methods } from '../service.ts';
import { checkNewProject, createProject, isEditorWithheld } from './create-project.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { recordOperation } from './operations.ts';
import { authorizeLeaving, changeProject, createCheck, deleteProject, getProject, moveChecks, resolveParent, undeleteProject } from './project-changes.ts';
import { mayGet, projectField, projectLabels } from './projects-v3.ts';
import { visiblePage } from './visible-page.ts';
import { plainDenied } from './words.ts';

type ProjectMethods = Methods<typeof Projects>;

export function createProjectsV1Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof Projects>({
    desc: Projects,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: true,
    denied: plainDenied,
    methods: { ...nodePolicyMethods(deps, 'projects', true), ...reads(deps.store), ...creation(deps), ...changes(deps.store) },
  });
}

function check(permission: string, projectId: string): Check {
  return nodeCheck(permission, parseNode(`projects/${projectId}`, ['projects'], 'projectId'));
}

function reads(store: Store): Pick<ProjectMethods, 'getProject' | 'getAncestry' | 'listProjects'> {
  return {
    getProject: {
      access: { checks: ({ projectId }) => [check('resourcemanager.projects.get', projectId)] },
      handle: async ({ projectId }) => toV1(await getProject(store.read, projectId)),
    },
    getAncestry: {
      access: { checks: ({ projectId }) => [check('resourcemanager.projects.get', projectId)] },
      async handle({ projectId }) {
        const row = await getProject(store.read, projectId);
        const above = (await listAncestors(store.read, row.parent)).map((name) => ({ resourceId: toResourceId(name) }));
        return { ancestor: [{ resourceId: { type: 'project', id: row.project_id } }, ...above] };
      },
    },
    listProjects: {
      access: { authenticated: true, why: 'Shows only the projects on which the caller has resourcemanager.projects.get.' },
      handle: (request, call) => list(store, request, call),
    },
  };
}

function creation({ store, orgPolicies }: ResourceManagerDeps): Pick<ProjectMethods, 'createProject'> {
  return {
    createProject: {
      access: { checks: async ({ project }) => [createCheck(await resolveParent(store.read, fromResourceId(project?.parent)))] },
      async handle({ project }, call) {
        const given = project ?? create(ProjectSchema);
        const parent = await resolveParent(store.read, fromResourceId(given.parent));
        const withoutEditor = await isEditorWithheld(orgPolicies, parent, call.principal);
        const { projectId, name, labels } = given;
        return store.write(async (tx) => {
          const row = await createProject(tx, checkNewProject({ projectId, parent, displayName: name, labels, owner: call.principal.member, withoutEditor }), call.now());
          // Recorded without createTime.
          const metadata = create(ProjectCreationStatusSchema, { gettable: true, ready: true });
          const target = nodeResource({ kind: 'projects', id: row.project_id });
          const response = create(ProjectSchema, toV1(row));
          return recordOperation(tx.db, { kind: 'pc', target, metadata: [ProjectCreationStatusSchema, metadata], response: [ProjectSchema, response] }, call.now());
        });
      },
    },
  };
}

function changes(store: Store): Pick<ProjectMethods, 'updateProject' | 'deleteProject' | 'undeleteProject'> {
  return {
    updateProject: {
      access: { checks: ({ projectId }) => [check('resourcemanager.projects.update', projectId)] },
      handle: async ({ projectId, project }, call) => toV1(await update(store, projectId, project ?? create(ProjectSchema), call)),
    },
    deleteProject: {
      access: { checks: ({ projectId }) => [check('resourcemanager.projects.delete', projectId)] },
      async handle({ projectId }, call) {
        await store.write((tx) => deleteProject(tx, projectId, call.now()));
        return {};
      },
    },
    undeleteProject: {
      access: { checks: ({ projectId }) => [check('resourcemanager.projects.undelete', projectId)] },
      async handle({ projectId }, call) {
        await store.write((tx) => undeleteProject(tx, projectId, call.now()));
        return {};
      },
    },
  };
}

async function list(store: Store, request: { readonly filter: string; readonly pageSize: number; readonly pageToken: string }, call: Call) {
  const filter = parseFilter(request.filter, ['projectId', 'id', 'projectNumber', 'name', 'lifecycleState', 'parent.type', 'parent.id', 'labels.*'], 'filter');
  const page = await visiblePage<ProjectRow>({
    query: ['v1.projects', request.filter],
    request,
    read: (after, limit) => listProjects(store.read, { limit, showDeleted: true, ...(after === undefined ? {} : { after }) }),
    keyOf: (row) => row.project_id,
    isVisible: (row) => filter((field) => projectField(row, field)) && mayGet(row, call),
  });
  return { projects: page.rows.map(toV1), nextPageToken: page.nextPageToken };
}

/** The whole project is replaced, as PUT says; another parent moves it (`gcloud projects move` does it like this), which takes the permissions to move. */
async function update(store: Store, projectId: string, project: Project, call: Call): Promise<ProjectRow> {
  const before = await getProject(store.read, projectId);
  const to = fromResourceId(project.parent);
  let move: { move: { from: string | null; to: string } } | undefined;
  if (to !== '' && to !== before.parent) {
    for (const each of moveChecks(projectId, to)) await call.authorize(each);
    move = { move: { from: await authorizeLeaving(store.read, projectId, call), to } };
  }
  const change = { displayName: project.name === '' ? before.display_name : project.name, labels: project.labels, ...move };
  return store.write((tx) => changeProject(tx, projectId, change, call.now()));
}

function toV1(row: ProjectRow): MessageInitShape<typeof ProjectSchema> {
  return {
    projectNumber: BigInt(row.number),
    projectId: row.project_id,
    lifecycleState: LifecycleState[row.state],
    name: row.display_name,
    createTime: toTimestamp(row.create_time),
    labels: projectLabels(row),
    ...(row.parent === null ? {} : { parent: toResourceId(row.parent) }),
  };
}

/** `folders/5` <-> `{type: "folder", id: "5"}` */
function toResourceId(name: string): { type: string; id: string } {
  const [collection = '', id = ''] = name.split('/');
  return { type: collection.slice(0, -1), id };
}
function fromResourceId(resource: ResourceId | undefined): string {
  return resource === undefined || resource.id === '' ? '' : `${resource.type}s/${resource.id}`;
}
