/** Google's names in the tasks of one engine: where they lead, who trusts it, and who gets nothing of it. */
import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { nodeImage, relayImage, shellImage } from '../../../test/harness/image.ts';
import { openCertificateAuthority } from '../../identity/certificate-authority.ts';
import { isGoogleName } from '../../identity/front-names.ts';
import { createTlsEnd } from '../../server/tls.ts';
import { until } from '../until.ts';
import { firewallObstacle } from './firewall.ts';
import { LABEL_TRUST_OWNER, scopeOf } from './labels.ts';
import { preferredPorts } from './task-listeners.ts';
import { dockerAt, openTestDriver, removeAll, type TestDriver } from './test-driver.ts';

const firewall = await firewallObstacle();
/** A name server that says 192.0.2.7 of every name, without any library: it runs where the engine is. */
const UPSTREAM = `require('node:dgram').createSocket('udp4').on('message', function (m, from) {
  let end = 12; while (m[end] !== 0) end += m[end] + 1; end += 5;
  const isA = m.readUInt16BE(end - 4) === 1;
  const head = Buffer.from(m.subarray(0, end)); head.writeUInt16BE(0x8180, 2); head.writeUInt16BE(isA ? 1 : 0, 6); head.fill(0, 8, 12);
  this.send(Buffer.concat([head, isA ? Buffer.from('c00c00010001000000050004c0000207', 'hex') : Buffer.alloc(0)]), from.port, from.address);
}).bind(0, '127.0.0.1', function () { console.log('port ' + this.address().port); })`;
/** For run.googleapis.com, A. */
const QUERY = '\\x12\\x34\\x01\\x00\\x00\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x03run\\x0agoogleapis\\x03com\\x00\\x00\\x01\\x00\\x01';

/** Engines of other tests come and go on this kernel, and a connection of a task was seen to hang meanwhile: tried again, and failing for good where that is in vain. */
const SHARED_KERNEL = { retry: 2, timeout: 60_000 };

/** @param by how the control plane reaches the tasks' bridge: it stands on it, or a relay does */
export function googleNamesContract(dockerHost: string, by: 'address' | 'relay' = 'address'): void {
  const docker = dockerAt(dockerHost);
  const obstacle = by === 'relay' ? undefined : firewall;
  const directory = mkdtempSync(join(tmpdir(), 'actas-names-'));
  const authority = openCertificateAuthority({ directory, names: [], now: () => Date.now(), write: (file, text) => writeFileSync(file, text), replaced: () => undefined });
  const http = createServer((request, response) => response.end(`${request.headers.host} for ${request.socket.remoteAddress}`));
  const tls = createTlsEnd(authority, (socket) => http.emit('connection', socket));
  const opened: TestDriver[] = [];
  let image = '';
  let nameServer = '';
  let relay: string | undefined;
  let upstream: ReturnType<typeof docker.getContainer> | undefined;
  beforeAll(async () => {
    image = await shellImage(docker);
    if (by === 'relay') relay = await relayImage(docker);
    upstream = await docker.createContainer({
      Image: await nodeImage(docker),
      Cmd: ['node', '-e', UPSTREAM],
      HostConfig: {
        NetworkMode: 'host',
        CapDrop: ['ALL'],
        Ulimits: [
          { Name: 'nofile', Soft: 1024, Hard: 4096 },
          { Name: 'nproc', Soft: 1024, Hard: 4096 },
        ],
      },
    });
    await upstream.start();
    await until(async () => {
      nameServer = `127.0.0.1:${/port (\d+)/.exec(String(await upstream?.logs({ stdout: true })))?.[1] ?? ''}`;
      return /\d$/.test(nameServer);
    }, 'the name server');
  });
  afterEach(async () => {
    for (const subject of opened.splice(0)) {
      await subject.driver.close({ keepRunning: false });
      await removeAll(docker, subject.dataDirId);
    }
  });
  afterAll(async () => {
    await upstream?.remove({ force: true });
    http.closeAllConnections();
    rmSync(directory, { recursive: true });
  });
  const open = async (dataDirId = `test-${randomUUID()}`, leased = new Set<string>()) => {
    const subject = await openTestDriver(
      image,
      { dockerHost, dataDirId, forceNetwork: by, nameServers: [nameServer], ...(relay === undefined ? {} : { relayImage: relay }) },
      { leased, listeners: { api: tls, google: { isGoogle: isGoogleName, authority: async () => authority.certificate } } },
    );
    opened.push(subject);
    return subject;
  };
  const output = async (subject: TestDriver, spec: ReturnType<TestDriver['attempt']>) => {
    await subject.run(spec);
    return (await subject.read(spec.id)).map((line) => line.text);
  };
  const curl = 'curl -s --http1.1 -m 30 -w "\\n"';

  test.skipIf(obstacle !== undefined)('lead a task to the API, and its programs trust it; all other names lead where they lead anybody', SHARED_KERNEL, async () => {
    const subject = await open();
    expect(subject.info.googleObstacle).toBeUndefined();
    const spec = subject.attempt({
      main: `${curl} https://run.googleapis.com/; ${curl} https://us-central1-run.googleapis.com; ${curl} https://storage.googleapis.com; getent ahostsv4 there.example.com | head -1 | cut -d" " -f1; getent ahostsv4 metadata.google.internal | head -1 | cut -d" " -f1; ${curl} -m 2 https://example.com; echo $?; echo $NODE_EXTRA_CA_CERTS $REQUESTS_CA_BUNDLE`,
    });
    expect(await output(subject, spec)).toEqual([
      `run.googleapis.com for ${spec.address}`,
      `us-central1-run.googleapis.com for ${spec.address}`,
      `storage.googleapis.com for ${spec.address}`,
      '192.0.2.7',
      '169.254.169.254',
      '',
      // Nobody is there.
      expect.stringMatching(/^(7|28)$/),
      '/usr/local/share/ca-certificates/actas.crt /etc/ssl/certs/ca-certificates.crt',
    ]);
  });

  test.skipIf(obstacle !== undefined)('in all containers of an attempt, and not in an attempt that is to meet the real Google', SHARED_KERNEL, async () => {
    const subject = await open();
    const several = subject.attempt({
      main: { args: [`${curl} https://run.googleapis.com/`], dependsOn: ['other'] },
      other: { args: [`${curl} https://iam.googleapis.com/; trap 'exit 0' TERM; while :; do sleep 0.05; done`] },
    });
    expect((await output(subject, several)).sort()).toEqual([`iam.googleapis.com for ${several.address}`, `run.googleapis.com for ${several.address}`]);
    const real = subject.attempt(
      { main: 'getent ahostsv4 run.googleapis.com | grep -c 169.254; env | grep -c -E "CA_CERTS|CERT_FILE|CA_BUNDLE"; ls /etc/ssl 2>/dev/null | wc -l' },
      { interceptGoogle: false },
    );
    expect(await output(subject, real)).toEqual(['0', '0', '0']);
  });

  test.skipIf(obstacle !== undefined)('an address without a lease and another bridge get nothing, of names nor of the API', SHARED_KERNEL, async () => {
    const subject = await open();
    const other = await open();
    const { network } = subject.info;
    if (network?.kind !== 'address') throw new Error('no network of addresses');
    const ask = (address: string, port: number) =>
      `exec 3<>/dev/udp/${address}/${port}; printf '${QUERY}' 2>/dev/null >&3; timeout 2 head -c 2 <&3 | wc -c; exec 3>&-; timeout 2 bash -c 'exec 3<>/dev/tcp/${address}/${port} && head -c 1 <&3' 2>/dev/null | wc -c`;
    const bash = { command: ['bash', '-c'] };
    const asked = `${ask(network.gateway, 53)}; curl -sk -m 2 https://169.254.169.254/; echo $?`;
    const leased = subject.attempt({ main: { ...bash, args: [asked] } });
    expect((await output(subject, leased))[0]).toBe('2');
    const unleased = subject.attempt({ main: { ...bash, args: [asked] } });
    subject.leased.delete(unleased.address ?? '');
    expect(await output(subject, unleased)).toEqual(['0', '0', expect.stringMatching(/^(7|28|35|52|56)$/)]);
    // From the other data directory's bridge: the gateway's usual port, and straight to the listener's.
    const { names } = preferredPorts(scopeOf(subject.dataDirId), network.gateway);
    const stranger = other.attempt({ main: { ...bash, args: [`${ask(network.gateway, 53)}; ${ask(network.gateway, names)}; ${ask(network.gateway, names + 1)}`] } });
    expect(await output(other, stranger)).toEqual(Array(6).fill('0'));
  });

  test.skipIf(obstacle !== undefined)(
    'an image is prepared once, is found again after a restart, made anew when the engine lost it, and gone after the end',
    SHARED_KERNEL,
    async () => {
      const subject = await open();
      const prepared = async () => (await docker.listImages({ filters: { label: [`${LABEL_TRUST_OWNER}=${subject.dataDirId}`] } })).map(({ Id }) => Id);
      const call = () => subject.attempt({ main: `${curl} https://run.googleapis.com/` });
      for (let count = 0; count < 2; count++) expect((await output(subject, call()))[0]).toContain('run.googleapis.com for');
      const [first = '', ...more] = await prepared();
      expect(more).toEqual([]);
      await subject.driver.close({ keepRunning: true });
      opened.splice(opened.indexOf(subject), 1);
      await removeAll(docker, subject.dataDirId);
      const again = await open(subject.dataDirId);
      expect((await output(again, again.attempt({ main: `${curl} https://run.googleapis.com/` })))[0]).toContain('run.googleapis.com for');
      expect(await prepared()).toEqual([first]);
      for (const { id } of await again.driver.attempts()) await again.driver.remove(id);
      await docker.getImage(first).remove({ noprune: true });
      expect((await output(again, again.attempt({ main: `${curl} https://run.googleapis.com/` })))[0]).toContain('run.googleapis.com for');
      for (const { id } of await again.driver.attempts()) await again.driver.remove(id);
      expect(await prepared()).toHaveLength(1);
      await again.driver.close({ keepRunning: false });
      expect(await prepared()).toEqual([]);
    },
  );
}
