/**
 * What a job needs beside `run.jobs.*` before it may be created or updated, in the order in which it is checked: the deployer acts as
 * the job's service account; the account is of the job's project; the service agent can make its tokens; agent and deployer can read
 * the images. Existence is never told to who may not know: an account that is missing and one that is forbidden get the same words.
 */
import { failedPrecondition, permissionDenied } from '../../errors.ts';
import type { TaskTemplate } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { projectOfServiceAccount } from '../../policy/resource.ts';
import type { Db } from '../../store/database.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';
import { findServiceAccount, serviceAgentEmail } from '../../store/service-accounts.ts';
import type { Call, Check } from '../service.ts';

const ARTIFACT_REGISTRY = /^(?<location>[a-z0-9-]+)-docker\.pkg\.dev\/(?<project>[^/]+)\/(?<repository>[^/:@]+)\//;

/**
 * @param project of the job
 * @throws PERMISSION_DENIED, FAILED_PRECONDITION for an account of another project
 */
export async function checkDeploy(task: TaskTemplate, project: ProjectRow, db: Db, call: Call): Promise<void> {
  await checkAccount(task.serviceAccount, project, db, call);
  for (const image of new Set(task.containers.map((container) => container.image))) await checkImage(image, project, db, call);
}

async function checkAccount(email: string, project: ProjectRow, db: Db, call: Call): Promise<void> {
  const named = projectOfServiceAccount(email) ?? project.project_id;
  const home = named === project.number ? project.project_id : named;
  const resource = `//iam.googleapis.com/projects/${home}/serviceAccounts/${email}`;
  const words = `Permission 'iam.serviceaccounts.actAs' denied on service account ${email} (or it may not exist).`;
  await call.authorize({ permission: 'iam.serviceAccounts.actAs', resource }, words);
  const account = await findServiceAccount(db, email);
  if (account === undefined)
    throw permissionDenied(
      words,
      { permission: 'iam.serviceAccounts.actAs', resource: resource.slice('//iam.googleapis.com/'.length), domain: 'iam.googleapis.com' },
      {
        sentence: `Policies of project ${home} let you act as its accounts, but this one does not exist. Create it:`,
        command: `actas iam service-accounts create ${email.slice(0, email.indexOf('@'))} --project=${home}`,
      },
    );
  // Deviation: an account of another project is refused whatever its organization policy says, until organization policies are served.
  if (account.project_id !== project.project_id)
    throw failedPrecondition(
      `Constraint constraints/iam.disableCrossProjectServiceAccountUsage violated for project ${project.project_id} attempting to use a service account from a different project. ` +
        `The service account ${email} is of project ${account.project_id}. actas does not serve organization policies yet, so the constraint counts as enforced everywhere. Use a service account of project ${project.project_id}.`,
      {
        type: 'constraints/iam.disableCrossProjectServiceAccountUsage',
        subject: `projects/${account.project_id}`,
        description: `${email} cannot be used in project ${project.project_id}`,
      },
    );
  await checkAgent(email, resource, project, call);
}

async function checkAgent(email: string, resource: string, project: ProjectRow, call: Call): Promise<void> {
  const agent = serviceAgentEmail(project.number);
  const permission = 'iam.serviceAccounts.getAccessToken';
  if (await call.isMemberAllowed(`serviceAccount:${agent}`, { permission, resource })) return;
  throw permissionDenied(
    `Google Cloud Run Service Agent does not have permission to get access tokens for the service account ${email}. Please give ${agent} permission ${permission} on the service account. ` +
      'Alternatively, if the service account is unspecified or in the same project you are deploying in, ensure that the Service Agent is assigned the Google Cloud Run Service Agent role roles/run.serviceAgent.',
    { permission, resource: resource.slice('//iam.googleapis.com/'.length), domain: 'iam.googleapis.com' },
    {
      sentence: `Ask someone who may set the policy of project ${project.project_id} to run:`,
      command: `actas projects add-iam-policy-binding ${project.project_id} --member=serviceAccount:${agent} --role=roles/run.serviceAgent`,
    },
  );
}

/** Only of repositories whose project we know: others are somebody else's to guard. */
async function checkImage(image: string, project: ProjectRow, db: Db, call: Call): Promise<void> {
  const groups = ARTIFACT_REGISTRY.exec(image)?.groups;
  if (groups === undefined) return;
  const { location = '', project: key = '', repository = '' } = groups;
  const owner = await findProject(db, key);
  if (owner === undefined) return;
  const path = `projects/${owner.project_id}/locations/${location}/repositories/${repository}`;
  const check: Check = { permission: 'artifactregistry.repositories.downloadArtifacts', resource: `//artifactregistry.googleapis.com/${path}` };
  const isForeign = owner.project_id !== project.project_id;
  const note = isForeign ? ` Note that ${location}-docker.pkg.dev/${owner.project_id}/${repository} is not in project ${project.project_id}.` : '';
  const agent = serviceAgentEmail(project.number);
  await call.authorize(
    check,
    `User must have permission to read the image, ${image}. Ensure that the provided container image URL is correct and that the above account has permission to access the image. ` +
      `If you just enabled the Cloud Run API, the permissions might take a few minutes to propagate.${note}`,
  );
  if (await call.isMemberAllowed(`serviceAccount:${agent}`, check)) return;
  throw permissionDenied(
    `Google Cloud Run Service Agent must have permission to read the image, ${image}. Ensure that the provided container image URL is correct and that above account has permission to access the image. ` +
      `If you just enabled the Cloud Run API, the permissions might take a few minutes to propagate.${note}${isForeign ? ' Permission must be granted to the Google Cloud Run Service Agent from this project.' : ''}`,
    { permission: check.permission, resource: path, domain: 'artifactregistry.googleapis.com' },
    {
      sentence: `Ask someone who may set the policy of project ${owner.project_id} to run:`,
      command: `actas projects add-iam-policy-binding ${owner.project_id} --member=serviceAccount:${agent} --role=roles/artifactregistry.reader`,
    },
  );
}
