/**
 * Which permissions there are, and on what each can be used. Nobody publishes that list: what is known is what the roles of the catalogue
 * hold, complete for the services that the basic roles are listed completely for.
 */
import type { RoleCatalogue } from '../../policy/catalogue.ts';

/** `unlisted`: of a service whose permissions the catalogue does not list completely, so that it may exist all the same. */
export type Knowledge = 'known' | 'unlisted' | 'unknown';

export interface KnownPermissions {
  /** All of them, in order. */
  all(): readonly string[];
  knowledge(permission: string): Knowledge;
}

/** `run.jobs.get`, or `iam.googleapis.com/workforcePools.get`. */
const PERMISSION = /^(?:[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+\/)?[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z][A-Za-z0-9_-]*)+$/;
const MAX_LENGTH = 256;

export function createKnownPermissions(catalogue: Pick<RoleCatalogue, 'roles' | 'role'>): KnownPermissions {
  let known: { readonly set: ReadonlySet<string>; readonly sorted: readonly string[] } | undefined;
  const read = () => {
    if (known !== undefined) return known;
    const set = new Set<string>();
    for (const role of catalogue.roles()) for (const permission of role.permissions) set.add(permission);
    known = { set, sorted: [...set].sort() };
    return known;
  };
  return {
    all: () => read().sorted,
    knowledge(permission) {
      if (permission.length > MAX_LENGTH || !PERMISSION.test(permission)) return 'unknown';
      if (read().set.has(permission)) return 'known';
      // No complete list at all: nothing may be called unknown.
      return catalogue.role('roles/owner')?.certainServices?.has(serviceOf(permission)) === true ? 'unknown' : 'unlisted';
    },
  };
}

function serviceOf(permission: string): string {
  const slash = permission.indexOf('/');
  return slash >= 0 ? permission.slice(0, slash) : permission.slice(0, permission.indexOf('.'));
}

/**
 * What has no meaning on a project: it is about what stands above one, or is asked where a project is made.
 * Source: recorded for `resourcemanager.projects.list` (https://github.com/terraform-google-modules/terraform-google-iam/issues/158); the others by their documentation.
 */
const ABOVE_PROJECTS =
  /^(?:resourcemanager\.(?:organizations|folders)\.|resourcemanager\.projects\.(?:create|list)$|actas\.|billing\.accounts\.|iam\.googleapis\.com\/(?:workforce|workspace)Pool)/;
const ABOVE_FOLDERS = /^(?:resourcemanager\.organizations\.|actas\.|billing\.accounts\.|iam\.googleapis\.com\/(?:workforce|workspace)Pool)/;
/** Kinds that are reached through another: who holds these on a job holds them on its executions. */
const BELOW: { readonly [kind: string]: readonly string[] | undefined } = {
  'run.jobs': ['run.executions', 'run.tasks'],
  'run.services': ['run.revisions', 'run.routes', 'run.configurations'],
  'iam.serviceAccounts': ['iam.serviceAccountKeys', 'iam.serviceAccountApiKeyBindings'],
  'secretmanager.secrets': ['secretmanager.versions'],
};

/** A resource that permissions are asked for, as far as they differ by it. */
export interface PermissionTarget {
  readonly kind: 'organizations' | 'folders' | 'projects' | 'other';
  /** Of a project, folder or organization itself. */
  readonly node: { readonly kind: 'organizations' | 'folders' | 'projects'; readonly id: string };
  isTestable(permission: string): boolean;
}

const FULL_NAME = /^\/\/(?<host>[^/\s]{1,253})\/(?<kind>projects|folders|organizations)\/(?<id>[a-z0-9][a-z0-9.:-]{0,62})(?<rest>(?:\/[^/\s]{1,256}){0,12})$/;

/**
 * @param fullName `//cloudresourcemanager.googleapis.com/projects/p`, `//run.googleapis.com/projects/p/locations/l/jobs/j`; gcloud writes the name of its own endpoint as the host
 * @returns undefined where the name has another form
 */
export function parsePermissionTarget(fullName: string): PermissionTarget | undefined {
  const { host = '', kind, id = '', rest = '' } = FULL_NAME.exec(fullName)?.groups ?? {};
  if (kind !== 'projects' && kind !== 'folders' && kind !== 'organizations') return undefined;
  if (kind !== 'projects' && !/^\d+$/.test(id)) return undefined;
  const node = { kind, id } as const;
  const segments = rest.split('/').slice(1);
  if (segments.length % 2 !== 0) return undefined;
  if (segments.length === 0) {
    const above = kind === 'projects' ? ABOVE_PROJECTS : kind === 'folders' ? ABOVE_FOLDERS : undefined;
    return { kind, node, isTestable: (permission) => above?.test(permission) !== true };
  }
  const own = `${host.slice(0, host.indexOf('.') >>> 0)}.${segments.at(-2)}`;
  const prefixes = [own, ...(BELOW[own] ?? [])].map((prefix) => `${prefix}.`);
  return { kind: 'other', node, isTestable: (permission) => prefixes.some((prefix) => permission.startsWith(prefix)) };
}
