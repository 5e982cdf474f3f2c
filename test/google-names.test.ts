/** Unmodified programs in tasks, which call Google's APIs by their names and with the default credentials, and find them here. */
import { createSocket, type Socket } from 'node:dgram';
import { createServer } from 'node:net';
import { decode, encode } from 'dns-packet';
import Docker from 'dockerode';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeWithEngine } from './harness/engine.ts';
import { nodeImage, shellImage } from './harness/image.ts';
import { startTestServer, type TestServer } from './harness/server.ts';
import { until } from './harness/until.ts';

const API = '/run.googleapis.com/v2/projects/demo/locations/us-central1';
const ACCOUNT = 'caller@demo.iam.gserviceaccount.com';

/** Knows one name, and keeps what it was asked. */
function startNameServer(): Promise<{ readonly address: string; readonly asked: string[]; close(): void }> {
  const asked: string[] = [];
  const answer = (message: Buffer): Buffer => {
    const { id, questions = [] } = decode(message);
    const [question] = questions;
    asked.push(`${question?.type} ${question?.name}`);
    const isKnown = question?.name === 'there.example.com' && question.type === 'A';
    return encode({ id, type: 'response', questions, answers: isKnown ? [{ type: 'A', name: question.name, ttl: 5, data: '192.0.2.7' }] : [] });
  };
  return new Promise((resolve) => {
    const udp: Socket = createSocket('udp4', (message, { address, port }) => udp.send(answer(message), port, address));
    udp.bind(0, '127.0.0.1', () => {
      const { port } = udp.address();
      const tcp = createServer((socket) =>
        socket
          .on('error', () => undefined)
          .on('data', (chunk: Buffer) => {
            const body = answer(chunk.subarray(2));
            const length = Buffer.alloc(2);
            length.writeUInt16BE(body.length);
            socket.write(Buffer.concat([length, body]));
          }),
      ).listen(port, '127.0.0.1', () =>
        resolve({
          address: `127.0.0.1:${port}`,
          asked,
          close: () => {
            udp.close();
            tcp.close();
          },
        }),
      );
    });
  });
}

/** Engines of other tests come and go on this kernel, and a connection of a task was seen to hang meanwhile: tried again, and failing for good where that is in vain. */
const SHARED_KERNEL = { retry: 2, timeout: 45_000 };

describeWithEngine("Google's names in tasks", (dockerHost) => {
  const docker = new Docker({ socketPath: dockerHost.replace('unix://', '') });
  let server: TestServer;
  let names: Awaited<ReturnType<typeof startNameServer>>;
  let shell = '';
  let node = '';
  beforeAll(async () => {
    process.env['DOCKER_HOST'] = dockerHost;
    shell = await shellImage(docker);
    node = await nodeImage(docker, ['google-auth-library', 'googleapis']);
    names = await startNameServer();
    server = await startTestServer({ driver: 'docker', killOnStop: true, taskNameServer: [names.address] });
    await server.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'caller' });
    const policy = await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:getIamPolicy', {});
    await server.call('POST', '/cloudresourcemanager.googleapis.com/v3/projects/demo:setIamPolicy', {
      policy: { ...policy.json, bindings: [...policy.json.bindings, { role: 'roles/viewer', members: [`serviceAccount:${ACCOUNT}`] }] },
    });
  });
  afterAll(async () => {
    await server.close();
    names.close();
  });

  let count = 0;
  async function output(template: Record<string, unknown>, of: TestServer = server): Promise<string[]> {
    const id = `job-${count++}`;
    const created = await of.call('POST', `${API}/jobs?jobId=${id}`, { template: { template: { maxRetries: 0, timeout: '60s', serviceAccount: ACCOUNT, ...template } } });
    expect(created.status, created.text).toBe(200);
    await until(`job ${id} is ready`, async () => (await of.call('GET', `${API}/jobs/${id}`)).json.terminalCondition?.state === 'CONDITION_SUCCEEDED');
    const begun = await of.call('POST', `${API}/jobs/${id}:run`, {});
    const operation = await until(
      `${id} ends`,
      async () => {
        const { json } = await of.call('POST', `/run.googleapis.com/v2/${begun.json.name}:wait`, { timeout: '5s' });
        return json.done === true && json;
      },
      60_000,
    );
    const filter = `resource.type="cloud_run_job" AND labels."run.googleapis.com/execution_name"="${begun.json.metadata.name.split('/').at(-1)}" AND logName:"std"`;
    const { json } = await of.call('POST', '/logging.googleapis.com/v2/entries:list', { resourceNames: ['projects/demo'], filter, pageSize: 1000, orderBy: 'timestamp asc' });
    const lines = (json.entries ?? []).map((entry: { textPayload?: string; jsonPayload?: unknown }) => entry.textPayload ?? JSON.stringify(entry.jsonPayload));
    expect(operation.error, lines.join('\n')).toBeUndefined();
    return lines;
  }
  const program = (image: string, script: string, more: Record<string, unknown> = {}) => ({
    containers: [{ image, command: ['node'], args: ['--input-type=module', '-e', script], ...more }],
  });
  const script = (image: string, text: string, more: Record<string, unknown> = {}) => ({ containers: [{ image, command: ['sh', '-c', text], ...more }] });

  test("google-auth-library and googleapis, as anybody would write them, as the task's own account", SHARED_KERNEL, async () => {
    const lines = await output(
      program(
        node,
        `import { GoogleAuth } from 'google-auth-library'; import { google } from 'googleapis';
        const auth = new GoogleAuth({ scopes: 'https://www.googleapis.com/auth/cloud-platform' });
        const ask = async (url) => { const { status, data } = await auth.request({ url, validateStatus: () => true }); return { status, data }; };
        const accounts = await ask('https://iam.googleapis.com/v1/projects/demo/serviceAccounts');
        const jobs = await ask('https://run.googleapis.com/v2/projects/demo/locations/us-central1/jobs');
        const regional = await ask('https://us-central1-run.googleapis.com/v2/projects/demo/locations/us-central1/jobs');
        const unserved = await ask('https://storage.googleapis.com/storage/v1/b?project=demo');
        const info = await ask('https://oauth2.googleapis.com/tokeninfo?access_token=' + (await auth.getAccessToken()));
        const listed = await google.iam({ version: 'v1', auth }).projects.serviceAccounts.list({ name: 'projects/demo' });
        const anonymous = await fetch('https://run.googleapis.com/v2/projects/demo/locations/us-central1/jobs');
        console.log(JSON.stringify({ accounts: accounts.data.accounts?.map((one) => one.email), jobs: jobs.status, regional: regional.status, unserved: [unserved.status, unserved.data.error?.message], email: info.data.email, listed: listed.data.accounts.length, anonymous: anonymous.status, checked: process.env.NODE_TLS_REJECT_UNAUTHORIZED ?? 'yes' }));`,
      ),
    );
    expect(JSON.parse(lines.join(''))).toMatchObject({
      accounts: expect.arrayContaining([ACCOUNT]),
      jobs: 200,
      regional: 200,
      unserved: [501, expect.stringContaining('storage.googleapis.com')],
      email: ACCOUNT,
      listed: expect.any(Number),
      anonymous: 401,
      checked: 'yes',
    });
  });

  test('curl, over HTTP/2 and in every region; other names are asked of the name servers that there are', SHARED_KERNEL, async () => {
    const lines = await output(
      script(
        shell,
        `token=$(curl -s -H 'Metadata-Flavor: Google' http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token | sed 's/.*"access_token":"\\([^"]*\\)".*/\\1/')
        for host in run iam europe-west1-run cloudresourcemanager oauth2 www pubsub; do curl -s -o /dev/null -w "$host %{http_version} %{http_code} %{ssl_verify_result}\\n" -H "authorization: Bearer $token" https://$host.googleapis.com/v2/projects/demo/locations/europe-west1/jobs; done
        curl -s -o /dev/null -w "%{http_code}\\n" https://service-abc.a.run.app/; getent ahostsv4 there.example.com | head -1 | cut -d' ' -f1; getent hosts nowhere.example.com || echo none`,
      ),
    );
    const [run, iam, regional, resources, tokens, www, pubsub, ...others] = lines;
    expect([run, regional]).toEqual(['run 2 200 0', 'europe-west1-run 2 200 0']);
    // Not paths of theirs.
    expect([iam, resources, tokens, www]).toEqual([
      expect.stringMatching(/2 404 0$/),
      expect.stringMatching(/2 404 0$/),
      expect.stringMatching(/2 404 0$/),
      expect.stringMatching(/2 404 0$/),
    ]);
    expect(pubsub).toBe('pubsub 2 501 0');
    // Without a token.
    expect(others).toEqual(['401', '192.0.2.7', 'none']);
    expect(names.asked).toEqual(expect.arrayContaining(['A there.example.com', 'A nowhere.example.com']));
    expect(names.asked.filter((question) => /googleapis|run\.app/.test(question))).toEqual([]);
  });

  test("what the job sets stays as it sets it, and the image's own settings hold", SHARED_KERNEL, async () => {
    const env = [
      { name: 'NODE_EXTRA_CA_CERTS', value: '/mine.pem' },
      { name: 'SSL_CERT_FILE', value: '' },
    ];
    expect(await output(script(shell, 'echo "$NODE_EXTRA_CA_CERTS,$SSL_CERT_FILE,$REQUESTS_CA_BUNDLE"; echo $PATH; pwd; id -u', { env }))).toEqual([
      '/mine.pem,,/etc/ssl/certs/ca-certificates.crt',
      '/usr/local/bin:/usr/bin:/bin',
      '/',
      '0',
    ]);
  });

  test('it can be left out, and status says which of the two is', async () => {
    const status = async (of: TestServer) => (await of.call('GET', '/actas/v1/status')).json.taskGoogleNames;
    expect(await status(server)).toBe('here');
    const without = await startTestServer({ driver: 'docker', killOnStop: true, noTaskGoogleNames: true });
    const byName = await startTestServer({ driver: 'docker', killOnStop: true, taskNetwork: 'hostname' });
    const fake = await startTestServer();
    try {
      expect(await status(without)).toBe('not here (--no-task-google-names)');
      expect(await status(byName)).toMatch(/^not here: tasks are told apart by host names/);
      expect(await status(fake)).toMatch(/^nowhere/);
      await without.call('POST', '/iam.googleapis.com/v1/projects/demo/serviceAccounts', { accountId: 'caller' });
      expect(await output(script(shell, 'getent ahostsv4 run.googleapis.com | grep -c 169.254; env | grep -c -E "CA_CERTS|CERT_FILE|CA_BUNDLE"; true'), without)).toEqual([
        '0',
        '0',
      ]);
    } finally {
      for (const other of [without, byName, fake]) await other.close();
    }
  });
});
