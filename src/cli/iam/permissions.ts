/** `iam list-testable-permissions` and `iam list-grantable-roles`: what there is for a resource. */
import type { Command } from 'commander';
import { type Api, IAM } from '../api.ts';
import { defineCommand, type ListFlags, onRun, type Shell } from '../command.ts';
import { addListFlags, column, serverLimit, showList } from '../listing.ts';
import { ROLE_COLUMNS, type Role } from './roles.ts';

interface Permission {
  readonly name?: string;
  readonly stage?: string;
}
const PERMISSION_COLUMNS = [column<Permission>('NAME', (permission) => permission.name ?? ''), column<Permission>('STAGE', (permission) => permission.stage ?? 'ALPHA')];
const RESOURCE = '//cloudresourcemanager.googleapis.com/projects/demo';

export function registerPermissionLists(iam: Command, shell: Shell): void {
  const permissions = addListFlags(
    defineCommand(iam, 'list-testable-permissions <resource>', {
      summary: 'list the permissions that can be tested on a resource, and be in custom roles there',
      examples: [`actas iam list-testable-permissions ${RESOURCE} --filter='name:run.jobs'`],
    }),
  );
  onRun<ListFlags>(permissions, shell, async (session, given) => {
    await session.project();
    const found = await queryAll<Permission>(
      await session.api(),
      'permissions:queryTestablePermissions',
      'permissions',
      { fullResourceName: fullName(given), pageSize: 1000 },
      serverLimit(session.flags),
    );
    await showList(session, found, PERMISSION_COLUMNS, 'No permissions are known for this resource.');
  });
  const roles = addListFlags(
    defineCommand(iam, 'list-grantable-roles <resource>', {
      summary: 'list the roles that mean something on a resource',
      examples: [
        `actas iam list-grantable-roles ${RESOURCE}`,
        'actas iam list-grantable-roles //iam.googleapis.com/projects/demo/serviceAccounts/hello-sa@demo.iam.gserviceaccount.com',
      ],
    }),
  );
  onRun<ListFlags>(roles, shell, async (session, given) => {
    await session.project();
    const found = await queryAll<Role>(
      await session.api(),
      'roles:queryGrantableRoles',
      'roles',
      { fullResourceName: fullName(given), pageSize: 1000 },
      serverLimit(session.flags),
    );
    await showList(session, found, ROLE_COLUMNS, 'No roles are known for this resource.');
  });
}

/** gcloud takes a resource's address too: what follows the version of the API is its name. */
function fullName(given: string): string {
  const { host, path } = /^https?:\/\/(?<host>[^/]+)\/(?:compute\/)?v\d[^/]*\/(?<path>.+)$/.exec(given)?.groups ?? {};
  if (host !== undefined) return `//${host}/${path}`;
  return /^(?:projects|folders|organizations)\/[^/]+$/.test(given) ? `//cloudresourcemanager.googleapis.com/${given}` : given;
}

/** The queries are POST, with the page token in the body. */
async function queryAll<T extends object>(api: Api, path: string, field: string, body: object, limit: number | undefined): Promise<T[]> {
  const items: T[] = [];
  let pageToken: string | undefined;
  do {
    const page: { readonly [key: string]: unknown } & { readonly nextPageToken?: string } = await api.send('POST', IAM, path, {
      ...body,
      ...(pageToken === undefined ? {} : { pageToken }),
    });
    const found = page[field];
    // The answer's shape is the API's published one.
    if (Array.isArray(found)) items.push(...(found as T[]));
    pageToken = page.nextPageToken || undefined;
  } while (pageToken !== undefined && items.length < (limit ?? Number.POSITIVE_INFINITY));
  return limit === undefined ? items : items.slice(0, limit);
}
