/** What the programs in the folders here find, and what each of them must say: one story, told by each language over each transport. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TestServer } from '../harness/server.ts';

export type Transport = 'grpc' | 'rest';
export type Language = 'node' | 'python' | 'go' | 'java';

export const ROBOT = 'robot-sa@demo.iam.gserviceaccount.com';
const ACCOUNTS = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const PROJECT = '/cloudresourcemanager.googleapis.com/v3/projects/demo';

/** A job that is there for the examples of the documentation. */
export const DOCUMENTED = 'projects/demo/locations/us-central1/jobs/documented';

/** An account that the owner may make tokens of, and that may look at jobs and no more; and a job. */
export async function furnish(server: TestServer): Promise<void> {
  const [parent, jobId] = DOCUMENTED.split('/jobs/');
  await send(server, `/run.googleapis.com/v2/${parent}/jobs?jobId=${jobId}`, { template: { template: { containers: [{ image: 'example.com/image' }] } } });
  await send(server, ACCOUNTS, { accountId: 'robot-sa' });
  await send(server, `${ACCOUNTS}/${ROBOT}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members: ['user:owner@example.com'] }] } });
  await grantOnProject(server, 'roles/run.viewer', `serviceAccount:${ROBOT}`);
}

export async function grantOnProject(server: TestServer, role: string, member: string): Promise<void> {
  const { json: policy } = await server.call('POST', `${PROJECT}:getIamPolicy`, {});
  await send(server, `${PROJECT}:setIamPolicy`, { policy: { ...policy, bindings: [...(policy.bindings ?? []), { role, members: [member] }] } });
}

async function send(server: TestServer, path: string, body: object): Promise<void> {
  const answer = await server.call('POST', path, body);
  if (answer.status !== 200) throw new Error(`${path}: ${answer.text}`);
}

const FENCE: Readonly<Record<Language, string>> = { node: 'js', python: 'python', go: 'go', java: 'java' };

/** The program in docs/clients.md, which lists the jobs. */
export function example(language: Language): string {
  const page = readFileSync(join(import.meta.dirname, '..', '..', 'docs', 'clients.md'), 'utf8');
  const [, code] = new RegExp(`^\`\`\`${FENCE[language]}\\n([\\s\\S]*?)^\`\`\`$`, 'm').exec(page) ?? [];
  if (code === undefined) throw new Error(`docs/clients.md has no example in ${language}`);
  return code;
}

/** What a program prints, line by line. */
export function story(language: Language, transport: Transport): readonly string[] {
  const job = `projects/demo/locations/us-central1/jobs/${language}-${transport}`;
  const identity = `identity: https://service.example ${ROBOT}`;
  return [
    `created: ${job}`,
    'listed: true',
    'ran: 3 of 3',
    'executions: 1',
    'tasks: 0 1 2',
    'policy: roles/run.invoker user:dev@example.com',
    'project: demo',
    'constraints: 0',
    `account: ${ROBOT}`,
    // Languages with an older library, which has REST alone.
    ...(language === 'go' || language === 'python' ? [`v1: ${language}-${transport}`] : []),
    ...(language === 'python' ? ['async: true'] : []),
    `as the account: ${job}`,
    'denied: true',
    'reason: IAM_PERMISSION_DENIED run.jobs.delete',
    identity,
    // The library's own way to an ID token, and the API's.
    ...(language === 'python' || language === 'go' ? [identity] : []),
    'deleted: true',
  ];
}
