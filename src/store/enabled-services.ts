/** APIs that projects have enabled. */
import type { Micros } from '../timestamp.ts';
import type { Db } from './database.ts';

/** What is served here, and so enabled in every project from its beginning. The same list is in migrations 0004 and 0005, for the projects that were there before. */
export const ENABLED_FROM_THE_START: readonly string[] = [
  'cloudresourcemanager.googleapis.com',
  'iam.googleapis.com',
  'iamcredentials.googleapis.com',
  'logging.googleapis.com',
  'orgpolicy.googleapis.com',
  'policytroubleshooter.googleapis.com',
  'run.googleapis.com',
  'secretmanager.googleapis.com',
  'serviceusage.googleapis.com',
  'sts.googleapis.com',
];

export async function listEnabledServices(db: Db, projectId: string): Promise<ReadonlySet<string>> {
  const rows = await db.selectFrom('enabled_services').select('service').where('project_id', '=', projectId).execute();
  return new Set(rows.map(({ service }) => service));
}

/** Those that are enabled already stay as they are. */
export async function insertEnabledServices(db: Db, projectId: string, services: readonly string[], now: Micros): Promise<void> {
  if (services.length === 0) return;
  await db
    .insertInto('enabled_services')
    .values(services.map((service) => ({ project_id: projectId, service, enable_time: now })))
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

/** @returns whether it was enabled */
export async function deleteEnabledService(db: Db, projectId: string, service: string): Promise<boolean> {
  return (await db.deleteFrom('enabled_services').where('project_id', '=', projectId).where('service', '=', service).executeTakeFirst()).numDeletedRows > 0n;
}
