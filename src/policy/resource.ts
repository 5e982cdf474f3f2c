/**
 * Full resource names, as policies are stored by them and decisions are asked about them:
 * `//run.googleapis.com/projects/p/locations/l/jobs/j`. Knows which kinds carry an allow policy of their own; every other kind
 * (an execution, a location, an operation) has just what it inherits. Knows no names that exist, and reads nothing.
 */

/** Host of Resource Manager, whose projects, folders and organizations are at the top of every chain. */
const RESOURCE_MANAGER = 'cloudresourcemanager.googleapis.com';

/**
 * By host, the kinds that carry a policy, as the collections of their names below the project.
 * Source: the `google.iam.v1` methods of each API's proto or discovery document.
 * A bucket's name (`projects/_/buckets/b`) does not say whose it is: such a name denies until a service can tell.
 */
const POLICY_KINDS: { readonly [host: string]: readonly string[] | undefined } = {
  'run.googleapis.com': ['locations/jobs', 'locations/services', 'locations/workerPools'],
  'iam.googleapis.com': ['serviceAccounts'],
  'artifactregistry.googleapis.com': ['locations/repositories'],
  'secretmanager.googleapis.com': ['secrets', 'locations/secrets'],
  'pubsub.googleapis.com': ['topics', 'subscriptions', 'snapshots', 'schemas'],
  'logging.googleapis.com': ['locations/buckets/views'],
  'cloudtasks.googleapis.com': ['locations/queues'],
};

/** A tag value is below its key, and a key below its organization or project, but neither's name says so. */
export type RootKind = 'projects' | 'folders' | 'organizations' | 'tagKeys' | 'tagValues';
const ROOT_KINDS: ReadonlySet<string> = new Set<RootKind>(['projects', 'folders', 'organizations', 'tagKeys', 'tagValues']);

/** Longer than any resource's name; what is asked about is kept, and must not be as long as its asker likes. */
export const MAX_NAME = 2048;

/** The top of a name: where the walk through folders to the organization begins. */
export interface Root {
  readonly kind: RootKind;
  /** As written: a project's id or number, a folder's, organization's, tag key's or tag value's number. */
  readonly id: string;
}

/** A full resource name, taken apart. */
export interface ResourceName {
  readonly root: Root;
  /**
   * What carries a policy from the resource up to below its root, nearest first. The project is left out of each
   * (`//run.googleapis.com/projects/{}/locations/l/jobs/j` is `['run.googleapis.com', 'locations/l/jobs/j']`), for it may be a number here and is an id where policies are stored.
   */
  readonly carriers: readonly { readonly host: string; readonly path: string }[];
}

const SERVICE_ACCOUNT_PROJECT =
  /^(?:[^@/]+@(?<domain>[a-z0-9.-]+)\.iam\.gserviceaccount\.com|(?<number>[0-9]+)-compute@developer\.gserviceaccount\.com|(?<app>[^@/]+)@appspot\.gserviceaccount\.com)$/;

/**
 * The project that an account's e-mail names: `x@p.iam.gserviceaccount.com`, `x@p.example.com.iam.gserviceaccount.com` (project `example.com:p`),
 * `N-compute@developer.gserviceaccount.com` (its number), `p@appspot.gserviceaccount.com`. A service agent's e-mail names a project of Google's.
 * Undefined for every other form, a unique id among them.
 */
export function projectOfServiceAccount(email: string): string | undefined {
  const groups = SERVICE_ACCOUNT_PROJECT.exec(email)?.groups;
  const domain = groups?.['domain'];
  const dot = domain?.indexOf('.') ?? -1;
  if (domain !== undefined && dot >= 0) return `${domain.slice(dot + 1)}:${domain.slice(0, dot)}`;
  return domain ?? groups?.['number'] ?? groups?.['app'];
}

/** @param fullName `//HOST/projects|folders|organizations/ID[/COLLECTION/ID]...`, or a tag key or value of Resource Manager @returns undefined for anything else, which no policy can then allow */
export function parseResource(fullName: string): ResourceName | undefined {
  if (!fullName.startsWith('//') || fullName.length > MAX_NAME) return undefined;
  const [host = '', kind, rawId = '', ...rest] = fullName.slice(2).split('/');
  if (host === '' || !isRootKind(kind)) return undefined;
  if (rawId === '' || rest.length % 2 !== 0 || rest.includes('')) return undefined;
  const isBare = rest.length === 0;
  if (host === RESOURCE_MANAGER ? !isBare : kind === 'tagKeys' || kind === 'tagValues') return undefined;
  // Whatever project the name claims: an account belongs to the one that its e-mail names, and only that one's policies speak for it.
  const id = host === 'iam.googleapis.com' && rest[0] === 'serviceAccounts' ? (projectOfServiceAccount(rest[1] ?? '') ?? rawId) : rawId;
  return { root: { kind, id }, carriers: kind === 'projects' ? carriersOf(host, rest) : [] };
}

function isRootKind(kind: string | undefined): kind is RootKind {
  return kind !== undefined && ROOT_KINDS.has(kind);
}

/** @param segments collection, id, collection, id, ... below the project */
function carriersOf(host: string, segments: readonly string[]): ResourceName['carriers'] {
  const kinds = POLICY_KINDS[host];
  if (kinds === undefined) return [];
  const carriers: { host: string; path: string }[] = [];
  let type = '';
  for (let end = 2; end <= segments.length; end += 2) {
    type = type === '' ? (segments[end - 2] ?? '') : `${type}/${segments[end - 2]}`;
    if (kinds.includes(type)) carriers.unshift({ host, path: segments.slice(0, end).join('/') });
  }
  return carriers;
}

/** The name that the policy of a project, folder, organization, tag key or tag value is stored by. */
export function rootName(root: Root): string {
  return `//${RESOURCE_MANAGER}/${root.kind}/${root.id}`;
}

/** The name that a carrier's policy is stored by. */
export function carrierName(carrier: { readonly host: string; readonly path: string }, projectId: string): string {
  return `//${carrier.host}/projects/${projectId}/${carrier.path}`;
}
