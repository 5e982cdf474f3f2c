/** The older library for Node, as its users write it. Says each thing that it saw on a line of its own. */
import { google } from 'googleapis';

const auth = new google.auth.GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
google.options({ auth });
const parent = 'projects/demo/locations/us-central1';
const containers = [{ image: 'example.com/image' }];

// The region stands in the host's name, which the library's users say.
const v1 = google.run('v1').namespaces;
const regional = { rootUrl: 'https://us-central1-run.googleapis.com/' };
const body = {
  apiVersion: 'run.googleapis.com/v1',
  kind: 'Job',
  metadata: { name: 'from-v1', namespace: 'demo' },
  spec: { template: { spec: { template: { spec: { containers } } } } },
};
const { data: made } = await v1.jobs.create({ parent: 'namespaces/demo', requestBody: body }, regional);
console.log('v1:', made.kind, made.metadata.name);

const { jobs, operations } = google.run('v2').projects.locations;
console.log('v2:', (await jobs.get({ name: `${parent}/jobs/from-v1` })).data.name);
const { data: running } = await jobs.run({ name: `${parent}/jobs/from-v1`, requestBody: {} });
const { data: waited } = await operations.wait({ name: running.name, requestBody: {} });
console.log('ran:', waited.done, waited.response.succeededCount);
console.log('executions of v1:', (await v1.executions.list({ parent: 'namespaces/demo' }, regional)).data.items.length);

const iam = google.iam('v1');
const { data: account } = await iam.projects.serviceAccounts.create({ name: 'projects/demo', requestBody: { accountId: 'from-library' } });
console.log('account:', account.email);
const resource = `projects/demo/serviceAccounts/${account.email}`;
const bindings = [{ role: 'roles/iam.serviceAccountUser', members: ['user:dev@example.com'] }];
await iam.projects.serviceAccounts.setIamPolicy({ resource, requestBody: { policy: { bindings } } });
console.log('policy:', (await iam.projects.serviceAccounts.getIamPolicy({ resource })).data.bindings[0].role);
console.log('key:', (await iam.projects.serviceAccounts.keys.create({ name: resource, requestBody: {} })).data.keyAlgorithm);

for (const version of ['v1', 'v3']) {
  const { projects } = google.cloudresourcemanager(version);
  const { data: project } = await projects.get(version === 'v1' ? { projectId: 'demo' } : { name: 'projects/demo' });
  const requestBody = { permissions: ['run.jobs.run'] };
  const { data: tested } = await projects.testIamPermissions({ resource: version === 'v1' ? 'demo' : 'projects/demo', requestBody });
  console.log(`resource manager ${version}:`, project.projectId, tested.permissions[0]);
}
const missing = await jobs.get({ name: `${parent}/jobs/none` }).catch((error) => error);
console.log('missing:', missing.status, missing.message);
