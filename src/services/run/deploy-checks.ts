/**
 * What a job needs beside `run.jobs.*` before it may be created or updated, in the order in which it is checked: what its service account
 * needs (account-checks.ts), then that deployer and service agent can read the images.
 */
import { permissionDenied } from '../../errors.ts';
import type { TaskTemplate } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import { serviceAgentEmail } from '../../store/service-accounts.ts';
import type { Check } from '../service.ts';
import { deployedAccountQuestions } from './account-checks.ts';
import { type Asked, askInOrder, type ProjectFacts, type Question, type RunFacts } from './question.ts';

const ARTIFACT_REGISTRY = /^(?<location>[a-z0-9-]+)-docker\.pkg\.dev\/(?<project>[^/]+)\/(?<repository>[^/:@]+)\//;

/**
 * @param project of the job
 * @throws PERMISSION_DENIED, FAILED_PRECONDITION for an account of another project that keeps its accounts to itself
 */
export async function checkDeploy(task: TaskTemplate, project: ProjectFacts, facts: RunFacts, call: Asked): Promise<void> {
  await askInOrder(deployedAccountQuestions(task.serviceAccount, project, facts), call);
  for (const image of imagesOf(task)) await askInOrder(await imageQuestions(image, project, facts), call);
}

export function imagesOf(task: TaskTemplate): ReadonlySet<string> {
  return new Set(task.containers.map((container) => container.image));
}

/** Only of repositories whose project we know: others are somebody else's to guard. */
export async function imageQuestions(image: string, project: ProjectFacts, facts: Pick<RunFacts, 'project'>): Promise<readonly Question[]> {
  const groups = ARTIFACT_REGISTRY.exec(image)?.groups;
  if (groups === undefined) return [];
  const { location = '', project: key = '', repository = '' } = groups;
  const owner = await facts.project(key);
  if (owner === undefined) return [];
  const path = `projects/${owner.project_id}/locations/${location}/repositories/${repository}`;
  const check: Check = { permission: 'artifactregistry.repositories.downloadArtifacts', resource: `//artifactregistry.googleapis.com/${path}` };
  const isForeign = owner.project_id !== project.project_id;
  const note = isForeign ? ` Note that ${location}-docker.pkg.dev/${owner.project_id}/${repository} is not in project ${project.project_id}.` : '';
  return [
    {
      topic: 'IMAGE_ACCESS',
      about: `read ${image}`,
      ask: (call) =>
        call.authorize(
          check,
          `User must have permission to read the image, ${image}. Ensure that the provided container image URL is correct and that the above account has permission to access the image. ` +
            `If you just enabled the Cloud Run API, the permissions might take a few minutes to propagate.${note}`,
        ),
    },
    {
      topic: 'IMAGE_ACCESS_OF_AGENT',
      about: `the service agent reads ${image}`,
      async ask(call) {
        const agent = serviceAgentEmail(project.number);
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
      },
    },
  ];
}
