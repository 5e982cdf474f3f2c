/** Making a project: the same for the API and for the seed. */
import { randomBytes } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { alreadyExists, failedPrecondition, invalidRequest } from '../../errors.ts';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import type { Asker, OrgPolicies } from '../../policy/org-policy.ts';
import type { Tx } from '../../store/database.ts';
import { ENABLED_FROM_THE_START, insertEnabledServices } from '../../store/enabled-services.ts';
import { findFolder } from '../../store/folders.ts';
import { findOrganization } from '../../store/organizations.ts';
import { updatePolicy } from '../../store/policies.ts';
import { claimProjectNumber, findProject, insertProject, type ProjectRow } from '../../store/projects.ts';
import { defaultServiceAccountEmail, insertServiceAccount, serviceAgentEmail } from '../../store/service-accounts.ts';
import type { Micros } from '../../timestamp.ts';
import { nodeResource, parseNode } from './names.ts';

export interface NewProject {
  readonly projectId: string;
  /** Twelve digits; absent: a free one is taken. */
  readonly number?: string;
  /** `folders/N` or `organizations/N`; null: on its own. */
  readonly parent: string | null;
  /** Empty: the id. */
  readonly displayName: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Policy member who gets roles/owner. */
  readonly owner?: string;
  /** The default service account is not made an editor; see `isEditorWithheld`. */
  readonly withoutEditor?: boolean;
}

/** Either keeps new default service accounts from becoming editors. Source: https://docs.cloud.google.com/iam/docs/troubleshoot-org-policies */
const EDITOR_CONSTRAINTS = ['iam.automaticIamGrantsForDefaultServiceAccounts', 'iam.managed.preventPrivilegedBasicRolesForDefaultServiceAccounts'];

/** Whether the organization's policies withhold the editor's role from the default service account of a project made in `parent`. */
export async function isEditorWithheld(orgPolicies: Pick<OrgPolicies, 'isEnforced'>, parent: string, asker: Asker): Promise<boolean> {
  const resource = nodeResource(parseNode(parent, ['folders', 'organizations'], 'parent'));
  for (const constraint of EDITOR_CONSTRAINTS) if (await orgPolicies.isEnforced(constraint, resource, asker)) return true;
  return false;
}

/**
 * Makes the project with what each has from the start: the default service account, as an editor where nothing withholds that, and the service agent of Cloud Run.
 * Deviation: the agents of other services, which Google adds as their APIs are enabled, are not there.
 * The API calls `checkNewProject` first; a seed may declare shorter ids (`demo`).
 * @throws ALREADY_EXISTS for an id or number that was ever taken, FAILED_PRECONDITION for an unknown parent
 */
export async function createProject(tx: Tx, project: NewProject, now: Micros): Promise<ProjectRow> {
  if ((await findProject(tx.db, project.projectId)) !== undefined) throw alreadyExists('Requested entity already exists');
  if (project.number !== undefined && (await findProject(tx.db, project.number)) !== undefined) throw alreadyExists('Requested entity already exists');
  await checkParent(tx, project.parent);
  const number = project.number ?? (await claimProjectNumber(tx.db));
  const row: ProjectRow = {
    project_id: project.projectId,
    number,
    parent: project.parent,
    display_name: project.displayName === '' ? project.projectId : project.displayName,
    labels: JSON.stringify(project.labels),
    state: 'ACTIVE',
    create_time: now,
    update_time: now,
    delete_time: null,
    etag: newProjectEtag(),
  };
  await insertProject(tx.db, row);
  await insertServiceAccount(tx.db, {
    projectId: row.project_id,
    email: defaultServiceAccountEmail(number),
    displayName: 'Default compute service account',
    description: '',
    createTime: now,
  });
  await insertEnabledServices(tx.db, row.project_id, ENABLED_FROM_THE_START, now);
  const given = initialBindings(number).filter(({ role }) => role !== EDITOR || project.withoutEditor !== true);
  const bindings = [...given, ...(project.owner === undefined ? [] : [{ role: 'roles/owner', members: [project.owner] }])].sort((a, b) => (a.role < b.role ? -1 : 1));
  await updatePolicy(tx.db, nodeResource({ kind: 'projects', id: row.project_id }), create(PolicySchema, { version: 1, bindings }), now);
  for (const topic of ['hierarchy', 'serviceAccounts', 'policies'] as const) tx.touch(topic);
  return row;
}

const EDITOR = 'roles/editor';
/** What a project's policy binds from the start, and a seed never takes away. */
export function initialBindings(projectNumber: string): { role: string; members: string[] }[] {
  return [
    { role: EDITOR, members: [`serviceAccount:${defaultServiceAccountEmail(projectNumber)}`] },
    { role: 'roles/run.serviceAgent', members: [`serviceAccount:${serviceAgentEmail(projectNumber)}`] },
  ];
}

/** As Google's are: weak, quoted, opaque. */
export function newProjectEtag(): string {
  return `W/"${randomBytes(8).toString('hex')}"`;
}

/** What the API accepts. @throws INVALID_ARGUMENT in Google's form */
export function checkNewProject(project: NewProject): NewProject {
  checkProjectId(project.projectId);
  checkProjectTexts(project);
  return project;
}

function checkProjectId(projectId: string): void {
  const issue =
    projectId.length < 6
      ? 'project_id must be at least 6 characters long'
      : projectId.length > 30
        ? 'project_id must be at most 30 characters long'
        : /^[a-z][a-z0-9-]*[a-z0-9]$/.test(projectId)
          ? undefined
          : 'project_id must begin with a letter, contain only lowercase letters, digits and hyphens, and not end with a hyphen';
  if (issue !== undefined) throw fieldIssue('project_id', issue);
}

/** @throws INVALID_ARGUMENT */
export function checkProjectTexts({ displayName, labels }: { readonly displayName: string; readonly labels: Readonly<Record<string, string>> }): void {
  if (displayName !== '' && !/^[\p{L}\p{N}'"! -]{4,30}$/u.test(displayName))
    throw fieldIssue('display_name', 'display_name must be 4 to 30 letters, digits, hyphens, quotes, spaces or exclamation points');
  if (Object.keys(labels).length > 256) throw fieldIssue('labels', 'a project has at most 256 labels');
  for (const [key, value] of Object.entries(labels)) {
    if (!/^[a-z]([-a-z0-9]*[a-z0-9])?$/.test(key) || key.length > 63)
      throw fieldIssue('labels', `label key ${JSON.stringify(key)} must match [a-z]([-a-z0-9]*[a-z0-9])? and have at most 63 characters`);
    if (!/^([a-z0-9]([-_a-z0-9]*[a-z0-9])?)?$/.test(value) || value.length > 63)
      throw fieldIssue('labels', `label value ${JSON.stringify(value)} must have at most 63 lowercase letters, digits, hyphens and underscores`);
  }
}

/** @throws FAILED_PRECONDITION for a parent that does not exist or is being deleted */
export async function checkParent(tx: Tx, parent: string | null): Promise<void> {
  if (parent === null) return;
  const { kind, id } = parseNode(parent, ['folders', 'organizations'], 'parent');
  const found = kind === 'folders' ? await findFolder(tx.db, id) : await findOrganization(tx.db, id);
  if (found === undefined) throw failedPrecondition(`Parent ${parent} does not exist.`, { type: 'parent', subject: parent, description: 'does not exist' });
  if ('state' in found && found.state !== 'ACTIVE')
    throw failedPrecondition(`Parent ${parent} is being deleted.`, { type: 'parent', subject: parent, description: `is ${found.state}` });
}

/** In the form in which Google names what is wrong with a field. */
export function fieldIssue(field: string, issue: string) {
  return invalidRequest(`field [${field}] has issue [${issue}]`, [{ field, description: issue }]);
}
