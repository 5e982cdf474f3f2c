/**
 * The way out of a denial: the smallest predefined role that holds the permission, and the one command that grants it.
 * Computed from the question and the catalogue alone, so that a denial does not tell whether the resource exists.
 * What the caller chose (names, the member) is quoted: the command is meant to be pasted into somebody else's shell.
 */
import type { Remedy } from '../errors.ts';
import type { Role, RoleCatalogue } from './catalogue.ts';
import { projectOfServiceAccount } from './resource.ts';

/** Where the documentation names another role for the purpose than the one with the fewest permissions. */
const DOCUMENTED: { readonly [permission: string]: string | undefined } = {
  'iam.serviceAccounts.actAs': 'roles/iam.serviceAccountUser',
  'iam.serviceAccounts.get': 'roles/iam.serviceAccountViewer',
  'iam.serviceAccounts.list': 'roles/iam.serviceAccountViewer',
  'iam.serviceAccounts.getAccessToken': 'roles/iam.serviceAccountTokenCreator',
  'iam.serviceAccounts.implicitDelegation': 'roles/iam.serviceAccountTokenCreator',
  'iam.serviceAccounts.signBlob': 'roles/iam.serviceAccountTokenCreator',
  'iam.serviceAccounts.signJwt': 'roles/iam.serviceAccountTokenCreator',
  'run.jobs.run': 'roles/run.invoker',
  'run.routes.invoke': 'roles/run.invoker',
  'resourcemanager.projects.get': 'roles/browser',
  'resourcemanager.projects.list': 'roles/browser',
  'resourcemanager.projects.getIamPolicy': 'roles/browser',
  'resourcemanager.folders.get': 'roles/resourcemanager.folderViewer',
  'storage.buckets.get': 'roles/storage.bucketViewer',
  'artifactregistry.repositories.downloadArtifacts': 'roles/artifactregistry.reader',
  'artifactregistry.repositories.uploadArtifacts': 'roles/artifactregistry.writer',
  'artifactregistry.repositories.get': 'roles/artifactregistry.reader',
  'artifactregistry.repositories.list': 'roles/artifactregistry.reader',
};
/** Roles made for one product or one migration: their names would puzzle where they happen to be the smallest. */
const SPECIAL_PURPOSE = new Set([
  'roles/artifactregistry.containerRegistryMigrationAdmin',
  'roles/artifactregistry.createOnPushWriter',
  'roles/artifactregistry.createOnPushRepoAdmin',
  'roles/logging.privateLogViewer',
  'roles/storage.insightsCollectorService',
]);
const BASIC_ROLES = new Set(['roles/viewer', 'roles/editor', 'roles/owner']);

/** @param question `resource` is the full resource name as the caller asked for it, existing or not */
export function remedyFor(question: { member: string; permission: string; resource: string }, catalogue: RoleCatalogue): Remedy {
  const { member, permission, resource } = question;
  const role = smallestRole(permission, catalogue);
  if (role === undefined) return customRoleFor(permission, resource, catalogue);
  const target = targetOf(resource, permission);
  if (target === undefined) return { sentence: `${role} holds ${printable(permission)}, but no policy can be set on what was asked for:`, command: `# ${printable(resource)}` };
  const flags = [...target.flags, `--member=${member}`, `--role=${role}`];
  // After `--` a name that begins with a dash is a name.
  const words = target.name.startsWith('-') ? [...flags.map(quote), '--', quote(target.name)] : [target.name, ...flags].map(quote);
  return {
    sentence: `Ask someone who may set the policy of ${target.noun} ${printable(target.name)} to run:`,
    command: `actas ${target.group} add-iam-policy-binding ${words.join(' ')}`,
  };
}

/** Where no predefined role that could be granted holds the permission, a custom one can, as long as it is known that there is such a permission. */
function customRoleFor(permission: string, resource: string, catalogue: RoleCatalogue): Remedy {
  const { kind, id = '-' } = NAME.exec(resource)?.groups ?? {};
  const flag = kind === 'projects' ? 'project' : kind === 'organizations' ? 'organization' : undefined;
  if (catalogue.rolesWith(permission).length === 0 || flag === undefined || id === '-')
    return {
      sentence: `No role that is known here holds ${printable(permission)}. If Google has one, import it; a custom role may hold it too:`,
      command: `# no command is known to grant ${printable(permission)}`,
    };
  return {
    sentence: `No predefined role for people holds ${printable(permission)}. Ask someone who may create roles to make one that does, and to grant it:`,
    command: `actas iam roles create ROLE_ID ${quote(`--${flag}=${id}`)} ${quote(`--permissions=${permission}`)}`,
  };
}

/**
 * Of the roles that hold a permission: one of the same service, generally available, not a service agent's, complete in the catalogue, with the fewest permissions;
 * each wish gives way where nothing fulfils it, a basic role comes last. Ties go by name.
 */
export function smallestRole(permission: string, catalogue: RoleCatalogue): string | undefined {
  const documented = DOCUMENTED[permission];
  if (documented !== undefined && catalogue.has(documented, permission) === true) return documented;
  let best: { name: string; rank: readonly number[] } | undefined;
  for (const name of catalogue.rolesWith(permission)) {
    const role = catalogue.role(name);
    if (role === undefined || isUngrantable(role)) continue;
    const rank = rankOf(role, permission);
    if (best === undefined || isBefore(rank, best.rank)) best = { name, rank };
  }
  return best?.name;
}

/** Service agents' roles are for Google's own accounts, the legacy ones for buckets alone. */
function isUngrantable(role: Role): boolean {
  return /serviceagent$/i.test(role.name) || role.name.includes('.legacy') || role.stage === 'DEPRECATED';
}

function rankOf(role: Role, permission: string): readonly number[] {
  const service = permission.slice(0, permission.indexOf('.'));
  return [
    BASIC_ROLES.has(role.name) ? 1 : 0,
    role.stage === 'GA' ? 0 : 1,
    role.name.startsWith(`roles/${service}.`) ? 0 : 1,
    SPECIAL_PURPOSE.has(role.name) ? 1 : 0,
    role.partial ? 1 : 0,
    role.permissions.size,
  ];
}

function isBefore(a: readonly number[], b: readonly number[]): boolean {
  const at = a.findIndex((value, index) => value !== b[index]);
  return at >= 0 && (a[at] ?? 0) < (b[at] ?? 0);
}

interface Target {
  /** The command group, in gcloud's grammar. */
  readonly group: string;
  readonly noun: string;
  readonly name: string;
  readonly flags: readonly string[];
}

const NAME = /^\/\/(?<host>[^/]+)\/(?<kind>projects|folders|organizations|tagKeys|tagValues)\/(?<id>[^/]+)(?:\/(?<rest>.+))?$/s;
const ROOTS: { readonly [kind: string]: { readonly group: string; readonly noun: string } | undefined } = {
  projects: { group: 'projects', noun: 'project' },
  folders: { group: 'resource-manager folders', noun: 'folder' },
  organizations: { group: 'organizations', noun: 'organization' },
  tagKeys: { group: 'resource-manager tags keys', noun: 'tag key' },
  tagValues: { group: 'resource-manager tags values', noun: 'tag value' },
};

/** Where the grant belongs: on the account, job or secret itself where there is one to name, else on the project, folder or organization. */
function targetOf(resource: string, permission: string): Target | undefined {
  const { host, kind = '', id = '', rest = '' } = NAME.exec(resource)?.groups ?? {};
  const root = ROOTS[kind];
  if (root === undefined) return undefined;
  const [collection, first = '', inner, second = ''] = rest.split('/');
  if (host === 'iam.googleapis.com' && kind === 'projects' && collection === 'serviceAccounts' && isSingle(first)) {
    const project = id === '-' ? projectOfServiceAccount(first) : id;
    return { group: 'iam service-accounts', noun: 'service account', name: first, flags: project === undefined ? [] : [`--project=${project}`] };
  }
  const isJob = host === 'run.googleapis.com' && kind === 'projects' && collection === 'locations' && inner === 'jobs' && isSingle(first) && isSingle(second);
  // What is not there yet, or is one of many, has no policy of its own that could grant its creation or its place in the list.
  if (isJob && permission !== 'run.jobs.create' && permission !== 'run.jobs.list')
    return { group: 'run jobs', noun: 'job', name: second, flags: [`--region=${first}`, `--project=${id}`] };
  const isRegional = collection === 'locations';
  const secret = host === 'secretmanager.googleapis.com' && (isRegional ? inner : collection) === 'secrets' ? (isRegional ? second : first) : '';
  if (kind === 'projects' && isSingle(secret))
    return { group: 'secrets', noun: 'secret', name: secret, flags: [...(isRegional ? [`--location=${first}`] : []), `--project=${id}`] };
  return id === '-' ? undefined : { ...root, name: kind.startsWith('tag') ? `${kind}/${id}` : id, flags: [] };
}

function isSingle(id: string): boolean {
  return id !== '' && id !== '-';
}

/** One word of a POSIX shell; control characters in the `$'...'` form of bash and zsh, so that none reaches a terminal. */
function quote(word: string): string {
  if (/^[A-Za-z0-9_./-][A-Za-z0-9_@%+=:,./-]*$/.test(word)) return word;
  if (!UNPRINTABLE.test(word)) return `'${word.replaceAll("'", `'\\''`)}'`;
  return `$'${Array.from(word)
    .map((character) => (character === "'" || character === '\\' ? `\\${character}` : UNPRINTABLE.test(character) ? escaped(character) : character))
    .join('')}'`;
}

/** Control and format characters (direction marks among them), separators other than the space, lone surrogates. */
const UNPRINTABLE = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u;

function escaped(character: string): string {
  const code = character.codePointAt(0) ?? 0;
  return code < 0x80 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\U${code.toString(16).padStart(8, '0')}`;
}

/** For sentences and shell comments, which must stay on their line. */
function printable(text: string): string {
  return Array.from(text)
    .map((character) => (UNPRINTABLE.test(character) ? escaped(character) : character))
    .join('');
}
