/** Resource Manager's folders, liens and tags through both doors, and tags along the life of what they are bound to. */
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Folders } from '../src/gen/google/cloud/resourcemanager/v3/folders_pb.js';
import { TagBindings } from '../src/gen/google/cloud/resourcemanager/v3/tag_bindings_pb.js';
import { TagHolds } from '../src/gen/google/cloud/resourcemanager/v3/tag_holds_pb.js';
import { TagKeys } from '../src/gen/google/cloud/resourcemanager/v3/tag_keys_pb.js';
import { TagValues } from '../src/gen/google/cloud/resourcemanager/v3/tag_values_pb.js';
import { Liens } from '../src/gen/google/cloudresourcemanager/v1/liens_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';

const V3 = '/cloudresourcemanager.googleapis.com/v3';
const ORG = 'organizations/111111111111';
const EMPTY = { done: true, response: { '@type': 'type.googleapis.com/google.protobuf.Empty' } };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

/** @returns the finished operation's response */
// JSON of an answer is read by the test that knows its shape.
// oxlint-disable-next-line typescript/no-explicit-any
async function finish(verb: string, path: string, body?: unknown): Promise<any> {
  const started = await server.call(verb, `${V3}/${path}`, body);
  expect(started.text).toContain('operations/');
  const { json } = await server.call('GET', `${V3}/${started.json.name}`);
  expect(json.done).toBe(true);
  return json.response;
}

async function newValue(shortName: string): Promise<{ key: string; value: string }> {
  const { name: key } = await finish('POST', 'tagKeys', { parent: ORG, shortName });
  const { name: value } = await finish('POST', 'tagValues', { parent: key, shortName: 'on' });
  return { key, value };
}

async function boundTo(parent: string): Promise<string[]> {
  const { json } = await server.call('GET', `${V3}/tagBindings?parent=${encodeURIComponent(parent)}`);
  return (json.tagBindings ?? []).map(({ tagValue }: { tagValue: string }) => tagValue);
}

describe('REST', () => {
  test('a binding is removed by its name, encoded once or twice, at regional and multi-regional hosts', async () => {
    const { value } = await newValue('encoded');
    const parent = '//cloudresourcemanager.googleapis.com/projects/123456789012';
    for (const [host, name] of [
      ['cloudresourcemanager', encodeURIComponent(parent)],
      ['us-central1-cloudresourcemanager', encodeURIComponent(encodeURIComponent(parent))],
      ['us-cloudresourcemanager', encodeURIComponent(parent)],
    ]) {
      const at = `/${host}.googleapis.com/v3`;
      const made = await server.call('POST', `${at}/tagBindings`, { parent, tagValue: value });
      expect(made.json).toEqual({
        done: true,
        response: {
          '@type': 'type.googleapis.com/google.cloud.resourcemanager.v3.TagBinding',
          name: `tagBindings/${encodeURIComponent(parent)}/${value}`,
          parent,
          tagValue: value,
          tagValueNamespacedName: '111111111111/encoded/on',
        },
      });
      expect((await server.call('GET', `${at}/tagBindings/?parent=${encodeURIComponent(parent)}`)).json.tagBindings).toHaveLength(1);
      expect((await server.call('DELETE', `${at}/tagBindings/${name}/${value}`)).json).toEqual(EMPTY);
    }
    await finish('DELETE', value);
  });

  test('a job takes its tags with it', async () => {
    const { value } = await newValue('jobs');
    const job = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
    const parent = '//run.googleapis.com/projects/demo/locations/us-central1/jobs/tagged';
    const create = async () => {
      const { json } = await server.call('POST', `${job}?jobId=tagged`, { template: { template: { containers: [{ image: 'example.com/i' }] } } });
      await server.call('POST', `/run.googleapis.com/v2/${json.name}:wait`, {});
    };
    await create();
    expect((await server.call('POST', `${V3}/tagBindings`, { parent, tagValue: value })).status).toBe(200);
    expect(await boundTo('//run.googleapis.com/projects/123456789012/locations/us-central1/jobs/tagged')).toEqual([value]);
    const { json } = await server.call('DELETE', `${job}/tagged`);
    await server.call('POST', `/run.googleapis.com/v2/${json.name}:wait`, {});
    await create();
    expect(await boundTo(parent)).toEqual([]);
    await finish('DELETE', value);
  });

  test('a service account takes its tags with it, and brings them back', async () => {
    const { value } = await newValue('accounts');
    const accounts = '/iam.googleapis.com/v1/projects/demo/serviceAccounts';
    const email = 'tagged-one@demo.iam.gserviceaccount.com';
    const { uniqueId } = (await server.call('POST', accounts, { accountId: 'tagged-one' })).json;
    const parent = `//iam.googleapis.com/projects/demo/serviceAccounts/${email}`;
    expect((await server.call('POST', `${V3}/tagBindings`, { parent, tagValue: value })).status).toBe(200);
    expect(await boundTo(`//iam.googleapis.com/projects/123456789012/serviceAccounts/${uniqueId}`)).toEqual([value]);
    await server.call('DELETE', `${accounts}/${email}`);
    expect((await server.call('GET', `${V3}/tagBindings?parent=${encodeURIComponent(parent)}`)).status).toBe(404);
    await server.call('POST', `${accounts}/${uniqueId}:undelete`, {});
    expect(await boundTo(parent)).toEqual([value]);
  });

  test('liens are the same at v1 and v3, with the older errors list', async () => {
    const made = await server.call('POST', '/cloudresourcemanager.googleapis.com/v1/liens', {
      parent: 'projects/demo',
      restrictions: ['resourcemanager.projects.delete'],
      origin: 'test',
    });
    expect((await server.call('GET', `${V3}/liens?parent=projects/demo`)).json).toEqual({ liens: [made.json] });
    const refused = await server.call('DELETE', `${V3}/projects/demo`);
    expect(refused.json.error).toMatchObject({
      status: 'FAILED_PRECONDITION',
      details: [{ '@type': 'type.googleapis.com/google.rpc.PreconditionFailure', violations: [{ type: 'LIEN', subject: made.json.name }] }],
    });
    expect((await server.call('GET', '/cloudresourcemanager.googleapis.com/v1/liens/x')).json.error.errors).toMatchObject([{ reason: 'badRequest' }]);
    expect((await server.call('DELETE', `${V3}/${made.json.name}`)).json).toEqual({});
  });
});

test('gRPC', async () => {
  const transport = await server.grpc();
  const [folders, keys, values, bindings, holds, liens] = [
    createClient(Folders, transport),
    createClient(TagKeys, transport),
    createClient(TagValues, transport),
    createClient(TagBindings, transport),
    createClient(TagHolds, transport),
    createClient(Liens, transport),
  ];
  await folders.createFolder({ folder: { displayName: 'By gRPC', parent: ORG } });
  const { folders: found } = await folders.searchFolders({ query: 'displayName="By gRPC"' });
  const parent = `//cloudresourcemanager.googleapis.com/${found[0]?.name}`;
  await keys.createTagKey({ tagKey: { parent: ORG, shortName: 'grpc' } });
  const key = await keys.getNamespacedTagKey({ name: '111111111111/grpc' });
  await values.createTagValue({ tagValue: { parent: key.name, shortName: 'on' } });
  const value = await values.getNamespacedTagValue({ name: '111111111111/grpc/on' });
  await holds.createTagHold({ parent: value.name, tagHold: { holder: '//x.example/y' } });
  expect((await holds.listTagHolds({ parent: value.name })).tagHolds).toHaveLength(1);
  expect(await bindings.createTagBinding({ tagBinding: { parent, tagValue: value.name } })).toMatchObject({ name: '', done: true });
  const { tagBindings } = await bindings.listTagBindings({ parent });
  expect((await bindings.listEffectiveTags({ parent })).effectiveTags).toMatchObject([{ tagValue: value.name, inherited: false }]);
  await bindings.deleteTagBinding({ name: tagBindings[0]?.name ?? '' });
  expect((await bindings.listTagBindings({ parent })).tagBindings).toEqual([]);
  const lien = await liens.createLien({ lien: { parent: 'projects/demo', restrictions: ['resourcemanager.projects.delete'] } });
  expect(await liens.getLien({ name: lien.name })).toEqual(lien);
  await liens.deleteLien({ name: lien.name });
});
