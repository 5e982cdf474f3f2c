/** What organization policies refuse, where it happens: service accounts, jobs, grants; and what their dry runs report. */

import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const V2 = '/orgpolicy.googleapis.com/v2';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const ACCOUNTS = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
const PROJECT = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
const JOB = { template: { template: { containers: [{ image: 'example.com/i' }] } } };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const set: string[] = [];
async function policy(node: string, id: string, body: object): Promise<void> {
  const answer = await server.call('POST', `${V2}/${node}/policies`, { name: `${node}/policies/${id}`, ...body });
  if (answer.status !== 200) throw new Error(`${id}: ${answer.text}`);
  set.push(`${node}/policies/${id}`);
}
const spec = (rule: object, ...more: object[]) => ({ spec: { rules: [rule, ...more] } });
afterEach(async () => {
  for (const name of set.splice(0)) await server.call('DELETE', `${V2}/${name}`);
});

let next = 0;
const createAccount = () => server.call('POST', ACCOUNTS, { accountId: `account-${(next += 1)}` });
const createJob = (change: object = {}, location = 'us-central1') =>
  server.call('POST', `${JOBS.replace('us-central1', location)}?jobId=job-${(next += 1)}`, { ...JOB, ...change });
const updateJob = (id: string, change: object = {}) => server.call('PATCH', `${JOBS}/${id}`, { ...JOB, ...change });

/** The policy as it is, and what is added. */
async function grant(member: string, role = 'roles/viewer', path = PROJECT): Promise<{ status: number; json: { error?: { message: string; status: string; details: object[] } } }> {
  const { bindings = [] } = (await server.call('POST', `${path}:getIamPolicy`, {})).json;
  return server.call('POST', `${path}:setIamPolicy`, { policy: { bindings: [...bindings, { role, members: [member] }] } });
}

describe('service accounts', () => {
  test('cannot be created where the legacy constraint is enforced, anywhere above', async () => {
    await policy('organizations/111111111111', 'iam.disableServiceAccountCreation', spec({ enforce: true }));
    expect((await createAccount()).json).toEqual({
      error: {
        code: 400,
        message: 'Service account creation is not allowed on this project.',
        status: 'FAILED_PRECONDITION',
        errors: expect.any(Array),
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.PreconditionFailure',
            violations: [
              {
                type: 'constraints/iam.disableServiceAccountCreation',
                subject: 'projects/demo/serviceAccounts/?configvalue=',
                description: 'Service account creation is not allowed on this project.',
              },
            ],
          },
        ],
      },
    });
    await policy('projects/demo', 'iam.disableServiceAccountCreation', spec({ enforce: false }));
    expect((await createAccount()).status).toBe(200);
  });

  test('nor where the managed one is, with the error of its own form', async () => {
    await policy('projects/demo', 'iam.managed.disableServiceAccountCreation', spec({ enforce: true }));
    expect((await createAccount()).json.error).toMatchObject({
      code: 400,
      status: 'FAILED_PRECONDITION',
      message:
        'Operation denied by org policy on resource \'projects/demo\': ["constraints/iam.managed.disableServiceAccountCreation": "When enforced, service accounts cannot be created."].',
      details: [
        {
          '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
          reason: 'CUSTOM_ORG_POLICY_VIOLATION',
          domain: 'googleapis.com',
          metadata: { customConstraints: 'constraints/iam.managed.disableServiceAccountCreation', resource: 'projects/demo' },
        },
      ],
    });
  });

  test('a dry run refuses nothing, and leaves an entry in the audit trail', async () => {
    await policy('projects/demo', 'iam.disableServiceAccountCreation', { dryRunSpec: { rules: [{ enforce: true }] } });
    expect((await createAccount()).status).toBe(200);
    const entries = () => {
      const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
      try {
        return logs.prepare("SELECT principal, resource, permissions, status FROM audit WHERE method = 'google.cloud.orgpolicy.v2.dryRun'").all();
      } finally {
        logs.close();
      }
    };
    await until('an entry of the dry run', () => entries().length > 0);
    const resource = '//cloudresourcemanager.googleapis.com/projects/demo';
    expect(entries()).toEqual([
      {
        principal: 'user:owner@example.com',
        resource,
        permissions: JSON.stringify([{ permission: 'constraints/iam.disableServiceAccountCreation', resource, granted: false }]),
        status: 'FAILED_PRECONDITION',
      },
    ]);
  });
});

describe('jobs', () => {
  test('egress: what is not said is null, and refused', async () => {
    const before = await createJob();
    expect(before.status).toBe(200);
    await policy('folders/222222222222', 'run.allowedVPCEgress', spec({ values: { allowedValues: ['all-traffic'] } }));
    const message = 'Constraint constraints/run.allowedVPCEgress violated for attempting CreateJob with annotation "run.googleapis.com/vpc-access-egress" set to null.';
    expect((await createJob()).json.error).toMatchObject({ code: 400, status: 'FAILED_PRECONDITION', message });
    const id = before.json.metadata.name.split('/').at(-1);
    expect((await updateJob(id)).json.error.message).toBe(message.replace('CreateJob', 'UpdateJob'));
    const connector = (value: string) => ({
      template: { template: { containers: [{ image: 'example.com/i' }], vpcAccess: { connector: 'projects/demo/locations/us-central1/connectors/c', egress: value } } },
    });
    const { error } = (await createJob(connector('PRIVATE_RANGES_ONLY'))).json;
    expect(error.message).toContain('set to private-ranges-only.');
    expect(error.details[1].message).toContain('actas resource-manager org-policies allow run.allowedVPCEgress private-ranges-only --project=demo');
    expect((await createJob(connector('ALL_TRAFFIC'))).status).toBe(200);
  });

  test('Binary Authorization', async () => {
    await policy('projects/demo', 'run.allowedBinaryAuthorizationPolicies', spec({ values: { allowedValues: ['default'] } }));
    expect((await createJob()).json.error.message).toBe(
      'Constraint constraints/run.allowedBinaryAuthorizationPolicies violated for attempting CreateJob with annotation "run.googleapis.com/binary-authorization" set to null.',
    );
    expect((await createJob({ binaryAuthorization: { policy: 'projects/demo/platforms/cloudRun/p' } })).json.error.message).toContain('set to projects/demo/platforms/cloudRun/p.');
    expect((await createJob({ binaryAuthorization: { useDefault: true } })).status).toBe(200);
  });

  test('locations, when a job is made and not later', async () => {
    const before = (await createJob()).json.metadata.name.split('/').at(-1);
    await policy('organizations/111111111111', 'gcp.resourceLocations', spec({ values: { allowedValues: ['in:eu-locations'] } }));
    expect((await createJob()).json.error).toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: 'Constraint constraints/gcp.resourceLocations violated for attempting CreateJob with location set to us-central1.',
    });
    expect((await createJob({}, 'europe-west1')).status).toBe(200);
    expect((await updateJob(before, { labels: { a: 'b' } })).status).toBe(200);
    expect((await server.call('PATCH', `${JOBS}/made-by-update?allowMissing=true`, JOB)).json.error.message).toContain('gcp.resourceLocations');
  });
});

describe('grants', () => {
  const restricted = (values: string[]) => policy('organizations/111111111111', 'iam.allowedPolicyMemberDomains', spec({ values: { allowedValues: values } }));

  test('domain restricted sharing lets principals of the organization in, and nobody else', async () => {
    const { directoryCustomerId } = (await server.call('GET', '/cloudresourcemanager.googleapis.com/v3/organizations/111111111111')).json;
    expect(directoryCustomerId).toMatch(/^C0[0-9a-z]{7}$/);
    await grant('user:before@elsewhere.example');
    await restricted([`is:${directoryCustomerId}`]);
    for (const member of ['user:a@example.com', 'group:g@EXAMPLE.com', 'domain:example.com', 'serviceAccount:service-123456789012@serverless-robot-prod.iam.gserviceaccount.com'])
      expect((await grant(member)).status, member).toBe(200);
    const account = (await createAccount()).json.email;
    expect((await grant(`serviceAccount:${account}`)).status).toBe(200);
    for (const member of ['user:a@elsewhere.example', 'serviceAccount:service-1@other-one.iam.gserviceaccount.com', 'domain:example.org', 'user:x@sub.example.com']) {
      const { json } = await grant(member);
      expect(json.error, member).toMatchObject({
        status: 'FAILED_PRECONDITION',
        message: 'One or more users named in the policy do not belong to a permitted customer,  perhaps due to an organization policy.',
      });
    }
  });

  test('the organization as a principal set, and values that are denied', async () => {
    await restricted(['is:principalSet://iam.googleapis.com/organizations/111111111111']);
    expect((await grant('user:b@example.com')).status).toBe(200);
    expect((await grant('user:b@elsewhere.example')).status).toBe(400);
  });

  test('on a service account and on a job as well', async () => {
    const email = (await createAccount()).json.email;
    const job = (await createJob()).json.metadata.name;
    await restricted(['is:C0nobody0']);
    expect((await grant('user:c@example.com', 'roles/iam.serviceAccountUser', `${ACCOUNTS}/${email}`)).status).toBe(400);
    const answer = await server.call('POST', `/run.googleapis.com/v2/${job}:setIamPolicy`, {
      policy: { bindings: [{ role: 'roles/run.invoker', members: ['user:x@elsewhere.example'] }] },
    });
    expect(answer.json.error.details[0].violations).toEqual([
      { type: 'constraints/iam.allowedPolicyMemberDomains', subject: `orgpolicy:${job}`, description: 'User x@elsewhere.example is not in permitted organization.' },
    ]);
  });

  test('its managed successor: listed principals, and principals of listed sets', async () => {
    const parameters = { allowedMemberSubjects: ['user:Guest@elsewhere.example'], allowedPrincipalSets: ['//cloudresourcemanager.googleapis.com/organizations/111111111111'] };
    await policy('organizations/111111111111', 'iam.managed.allowedPolicyMembers', spec({ enforce: true, parameters }));
    expect((await grant('user:guest@elsewhere.example')).status).toBe(200);
    expect((await grant('user:d@example.com')).status).toBe(200);
    const refused = await grant('user:other@elsewhere.example');
    expect(refused.json.error).toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('"constraints/iam.managed.allowedPolicyMembers": "When enforced') });
  });

  test('default service accounts get no Editor where that is prevented', async () => {
    await policy('projects/demo', 'iam.managed.preventPrivilegedBasicRolesForDefaultServiceAccounts', spec({ enforce: true }));
    const account = 'serviceAccount:123456789012-compute@developer.gserviceaccount.com';
    expect((await grant(account, 'roles/viewer')).status).toBe(200);
    expect((await grant(account, 'roles/owner')).json.error?.message).toContain('preventPrivilegedBasicRolesForDefaultServiceAccounts');
  });
});
