/** The official clients of Secret Manager, unmodified: over gRPC and REST in the clear, and over TLS through the front door. */
import { Agent } from 'node:https';
import { SecretManagerServiceClient } from '@google-cloud/secret-manager';
import { credentials, Metadata } from '@grpc/grpc-js';
import { OAuth2Client } from 'google-auth-library';
import type { CallOptions, ClientOptions } from 'google-gax';
import { google } from 'googleapis';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

let server: TestServer;
let auth: OAuth2Client;
beforeAll(async () => {
  server = await startTestServer();
  auth = new OAuth2Client();
  auth.setCredentials({ access_token: server.ownerToken });
});
afterAll(() => server.close());

function optionsFor(transport: 'gRPC' | 'REST'): { client: ClientOptions; call: CallOptions } {
  const { hostname, port } = new URL(server.url);
  // gax brings its own copy of google-auth-library; the class is the same, its private members make the types differ.
  const authClient = auth as unknown as NonNullable<ClientOptions['authClient']>;
  const shared = { apiEndpoint: hostname, port: Number(port), authClient };
  const client: ClientOptions = transport === 'REST' ? { ...shared, protocol: 'http', fallback: true } : { ...shared, sslCreds: credentials.createInsecure() };
  // gax adds the caller's token over TLS alone; over plain HTTP/2 the header is given with each call.
  return { client, call: { otherArgs: { headers: { authorization: `Bearer ${server.ownerToken}` } } } };
}

/** What a program does with a secret, from its creation to its end. @returns the states that its version was seen in */
async function story(secrets: SecretManagerServiceClient, secretId: string, call: CallOptions): Promise<unknown[]> {
  const [secret] = await secrets.createSecret({ parent: 'projects/demo', secretId, secret: { replication: { automatic: {} }, labels: { from: 'client' } } }, call);
  const name = secret.name ?? '';
  expect(name).toMatch(/^projects\/\d+\/secrets\//);
  // Bytes that are no text.
  const data = Buffer.from([0, 255, 128, 10, 7]);
  const [version] = await secrets.addSecretVersion({ parent: name, payload: { data } }, call);
  expect(version).toMatchObject({ name: `${name}/versions/1`, state: 'ENABLED' });
  const [accessed] = await secrets.accessSecretVersion({ name: `${name}/versions/latest` }, call);
  expect(Buffer.from(accessed.payload?.data ?? '')).toEqual(data);
  const [listed] = await secrets.listSecrets({ parent: 'projects/demo', filter: 'labels.from=client' }, call);
  expect(listed.map((each) => each.name)).toContain(name);
  const [updated] = await secrets.updateSecret({ secret: { name, versionAliases: { prod: 1 } }, updateMask: { paths: ['version_aliases'] } }, call);
  expect(Number(updated.versionAliases?.['prod'])).toBe(1);
  const policy = { bindings: [{ role: 'roles/secretmanager.secretAccessor', members: ['user:dev@example.com'] }] };
  await secrets.setIamPolicy({ resource: name, policy }, call);
  expect((await secrets.getIamPolicy({ resource: name }, call))[0].bindings).toMatchObject(policy.bindings);
  await secrets.disableSecretVersion({ name: `${name}/versions/1` }, call);
  await expect(secrets.accessSecretVersion({ name: `${name}/versions/prod` }, call)).rejects.toThrow('is in DISABLED state.');
  const [enabled] = await secrets.enableSecretVersion({ name: `${name}/versions/1` }, call);
  const [destroyed] = await secrets.destroySecretVersion({ name: `${name}/versions/1` }, call);
  await secrets.deleteSecret({ name }, call);
  await expect(secrets.getSecret({ name }, call)).rejects.toThrow('not found.');
  await secrets.close();
  return [version.state, enabled.state, destroyed.state];
}

test.each(['gRPC', 'REST'] as const)('@google-cloud/secret-manager over %s', async (transport) => {
  const { client, call } = optionsFor(transport);
  expect(await story(new SecretManagerServiceClient(client), `client-${transport.toLowerCase()}`, call)).toEqual(['ENABLED', 'ENABLED', 'DESTROYED']);
});

test('@google-cloud/secret-manager over TLS, with the token that it adds by itself', async () => {
  const { hostname, port } = new URL(server.url);
  const ca = await (await fetch(`${server.url}/ca.pem`)).text();
  const sslCreds = credentials.combineChannelCredentials(
    credentials.createSsl(Buffer.from(ca)),
    credentials.createFromMetadataGenerator((_params, callback) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${server.ownerToken}`);
      callback(null, metadata);
    }),
  );
  // As gRPC names the certificate that it expects where the address is another.
  const client: ClientOptions = { apiEndpoint: hostname, port: Number(port), sslCreds, 'grpc.ssl_target_name_override': 'secretmanager.googleapis.com' };
  expect(await story(new SecretManagerServiceClient(client), 'client-tls', {})).toEqual(['ENABLED', 'ENABLED', 'DESTROYED']);
});

test('googleapis secretmanager v1 over REST, in the clear and over TLS', async () => {
  const ca = await (await fetch(`${server.url}/ca.pem`)).text();
  const own = new google.auth.OAuth2();
  own.setCredentials({ access_token: server.ownerToken });
  for (const [way, rootUrl] of [
    ['clear', `${server.url}/secretmanager.googleapis.com/`],
    ['tls', `${server.url.replace('http:', 'https:')}/secretmanager.googleapis.com/`],
  ] as const) {
    const { secrets } = google.secretmanager({ version: 'v1', auth: own, rootUrl, ...(way === 'tls' ? { agent: new Agent({ ca }) } : {}) }).projects;
    const { data: secret } = await secrets.create({ parent: 'projects/demo', secretId: `rest-${way}`, requestBody: { replication: { automatic: {} } } });
    const name = secret.name ?? '';
    const payload = Buffer.from('over REST').toString('base64');
    await secrets.addVersion({ parent: name, requestBody: { payload: { data: payload } } });
    expect((await secrets.versions.access({ name: `${name}/versions/latest` })).data.payload?.data).toBe(payload);
    expect((await secrets.testIamPermissions({ resource: name, requestBody: { permissions: ['secretmanager.versions.access'] } })).data.permissions).toEqual([
      'secretmanager.versions.access',
    ]);
    await secrets.delete({ name });
    await expect(secrets.get({ name })).rejects.toMatchObject({ code: 404 });
  }
});
