/** What somebody tries who is the owner of a project, and wants what is another's: other spellings of names, jobs as accounts of others, and grants beyond what was delegated. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Projects } from '../../src/gen/google/cloud/resourcemanager/v3/projects_pb.js';
import { IAM } from '../../src/gen/google/iam/admin/v1/iam_pb.js';
import { IAMCredentials } from '../../src/gen/google/iam/credentials/v1/credentials_pb.js';
import { startTestServer, type TestServer } from '../harness/server.ts';

const MALLORY = 'user:mallory@example.com';
const DELEGATE = 'user:delegate@example.com';
const EVIL = 'evil-project';
const VICTIM = 'victim-sa@demo.iam.gserviceaccount.com';
const CRM = '/cloudresourcemanager.googleapis.com';
const IAM_V1 = '/iam.googleapis.com/v1';
const RUN = '/run.googleapis.com/v2';
const CONTAINERS = [{ image: 'example.com/i' }];

let server: TestServer;
let victimId = '';
let evilNumber = '';
beforeAll(async () => {
  server = await startTestServer();
  await server.call('POST', `${CRM}/v3/projects`, { projectId: EVIL, parent: 'organizations/111111111111' });
  await grant(EVIL, 'roles/owner', MALLORY);
  evilNumber = String((await server.call('GET', `${CRM}/v3/projects/${EVIL}`)).json.name).slice('projects/'.length);
  victimId = (await server.call('POST', `${IAM_V1}/projects/demo/serviceAccounts`, { accountId: 'victim-sa' })).json.uniqueId;
  await server.call('POST', `${RUN}/projects/demo/locations/us-central1/jobs?jobId=victim`, { template: { template: { containers: CONTAINERS } } });
  // The victim's project lets its accounts be used elsewhere, and the other project's agent make tokens of this one: only acting as it is not allowed.
  const off = await server.call('POST', '/orgpolicy.googleapis.com/v2/projects/demo/policies', {
    name: 'projects/demo/policies/iam.disableCrossProjectServiceAccountUsage',
    spec: { rules: [{ enforce: false }] },
  });
  if (off.status !== 200) throw new Error(off.text);
  const agent = `serviceAccount:service-${evilNumber}@serverless-robot-prod.iam.gserviceaccount.com`;
  await server.call('POST', `${IAM_V1}/projects/demo/serviceAccounts/${VICTIM}:setIamPolicy`, {
    policy: { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members: [agent] }] },
  });
});
afterAll(() => server.close());

async function grant(project: string, role: string, member: string, expression?: string): Promise<void> {
  const { json: policy } = await server.call('POST', `${CRM}/v3/projects/${project}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } });
  const condition = expression === undefined ? {} : { condition: { title: 'limit', expression } };
  const answer = await server.call('POST', `${CRM}/v3/projects/${project}:setIamPolicy`, {
    policy: { ...policy, version: 3, bindings: [...(policy.bindings ?? []), { role, members: [member], ...condition }] },
  });
  expect(answer.status, answer.text).toBe(200);
}

/** Ways to write the account so that some part of a program might take it for one of one's own project, and another for the victim's. */
const accountNames = () => [
  `projects/${EVIL}/serviceAccounts/${VICTIM}`,
  `projects/${evilNumber}/serviceAccounts/${VICTIM}`,
  `projects/${EVIL}/serviceAccounts/${victimId}`,
  `projects/-/serviceAccounts/${victimId}`,
  `projects/-/serviceAccounts/${VICTIM}`,
  `projects/-/serviceAccounts/${VICTIM.toUpperCase()}`,
  `projects/${EVIL}/serviceAccounts/${VICTIM.toUpperCase()}`,
  `projects/${EVIL}/serviceAccounts/victim-sa@DEMO.iam.gserviceaccount.com`,
  `projects/${EVIL}/serviceAccounts/victim-sa%40demo.iam.gserviceaccount.com`,
  `projects/${EVIL}/serviceAccounts/victim-sa%2540demo.iam.gserviceaccount.com`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}%2F`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}/`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}.`,
  `projects/${EVIL}/serviceAccounts/%20${VICTIM}`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}%00`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}%0a`,
  `projects/${EVIL}/serviceAccounts/x@${EVIL}.iam.gserviceaccount.com%2F..%2F..%2F..%2Fdemo%2FserviceAccounts%2F${VICTIM}`,
  `projects/${EVIL}%2F..%2Fdemo/serviceAccounts/${VICTIM}`,
  `projects/${EVIL}/../demo/serviceAccounts/${VICTIM}`,
  `projects/${EVIL}/serviceAccounts/${VICTIM},x@${EVIL}.iam.gserviceaccount.com`,
  `projects/${EVIL}/serviceAccounts/${VICTIM}?x=@${EVIL}.iam.gserviceaccount.com`,
  `projects/${EVIL}/serviceAccounts/\uff56ictim-sa@demo.iam.gserviceaccount.com`,
  `projects/demo/serviceAccounts/${VICTIM}`,
  `projects/123456789012/serviceAccounts/${victimId}`,
  `projects/DEMO/serviceAccounts/${VICTIM}`,
];

describe('another spelling of a name', () => {
  test('of a service account opens it to nobody', async () => {
    const open: string[] = [];
    for (const name of accountNames())
      for (const [verb, path, body] of [
        ['GET', `${IAM_V1}/${name}`, undefined],
        ['POST', `${IAM_V1}/${name}/keys`, {}],
        ['GET', `${IAM_V1}/${name}/keys`, undefined],
        ['POST', `${IAM_V1}/${name}:setIamPolicy`, { policy: { bindings: [{ role: 'roles/owner', members: [MALLORY] }] } }],
        ['POST', `${IAM_V1}/${name}:signJwt`, { payload: '{}' }],
        ['POST', `${IAM_V1}/${name}:disable`, {}],
        ['DELETE', `${IAM_V1}/${name}`, undefined],
        ['POST', `/iamcredentials.googleapis.com/v1/${name}:generateAccessToken`, { scope: ['https://www.googleapis.com/auth/cloud-platform'] }],
        ['POST', `/iamcredentials.googleapis.com/v1/${name}:signBlob`, { payload: 'eA==' }],
      ] as const) {
        const answer = await server.call(verb, path, body, { as: MALLORY });
        if (answer.status < 400 || answer.status >= 500) open.push(`${verb} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`);
      }
    expect(open).toEqual([]);
    const iam = createClient(IAM, await server.grpc(MALLORY));
    const credentials = createClient(IAMCredentials, await server.grpc(MALLORY));
    for (const name of accountNames()) {
      await expect(iam.createServiceAccountKey({ name }), name).rejects.toThrow(/denied|valid|form|Unknown service account/);
      await expect(credentials.generateAccessToken({ name, scope: ['x'] }), name).rejects.toThrow(/denied|valid|form|Unknown service account/);
    }
    expect((await server.call('GET', `${IAM_V1}/projects/demo/serviceAccounts/${VICTIM}`)).json.disabled ?? false).toBe(false);
    expect((await server.call('GET', `${IAM_V1}/projects/demo/serviceAccounts/${VICTIM}/keys`)).json.keys ?? []).toEqual([]);
  });

  test('of a job opens it to nobody', async () => {
    const job = 'locations/us-central1/jobs/victim';
    const open: string[] = [];
    for (const [verb, path, body] of [
      ...['demo', '123456789012', `${EVIL}/../demo`, `${EVIL}%2F..%2Fdemo`, `demo%2Flocations%2Fus-central1`, '-', 'DEMO', ' demo', 'demo%00', '%64emo', '%2564emo'].map(
        (project) => ['GET', `${RUN}/projects/${project}/${job}`, undefined] as const,
      ),
      ['GET', `${RUN}/projects/${EVIL}/locations/us-central1/jobs/..%2F..%2F..%2F..%2Fdemo%2F${job}`, undefined],
      ['GET', `/run.googleapis.com//v2/projects/demo/${job}`, undefined],
      ['GET', `/run.googleapis.com/v2/projects/demo//${job}`, undefined],
      ['GET', `/run.googleapis.com/run.googleapis.com/v2/projects/demo/${job}`, undefined],
      ['GET', `/iam.googleapis.com/v2/projects/demo/${job}`, undefined],
      ['GET', `/r/us-central1/run.googleapis.com/v2/projects/demo/${job}`, undefined],
      ['GET', `/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/demo/jobs/victim`, undefined],
      ['GET', `/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/123456789012/jobs/victim`, undefined],
      ['GET', `/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/${EVIL}%2F..%2Fdemo/jobs/victim`, undefined],
      // The path says one job, the body another.
      [
        'PATCH',
        `${RUN}/projects/${EVIL}/${job}?allowMissing=true&job.name=projects/demo/${job}`,
        { name: `projects/demo/${job}`, template: { template: { containers: CONTAINERS, serviceAccount: VICTIM } } },
      ],
      ['POST', `${RUN}/projects/demo/${job}:run?name=projects/${EVIL}/${job}`, { name: `projects/${EVIL}/${job}` }],
      ['POST', `${RUN}/projects/demo/${job}:setIamPolicy?resource=projects/${EVIL}/${job}`, { resource: `projects/${EVIL}/${job}`, policy: {} }],
      ['POST', `${RUN}/projects/demo/${job}/:run`, {}],
    ] as const) {
      const answer = await server.call(verb, path, body, { as: MALLORY, headers: { 'x-http-method-override': 'DELETE', 'x-goog-user-project': EVIL } });
      if (answer.status < 400 || answer.status >= 500) open.push(`${verb} ${path}: ${answer.status} ${answer.text.slice(0, 200)}`);
    }
    expect(open).toEqual([]);
    const { template, executionCount } = (await server.call('GET', `${RUN}/projects/demo/${job}`)).json;
    expect(template.template.serviceAccount).toBe('123456789012-compute@developer.gserviceaccount.com');
    expect(executionCount ?? 0).toBe(0);
  });
});

describe("a job as somebody else's account", () => {
  test('is not created, replaced or run, whatever the account is called', async () => {
    const jobs = `${RUN}/projects/${EVIL}/locations/us-central1/jobs`;
    const v1 = `/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/${EVIL}/jobs`;
    const made = await server.call('POST', `${jobs}?jobId=mine`, { template: { template: { containers: CONTAINERS } } }, { as: MALLORY });
    expect(made.status, made.text).toBe(200);
    const spec = (serviceAccountName: string) => ({
      apiVersion: 'run.googleapis.com/v1',
      kind: 'Job',
      metadata: { name: 'mine' },
      spec: { template: { spec: { template: { spec: { containers: CONTAINERS, serviceAccountName } } } } },
    });
    const open: string[] = [];
    for (const account of [
      VICTIM,
      VICTIM.toUpperCase(),
      victimId,
      `serviceAccount:${VICTIM}`,
      `projects/demo/serviceAccounts/${VICTIM}`,
      `projects/${EVIL}/serviceAccounts/${VICTIM}`,
      ` ${VICTIM}`,
      `${VICTIM} `,
      `${VICTIM}\n`,
      `${VICTIM}.`,
      `x@${EVIL}.iam.gserviceaccount.com,${VICTIM}`,
      '123456789012-compute@developer.gserviceaccount.com',
      'demo@appspot.gserviceaccount.com',
      'service-123456789012@serverless-robot-prod.iam.gserviceaccount.com',
      `service-${evilNumber}@serverless-robot-prod.iam.gserviceaccount.com`,
      'owner@example.com',
      '-',
      '*',
    ])
      for (const [verb, path, body] of [
        ['POST', `${jobs}?jobId=as-other`, { template: { template: { containers: CONTAINERS, serviceAccount: account } } }],
        ['PATCH', `${jobs}/mine`, { template: { template: { containers: CONTAINERS, serviceAccount: account } } }],
        ['PATCH', `${jobs}/as-other?allowMissing=true`, { template: { template: { containers: CONTAINERS, serviceAccount: account } } }],
        ['PUT', `${v1}/mine`, spec(account)],
      ] as const) {
        const answer = await server.call(verb, path, body, { as: MALLORY });
        if (answer.status < 400 || answer.status >= 500) open.push(`${verb} as ${JSON.stringify(account)}: ${answer.status} ${answer.text.slice(0, 200)}`);
      }
    expect(open).toEqual([]);
    expect((await server.call('GET', `${jobs}/mine`)).json.template.template.serviceAccount).toBe(`${evilNumber}-compute@developer.gserviceaccount.com`);
  });
});

describe('delegated administration', () => {
  const LIMIT = "api.getAttribute('iam.googleapis.com/modifiedGrantsByRole', []).hasOnly(['roles/run.viewer'])";
  const get = async () => (await server.call('POST', `${CRM}/v3/projects/${EVIL}:getIamPolicy`, { options: { requestedPolicyVersion: 3 } })).json;

  test('grants what it may, and nothing by another way of saying it', async () => {
    await grant(EVIL, 'roles/resourcemanager.projectIamAdmin', DELEGATE, LIMIT);
    const policy = await get();
    const bindings: { role: string; members: string[]; condition?: object }[] = policy.bindings;
    const owner = { role: 'roles/owner', members: [DELEGATE] };
    const admin = bindings.find(({ role }) => role === 'roles/resourcemanager.projectIamAdmin');
    const others = bindings.filter((binding) => binding !== admin);
    const attempts: object[] = [
      { policy: { ...policy, bindings: [...bindings, owner] } },
      { policy: { ...policy, etag: '', bindings: [...bindings, owner] } },
      { policy: { ...policy, bindings: [...bindings, { role: 'roles/run.viewer', members: [DELEGATE] }, owner] } },
      { policy: { ...policy, bindings: [...bindings, owner] }, updateMask: 'bindings' },
      { policy: { ...policy, bindings: [...bindings, owner] }, updateMask: '*' },
      { policy: { ...policy, bindings: [...bindings, { role: 'roles/editor', members: ['group:delegates@example.com'] }] } },
      { policy: { ...policy, bindings: [...bindings, { role: 'roles/iam.securityAdmin', members: [DELEGATE], condition: { title: 'x', expression: 'true' } }] } },
      // Its own limit, taken away, and put beside itself.
      { policy: { ...policy, bindings: [...others, { role: 'roles/resourcemanager.projectIamAdmin', members: [DELEGATE] }] } },
      { policy: { ...policy, bindings: [...bindings, { role: 'roles/resourcemanager.projectIamAdmin', members: [DELEGATE] }] } },
      { policy: { ...policy, bindings: [...others, { ...admin, condition: { title: 'limit', expression: `${LIMIT} || true` } }] } },
      // The owner, taken away.
      { policy: { ...policy, bindings: bindings.filter(({ role }) => role !== 'roles/owner') } },
      { policy: { ...policy, bindings: [] } },
      { policy: { version: 3 } },
      { policy: {}, updateMask: 'bindings' },
    ];
    for (const body of attempts)
      for (const version of ['v1', 'v3']) {
        const answer = await server.call('POST', `${CRM}/${version}/projects/${EVIL}:setIamPolicy`, body, { as: DELEGATE });
        expect([400, 403], `${JSON.stringify(body).slice(0, 300)}: ${answer.text.slice(0, 300)}`).toContain(answer.status);
      }
    const client = createClient(Projects, await server.grpc(DELEGATE));
    await expect(client.setIamPolicy({ resource: `projects/${EVIL}`, policy: { version: 3, bindings: [owner] } })).rejects.toThrow('permission');
    expect(await get()).toEqual(policy);
    const allowed = await server.call(
      'POST',
      `${CRM}/v3/projects/${EVIL}:setIamPolicy`,
      { policy: { ...policy, bindings: [...bindings, { role: 'roles/run.viewer', members: ['user:friend@example.com'] }] } },
      { as: DELEGATE },
    );
    expect(allowed.status, allowed.text).toBe(200);
  });

  test('of two writers with one etag, one is told to read again; a grant that came in between is not written over', async () => {
    const policy = await get();
    const write = (member: string) =>
      server.call('POST', `${CRM}/v3/projects/${EVIL}:setIamPolicy`, {
        policy: { ...policy, bindings: [...policy.bindings, { role: 'roles/logging.viewer', members: [member] }] },
      });
    const answers = await Promise.all(Array.from({ length: 10 }, (_, index) => write(`user:racer${index}@example.com`)));
    expect(answers.map(({ status }) => status).toSorted((a, b) => a - b)).toEqual([200, ...Array.from({ length: 9 }, () => 409)]);
  });
});

describe('roles that imitate others', () => {
  test('a custom role stands for no predefined one, nor for one of another project', async () => {
    for (const roleId of ['roles/owner', '../roles/owner', 'owner%2F..', 'roles.owner/x', '']) {
      const answer = await server.call('POST', `${IAM_V1}/projects/${EVIL}/roles`, { roleId, role: { includedPermissions: ['run.jobs.get'] } }, { as: MALLORY });
      expect(answer.status, roleId).toBe(400);
    }
    expect((await server.call('POST', '/actas/v1/roles:import', { roles: [{ name: 'roles/viewer', includedPermissions: ['run.jobs.delete'] }] }, { as: MALLORY })).status).toBe(
      403,
    );
    await server.call('POST', `${IAM_V1}/projects/${EVIL}/roles`, { roleId: 'mine', role: { includedPermissions: ['run.jobs.get'] } }, { as: MALLORY });
    const { json: policy } = await server.call('POST', `${CRM}/v3/projects/demo:getIamPolicy`, {});
    for (const role of [
      `projects/${EVIL}/roles/mine`,
      `projects/${evilNumber}/roles/mine`,
      'roles/owner ',
      'ROLES/owner',
      'roles/../roles/owner',
      'roles/owner_withcond_0123456789',
    ]) {
      const answer = await server.call('POST', `${CRM}/v3/projects/demo:setIamPolicy`, { policy: { ...policy, bindings: [...policy.bindings, { role, members: [MALLORY] }] } });
      expect(answer.status, role).toBe(400);
    }
  });
});
