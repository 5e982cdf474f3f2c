/**
 * The full resource names that tags are bound to: under which name a resource is stored, how answers show it, what binding takes on it, and what
 * it inherits from. Projects, folders, organizations, service accounts, jobs and secrets are looked up.
 * Deviation: tags may be bound to what is not kept here (a bucket, a disk): the name is taken as it is, and where it does not say whose it is, the permissions on the tag value alone decide.
 */
import { invalidRequest, notFound } from '../../errors.ts';
import type { Db } from '../../store/database.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findJob } from '../../store/jobs.ts';
import { findProject } from '../../store/projects.ts';
import { findSecret } from '../../store/secrets.ts';
import { findServiceAccount, serviceAccountResource } from '../../store/service-accounts.ts';
import { systemClock } from '../../timestamp.ts';
import type { Check } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';

const FULL_NAME = /^\/\/([a-z0-9][a-z0-9.-]*)\/((?:[^/\s]+\/)*[^/\s]+)$/;
const MAX_LENGTH = 1000;

type Verb = 'createTagBinding' | 'deleteTagBinding' | 'listTagBindings' | 'listEffectiveTags';

export interface TaggedResource {
  /** As tags and policies are stored by: the project by its id, an account by its e-mail. */
  readonly stored: string;
  /** As answers name it: a project by its number, everything else as it was asked for. */
  readonly shown: string;
  /** False where it would be kept here, and is not. */
  readonly exists: boolean;
  /** The names above it, nearest first: `projects/NUMBER`, `folders/N`, ..., `organizations/N`. Undefined where the name does not say. */
  readonly above: readonly string[] | undefined;
  /** Undefined where the name does not say whose it is. */
  check(verb: Verb): Check | undefined;
}

/** Never throws NotFound: authorisation comes before existence. @param parent full resource name @throws INVALID_ARGUMENT */
export async function resolveTagged(db: Db, parent: string, field: string): Promise<TaggedResource> {
  const [, host = '', path = ''] = (parent.length > MAX_LENGTH ? null : FULL_NAME.exec(parent)) ?? [];
  if (host === '')
    throw invalidRequest(`${field}: ${JSON.stringify(parent)} is not a full resource name. Write //SERVICE/PATH, for example //cloudresourcemanager.googleapis.com/projects/123.`, [
      { field, description: 'must be a full resource name' },
    ]);
  if (host === 'cloudresourcemanager.googleapis.com') return resolveNode(db, path, field);
  const [collection, id = '', ...rest] = path.split('/');
  const project = collection === 'projects' && id !== '_' ? await findProject(db, id) : undefined;
  const resource = project === undefined ? parent : `//${host}/${['projects', project.project_id, ...rest].join('/')}`;
  const above = project === undefined ? undefined : [`projects/${project.number}`, ...(await listAncestors(db, project.parent))];
  if (host === 'iam.googleapis.com' && rest[0] === 'serviceAccounts' && rest.length === 2) {
    const account = await findServiceAccount(db, rest[1] ?? '');
    const own = account !== undefined && account.project_id === project?.project_id ? account : undefined;
    const stored = own === undefined ? resource : serviceAccountResource(own);
    return { stored, shown: parent, above, exists: own !== undefined, check: (verb) => ({ permission: `iam.serviceAccounts.${verb}`, resource: stored, asked: path }) };
  }
  const exists = await isThere(db, host, resource.slice(`//${host}/`.length), rest);
  const kind = `${host.split('.')[0] ?? ''}.${path.split('/').at(-2) ?? ''}`;
  const isOwned = (collection === 'projects' && id !== '_') || collection === 'folders' || collection === 'organizations';
  return { stored: resource, shown: parent, above, exists, check: (verb) => (isOwned ? { permission: `${kind}.${verb}`, resource: parent } : undefined) };
}

/** Whether a resource that would be kept here is; what would not is taken as it is. */
async function isThere(db: Db, host: string, name: string, [collection, , inner, ...more]: readonly string[]): Promise<boolean> {
  if (host === 'run.googleapis.com' && collection === 'locations' && inner === 'jobs' && more.length === 1) return (await findJob(db, name)) !== undefined;
  const isSecret =
    host === 'secretmanager.googleapis.com' && (collection === 'secrets' ? inner === undefined : collection === 'locations' && inner === 'secrets' && more.length === 1);
  return !isSecret || (await findSecret(db, name, systemClock.now())) !== undefined;
}

async function resolveNode(db: Db, path: string, field: string): Promise<TaggedResource> {
  const node = parseNode(path, ['projects', 'folders', 'organizations'], field);
  const asked = nodeResource(node);
  const check = (verb: Verb): Check => ({ permission: `resourcemanager.hierarchyNodes.${verb}`, resource: asked });
  if (node.kind !== 'projects') return { stored: asked, shown: asked, above: await listAncestors(db, path), exists: true, check };
  const project = await findProject(db, node.id);
  if (project === undefined) return { stored: asked, shown: asked, above: undefined, exists: false, check };
  return {
    stored: nodeResource({ kind: 'projects', id: project.project_id }),
    shown: nodeResource({ kind: 'projects', id: project.number }),
    above: [`projects/${project.number}`, ...(await listAncestors(db, project.parent))],
    exists: true,
    check,
  };
}

/** @throws NOT_FOUND */
export function requireTagged({ exists, shown }: TaggedResource): void {
  if (!exists) throw notFound(`Resource '${shown}' was not found.`);
}
