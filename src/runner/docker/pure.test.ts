import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { MAX_LINE_BYTES } from '../driver.ts';
import { findCredentials, registryOf } from './credentials.ts';
import { listEndpoints } from './endpoint.ts';
import { ownRules, rulesFor } from './firewall.ts';
import { imageErrorOf } from './images.ts';
import { createFrameReader, createSkipper, type RawLine } from './log-frames.ts';
import { codeOrSignal, decide } from './outcome.ts';
import { pauseProgram } from './pause-image.ts';
import { healthRequest, servingStatus } from './probe.ts';
import { formatSubnet, freeSubnets, hostAddresses, parseRoutes, parseSubnet } from './subnet.ts';

const directory = mkdtempSync(join(tmpdir(), 'actas-docker-'));
afterAll(() => rmSync(directory, { recursive: true }));

function frame(stream: 1 | 2, text: string | Buffer): Buffer {
  const body = Buffer.from(text);
  const header = Buffer.alloc(8);
  header[0] = stream;
  header.writeUInt32BE(body.length, 4);
  return Buffer.concat([header, body]);
}
const at = (nanos: number) => `2026-01-02T03:04:05.${String(nanos).padStart(9, '0')}Z`;
const readAll = (bytes: Buffer, chunk = bytes.length): RawLine[] => {
  const reader = createFrameReader();
  const lines: RawLine[] = [];
  for (let from = 0; from < bytes.length; from += chunk) lines.push(...reader.push(bytes.subarray(from, from + chunk)));
  return [...lines, ...reader.end()];
};

describe('log frames', () => {
  test('streams are told apart, times are exact, pieces of 16 KiB are joined', () => {
    const bytes = Buffer.concat([
      frame(1, `${at(1)} ${'a'.repeat(16384)}`),
      frame(2, `${at(2)} oops\n`),
      frame(1, `${at(1)} b\n`),
      frame(1, `${at(3)} \n`),
      frame(1, `${at(4)} no end`),
    ]);
    const second = BigInt(Date.UTC(2026, 0, 2, 3, 4, 5)) * 1_000_000n;
    for (const chunk of [1, 7, 4096, bytes.length]) {
      expect(readAll(bytes, chunk)).toEqual([
        { stream: 'stderr', timeNs: second + 2n, text: 'oops' },
        // It began before, but its end came later: times never decrease.
        { stream: 'stdout', timeNs: second + 2n, text: `${'a'.repeat(16384)}b` },
        { stream: 'stdout', timeNs: second + 3n, text: '' },
        { stream: 'stdout', timeNs: second + 4n, text: 'no end' },
      ]);
    }
  });

  test('a line at the limit is whole; a longer one comes in pieces that split no character', () => {
    const pieces = (text: string) => {
      const bytes = Buffer.from(text);
      const frames: Buffer[] = [];
      for (let from = 0; from < bytes.length; from += 16384)
        frames.push(frame(1, Buffer.concat([Buffer.from(`${at(1)} `), bytes.subarray(from, from + 16384), Buffer.from(from + 16384 >= bytes.length ? '\n' : '')])));
      return readAll(Buffer.concat(frames));
    };
    expect(pieces('x'.repeat(MAX_LINE_BYTES))).toMatchObject([{ text: 'x'.repeat(MAX_LINE_BYTES) }]);
    const long = `x${'é'.repeat(MAX_LINE_BYTES)}`;
    const told = pieces(long);
    expect(told.map((line) => line.text).join('')).toBe(long);
    expect(told.map((line) => line.partial ?? false)).toEqual([true, true, false]);
    expect(told.every((line) => Buffer.byteLength(line.text) <= MAX_LINE_BYTES)).toBe(true);
  });

  test('a line that was told in whole seconds is not older than its container', () => {
    const startedNs = BigInt(Date.parse('2026-11-24T15:04:04.799Z')) * 1_000_000n;
    const lines = createFrameReader(startedNs).push(Buffer.concat([frame(1, '2026-11-24T15:04:04Z a\n'), frame(1, '2026-11-24T15:04:05Z b\n')]));
    expect(lines.map((line) => line.timeNs)).toEqual([startedNs, BigInt(Date.parse('2026-11-24T15:04:05Z')) * 1_000_000n]);
  });

  test('bytes that are no UTF-8 are replaced', () => {
    expect(readAll(frame(1, Buffer.concat([Buffer.from(`${at(1)} a`), Buffer.from([0xff]), Buffer.from('b\n')])))).toMatchObject([{ text: 'a\ufffdb' }]);
  });

  test('from any cursor on, exactly the rest comes', () => {
    fc.assert(
      fc.property(fc.array(fc.record({ stream: fc.constantFrom(1 as const, 2 as const), time: fc.integer({ min: 0, max: 5 }) }), { maxLength: 30 }), fc.nat(), (entries, cut) => {
        const all = readAll(Buffer.concat(entries.map((entry, index) => frame(entry.stream, `${at(entry.time)} ${index}\n`))));
        const kept = cut % (all.length + 1);
        const last = all[kept - 1];
        const skip = createSkipper(last && { timeNs: last.timeNs, count: all.slice(0, kept).filter((line) => line.timeNs === last.timeNs).length });
        expect(all.filter((line) => !skip(line))).toEqual(all.slice(kept));
      }),
    );
  });
});

describe('outcome', () => {
  const exit = (container: string, exitCode: number, finishedAtMs: number) => ({ container, exit: { cause: 'exited' as const, exitCode, finishedAtMs } });
  const pair = [
    { name: 'main', dependsOn: ['proxy'] },
    { name: 'proxy', dependsOn: [] },
  ];
  test('containers that others depend on do not count, unless they fail first', () => {
    expect(decide(pair, [])).toBeUndefined();
    expect(decide(pair, [exit('proxy', 0, 1)])).toBeUndefined();
    expect(decide(pair, [exit('proxy', 143, 2), exit('main', 0, 1)])?.container).toBe('main');
    expect(decide(pair, [exit('proxy', 3, 1), exit('main', 0, 2)])).toMatchObject({ container: 'proxy', exit: { exitCode: 3 } });
  });
  test('of equals, all must succeed, and one that fails is enough', () => {
    const equals = [
      { name: 'a', dependsOn: [] },
      { name: 'b', dependsOn: [] },
    ];
    expect(decide(equals, [exit('a', 0, 1)])).toBeUndefined();
    expect(decide(equals, [exit('a', 0, 1), exit('b', 0, 2)])?.container).toBe('b');
    expect(decide(equals, [exit('b', 1, 2)])?.container).toBe('b');
  });
  test('128 + n is signal n', () => {
    expect([0, 1, 128, 137, 143, 160, 255].map(codeOrSignal)).toEqual([
      { exitCode: 0 },
      { exitCode: 1 },
      { exitCode: 128 },
      { signal: 9 },
      { signal: 15 },
      { exitCode: 160 },
      { exitCode: 255 },
    ]);
  });
});

describe('the sandbox program', () => {
  test.each(['amd64', 'arm64'])('is an ELF of one segment for %s', (architecture) => {
    const elf = pauseProgram(architecture);
    expect(elf.subarray(0, 7)).toEqual(Buffer.from([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]));
    expect(elf.readUInt16LE(18)).toBe(architecture === 'amd64' ? 62 : 183);
    // The entry is the first byte after both headers, where the code begins.
    expect(elf.readBigUInt64LE(24)).toBe(elf.readBigUInt64LE(80) + 120n);
    expect(elf.readBigUInt64LE(96)).toBe(BigInt(elf.length));
  });
  test('others are refused', () => expect(() => pauseProgram('riscv64')).toThrow(/riscv64/));
});

describe('subnets', () => {
  test('routes are read, and what they cover is not taken', () => {
    const routes = parseRoutes(
      'Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\neth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\nbr\t0000D50A\t00000000\t0001\t0\t0\t0\t00FCFFFF\t0\n',
    );
    expect(routes.map(formatSubnet)).toEqual(['10.213.0.0/22']);
    const free = freeSubnets('00000000', routes);
    expect(free).toHaveLength(63);
    expect(free[0] && formatSubnet(free[0])).toBe('10.213.4.0/22');
  });
  test('addresses begin after the gateway and end before broadcast', () => {
    const addresses = [...hostAddresses(parseSubnet('10.213.4.0/22'))];
    expect(addresses).toHaveLength(1021);
    expect([addresses[0], addresses.at(-1)]).toEqual(['10.213.4.2', '10.213.7.254']);
  });
});

describe('packet rules', () => {
  test('without ports the metadata address leads nowhere', () => {
    const rules = rulesFor({ bridge: 'actas-1', gateway: '10.0.0.1' }, 'actas:1');
    expect(rules.nat).toEqual([]);
    expect(rules.mangle.some((rule) => rule.includes('169.254.0.0/16'))).toBe(true);
  });
  test('only our own rules are found again', () => {
    expect(
      ownRules(
        '-A INPUT -m comment --comment "actas:12" -j DROP\n-A INPUT -m comment --comment actas:12 -j DROP\n-A INPUT -m comment --comment "actas:123" -j DROP\n-P INPUT ACCEPT',
        'actas:12',
      ),
    ).toHaveLength(2);
  });
});

describe('engines and credentials', () => {
  const config = (content: object) => {
    writeFileSync(join(directory, 'config.json'), JSON.stringify(content));
    return { DOCKER_CONFIG: directory, HOME: '/nowhere' };
  };
  test('what is named is the only one', async () => {
    expect(await listEndpoints({ DOCKER_HOST: 'tcp://a:1' }, 'unix:///b')).toMatchObject([{ url: 'unix:///b' }]);
    expect(await listEndpoints({ DOCKER_HOST: 'tcp://a:1' })).toMatchObject([{ url: 'tcp://a:1', from: 'DOCKER_HOST' }]);
    expect((await listEndpoints({ HOME: '/h', XDG_RUNTIME_DIR: '/r' })).map((endpoint) => endpoint.url)).toContain('unix:///r/podman/podman.sock');
  });
  test('a docker context is found, and one that is missing is an error', async () => {
    const meta = join(directory, 'contexts', 'meta', createHash('sha256').update('colima').digest('hex'));
    mkdirSync(meta, { recursive: true });
    writeFileSync(join(meta, 'meta.json'), JSON.stringify({ Name: 'colima', Endpoints: { docker: { Host: 'unix:///colima.sock' } } }));
    expect(await listEndpoints(config({ currentContext: 'colima' }))).toMatchObject([{ url: 'unix:///colima.sock' }]);
    await expect(listEndpoints(config({ currentContext: 'gone' }))).rejects.toThrow(/"gone" does not exist/);
  });
  test('credentials: by registry, from a helper, or none', async () => {
    const auth = Buffer.from('me:pass:word').toString('base64');
    expect(registryOf('ubuntu')).toBe('docker.io');
    expect(registryOf('localhost:5000/a/b')).toBe('localhost:5000');
    expect(await findCredentials(config({ auths: { 'r.example': { auth } } }), 'r.example/a/b:1')).toEqual({ serveraddress: 'r.example', username: 'me', password: 'pass:word' });
    expect(await findCredentials(config({ auths: { 'r.example': { auth } } }), 'ubuntu')).toBeUndefined();
    writeFileSync(join(directory, 'docker-credential-fake'), '#!/bin/sh\nread server; echo "{\\"Username\\":\\"<token>\\",\\"Secret\\":\\"for-$server\\"}"\n', { mode: 0o755 });
    expect(await findCredentials({ ...config({ credHelpers: { 'r.example': 'fake' } }), PATH: `${directory}:/bin:/usr/bin` }, 'r.example/x')).toEqual({
      serveraddress: 'r.example',
      identitytoken: 'for-r.example',
    });
    await expect(findCredentials(config({ credsStore: 'absent' }), 'r.example/x')).rejects.toThrow(/docker-credential-absent/);
  });
  test.each([
    [404, 'manifest for a/b:c not found: manifest unknown', 'missing'],
    [404, "pull access denied for a/b, repository does not exist or may require 'docker login'", 'missing'],
    [500, 'Head "https://r/v2/": unauthorized: authentication required', 'unauthorized'],
    [500, 'Get "https://r/v2/": dial tcp: lookup r: no such host', 'missing'],
    [undefined, 'connect ENOENT /var/run/docker.sock', 'unavailable'],
  ])('status %s, "%s" is %s', (statusCode, message, kind) => {
    expect(imageErrorOf(Object.assign(new Error(message), statusCode === undefined ? {} : { statusCode })).kind).toBe(kind);
  });
});

test('the health check speaks grpc.health.v1', () => {
  expect(healthRequest('ab')).toEqual(Buffer.from([0, 0, 0, 0, 4, 0x0a, 2, 0x61, 0x62]));
  expect(servingStatus(Buffer.from([0, 0, 0, 0, 2, 8, 1]))).toBe(1);
});
