/** Names of pools and providers, and what both have in common: their ids, texts, life and rows. */
import { randomBytes } from 'node:crypto';
import { alreadyExists, failedPrecondition, invalidArgument, invalidRequest, notFound } from '../../errors.ts';
import { parseName } from '../../resource-name.ts';
import type { Db, Store, Tx } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import { findWorkloadIdentity, updateWorkloadIdentity, type WorkloadIdentityNoun, type WorkloadIdentityRow } from '../../store/workload-identity.ts';
import { MICROS_PER_SECOND, type Micros } from '../../timestamp.ts';
import type { Check } from '../service.ts';

/** Deleted ones can be brought back until then. Source: discovery document of IAM v1, `undelete`. */
export const KEPT_MICROS = 30 * 24 * 3600 * MICROS_PER_SECOND;

const LOCATION = ['projects', 'locations'] as const;
const POOL = [...LOCATION, 'workloadIdentityPools'] as const;
const PROVIDER = [...POOL, 'providers'] as const;
const FORMS = {
  location: { collections: LOCATION, form: 'projects/PROJECT/locations/global' },
  pool: { collections: POOL, form: 'projects/PROJECT/locations/global/workloadIdentityPools/POOL' },
  provider: { collections: PROVIDER, form: 'projects/PROJECT/locations/global/workloadIdentityPools/POOL/providers/PROVIDER' },
} as const;
type Kind = keyof typeof FORMS;

/** The one permission that a method needs, on the name as it was asked for. @throws INVALID_ARGUMENT for a name of another form */
export function checkOn(kind: Kind, permission: string, name: string, field = 'name'): readonly Check[] {
  projectOf(kind, name, field);
  return [{ permission: `iam.googleapis.com/${permission}`, resource: `//iam.googleapis.com/${name}` }];
}

/** @returns the name under which it is stored: with the project's number @throws INVALID_ARGUMENT, NOT_FOUND */
export async function storedName(db: Db, kind: Kind, name: string, field = 'name'): Promise<string> {
  const asked = projectOf(kind, name, field);
  if (name.split('/')[3] !== 'global')
    throw invalidRequest(`${field}: ${JSON.stringify(name)} names a location where no pools are. Write ${FORMS[kind].form}.`, [
      { field, description: 'the location must be global' },
    ]);
  const project = await findProject(db, asked);
  if (project === undefined) throw notFound('Requested entity was not found.');
  return `projects/${project.number}${name.slice('projects/'.length + asked.length)}`;
}

function projectOf(kind: Kind, name: string, field: string): string {
  const { collections, form } = FORMS[kind];
  const parts = parseName(collections, name);
  if (parts === undefined) throw invalidRequest(`${field}: ${JSON.stringify(name)} is not a valid name here. Write ${form}.`, [{ field, description: `must be ${form}` }]);
  return parts.projects;
}

/** Source: discovery document of IAM v1, `workloadIdentityPoolId`. @throws INVALID_ARGUMENT */
export function checkId(field: string, id: string): void {
  if (!/^[a-z0-9-]{4,32}$/.test(id)) throw invalidArgument(field, `must have 4 to 32 lowercase letters, digits and hyphens, but is ${JSON.stringify(id)}.`);
  if (id.startsWith('gcp-')) throw invalidArgument(field, `must not begin with gcp-, which is reserved, but is ${JSON.stringify(id)}.`);
}

/** @throws INVALID_ARGUMENT */
export function checkTexts(at: string, { displayName, description }: { readonly displayName: string; readonly description: string }): void {
  if (Array.from(displayName).length > 32) throw invalidArgument(`${at}.display_name`, `must have at most 32 characters, but has ${Array.from(displayName).length}.`);
  if (Array.from(description).length > 256) throw invalidArgument(`${at}.description`, `must have at most 256 characters, but has ${Array.from(description).length}.`);
}

/** The row, deleted or not. @throws NOT_FOUND */
export async function getRow(db: Db, noun: WorkloadIdentityNoun, name: string): Promise<WorkloadIdentityRow> {
  const row = await findWorkloadIdentity(db, noun, name);
  if (row === undefined) throw notFound('Requested entity was not found.');
  return row;
}

/** @throws NOT_FOUND, FAILED_PRECONDITION for a deleted one */
export async function getLivingRow(db: Db, noun: WorkloadIdentityNoun, name: string): Promise<WorkloadIdentityRow> {
  const row = await getRow(db, noun, name);
  if (row.delete_time !== null) throw failedPrecondition(`${name} is deleted. Undelete it first.`);
  return row;
}

/** @throws ALREADY_EXISTS also for a name whose bearer was deleted less than thirty days ago */
export async function refuseTaken(db: Db, noun: WorkloadIdentityNoun, name: string, now: Micros): Promise<void> {
  const row = await findWorkloadIdentity(db, noun, name);
  if (row === undefined || (row.delete_time !== null && row.delete_time + KEPT_MICROS < now)) return;
  throw alreadyExists(row.delete_time === null ? 'Requested entity already exists' : `Requested entity already exists. ${name} was deleted and can be brought back with undelete.`);
}

/**
 * Deletes a pool or provider, or brings it back.
 * @param changed what follows, in the same transaction
 * @throws NOT_FOUND, FAILED_PRECONDITION where it is so already
 */
export function markRow<T>(
  store: Store,
  kind: 'pool' | 'provider',
  asked: string,
  state: 'deleted' | 'active',
  changed: (tx: Tx, row: WorkloadIdentityRow) => Promise<T>,
  now: Micros,
): Promise<T> {
  const noun = kind === 'pool' ? 'workload_identity_pools' : 'workload_identity_providers';
  return store.write(async (tx) => {
    const row = await getRow(tx.db, noun, await storedName(tx.db, kind, asked));
    if ((row.delete_time !== null) === (state === 'deleted')) throw failedPrecondition(`${row.name} is ${state === 'deleted' ? 'deleted already' : 'not deleted'}.`);
    const next = { ...row, delete_time: state === 'deleted' ? now : null };
    await updateWorkloadIdentity(tx.db, noun, row.name, { delete_time: next.delete_time });
    return changed(tx, next);
  });
}

export function newEtag(): string {
  return randomBytes(8).toString('base64');
}
