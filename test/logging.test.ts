/** Cloud Logging with the official client, over plain gRPC and over TLS, and over REST: what is written is read, followed, listed and deleted. */
import { Logging } from '@google-cloud/logging';
import { setInstrumentationStatus } from '@google-cloud/logging/build/src/utils/instrumentation.js';
import { credentials, Metadata } from '@grpc/grpc-js';
import { OAuth2Client } from 'google-auth-library';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const DEV = 'user:dev@example.com';
const LIST = '/logging.googleapis.com/v2/entries:list';
const WRITE = '/logging.googleapis.com/v2/entries:write';
const GLOBAL = { type: 'global' };

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.close());

// oxlint-disable-next-line typescript/no-explicit-any -- entries are read by the test that knows them
async function list(filter: string, options: { as?: string; resourceNames?: string[]; orderBy?: string } = {}): Promise<any[]> {
  const { as, ...more } = options;
  const answer = await server.call('POST', LIST, { resourceNames: ['projects/demo'], filter, pageSize: 1000, ...more }, as === undefined ? {} : { as });
  expect(answer.text, filter).toMatch(/^\{/);
  expect(answer.status, answer.text).toBe(200);
  return answer.json.entries ?? [];
}

describe('@google-cloud/logging over TLS', () => {
  let logging: Logging;
  beforeAll(async () => {
    // Its first write would say which library wrote.
    setInstrumentationStatus(true);
    const auth = new OAuth2Client();
    auth.setCredentials({ access_token: server.ownerToken });
    const { hostname, port } = new URL(server.url);
    const authority = (await server.call('GET', '/ca.pem')).text;
    const token = credentials.createFromMetadataGenerator((_params, done) => {
      const metadata = new Metadata();
      metadata.set('authorization', `Bearer ${server.ownerToken}`);
      done(null, metadata);
    });
    const sslCreds = credentials.combineChannelCredentials(credentials.createSsl(Buffer.from(authority)), token);
    logging = new Logging({
      projectId: 'demo',
      apiEndpoint: hostname,
      port: Number(port),
      sslCreds,
      // gax brings its own copy of google-auth-library; the class is the same, its private members make the types differ.
      authClient: auth as never,
      'grpc.ssl_target_name_override': 'logging.googleapis.com',
      'grpc.default_authority': 'logging.googleapis.com',
    } as never);
  });

  test('write, read, follow, list, delete', async () => {
    const log = logging.log('my-log');
    const seen: unknown[] = [];
    const tail = logging.tailEntries({
      resourceNames: ['projects/demo'],
      filter: `log_id("my-log") severity>=INFO`,
      bufferWindow: { nanos: 1_000_000 } as never,
    });
    tail.on('data', (answer: { entries: { data: unknown }[] }) => seen.push(...answer.entries.map(({ data }) => data)));
    tail.on('error', () => undefined);
    // The stream begins with what is written after it: until it answers, something is written again.
    let n = 0;
    await until('what was written is seen', async () => {
      await log.write(log.entry({ resource: GLOBAL, severity: 'INFO', labels: { n: String(n++) } }, 'hello'));
      return seen.length > 0;
    });
    await log.write([
      log.entry(
        { resource: GLOBAL, severity: 'ERROR', httpRequest: { status: 500, latency: { seconds: 1 } }, trace: 'projects/demo/traces/t', insertId: 'same' },
        { message: 'bad', deep: { list: [1, 2] } },
      ),
      log.entry({ resource: GLOBAL, severity: 'DEBUG' }, 'quiet'),
    ]);
    await until('an object is seen', () => seen.some((data) => typeof data === 'object'));
    expect(seen.filter((data) => data === 'hello').length).toBeGreaterThan(0);
    expect(seen).not.toContain('quiet');
    expect(seen).toContainEqual({ message: 'bad', deep: { list: [1, 2] } });
    tail.destroy();

    const [entries] = await log.getEntries({ filter: 'severity>=DEBUG', orderBy: 'timestamp desc' });
    expect(entries.length).toBe(n + 2);
    const bad = entries.find(({ metadata }) => metadata.severity === 'ERROR');
    expect(bad?.metadata).toMatchObject({
      insertId: 'same',
      trace: 'projects/demo/traces/t',
      httpRequest: { status: 500 },
      resource: { type: 'global', labels: { project_id: 'demo' } },
    });
    const [logs] = await logging.getLogs();
    expect(logs.map(({ name }) => decodeURIComponent(name))).toContain('my-log');
    await log.delete();
    const [after] = await logging.getLogs();
    expect(after.map(({ name }) => decodeURIComponent(name))).not.toContain('my-log');
    await expect(log.delete()).rejects.toMatchObject({ code: 5 });
  });
});

describe('writing', () => {
  const write = (body: object, as?: string) => server.call('POST', WRITE, body, as === undefined ? {} : { as });
  test('takes defaults, and its own where there are some', async () => {
    const answer = await write({
      logName: 'projects/123456789012/logs/defaults',
      resource: GLOBAL,
      labels: { a: '1', b: '1' },
      entries: [
        { textPayload: 'x', labels: { b: '2' } },
        { logName: 'projects/demo/logs/own%2Flog', resource: { type: 'generic_task', labels: { job: 'j' } }, jsonPayload: { k: 1 } },
        {},
      ],
    });
    expect(answer.json).toEqual({});
    expect(await list('log_id("defaults")')).toMatchObject([
      { logName: 'projects/demo/logs/defaults', labels: { a: '1', b: '2' }, textPayload: 'x', resource: { type: 'global', labels: { project_id: 'demo' } } },
      { labels: { a: '1', b: '1' } },
    ]);
    expect(await list('logName="projects/123456789012/logs/own/log"')).toMatchObject([
      { logName: 'projects/demo/logs/own%2Flog', jsonPayload: { k: 1 }, resource: { type: 'generic_task', labels: { job: 'j', project_id: 'demo' } } },
    ]);
  });

  test('takes an AuditLog message and no other', async () => {
    const payload = { '@type': 'type.googleapis.com/google.cloud.audit.AuditLog', methodName: 'own', authorizationInfo: [{ permission: 'p', granted: true }] };
    expect((await write({ logName: 'projects/demo/logs/proto', resource: GLOBAL, entries: [{ protoPayload: payload }] })).json).toEqual({});
    expect(await list('protoPayload.method_name=own protoPayload.authorizationInfo.permission=P')).toMatchObject([{ protoPayload: payload }]);
    const other = await write({ logName: 'projects/demo/logs/proto', resource: GLOBAL, entries: [{ protoPayload: { '@type': 'type.googleapis.com/x.Y' } }] });
    expect(other).toMatchObject({ status: 400 });
  });

  test.each<[string, object, string]>([
    ['no entry', { entries: [] }, 'entries: at least one entry is needed'],
    ['no log', { resource: GLOBAL, entries: [{ textPayload: 'x' }] }, 'neither the entry nor the request names a log'],
    ['no resource', { logName: 'projects/demo/logs/l', entries: [{ textPayload: 'x' }] }, 'entries[0].resource.type: a monitored resource is needed'],
    ['a bad log id', { logName: 'projects/demo/logs/a b', resource: GLOBAL, entries: [{}] }, 'is not supported'],
    ['a log of a billing account', { logName: 'billingAccounts/1/logs/a', resource: GLOBAL, entries: [{}] }, 'which has no logs here'],
    ['an audit log', { logName: 'projects/demo/logs/cloudaudit.googleapis.com%2Factivity', resource: GLOBAL, entries: [{}] }, 'the control plane alone writes to it'],
    ['too much', { logName: 'projects/demo/logs/l', resource: GLOBAL, entries: [{ textPayload: 'x'.repeat(257 * 1024) }] }, 'exceeds maximum size of 256.0K'],
    ['too many', { logName: 'projects/demo/logs/l', resource: GLOBAL, entries: Array.from({ length: 1001 }, () => ({})) }, 'at most 1000 entries'],
    [
      'too many labels',
      { logName: 'projects/demo/logs/l', resource: GLOBAL, entries: [{ labels: Object.fromEntries(Array.from({ length: 65 }, (_, n) => [n, ''])) }] },
      'at most 64 labels',
    ],
  ])('refuses %s', async (_name, body, words) => {
    const answer = await write(body);
    expect(answer).toMatchObject({ status: 400 });
    expect(answer.json.error).toMatchObject({ status: 'INVALID_ARGUMENT', message: expect.stringContaining(words) });
  });

  test('all or nothing, or what is good with what is not said', async () => {
    const body = {
      resource: GLOBAL,
      logName: 'projects/demo/logs/partial',
      entries: [{ textPayload: 'good' }, { textPayload: 'bad', insertId: 'x'.repeat(600) }, { logName: 'projects/nobody/logs/l' }],
    };
    expect((await write(body)).status).toBe(403);
    expect(await list('log_id("partial")')).toEqual([]);
    const answer = await write({ ...body, partialSuccess: true });
    expect(answer).toMatchObject({ status: 400 });
    expect(answer.json.error.details.find((one: { '@type': string }) => one['@type'].endsWith('WriteLogEntriesPartialErrors'))).toMatchObject({
      logEntryErrors: { 1: { code: 3, message: expect.stringContaining('insert_id') }, 2: { code: 7 } },
    });
    expect(await list('log_id("partial")')).toMatchObject([{ textPayload: 'good' }]);
    expect((await write({ ...body, entries: [body.entries[0]], dryRun: true })).json).toEqual({});
    expect(await list('log_id("partial")')).toHaveLength(1);
  });

  test('leaves out what is not of this time, and says so', async () => {
    const answer = await write({ resource: GLOBAL, logName: 'projects/demo/logs/old', entries: [{ timestamp: '2001-01-01T00:00:00Z' }] });
    expect(answer).toMatchObject({ status: 200 });
    expect(decodeURIComponent(answer.headers.get('x-actas-warning') ?? '')).toContain('1 entries were not kept');
    expect(await list('log_id("old")')).toEqual([]);
  });

  test('and all else needs its permission', async () => {
    expect((await write({ resource: GLOBAL, logName: 'projects/demo/logs/l', entries: [{}] }, 'user:nobody@example.com')).json.error.message).toContain(
      "Permission 'logging.logEntries.create' denied",
    );
    for (const [verb, path, permission] of [
      ['GET', '/logging.googleapis.com/v2/projects/demo/logs', 'logging.logs.list'],
      ['DELETE', '/logging.googleapis.com/v2/projects/demo/logs/l', 'logging.logs.delete'],
    ] as const)
      expect((await server.call(verb, path, undefined, { as: 'user:nobody@example.com' })).json.error.message).toContain(permission);
  });
});

test('a stream over REST is a JSON array that grows, and ends with its caller', async () => {
  const gone = new AbortController();
  const answer = await fetch(`${server.url}/logging.googleapis.com/v2/entries:tail`, {
    method: 'POST',
    headers: { authorization: `Bearer ${server.ownerToken}`, 'content-type': 'application/json' },
    body: JSON.stringify({ resourceNames: ['projects/demo'], filter: 'log_id("followed")', bufferWindow: '0s' }),
    signal: gone.signal,
  }).then(async (response) => {
    const reader = response.body?.getReader();
    let text = '';
    const read = async (part: string): Promise<void> => {
      while (!text.includes(part)) text += new TextDecoder().decode((await reader?.read())?.value);
    };
    await read('{');
    await server.call('POST', WRITE, { resource: GLOBAL, logName: 'projects/demo/logs/followed', entries: [{ textPayload: 'first' }] });
    await read('first');
    await server.call('POST', WRITE, { resource: GLOBAL, logName: 'projects/demo/logs/followed', entries: [{ textPayload: 'second' }] });
    await read('second');
    return { status: response.status, lines: text.trim().split('\n') };
  });
  gone.abort();
  expect(answer.status).toBe(200);
  expect(answer.lines.map((line) => JSON.parse(line.slice(1)).entries?.[0].textPayload)).toEqual([undefined, 'first', 'second']);
});

test('monitored resources are listed in pages', async () => {
  const first = (await server.call('GET', '/logging.googleapis.com/v2/monitoredResourceDescriptors?pageSize=2')).json;
  expect(first.resourceDescriptors).toMatchObject([
    { type: 'audited_resource' },
    { type: 'cloud_run_job', labels: expect.arrayContaining([{ key: 'job_name', description: expect.any(String) }]) },
  ]);
  const second = (await server.call('GET', `/logging.googleapis.com/v2/monitoredResourceDescriptors?pageToken=${first.nextPageToken}`)).json;
  expect(second.nextPageToken).toBeUndefined();
  expect(second.resourceDescriptors.length).toBeGreaterThan(3);
});

describe('the audit trail', () => {
  const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
  const job = { template: { template: { containers: [{ image: 'example.com/image' }] } } };
  const audit = (filter: string, options: Parameters<typeof list>[1] = {}) => list(`logName:cloudaudit ${filter}`, options);

  test('has what was changed, by whom, with which permissions', async () => {
    await server.call('POST', `${JOBS}?jobId=audited`, job);
    await server.call('POST', `${JOBS}?jobId=denied`, job, { as: 'user:nobody@example.com' });
    const [created] = await audit('protoPayload.methodName="google.cloud.run.v2.Jobs.CreateJob" protoPayload.authenticationInfo.principalEmail="owner@example.com"');
    expect(created).toMatchObject({
      logName: 'projects/demo/logs/cloudaudit.googleapis.com%2Factivity',
      severity: 'NOTICE',
      protoPayload: {
        '@type': 'type.googleapis.com/google.cloud.audit.AuditLog',
        serviceName: 'run.googleapis.com',
        authenticationInfo: { principalEmail: 'owner@example.com', principalSubject: 'user:owner@example.com' },
        status: {},
      },
    });
    expect(created.protoPayload.authorizationInfo).toContainEqual(expect.objectContaining({ permission: 'run.jobs.create', granted: true }));
    const [denied] = await audit('protoPayload.authorizationInfo.granted=false protoPayload.status.code=7 severity=ERROR protoPayload.methodName:CreateJob');
    expect(denied.protoPayload).toMatchObject({
      authenticationInfo: { principalEmail: 'nobody@example.com' },
      status: { code: 7, message: expect.stringContaining('run.jobs.create') },
    });
  });

  test('has reads where an auditConfig asks for them, less who is exempted, for who may see private entries', async () => {
    const reads = (as?: string) => list('log_id("cloudaudit.googleapis.com/data_access") protoPayload.methodName:GetJob', as === undefined ? {} : { as });
    const get = (as: string) => server.call('GET', `${JOBS}/audited`, undefined, { as });
    await get('user:owner@example.com');
    expect(await reads()).toEqual([]);
    expect(await list('log_id("actas.internal/calls") protoPayload.methodName:GetJob')).toHaveLength(1);
    const policy = (await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:getIamPolicy', {})).json;
    const auditConfigs = [{ service: 'run.googleapis.com', auditLogConfigs: [{ logType: 'ADMIN_READ', exemptedMembers: [DEV] }] }];
    policy.bindings.push({ role: 'roles/run.viewer', members: [DEV] }, { role: 'roles/logging.viewer', members: [DEV] });
    const set = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
      policy: { ...policy, auditConfigs },
      updateMask: 'bindings,etag,auditConfigs',
    });
    expect(set.status, set.text).toBe(200);
    expect((await get('user:owner@example.com')).status).toBe(200);
    expect((await get(DEV)).status).toBe(200);
    expect(await reads()).toMatchObject([{ severity: 'INFO', protoPayload: { authenticationInfo: { principalEmail: 'owner@example.com' } } }]);
    expect(await reads(DEV)).toEqual([]);
    expect((await audit('', { as: DEV })).length).toBeGreaterThan(0);
    const logs = (await server.call('GET', '/logging.googleapis.com/v2/projects/demo/logs', undefined, { as: DEV })).json.logNames;
    expect(logs).toContain('projects/demo/logs/cloudaudit.googleapis.com%2Factivity');
    expect(logs).not.toContain('projects/demo/logs/cloudaudit.googleapis.com%2Fdata_access');
  });

  test('keeps what is about folders and organizations with them, cannot be deleted, and outlives a clean stop', async () => {
    await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/folders', { displayName: 'F', parent: 'organizations/111111111111' });
    const ofOrganization = await audit('protoPayload.methodName:CreateFolder', { resourceNames: ['organizations/111111111111'] });
    expect(ofOrganization).toMatchObject([
      { logName: 'organizations/111111111111/logs/cloudaudit.googleapis.com%2Factivity', resource: { type: 'organization', labels: { organization_id: '111111111111' } } },
    ]);
    const deleted = await server.call('DELETE', '/logging.googleapis.com/v2/projects/demo/logs/cloudaudit.googleapis.com%2Factivity');
    expect(deleted.json.error).toMatchObject({ status: 'FAILED_PRECONDITION', message: expect.stringContaining('Audit logs cannot be deleted') });
    const many = 300;
    await Promise.all(Array.from({ length: many }, (_, n) => server.call('DELETE', `${JOBS}/none-${n}`)));
    server = await server.restart();
    expect(await audit('protoPayload.methodName:DeleteJob')).toHaveLength(many);
  });
});
