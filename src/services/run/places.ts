/** Projects and locations in names: project numbers become ids, and what does not exist is named. */
import { type ApiError, invalidArgument, notFound } from '../../errors.ts';
import { parseName } from '../../resource-name.ts';
import type { Db } from '../../store/database.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';

/** Cloud Run's regions. Source: https://cloud.google.com/run/docs/locations */
export const REGIONS: ReadonlySet<string> = new Set(
  (
    'africa-south1 asia-east1 asia-east2 asia-northeast1 asia-northeast2 asia-northeast3 asia-south1 asia-south2 asia-southeast1 asia-southeast2 asia-southeast3 ' +
    'australia-southeast1 australia-southeast2 europe-central2 europe-north1 europe-north2 europe-southwest1 europe-west1 europe-west2 europe-west3 europe-west4 europe-west6 ' +
    'europe-west8 europe-west9 europe-west10 europe-west12 me-central1 me-central2 me-west1 northamerica-northeast1 northamerica-northeast2 northamerica-south1 southamerica-east1 ' +
    'southamerica-west1 us-central1 us-east1 us-east4 us-east5 us-south1 us-west1 us-west2 us-west3 us-west4'
  ).split(' '),
);
/** In names of parents: all of them. */
export const ANY = '-';

const LOCATION = ['projects', 'locations'] as const;
const JOB = ['projects', 'locations', 'jobs'] as const;
const EXECUTION = ['projects', 'locations', 'jobs', 'executions'] as const;
const TASK = ['projects', 'locations', 'jobs', 'executions', 'tasks'] as const;
const OPERATION = ['projects', 'locations', 'operations'] as const;

/** @param field of the request, for the error's words @throws INVALID_ARGUMENT where the name has another form */
function parse<const C extends readonly string[]>(collections: C, name: string, field: string) {
  const parts = parseName(collections, name);
  if (parts === undefined) throw invalidArgument(field, `${JSON.stringify(name)} is not a name of the form ${collections.map((collection) => `${collection}/*`).join('/')}.`);
  return parts;
}
export const parseLocationName = (name: string, field: string) => parse(LOCATION, name, field);
export const parseJobName = (name: string, field: string) => parse(JOB, name, field);
export const parseExecutionName = (name: string, field: string) => parse(EXECUTION, name, field);
export const parseTaskName = (name: string, field: string) => parse(TASK, name, field);
export const parseOperationName = (name: string, field: string) => parse(OPERATION, name, field);

/** Full resource name for a check. */
export function resource(name: string): string {
  return `//run.googleapis.com/${name}`;
}

/** The id of a project that may be named by its number; an unknown number stays what it is, and nothing will be found in it. */
export async function projectId(db: Db, idOrNumber: string): Promise<string> {
  // Ids begin with a letter, so most requests need no look at the projects.
  return /^\d/.test(idOrNumber) ? ((await findProject(db, idOrNumber))?.project_id ?? idOrNumber) : idOrNumber;
}

/** The name as it is stored: with the project's id. */
export async function storedName(db: Db, name: string): Promise<string> {
  const [projects = '', project = '', ...rest] = name.split('/');
  // An id begins with a letter, and whether it exists the row that is asked for will tell.
  if (!/^\d/.test(project)) return name;
  return [projects, await projectId(db, project), ...rest].join('/');
}

/** Deviation: the real service answers only `Requested entity was not found.`; a wrong location is easier to mend when it is named. */
function noSuchLocation(location: string): ApiError {
  return notFound(`Location '${location}' does not exist. Use a region of Cloud Run, such as 'us-central1' or 'europe-west1'.`);
}

/** @throws NOT_FOUND */
export function requireLocation(location: string): void {
  if (!REGIONS.has(location)) throw noSuchLocation(location);
}

/** @throws NOT_FOUND for a location or project that there is not, or a project that is being deleted */
export async function requirePlace(db: Db, parts: { readonly projects: string; readonly locations: string }): Promise<ProjectRow> {
  requireLocation(parts.locations);
  const project = await findProject(db, parts.projects);
  if (project === undefined || project.state !== 'ACTIVE') throw notFound(`Project '${parts.projects}' not found or deleted.`);
  return project;
}

/** In the recorded words. @param name as stored, of a job, execution or task */
export function missing(name: string): ApiError {
  const [, project = '', , location = ''] = name.split('/');
  const segments = name.split('/');
  const kind = { jobs: 'JOB', executions: 'EXECUTION', tasks: 'TASK' }[segments.at(-2) ?? ''] ?? 'RESOURCE';
  if (!REGIONS.has(location)) return noSuchLocation(location);
  return notFound(`Resource '${segments.at(-1) ?? ''}' of kind '${kind}' in region '${location}' in project '${project}' does not exist.`);
}
