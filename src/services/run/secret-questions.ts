/** Whether a job's account may read the secrets of its template: what a deploy finds out, asked beforehand (check-job.ts). Whether a version is there, the deploy alone tells. */
import { permissionDenied } from '../../errors.ts';
import type { TaskTemplate } from '../../gen/google/cloud/run/v2/task_template_pb.js';
import type { Check } from '../service.ts';
import type { Question } from './question.ts';

const PERMISSION = 'secretmanager.versions.access';
const HOST = '//secretmanager.googleapis.com';

export interface SecretQuestion {
  readonly question: Question;
  /** The permission that lets see what the answer depends on. */
  readonly reads: Check;
}

/** @param projectId of the job */
export function secretQuestions({ serviceAccount, containers, volumes }: TaskTemplate, projectId: string): readonly SecretQuestion[] {
  const references = [
    ...containers.flatMap(({ env }) => env.flatMap(({ values }) => (values.case === 'valueSource' && values.value.secretKeyRef !== undefined ? [values.value.secretKeyRef] : []))),
    ...volumes.flatMap(({ volumeType }) => {
      if (volumeType.case !== 'secret') return [];
      const { secret, items } = volumeType.value;
      return items.length === 0 ? [{ secret, version: '' }] : items.map(({ version }) => ({ secret, version }));
    }),
  ];
  const names = new Set(references.map(({ secret, version }) => `${secret.includes('/') ? secret : `projects/${projectId}/secrets/${secret}`}/versions/${version || 'latest'}`));
  return [...names].map((name) => questionOf(name, serviceAccount));
}

/** @param name of the version */
function questionOf(name: string, account: string): SecretQuestion {
  const [secret = ''] = name.split('/versions/');
  const [, project = '', , id = ''] = secret.split('/');
  const member = `serviceAccount:${account}`;
  return {
    reads: { permission: 'secretmanager.secrets.getIamPolicy', resource: `${HOST}/${secret}` },
    question: {
      topic: 'SECRETS',
      about: `${account} reads ${name}`,
      async ask(call) {
        if (await call.isMemberAllowed(member, { permission: PERMISSION, resource: `${HOST}/${name}` })) return;
        throw permissionDenied(
          `Permission denied on secret: ${name} for ${account}. The service account used must be granted the 'Secret Manager Secret Accessor' role (roles/secretmanager.secretAccessor) at the secret, project or higher level.`,
          { permission: PERMISSION, resource: name, domain: 'secretmanager.googleapis.com' },
          {
            sentence: `Ask someone who may set the policy of secret ${id} to run:`,
            command: `actas secrets add-iam-policy-binding ${id} --project=${project} --member=${member} --role=roles/secretmanager.secretAccessor`,
          },
        );
      },
    },
  };
}
