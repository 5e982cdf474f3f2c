/** Names of secrets and versions, global (`projects/P/secrets/S`) and regional (`projects/P/locations/L/secrets/S`), taken apart at the edge. */
import { type ApiError, invalidRequest, notFound } from '../../errors.ts';
import { parseName } from '../../resource-name.ts';
import type { Db } from '../../store/database.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';
import type { SecretPlace } from '../../store/secrets.ts';

export interface Parent {
  /** As asked: an id or a number. */
  readonly project: string;
  /** Empty: global. */
  readonly location: string;
}
export interface SecretName extends Parent {
  readonly secret: string;
}
export interface VersionName extends SecretName {
  /** A number, `latest`, or an alias. */
  readonly version: string;
}

const LOCATION = /^[a-z]+(?:-[a-z]+)+\d+$/;
const SECRET_ID = /^[a-zA-Z0-9_-]{1,255}$/;
const VERSION_ID = /^[a-zA-Z0-9_-]{1,63}$/;

/** @throws INVALID_ARGUMENT */
export function parseParent(name: string): Parent {
  const global = parseName(['projects'], name);
  if (global !== undefined) return { project: global.projects, location: '' };
  const regional = parseName(['projects', 'locations'], name);
  if (regional === undefined) throw badName('parent', 'Parent', name, 'projects/*', 'projects/*/locations/*');
  return { project: regional.projects, location: checkedLocation(regional.locations, 'parent') };
}

/** @throws INVALID_ARGUMENT */
export function parseSecretName(name: string, field = 'name'): SecretName {
  const { version, ...secret } = parse(name, field, 'secret');
  return version === undefined ? secret : refuse(name, field, 'secret');
}

/** @throws INVALID_ARGUMENT */
export function parseVersionName(name: string): VersionName {
  const { version, ...secret } = parse(name, 'name', 'version');
  if (version === undefined || !VERSION_ID.test(version)) return refuse(name, 'name', 'version');
  return { ...secret, version };
}

/** Path segments as in resource-name.ts. */
const NAME = /^projects\/(?<project>[^/\s\p{Cc}]{1,256})(?:\/locations\/(?<location>[^/\s\p{Cc}]{1,256}))?\/secrets\/(?<secret>[^/]+)(?:\/versions\/(?<version>[^/]+))?$/u;

function parse(name: string, field: string, what: 'secret' | 'version'): SecretName & { readonly version: string | undefined } {
  const { project = '', location = '', secret = '', version } = NAME.exec(name)?.groups ?? {};
  if (!SECRET_ID.test(secret)) return refuse(name, field, what);
  return { project, location: location === '' ? '' : checkedLocation(location, field), secret, version };
}

function refuse(name: string, field: string, what: 'secret' | 'version'): never {
  const below = what === 'secret' ? 'secrets/*' : 'secrets/*/versions/*';
  throw badName(field, what === 'secret' ? 'Secret ID' : 'Secret Version ID', name, `projects/*/${below}`, `projects/*/locations/*/${below}`);
}

/** In Google's words for global names. Source: https://github.com/external-secrets/external-secrets/pull/5678 */
function badName(field: string, what: string, name: string, format: string, regional: string): ApiError {
  return invalidRequest(`The provided ${what} [${name.slice(0, 400)}] does not match the expected format [${format}].`, [
    { field, description: `must be ${format} or ${regional}` },
  ]);
}

/** Deviation: any name of the form of a region is taken for one, and regional secrets are answered at every host of the API, not at that of their region alone. */
function checkedLocation(location: string, field: string): string {
  if (!LOCATION.test(location))
    throw invalidRequest(`${field}: ${JSON.stringify(location)} is not a location. Use a region such as us-central1.`, [{ field, description: 'must be a region' }]);
  return location;
}

/** @throws INVALID_ARGUMENT for an id that a new secret cannot have */
export function checkSecretId(id: string): void {
  if (!SECRET_ID.test(id))
    throw invalidRequest(`The provided Secret ID [${id.slice(0, 300)}] does not match the expected format [[a-zA-Z_0-9]+]`, [
      { field: 'secret_id', description: 'must have 1 to 255 letters, digits, - and _' },
    ]);
}

/** A place with its project. */
export interface StoredPlace extends SecretPlace {
  readonly projectNumber: string;
}

/** @throws NOT_FOUND for a project that there is not, or that is being deleted */
export async function requirePlace(db: Db, { project, location }: Parent): Promise<StoredPlace> {
  const row: ProjectRow | undefined = await findProject(db, project);
  if (row === undefined || row.state !== 'ACTIVE') throw notFound(`Project '${project}' not found or deleted.`);
  return { projectId: row.project_id, projectNumber: row.number, location };
}

/** As secrets are stored: with the project's id. */
export function storedSecretName({ projectId, location }: SecretPlace, secret: string): string {
  return `${prefix(projectId, location)}/secrets/${secret}`;
}

/** As answers and errors show it: with the project's number (recorded). @param name as stored */
export function shownName(name: string, projectNumber: string): string {
  const [projects = '', , ...rest] = name.split('/');
  return [projects, projectNumber, ...rest].join('/');
}

function prefix(project: string, location: string): string {
  return location === '' ? `projects/${project}` : `projects/${project}/locations/${location}`;
}
