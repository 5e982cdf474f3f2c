/** The ways that are requests: the APIs as a client library calls them, and what gcloud sends, in its order. */
import type { TestServer } from '../harness/server.ts';
import { type Answer, type Call, caller, IMAGE, PROJECT, REGION, type Way } from './way.ts';

const V1 = `run.googleapis.com/r/${REGION}/apis/run.googleapis.com/v1/namespaces/${PROJECT}/jobs`;
const V2 = `run.googleapis.com/v2/projects/${PROJECT}/locations/${REGION}/jobs`;
const policyOf = (on: string) => `${on.includes('/serviceAccounts/') ? 'iam.googleapis.com/v1' : 'cloudresourcemanager.googleapis.com/v1'}/${on}`;

/** Reads the policy, adds a binding, and writes it with the etag that was read. */
async function grant(call: Call, on: string, member: string, role: string): Promise<Answer> {
  const isAccount = on.includes('/serviceAccounts/');
  const options = { options: { requestedPolicyVersion: 3 } };
  const read = isAccount ? await call('POST', `${policyOf(on)}:getIamPolicy?options.requestedPolicyVersion=3`) : await call('POST', `${policyOf(on)}:getIamPolicy`, options);
  const policy: { bindings?: object[] } = read.json;
  return call('POST', `${policyOf(on)}:setIamPolicy`, { policy: { ...policy, version: 3, bindings: [...(policy.bindings ?? []), { role, members: [member] }] } });
}

/** The API, Cloud Run v2. */
export function apiWay(server: TestServer): Way {
  const call = caller(server);
  return {
    name: 'API',
    createAccount: ({ project, id }) => call('POST', `iam.googleapis.com/v1/projects/${project}/serviceAccounts`, { accountId: id }),
    createRole: (project, roleId, permission) =>
      call('POST', `iam.googleapis.com/v1/projects/${project}/roles`, { roleId, role: { title: roleId, includedPermissions: [permission], stage: 'GA' } }),
    grant: (on, member, role) => grant(call, on, member, role),
    createJob: (job, serviceAccount, as) => call('POST', `${V2}?jobId=${job}`, { template: { template: { containers: [{ image: IMAGE }], serviceAccount } } }, as),
    async updateJob(job, serviceAccount, as) {
      const { json } = await call('GET', `${V2}/${job}`, undefined, as);
      const { template }: { template?: { template?: object } } = json;
      return call('PATCH', `${V2}/${job}?updateMask=template`, { template: { ...template, template: { ...template?.template, serviceAccount } } }, as);
    },
    replaceJob: (job, account, as) => putJob(call, job, account, as),
    execute: (job, as) => call('POST', `${V2}/${job}:run`, {}, as),
    listJobs: (as) => call('GET', V2, undefined, as),
    async accountOf(job) {
      const { ok, json } = await call('GET', `${V2}/${job}`);
      const read: { template?: { template?: { serviceAccount?: string } } } = json;
      return { ok, text: read.template?.template?.serviceAccount ?? '' };
    },
    async isEnforced(project, constraint) {
      const { ok, json } = await call('GET', `orgpolicy.googleapis.com/v2/projects/${project}/policies/${constraint}:getEffectivePolicy`);
      const read: { spec?: { rules?: { enforce?: boolean }[] } } = json;
      return { ok, text: String(read.spec?.rules?.[0]?.enforce === true) };
    },
    disableEnforce: (project, constraint) =>
      call('POST', `orgpolicy.googleapis.com/v2/projects/${project}/policies`, {
        name: `projects/${project}/policies/${constraint}`,
        spec: { rules: [{ enforce: false }] },
      }),
  };
}

interface V1Job {
  metadata?: { generation?: number };
  spec?: { template?: { spec?: { template?: { spec?: { serviceAccountName?: string } } } } };
  status?: { observedGeneration?: number; conditions?: { type?: string; status?: string }[] };
}

/** Reads a job and puts it back with another account, all other fields as they were read. */
async function putJob(call: Call, job: string, account: string, as: string): Promise<Answer> {
  const read = await call('GET', `${V1}/${job}`, undefined, as);
  if (!read.ok) return read;
  const changed: V1Job = structuredClone(read.json);
  const task = changed.spec?.template?.spec?.template?.spec;
  if (task === undefined) return { ok: false, text: `the job has no task: ${read.text}` };
  task.serviceAccountName = account;
  return call('PUT', `${V1}/${job}`, changed, as);
}

/** What gcloud sends, in its order, as recorded of gcloud 578; Cloud Run v1. */
export function recordedGcloudWay(server: TestServer): Way {
  const call = caller(server);
  const notes = { 'run.googleapis.com/client-name': 'gcloud', 'run.googleapis.com/client-version': '578.0.0' };
  /** gcloud polls the job until it is ready, and says how that ended. */
  const ready = async (job: string, sent: Answer, as: string): Promise<Answer> => {
    if (!sent.ok) return sent;
    for (;;) {
      const read = await call('GET', `${V1}/${job}?alt=json`, undefined, as);
      const { metadata, status }: V1Job = read.json;
      const condition = status?.conditions?.find(({ type }) => type === 'Ready');
      if (!read.ok || (status?.observedGeneration === metadata?.generation && condition?.status !== 'Unknown' && condition !== undefined))
        return { ok: condition?.status === 'True', text: read.text };
    }
  };
  return {
    ...apiWay(server),
    name: 'gcloud',
    async createJob(job, serviceAccountName, as) {
      const task = { containers: [{ image: IMAGE, name: '' }], nodeSelector: {}, serviceAccountName };
      const body = {
        apiVersion: 'run.googleapis.com/v1',
        kind: 'Job',
        metadata: { annotations: notes, labels: {}, name: job, namespace: PROJECT },
        spec: { template: { metadata: { annotations: notes, labels: { 'client.knative.dev/nonce': 'lad_liv_qug' } }, spec: { template: { spec: task } } } },
        status: { latestCreatedExecution: {} },
      };
      return ready(job, await call('POST', `${V1}?alt=json`, body, as), as);
    },
    updateJob: async (job, account, as) => ready(job, await putJob(call, job, account, as), as),
    replaceJob: async (job, account, as) => ready(job, await putJob(call, job, account, as), as),
    execute: (job, as) => call('POST', `${V1}/${job}:run?alt=json`, {}, as),
    listJobs: (as) => call('GET', `${V1}?alt=json`, undefined, as),
    async accountOf(job) {
      const { ok, json } = await call('GET', `${V1}/${job}?alt=json`);
      const read: V1Job = json;
      return { ok, text: read.spec?.template?.spec?.template?.spec?.serviceAccountName ?? '' };
    },
    async isEnforced(project, constraint) {
      const { ok, json } = await call('POST', `cloudresourcemanager.googleapis.com/v1/projects/${project}:getEffectiveOrgPolicy`, { constraint: `constraints/${constraint}` });
      const read: { booleanPolicy?: { enforced?: boolean } } = json;
      return { ok, text: String(read.booleanPolicy?.enforced === true) };
    },
    disableEnforce: (project, constraint) =>
      call('POST', `cloudresourcemanager.googleapis.com/v1/projects/${project}:setOrgPolicy`, {
        policy: { constraint: `constraints/${constraint}`, booleanPolicy: { enforced: false } },
      }),
  };
}
