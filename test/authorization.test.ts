/**
 * Every RPC, through both doors: UNAUTHENTICATED without a token, PERMISSION_DENIED without a role. The list of exceptions may only
 * shrink; each has a reason in its `access`.
 */

import type { DescMethodUnary } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allServices, type Sample, sampleRequests } from './harness/sample-requests.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const NOBODY = 'user:nobody@elsewhere.example';

/** RPCs that a caller without any role may call, or that answer something else first. */
const WITHOUT_ROLE: readonly string[] = [
  'actas.v1.Control.GetStatus',
  'actas.v1.Explanations.ExplainAccess', // as Policy Troubleshooter
  'actas.v1.Explanations.ListHolders',
  'actas.v1.Control.IssueToken', // denied by itself: not by a permission
  'google.iam.admin.v1.IAM.GetRole', // the sample is a predefined role, which everybody may read
  'google.iam.admin.v1.IAM.QueryGrantableRoles', // predefined roles are no secret; custom ones are shown to who may list them
  'google.iam.admin.v1.IAM.QueryTestablePermissions', // from the resource's name alone
  'google.iam.admin.v1.IAM.LintPolicy', // looks at what is in the request alone
  'google.iam.admin.v1.IAM.QueryAuditableServices', // the same for every resource
  'google.cloud.policytroubleshooter.v1.IamChecker.TroubleshootIamPolicy', // tells UNKNOWN_INFO of what the caller may not read: test/explanations.test.ts
  'google.cloud.policytroubleshooter.v2alpha1.IamChecker.TroubleshootIamPolicy',
  'google.cloud.policytroubleshooter.iam.v3.PolicyTroubleshooter.TroubleshootIamPolicy',
  'google.logging.v2.LoggingServiceV2.ListMonitoredResourceDescriptors', // belongs to no project
  'google.longrunning.Operations.GetOperation', // of Resource Manager: only the operation knows the project whose permission is needed, and the sample's does not exist
];
/** What the request itself proves, or what is for everybody at Google: `access` says why. */
const PUBLIC: readonly string[] = [
  'google.oauth2.OAuth2.CreateToken',
  'google.oauth2.OAuth2.GetTokenInfo',
  'google.oauth2.OAuth2.RevokeToken',
  'google.oauth2.LegacyOAuth2.CreateToken',
  'google.oauth2.LegacyOAuth2.GetTokenInfo',
  'google.oauth2.LegacyOAuth2.GetLegacyTokenInfo',
  'google.oauth2.AccountCertificates.GetX509',
  'google.oauth2.AccountCertificates.GetRaw',
  'google.oauth2.AccountCertificates.GetJwk',
  'google.identity.sts.v1.SecurityTokenService.ExchangeToken',
];
/** testIamPermissions asks what the caller may do; it needs no permission (google/iam/v1/iam_policy.proto). Searches show what the caller may see; userinfo says who that is. */
const ANSWERS_EMPTY = /\.(TestIamPermissions|Search(Projects|Folders|Organizations)|v1\.Projects\.ListProjects|GetUserInfo|GetOpenIdUserInfo)$/;

let server: TestServer;
let samples: readonly Sample[];
beforeAll(async () => {
  server = await startTestServer();
  samples = await sampleRequests(await server.apis());
});
afterAll(() => server.close());

const isPublic = ({ service, method }: Sample) => {
  const definition = service.methods[method.localName];
  return definition !== undefined && definition !== 'unimplemented' && 'public' in definition.access;
};
const isServed = (sample: Sample) => sample.service.methods[sample.method.localName] !== 'unimplemented';

async function grpcCode(sample: Sample, as: string | null): Promise<Code | 'ok'> {
  const transport = await server.grpc(as);
  try {
    await transport.unary(sample.method as DescMethodUnary, undefined, undefined, undefined, sample.request);
    return 'ok';
  } catch (error) {
    return ConnectError.from(error).code;
  }
}

describe('authorisation of every RPC', () => {
  test('sees them all', async () => {
    expect(samples.filter(isServed).length).toBeGreaterThan(55);
    const served = new Set(samples.map((s) => s.name));
    const missing = (await allServices(await server.apis()))
      .flatMap((service) =>
        service.desc.methods.filter((method) => service.methods[method.localName] !== 'unimplemented').map((method) => `${service.desc.typeName}.${method.name}`),
      )
      .filter((name) => !served.has(name));
    expect(missing, 'served RPCs without an HTTP binding').toEqual([]);
    expect(samples.filter(isPublic).map(({ name }) => name)).toEqual(PUBLIC);
  });

  test('nobody without a token, through REST', async () => {
    const wrong: string[] = [];
    for (const sample of samples.filter((s) => !isPublic(s))) {
      const answer = await server.call(sample.verb, sample.path, sample.body, { as: null });
      if (answer.status !== 401 || answer.json?.error?.status !== 'UNAUTHENTICATED') wrong.push(`${sample.name}: ${answer.status} ${answer.text.slice(0, 200)}`);
      if (answer.headers.get('www-authenticate') !== 'Bearer realm="https://accounts.google.com/"') wrong.push(`${sample.name}: www-authenticate`);
    }
    expect(wrong).toEqual([]);
  });

  test('nobody without a token, through gRPC', async () => {
    const wrong: string[] = [];
    for (const sample of samples.filter((s) => s.method.methodKind === 'unary' && !isPublic(s))) {
      const code = await grpcCode(sample, null);
      if (code !== Code.Unauthenticated) wrong.push(`${sample.name}: ${code}`);
    }
    expect(wrong).toEqual([]);
  });

  test('nobody without a role, through REST and gRPC alike', async () => {
    const wrong: string[] = [];
    for (const sample of samples.filter((s) => isServed(s) && !isPublic(s) && !WITHOUT_ROLE.includes(s.name))) {
      const answer = await server.call(sample.verb, sample.path, sample.body, { as: NOBODY });
      const code = await grpcCode(sample, NOBODY);
      const open = ANSWERS_EMPTY.test(sample.name);
      if (open ? answer.status !== 200 : answer.status !== 403 || answer.json?.error?.status !== 'PERMISSION_DENIED')
        wrong.push(`REST ${sample.name}: ${answer.status} ${answer.text.slice(0, 300)}`);
      if (open ? code !== 'ok' : code !== Code.PermissionDenied) wrong.push(`gRPC ${sample.name}: ${code}`);
    }
    expect(wrong).toEqual([]);
  });

  test('what is not served says so by name, to those who are known', async () => {
    const wrong: string[] = [];
    for (const sample of samples.filter((s) => !isServed(s))) {
      const answer = await server.call(sample.verb, sample.path, sample.body);
      if (answer.status !== 501 || !String(answer.json?.error?.message).includes(sample.name)) wrong.push(`${sample.name}: ${answer.status} ${answer.text.slice(0, 200)}`);
    }
    expect(wrong).toEqual([]);
  });

  test('a denial names permission, resource and the command that mends it, and is the same whether the resource exists or not', async () => {
    await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'existing-one' });
    await server.call('POST', '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs?jobId=existing', {
      template: { template: { containers: [{ image: 'example.com/i' }] } },
    });
    const pairs = [
      ['GET', '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/existing'],
      ['POST', '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/existing:run'],
      ['DELETE', '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs/existing'],
      ['GET', '/iam.googleapis.com/v1/projects/demo/serviceAccounts/existing-one@demo.iam.gserviceaccount.com'],
      ['GET', '/iam.googleapis.com/v1/projects/-/serviceAccounts/existing-one@demo.iam.gserviceaccount.com'],
    ] as const;
    for (const [verb, path] of pairs) {
      const there = await server.call(verb, path, verb === 'POST' ? {} : undefined, { as: NOBODY });
      const gone = await server.call(verb, path.replaceAll('existing', 'missing1'), verb === 'POST' ? {} : undefined, { as: NOBODY });
      expect(there.status).toBe(403);
      expect(gone.text).toBe(there.text.replaceAll('existing', 'missing1'));
      const [info, remedy] = there.json.error.details;
      expect(info).toMatchObject({ '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'IAM_PERMISSION_DENIED' });
      expect(info.metadata.resource).toContain('existing');
      expect(remedy['@type']).toBe('type.googleapis.com/google.rpc.LocalizedMessage');
      expect(remedy.message).toMatch(/\n {2}actas .* add-iam-policy-binding .*--member=user:nobody@elsewhere\.example .*--role=roles\//);
    }
  });
});
