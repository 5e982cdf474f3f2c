/** Google's Node clients as their users write them. The argument is the transport, grpc or rest. Says each thing that it saw on a line of its own. */
import { IAMCredentialsClient } from '@google-cloud/iam-credentials';
import { OrgPolicyClient } from '@google-cloud/org-policy';
import { ProjectsClient } from '@google-cloud/resource-manager';
import { ExecutionsClient, JobsClient, TasksClient } from '@google-cloud/run';
import { google } from 'googleapis';

const transport = process.argv[2];
const options = { fallback: transport === 'rest' };
const parent = 'projects/demo/locations/us-central1';
const robot = 'robot-sa@demo.iam.gserviceaccount.com';
const jobId = `node-${transport}`;
const name = `${parent}/jobs/${jobId}`;

const jobs = new JobsClient(options);
await runAJob();
await readElsewhere();
await beSomebodyElse();
const [deleting] = await jobs.deleteJob({ name });
await deleting.promise();
console.log('deleted: true');

async function runAJob() {
  const job = { template: { taskCount: 3, template: { containers: [{ image: 'example.com/image' }] } } };
  const [creating] = await jobs.createJob({ parent, jobId, job });
  const [created] = await creating.promise();
  console.log('created:', created.name);
  const [listed] = await jobs.listJobs({ parent });
  console.log(
    'listed:',
    listed.some((each) => each.name === name),
  );
  const [running] = await jobs.runJob({ name });
  const [execution] = await running.promise();
  const [got] = await jobs.getJob({ name });
  console.log('ran:', execution.succeededCount, 'of', got.template.taskCount);
  const [executions] = await new ExecutionsClient(options).listExecutions({ parent: name });
  console.log('executions:', executions.length);
  const [tasks] = await new TasksClient(options).listTasks({ parent: execution.name });
  console.log('tasks:', ...tasks.map((task) => task.index ?? 0).sort((a, b) => a - b));
  await jobs.setIamPolicy({ resource: name, policy: { bindings: [{ role: 'roles/run.invoker', members: ['user:dev@example.com'] }] } });
  const [{ bindings }] = await jobs.getIamPolicy({ resource: name });
  console.log('policy:', bindings[0].role, ...bindings[0].members);
}

async function readElsewhere() {
  const [project] = await new ProjectsClient(options).getProject({ name: 'projects/demo' });
  console.log('project:', project.projectId);
  const [constraints] = await new OrgPolicyClient(options).listPolicies({ parent: 'projects/demo' });
  console.log('constraints:', constraints.length);
  // Google publishes no client of its own for accounts in Node.
  const auth = new google.auth.GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
  const { data: account } = await google.iam({ version: 'v1', auth }).projects.serviceAccounts.get({ name: `projects/-/serviceAccounts/${robot}` });
  console.log('account:', account.email);
}

async function beSomebodyElse() {
  const credentials = new IAMCredentialsClient(options);
  const account = `projects/-/serviceAccounts/${robot}`;
  const [{ accessToken }] = await credentials.generateAccessToken({ name: account, scope: ['https://www.googleapis.com/auth/cloud-platform'] });
  const authClient = new google.auth.OAuth2();
  authClient.setCredentials({ access_token: accessToken });
  const theirs = new JobsClient({ ...options, authClient });
  const [seen] = await theirs.getJob({ name });
  console.log('as the account:', seen.name);
  const denied = await theirs.deleteJob({ name }).catch((error) => error);
  console.log('denied:', denied.message.includes("Permission 'run.jobs.delete' denied"));
  // Over REST the message is the whole answer, and the library takes nothing out of it.
  const { reason, metadata } = transport === 'rest' ? JSON.parse(denied.message).error.details[0] : { reason: denied.reason, metadata: denied.errorInfoMetadata };
  console.log('reason:', reason, metadata.permission);
  const [{ token }] = await credentials.generateIdToken({ name: account, audience: 'https://service.example', includeEmail: true });
  const claims = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString());
  console.log('identity:', claims.aud, claims.email);
}
