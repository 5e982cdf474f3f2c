/** What tells tasks apart, and keeps them apart, on one engine. */
import { existsSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { relayImage, shellImage } from '../../../test/harness/image.ts';
import { until } from '../until.ts';
import { firewallObstacle } from './firewall.ts';
import { LABEL_ATTEMPT, LABEL_OWNER, networkName, scopeOf } from './labels.ts';
import { dockerAt, openTestDriver, removeAll, type TestDriver } from './test-driver.ts';

const firewall = await firewallObstacle();

/** Answers with the address that it saw, as the metadata server would use it. */
function whoServer(name: string): { handle: (socket: Socket) => void; close: () => void } {
  const server = createServer((request, response) => response.end(`${name} ${request.socket.remoteAddress}`));
  return { handle: (socket) => server.emit('connection', socket), close: () => server.closeAllConnections() };
}

/** @param by how the control plane reaches the tasks' bridge: it stands on it, or a relay does */
export function isolationContract(dockerHost: string, by: 'address' | 'relay' = 'address'): void {
  const obstacle = by === 'relay' ? undefined : firewall;
  let relay: string | undefined;
  const opened: TestDriver[] = [];
  const metadata = whoServer('metadata');
  const api = whoServer('api');
  let image = '';
  const open = async (more: Parameters<typeof openTestDriver>[2] = {}, dataDirId?: string) => {
    const subject = await openTestDriver(
      image,
      { dockerHost, environment: process.env, forceNetwork: by, ...(relay === undefined ? {} : { relayImage: relay }), ...(dataDirId === undefined ? {} : { dataDirId }) },
      { ...more, listeners: { metadata: metadata.handle, api: api.handle } },
    );
    opened.push(subject);
    return subject;
  };
  beforeAll(async () => {
    image = await shellImage(dockerAt(dockerHost));
    if (by === 'relay') relay = await relayImage(dockerAt(dockerHost));
  });
  afterEach(async () => {
    for (const subject of opened.splice(0)) {
      await subject.driver.close({ keepRunning: false });
      await removeAll(dockerAt(dockerHost), subject.dataDirId);
    }
  });
  afterAll(() => {
    metadata.close();
    api.close();
  });
  const output = async (subject: TestDriver, spec: ReturnType<TestDriver['attempt']>) => {
    const exit = await subject.run(spec);
    return { exit, text: (await subject.read(spec.id)).map((line) => line.text) };
  };

  test.skipIf(obstacle !== undefined)('a task reaches the metadata server by all its names, and is known by its own address; two data directories side by side', async () => {
    const [one, two] = [await open(), await open()];
    const script = 'for h in 169.254.169.254 metadata.google.internal metadata.google.internal. metadata; do curl -s -m 3 http://$h/; echo; done; curl -s -m 3 $API; echo';
    for (const subject of [one, two]) {
      const network = subject.info.network;
      if (network?.kind !== 'address') throw new Error('no network of addresses');
      const spec = subject.attempt({ main: { args: [script], env: [{ name: 'API', value: network.apiUrl ?? '' }] } });
      const { text } = await output(subject, spec);
      expect(text).toEqual([...Array.from({ length: 4 }, () => `metadata ${spec.address}`), `api ${spec.address}`]);
    }
    expect(
      Object.values(networkInterfaces())
        .flat()
        .some((entry) => entry?.address === '169.254.169.254'),
    ).toBe(false);
  });

  test.skipIf(obstacle !== undefined)('an address without a lease, another bridge and a finished task get nothing', async () => {
    const subject = await open();
    const other = await open();
    const network = subject.info.network;
    if (network?.kind !== 'address') throw new Error('no network of addresses');
    const unleased = subject.attempt({ main: 'curl -s -m 3 http://169.254.169.254/; echo $?' });
    subject.leased.delete(unleased.address ?? '');
    // Reset after (56) or before (7) the connection stood, or closed without an answer (52): never a byte.
    expect((await output(subject, unleased)).text).toEqual([expect.stringMatching(/^(7|52|56)$/)]);
    // From the other data directory's bridge, and straight to our gateway's ports.
    const stranger = other.attempt({ main: `curl -s -m 1 ${network.apiUrl}/; echo $?` });
    expect((await output(other, stranger)).text).toEqual(['28']);
  });

  test.skipIf(obstacle !== undefined)('tasks cannot reach each other, the rest of the link-local range, or raw sockets', async () => {
    const subject = await open();
    const server = subject.attempt({ main: 'echo up; exec sleep 60' });
    await subject.driver.start(server);
    const probe = subject.attempt({
      main: `curl -s -m 1 http://${server.address}:8080/; echo $?; curl -s -m 1 http://169.254.169.254:8080/; echo $?; grep CapEff /proc/self/status | cut -f2; grep NoNewPrivs /proc/self/status | cut -f2`,
    });
    const { text } = await output(subject, probe);
    // 28: timed out. A refusal (7) would say that the packet arrived.
    expect(text.slice(0, 2)).toEqual(['28', '28']);
    const capabilities = BigInt(`0x${text[2]}`);
    expect(capabilities & (1n << 13n), 'CAP_NET_RAW').toBe(0n);
    expect(capabilities & (1n << 12n), 'CAP_NET_ADMIN').toBe(0n);
    expect(text[3]).toBe('1');
  });

  test.skipIf(obstacle !== undefined)('a running task keeps its address over a restart, and its metadata server comes back; others are untouched', async () => {
    const bystander = await open();
    const untouched = bystander.attempt({ main: 'exec sleep 60' });
    await bystander.driver.start(untouched);
    const first = await open();
    const spec = first.attempt({
      main: 'while ! curl -s -f -m 1 http://169.254.169.254/ >/dev/null; do :; done; echo before; while curl -s -f -m 1 http://169.254.169.254/ >/dev/null; do :; done; echo away; while ! curl -s -f -m 1 http://169.254.169.254/; do :; done; echo',
    });
    const orphan = first.attempt({ main: 'exec sleep 60' });
    await first.driver.start(spec);
    await first.driver.start(orphan);
    const docker = dockerAt(dockerHost);
    // Asked of the engine itself: between the two drivers there is nobody else to ask.
    const said = async (word: string) => {
      const [found] = await docker.listContainers({ filters: { label: [`${LABEL_ATTEMPT}=${spec.id}`] } });
      return found !== undefined && String(await docker.getContainer(found.Id).logs({ stdout: true })).includes(word);
    };
    await until(() => said('before'), 'the first answer');
    await first.driver.close({ keepRunning: true });
    opened.splice(opened.indexOf(first), 1);
    await until(() => said('away'), 'the end of the answers');
    const again = await open({ keep: new Set([spec.id]), leased: first.leased }, first.dataDirId);
    expect((await again.driver.attempts()).map((state) => [state.id, state.state])).toEqual([[spec.id, 'running']]);
    await again.exitOf(spec.id);
    expect((await again.read(spec.id)).map((line) => line.text)).toEqual(['before', 'away', `metadata ${spec.address}`]);
    expect((await bystander.driver.attempts()).map((state) => state.state)).toEqual(['running']);
    expect(again.info.network).toMatchObject({ gateway: first.info.network?.kind === 'address' ? first.info.network.gateway : '' });
  });

  test.skipIf(obstacle !== undefined)('nothing is left after the end', async () => {
    const subject = await open();
    await subject.run(subject.attempt({ main: 'true' }));
    // Also where what runs was to be kept: an attempt that has ended needs no bridge, though it is not removed yet.
    await subject.driver.close({ keepRunning: true });
    const docker = dockerAt(dockerHost);
    expect((await docker.listContainers({ all: true, filters: { label: [`${LABEL_OWNER}=${subject.dataDirId}`] } })).map((container) => container.Labels[LABEL_ATTEMPT])).toEqual([
      expect.any(String),
    ]);
    expect((await docker.listNetworks()).map((network) => network.Name)).not.toContain(networkName(scopeOf(subject.dataDirId)));
    // Not os.networkInterfaces(), which leaves out what is down.
    expect(existsSync(`/sys/class/net/${networkName(scopeOf(subject.dataDirId))}`)).toBe(false);
  });
}
