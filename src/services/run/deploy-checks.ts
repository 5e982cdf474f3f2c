/**
 * What a job needs beside `run.jobs.*` before it may be created or updated, in the order in which it is checked: what its service account
 * needs (account-checks.ts), then that deployer and service agent can read the images.
 */
import { permissionDenied } from '../../errors.ts';
import type { TaskTemplate } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import type { Db } from '../../store/database.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';
import { serviceAgentEmail } from '../../store/service-accounts.ts';
import type { Call, Check } from '../service.ts';
import { checkDeployerAndAccount } from './account-checks.ts';
import type { RunDeps } from './run-deps.ts';

const ARTIFACT_REGISTRY = /^(?<location>[a-z0-9-]+)-docker\.pkg\.dev\/(?<project>[^/]+)\/(?<repository>[^/:@]+)\//;

/**
 * @param project of the job
 * @throws PERMISSION_DENIED, FAILED_PRECONDITION for an account of another project that keeps its accounts to itself
 */
export async function checkDeploy(task: TaskTemplate, project: ProjectRow, deps: Pick<RunDeps, 'store' | 'orgPolicies'>, call: Call): Promise<void> {
  await checkDeployerAndAccount(task.serviceAccount, project, deps, call);
  for (const image of new Set(task.containers.map((container) => container.image))) await checkImage(image, project, deps.store.read, call);
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
