// A job that says who it is, then asks the control plane for one thing that it may do and one that it may not.
// It holds no key and no configuration: google-auth-library finds the metadata server by itself, as it does on Google Cloud.
import { GoogleAuth } from 'google-auth-library';

const { CLOUD_RUN_JOB, CLOUD_RUN_TASK_INDEX, CLOUD_RUN_TASK_COUNT, ACTAS_API } = process.env;

const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
const [{ client_email: email }, project, client] = await Promise.all([auth.getCredentials(), auth.getProjectId(), auth.getClient()]);
// The region is no part of a credential, so the metadata server is asked for it: `projects/NUMBER/regions/REGION`.
const metadataHost = process.env.GCE_METADATA_HOST || 'metadata.google.internal';
const region = await fetch(`http://${metadataHost}/computeMetadata/v1/instance/region`, { headers: { 'Metadata-Flavor': 'Google' } });
const location = (await region.text()).split('/').at(-1);
console.log(`I am ${email}, in task ${CLOUD_RUN_TASK_INDEX} of ${CLOUD_RUN_TASK_COUNT}.`);

const jobs = `projects/${project}/locations/${location}/jobs`;
await call('May I read my own job?', 'GET', `run.googleapis.com/v2/${jobs}/${CLOUD_RUN_JOB}`, (job) => `It was made by ${job.creator}.`);
await call('May I delete my own job?', 'DELETE', `run.googleapis.com/v2/${jobs}/${CLOUD_RUN_JOB}?validateOnly=true`, () => 'It would be gone.');

/** Prints the question and the answer, allowed or not. What the API refuses is an answer here, not a failure. */
async function call(question, method, path, whenAllowed) {
  // On Google Cloud this would be `https://run.googleapis.com/v2/...`; here the control plane serves every API on one address.
  const answer = await client.request({ url: `${ACTAS_API}/${path}`, method, validateStatus: () => true });
  const words = answer.status === 200 ? whenAllowed(answer.data) : answer.data.error.message;
  console.log(`${question} ${answer.status === 200 ? 'Yes' : 'No'} (HTTP ${answer.status}). ${words}`);
}
