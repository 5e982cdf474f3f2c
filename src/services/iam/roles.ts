/**
 * Roles of google.iam.admin.v1: predefined ones from the catalogue (and those that were imported), custom ones from the store.
 * Whoever is known may read predefined roles; custom ones take iam.roles.* on the project or organization.
 */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { type IAM, type ListRolesRequest, type ListRolesResponseSchema, Role_RoleLaunchStage, type RoleSchema, RoleView } from '../../gen/google/iam/admin/v1/iam_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { Role, RoleCatalogue } from '../../policy/catalogue.ts';
import type { Store } from '../../store/database.ts';
import { findRole, listRoles, type RoleRow } from '../../store/roles.ts';
import type { Call, Check, Methods } from '../service.ts';
import type { KnownPermissions } from './known-permissions.ts';
import { changeRole, createRole, getRoleRow, removeRole, restoreRole, roleNotFound, rowContent, storedParent, UNDELETE_MICROS } from './role-changes.ts';
import { parseRoleName, parseRoleParent } from './role-names.ts';

const DEFAULT_PAGE = 300;
const MAX_PAGE = 1000;
/** Base64 `AA==`: the etag of every predefined role. */
const PREDEFINED_ETAG = Uint8Array.of(0);

export interface RoleDeps {
  readonly store: Store;
  readonly catalogue: Pick<RoleCatalogue, 'role' | 'roles'>;
  readonly known: KnownPermissions;
}

type RoleInit = MessageInitShape<typeof RoleSchema>;
type RoleMethods = Pick<Methods<typeof IAM>, 'listRoles' | 'getRole' | 'createRole' | 'updateRole' | 'deleteRole' | 'undeleteRole'>;

export function roleMethods(deps: RoleDeps): RoleMethods {
  return {
    listRoles: {
      access: { checks: ({ parent }) => (parent === '' ? [] : [parentCheck('iam.roles.list', parent)]) },
      handle: (request, call) => list(deps, request, call),
    },
    getRole: {
      access: { checks: ({ name }) => roleChecks('iam.roles.get', name) },
      async handle({ name }, call) {
        const { parent, id } = parseRoleName(name);
        if (parent !== undefined) return toRole(await getRoleRow(deps.store.read, { parent, id }, call.now()), RoleView.FULL);
        return getPredefined(deps, name, call);
      },
    },
    createRole: {
      access: { checks: ({ parent }) => [parentCheck('iam.roles.create', parent)] },
      handle: async (request, call) => toRole(await createRole(deps, request, call), RoleView.FULL),
    },
    updateRole: {
      access: { checks: ({ name }) => roleChecks('iam.roles.update', name) },
      handle: async (request, call) => toRole(await changeRole(deps, request, call), RoleView.FULL),
    },
    deleteRole: {
      access: { checks: ({ name }) => roleChecks('iam.roles.delete', name) },
      handle: async (request, call) => toRole(await removeRole(deps, request, call), RoleView.FULL),
    },
    undeleteRole: {
      access: { checks: ({ name }) => roleChecks('iam.roles.undelete', name) },
      handle: async (request, call) => toRole(await restoreRole(deps, request, call), RoleView.FULL),
    },
  };
}

/** In Google's words, which differ by method. Source: https://github.com/hashicorp/terraform-provider-google/issues/11680, https://github.com/kubernetes/k8s.io/issues/6673 */
export function roleDenied({ permission, asked }: { readonly permission: string; readonly asked: string }): string | undefined {
  const verb = /^iam\.roles\.(create|get|list|update|delete|undelete)$/.exec(permission)?.[1];
  if (verb === undefined) return undefined;
  if (verb === 'create') return `You don't have permission to create a role in ${asked}.`;
  return verb === 'list' ? `You don't have permission to list roles in ${asked}.` : `You don't have permission to ${verb} the role at ${asked}.`;
}

function parentCheck(permission: string, parent: string): Check {
  const { kind, id } = parseRoleParent(parent);
  return { permission, resource: `//cloudresourcemanager.googleapis.com/${kind}/${id}`, asked: parent };
}

/** Predefined roles are no secret, and no method changes one. */
function roleChecks(permission: string, name: string): Check[] {
  return parseRoleName(name).parent === undefined ? [] : [{ permission, resource: `//iam.googleapis.com/${name}`, asked: name }];
}

async function getPredefined({ store, catalogue }: RoleDeps, name: string, call: Call): Promise<RoleInit> {
  const imported = await findRole(store.read, name);
  if (imported !== undefined) return { ...toRole(imported, RoleView.FULL), etag: PREDEFINED_ETAG };
  const role = catalogue.role(name);
  if (role === undefined) throw roleNotFound(name);
  if (role.partial) call.warn(`${name} holds more than is listed: the catalogue has its permissions for some services only.`);
  return fromCatalogue(role, RoleView.FULL);
}

async function list({ store, catalogue }: RoleDeps, request: ListRolesRequest, call: Call): Promise<MessageInitShape<typeof ListRolesResponseSchema>> {
  const size = pageSize(request.pageSize, DEFAULT_PAGE, MAX_PAGE);
  const parent = request.parent === '' ? '' : await storedParent(store.read, parseRoleParent(request.parent));
  const query = ['roles', parent, request.view, request.showDeleted];
  const after = String(decodePageToken(query, request.pageToken)?.[0] ?? '');
  const rows = await listRoles(store.read, {
    parent,
    after,
    ...(request.showDeleted ? { deletedSince: call.now() - UNDELETE_MICROS } : {}),
    ...(parent === '' ? {} : { limit: size + 1 }),
  });
  const roles = parent === '' ? withCatalogue(rows, catalogue, after, request.view) : rows.map((row) => toRole(row, request.view));
  const page = roles.slice(0, size);
  return { roles: page, nextPageToken: roles.length > size ? encodePageToken(query, [page.at(-1)?.name ?? '']) : '' };
}

/** Predefined roles by name; one that was imported stands for the catalogue's. */
export function withCatalogue(imported: readonly RoleRow[], catalogue: Pick<RoleCatalogue, 'roles'>, after: string, view: RoleView): RoleInit[] {
  const byName = new Map<string, RoleInit>();
  for (const role of catalogue.roles()) if (role.name > after) byName.set(role.name, fromCatalogue(role, view));
  for (const row of imported) byName.set(row.name, { ...toRole(row, view), etag: PREDEFINED_ETAG });
  return [...byName.values()].sort((a, b) => ((a.name ?? '') < (b.name ?? '') ? -1 : 1));
}

function fromCatalogue(role: Role, view: RoleView): RoleInit {
  return {
    name: role.name,
    title: role.title,
    description: role.description,
    stage: Role_RoleLaunchStage[role.stage],
    etag: PREDEFINED_ETAG,
    ...(view === RoleView.FULL ? { includedPermissions: [...role.permissions].sort() } : {}),
  };
}

export function toRole(row: RoleRow, view: RoleView): RoleInit {
  const { title, description, stage, permissions } = rowContent(row);
  return {
    name: row.name,
    title,
    description,
    // Kept by name, and checked when it was written.
    stage: Role_RoleLaunchStage[stage as keyof typeof Role_RoleLaunchStage],
    etag: new Uint8Array(Buffer.from(row.etag, 'base64')),
    deleted: row.delete_time !== null,
    ...(view === RoleView.FULL ? { includedPermissions: [...permissions] } : {}),
  };
}
