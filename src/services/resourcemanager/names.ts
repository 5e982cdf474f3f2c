/** Names of projects, folders, organizations, tag keys and tag values, taken apart at the edge. */
import { invalidRequest } from '../../errors.ts';

/** What carries an allow policy here. */
export type NodeKind = 'projects' | 'folders' | 'organizations' | 'tagKeys' | 'tagValues';

/** `example.com:p` is the old form of a project's id in a domain. */
const ID: Record<NodeKind, RegExp> = {
  projects: /^[a-z0-9][a-z0-9.:-]{0,62}$/,
  folders: /^\d{1,20}$/,
  organizations: /^\d{1,20}$/,
  tagKeys: /^\d{1,20}$/,
  tagValues: /^\d{1,20}$/,
};
const FORM: Record<NodeKind, string> = {
  projects: 'projects/PROJECT_ID',
  folders: 'folders/NUMBER',
  organizations: 'organizations/NUMBER',
  tagKeys: 'tagKeys/NUMBER',
  tagValues: 'tagValues/NUMBER',
};

export interface NodeName {
  readonly kind: NodeKind;
  /** A project's id or number, everything else's number. */
  readonly id: string;
}

/** @param kinds those that may stand here @param field for the error @throws INVALID_ARGUMENT */
export function parseNode(name: string, kinds: readonly NodeKind[], field = 'name'): NodeName {
  const slash = name.indexOf('/');
  const kind = kinds.find((candidate) => candidate === name.slice(0, slash));
  const id = name.slice(slash + 1);
  if (kind === undefined || !ID[kind].test(id)) {
    const forms = kinds.map((candidate) => FORM[candidate]).join(' or ');
    throw invalidRequest(`${field}: ${JSON.stringify(name)} is not a valid name here. Write ${forms}.`, [{ field, description: `must be ${forms}` }]);
  }
  return { kind, id };
}

/** Full resource name, under which the policy stands where `id` is a project's id. */
export function nodeResource({ kind, id }: NodeName): string {
  return `//cloudresourcemanager.googleapis.com/${kind}/${id}`;
}
