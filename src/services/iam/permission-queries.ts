/** What can be asked about permissions and roles beside a role itself: which may be tested or granted on a resource, and which services audit. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { invalidRequest } from '../../errors.ts';
import {
  type IAM,
  Permission_PermissionLaunchStage,
  type QueryGrantableRolesRequest,
  type QueryGrantableRolesResponseSchema,
  type RoleSchema,
} from '../../gen/google/iam/admin/v1/iam_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import { findFolder } from '../../store/folders.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findProject } from '../../store/projects.ts';
import { listRoles } from '../../store/roles.ts';
import type { Call, Methods } from '../service.ts';
import { type PermissionTarget, parsePermissionTarget } from './known-permissions.ts';
import { rowContent } from './role-changes.ts';
import { type RoleDeps, toRole, withCatalogue } from './roles.ts';

type QueryMethods = Pick<Methods<typeof IAM>, 'queryGrantableRoles' | 'queryTestablePermissions' | 'queryAuditableServices'>;
type RoleInit = MessageInitShape<typeof RoleSchema>;

/** The APIs that write an audit entry for every call. */
const AUDITED = [
  'cloudresourcemanager.googleapis.com',
  'iam.googleapis.com',
  'iamcredentials.googleapis.com',
  'logging.googleapis.com',
  'orgpolicy.googleapis.com',
  'run.googleapis.com',
];

export function permissionQueries(deps: RoleDeps): QueryMethods {
  return {
    queryGrantableRoles: {
      access: {
        authenticated: true,
        why: 'Predefined roles are no secret and depend on the name alone; custom roles are shown only to callers with iam.roles.list where they are.',
      },
      handle: (request, call) => queryGrantableRoles(deps, request, call),
    },
    queryTestablePermissions: {
      access: { authenticated: true, why: 'Says which permissions there are for a kind of resource, from the name alone.' },
      async handle({ fullResourceName, pageToken, pageSize: asked }) {
        const target = requireTarget(fullResourceName);
        const query = ['testable', fullResourceName];
        const size = pageSize(asked, 100, 1000);
        const after = String(decodePageToken(query, pageToken)?.[0] ?? '');
        const found = deps.known.all().filter((permission) => permission > after && target.isTestable(permission));
        const page = found.slice(0, size);
        return {
          permissions: page.map((name) => ({ name, stage: Permission_PermissionLaunchStage.GA })),
          nextPageToken: found.length > size ? encodePageToken(query, [page.at(-1) ?? '']) : '',
        };
      },
    },
    queryAuditableServices: {
      access: { authenticated: true, why: 'Says which APIs of this server audit, the same for every resource.' },
      async handle({ fullResourceName }) {
        requireTarget(fullResourceName);
        return { services: AUDITED.map((name) => ({ name })) };
      },
    },
  };
}

function requireTarget(fullName: string): PermissionTarget {
  const target = parsePermissionTarget(fullName);
  if (target === undefined)
    throw invalidRequest(
      fullName === ''
        ? 'full_resource_name: must be specified, for example //cloudresourcemanager.googleapis.com/projects/my-project.'
        : `full_resource_name: ${JSON.stringify(fullName)} is not a full resource name. Write for example //cloudresourcemanager.googleapis.com/projects/my-project.`,
      [{ field: 'full_resource_name', description: 'must be //HOST/projects/PROJECT, .../folders/NUMBER or .../organizations/NUMBER, and what follows' }],
    );
  return target;
}

/** A role can be granted on a resource where it holds at least one permission that can be tested there. */
async function queryGrantableRoles(deps: RoleDeps, request: QueryGrantableRolesRequest, call: Call): Promise<MessageInitShape<typeof QueryGrantableRolesResponseSchema>> {
  const { store, catalogue } = deps;
  const target = requireTarget(request.fullResourceName);
  const size = pageSize(request.pageSize, 300, 1000);
  const query = ['grantable', request.fullResourceName, request.view];
  const after = String(decodePageToken(query, request.pageToken)?.[0] ?? '');
  const custom = (await Promise.all((await visibleParents(deps, target, call)).map((parent) => listRoles(store.read, { parent })))).flat().filter((row) => row.name > after);
  const imported = await listRoles(store.read, { parent: '', after });
  const stored = new Map([...custom, ...imported].map((row) => [row.name, rowContent(row).permissions]));
  const isGrantable = ({ name = '' }: RoleInit) => holdsTestable(stored.get(name) ?? catalogue.role(name)?.permissions ?? [], target);
  const grantable = [...withCatalogue(imported, catalogue, after, request.view), ...custom.map((row) => toRole(row, request.view))]
    .filter(isGrantable)
    .sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
  const page = grantable.slice(0, size);
  return {
    roles: page,
    nextPageToken: grantable.length > size ? encodePageToken(query, [page.at(-1)?.name ?? '']) : '',
  };
}

function holdsTestable(permissions: Iterable<string>, target: PermissionTarget): boolean {
  for (const permission of permissions) if (target.isTestable(permission)) return true;
  return false;
}

/** Where custom roles for a resource may be: its project and its organization, as far as the caller may list roles there. */
async function visibleParents({ store }: RoleDeps, { node }: PermissionTarget, call: Call): Promise<string[]> {
  const project = node.kind === 'projects' ? await findProject(store.read, node.id) : undefined;
  const above =
    node.kind === 'projects' ? (project?.parent ?? null) : node.kind === 'folders' ? ((await findFolder(store.read, node.id))?.parent ?? null) : `organizations/${node.id}`;
  const organization = (await listAncestors(store.read, above)).find((name) => name.startsWith('organizations/'));
  const parents = [...(project === undefined ? [] : [`projects/${project.project_id}`]), ...(organization === undefined ? [] : [organization])];
  const visible = await Promise.all(
    parents.map((parent) => call.isAllowed({ permission: 'iam.roles.list', resource: `//cloudresourcemanager.googleapis.com/${parent}`, asked: parent })),
  );
  return parents.filter((_parent, index) => visible[index]);
}
