/** Cloud Run v1 through the REST door, in the order in which gcloud asks: the region in the host, in the path, or not at all. */
import { request } from 'node:http';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const JOBS = '/run.googleapis.com/r/us-central1/apis/run.googleapis.com/v1/namespaces/demo/jobs';
const EXECUTIONS = JOBS.replace(/jobs$/, 'executions');
const TASKS = JOBS.replace(/jobs$/, 'tasks');
const NUMBER = '123456789012';

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

function body(name: string, change: { metadata?: object; task?: object; spec?: object; container?: object; notes?: object } = {}): object {
  return {
    apiVersion: 'run.googleapis.com/v1',
    kind: 'Job',
    metadata: { name, namespace: 'demo', annotations: { 'run.googleapis.com/client-name': 'gcloud', 'run.googleapis.com/launch-stage': 'ALPHA' }, labels: {}, ...change.metadata },
    spec: {
      template: {
        metadata: { annotations: { 'run.googleapis.com/client-name': 'gcloud', ...change.notes }, labels: { 'client.knative.dev/nonce': 'a_b_c' } },
        spec: { taskCount: 2, ...change.spec, template: { spec: { containers: [{ image: 'local/image', name: '', ...change.container }], nodeSelector: {}, ...change.task } } },
      },
    },
    status: { latestCreatedExecution: {} },
  };
}

async function ready(name: string): Promise<Record<string, never>> {
  let job:
    | { json: Record<string, never> & { status?: { conditions?: { type: string; status: string }[]; observedGeneration?: number }; metadata?: { generation?: number } } }
    | undefined;
  await until('the state that is waited for', async () => {
    job = await server.call('GET', `${JOBS}/${name}`);
    const condition = job.json.status?.conditions?.find(({ type }) => type === 'Ready');
    return condition?.status === 'True' && job.json.status?.observedGeneration === job.json.metadata?.generation;
  });
  return job?.json ?? {};
}

describe('jobs', () => {
  test('create, get, replace and delete, as gcloud does', async () => {
    const created = await server.call('POST', `${JOBS}?alt=json`, body('first'));
    expect(created.status).toBe(200);
    expect(created.json).toMatchObject({
      kind: 'Job',
      metadata: {
        namespace: NUMBER,
        generation: 1,
        selfLink: `/apis/run.googleapis.com/v1/namespaces/${NUMBER}/jobs/first`,
        labels: { 'cloud.googleapis.com/location': 'us-central1' },
        annotations: { 'run.googleapis.com/creator': 'owner@example.com', 'run.googleapis.com/client-name': 'gcloud' },
      },
      spec: {
        template: {
          metadata: { annotations: { 'run.googleapis.com/execution-environment': 'gen2' }, labels: { 'client.knative.dev/nonce': 'a_b_c' } },
          spec: { taskCount: 2, template: { spec: { maxRetries: 3, timeoutSeconds: '600', serviceAccountName: `${NUMBER}-compute@developer.gserviceaccount.com` } } },
        },
      },
      status: {},
    });
    expect(created.json.metadata.annotations).not.toHaveProperty('run.googleapis.com/launch-stage');
    const job: Record<string, never> & { metadata?: { resourceVersion?: string } } = await ready('first');
    const again = structuredClone(job) as unknown as { spec: { template: { spec: { taskCount: number } } } };
    again.spec.template.spec.taskCount = 3;
    const replaced = await server.call('PUT', `${JOBS}/first`, again);
    expect(replaced.json).toMatchObject({
      metadata: { generation: 2 },
      spec: { template: { spec: { taskCount: 3 } } },
      status: { observedGeneration: 1, conditions: [{ type: 'Ready', status: 'True' }] },
    });
    const stale = await server.call('PUT', `${JOBS}/first`, again);
    expect(stale.status).toBe(409);
    expect(stale.json.error).toMatchObject({ status: 'ABORTED', message: expect.stringContaining("Conflict for resource 'first': version '") });
    await ready('first');
    const deleted = await server.call('DELETE', `${JOBS}/first`);
    expect(deleted.json).toMatchObject({ status: 'Success', details: { group: 'v1', kind: 'job', name: 'first' } });
    await until('the state that is waited for', async () => (await server.call('GET', `${JOBS}/first`)).status === 404);
  });

  test('the region is in the host, in the path, or in neither for a list over all', async () => {
    await server.call('POST', JOBS, body('here'));
    await server.call('POST', JOBS.replace('us-central1', 'europe-west1'), body('there'));
    const names = (answer: { json: { items: { metadata: { name: string } }[] } }) => answer.json.items.map(({ metadata }) => metadata.name).filter((name) => /^t?here$/.test(name));
    expect(names(await server.call('GET', JOBS))).toEqual(['here']);
    expect(names(await server.call('GET', JOBS.replace('/r/us-central1', '')))).toEqual(['there', 'here']);
    const { status, text } = await regional('europe-west1-run.googleapis.com', '/apis/run.googleapis.com/v1/namespaces/demo/jobs/there');
    expect(status, text).toBe(200);
    expect((await regional('us-central1-run.googleapis.com', '/apis/run.googleapis.com/v1/namespaces/demo/jobs/there')).status).toBe(404);
    expect((await regional('us-central1-run.googleapis.com', '/r/europe-west1/apis/run.googleapis.com/v1/namespaces/demo/jobs/there')).status).toBe(400);
    expect((await server.call('GET', '/run.googleapis.com/r/us-central1/v1/projects/demo/locations/us-central1/jobs/here:getIamPolicy')).status).toBe(200);
  });

  test('what one view writes the other reads', async () => {
    const v2 = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
    const template = { template: { containers: [{ image: 'local/image', env: [{ name: 'A', value: 'b' }] }], timeout: '60s', maxRetries: 0 } };
    expect((await server.call('POST', `${v2}?jobId=from-v2`, { template, labels: { team: 'x' } })).status).toBe(200);
    expect((await server.call('GET', `${JOBS}/from-v2`)).json).toMatchObject({
      metadata: { labels: { team: 'x' } },
      spec: { template: { spec: { template: { spec: { timeoutSeconds: '60', maxRetries: 0, containers: [{ env: [{ name: 'A', value: 'b' }] }] } } } } },
    });
    await server.call('POST', JOBS, body('from-v1', { task: { maxRetries: 0, timeoutSeconds: '30' } }));
    expect((await server.call('GET', `${v2}/from-v1`)).json).toMatchObject({ template: { taskCount: 2, template: { timeout: '30s', maxRetries: 0 } }, client: 'gcloud' });
  });

  test('a connector is named by its id, as gcloud has it, and in full', async () => {
    const v2 = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
    for (const given of ['c', 'projects/other/locations/us-central1/connectors/d']) {
      const job = body('connected', { notes: { 'run.googleapis.com/vpc-access-connector': given } });
      const sent = given === 'c' ? await server.call('POST', JOBS, job) : await server.call('PUT', `${JOBS}/connected`, job);
      expect(sent.status, sent.text).toBe(200);
      const connector = given === 'c' ? 'projects/demo/locations/us-central1/connectors/c' : given;
      expect((await server.call('GET', `${v2}/connected`)).json).toMatchObject({ template: { template: { vpcAccess: { connector } } } });
    }
  });

  test('dryRun checks and stores nothing', async () => {
    expect((await server.call('POST', `${JOBS}?dryRun=all`, body('dry'))).status).toBe(200);
    expect((await server.call('GET', `${JOBS}/dry`)).status).toBe(404);
    expect((await server.call('POST', `${JOBS}?dryRun=some`, body('dry'))).json.error.message).toContain('dry_run: must be all or empty');
  });

  test.each([
    ['another kind', { ...body('bad'), kind: 'Service' }, 'kind: must be Job'],
    ['another version', { ...body('bad'), apiVersion: 'v1' }, 'apiVersion: must be run.googleapis.com/v1'],
    ['another namespace', body('bad', { metadata: { namespace: 'other' } }), 'metadata.namespace: must be demo or 123456789012'],
    [
      'an annotation that means nothing here',
      body('bad', { metadata: { annotations: { 'run.googleapis.com/nonsense': '1' } } }),
      "Annotation 'run.googleapis.com/nonsense' with value '1' is not supported on resources of kind Job.",
    ],
    ['a field that v1 does not have', body('bad', { container: { securityContext: {} } }), 'Unknown name "securityContext"'],
    ['two kinds of a volume', body('bad', { task: { volumes: [{ name: 'v', emptyDir: {}, nfs: { server: 's', path: '/' } }] } }), 'one of secret, empty_dir, nfs and csi alone'],
    ['a name that is none', body('Bad'), 'only lowercase, digits, and hyphens'],
  ])('refuses %s by name', async (_name, sent, words) => {
    const answer = await server.call('POST', JOBS, sent);
    expect(answer.status).toBe(400);
    expect(answer.json.error.message).toContain(words);
  });

  test('a denial names the object as v1 does, whether it exists or not', async () => {
    await server.call('POST', JOBS, body('secret-job'));
    const texts = await Promise.all(
      ['secret-job', 'no-such-job'].map(async (name) =>
        (await server.call('GET', `${JOBS}/${name}`, undefined, { as: 'user:nobody@elsewhere.example' })).text.replaceAll(name, 'X'),
      ),
    );
    expect(texts[0]).toBe(texts[1]);
    expect(texts[0]).toContain("Permission 'run.jobs.get' denied on resource 'namespaces/demo/jobs/X' (or resource may not exist).");
  });
});

describe('executions and tasks', () => {
  test('run, follow, list by label and page, and read', async () => {
    await server.call('POST', JOBS, body('runs', { spec: { taskCount: 3 } }));
    const run = await server.call('POST', `${JOBS}/runs:run`, {});
    expect(run.json).toMatchObject({
      kind: 'Execution',
      metadata: { namespace: NUMBER, labels: { 'run.googleapis.com/job': 'runs', 'cloud.googleapis.com/location': 'us-central1' } },
    });
    const { name } = run.json.metadata;
    await until('the state that is waited for', async () =>
      (await server.call('GET', `${EXECUTIONS}/${name}`)).json.status.conditions.some((c: { type: string; status: string }) => c.type === 'Completed' && c.status === 'True'),
    );
    const done = (await server.call('GET', EXECUTIONS.replace('/demo/', `/${NUMBER}/`) + `/${name}`)).json;
    expect(done.status.conditions.map(({ type }: { type: string }) => type)).toEqual(expect.arrayContaining(['Completed', 'ResourcesAvailable', 'Started']));
    expect(done.status.succeededCount).toBe(3);
    const selector = encodeURIComponent('run.googleapis.com/job = runs');
    expect((await server.call('GET', `${EXECUTIONS}?limit=100&labelSelector=${selector}`)).json).toMatchObject({
      kind: 'ExecutionList',
      metadata: {},
      items: [{ metadata: { name } }],
    });
    const tasks = encodeURIComponent(`run.googleapis.com/execution = ${name},run.googleapis.com/runningState in (Succeeded)`);
    const page = (await server.call('GET', `${TASKS}?limit=2&labelSelector=${tasks}`)).json;
    expect(page.items).toHaveLength(2);
    const rest = (await server.call('GET', `${TASKS}?limit=2&labelSelector=${tasks}&continue=${encodeURIComponent(page.metadata.continue)}`)).json;
    expect([...page.items, ...rest.items].map((task: { metadata: { name: string } }) => task.metadata.name)).toEqual([0, 1, 2].map((index) => `${name}-task${index}`));
    expect(rest.metadata.continue).toBeUndefined();
    expect((await server.call('GET', `${TASKS}/${name}-task1`)).json).toMatchObject({
      status: { index: 1, lastAttemptResult: { status: {} } },
      metadata: { labels: { 'run.googleapis.com/runningState': 'Succeeded' } },
    });
    expect((await server.call('DELETE', `${EXECUTIONS}/${name}`)).json).toMatchObject({ status: 'Success', details: { kind: 'execution' } });
    expect((await server.call('GET', `${EXECUTIONS}/${name}`)).status).toBe(404);
  });

  test('overrides need their own permission, and cancelling shows as Cancelled', async () => {
    await server.call('POST', JOBS, body('long', { container: { env: [{ name: 'FAKE_DURATION_MS', value: '600000' }] } }));
    const overrides = { overrides: { taskCount: 1, timeoutSeconds: 60, containerOverrides: [{ env: [{ name: 'B', value: 'c' }] }] } };
    const denied = await server.call('POST', `${JOBS}/long:run`, overrides, { as: 'user:nobody@elsewhere.example' });
    expect(denied.json.error.message).toContain("Permission 'run.jobs.runWithOverrides' denied on resource 'namespaces/demo/jobs/long'");
    const { name } = (await server.call('POST', `${JOBS}/long:run`, overrides)).json.metadata;
    expect((await server.call('GET', `${EXECUTIONS}/${name}`)).json).toMatchObject({ spec: { taskCount: 1, template: { spec: { timeoutSeconds: '60' } } } });
    expect((await server.call('POST', `${EXECUTIONS}/${name}:cancel`, {})).status).toBe(200);
    await until('the state that is waited for', async () =>
      (await server.call('GET', `${EXECUTIONS}/${name}`)).json.status.conditions.some(
        (c: { type: string; status: string; reason?: string }) => c.type === 'Completed' && c.status === 'False' && c.reason === 'Cancelled',
      ),
    );
  });
});

/** A request with the host of a region, as a proxy's client sends it; fetch does not let the host be set. */
async function regional(host: string, path: string): Promise<{ status: number; text: string }> {
  const { port } = new URL(server.url);
  return new Promise((resolve, reject) => {
    const sent = request({ host: '127.0.0.1', port, path, headers: { host, authorization: `Bearer ${server.ownerToken}` } }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }));
    });
    sent.on('error', reject).end();
  });
}
