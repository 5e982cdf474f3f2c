/** Service Usage as gcloud and Terraform ask it, through both doors. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { State } from '../src/gen/google/api/serviceusage/v1/resources_pb.js';
import { ServiceUsage } from '../src/gen/google/api/serviceusage/v1/serviceusage_pb.js';
import { ENABLED_FROM_THE_START } from '../src/store/enabled-services.ts';
import { startTestServer, type TestServer } from './harness/server.ts';

const V1 = '/serviceusage.googleapis.com/v1';
const P = `${V1}/projects/demo/services`;

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

const namesOf = (json: { services?: { config: { name: string } }[] }) => (json.services ?? []).map(({ config }) => config.name);

describe('services', () => {
  test('what is served is enabled from the start, in every project', async () => {
    expect((await server.call('GET', `${P}/run.googleapis.com`)).json).toEqual({
      name: 'projects/123456789012/services/run.googleapis.com',
      parent: 'projects/123456789012',
      config: { name: 'run.googleapis.com', title: 'Cloud Run Admin API' },
      state: 'ENABLED',
    });
    const list = await server.call('GET', `${P}?filter=state:ENABLED&pageSize=200`);
    expect(namesOf(list.json)).toEqual(ENABLED_FROM_THE_START);
    await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/projects', { projectId: 'another-one' });
    expect(namesOf((await server.call('GET', `${V1}/projects/another-one/services?filter=state:ENABLED`)).json)).toEqual(ENABLED_FROM_THE_START);
  });

  test('enabled and disabled by operations that are done at once; what is so already is an idle one', async () => {
    const enabled = await server.call('POST', `${P}/pubsub.googleapis.com:enable`, {});
    expect(enabled.json).toMatchObject({
      name: expect.stringMatching(/^operations\/acf\.p2-123456789012-[0-9a-f-]{36}$/),
      done: true,
      metadata: { '@type': 'type.googleapis.com/google.api.serviceusage.v1.OperationMetadata', resourceNames: ['projects/123456789012/services/pubsub.googleapis.com'] },
      response: { '@type': 'type.googleapis.com/google.api.serviceusage.v1.EnableServiceResponse', service: { state: 'ENABLED' } },
    });
    expect((await server.call('GET', `${V1}/${enabled.json.name}`)).json).toEqual(enabled.json);
    expect((await server.call('GET', `${V1}/${enabled.json.name}`, undefined, { as: 'user:nobody@example.com' })).status).toBe(403);
    expect((await server.call('POST', `${P}/pubsub.googleapis.com:enable`, {})).json).toMatchObject({ name: 'operations/noop.DONE_OPERATION', done: true });
    expect((await server.call('POST', `${P}/pubsub.googleapis.com:disable`, {})).json).toMatchObject({ done: true, response: { service: { state: 'DISABLED' } } });
    expect((await server.call('GET', `${P}/pubsub.googleapis.com`)).json.state).toBe('DISABLED');
    expect((await server.call('POST', `${P}/pubsub.googleapis.com:disable`, {})).json.error).toMatchObject({ status: 'FAILED_PRECONDITION' });
  });

  test('several at once, all or none', async () => {
    const batch = await server.call('POST', `${P}:batchEnable`, { serviceIds: ['run.googleapis.com', 'pubsub.googleapis.com'] });
    expect(namesOf(batch.json.response)).toEqual(['run.googleapis.com', 'pubsub.googleapis.com']);
    const wrong = await server.call('POST', `${P}:batchEnable`, { serviceIds: ['compute.googleapis.com', 'no-such.googleapis.com'] });
    expect(wrong.json.error).toMatchObject({ code: 403, message: 'Not found or permission denied for service(s): no-such.googleapis.com.' });
    const got = await server.call('GET', `${P}:batchGet?names=projects/demo/services/pubsub.googleapis.com&names=projects/123456789012/services/compute.googleapis.com`);
    expect(got.json.services.map(({ state }: { state: string }) => state)).toEqual(['ENABLED', 'DISABLED']);
    expect((await server.call('POST', `${P}:batchEnable`, { serviceIds: [] })).status).toBe(400);
  });

  test('are listed in pages; other filters are refused', async () => {
    const names: string[] = [];
    let token = '';
    do {
      const { json } = await server.call('GET', `${P}?pageSize=7&pageToken=${token}`);
      names.push(...namesOf(json));
      token = json.nextPageToken ?? '';
    } while (token !== '');
    expect(names.length).toBeGreaterThan(40);
    expect(new Set(names).size).toBe(names.length);
    expect((await server.call('GET', `${P}?filter=name:run`)).status).toBe(400);
    expect((await server.call('GET', `${V1}/folders/222222222222/services`)).status).toBe(400);
  });

  test('a denial is in the words of Service Usage', async () => {
    const as = { as: 'user:nobody@example.com' };
    expect((await server.call('GET', `${P}/run.googleapis.com`, undefined, as)).json.error).toMatchObject({
      code: 403,
      message: 'Permission denied to get service [run.googleapis.com]',
    });
    expect((await server.call('GET', P, undefined, as)).json.error.message).toBe('Permission denied to list services for consumer container [projects/demo]');
  });
});

test('gRPC', async () => {
  const usage = createClient(ServiceUsage, await server.grpc());
  await usage.enableService({ name: 'projects/demo/services/workflows.googleapis.com' });
  expect(await usage.getService({ name: 'projects/demo/services/workflows.googleapis.com' })).toMatchObject({ state: State.ENABLED });
  expect((await usage.listServices({ parent: 'projects/demo', filter: 'state:DISABLED' })).services.every(({ state }) => state === State.DISABLED)).toBe(true);
});
