/** Whole commands against canned answers: target, token, errors, exit codes, formats. */
import { rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { type Answer, apiError, type FakeApi, portOf, run, type Seen, startFakeApi } from './test-shell.ts';

let fake: FakeApi | undefined;
afterEach(async () => {
  await fake?.close();
  fake = undefined;
});

async function serve(routes: Readonly<Record<string, (call: Seen) => Answer>>): Promise<FakeApi> {
  fake = await startFakeApi((call) => {
    if (call.path === '/actas/v1/status')
      return { body: { project: 'demo', version: '9.9.9', pid: process.pid, driver: { name: 'fake', description: 'runs nothing', warnings: ['No containers run.'] } } };
    return routes[`${call.verb} ${call.path.split('?')[0] ?? ''}`]?.(call);
  });
  return fake;
}

const JOBS = '/run.googleapis.com/v2/projects/demo/locations/us-central1/jobs';
const JOB = {
  name: 'projects/demo/locations/us-central1/jobs/hello',
  createTime: '2026-11-23T18:51:46.123456Z',
  creator: 'owner@example.com',
  terminalCondition: { type: 'Ready', state: 'CONDITION_SUCCEEDED' },
  template: { taskCount: 1, template: { containers: [{ image: 'img', env: [{ name: 'A', value: '1' }] }], maxRetries: 3, timeout: '600s', serviceAccount: 'x@demo' } },
};

describe('the target', () => {
  it('is found through the data directory, with its token and default project, and named on stderr', async () => {
    const { env, seen } = await serve({ [`GET ${JOBS}`]: () => ({ body: { jobs: [JOB] } }) });
    const { code, out, err } = await run(['run', 'jobs', 'list'], { env });
    expect(code).toBe(0);
    expect(err).toBe('actas: local, project demo, region us-central1\n');
    expect(out.split('\n').map((line) => line.trim().replaceAll(/\s{2,}/g, '|'))).toEqual([
      'JOB|REGION|LAST RUN AT|CREATED|CREATED BY',
      '✔|hello|us-central1|2026-11-23 18:51:46 UTC|owner@example.com',
      '',
    ]);
    expect(seen.every(({ authorization }) => authorization === 'Bearer owner-secret')).toBe(true);
  });

  it('takes flags before the command, gcloud variables, and calls as another principal', async () => {
    const { env, seen } = await serve({
      'POST /actas/v1/tokens:issue': () => ({ body: { accessToken: 'alice-token' } }),
      'GET /run.googleapis.com/v2/projects/other/locations/europe-west1/jobs': () => ({ body: {} }),
    });
    const { code, err } = await run(['--account=alice@example.com', 'run', 'jobs', 'list'], {
      env: { ...env, CLOUDSDK_CORE_PROJECT: 'other', CLOUDSDK_RUN_REGION: 'europe-west1' },
    });
    expect(code).toBe(0);
    expect(err).toBe('actas: local, project other, region europe-west1, as user:alice@example.com\nNo jobs here yet.\n');
    expect(seen.find(({ path }) => path.endsWith('tokens:issue'))?.body).toEqual({ principal: 'user:alice@example.com' });
    expect(seen.at(-1)?.authorization).toBe('Bearer alice-token');
  });

  it('never sends the owner token to an address that is neither this machine nor this data directory', async () => {
    const { env } = await serve({});
    const { code, err } = await run(['status'], { env: { ...env, ACTAS_URL: 'http://actas.invalid:1' } });
    expect(code).toBe(3);
    expect(err).toContain('http://actas.invalid:1');
    const { findTarget } = await import('./target.ts');
    const { PassThrough } = await import('node:stream');
    const sink = { write() {}, isTTY: false, columns: undefined, stream: new PassThrough() };
    const io = { env: { ...env, ACTAS_URL: 'http://actas.invalid:1' }, out: sink, err: sink, stdin: new PassThrough(), onInterrupt: () => () => {} };
    expect(await (await findTarget(io, {})).token()).toBeUndefined();
    expect(await (await findTarget({ ...io, env }, {})).token()).toBe('owner-secret');
  });

  it('inside a container is ACTAS_API, with the token, project and region of the metadata server', async () => {
    const { url, seen } = await serve({ 'GET /run.googleapis.com/v2/projects/p1/locations/asia-east1/jobs': () => ({ body: {} }) });
    const metadata = createServer((request, response) => {
      const values: Record<string, string> = {
        'project/project-id': 'p1',
        'instance/region': 'projects/1/regions/asia-east1',
        'instance/service-accounts/default/token': '{"access_token":"task-token","expires_in":3000}',
      };
      const value = request.headers['metadata-flavor'] === 'Google' ? values[request.url?.replace('/computeMetadata/v1/', '') ?? ''] : undefined;
      response.writeHead(value === undefined ? 404 : 200).end(value);
    });
    await new Promise<void>((resolve) => metadata.listen(0, '127.0.0.1', resolve));
    const port = portOf(metadata);
    try {
      const { code, err } = await run(['run', 'jobs', 'list'], { env: { ACTAS_API: url, GCE_METADATA_HOST: `127.0.0.1:${port}` } });
      expect(code).toBe(0);
      expect(err).toContain("this task's control plane, project p1, region asia-east1");
      expect(seen.map(({ authorization }) => authorization)).toEqual(['Bearer task-token']);
    } finally {
      await new Promise((resolve) => metadata.close(resolve));
    }
  });

  it.each([[['status']], [['run', 'jobs', 'list']], [['stop']]])('without a control plane: %j exits with 3 and says how to start one', async (argv) => {
    const { env, dataDir } = await serve({});
    rmSync(join(dataDir, 'server.json'));
    const { code, err } = await run(argv, { env });
    expect(code).toBe(3);
    expect(err).toContain('No control plane runs on');
  });

  it('says so when the control plane has died', async () => {
    const { env, dataDir } = await serve({});
    writeFileSync(join(dataDir, 'server.json'), JSON.stringify({ url: 'http://127.0.0.1:1', pid: 2 ** 22 - 7 }));
    expect(await run(['run', 'jobs', 'list'], { env })).toMatchObject({ code: 3, err: expect.stringContaining('actas up') });
    expect(await run(['stop'], { env })).toMatchObject({ code: 3 });
  });

  it('stops nothing that is not the control plane of this data directory', async () => {
    const { env, dataDir, url } = await serve({});
    writeFileSync(join(dataDir, 'server.json'), JSON.stringify({ url, pid: 1 }));
    expect(await run(['stop'], { env })).toMatchObject({ code: 1, err: expect.stringContaining('nothing was stopped') });
  });

  it('shows the status and its warnings', async () => {
    const { env } = await serve({});
    const { code, out, err } = await run(['status'], { env });
    expect(code).toBe(0);
    expect(out).toMatch(/Project: +demo\nDriver: +fake: runs nothing/);
    expect(err).toBe('WARNING: No containers run.\n');
    expect(JSON.parse((await run(['status', '--format=json'], { env })).out)).toMatchObject({ version: '9.9.9' });
  });
});

describe('errors', () => {
  const denial = apiError(403, 'PERMISSION_DENIED', "Permission 'iam.serviceaccounts.actAs' denied on service account sa@demo (or it may not exist).", [
    { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: 'IAM_PERMISSION_DENIED', domain: 'iam.googleapis.com', metadata: { permission: 'iam.serviceAccounts.actAs' } },
    {
      '@type': 'type.googleapis.com/google.rpc.LocalizedMessage',
      locale: 'en-US',
      message: 'Ask someone to run:\n  actas iam service-accounts add-iam-policy-binding sa@demo --member=user:dev@example.com --role=roles/iam.serviceAccountUser',
    },
  ]);

  it('show the denial and the command that mends it, and exit with 4', async () => {
    const { env } = await serve({ [`POST ${JOBS}`]: () => denial });
    const { code, out, err } = await run(['run', 'jobs', 'create', 'hello', '--image=img'], { env });
    expect(code).toBe(4);
    expect(out).toBe('');
    expect(err).toContain("ERROR: (actas.run.jobs.create) PERMISSION_DENIED: Permission 'iam.serviceaccounts.actAs' denied");
    expect(err).toContain('\nAsk someone to run:\n  actas iam service-accounts add-iam-policy-binding sa@demo --member=user:dev@example.com --role=roles/iam.serviceAccountUser\n');
  });

  it('list field violations that the message does not say', async () => {
    const { env } = await serve({
      [`POST ${JOBS}`]: () =>
        apiError(400, 'INVALID_ARGUMENT', 'job.x: bad', [
          {
            '@type': 'type.googleapis.com/google.rpc.BadRequest',
            fieldViolations: [
              { field: 'job.x', description: 'bad' },
              { field: 'job.y', description: 'worse' },
            ],
          },
        ]),
    });
    const { code, err } = await run(['run', 'jobs', 'create', 'hello', '--image=img'], { env });
    expect(code).toBe(1);
    expect(err).toMatch(/INVALID_ARGUMENT: job\.x: bad\n- job\.y: worse\n$/);
  });

  it('exit with 5 for what does not exist, and name what already exists', async () => {
    const { env } = await serve({ [`POST ${JOBS}`]: () => apiError(409, 'ALREADY_EXISTS', "Resource 'hello' already exists.") });
    expect(await run(['run', 'jobs', 'describe', 'none'], { env })).toMatchObject({ code: 5, err: expect.stringContaining('NOT_FOUND') });
    expect(await run(['run', 'jobs', 'create', 'hello', '--image=img'], { env })).toMatchObject({
      code: 1,
      err: expect.stringMatching(/Job \[hello\] already exists\.\n.*\n {2}actas run jobs update hello/),
    });
  });

  it('say what answered when it is not JSON', async () => {
    const { env } = await serve({ [`GET ${JOBS}`]: () => ({ status: 502, body: '<html>Bad gateway</html>' }) });
    expect(await run(['run', 'jobs', 'list'], { env })).toMatchObject({ code: 1, err: expect.stringContaining('answered 502 with something that is not JSON') });
  });

  it.each([
    [['run', 'jobs', 'create', 'x', '--imge=a'], /unknown option '--imge'\n\(Did you mean --image\?\)/],
    [['run', 'jobs', 'create', 'x', '--image=a', '--env-vars-file=a'], /--env-vars-file is not supported: .*--set-env-vars/],
    [['run', 'jobs', 'deploy', 'x', '--container', 'side', '--tasks=2'], /--tasks is a flag of the job: it must stand before the first --container/],
    [['run', 'jobs', 'create', 'x'], /required option '--image <image>' not specified/],
    [['run', 'jobs', 'exeute', 'x'], /Did you mean execute\?/],
    [['porjects', 'list'], /Did you mean projects\?/],
    [['run', 'jobs', 'create', 'x', '--image=a', '--tasks=0'], /whole number from 1 to 10000/],
    [['run', 'jobs', 'execute', 'x', '--wait', '--async'], /cannot be used with/],
    [['run', 'jobs', 'update', 'x', '--set-env-vars=A=1', '--clear-env-vars'], /cannot be used with/],
    [['run', 'jobs', 'describe'], /missing required argument 'job'/],
    [['run', 'jobs', 'list', '--format=xml'], /Unknown format 'xml'/],
    [['projects', 'add-iam-policy-binding', 'demo', '--member=alice', '--role=roles/viewer'], /not a member/],
    [['projects', 'add-iam-policy-binding', 'demo', '--member=user:a@b.c', '--role=viewer'], /Did you mean roles\/viewer\?/],
    [['run', 'jobs', 'list', '--as=group:x@y.z'], /not a principal that can call/],
  ])('of usage exit with 2 and say what is right: %j', async (argv, message) => {
    const { env } = await serve({});
    const { code, err } = await run(argv, { env });
    expect(err).toMatch(message);
    expect(code).toBe(2);
  });

  it('help exits with 0 on stdout', async () => {
    expect(await run(['run', 'jobs', 'create', '--help'])).toMatchObject({ code: 0, out: expect.stringContaining('--service-account'), err: '' });
    expect(await run(['help', 'run', 'jobs', 'create'])).toMatchObject({ code: 0, out: expect.stringContaining('--service-account'), err: '' });
    for (const line of [['--help'], ['help']]) expect(await run(line)).toMatchObject({ code: 0, out: expect.stringContaining('Exit codes:') });
    expect(await run(['--version'])).toMatchObject({ code: 0, out: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});

describe('what the server warns of', () => {
  it('is shown once, however often it comes', async () => {
    const headers = { 'x-actas-warning': ['a, b', 'c'].map(encodeURIComponent).join(', ') };
    const { env } = await serve({
      'GET /run.googleapis.com/v2/projects/demo/locations/us-central1/jobs': () => ({ headers, body: { jobs: [], nextPageToken: '' } }),
      'GET /actas/v1/status': () => ({ headers, body: { project: 'demo' } }),
    });
    const { code, err } = await run(['run', 'jobs', 'list'], { env });
    expect(code).toBe(0);
    expect(err.split('\n').filter((line) => line.startsWith('WARNING'))).toEqual(['WARNING: a, b', 'WARNING: c']);
  });
});

describe('formats', () => {
  it.each([
    ['value(name.basename(),template.template.maxRetries)', 'hello\t3\n'],
    ['csv(name.basename():label=job,creator)', 'job,creator\nhello,owner@example.com\n'],
    ['table[no-heading](name.basename())', 'hello\n'],
    ['none', ''],
  ])('%s', async (format, expected) => {
    const { env } = await serve({ [`GET ${JOBS}/hello`]: () => ({ body: JOB }) });
    expect(await run(['run', 'jobs', 'describe', 'hello', `--format=${format}`], { env })).toEqual({ code: 0, out: expected, err: '' });
  });

  it("json and yaml are the API's own", async () => {
    const { env } = await serve({ [`GET ${JOBS}/hello`]: () => ({ body: JOB }), [`GET ${JOBS}`]: () => ({ body: { jobs: [JOB] } }) });
    expect(JSON.parse((await run(['run', 'jobs', 'describe', 'hello', '--format=json'], { env })).out)).toEqual(JOB);
    expect(JSON.parse((await run(['run', 'jobs', 'list', '--format=json'], { env })).out)).toEqual([JOB]);
    const { parse } = await import('yaml');
    expect(parse((await run(['run', 'jobs', 'describe', 'hello', '--format=yaml'], { env })).out)).toEqual(JOB);
  });

  it('lists page through, filter, sort and limit', async () => {
    const { env } = await serve({
      [`GET ${JOBS}`]: ({ path }) => ({
        body: path.includes('pageToken=t2')
          ? { jobs: [{ ...JOB, name: 'x/jobs/b' }] }
          : {
              jobs: [
                { ...JOB, name: 'x/jobs/c' },
                { ...JOB, name: 'x/jobs/a' },
              ],
              nextPageToken: 't2',
            },
      }),
    });
    const { out } = await run(['run', 'jobs', 'list', '--filter=name!=x/jobs/c', '--sort-by=~name', '--limit=1', '--format=value(name.basename())'], { env });
    expect(out).toBe('b\n');
  });
});

describe('allow policies', () => {
  it('add a binding with the etag that was read, and start again after a concurrent change', async () => {
    const sent: unknown[] = [];
    let etag = 1;
    const { env } = await serve({
      'POST /cloudresourcemanager.googleapis.com/v3/projects/demo:getIamPolicy': () => ({
        body: { etag: `e${etag}`, version: 1, bindings: [{ role: 'roles/owner', members: ['user:owner@example.com'] }] },
      }),
      'POST /cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy': ({ body }) => {
        sent.push(body);
        etag += 1;
        return sent.length === 1
          ? apiError(409, 'ABORTED', 'There were concurrent policy changes.')
          : { body: { etag: 'e9', bindings: [{ role: 'roles/viewer', members: ['user:a@b.c'] }] } };
      },
    });
    const { code, out, err } = await run(['projects', 'add-iam-policy-binding', 'demo', '--member=user:a@b.c', '--role=roles/viewer'], { env });
    expect({ code, out }).toEqual({ code: 0, out: 'bindings:\n  - role: roles/viewer\n    members:\n      - user:a@b.c\netag: e9\n' });
    expect(err).toContain('Updated IAM policy for project [demo].');
    expect(sent).toEqual(
      ['e1', 'e2'].map((each) => ({
        policy: {
          etag: each,
          version: 3,
          bindings: [
            { role: 'roles/owner', members: ['user:owner@example.com'] },
            { role: 'roles/viewer', members: ['user:a@b.c'] },
          ],
        },
      })),
    );
  });

  it('remove a binding only where role, member and condition are there', async () => {
    const sent: unknown[] = [];
    const condition = { title: 't', expression: 'true' };
    const { env } = await serve({
      'POST /iam.googleapis.com/v1/projects/-/serviceAccounts/sa@demo.iam.gserviceaccount.com:getIamPolicy': () => ({
        body: { etag: 'e', bindings: [{ role: 'roles/viewer', members: ['user:a@b.c'], condition }] },
      }),
      'POST /iam.googleapis.com/v1/projects/-/serviceAccounts/sa@demo.iam.gserviceaccount.com:setIamPolicy': ({ body }) => {
        sent.push(body);
        return { body: { etag: 'e2' } };
      },
    });
    const command = ['iam', 'service-accounts', 'remove-iam-policy-binding', 'sa', '--member=user:a@b.c', '--role=roles/viewer'];
    expect(await run(command, { env })).toMatchObject({ code: 1, err: expect.stringContaining('There is one with another condition: t.') });
    expect(await run([...command, '--condition=expression=true,title=t'], { env })).toMatchObject({ code: 0 });
    expect(sent).toEqual([{ policy: { etag: 'e', version: 3, bindings: [] } }]);
  });

  it('replace a policy by a file, naming what the file holds', async () => {
    const { env, seen } = await serve({ [`POST ${JOBS}/hello:setIamPolicy`]: () => ({ body: { etag: 'e2' } }) });
    const { code } = await run(['run', 'jobs', 'set-iam-policy', 'hello', '-'], { env, stdin: 'etag: e1\nbindings:\n- role: roles/run.invoker\n  members: [allUsers]\n' });
    expect(code).toBe(0);
    expect(seen.at(-1)?.body).toEqual({ policy: { etag: 'e1', version: 3, bindings: [{ role: 'roles/run.invoker', members: ['allUsers'] }] }, updateMask: 'etag,bindings' });
  });
});

describe('service accounts and projects', () => {
  it('are created, listed, updated', async () => {
    const email = 'sa@demo.iam.gserviceaccount.com';
    const { env, seen } = await serve({
      'POST /iam.googleapis.com/v1/projects/demo/serviceAccounts': () => ({ body: { email } }),
      'GET /iam.googleapis.com/v1/projects/demo/serviceAccounts': () => ({ body: { accounts: [{ email, displayName: 'S' }] } }),
      [`PATCH /iam.googleapis.com/v1/projects/demo/serviceAccounts/${email}`]: () => ({ body: { name: 'n', displayName: 'T' } }),
      'POST /cloudresourcemanager.googleapis.com/v3/projects': () => ({ body: { name: 'operations/o1' } }),
      'GET /cloudresourcemanager.googleapis.com/v3/operations/o1': () => ({ body: { name: 'operations/o1', done: true, response: { name: 'projects/42', projectId: 'staging' } } }),
    });
    expect(await run(['iam', 'service-accounts', 'create', 'sa', '--display-name=S'], { env })).toMatchObject({
      code: 0,
      out: `${email}\n`,
      err: expect.stringContaining('Created service account [sa].'),
    });
    expect(await run(['iam', 'service-accounts', 'list', '--format=value(email)'], { env })).toMatchObject({ out: `${email}\n` });
    expect(await run(['iam', 'service-accounts', 'update', 'sa', '--display-name=T'], { env })).toMatchObject({ code: 0 });
    expect(seen.at(-1)?.body).toEqual({ serviceAccount: { displayName: 'T' }, updateMask: 'displayName' });
    expect(await run(['projects', 'create', 'staging', '--folder=22'], { env })).toMatchObject({ code: 0, err: expect.stringContaining('Created project [staging], number 42.') });
  });

  it('give tokens to other programs', async () => {
    const { env } = await serve({ 'POST /actas/v1/tokens:issue': ({ body }) => ({ body: { accessToken: `for ${JSON.stringify(body)}` } }) });
    expect(await run(['auth', 'print-access-token'], { env })).toEqual({ code: 0, out: 'owner-secret\n', err: '' });
    expect((await run(['auth', 'print-access-token', '--as', 'serviceAccount:x@y.iam.gserviceaccount.com'], { env })).out).toBe(
      'for {"principal":"serviceAccount:x@y.iam.gserviceaccount.com"}\n',
    );
  });
});
