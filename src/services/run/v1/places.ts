/** Namespaces and names of v1. A namespace is a project, by id or number; the region comes with the host, and some lists do without. */
import { invalidArgument, notFound } from '../../../errors.ts';
import { parseName } from '../../../resource-name.ts';
import type { Db, Store } from '../../../store/database.ts';
import { findExecution } from '../../../store/executions.ts';
import { findProject, type ProjectRow } from '../../../store/projects.ts';
import type { Check } from '../../service.ts';
import { projectId, requireLocation, resource } from '../places.ts';

const NAMESPACE = ['namespaces'] as const;

/** @returns the project as it was asked for @throws INVALID_ARGUMENT */
export function parseNamespace(name: string): string {
  const parts = parseName(NAMESPACE, name);
  if (parts === undefined) throw invalidArgument('parent', `${JSON.stringify(name)} is not a name of the form namespaces/PROJECT.`);
  return parts.namespaces;
}

/** @param collection jobs, executions or tasks @throws INVALID_ARGUMENT */
export function parseObject(collection: 'jobs' | 'executions' | 'tasks', name: string): { readonly project: string; readonly id: string } {
  const [, project, found, id, ...more] = name.split('/');
  const parts = parseName(['namespaces', collection], name);
  if (parts === undefined || project === undefined || id === undefined || found !== collection || more.length > 0)
    throw invalidArgument('name', `${JSON.stringify(name)} is not a name of the form namespaces/PROJECT/${collection}/NAME.`);
  return { project, id };
}

/** The project with its number, which answers name it by. @throws NOT_FOUND */
export async function requireProject(db: Db, key: string): Promise<ProjectRow> {
  const project = await findProject(db, key);
  if (project === undefined) throw notFound(`Project '${key}' not found or deleted.`);
  return project;
}

/** The region of the host, which every call but a list needs. @throws NOT_FOUND */
export function requireRegion(region: string): string {
  requireLocation(region);
  return region;
}

/**
 * An execution is called after its job: `JOB-SUFFIX`. A suffix that a caller chose may have hyphens itself, so every way to part the two is tried,
 * the shortest suffix first; where none is there, the first says what would be missing.
 */
export async function executionName(db: Db, project: string, region: string, id: string): Promise<string> {
  const place = `projects/${await projectId(db, project)}/locations/${region}`;
  const named = (at: number) => `${place}/jobs/${id.slice(0, at)}/executions/${id}`;
  for (let at = id.lastIndexOf('-'); at > 0; at = id.lastIndexOf('-', at - 1)) if ((await findExecution(db, named(at))) !== undefined) return named(at);
  return named(Math.max(1, id.lastIndexOf('-')));
}

/** The check on a job, execution or task in the words of v1: decided on the name that v2 has. */
export function checkOn(permission: string, v2Name: string, asked: string): Check {
  return { permission, resource: resource(v2Name), asked };
}

/** `access` of the methods on one execution, or on a task of one. */
export function executionAccess(store: Store, permission: string) {
  return {
    async checks({ name, region }: { readonly name: string; readonly region: string }): Promise<readonly Check[]> {
      const { project, id } = parseObject('executions', name);
      return [checkOn(permission, await executionName(store.read, project, region, id), name)];
    },
  };
}
