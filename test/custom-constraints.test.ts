/** Custom constraints on jobs, service accounts and keys: enforced by a policy, in force when something is created or changed. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';

const V2 = '/orgpolicy.googleapis.com/v2';
const ORGANIZATION = 'organizations/111111111111';
const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const ACCOUNTS = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

let next = 0;
/** Makes the constraint and a policy that enforces it, for as long as `work` takes. @param policy of the project; enforces it unless given */
async function within(constraint: object, work: (id: string) => Promise<void>, policy: object = { spec: { rules: [{ enforce: true }] } }): Promise<void> {
  const id = `custom.c${(next += 1)}`;
  const made = await server.call('POST', `${V2}/${ORGANIZATION}/customConstraints`, {
    name: `${ORGANIZATION}/customConstraints/${id}`,
    resourceTypes: ['run.googleapis.com/Job'],
    methodTypes: ['CREATE', 'UPDATE'],
    actionType: 'DENY',
    ...constraint,
  });
  if (made.status !== 200) throw new Error(made.text);
  await server.call('POST', `${V2}/projects/demo/policies`, { name: `projects/demo/policies/${id}`, ...policy });
  try {
    await work(id);
  } finally {
    await server.call('DELETE', `${V2}/projects/demo/policies/${id}`);
    await server.call('DELETE', `${V2}/${ORGANIZATION}/customConstraints/${id}`);
  }
}
const createJob = (id: string, change: object = {}, task: object = {}) =>
  server.call('POST', `${JOBS}?jobId=${id}`, { template: { template: { containers: [{ image: 'example.com/i' }], ...task } }, ...change });

/** What stands in a DENY constraint, and a job that it refuses and one that it lets pass. */
const CASES: readonly (readonly [string, string, object, object])[] = [
  ['the number of tasks', 'resource.spec.template.spec.taskCount > 10', { template: { taskCount: 11 } }, { template: { taskCount: 10 } }],
  ['the account', "resource.spec.template.spec.template.spec.serviceAccountName.endsWith('-compute@developer.gserviceaccount.com')", {}, {}],
  ['an image', "resource.spec.template.spec.template.spec.containers.exists(c, c.image.startsWith('docker.io/'))", { image: 'docker.io/x' }, {}],
  ['a label that must be there', "!('team' in resource.metadata.labels)", {}, { labels: { team: 'data' } }],
  ['memory', "resource.spec.template.spec.template.spec.containers.exists(c, c.resources.limits['memory'] == '4Gi')", { limits: { cpu: '2', memory: '4Gi' } }, {}],
  ['retries', 'resource.spec.template.spec.template.spec.maxRetries > 0', {}, { maxRetries: 0 }],
  ['a volume', 'resource.spec.template.spec.template.spec.volumes.exists(v, has(v.emptyDir))', { volume: true }, {}],
  ['an annotation of the template', "'run.googleapis.com/execution-environment' in resource.spec.template.metadata.annotations", {}, { skip: true }],
  ['the name', "resource.metadata.name.matches('^refused')", {}, {}],
];

function jobOf(of: { image?: string; limits?: object; volume?: boolean; maxRetries?: number; labels?: object; template?: object; serviceAccount?: string }): object {
  const { image = 'example.com/i', limits, volume, maxRetries, labels = {}, template = {}, serviceAccount } = of;
  return {
    labels,
    template: {
      ...template,
      template: {
        containers: [{ image, ...(limits === undefined ? {} : { resources: { limits } }), ...(volume === true ? { volumeMounts: [{ name: 'v', mountPath: '/v' }] } : {}) }],
        ...(volume === true ? { volumes: [{ name: 'v', emptyDir: { medium: 'MEMORY' } }] } : {}),
        ...(maxRetries === undefined ? {} : { maxRetries }),
        ...(serviceAccount === undefined ? {} : { serviceAccount }),
      },
    },
  };
}

describe('jobs', () => {
  test.each(CASES)('%s, in the shape of version 1', async (name, condition, refused, allowed) => {
    const number = (next += 1);
    const account = name === 'the account' ? (await server.call('POST', ACCOUNTS, { accountId: `runner-${number}` })).json.email : undefined;
    await within({ condition }, async (id) => {
      const denied = await server.call('POST', `${JOBS}?jobId=refused-${number}`, jobOf(refused));
      expect(denied.json.error?.message).toContain(`"constraints/${id}": ""`);
      if ('skip' in allowed) return;
      const passed = await server.call('POST', `${JOBS}?jobId=passes-${number}`, jobOf({ ...allowed, ...(account === undefined ? {} : { serviceAccount: account }) }));
      expect(passed.status, passed.text).toBe(200);
    });
  });

  test('the error names the job, the constraint and what it says about itself', async () => {
    await within({ condition: 'true', description: 'No more jobs.' }, async (id) => {
      const { json } = await createJob('never');
      expect(json.error).toEqual({
        code: 400,
        status: 'FAILED_PRECONDITION',
        message: `Operation denied by org policy on resource 'projects/demo/locations/us-central1/jobs/never': ["constraints/${id}": "No more jobs."].`,
        details: [
          {
            '@type': 'type.googleapis.com/google.rpc.ErrorInfo',
            reason: 'CUSTOM_ORG_POLICY_VIOLATION',
            domain: 'googleapis.com',
            metadata: { customConstraints: `constraints/${id}`, resource: 'projects/demo/locations/us-central1/jobs/never' },
          },
        ],
      });
    });
    expect((await createJob('never')).status).toBe(200);
  });

  test('what is allowed alone, and what is refused on creation alone', async () => {
    await createJob('there-already', { labels: { team: 'x' } });
    await within({ condition: "resource.metadata.labels['team'] == 'data'", actionType: 'ALLOW', methodTypes: ['CREATE'] }, async () => {
      expect((await createJob('of-data', { labels: { team: 'data' } })).status).toBe(200);
      expect((await createJob('of-others', { labels: { team: 'others' } })).status).toBe(400);
      expect((await createJob('of-nobody')).json.error.message).toContain('(The condition could not be evaluated: no such key: team.)');
      const update = await server.call('PATCH', `${JOBS}/there-already`, { labels: { team: 'y' }, template: { template: { containers: [{ image: 'example.com/i' }] } } });
      expect(update.status).toBe(200);
    });
  });

  test('an update is refused as well, and so is a validation', async () => {
    await createJob('grows');
    await within({ condition: 'resource.spec.template.spec.taskCount > 1' }, async () => {
      const body = { template: { taskCount: 2, template: { containers: [{ image: 'example.com/i' }] } } };
      expect((await server.call('PATCH', `${JOBS}/grows`, body)).status).toBe(400);
      expect((await server.call('POST', `${JOBS}?jobId=checked&validateOnly=true`, body)).status).toBe(400);
    });
  });

  test('through version 1 of the API', async () => {
    await within({ condition: 'resource.spec.template.spec.taskCount > 1' }, async (id) => {
      const body = {
        apiVersion: 'run.googleapis.com/v1',
        kind: 'Job',
        metadata: { name: 'by-v1', namespace: 'demo' },
        spec: { template: { spec: { taskCount: 2, template: { spec: { containers: [{ image: 'example.com/i' }] } } } } },
      };
      const answer = await server.call('POST', '/us-central1-run.googleapis.com/apis/run.googleapis.com/v1/namespaces/demo/jobs', body);
      expect(answer).toMatchObject({ status: 400, json: { error: { message: expect.stringContaining(id) } } });
    });
  });

  test('of several constraints, each that refuses is named', async () => {
    await within({ condition: 'true', displayName: 'One' }, async (one) =>
      within({ condition: 'true', displayName: 'Two' }, async (two) => {
        expect((await createJob('twice')).json.error.message).toContain(`["constraints/${one}": "One", "constraints/${two}": "Two"]`);
      }),
    );
  });

  test('not enforced, in dry run, or of another type: nothing is refused', async () => {
    const refusesAll = { condition: 'true' };
    await within(refusesAll, async () => expect((await createJob('free-1')).status).toBe(200), { spec: { rules: [{ enforce: false }] } });
    await within(refusesAll, async () => expect((await createJob('free-2')).status).toBe(200), { dryRunSpec: { rules: [{ enforce: true }] } });
    await within({ ...refusesAll, resourceTypes: ['run.googleapis.com/Service'] }, async () => expect((await createJob('free-3')).status).toBe(200));
  });

  test('a constraint that is deleted leaves its policy behind, which restricts nothing', async () => {
    await within({ condition: 'true' }, async (id) => {
      await server.call('DELETE', `${V2}/${ORGANIZATION}/customConstraints/${id}`);
      expect((await createJob('after-all')).status).toBe(200);
      expect((await server.call('GET', `${V2}/projects/demo/policies/${id}`)).status).toBe(200);
    });
  });

  test.each(['ALLOW', 'DENY'])('of action %s, a text too long to match refuses', async (actionType) => {
    const condition = "resource.spec.template.spec.template.spec.containers.exists(c, c.env.exists(e, e.value.matches('^(a?b?){200}$')))";
    await within({ condition, actionType }, async (id) => {
      const job = (value: string) => ({ template: { template: { containers: [{ image: 'example.com/i', env: [{ name: 'E', value }] }] } } });
      const { status, json, text } = await server.call('POST', `${JOBS}?jobId=long-${actionType.toLowerCase()}`, job('ab'.repeat(15_000)));
      expect(status, text).toBe(400);
      expect(json.error.message).toContain(id);
      expect(json.error.message).toContain('the text is too long for this pattern');
      expect((await server.call('GET', `${JOBS}/long-${actionType.toLowerCase()}`)).status).toBe(404);
    });
  });

  test('a condition that would take too long is ended, and refuses', async () => {
    const env = Array.from({ length: 60 }, (_, i) => ({ name: `E${i}`, value: 'x' }));
    const list = 'resource.spec.template.spec.template.spec.containers[0].env';
    const condition = `${list}.exists(a, ${list}.exists(b, ${list}.exists(c, ${list}.exists(d, a.name + b.name + c.name + d.name == 'x'))))`;
    await within({ condition }, async () => {
      const started = performance.now();
      const { json } = await server.call('POST', `${JOBS}?jobId=slow`, { template: { template: { containers: [{ image: 'example.com/i', env }] } } });
      expect(json.error.message).toContain('too many steps');
      expect(performance.now() - started).toBeLessThan(2000);
    });
  });
});

describe('service accounts and keys', () => {
  test('accounts, when they are created and changed', async () => {
    const free = (await server.call('POST', ACCOUNTS, { accountId: 'free-account' })).json;
    await within({ resourceTypes: ['iam.googleapis.com/ServiceAccount'], condition: "resource.description == ''", displayName: 'Say what it is for' }, async (id) => {
      const denied = await server.call('POST', ACCOUNTS, { accountId: 'no-text' });
      expect(denied.json.error.message).toBe(
        `Operation denied by org policy on resource 'projects/demo/serviceAccounts/no-text@demo.iam.gserviceaccount.com': ["constraints/${id}": "Say what it is for"].`,
      );
      expect((await server.call('POST', ACCOUNTS, { accountId: 'with-text', serviceAccount: { description: 'reports' } })).status).toBe(200);
      const patch = (description: string) => server.call('PATCH', `/iam.googleapis.com/v1/${free.name}`, { serviceAccount: { description }, updateMask: 'description' });
      expect((await patch('')).status).toBe(400);
      expect((await patch('tests')).status).toBe(200);
    });
  });

  test('keys: those that are made here, and those that are uploaded', async () => {
    const { name } = (await server.call('POST', ACCOUNTS, { accountId: 'with-keys' })).json;
    await within({ resourceTypes: ['iam.googleapis.com/ServiceAccountKey'], methodTypes: ['CREATE'], condition: "resource.keyOrigin == 'GOOGLE_PROVIDED'" }, async (id) => {
      expect(await server.call('POST', `/iam.googleapis.com/v1/${name}/keys`, {})).toMatchObject({ status: 400, json: { error: { message: expect.stringContaining(id) } } });
    });
    expect((await server.call('POST', `/iam.googleapis.com/v1/${name}/keys`, {})).status).toBe(200);
  });
});
