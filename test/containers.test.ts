/** End to end with real containers: what a task can learn, reach and not reach. */

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithEngine } from './harness/engine.ts';
import { buildImage, nodeImage, shellImage } from './harness/image.ts';
import { OWNER, startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const REAL = 'real-account@demo.iam.gserviceaccount.com';
const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';

/** For containers that a test makes by itself: a Podman that may not raise limits starts none without. */
const Ulimits = [
  { Name: 'nofile', Soft: 1024, Hard: 4096 },
  { Name: 'nproc', Soft: 1024, Hard: 4096 },
];

describeWithEngine('containers', (dockerHost) => {
  let server: TestServer;
  /** Stands for Google. */
  let google: TestServer;
  let shell: string;
  let node: string;
  const docker = new Docker({ socketPath: dockerHost.replace('unix://', '') });

  beforeAll(async () => {
    process.env['DOCKER_HOST'] = dockerHost;
    shell = await shellImage(docker);
    node = await nodeImage(docker, ['google-auth-library']);
    google = await startTestServer();
    const identities = { [account('gamma')]: { identity: 'google', account: REAL, project: 'data-project', endpoint: `${google.url}/iamcredentials.googleapis.com` } };
    server = await startTestServer({ driver: 'docker', killOnStop: true, identities });
    for (const accountId of ['alpha-account', 'beta-account', 'gamma-account']) await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId });
  });
  afterAll(async () => {
    await server.close();
    await google.close();
  });

  const account = (name: string) => `${name}-account@demo.iam.gserviceaccount.com`;

  async function createJob(id: string, template: Record<string, unknown>, execution: Record<string, unknown> = {}): Promise<void> {
    const created = await server.call('POST', `${API}/jobs?jobId=${id}`, { template: { ...execution, template: { maxRetries: 0, timeout: '60s', ...template } } });
    expect(created.status, created.text).toBe(200);
    await until(`job ${id} is ready`, async () => (await server.call('GET', `${API}/jobs/${id}`)).json.terminalCondition?.state === 'CONDITION_SUCCEEDED');
  }
  async function run(id: string, body: unknown = {}): Promise<{ name: string; operation: string }> {
    const answer = await server.call('POST', `${API}/jobs/${id}:run`, body);
    expect(answer.status, answer.text).toBe(200);
    return { name: answer.json.metadata.name, operation: answer.json.name };
  }
  // The operation's JSON is read by the test that knows its shape.
  // oxlint-disable-next-line typescript/no-explicit-any
  async function ended(operation: string): Promise<any> {
    return until(
      `${operation} ends`,
      async () => {
        const { json } = await server.call('POST', `/run.googleapis.com/v2/${operation}:wait`, { timeout: '5s' });
        return json.done === true && json;
      },
      60_000,
    );
  }
  async function lines(execution: string): Promise<string[]> {
    const filter = `resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="${execution.split('/').at(-1) ?? ''}" AND logName:"std"`;
    const { json } = await server.call('POST', '/logging.googleapis.com/v2/entries:list', { resourceNames: ['projects/demo'], filter, pageSize: 1000, orderBy: 'timestamp asc' });
    return (json.entries ?? []).map((entry: { textPayload?: string; jsonPayload?: unknown }) => entry.textPayload ?? JSON.stringify(entry.jsonPayload));
  }
  async function output(id: string): Promise<string[]> {
    const { name, operation } = await run(id);
    const done = await ended(operation);
    const text = await lines(name);
    expect(done.error, text.join('\n')).toBeUndefined();
    return text;
  }

  test('the official auth library finds its credentials with no configuration, and the API knows the account by them', async () => {
    const script = `import { GoogleAuth } from 'google-auth-library';
      const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
      const client = await auth.getClient();
      const { token } = await client.getAccessToken();
      const id = await (await auth.getIdTokenClient('https://audience.example')).idTokenProvider.fetchIdToken('https://audience.example');
      const ask = async (path) => { const r = await fetch(process.env.ACTAS_API + path, { headers: { authorization: 'Bearer ' + token } }); return { status: r.status, text: await r.text() }; };
      console.log(JSON.stringify({ project: await auth.getProjectId(), claims: JSON.parse(Buffer.from(id.split('.')[1], 'base64url')), me: JSON.parse((await ask('/actas/v1/status')).text).principal, job: (await ask('${API}/jobs/who')).status, denied: JSON.parse((await ask('/iam.googleapis.com/v1/projects/demo/serviceAccounts')).text).error.message }));`;
    const policy = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:getIamPolicy', {});
    await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
      policy: { ...policy.json, bindings: [...policy.json.bindings, { role: 'roles/run.viewer', members: [`serviceAccount:${account('alpha')}`] }] },
    });
    await createJob('who', { serviceAccount: account('alpha'), containers: [{ image: node, command: ['node'], args: ['--input-type=module', '-e', script] }] });
    const said = JSON.parse((await output('who')).join('')) as Record<string, unknown> & { claims: Record<string, unknown> };
    expect(said).toMatchObject({ project: 'demo', me: `serviceAccount:${account('alpha')}`, job: 200 });
    expect(said['denied']).toContain('iam.serviceAccounts.list');
    expect(said.claims).toMatchObject({ iss: 'https://accounts.google.com', aud: 'https://audience.example', email: account('alpha'), email_verified: true });
  });

  test('an account that acts as a real one: the official auth library gets its token, its address and its project', async () => {
    await google.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'real-account' });
    const { json } = await google.call('POST', '/actas/v1/tokens:issue', { principal: OWNER, withRefreshToken: true });
    const file = join(google.dataDir, 'adc.json');
    const credentials = { type: 'authorized_user', client_id: 'actas', client_secret: 'notasecret', refresh_token: json.refreshToken };
    writeFileSync(file, JSON.stringify({ ...credentials, token_uri: `${google.url}/oauth2.googleapis.com/token` }));
    process.env['GOOGLE_APPLICATION_CREDENTIALS'] = file;
    const policy = { bindings: [{ role: 'roles/iam.serviceAccountTokenCreator', members: [OWNER] }] };
    await google.call('POST', `/iam.googleapis.com/v1/projects/demo/serviceAccounts/${REAL}:setIamPolicy`, { policy });
    const script = `import { GoogleAuth } from 'google-auth-library';
      const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
      const { token } = await (await auth.getClient()).getAccessToken();
      console.log(JSON.stringify({ token, project: await auth.getProjectId(), email: (await auth.getCredentials()).client_email, api: process.env.ACTAS_API }));`;
    await createJob('real', { serviceAccount: account('gamma'), containers: [{ image: node, command: ['node'], args: ['--input-type=module', '-e', script] }] });
    const { token, ...said }: { token: string } = JSON.parse((await output('real')).join(''));
    expect(said).toEqual({ project: 'data-project', email: REAL, api: expect.stringContaining('http') });
    const who = async (where: TestServer) => (await fetch(`${where.url}/actas/v1/status`, { headers: { authorization: `Bearer ${token}` } })).json();
    expect(await who(google)).toMatchObject({ principal: `serviceAccount:${REAL}` });
    expect(await who(server)).toMatchObject({ error: { code: 401 } });
  });

  test('a running task is given new tokens as long as the service agent may make them; one that it has lives on', async () => {
    const ask = (path: string) =>
      `$(curl -s -m 5 -o /dev/null -w "%{http_code}" -H 'Metadata-Flavor: Google' "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/${path}")`;
    // Each set of scopes is a token of its own, so each time round one is made.
    const script = `echo "first: ${ask('token')}"; i=0; while [ $i -lt 60 ] && [ "${ask('token?scopes=https://example.com/$i')}" = 200 ]; do i=$((i + 1)); sleep 0.5; done
      echo "made: ${ask('token?scopes=https://example.com/more')} ${ask('identity?audience=x')}, had: ${ask('token')}"`;
    await createJob('minting', { serviceAccount: account('alpha'), containers: [{ image: shell, command: ['sh', '-c', script] }] });
    const { name, operation } = await run('minting');
    await until('the task has its first token', async () => (await lines(name)).includes('first: 200'));
    const project = '/cloudresourcemanager.googleapis.com/v3/projects/demo';
    const { json: policy } = await server.call('POST', `${project}:getIamPolicy`, {});
    const bindings = policy.bindings.filter((binding: { role: string }) => binding.role !== 'roles/run.serviceAgent');
    expect((await server.call('POST', `${project}:setIamPolicy`, { policy: { ...policy, bindings } })).status).toBe(200);
    await ended(operation);
    expect(await lines(name)).toEqual(['first: 200', 'made: 500 500, had: 200']);
    expect((await server.call('POST', `${API}/jobs/minting:run`, {})).json.error.message).toContain('Google Cloud Run Service Agent does not have permission to get access tokens');
    const { etag: _, ...before } = policy;
    expect((await server.call('POST', `${project}:setIamPolicy`, { policy: before })).status).toBe(200);
  });

  test('no task can obtain another identity: not with forged headers, not from the neighbour, not after its end', async () => {
    const ask = (path: string, ...headers: string[]) =>
      `curl -s -m 3 -H 'Metadata-Flavor: Google' ${headers.map((h) => `-H '${h}'`).join(' ')} http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/${path}`;
    const probes = [
      ask('default/email'),
      ask(`${account('beta')}/token`),
      ask('default/email', 'X-Forwarded-For: $OTHER'),
      ask('default/email', 'X-Real-IP: $OTHER', 'Forwarded: for=$OTHER'),
      ask('default/email', 'Host: beta'),
      'curl -s -m 3 -o /dev/null -w "%{http_code}" http://169.254.169.254/computeMetadata/v1/instance/id',
      'curl -s -m 2 -o /dev/null -w "%{http_code}" http://$OTHER:9/ || echo " unreachable"',
      'curl -s -m 3 -o /dev/null -w "%{http_code}" $ACTAS_API/v2/projects/demo/locations/us-central1/jobs',
    ];
    const script = `sleep 1; ${probes.map((probe, i) => `echo "${i}: $(${probe.replaceAll("'", '"').replaceAll('"', '\\"').replaceAll('\\"', '"')})"`).join('; ')}`;
    await createJob('alpha-probe', {
      serviceAccount: account('alpha'),
      containers: [{ image: shell, command: ['sh', '-c', script], env: [{ name: 'OTHER', value: '10.255.255.1' }] }],
    });
    await createJob('beta-sleeps', { serviceAccount: account('beta'), containers: [{ image: shell, command: ['sh', '-c', 'trap "exit 0" TERM; sleep 20 & wait'] }] });
    const beta = await run('beta-sleeps');
    const address = await until('the neighbour has an address', async () => {
      const containers = await docker.listContainers({ filters: { label: ['actas.attempt'] } });
      const found = containers.find((c) => Object.values(c.Labels).includes(beta.name.split('/').at(-1) ?? ''));
      return Object.values(found?.NetworkSettings.Networks ?? {})[0]?.IPAddress;
    });
    const answer = await server.call('POST', `${API}/jobs/alpha-probe:run`, { overrides: { containerOverrides: [{ env: [{ name: 'OTHER', value: address }] }] } });
    await ended(answer.json.name);
    const said = await lines(answer.json.metadata.name);
    const at = (n: number) =>
      said
        .filter((line) => line.startsWith(`${n}: `))
        .join('')
        .slice(3);
    expect(at(0)).toBe(account('alpha'));
    expect(said.filter((line) => line.endsWith(account('beta')) || line.includes('access_token'))).toEqual([]);
    expect(said.join('\n')).toContain(`${account('beta')}/token</code> was not found`);
    expect(at(2)).not.toContain('@');
    expect(at(3)).toBe(account('alpha'));
    expect(at(4)).toBe(account('alpha'));
    expect(at(5)).toBe('403');
    expect(at(6)).toContain('unreachable');
    expect(at(7)).toBe('401');
    await server.call('POST', `/run.googleapis.com/v2/${beta.name}:cancel`, {});
    expect((await ended(beta.operation)).response?.conditions?.find((c: { type: string }) => c.type === 'Completed')).toMatchObject({
      state: 'CONDITION_FAILED',
      message: 'Cancelled by user.',
    });
  });

  test('the address of a finished task gets nothing, whoever takes it, and the next task gets another', async () => {
    await createJob('addressed', { serviceAccount: account('alpha'), containers: [{ image: shell, command: ['sh', '-c', 'hostname -i; sleep 1'] }] });
    const first = await run('addressed');
    const network = await until('the task runs', async () => {
      const containers = await docker.listContainers({ filters: { label: ['actas.attempt'] } });
      return Object.keys(containers.find((c) => Object.values(c.Labels).includes(first.name.split('/').at(-1) ?? ''))?.NetworkSettings.Networks ?? {})[0];
    });
    await ended(first.operation);
    const [address = ''] = await lines(first.name);
    expect(address).toMatch(/^10\./);
    const stranger = await docker.createContainer({
      Image: shell,
      Cmd: ['sh', '-c', 'curl -s -m 3 -H \'Metadata-Flavor: Google\' http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/email; echo " $?"'],
      HostConfig: { NetworkMode: network, Ulimits },
      NetworkingConfig: { EndpointsConfig: { [network]: { IPAMConfig: { IPv4Address: address } } } },
    });
    try {
      await stranger.start();
      await stranger.wait();
      // Reset (56), refused (7) or closed without an answer (52).
      expect((await stranger.logs({ stdout: true })).subarray(8).toString()).toMatch(/^ (7|52|56)\n$/);
    } finally {
      await stranger.remove({ force: true });
    }
    const [next] = await output('addressed');
    expect(next).toMatch(/^10\./);
    expect(next).not.toBe(address);
  });

  test('an execution runs the content that its tag named when it began, its retries too', async () => {
    const programs = { '/bin/sh': '/bin/sh', '/bin/cat': '/bin/cat', '/bin/sleep': '/bin/sleep' };
    const [one, two] = await Promise.all(['one', 'two'].map((word) => buildImage(docker, { name: `moving-${word}`, programs, files: { '/word': `${word}\n` } })));
    const tag = (image: string) => docker.getImage(image).tag({ repo: 'actas-test-moving', tag: 'v1' });
    await tag(one ?? '');
    await createJob('moving', {
      maxRetries: 1,
      containers: [{ image: 'actas-test-moving:v1', command: ['sh', '-c', 'cat /word; sleep $((2 - 2 * CLOUD_RUN_TASK_ATTEMPT)); exit $((1 - CLOUD_RUN_TASK_ATTEMPT))'] }],
    });
    const { name, operation } = await run('moving');
    const image = await until(
      'the image is pinned',
      async () => /.*@sha256:.*/.exec((await server.call('GET', `/run.googleapis.com/v2/${name}`)).json.template.containers[0].image)?.[0],
    );
    await tag(two ?? '');
    expect((await ended(operation)).response).toMatchObject({ succeededCount: 1, retriedCount: 1 });
    expect(await lines(name)).toEqual(['one', 'one']);
    // Docker knows an image that came from no registry by its id alone; Podman gives it a digest as well.
    const { Id: id, RepoDigests: digests } = await docker.getImage(one ?? '').inspect();
    expect([`actas-test-moving@${id}`, ...(digests ?? []).map((digest) => digest.replace(/^.*@/, 'actas-test-moving@'))]).toContain(image);
    expect(await output('moving')).toEqual(['two', 'two']);
    await docker.getImage('actas-test-moving:v1').remove();
  });

  test("the listeners inside the tasks' network give nothing to the machine's other addresses or to a container of another bridge", async () => {
    await createJob('api-url', { containers: [{ image: shell, command: ['sh', '-c', 'echo $ACTAS_API'] }] });
    const [apiUrl = ''] = await output('api-url');
    const { hostname, port } = new URL(apiUrl);
    // From the machine itself, whose address is no task's.
    await expect(fetch(`${apiUrl}/healthz`, { signal: AbortSignal.timeout(3000) })).rejects.toThrow(/fetch failed|timeout/);
    const others = Object.values(networkInterfaces())
      .flatMap((list) => list ?? [])
      .filter((a) => a.family === 'IPv4' && a.address !== hostname)
      .map((a) => a.address);
    for (const other of others) await expect(fetch(`http://${other}:${port}/healthz`, { signal: AbortSignal.timeout(3000) }), other).rejects.toThrow(/fetch failed|timeout/);
    const network = await docker.createNetwork({ Name: `actas-test-other-${process.pid}`, Driver: 'bridge' });
    try {
      const container = await docker.createContainer({
        Image: shell,
        Cmd: ['sh', '-c', `curl -s -m 3 -o /dev/null -w '%{http_code}' ${apiUrl}/healthz; echo " $?"`],
        HostConfig: { NetworkMode: network.id, Ulimits },
      });
      await container.start();
      await container.wait();
      const said = (await container.logs({ stdout: true })).toString();
      await container.remove({ force: true });
      expect(said).toContain('000 ');
    } finally {
      await network.remove();
    }
  });

  test('variables, exit codes, retries, timeouts and signals as Cloud Run has them', async () => {
    await createJob(
      'outcomes',
      {
        maxRetries: 1,
        timeout: '2s',
        containers: [
          {
            image: shell,
            command: [
              'sh',
              '-c',
              'echo "$CLOUD_RUN_JOB $CLOUD_RUN_EXECUTION $CLOUD_RUN_TASK_INDEX $CLOUD_RUN_TASK_ATTEMPT $CLOUD_RUN_TASK_COUNT"; case $CLOUD_RUN_TASK_INDEX in 0) exit 0;; 1) exit $((1 - CLOUD_RUN_TASK_ATTEMPT));; 2) exit 7;; 3) trap "echo caught; exit 3" TERM; sleep 30 & wait;; esac',
            ],
          },
        ],
      },
      { taskCount: 4 },
    );
    const { name, operation } = await run('outcomes');
    const done = await ended(operation);
    expect(done.error).toMatchObject({ code: expect.any(Number), message: expect.stringMatching(/^Task outcomes-\w+-task\d failed with exit code: \d and message: /) });
    const { json: execution } = await server.call('GET', `/run.googleapis.com/v2/${name}`);
    expect(execution).toMatchObject({ taskCount: 4, succeededCount: 2, failedCount: 2, retriedCount: 3 });
    const { json } = await server.call('GET', `/run.googleapis.com/v2/${name}/tasks`);
    const task = (index: number) => json.tasks.find((t: { index?: number }) => (t.index ?? 0) === index);
    expect(task(1)).toMatchObject({ retried: 1, lastAttemptResult: { status: {} } });
    expect(task(2)).toMatchObject({ retried: 1, lastAttemptResult: { exitCode: 7, status: { code: 10, message: 'The container exited with an error.' } } });
    expect(task(3)).toMatchObject({ retried: 1, lastAttemptResult: { status: { code: 4, message: 'The configured timeout was reached.' } } });
    const text = await lines(name);
    expect(text).toContain('caught');
    const short = name.split('/').at(-1) ?? '';
    expect(text).toContain(`outcomes ${short} 2 1 4`);
  });

  test("an image that cannot be had makes the job not ready, in Google's words, and the operation ends with that", async () => {
    const created = await server.call('POST', `${API}/jobs?jobId=no-image`, { template: { template: { containers: [{ image: 'localhost:1/none/such:v2' }] } } });
    const done = await ended(created.json.name);
    expect(done.error ?? done.response.terminalCondition).toMatchObject({ message: "Image 'localhost:1/none/such:v2' not found." });
    const { json } = await server.call('GET', `${API}/jobs/no-image`);
    expect(json.terminalCondition).toMatchObject({ type: 'Ready', state: 'CONDITION_FAILED', reason: 'CONTAINER_MISSING', message: "Image 'localhost:1/none/such:v2' not found." });
  });

  test('a job with two containers: the one that others depend on starts first, and they share localhost', async () => {
    const sidecar = 'while true; do printf "HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok" > /dev/null; sleep 0.1; done';
    await createJob('two', {
      volumes: [{ name: 'shared', emptyDir: { medium: 'MEMORY', sizeLimit: '16Mi' } }],
      containers: [
        { name: 'main', image: shell, command: ['sh', '-c', 'cat /shared/word'], volumeMounts: [{ name: 'shared', mountPath: '/shared' }], dependsOn: ['side'] },
        {
          name: 'side',
          image: shell,
          command: ['sh', '-c', `trap 'exit 0' TERM; echo from-the-side > /shared/word; ${sidecar}`],
          volumeMounts: [{ name: 'shared', mountPath: '/shared' }],
        },
      ],
    });
    const { name, operation } = await run('two');
    const done = await ended(operation);
    expect(done.error, (await lines(name)).join('\n')).toBeUndefined();
    expect(await lines(name)).toContain('from-the-side');
  });

  test('two data directories coexist on one engine', async () => {
    const second = await startTestServer({ driver: 'docker', killOnStop: true }, {}, mkdtempSync(join(tmpdir(), 'actas-test-')));
    try {
      await second.call('POST', `${API}/jobs?jobId=here`, {
        template: {
          template: {
            maxRetries: 0,
            containers: [{ image: shell, command: ['sh', '-c', 'curl -s -H "Metadata-Flavor: Google" http://metadata/computeMetadata/v1/project/project-id'] }],
          },
        },
      });
      await until('ready', async () => (await second.call('GET', `${API}/jobs/here`)).json.terminalCondition?.state === 'CONDITION_SUCCEEDED');
      const { json } = await second.call('POST', `${API}/jobs/here:run`, {});
      await until('it ends', async () => (await second.call('GET', `/run.googleapis.com/v2/${json.metadata.name}`)).json.succeededCount === 1);
      expect((await server.call('GET', `/run.googleapis.com/v2/${json.metadata.name}`)).status).toBe(404);
    } finally {
      await second.close();
      rmSync(second.dataDir, { recursive: true, force: true });
    }
    expect(await output('api-url')).toHaveLength(1);
  });
});
