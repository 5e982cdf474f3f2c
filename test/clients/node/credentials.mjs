/**
 * google-auth-library with every form of credentials that it knows and that is served here, as its users write it: no endpoint is named. The argument is a
 * directory of credentials files. Says each thing that it saw on a line of its own.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DownscopedClient, GoogleAuth, Impersonated, JWT, OAuth2Client } from 'google-auth-library';

const file = (name) => join(process.argv[2], `${name}.json`);
const ROBOT = 'robot-sa@demo.iam.gserviceaccount.com';
const AUDIENCE = 'https://service.example';
const scopes = ['https://www.googleapis.com/auth/cloud-platform', 'https://www.googleapis.com/auth/userinfo.email'];
const jobs = 'https://run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const library = new OAuth2Client();

const from = (name, rest = { scopes }) => new GoogleAuth({ keyFilename: file(name), ...rest });
async function sayWho(what, client) {
  const { token } = await client.getAccessToken();
  console.log(`${what}:`, client.constructor.name, (await library.getTokenInfo(token)).email);
}
async function sayIdentity(what, client) {
  const idToken = await client.idTokenProvider.fetchIdToken(AUDIENCE);
  const ticket = await library.verifyIdToken({ idToken, audience: AUDIENCE });
  console.log(`${what}:`, ticket.getPayload().email);
}

const user = await new GoogleAuth({ scopes }).getClient();
await sayWho('user', user);
const key = from('key');
await sayWho('key', await key.getClient());
await sayIdentity('identity by key', await key.getIdTokenClient(AUDIENCE));
console.log('signed by key:', Buffer.from(await key.sign('text'), 'base64').length);

// Without scopes the library signs tokens itself, and asks nobody.
const { client_email: email, private_key } = JSON.parse(readFileSync(file('key'), 'utf8'));
const headers = await (await from('key', {}).getClient()).getRequestHeaders('https://run.googleapis.com/');
console.log('self-signed:', (await fetch(jobs, { headers })).status);
const scoped = new JWT({ email, key: private_key, scopes });
scoped.useJWTAccessWithScope = true;
console.log('self-signed with scopes:', (await scoped.request({ url: jobs })).status);

await sayWho('impersonated', new Impersonated({ sourceClient: user, targetPrincipal: ROBOT, targetScopes: scopes }));
const impersonated = from('impersonated');
await sayWho('impersonated by file', await impersonated.getClient());
await sayIdentity('identity by impersonation', await impersonated.getIdTokenClient(AUDIENCE));
console.log('signed by impersonation:', Buffer.from(await impersonated.sign('text'), 'base64').length);

for (const source of ['file', 'url']) {
  const own = await from(`outside-${source}`).getClient();
  console.log(`outside, by ${source}:`, own.constructor.name, (await own.request({ url: jobs })).status);
  await sayWho(`outside, by ${source}, as an account`, await from(`outside-${source}-account`).getClient());
}

const bound = new DownscopedClient(user, {
  accessBoundary: { accessBoundaryRules: [{ availableResource: '//storage.googleapis.com/projects/_/buckets/b', availablePermissions: ['inRole:roles/storage.objectViewer'] }] },
});
console.log('downscoped:', (await bound.getAccessToken().catch((error) => error)).message);
const { token } = await user.getAccessToken();
await user.revokeCredentials();
console.log('revoked:', (await library.getTokenInfo(token).catch((error) => error)).status);
