/** On an engine whose network this host has no part in: its socket is all that the two share, as with Docker Desktop or an engine on another machine. */
import { createServer } from 'node:http';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { startEngineApart } from '../../../scripts/engine.mjs';
import { relayImage, shellImage } from '../../../test/harness/image.ts';
import { until } from '../until.ts';
import { googleNamesContract } from './google-names-contract.ts';
import { isolationContract } from './isolation-contract.ts';
import { relayName, scopeOf } from './labels.ts';
import { dockerAt, openTestDriver, removeAll, type TestDriver } from './test-driver.ts';

const engine = await startEngineApart().catch((error: Error) => error.message);

if (typeof engine === 'string') describe.skip(`an engine apart (not here: ${engine})`, () => define('unix:///nowhere'));
else {
  afterAll(() => engine.stop());
  describe('an engine apart', () => define(engine.dockerHost));
}

function define(dockerHost: string): void {
  describe("the tasks' network by a relay", () => isolationContract(dockerHost, 'relay'));
  describe("Google's names in tasks, by a relay", () => googleNamesContract(dockerHost, 'relay'));
  describe('the relay', () => relayCases(dockerHost));
}

function relayCases(dockerHost: string): void {
  const docker = dockerAt(dockerHost);
  const opened: TestDriver[] = [];
  let image = '';
  let relay = '';
  /** Answers a GET with so many bytes, and a PUT with how many came. */
  const server = createServer((request, response) => {
    if (request.method === 'GET') return response.end(Buffer.alloc(Number(request.url?.slice(1)), 'x'));
    let bytes = 0;
    return request.on('data', (chunk: Buffer) => (bytes += chunk.length)).on('end', () => response.end(`${bytes} from ${request.socket.remoteAddress}`));
  });
  beforeAll(async () => {
    image = await shellImage(docker);
    relay = await relayImage(docker);
  });
  afterEach(async () => {
    for (const subject of opened.splice(0)) {
      await subject.driver.close({ keepRunning: false });
      await removeAll(docker, subject.dataDirId);
    }
  });
  afterAll(() => server.closeAllConnections());
  const open = async (relayImage: string | undefined = relay) => {
    const subject = await openTestDriver(
      image,
      { dockerHost, ...(relayImage === '' ? {} : { relayImage }) },
      { listeners: { api: (socket) => server.emit('connection', socket) } },
    );
    opened.push(subject);
    return subject;
  };
  const apiOf = ({ info: { network } }: TestDriver) => ({ env: [{ name: 'API', value: network?.apiUrl ?? '' }] });
  const output = async (subject: TestDriver, script: string) => {
    const spec = subject.attempt({ main: { args: [script], ...apiOf(subject) } });
    await subject.run(spec);
    return { spec, text: (await subject.read(spec.id)).map((line) => line.text) };
  };

  test('is chosen by itself where the host has no part in the network, and carries much in both directions', async () => {
    const subject = await open();
    expect(subject.info.network?.kind).toBe('address');
    expect(subject.info.warnings.join()).not.toContain('host name');
    const { spec, text } = await output(
      subject,
      'curl -s $API/20000000 | wc -c; head -c 9000000 /dev/zero | curl -s -T - $API/; echo; for i in 1 2 3 4 5 6; do curl -s $API/1000000 | wc -c & done; wait',
    );
    expect(text).toEqual(['20000000', `9000000 from ${spec.address}`, ...Array.from({ length: 6 }, () => '1000000')]);
  });

  test('a startup probe goes through it', async () => {
    const subject = await open();
    const spec = subject.attempt({
      main: {
        args: ["trap 'exit 0' TERM; while :; do sleep 0.05; done"],
        startupProbe: { initialDelayMs: 0, timeoutMs: 500, periodMs: 100, failureThreshold: 2, check: { kind: 'tcp', port: 8080 } },
      },
    });
    await subject.driver.start(spec);
    const exit = await subject.exitOf(spec.id);
    expect(exit).toMatchObject({ cause: 'probeFailed' });
    expect(exit.message).toMatch(/tcp port 8080.*ECONNREFUSED/);
  });

  test('one that is killed is replaced, and tasks find it at the same place', async () => {
    const subject = await open();
    const spec = subject.attempt({
      main: {
        args: ['curl -s $API/1 >/dev/null; echo up; while curl -s -m 1 $API/1 >/dev/null; do :; done; echo away; while ! curl -s -f -m 1 $API/3; do :; done; echo'],
        ...apiOf(subject),
      },
    });
    await subject.driver.start(spec);
    const seen: string[] = [];
    const reading = (async () => {
      for await (const line of subject.driver.logs(spec.id, {}, new AbortController().signal)) seen.push(line.text);
    })();
    await until(() => seen.includes('up'));
    await docker.getContainer(relayName(scopeOf(subject.dataDirId))).kill();
    await subject.exitOf(spec.id);
    await reading;
    expect(seen).toEqual(['up', 'away', 'xxx']);
  });

  test('what passes through it is written down nowhere, and a task finds nothing of it', async () => {
    const subject = await open();
    const found = await docker.getContainer(relayName(scopeOf(subject.dataDirId))).inspect();
    expect(found.HostConfig).toMatchObject({ LogConfig: { Type: 'none' }, CapDrop: ['ALL'], ReadonlyRootfs: true, Privileged: false });
    expect([found.HostConfig.Binds, found.Mounts, found.Config.Env.filter((entry) => /ACTAS|TOKEN|SECRET/.test(entry))]).toEqual([null, [], []]);
    // Neither another task nor the gateway has an open port beside the two that know who asks.
    const { text } = await output(subject, 'for p in 22 80 2375 8080 9000; do curl -s -m 1 ${API%:*}:$p/ >/dev/null; echo $?; done; env | grep -c -i relay');
    expect(text).toEqual(['7', '7', '7', '7', '7', '0']);
  });

  test('without an image for it tasks get host names, and the start says how to get one', async () => {
    const subject = await open('');
    expect(subject.info.network?.kind).toBe('hostname');
    expect(subject.info.warnings.join()).toMatch(/no part in the engine's networks, and there is no image "actas".*docker build -t actas/);
    await expect(open('127.0.0.1:1/nobody/has:this')).resolves.toMatchObject({ info: { network: { kind: 'hostname' } } });
    await expect(openTestDriver(image, { dockerHost, relayImage: image })).resolves.toSatisfy((driver: TestDriver) => {
      opened.push(driver);
      return /the relay .* cannot run: .*node/.test(driver.info.warnings.join());
    });
  });
}
