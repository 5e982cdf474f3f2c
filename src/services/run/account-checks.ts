/**
 * Whether a job may run as its service account: the deployer acts as it (create and update alone), its project lets it be used elsewhere, and
 * the service agent of the job's project can make its tokens. In this order, each with its own words and its own remedy. The last two are
 * asked again for every run, and by the metadata server for every token that it makes.
 *
 * Existence is never told to who may not know: an account that is missing and one that is forbidden get the same words.
 */
import { type ApiError, failedPrecondition, permissionDenied } from '../../errors.ts';
import { projectOfServiceAccount } from '../../policy/resource.ts';
import type { ProjectRow } from '../../store/projects.ts';
import { findServiceAccount, type ServiceAccountRow, serviceAccountResource, serviceAgentEmail } from '../../store/service-accounts.ts';
import type { Call } from '../service.ts';
import type { RunDeps } from './run-deps.ts';

const CROSS_PROJECT = 'iam.disableCrossProjectServiceAccountUsage';
const ACT_AS = 'iam.serviceAccounts.actAs';
const GET_ACCESS_TOKEN = 'iam.serviceAccounts.getAccessToken';

type AccountDeps = Pick<RunDeps, 'store' | 'orgPolicies'>;

/**
 * What a create or update asks about the account in its template.
 * @param project of the job
 * @throws PERMISSION_DENIED, FAILED_PRECONDITION where the account's project keeps its accounts to itself
 */
export async function checkDeployerAndAccount(email: string, project: ProjectRow, deps: AccountDeps, call: Call): Promise<void> {
  const named = projectOfServiceAccount(email) ?? project.project_id;
  const home = named === project.number ? project.project_id : named;
  const resource = `//iam.googleapis.com/projects/${home}/serviceAccounts/${email}`;
  const words = `Permission 'iam.serviceaccounts.actAs' denied on service account ${email} (or it may not exist).`;
  await call.authorize({ permission: ACT_AS, resource }, words);
  const account = await findServiceAccount(deps.store.read, email);
  if (account === undefined) throw permissionDenied(words, { permission: ACT_AS, resource: asked(resource), domain: 'iam.googleapis.com' }, creation(email, home));
  await checkUse(account, project, deps, call);
}

/**
 * What a run asks about the account of its job; the caller need not be allowed to act as it.
 * @param email as stored in the job
 * @throws PERMISSION_DENIED, FAILED_PRECONDITION
 */
export async function checkAccountOfRun(email: string, project: ProjectRow, deps: AccountDeps, call: Call): Promise<void> {
  const account = await findServiceAccount(deps.store.read, email);
  if (account !== undefined) return checkUse(account, project, deps, call);
  // Nobody can make tokens of an account that is gone. Whose business its existence is hears that, others what they would hear anyhow.
  const home = projectOfServiceAccount(email) ?? project.project_id;
  const resource = `//iam.googleapis.com/projects/${home}/serviceAccounts/${email}`;
  const mayKnow = await call.isAllowed({ permission: 'iam.serviceAccounts.get', resource });
  throw agentDenied(email, resource, project, mayKnow ? creation(email, home) : undefined);
}

async function checkUse(account: ServiceAccountRow, project: ProjectRow, { orgPolicies }: AccountDeps, call: Call): Promise<void> {
  const { email } = account;
  const home = `//cloudresourcemanager.googleapis.com/projects/${account.project_id}`;
  if (account.project_id !== project.project_id && (await orgPolicies.isEnforced(CROSS_PROJECT, home, call.principal)))
    // The words are those of Compute Engine; what Cloud Run itself says is not on record.
    throw failedPrecondition(
      `Constraint constraints/${CROSS_PROJECT} violated for project ${project.project_id} attempting to use a service account from a different project.`,
      { type: `constraints/${CROSS_PROJECT}`, subject: `projects/${account.project_id}`, description: `${email} cannot be used in project ${project.project_id}` },
      {
        sentence: `Ask someone who may set the organization policies of project ${account.project_id} to run:`,
        command: `actas resource-manager org-policies disable-enforce ${CROSS_PROJECT} --project=${account.project_id}`,
      },
    );
  const resource = serviceAccountResource(account);
  if (!(await call.isMemberAllowed(`serviceAccount:${serviceAgentEmail(project.number)}`, { permission: GET_ACCESS_TOKEN, resource }))) throw agentDenied(email, resource, project);
  // Deviation: whether Cloud Run refuses to attach a disabled account is not documented. Here it may be attached and run, with a warning: its tokens are refused, as documented.
  if (account.disabled === 1) call.warn(`Service account ${email} is disabled: tasks that run as it get no tokens until it is enabled.`);
}

/** @param remedy without it: the grant that the agent lacks, on the account where it is another project's, else the agent's own role */
function agentDenied(email: string, resource: string, project: ProjectRow, remedy?: { sentence: string; command: string }): ApiError {
  const agent = serviceAgentEmail(project.number);
  const home = resource.split('/')[4] ?? '';
  const isForeign = home !== project.project_id && home !== project.number;
  return permissionDenied(
    `Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${email}. Please give ${agent} permission ${GET_ACCESS_TOKEN} on the service account. ` +
      'Alternatively, if the service account is unspecified or in the same project you are deploying in, ensure that the Service Agent is assigned the Google Cloud Run Service Agent role roles/run.serviceAgent.',
    { permission: GET_ACCESS_TOKEN, resource: asked(resource), domain: 'iam.googleapis.com' },
    remedy ??
      (isForeign
        ? {
            sentence: `Ask someone who may set the policy of service account ${email} to run:`,
            command: `actas iam service-accounts add-iam-policy-binding ${email} --project=${home} --member=serviceAccount:${agent} --role=roles/iam.serviceAccountTokenCreator`,
          }
        : {
            sentence: `Ask someone who may set the policy of project ${project.project_id} to run:`,
            command: `actas projects add-iam-policy-binding ${project.project_id} --member=serviceAccount:${agent} --role=roles/run.serviceAgent`,
          }),
  );
}

function creation(email: string, home: string) {
  return {
    sentence: `Policies of project ${home} let you know of its accounts, and this one does not exist. Create it:`,
    command: `actas iam service-accounts create ${email.slice(0, email.indexOf('@'))} --project=${home}`,
  };
}

function asked(resource: string): string {
  return resource.slice('//iam.googleapis.com/'.length);
}
