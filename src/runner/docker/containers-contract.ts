/** Containers of attempts on one engine, beyond what every driver promises. */
import { createServer } from 'node:net';
import { afterEach, beforeAll, expect, test } from 'vitest';
import { nodeImage, shellImage } from '../../../test/harness/image.ts';
import { dockerAt, openTestDriver, removeAll, type TestDriver } from './test-driver.ts';

export function containersContract(dockerHost: string): void {
  let image = '';
  let subject: TestDriver;
  beforeAll(async () => {
    image = await shellImage(dockerAt(dockerHost));
  });
  afterEach(async () => {
    await subject.driver.close({ keepRunning: false });
    await removeAll(dockerAt(dockerHost), subject.dataDirId);
  });
  const open = async (what = image) => {
    subject = await openTestDriver(what, { dockerHost });
    return subject;
  };

  test('100,000 lines of two streams come whole and in order', async () => {
    const { attempt, run, read } = await open();
    const spec = attempt({ main: 'seq 1 100000; seq 1 1000 >&2' });
    await run(spec);
    const lines = await read(spec.id);
    expect(lines.filter((line) => line.stream === 'stdout').map((line) => line.text)).toEqual(Array.from({ length: 100_000 }, (_, index) => String(index + 1)));
    expect(lines.filter((line) => line.stream === 'stderr')).toHaveLength(1000);
    expect(lines.every((line, index) => index === 0 || line.timeNs >= (lines[index - 1]?.timeNs ?? 0n))).toBe(true);
  });

  test('a sidecar starts first, shares localhost and the volumes, and is stopped when the main container has ended', async () => {
    const { attempt, run, read } = await open();
    const mounts = [
      { volume: 'shared', path: '/shared' },
      { volume: 'disk', path: '/disk' },
    ];
    const spec = attempt(
      {
        main: { args: ['cat /shared/hello; grep -c "^127.0.0.1[[:space:]]sidecar$" /etc/hosts; touch /disk/mine && stat -c %a /disk; exit 5'], mounts, dependsOn: ['sidecar'] },
        sidecar: { args: ["trap 'echo stopped; exit 0' TERM; echo hi > /shared/hello; while :; do sleep 0.05; done"], mounts },
      },
      {
        volumes: [
          { name: 'shared', kind: 'emptyDir', medium: 'memory', sizeBytes: 2 ** 20 },
          { name: 'disk', kind: 'emptyDir', medium: 'disk' },
        ],
      },
    );
    const exit = await run(spec);
    expect(exit).toMatchObject({ cause: 'exited', exitCode: 5 });
    const lines = await read(spec.id);
    const of = (container: string) => lines.filter((line) => line.container === container).map((line) => line.text);
    expect(of('main')).toEqual(['hi', '1', '777']);
    expect(of('sidecar')).toEqual(['stopped']);
    await subject.driver.remove(spec.id);
    const { Volumes: volumes } = await dockerAt(dockerHost).listVolumes({ filters: { label: [`actas.data-dir=${subject.dataDirId}`] } });
    expect(volumes ?? []).toEqual([]);
  });

  test('a part of a volume (subPath) is the same directory for whoever mounts the whole, the part, or a part of the part', async () => {
    const { attempt, run, read } = await open();
    for (const medium of ['memory', 'disk'] as const) {
      const spec = attempt(
        {
          main: {
            args: [
              'while ! test -s /whole/a/b/deep; do sleep 0.05; done; cat /only/word /whole/a/b/deep; stat -c %a /only /deep; echo from-main > /deep/back; ls /whole/a/b; ls /only',
            ],
            mounts: [
              { volume: 'data', path: '/only', subPath: 'a/' },
              { volume: 'data', path: '/deep', subPath: 'a/b' },
              { volume: 'data', path: '/whole' },
            ],
            dependsOn: ['writer'],
          },
          writer: {
            args: ["trap 'exit 0' TERM; echo word > /whole/a/word; echo deep > /whole/a/b/deep; while :; do sleep 0.05; done"],
            mounts: [{ volume: 'data', path: '/whole/' }],
          },
        },
        { volumes: [{ name: 'data', kind: 'emptyDir', medium }] },
      );
      const exit = await run(spec);
      const text = (await read(spec.id)).map((line) => line.text);
      expect({ exit, text }).toMatchObject({
        exit: { cause: 'exited', exitCode: 0 },
        text: ['word', 'deep', medium === 'memory' ? '1777' : '777', medium === 'memory' ? '1777' : '777', 'back', 'deep', 'b', 'word'],
      });
      await subject.driver.remove(spec.id);
    }
    const { Volumes: volumes } = await dockerAt(dockerHost).listVolumes({ filters: { label: [`actas.data-dir=${subject.dataDirId}`] } });
    expect(volumes ?? []).toEqual([]);
  });

  test('a startup probe that never passes ends the attempt', async () => {
    const { attempt } = await open();
    const spec = attempt({
      main: { args: ['echo never'], dependsOn: ['sidecar'] },
      sidecar: {
        args: ["trap 'exit 0' TERM; while :; do sleep 0.05; done"],
        startupProbe: { initialDelayMs: 0, timeoutMs: 500, periodMs: 100, failureThreshold: 2, check: { kind: 'tcp', port: 8080 } },
      },
    });
    const begun = subject.driver.start(spec);
    const exit = await subject.exitOf(spec.id);
    await begun;
    expect(exit).toMatchObject({ cause: 'probeFailed' });
    expect(exit.message).toMatch(/tcp port 8080.*2 times/);
  });

  test('the only container of an attempt is probed as well', async () => {
    const { attempt } = await open();
    const spec = attempt({
      main: {
        args: ["trap 'exit 0' TERM; while :; do sleep 0.05; done"],
        startupProbe: { initialDelayMs: 0, timeoutMs: 500, periodMs: 100, failureThreshold: 2, check: { kind: 'tcp', port: 8080 } },
      },
    });
    await subject.driver.start(spec);
    expect(await subject.exitOf(spec.id)).toMatchObject({ cause: 'probeFailed' });
  });

  test('what depends on others starts when all their startup probes have passed: HTTP, TCP and gRPC', async () => {
    const { attempt, run, read } = await open(await nodeImage(dockerAt(dockerHost)));
    const mounts = [{ volume: 'shared', path: '/shared' }];
    const program = (script: string) => ({
      command: ['node', '-e'],
      args: [`process.on('SIGTERM', () => process.exit(0)); const done = (name) => require('node:fs').writeFileSync('/shared/' + name, ''); let asked = 0; ${script}`],
      mounts,
    });
    const times = { initialDelayMs: 0, timeoutMs: 1000, periodMs: 50, failureThreshold: 400 };
    const spec = attempt(
      {
        main: { args: ['ls /shared'], mounts, dependsOn: ['http', 'tcp', 'grpc'] },
        http: {
          ...program(
            `require('node:http').createServer((q, r) => { const ok = q.url === '/ready' && q.headers.probe === 'yes' && ++asked > 2; if (ok) done('http'); r.writeHead(ok ? 204 : 503).end(); }).listen(8081)`,
          ),
          startupProbe: { ...times, check: { kind: 'http', port: 8081, path: '/ready', headers: [{ name: 'Probe', value: 'yes' }] } },
        },
        tcp: {
          ...program(`setTimeout(() => require('node:net').createServer((s) => { done('tcp'); s.destroy(); }).listen(8082), 300)`),
          startupProbe: { ...times, check: { kind: 'tcp', port: 8082 } },
        },
        grpc: {
          ...program(
            `require('node:http2').createServer().on('stream', (stream, headers) => { let body = Buffer.alloc(0); stream.on('data', (c) => (body = Buffer.concat([body, c]))).on('end', () => { const ok = headers[':path'] === '/grpc.health.v1.Health/Check' && body.subarray(7).toString() === 'mine' && ++asked > 2; if (ok) done('grpc'); stream.respond({ 'content-type': 'application/grpc' }, { waitForTrailers: true }); stream.on('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' })); stream.end(Buffer.from([0, 0, 0, 0, 2, 8, ok ? 1 : 2])); }); }).listen(8083)`,
          ),
          startupProbe: { ...times, check: { kind: 'grpc', port: 8083, service: 'mine' } },
        },
      },
      { volumes: [{ name: 'shared', kind: 'emptyDir', medium: 'memory' }] },
    );
    const exit = await run(spec);
    const text = (await read(spec.id)).map((line) => `${line.container}: ${line.text}`);
    expect({ exit, text }).toMatchObject({ exit: { cause: 'exited', exitCode: 0 }, text: ['main: grpc', 'main: http', 'main: tcp'] });
  });

  test('too much memory is told as such', async (context) => {
    const { attempt, run, info } = await open();
    // It says so at its start.
    context.skip(
      info.warnings.some((warning) => /does not tell that memory ran out/.test(warning)),
      'this engine does not tell',
    );
    const exit = await run(attempt({ main: { args: ['head -c 300m /dev/zero | tail -c 250m | wc -c; exit 1'], memoryBytes: 32 * 2 ** 20 } }));
    expect(exit.cause).toBe('outOfMemory');
  });

  test("command, arguments, environment and working directory are the job's", async () => {
    const { attempt, run, read } = await open();
    const spec = attempt({
      main: { command: ['/bin/sh', '-c', 'echo "$0 $1 $GREETING"; ls -d /tmp; echo $PWD'], args: ['a', 'b c'], env: [{ name: 'GREETING', value: "it's=me" }], workingDir: '/tmp' },
    });
    await run(spec);
    expect((await read(spec.id)).map((line) => line.text)).toEqual(["a b c it's=me", '/tmp', '/tmp']);
  });

  test('an engine that does not answer is an error that says what was tried', async () => {
    const refused = createServer();
    await new Promise<void>((resolve) => refused.listen(0, '127.0.0.1', resolve));
    const address = refused.address();
    refused.close();
    await open();
    await expect(openTestDriver(image, { dockerHost: `tcp://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` })).rejects.toThrow(/No container engine answers/);
  });
}
