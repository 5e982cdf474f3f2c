import { create } from '@bufbuild/protobuf';
import { expect, test } from 'vitest';
import { deadlineExceeded, invalidRequest, notFound } from '../errors.ts';
import { Control, GetStatusRequestSchema } from '../gen/actas/v1/control_pb.js';
import { parsePrincipal } from '../identity/principal.ts';
import { loadCatalogue } from '../policy/catalogue.ts';
import { type AnyService, type Call, defineService } from '../services/service.ts';
import { type AuditEntry, createDispatch, type DispatchDeps, type Transport } from './dispatch.ts';

const SILENT = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };
const catalogue = loadCatalogue();
const request = () => create(GetStatusRequestSchema);

/** GetStatus does what a test says; IssueToken is not served. */
function serviceOf(handle: (call: Call) => Promise<void>, permission?: string): AnyService {
  const check = { permission: permission ?? 'run.jobs.get', resource: '//run.googleapis.com/projects/p/locations/l/jobs/j' };
  return defineService<typeof Control>({
    desc: Control,
    host: 'actas.internal',
    legacyErrors: false,
    denied: ({ permission: asked }) => `No ${asked}.`,
    methods: {
      issueToken: 'unimplemented',
      rotateSecretsKey: 'unimplemented',
      getStatus: {
        access: { checks: () => [check] },
        handle: async (_request, call) => {
          await handle(call);
          return {};
        },
      },
    },
  });
}

function open(over: Partial<DispatchDeps> = {}) {
  const entries: AuditEntry[] = [];
  const logged: string[] = [];
  const dispatch = createDispatch({
    authenticate: (token) => (token === 'good' ? { principal: parsePrincipal('user:a@example.com') } : { refused: 'ACCESS_TOKEN_TYPE_UNSUPPORTED' }),
    authorizer: { decide: () => ({ allowed: true, unevaluatedRoles: [] }), invalidate: () => undefined },
    catalogue,
    look: { serviceAccount: async () => undefined },
    clock: { now: () => 1 },
    log: { ...SILENT, error: (fields) => logged.push(JSON.stringify(fields)), warn: (fields) => logged.push(JSON.stringify(fields)) },
    audit: (entry) => entries.push(entry),
    ...over,
  });
  const transport = (more: Partial<Transport> = {}): Transport => ({
    door: 'rest',
    authorization: 'Bearer good',
    peer: { address: '127.0.0.1', isLocal: true },
    userAgent: undefined,
    signal: new AbortController().signal,
    warn: () => undefined,
    ...more,
  });
  const call = (service: AnyService, more?: Partial<Transport>, read: () => ReturnType<typeof request> = request) =>
    dispatch.unary(service, Control.method.getStatus, read, transport(more));
  return { dispatch, entries, logged, transport, call };
}

test('every outcome is audited once, with who asked for what', async () => {
  const { call, dispatch, entries, transport } = open();
  await call(serviceOf(async () => undefined));
  await expect(
    call(
      serviceOf(async () => {
        throw notFound('gone');
      }),
    ),
  ).rejects.toThrow('gone');
  await expect(
    call(
      serviceOf(async () => undefined),
      { authorization: undefined },
    ),
  ).rejects.toMatchObject({ status: 'UNAUTHENTICATED' });
  await expect(
    dispatch.unary(
      serviceOf(async () => undefined),
      Control.method.issueToken,
      request,
      transport(),
    ),
  ).rejects.toMatchObject({ status: 'UNIMPLEMENTED' });
  await expect(
    call(
      serviceOf(async () => undefined),
      {},
      () => {
        throw invalidRequest('not JSON');
      },
    ),
  ).rejects.toThrow('not JSON');
  dispatch.refused(invalidRequest('no method'), transport());
  const granted = [{ permission: 'run.jobs.get', resource: '//run.googleapis.com/projects/p/locations/l/jobs/j', granted: true }];
  expect(entries.map((e) => [e.method, e.principal, e.status, e.checks])).toEqual([
    ['actas.v1.Control.GetStatus', 'user:a@example.com', 'OK', granted],
    ['actas.v1.Control.GetStatus', 'user:a@example.com', 'NOT_FOUND', granted],
    ['actas.v1.Control.GetStatus', undefined, 'UNAUTHENTICATED', []],
    ['actas.v1.Control.IssueToken', 'user:a@example.com', 'UNIMPLEMENTED', []],
    ['actas.v1.Control.GetStatus', 'user:a@example.com', 'INVALID_ARGUMENT', []],
    ['none', undefined, 'INVALID_ARGUMENT', []],
  ]);
});

test('nobody makes us read a request before he is known', async () => {
  let reads = 0;
  const read = () => {
    reads++;
    return request();
  };
  const { call } = open();
  for (const authorization of [undefined, 'Bearer bad', 'Basic good', 'Bearer', 'Bearer good x', `Bearer ${'x'.repeat(20_000)}`])
    await expect(
      call(
        serviceOf(async () => undefined),
        { authorization },
        read,
      ),
    ).rejects.toMatchObject({ status: 'UNAUTHENTICATED' });
  expect(reads).toBe(0);
});

test('a bug of ours shows an id, and the log has the rest', async () => {
  const { call, entries, logged } = open();
  const outcome = call(
    serviceOf(async () => {
      throw new TypeError('secret detail');
    }),
  );
  await expect(outcome).rejects.toMatchObject({ status: 'INTERNAL', message: expect.not.stringContaining('secret') });
  await expect(outcome).rejects.toThrow(entries[0]?.requestId ?? 'no entry');
  expect(logged).toHaveLength(1);
});

test('who hangs up is told nothing, whose deadline passes is told that', async () => {
  const { call, logged } = open();
  const fails = serviceOf(async (c) => {
    c.signal.throwIfAborted();
  });
  const gone = new AbortController();
  gone.abort();
  await expect(call(fails, { signal: gone.signal })).rejects.toMatchObject({ status: 'CANCELLED' });
  const late = new AbortController();
  late.abort(deadlineExceeded('too late'));
  await expect(call(fails, { signal: late.signal })).rejects.toMatchObject({ status: 'DEADLINE_EXCEEDED', message: 'too late' });
  expect(logged).toEqual([]);
});

test('a name without a token is lent to programs of this machine alone, and hands out no roles', async () => {
  const principal = { ...parsePrincipal('user:lent@example.com'), anonymous: true };
  const without = { authorization: undefined };
  const { call, entries } = open({ anonymous: { principal, maySetPolicies: false } });
  await call(
    serviceOf(async () => undefined),
    without,
  );
  expect(entries[0]?.principal).toBe('user:lent@example.com');
  await expect(
    call(
      serviceOf(async () => undefined),
      { ...without, peer: { address: '10.213.0.2', isLocal: false } },
    ),
  ).rejects.toMatchObject({ status: 'UNAUTHENTICATED' });
  await expect(
    call(
      serviceOf(async () => undefined),
      { authorization: 'Bearer bad' },
    ),
  ).rejects.toMatchObject({ status: 'UNAUTHENTICATED' });
  const sets = serviceOf(async () => undefined, 'run.jobs.setIamPolicy');
  await expect(call(sets, without)).rejects.toThrow('cannot set IAM policies');
  await call(sets);
  await open({ anonymous: { principal, maySetPolicies: true } }).call(sets, without);
});

test('a token is kept to its scopes before anything of the request is read, and its chain is in the audit trail', async () => {
  const principal = (scopes: readonly string[]) => ({ principal: { ...parsePrincipal('user:a@example.com'), scopes, delegation: ['user:first@example.com'] } });
  const narrow = open({ authenticate: () => principal(['openid']) });
  let reads = 0;
  const read = () => {
    reads += 1;
    return request();
  };
  await expect(
    narrow.call(
      serviceOf(async () => undefined),
      {},
      read,
    ),
  ).rejects.toMatchObject({
    status: 'PERMISSION_DENIED',
    message: 'Request had insufficient authentication scopes.',
    details: [{ type: 'google.rpc.ErrorInfo', value: { reason: 'ACCESS_TOKEN_SCOPE_INSUFFICIENT', domain: 'googleapis.com' } }],
  });
  expect(reads).toBe(0);
  const wide = open({ authenticate: () => principal(['https://www.googleapis.com/auth/cloud-platform']) });
  await wide.call(serviceOf((call) => call.authorize({ permission: 'p', resource: '//h/projects/x' }, undefined, 'serviceAccount:middle@x.iam.gserviceaccount.com')));
  expect(wide.entries).toMatchObject([
    {
      principal: 'user:a@example.com',
      delegation: ['user:first@example.com'],
      checks: [{ granted: true }, { permission: 'p', member: 'serviceAccount:middle@x.iam.gserviceaccount.com' }],
    },
  ]);
});
