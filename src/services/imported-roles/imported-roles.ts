/**
 * actas.v1.Roles: predefined roles that are brought along, so that bindings of roles which the catalogue lacks can be judged too.
 *
 * Invariants: an imported role stands for the catalogue's of the same name, whole; nobody but the holder of the owner's token imports or removes one.
 * Must not know: custom roles, which projects and organizations make for themselves.
 */
import { forbidden, invalidArgument, notFound, resourceExhausted } from '../../errors.ts';
import { type ImportedRole, Roles } from '../../gen/actas/v1/roles_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { Store } from '../../store/database.ts';
import { countRoles, findRole, insertRole, listRoles, newRoleEtag, type RoleRow, removeImportedRole, updateRole } from '../../store/roles.ts';
import { type Micros, toTimestamp } from '../../timestamp.ts';
import { type AnyService, type Call, defineService } from '../service.ts';

const MAX_ROLES_AT_ONCE = 1000;
/** Google has some two thousand. */
const MAX_ROLES = 10_000;
/** roles/owner has some fourteen thousand. */
const MAX_PERMISSIONS = 50_000;
const STAGES = new Set(['ALPHA', 'BETA', 'GA', 'DEPRECATED', 'DISABLED', 'EAP']);
const PERMISSION = /^(?:[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+\/)?[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)+$/;
const WHY = 'the handler admits only the holder of the owner token: an imported role changes what policies everywhere mean, and no policy can grant that';

export interface ImportedRoleDeps {
  readonly store: Store;
  readonly catalogue: Pick<RoleCatalogue, 'role'>;
}

export function createImportedRoleService({ store, catalogue }: ImportedRoleDeps): AnyService {
  return defineService<typeof Roles>({
    desc: Roles,
    host: 'actas.internal',
    legacyErrors: false,
    denied: (check) => `Permission '${check.permission}' denied on resource '${check.asked}' (or it may not exist).`,
    methods: {
      importRoles: {
        access: { authenticated: true, why: WHY },
        async handle({ roles }, call) {
          requireOwner(call);
          const rows = checkedRows(roles, call.now());
          const imported = await store.write(async (tx) => {
            const changed: string[] = [];
            for (const row of rows) {
              const before = await findRole(tx.db, row.name);
              if (before !== undefined && isSame(before, row)) continue;
              if (before === undefined) await insertRole(tx.db, row);
              else await updateRole(tx.db, { ...row, create_time: before.create_time });
              changed.push(row.name);
            }
            if ((await countRoles(tx.db, '')) > MAX_ROLES) throw resourceExhausted(`More than ${MAX_ROLES} roles would be imported. Remove some first.`);
            if (changed.length > 0) tx.touch('policies');
            return changed;
          });
          const replaced = imported.filter((name) => catalogue.role(name) !== undefined);
          if (replaced.length > 0) call.warn(`${replaced.length === 1 ? replaced[0] : `${replaced.length} imported roles`} now in the place of the catalogue's.`);
          return { imported, unchanged: rows.length - imported.length };
        },
      },
      listImportedRoles: {
        access: { authenticated: true, why: WHY },
        async handle(request, call) {
          requireOwner(call);
          const query = ['importedRoles'];
          const size = pageSize(request.pageSize, 300, 1000);
          const rows = await listRoles(store.read, { parent: '', after: String(decodePageToken(query, request.pageToken)?.[0] ?? ''), limit: size + 1 });
          const page = rows.slice(0, size);
          return {
            roles: page.map(({ name, title, description, stage, update_time }) => ({ name, title, description, stage, updateTime: toTimestamp(update_time) })),
            nextPageToken: rows.length > size ? encodePageToken(query, [page.at(-1)?.name ?? '']) : '',
          };
        },
      },
      deleteImportedRole: {
        access: { authenticated: true, why: WHY },
        async handle({ name }, call) {
          requireOwner(call);
          if (!isPredefined(name)) throw invalidArgument('name', `${JSON.stringify(name)} is not the name of an imported role. Write roles/ID.`);
          await store.write(async (tx) => {
            if ((await findRole(tx.db, name)) === undefined) throw notFound(`No role ${name} was imported.`);
            await removeImportedRole(tx.db, name);
            tx.touch('policies');
          });
          return {};
        },
      },
    },
  });
}

function requireOwner(call: Call): void {
  if (call.principal.administrator !== true) throw forbidden('Only the owner of this data directory can import roles. Use the token in its file owner-token.');
}

function isPredefined(name: string): boolean {
  return /^roles\/[A-Za-z0-9_.]{1,128}$/.test(name);
}

/** @throws INVALID_ARGUMENT naming the role */
function checkedRows(roles: readonly ImportedRole[], now: Micros): RoleRow[] {
  if (roles.length === 0) throw invalidArgument('roles', 'there is nothing to import.');
  if (roles.length > MAX_ROLES_AT_ONCE) throw invalidArgument('roles', `at most ${MAX_ROLES_AT_ONCE} roles in one request, but ${roles.length} were sent.`);
  const rows = new Map<string, RoleRow>();
  for (const [index, role] of roles.entries()) {
    const refuse = (field: string, text: string) => invalidArgument(`roles[${index}].${field}`, text);
    if (!isPredefined(role.name))
      throw refuse('name', `${JSON.stringify(role.name)} is not the name of a predefined role. Write roles/ID; custom roles are created in their project or organization.`);
    if (rows.has(role.name)) throw refuse('name', `${role.name} stands there twice.`);
    const stage = role.stage === '' ? 'ALPHA' : role.stage;
    if (!STAGES.has(stage)) throw refuse('stage', `${JSON.stringify(stage)} is not a launch stage. Use ${[...STAGES].join(', ')}.`);
    if (role.title.length > 1000 || role.description.length > 10_000) throw refuse('title', 'the title or the description is too long.');
    if (role.includedPermissions.length > MAX_PERMISSIONS)
      throw refuse('included_permissions', `must have at most ${MAX_PERMISSIONS} permissions, but has ${role.includedPermissions.length}.`);
    const bad = role.includedPermissions.find((permission) => permission.length > 256 || !PERMISSION.test(permission));
    if (bad !== undefined) throw refuse('included_permissions', `${JSON.stringify(bad)} of ${role.name} is not a permission.`);
    rows.set(role.name, {
      name: role.name,
      parent: '',
      title: role.title,
      description: role.description,
      stage,
      permissions: JSON.stringify([...new Set(role.includedPermissions)].sort()),
      etag: newRoleEtag(),
      create_time: now,
      update_time: now,
      delete_time: null,
    });
  }
  return [...rows.values()];
}

function isSame(a: RoleRow, b: RoleRow): boolean {
  return a.title === b.title && a.description === b.description && a.stage === b.stage && a.permissions === b.permissions;
}
