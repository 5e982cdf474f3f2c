/** Names of this API, taken apart at the edge: `projects/P/policies/C`, and the projects, folders and organizations that they begin with. */
import { type ApiError, invalidArgument, notFound } from '../../errors.ts';
import type { Db } from '../../store/database.ts';
import { findFolder } from '../../store/folders.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findOrganization } from '../../store/organizations.ts';
import { findProject } from '../../store/projects.ts';
import type { Check } from '../service.ts';

const PARENT = /^(?:projects\/[a-z0-9][a-z0-9.:-]{0,62}|folders\/\d{1,20}|organizations\/\d{1,20})$/;
const CONSTRAINT = /^[a-zA-Z][a-zA-Z0-9_.]{0,127}$/;

/** A project, folder or organization that exists. */
export interface Node {
  /** As policies are stored by, and as answers name it: `projects/NUMBER`, `folders/N`, `organizations/N`. */
  readonly name: string;
  /** `organizations/N`; undefined for a project that is in none. */
  readonly organization: string | undefined;
  /** Of a project. */
  readonly projectId: string | undefined;
}

/** @returns what was given @throws INVALID_ARGUMENT */
export function parseParent(parent: string, field = 'parent'): string {
  if (!PARENT.test(parent)) throw invalidArgument(field, `${JSON.stringify(parent)} is not valid. Write projects/ID, folders/NUMBER or organizations/NUMBER.`);
  return parent;
}

/** @throws INVALID_ARGUMENT */
export function parsePolicyName(name: string, field = 'name'): { readonly parent: string; readonly constraint: string } {
  const [, parent = '', constraint = ''] = /^([^/]+\/[^/]+)\/policies\/([^/]+)$/.exec(name) ?? [];
  if (!PARENT.test(parent) || !CONSTRAINT.test(constraint))
    throw invalidArgument(
      field,
      `${JSON.stringify(name)} is not valid. Write projects/ID/policies/CONSTRAINT, folders/NUMBER/policies/CONSTRAINT or organizations/NUMBER/policies/CONSTRAINT, the constraint without "constraints/".`,
    );
  return { parent, constraint };
}

/** Asked on the node itself, which may not exist. @param asked the name that the caller wrote */
export function nodeCheck(permission: string, parent: string, asked: string): Check {
  return { permission, resource: `//cloudresourcemanager.googleapis.com/${parent}`, asked };
}

/** In the words of this API, for a node as for a policy. Source: recorded for policies and custom constraints. */
export function entityNotFound(): ApiError {
  return notFound('Requested entity was not found.');
}

/** @throws NOT_FOUND */
export async function getNode(db: Db, parent: string): Promise<Node> {
  const [kind, id = ''] = parent.split('/');
  if (kind === 'projects') {
    const row = await findProject(db, id);
    if (row === undefined) throw entityNotFound();
    return { name: `projects/${row.number}`, organization: top(await listAncestors(db, row.parent)), projectId: row.project_id };
  }
  if (kind === 'folders') {
    const row = await findFolder(db, id);
    if (row === undefined) throw entityNotFound();
    return { name: parent, organization: top(await listAncestors(db, row.parent)), projectId: undefined };
  }
  if ((await findOrganization(db, id)) === undefined) throw entityNotFound();
  return { name: parent, organization: parent, projectId: undefined };
}

function top(ancestors: readonly string[]): string | undefined {
  const last = ancestors.at(-1);
  return last?.startsWith('organizations/') === true ? last : undefined;
}
