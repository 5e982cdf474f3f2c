/** The resources that have logs: projects, folders, organizations; by which names they are asked for, and what the caller may see of them. */
import { invalidArgument, notFound } from '../../errors.ts';
import type { Call, Check } from '../service.ts';
import { decodeLogId, type ProjectIds } from './filter-fields.ts';

export interface LogParent {
  readonly kind: 'projects' | 'folders' | 'organizations';
  /** As it was asked for: of a project its id or its number. */
  readonly id: string;
}
export interface LogName extends LogParent {
  /** Not encoded. */
  readonly logId: string;
}

/** Undefined where there is none. @param project id or number */
export type FindProject = (project: string) => Promise<{ readonly id: string; readonly number: string } | undefined>;

const MAX_RESOURCES = 100;
const RESOURCE = /^(projects|folders|organizations)\/([^/\s]{1,64})(?:\/locations\/[^/\s]{1,64}\/buckets\/[^/\s]{1,100}\/views\/[^/\s]{1,100})?$/;
const LOG = /^(projects|folders|organizations)\/([^/\s]{1,64})\/logs\/([^\s]{1,1600})$/;
/** Logs that show who did what: seen by who may see private entries alone. */
const PRIVATE_LOGS = ['cloudaudit.googleapis.com/data_access', 'actas.internal/calls'];

/** @throws INVALID_ARGUMENT for none, too many, or what has no logs here */
export function parentsOf(resourceNames: readonly string[]): readonly LogParent[] {
  if (resourceNames.length === 0) throw invalidArgument('resource_names', 'at least one resource name is needed, for example projects/my-project.');
  if (resourceNames.length > MAX_RESOURCES) throw invalidArgument('resource_names', `at most ${MAX_RESOURCES} resource names are taken.`);
  const parents = resourceNames.map((name): LogParent => {
    const [, kind, id] = RESOURCE.exec(name) ?? [];
    if (kind === undefined || id === undefined) throw unsupported('resource_names', name);
    // One of the three words of the expression.
    return { kind: kind as LogParent['kind'], id };
  });
  return [...new Map(parents.map((parent) => [`${parent.kind}/${parent.id}`, parent])).values()];
}

/** @throws INVALID_ARGUMENT @param field that it stands in, for the error */
export function logNameOf(name: string, field: string): LogName {
  const [, kind, id, log] = LOG.exec(name) ?? [];
  if (kind === undefined || id === undefined || log === undefined) throw unsupported(field, name);
  const logId = decodeLogId(log);
  if (!/^[A-Za-z0-9/_.-]{1,511}$/.test(logId))
    throw invalidArgument(field, `${JSON.stringify(log.slice(0, 200))} is no log id: up to 511 letters, digits and / _ - . are taken, URL-encoded.`);
  // One of the three words of the expression.
  return { kind: kind as LogParent['kind'], id, logId };
}

function unsupported(field: string, name: string): Error {
  const what = name.startsWith('billingAccounts/') ? 'names a billing account, which has no logs here' : 'is not supported';
  return invalidArgument(
    field,
    `${JSON.stringify(name.slice(0, 200))} ${what}. Write projects/PROJECT_ID, folders/NUMBER or organizations/NUMBER${field === 'resource_names' ? '' : ', followed by /logs/LOG_ID'}.`,
  );
}

export function checkOf({ kind, id }: LogParent, permission: string): Check {
  return { permission, resource: `//cloudresourcemanager.googleapis.com/${kind}/${id}` };
}

/** What is asked of the store: parents by id, what the caller may not see, and projects by number for filters. */
export interface Scope {
  readonly parents: readonly string[];
  readonly hidden: readonly string[];
  readonly projects: ProjectIds;
}

export async function scopeOf(parents: readonly LogParent[], call: Call, findProject: FindProject): Promise<Scope> {
  const projects = new Map<string, string>();
  const hidden: string[] = [];
  const names = await Promise.all(
    parents.map(async (parent) => {
      const name = await canonical(parent, findProject, projects);
      if (name === undefined) return [];
      if (!(await call.isAllowed(checkOf(parent, 'logging.privateLogEntries.list')))) hidden.push(...PRIVATE_LOGS.map((log) => `${name}/logs/${log}`));
      return [name];
    }),
  );
  return { parents: [...new Set(names.flat())], hidden, projects };
}

/** With the project's id in the place of its number. Folders and organizations that do not exist have no logs, so they need not be looked up. */
async function canonical({ kind, id }: LogParent, findProject: FindProject, found: Map<string, string> = new Map()): Promise<string | undefined> {
  if (kind !== 'projects') return `${kind}/${id}`;
  const project = await findProject(id);
  if (project === undefined) return undefined;
  found.set(project.number, project.id);
  return `projects/${project.id}`;
}

/** @throws NOT_FOUND where there is no such project */
export async function existing(parent: LogParent, findProject: FindProject): Promise<string> {
  const name = await canonical(parent, findProject);
  if (name === undefined) throw notFound(`Project does not exist: ${parent.id}`);
  return name;
}

export function isAuditLog(logId: string): boolean {
  return /^(?:cloudaudit\.googleapis\.com|actas\.internal)\//.test(logId);
}
