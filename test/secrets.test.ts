/** Secret Manager v1 through both doors: states, names, checksums, policies, and what is never written anywhere. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { create } from '@bufbuild/protobuf';
import { createClient } from '@connectrpc/connect';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { SecretSchema } from '../src/gen/google/cloud/secretmanager/v1/resources_pb.js';
import { SecretManagerService } from '../src/gen/google/cloud/secretmanager/v1/service_pb.js';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const HOST = '/secretmanager.googleapis.com/v1';
const AUTOMATIC = { replication: { automatic: {} } };
const READER = 'user:reader@example.com';
let server: TestServer;
let number: string;
beforeAll(async () => {
  server = await startTestServer();
  number = (await server.call('GET', '/cloudresourcemanager.googleapis.com/v1/projects/demo')).json.projectNumber;
});
afterAll(() => server.close());

const call = (verb: string, path: string, body?: unknown, options?: Parameters<TestServer['call']>[3]) => server.call(verb, `${HOST}/${path}`, body, options);
const encoded = (text: string) => Buffer.from(text).toString('base64');
async function make(id: string, secret: object = AUTOMATIC, parent = 'projects/demo'): Promise<string> {
  const { json, status, text } = await call('POST', `${parent}/secrets?secretId=${id}`, secret);
  expect(status, text).toBe(200);
  return json.name;
}
const add = async (name: string, text: string) => (await call('POST', `${name}:addVersion`, { payload: { data: encoded(text) } })).json;

describe('secrets', () => {
  test('are named by the number of their project, and found by its id as well', async () => {
    const name = await make('named', { ...AUTOMATIC, labels: { a: 'b' }, annotations: { 'x.y': 'z' } });
    expect(name).toBe(`projects/${number}/secrets/named`);
    const { json } = await call('GET', 'projects/demo/secrets/named');
    expect(json).toEqual({
      name,
      replication: { automatic: {} },
      createTime: expect.any(String),
      labels: { a: 'b' },
      annotations: { 'x.y': 'z' },
      etag: expect.stringMatching(/^"[0-9a-f]+"$/),
    });
    expect((await call('GET', name)).json).toEqual(json);
    expect((await call('POST', 'projects/demo/secrets?secretId=named', AUTOMATIC)).json.error).toMatchObject({
      status: 'ALREADY_EXISTS',
      message: `Secret [${name}] already exists.`,
    });
    expect((await call('GET', 'projects/demo/secrets/none')).json.error.message).toBe(`Secret [projects/${number}/secrets/none] not found.`);
  });

  test('regional ones stand beside global ones, and answer at the host of their region', async () => {
    const parent = 'projects/demo/locations/europe-west1';
    const name = await make('regional', {}, parent);
    expect(name).toBe(`projects/${number}/locations/europe-west1/secrets/regional`);
    await add(name, 'there');
    const { json } = await server.call('GET', `/secretmanager.europe-west1.rep.googleapis.com/v1/${parent}/secrets/regional/versions/latest:access`);
    expect(json).toEqual({ name: `${name}/versions/1`, payload: { data: encoded('there'), dataCrc32c: expect.any(String) } });
    expect((await call('GET', 'projects/demo/secrets/regional')).status).toBe(404);
    expect((await call('GET', `${parent}/secrets`)).json).toMatchObject({ secrets: [{ name }], totalSize: 1 });
    expect((await call('POST', `${parent}/secrets?secretId=x`, AUTOMATIC)).json.error.message).toContain('replication');
  });

  test('are listed in pages, and filtered', async () => {
    for (const id of ['page-a', 'page-b', 'page-c']) await make(id, { ...AUTOMATIC, labels: { team: id === 'page-b' ? 'blue' : 'red' } });
    const ids = async (query: string) => {
      const { json } = await call('GET', `projects/demo/secrets?${query}`);
      return { ids: (json.secrets ?? []).map(({ name }: { name: string }) => name.split('/').at(-1)), next: json.nextPageToken, total: json.totalSize };
    };
    const first = await ids('filter=name:page-&pageSize=2');
    expect(first).toEqual({ ids: ['page-a', 'page-b'], next: expect.any(String), total: 3 });
    expect(await ids(`filter=name:page-&pageSize=2&pageToken=${first.next}`)).toEqual({ ids: ['page-c'], next: undefined, total: 3 });
    expect((await ids(`filter=${encodeURIComponent('labels.team=red AND name:page')}`)).ids).toEqual(['page-a', 'page-c']);
    expect((await ids(`filter=${encodeURIComponent('name:page NOT labels.team=red')}`)).ids).toEqual(['page-b']);
    expect((await ids(`filter=${encodeURIComponent('name:page create_time>2001-01-01')}`)).ids).toHaveLength(3);
    expect((await ids(`filter=${encodeURIComponent('create_time<2001-01-01T00:00:00Z')}`)).ids).toEqual([]);
    expect((await call('GET', 'projects/demo/secrets?filter=colour:red')).json.error.message).toContain('colour');
    const all = await ids('pageSize=1');
    expect((await ids(`pageSize=1&pageToken=${all.next}`)).ids).not.toEqual(all.ids);
  });

  test('change by a mask, under their etag', async () => {
    const name = await make('changing');
    const { etag } = (await call('GET', name)).json;
    const changed = await call('PATCH', `${name}?updateMask=labels`, { labels: { a: 'b' }, annotations: { c: 'd' }, etag });
    expect(changed.json).toMatchObject({ labels: { a: 'b' }, name });
    expect(changed.json.annotations).toBeUndefined();
    const stale = await call('PATCH', `${name}?updateMask=labels`, { labels: {}, etag });
    expect([stale.status, stale.json.error.status]).toEqual([400, 'FAILED_PRECONDITION']);
    expect((await call('DELETE', `${name}?etag=${encodeURIComponent(etag)}`)).json.error.status).toBe('FAILED_PRECONDITION');
    expect((await call('PATCH', `${name}?updateMask=name`, {})).json.error.message).toContain('cannot be changed');
    expect((await call('PATCH', name, { labels: {} })).json.error.message).toContain('update_mask');
    expect((await call('DELETE', `${name}?etag=${encodeURIComponent(changed.json.etag)}`)).json).toEqual({});
  });

  test('expire: a ttl becomes a time, and when it has come the name is free', async () => {
    const name = await make('fleeting', { ...AUTOMATIC, ttl: '0.4s' });
    expect((await call('GET', name)).json.expireTime).toEqual(expect.any(String));
    await add(name, 'soon gone');
    await expect.poll(async () => (await call('GET', name)).status, { timeout: 5000 }).toBe(404);
    expect((await call('GET', `${name}/versions/1:access`)).status).toBe(404);
    await make('fleeting');
    expect((await call('GET', `${name}/versions`)).json.totalSize ?? 0).toBe(0);
  });

  test.each([
    ['an id', 'a.b', AUTOMATIC, 'does not match the expected format'],
    ['no replication', 'x', {}, 'secret.replication'],
    ['an empty list of replicas', 'x', { replication: { userManaged: {} } }, 'at least one location'],
    ['a time that is over', 'x', { ...AUTOMATIC, expireTime: '2020-01-01T00:00:00Z' }, 'must be in the future'],
    ['a label', 'x', { ...AUTOMATIC, labels: { A: 'b' } }, 'cannot be a label'],
    ['an alias', 'x', { ...AUTOMATIC, versionAliases: { latest: 1 } }, 'cannot be an alias'],
    ['an alias for a version that there is not', 'x', { ...AUTOMATIC, versionAliases: { prod: 1 } }, 'must stand for a version that exists'],
    ['rotation without a topic', 'x', { ...AUTOMATIC, rotation: { nextRotationTime: '2090-01-01T00:00:00Z' } }, 'topics'],
    ['a period without a time', 'x', { ...AUTOMATIC, topics: [{ name: 'projects/p/topics/t' }], rotation: { rotationPeriod: '7200s' } }, 'next_rotation_time'],
    ['a topic', 'x', { ...AUTOMATIC, topics: [{ name: 'mine' }] }, 'is not the name of a topic'],
    ['a short delay of destruction', 'x', { ...AUTOMATIC, versionDestroyTtl: '60s' }, 'version_destroy_ttl'],
  ])('are refused: %s', async (_what, id, secret, words) => {
    const { json, text } = await call('POST', `projects/demo/secrets?secretId=${id}`, secret);
    expect(json.error.status, text).toBe('INVALID_ARGUMENT');
    expect(json.error.message).toContain(words);
  });

  test('what is kept and does nothing is said', async () => {
    const { headers, json } = await call('POST', 'projects/demo/secrets?secretId=told', {
      ...AUTOMATIC,
      topics: [{ name: 'projects/demo/topics/t' }],
      rotation: { nextRotationTime: '2090-01-01T00:00:00Z', rotationPeriod: '7200s' },
    });
    expect(json).toMatchObject({ rotation: { nextRotationTime: '2090-01-01T00:00:00Z', rotationPeriod: '7200s' }, topics: [{ name: 'projects/demo/topics/t' }] });
    expect(decodeURIComponent(headers.get('x-actas-warning') ?? '')).toContain('nothing is published to a topic');
  });
});

describe('versions', () => {
  test('count from one; latest is the newest, whatever its state; an alias stands for one', async () => {
    const name = await make('counted');
    expect((await call('GET', `${name}/versions/latest:access`)).json.error).toMatchObject({ code: 404, message: `Secret [${name}] not found or has no versions.` });
    expect(await add(name, 'one')).toEqual({
      name: `${name}/versions/1`,
      createTime: expect.any(String),
      state: 'ENABLED',
      etag: expect.any(String),
      replicationStatus: { automatic: {} },
    });
    await add(name, 'two');
    expect((await call('GET', `${name}/versions/latest`)).json.name).toBe(`${name}/versions/2`);
    await call('PATCH', `${name}?updateMask=versionAliases`, { versionAliases: { prod: 1 } });
    expect((await call('GET', `${name}/versions/prod:access`)).json).toEqual({ name: `${name}/versions/1`, payload: { data: encoded('one'), dataCrc32c: expect.any(String) } });
    expect((await call('POST', `${name}/versions/prod:disable`, {})).json.error.message).toContain('by its number');
    await call('POST', `${name}/versions/2:disable`, {});
    expect((await call('GET', `${name}/versions/latest:access`)).json.error).toMatchObject({
      status: 'FAILED_PRECONDITION',
      message: `Secret Version [${name}/versions/2] is in DISABLED state.`,
    });
    expect((await call('GET', `${name}/versions/9`)).json.error.message).toBe(`Secret Version [${name}/versions/9] not found.`);
    const { json } = await call('GET', `${name}/versions?filter=${encodeURIComponent('state:ENABLED')}`);
    expect(json.versions.map((version: { name: string }) => version.name)).toEqual([`${name}/versions/1`]);
    const paged = (await call('GET', `${name}/versions?pageSize=1`)).json;
    expect([paged.versions[0].name, paged.totalSize]).toEqual([`${name}/versions/2`, 2]);
    expect((await call('GET', `${name}/versions?pageSize=1&pageToken=${paged.nextPageToken}`)).json.versions[0].name).toBe(`${name}/versions/1`);
  });

  test('destroyed ones are gone for good', async () => {
    const name = await make('destroyed');
    await add(name, 'x');
    const { etag } = (await call('GET', `${name}/versions/1`)).json;
    expect((await call('POST', `${name}/versions/1:enable`, {})).json.etag).not.toBe(etag);
    expect((await call('POST', `${name}/versions/1:destroy`, { etag })).json.error.status).toBe('FAILED_PRECONDITION');
    expect((await call('POST', `${name}/versions/1:destroy`, {})).json).toMatchObject({ state: 'DESTROYED', destroyTime: expect.any(String) });
    for (const verb of ['enable', 'disable', 'destroy'])
      expect((await call('POST', `${name}/versions/1:${verb}`, {})).json.error).toMatchObject({ code: 400, message: 'SecretVersion.state is already DESTROYED.' });
    expect((await call('GET', `${name}/versions/1:access`)).json.error.message).toBe(`Secret Version [${name}/versions/1] is in DESTROYED state.`);
    const db = new DatabaseSync(join(server.dataDir, 'state.sqlite'), { readOnly: true });
    expect(db.prepare("SELECT ciphertext, wrapped_key FROM secret_versions WHERE secret = 'projects/demo/secrets/destroyed'").get()).toEqual({
      ciphertext: null,
      wrapped_key: null,
    });
    db.close();
  });

  test('a destruction can be put off, and called off', async () => {
    const name = await make('delayed', { ...AUTOMATIC, versionDestroyTtl: '86400s' });
    await add(name, 'x');
    const { json } = await call('POST', `${name}/versions/1:destroy`, {});
    expect(json).toMatchObject({ state: 'DISABLED', scheduledDestroyTime: expect.any(String) });
    const enabled = (await call('POST', `${name}/versions/1:enable`, {})).json;
    expect(enabled.state).toBe('ENABLED');
    expect(enabled.scheduledDestroyTime).toBeUndefined();
  });

  test('checksums are checked and made', async () => {
    const name = await make('summed');
    // RFC 3720 B.4: 32 bytes of zeroes.
    const data = Buffer.alloc(32).toString('base64');
    const wrong = await call('POST', `${name}:addVersion`, { payload: { data, dataCrc32c: '1' } });
    expect(wrong.json.error).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining('checksum') });
    const right = await call('POST', `${name}:addVersion`, { payload: { data, dataCrc32c: String(0x8a9136aa) } });
    expect(right.json).toMatchObject({ clientSpecifiedPayloadChecksum: true });
    expect((await call('GET', `${name}/versions/1:access`)).json.payload).toEqual({ data, dataCrc32c: String(0x8a9136aa) });
    for (const payload of [undefined, { data: '' }, { data: Buffer.alloc(65_537).toString('base64') }])
      expect((await call('POST', `${name}:addVersion`, { payload })).json.error.status).toBe('INVALID_ARGUMENT');
    expect((await call('POST', `${name}:addVersion`, { payload: { data: Buffer.alloc(65_536, 1).toString('base64') } })).status).toBe(200);
  });

  test('answer gRPC alike', async () => {
    const client = createClient(SecretManagerService, await server.grpc());
    const { name } = await client.createSecret({
      parent: 'projects/demo',
      secretId: 'by-grpc',
      secret: create(SecretSchema, { replication: { replication: { case: 'automatic', value: {} } } }),
    });
    await client.addSecretVersion({ parent: name, payload: { data: Buffer.from('hello') } });
    const { payload } = await client.accessSecretVersion({ name: `${name}/versions/latest` });
    expect([Buffer.from(payload?.data ?? []).toString(), payload?.dataCrc32c]).toEqual(['hello', 2591144780n]);
    await expect(client.accessSecretVersion({ name: `${name}/versions/7` })).rejects.toThrow(`Secret Version [${name}/versions/7] not found.`);
  });
});

describe('who may', () => {
  const access = (id: string, version = 'latest') => call('GET', `projects/demo/secrets/${id}/versions/${version}:access`, undefined, { as: READER });
  const grant = (name: string, condition?: string) =>
    call('POST', `${name}:setIamPolicy`, {
      policy: {
        version: 3,
        bindings: [{ role: 'roles/secretmanager.secretAccessor', members: [READER], ...(condition === undefined ? {} : { condition: { title: 'c', expression: condition } }) }],
      },
    });

  test('a denial is worded as Google words it, and names the grant', async () => {
    const { json, status } = await access('whatever');
    expect(status).toBe(403);
    expect(json.error.message).toBe("Permission 'secretmanager.versions.access' denied for resource 'projects/demo/secrets/whatever/versions/latest' (or it may not exist).");
    expect(json.error.details[1].message).toContain(
      'actas secrets add-iam-policy-binding whatever --project=demo --member=user:reader@example.com --role=roles/secretmanager.secretAccessor',
    );
  });

  test('a grant on the secret opens that secret alone, and goes with it', async () => {
    const name = await make('granted');
    await add(name, 'open');
    expect((await grant(name)).status).toBe(200);
    expect((await access('granted')).json.payload.data).toBe(encoded('open'));
    expect((await call('GET', name, undefined, { as: READER })).status).toBe(403);
    const asked = { permissions: ['secretmanager.versions.access', 'secretmanager.secrets.get'] };
    expect((await call('POST', `${name}:testIamPermissions`, asked, { as: READER })).json).toEqual({ permissions: ['secretmanager.versions.access'] });
    expect((await call('GET', `${name}:getIamPolicy?options.requestedPolicyVersion=3`)).json.bindings).toEqual([{ role: 'roles/secretmanager.secretAccessor', members: [READER] }]);
    await call('DELETE', name);
    await make('granted');
    expect((await access('granted')).status).toBe(403);
  });

  test('conditions see the name of the version as it was asked for, with the number of the project', async () => {
    const name = await make('conditional');
    await add(name, 'one');
    await add(name, 'two');
    await grant(name, `resource.name == "${name}/versions/1" && resource.type == "secretmanager.googleapis.com/SecretVersion"`);
    expect((await access('conditional', '1')).status).toBe(200);
    expect((await access('conditional', '2')).status).toBe(403);
    await grant(name, `resource.name.endsWith("/versions/latest")`);
    expect((await access('conditional')).status).toBe(200);
    expect((await access('conditional', '2')).status).toBe(403);
  });

  test('tags can be bound at the creation, and decide', async () => {
    const tags = '/cloudresourcemanager.googleapis.com/v3';
    const made = async (path: string, body: object) => (await server.call('GET', `${tags}/${(await server.call('POST', `${tags}/${path}`, body)).json.name}`)).json.response.name;
    const key = await made('tagKeys', { parent: 'projects/demo', shortName: 'tier' });
    const value = await made('tagValues', { parent: key, shortName: 'open' });
    const name = await make('tagged', { ...AUTOMATIC, tags: { [key]: value } });
    await add(name, 'x');
    await grant(name, `resource.matchTag('demo/tier', 'open')`);
    expect((await access('tagged')).status).toBe(200);
    const bound = await server.call('GET', `${tags}/tagBindings?parent=//secretmanager.googleapis.com/${name}`);
    expect(bound.json.tagBindings).toMatchObject([{ tagValue: value }]);
    expect((await call('GET', name)).json.tags).toBeUndefined();
    expect((await call('POST', 'projects/demo/secrets?secretId=untagged', { ...AUTOMATIC, tags: { 'demo/tier': 'closed' } })).status).not.toBe(200);
  });
});

test('a payload is in no file of the data directory, the logs and the audit trail among them', async () => {
  const marker = 'PayloadThatNobodyElseShouldSee';
  const name = await make('unseen');
  await add(name, marker);
  expect((await call('GET', `${name}/versions/1:access`)).json.payload.data).toBe(encoded(marker));
  // A refusal must not quote it either.
  await call('POST', `${name}:addVersion`, { payload: { data: encoded(marker), dataCrc32c: '1' } });
  const logs = new DatabaseSync(join(server.dataDir, 'logs.sqlite'), { readOnly: true });
  const audited = () => logs.prepare("SELECT resource FROM audit WHERE method = 'google.cloud.secretmanager.v1.SecretManagerService.AccessSecretVersion' AND resource LIKE ?");
  await until('the access is in the trail', () => audited().get('%/secrets/unseen/versions/1') !== undefined);
  logs.close();
  const files = readdirSync(server.dataDir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  const found = files.filter(({ parentPath, name: file }) => {
    const bytes = readFileSync(join(parentPath, file));
    return [marker, encoded(marker).slice(0, 36)].some((text) => bytes.includes(text));
  });
  expect(files.length).toBeGreaterThan(3);
  expect(found).toEqual([]);
});
