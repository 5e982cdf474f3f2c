/** Who may be granted roles: domain restricted sharing, its managed successor, and basic roles of default service accounts. */
import { createHash } from 'node:crypto';
import { failedPrecondition, orgPolicyViolation } from '../errors.ts';
import { findConstraint } from './constraint-catalogue.ts';
import { normalMember } from './member.ts';
import type { Asker, OrgPolicyEngine } from './org-policy.ts';
import type { Enforcement } from './org-policy-evaluation.ts';
import { projectOfServiceAccount } from './resource.ts';

/** A grant that a policy makes and the one before it did not. */
export interface Grant {
  readonly role: string;
  readonly member: string;
}

export interface GrantsChange {
  /** Full name of what the policy is set on. */
  readonly resource: string;
  readonly added: readonly Grant[];
}

const DOMAINS = 'iam.allowedPolicyMemberDomains';
const MEMBERS = 'iam.managed.allowedPolicyMembers';
const BASIC_ROLES_OF_DEFAULTS = 'iam.managed.preventPrivilegedBasicRolesForDefaultServiceAccounts';
const PRIVILEGED: ReadonlySet<string> = new Set(['roles/owner', 'roles/editor']);
const DEFAULT_ACCOUNT = /^serviceAccount:(?:\d+-compute@developer|[^@]+@appspot)\.gserviceaccount\.com$/i;

/** Service agents and their like: their addresses name projects of Google's. Source: https://docs.cloud.google.com/iam/docs/service-agents */
const GOOGLE_ACCOUNT =
  /^serviceAccount:(?:\d+@cloudservices\.gserviceaccount\.com|[^@\s]+@(?:gcp-sa-[a-z0-9-]+|serverless-robot-prod|container-engine-robot|compute-system|gcf-admin-robot|gs-project-accounts|cloud-redis|dataflow-service-producer-prod)\.iam\.gserviceaccount\.com)$/i;

/**
 * The id of an organization's customer in the directory, as policies of iam.allowedPolicyMemberDomains name it.
 * Deviation: Google gives such an id to every customer; here it is made from the organization's number, and always the same.
 */
export function customerId(organizationNumber: string): string {
  const digits = BigInt(`0x${createHash('sha256').update(organizationNumber).digest('hex').slice(0, 16)}`).toString(36);
  return `C0${digits.slice(-7).padStart(7, '0')}`;
}

/** @throws FAILED_PRECONDITION in Google's words */
export async function checkGrants(engine: OrgPolicyEngine, { resource, added }: GrantsChange, asker: Asker): Promise<void> {
  if (added.length === 0) return;
  const shown = resource.replace(/^\/\/[^/]+\//, '');
  const members = [...new Set(added.map(({ member }) => member))].filter((member) => !isExempt(member));
  for (const member of members) {
    if (await engine.isAnyAllowed(DOMAINS, resource, customersOf(await organizationsOf(engine, member)), asker, member)) continue;
    throw failedPrecondition(
      // Two blanks, as recorded. Source: https://github.com/GoogleCloudPlatform/genai-for-marketing/issues/153
      'One or more users named in the policy do not belong to a permitted customer,  perhaps due to an organization policy.',
      { type: `constraints/${DOMAINS}`, subject: `orgpolicy:${shown}`, description: `User ${member.slice(member.indexOf(':') + 1)} is not in permitted organization.` },
    );
  }
  await refuse(engine, MEMBERS, resource, shown, asker, async (found) => {
    for (const member of members) if (!(await isListed(engine, member, found))) return member;
    return undefined;
  });
  const privileged = added.find(({ role, member }) => PRIVILEGED.has(role) && DEFAULT_ACCOUNT.test(member));
  await refuse(engine, BASIC_ROLES_OF_DEFAULTS, resource, shown, asker, async () => privileged?.member);
}

/** @param offender who breaks the constraint as it is enforced, if anybody does */
async function refuse(
  engine: OrgPolicyEngine,
  constraint: string,
  resource: string,
  shown: string,
  asker: Asker,
  offender: (found: Enforcement) => Promise<string | undefined>,
): Promise<void> {
  const { live, dryRun } = await engine.enforcement(constraint, resource);
  if (live.enforced && (await offender(live)) !== undefined) throw orgPolicyViolation(shown, [{ constraint, description: findConstraint(constraint)?.description ?? '' }]);
  const wouldRefuse = dryRun?.enforced === true ? await offender(dryRun) : undefined;
  if (wouldRefuse !== undefined) engine.report({ constraint, resource, value: wouldRefuse, member: asker.member });
}

/** Members of the project itself, and accounts that Google runs for it; what is deleted gets nothing any more. */
function isExempt(member: string): boolean {
  if (/^(?:projectOwner|projectEditor|projectViewer|deleted):/.test(member)) return true;
  return GOOGLE_ACCOUNT.test(member);
}

/** The nodes that a member is under, nearest first, its organization last. Empty for everybody else, allUsers above all. */
async function organizationsOf(engine: OrgPolicyEngine, member: string): Promise<readonly string[]> {
  const [, kind = '', rest = ''] = /^([^:]+):(.*)$/s.exec(member) ?? [];
  if (kind === 'serviceAccount') {
    const project = projectOfServiceAccount(rest.toLowerCase());
    return project === undefined ? [] : engine.ancestors(`//cloudresourcemanager.googleapis.com/projects/${project}`);
  }
  if (kind === 'principal' || kind === 'principalSet') {
    const node = /^\/\/(?:iam|cloudresourcemanager)\.googleapis\.com\/((?:projects|folders|organizations)\/[^/]+)/.exec(rest)?.[1];
    return node === undefined ? [] : engine.ancestors(`//cloudresourcemanager.googleapis.com/${node}`);
  }
  const domain = (kind === 'domain' ? rest : rest.slice(rest.lastIndexOf('@') + 1)).toLowerCase();
  if (domain === '') return [];
  return (await engine.organizations()).filter((organization) => organization.domain.toLowerCase() === domain).map(({ number }) => `organizations/${number}`);
}

/** The names by which the legacy constraint knows them. */
function customersOf(nodes: readonly string[]): string[] {
  return nodes.flatMap((node) =>
    node.startsWith('organizations/')
      ? [customerId(node.slice('organizations/'.length)), `principalSet://iam.googleapis.com/${node}`, `principalSet://cloudresourcemanager.googleapis.com/${node}`]
      : [],
  );
}

async function isListed(engine: OrgPolicyEngine, member: string, { parameters }: Enforcement): Promise<boolean> {
  const texts = (name: string) => {
    const value = parameters[name];
    return Array.isArray(value) ? value.filter((one) => typeof one === 'string') : [];
  };
  if (texts('allowedMemberSubjects').some((subject) => normalMember(subject) === normalMember(member))) return true;
  const nodes = await organizationsOf(engine, member);
  return texts('allowedPrincipalSets').some((set) => nodes.some((node) => set.replace(/^principalSet:/, '').replace(/^\/\/[^/]+\//, '') === node));
}
