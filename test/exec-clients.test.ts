/** Google's clients for Node through `actas exec`, with TLS checked: what their users write, and nothing of this server's in it. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GOOGLE_DOMAINS } from '../src/identity/front-names.ts';
import { DOCUMENTED, example, furnish, grantOnProject, ROBOT, story } from './clients/fixture.ts';
import { runActas } from './harness/run-actas.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const PROGRAMS = join(import.meta.dirname, 'clients', 'node');
const IAM = '/iam.googleapis.com/v1';
const POOL = 'projects/123456789012/locations/global/workloadIdentityPools/ci-pool';
const PROVIDER = `${POOL}/providers/builds`;
let server: TestServer;
let issuer: Server;
let origin = '';
let subjectToken = '';
const home = mkdtempSync(join(tmpdir(), 'actas-clients-'));

beforeAll(async () => {
  const key = await generateKeyPair('RS256', { extractable: true });
  const keys = JSON.stringify({ keys: [{ ...(await exportJWK(key.publicKey)), kid: 'k1', alg: 'RS256', use: 'sig' }] });
  // Also the place where the tokens are had by URL, as in GitHub's and Azure's.
  issuer = createServer(({ url, headers }, response) => {
    if (url === '/keys') response.end(keys);
    else if (url === '/token' && headers['metadata'] === 'true') response.end(JSON.stringify({ value: subjectToken }));
    else if (url === '/.well-known/openid-configuration') response.end(JSON.stringify({ issuer: origin, jwks_uri: `${origin}/keys` }));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => issuer.listen(0, '127.0.0.1', resolve));
  // A server that listens on TCP has an address of this form.
  origin = `http://127.0.0.1:${(issuer.address() as AddressInfo).port}`;
  subjectToken = await new SignJWT({ sub: 'ci' })
    .setProtectedHeader({ alg: 'RS256', kid: 'k1' })
    .setIssuer(origin)
    .setAudience(`https://iam.googleapis.com/${PROVIDER}`)
    .setIssuedAt()
    .setExpirationTime('5m')
    .sign(key.privateKey);
  server = await startTestServer({ trustedIssuer: [origin] });
  await furnish(server);
});
afterAll(async () => {
  await server.close();
  issuer.close();
  rmSync(home, { recursive: true, force: true });
});

const exec = (args: readonly string[], env: Record<string, string> = {}) => runActas({ dataDir: server.dataDir, home }, ['exec', '--', process.execPath, ...args], env);
async function told(program: string, ...args: string[]): Promise<readonly string[]> {
  const { code, out, err } = await exec([join(PROGRAMS, program), ...args]);
  expect(code, `${out}${err}`).toBe(0);
  return out.trim().split('\n');
}

// Each starts several programs that load large libraries.
describe('Google’s clients for Node', { timeout: 60_000 }, () => {
  test.each(['grpc', 'rest'] as const)('run, iam-credentials, resource-manager, org-policy over %s', async (transport) => {
    expect(await told('client.mjs', transport)).toEqual(story('node', transport));
  });

  test('googleapis: run v1 and v2, iam v1, cloudresourcemanager v1 and v3', async () => {
    expect(await told('googleapis.mjs')).toEqual([
      'v1: Job from-v1',
      'v2: projects/demo/locations/us-central1/jobs/from-v1',
      'ran: true 1',
      'executions of v1: 1',
      'account: from-library@demo.iam.gserviceaccount.com',
      'policy: roles/iam.serviceAccountUser',
      'key: KEY_ALG_RSA_2048',
      'resource manager v1: demo run.jobs.run',
      'resource manager v3: demo run.jobs.run',
      "missing: 404 Resource 'none' of kind 'JOB' in region 'us-central1' in project 'demo' does not exist.",
    ]);
  });

  test('google-auth-library, with each form of credentials', async () => {
    await writeCredentialFiles();
    expect(await told('credentials.mjs', home)).toEqual([
      'user: UserRefreshClient owner@example.com',
      `key: JWT ${ROBOT}`,
      `identity by key: ${ROBOT}`,
      'signed by key: 256',
      'self-signed: 200',
      'self-signed with scopes: 200',
      `impersonated: Impersonated ${ROBOT}`,
      `impersonated by file: Impersonated ${ROBOT}`,
      `identity by impersonation: ${ROBOT}`,
      'signed by impersonation: 256',
      ...['file', 'url'].flatMap((source) => [`outside, by ${source}: IdentityPoolClient 200`, `outside, by ${source}, as an account: IdentityPoolClient ${ROBOT}`]),
      expect.stringMatching(/^downscoped: .*subject_token_type must be one of/),
      'revoked: 400',
    ]);
  });
});

/** As Google's console and gcloud write them: with Google's addresses. */
async function writeCredentialFiles(): Promise<void> {
  const write = (name: string, text: object): void => writeFileSync(join(home, `${name}.json`), JSON.stringify(text));
  const { json } = await server.call('POST', `${IAM}/projects/demo/serviceAccounts/${ROBOT}/keys`, {});
  write('key', JSON.parse(Buffer.from(json.privateKeyData, 'base64').toString()));
  const { json: issued } = await server.call('POST', '/actas/v1/tokens:issue', { principal: 'user:owner@example.com', withRefreshToken: true });
  const service_account_impersonation_url = `https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/${ROBOT}:generateAccessToken`;
  const source_credentials = { type: 'authorized_user', client_id: 'actas', client_secret: 'notasecret', refresh_token: issued.refreshToken };
  write('impersonated', { type: 'impersonated_service_account', service_account_impersonation_url, source_credentials });
  await server.call('POST', `${IAM}/projects/demo/locations/global/workloadIdentityPools?workloadIdentityPoolId=ci-pool`, {});
  const provider = { attributeMapping: { 'google.subject': 'assertion.sub' }, oidc: { issuerUri: origin } };
  await server.call('POST', `${IAM}/${POOL}/providers?workloadIdentityPoolProviderId=builds`, provider);
  const member = `principal://iam.googleapis.com/${POOL}/subject/ci`;
  await grantOnProject(server, 'roles/run.viewer', member);
  const bindings = [{ role: 'roles/iam.serviceAccountTokenCreator', members: ['user:owner@example.com', member] }];
  await server.call('POST', `${IAM}/projects/demo/serviceAccounts/${ROBOT}:setIamPolicy`, { policy: { bindings } });
  writeFileSync(join(home, 'subject-token'), subjectToken);
  const sources = {
    file: { file: join(home, 'subject-token') },
    url: { url: `${origin}/token`, headers: { Metadata: 'true' }, format: { type: 'json', subject_token_field_name: 'value' } },
  };
  for (const [name, credential_source] of Object.entries(sources)) {
    const outside = {
      type: 'external_account',
      audience: `//iam.googleapis.com/${PROVIDER}`,
      subject_token_type: 'urn:ietf:params:oauth:token-type:jwt',
      token_url: 'https://sts.googleapis.com/v1/token',
      credential_source,
    };
    write(`outside-${name}`, outside);
    write(`outside-${name}-account`, { ...outside, service_account_impersonation_url });
  }
}

test('the example of the documentation', async () => {
  const { out, err } = await exec(['--input-type=module', '-e', example('node')]);
  expect(out.split('\n'), err).toContain(DOCUMENTED);
});

describe('what Node reads first', () => {
  test('leads the agents of programs here, but not past NO_PROXY, and keeps NODE_OPTIONS', async () => {
    const script = `
      import https from 'node:https';
      const ask = (host, port) => new Promise((resolve) => {
        const call = https.get({ host, port, path: '/', agent: new https.Agent({ keepAlive: true }) }, (answer) => {
          const said = answer.headers.server + ' ' + answer.socket.authorized;
          answer.resume().on('end', () => resolve(said));
        });
        call.on('error', (error) => resolve(error.message));
      });
      console.log(await ask('storage.googleapis.com', 443));
      console.log(await ask('mail.google.com', 443));
      console.log(await ask('127.0.0.1', ${new URL(server.url).port}));
      console.log(process.title);
    `;
    const { out } = await exec(['--input-type=module', '-e', script], { NODE_OPTIONS: '--title=given' });
    const [ours, refused, direct, title] = out.trim().split('\n');
    expect(ours).toBe('actas true');
    expect(refused).toMatch(/opens no way to mail.google.com:443: it answered 403/);
    // By an address the server has a certificate too, and is reached without its proxy.
    expect(direct).toBe('actas true');
    expect(title).toBe('given');
  });

  test('lets nothing go to Google that cannot be led here, and says so', async () => {
    const hosts = [...GOOGLE_DOMAINS, 'run.googleapis.com'];
    const script = `
      import { connect } from 'node:http2';
      import { connect as connectTls } from 'node:tls';
      const shown = (error) => (error.cause ?? error).message;
      for (const host of ${JSON.stringify(hosts)}) {
        console.log(await fetch('https://' + host + '/').then((answer) => answer.status, shown));
        for (const open of [() => connect('https://' + host), () => connectTls(443, host), () => connectTls({ host, port: 443 })]) try { open(); } catch (error) { console.log(shown(error)); }
      }
      console.log(await fetch('${origin}/keys').then((answer) => answer.status, shown));
    `;
    // As a Node whose fetch takes no proxy.
    const { out } = await runActas({ dataDir: server.dataDir, home }, ['exec', '--', 'env', 'NODE_USE_ENV_PROXY=0', process.execPath, '--input-type=module', '-e', script]);
    const said = out.trim().split('\n');
    expect(said.pop()).toBe('200');
    expect(said).toHaveLength(4 * hosts.length);
    for (const [i, line] of said.entries()) expect(line).toContain(`This connection to ${hosts[Math.floor(i / 4)]} would go past the proxy`);
  });
});
