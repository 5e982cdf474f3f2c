/**
 * Service accounts. One address may have had several accounts, of which at most one is not deleted; the unique id tells them
 * apart for good. Full resource names: by e-mail while the account lives, by unique id once it is deleted, so that the two never
 * share a policy.
 */
import { randomBytes } from 'node:crypto';
import type { Selectable } from 'kysely';
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';
import { movePolicy, renameMember } from './policies.ts';
import { findProject } from './projects.ts';
import type { ServiceAccountsTable } from './schema.ts';
import { prepare } from './sqlite.ts';

export type ServiceAccountRow = Selectable<ServiceAccountsTable>;

const AGENT = /^service-(\d+)@serverless-robot-prod\.iam\.gserviceaccount\.com$/;
const OF_PROJECT = /^[^@]+@([a-z][a-z0-9-]*)\.iam\.gserviceaccount\.com$/;
const COMPUTE_DEFAULT = /^(\d+)-compute@developer\.gserviceaccount\.com$/;

export function defaultServiceAccountEmail(projectNumber: string): string {
  return `${projectNumber}-compute@developer.gserviceaccount.com`;
}

/** The agent acts for Cloud Run in the project. It is a principal without an account in the project's list, and nobody deletes it. */
export function serviceAgentEmail(projectNumber: string): string {
  return `service-${projectNumber}@serverless-robot-prod.iam.gserviceaccount.com`;
}

/** Full resource name under which the account's own policy stands. */
export function serviceAccountResource(row: Pick<ServiceAccountRow, 'project_id' | 'email' | 'unique_id' | 'delete_time'>): string {
  return `//iam.googleapis.com/projects/${row.project_id}/serviceAccounts/${row.delete_time === null ? row.email : row.unique_id}`;
}

/** The account that is not deleted. @param key e-mail or unique id */
export async function findServiceAccount(db: Db, key: string): Promise<ServiceAccountRow | undefined> {
  return (await (key.includes('@') ? selectByEmail : selectByUniqueId)(db, { key: key.toLowerCase() }))[0];
}
const selectByEmail = prepare<ServiceAccountRow, 'key'>(['key'], (db, { key }) =>
  db.selectFrom('service_accounts').selectAll().where('email', '=', key).where('delete_time', 'is', null),
);
const selectByUniqueId = prepare<ServiceAccountRow, 'key'>(['key'], (db, { key }) =>
  db.selectFrom('service_accounts').selectAll().where('unique_id', '=', key).where('delete_time', 'is', null),
);

/** The account of this address or unique id that was deleted last. */
export async function findDeletedServiceAccount(db: Db, key: string): Promise<ServiceAccountRow | undefined> {
  const column = key.includes('@') ? 'email' : 'unique_id';
  return db
    .selectFrom('service_accounts')
    .selectAll()
    .where(column, '=', key.toLowerCase())
    .where('delete_time', 'is not', null)
    .orderBy('delete_time', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/**
 * For Lookup: the full resource name of a known account; of a deleted one by its unique id alone.
 * @param project id, number or `-`; an account of another project is not found
 */
export async function findServiceAccountName(db: Db, project: string, key: string): Promise<string | undefined> {
  const row = (await findServiceAccount(db, key)) ?? (key.includes('@') ? undefined : await findDeletedServiceAccount(db, key));
  if (row === undefined) return undefined;
  if (project !== '-' && row.project_id !== (await findProject(db, project))?.project_id) return undefined;
  return serviceAccountResource(row);
}

/** Those not deleted, in the order of their addresses, from the one after `after`. */
export async function listServiceAccounts(db: Db, page: { readonly projectId: string; readonly after?: string; readonly limit: number }): Promise<ServiceAccountRow[]> {
  return db
    .selectFrom('service_accounts')
    .selectAll()
    .where('project_id', '=', page.projectId)
    .where('email', '>', page.after ?? '')
    .where('delete_time', 'is', null)
    .orderBy('email')
    .limit(page.limit)
    .execute();
}

/** Makes an account under a new unique id. The caller has made sure that no living one has the address. */
export async function insertServiceAccount(
  db: Db,
  account: {
    readonly projectId: string;
    readonly email: string;
    readonly displayName: string;
    readonly description: string;
    readonly disabled?: boolean;
    readonly createTime: Micros;
  },
): Promise<ServiceAccountRow> {
  const uniqueId = newUniqueId();
  const row: ServiceAccountRow = {
    unique_id: uniqueId,
    email: account.email,
    project_id: account.projectId,
    display_name: account.displayName,
    description: account.description,
    oauth2_client_id: uniqueId,
    disabled: account.disabled === true ? 1 : 0,
    etag: newEtag(),
    create_time: account.createTime,
    delete_time: null,
  };
  await db.insertInto('service_accounts').values(row).execute();
  return row;
}

export async function updateServiceAccount(db: Db, uniqueId: string, change: Partial<Pick<ServiceAccountRow, 'display_name' | 'description' | 'disabled'>>): Promise<void> {
  await db
    .updateTable('service_accounts')
    .set({ ...change, etag: newEtag() })
    .where('unique_id', '=', uniqueId)
    .execute();
}

/**
 * Deletes the account: its policy is kept aside for undelete, bindings to it are marked as deleted everywhere, and its access tokens
 * are gone for good (a later account of the same address must not be met by the tokens of this one).
 */
export async function deleteServiceAccount(db: Db, row: ServiceAccountRow, now: Micros): Promise<void> {
  const deleted = { ...row, delete_time: now };
  await db.updateTable('service_accounts').set({ delete_time: now }).where('unique_id', '=', row.unique_id).execute();
  await movePolicy(db, serviceAccountResource(row), serviceAccountResource(deleted));
  await renameMember(db, liveMember(row), deletedMember(row), now);
  await db.deleteFrom('access_tokens').where('member', '=', liveMember(row)).execute();
}

/** Takes the deletion back, with the account's policy and all grants to it. The caller has made sure that the address is free. */
export async function undeleteServiceAccount(db: Db, row: ServiceAccountRow, now: Micros): Promise<ServiceAccountRow> {
  const restored: ServiceAccountRow = { ...row, delete_time: null };
  await db.updateTable('service_accounts').set({ delete_time: null }).where('unique_id', '=', row.unique_id).execute();
  await movePolicy(db, serviceAccountResource(row), serviceAccountResource(restored));
  await renameMember(db, deletedMember(row), liveMember(row), now);
  return restored;
}

/** Whether tokens of this address are good now: the account exists and is not disabled, and its project is not being deleted. For a service agent the project alone counts. */
export async function isServiceAccountActive(db: Db, email: string): Promise<boolean> {
  const agent = AGENT.exec(email)?.[1];
  if (agent !== undefined) return (await findProject(db, agent))?.state === 'ACTIVE';
  const row = await db
    .selectFrom('service_accounts')
    .innerJoin('projects', 'projects.project_id', 'service_accounts.project_id')
    .select('projects.state')
    .where('email', '=', email.toLowerCase())
    .where('service_accounts.delete_time', 'is', null)
    .where('disabled', '=', 0)
    .executeTakeFirst();
  return row?.state === 'ACTIVE';
}

/**
 * Whether the address certainly names nothing: its project is ours, and has no such account. Addresses of projects that we do not
 * know, and of Google's other agents, may well exist elsewhere.
 */
export async function isUnknownServiceAccount(db: Db, email: string): Promise<boolean> {
  const project = AGENT.test(email) ? undefined : (OF_PROJECT.exec(email)?.[1] ?? COMPUTE_DEFAULT.exec(email)?.[1]);
  if (project === undefined || (await findProject(db, project)) === undefined) return false;
  return (await findServiceAccount(db, email)) === undefined;
}

function liveMember(row: ServiceAccountRow): string {
  return `serviceAccount:${row.email}`;
}
function deletedMember(row: ServiceAccountRow): string {
  return `deleted:serviceAccount:${row.email}?uid=${row.unique_id}`;
}

/** 21 digits that begin with 1, like Google's. */
function newUniqueId(): string {
  return `1${(BigInt(`0x${randomBytes(16).toString('hex')}`) % 10n ** 20n).toString().padStart(20, '0')}`;
}
function newEtag(): string {
  return randomBytes(8).toString('base64');
}
