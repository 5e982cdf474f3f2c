/** The driver contract on one engine, with each of the networks that it can have. */
import { randomUUID } from 'node:crypto';
import { afterAll } from 'vitest';
import { nodeImage } from '../../../test/harness/image.ts';
import { driverContract, type Program } from '../driver-contract.ts';
import { createDockerDriver } from './driver.ts';
import { dockerAt, removeAll, silentLog } from './test-driver.ts';

const shell = (script: string): Program => ({ command: ['/bin/sh', '-c'], args: [script] });
const quoted = (lines: readonly string[]) => lines.map((line) => `echo '${line}'`).join('\n');

export function engineContract(dockerHost: string): void {
  const dataDirs: string[] = [];
  afterAll(async () => {
    for (const dataDirId of dataDirs) await removeAll(dockerAt(dockerHost), dataDirId);
  });

  for (const forceNetwork of ['address', 'hostname'] as const) {
    driverContract(`docker, ${forceNetwork} network`, { localhost: true, longLines: true, startFailures: true, signals: true, adoption: true }, async () => {
      const dataDirId = `test-${randomUUID()}`;
      dataDirs.push(dataDirId);
      const create = () => createDockerDriver({ dataDirId, dockerHost, log: silentLog, forceNetwork });
      return {
        driver: create(),
        reopen: async () => create(),
        image: await nodeImage(dockerAt(dockerHost)),
        missingImage: '127.0.0.1:1/nobody/has:this',
        programs: {
          exit: (code) => shell(`exit ${code}`),
          print: (lines) => shell(quoted(lines)),
          printThenWait: (lines) => shell(`trap 'exit 143' TERM; ${quoted(lines)}; while :; do sleep 0.05; done`),
          ignoreTerm: () => shell(`trap '' TERM; while :; do sleep 0.05; done`),
          killItself: (signal) => shell(`sh -c 'kill -${signal} $$'; exit $?`),
          printLong: (bytes) => shell(`head -c ${bytes} /dev/zero | tr '\\0' x; echo`),
          listen: (port) => ({ command: ['node', '-e'], args: [`process.on('SIGTERM', () => process.exit(0)); require('node:net').createServer().listen(${port})`] }),
          connect: (port) => ({ command: ['bash', '-c'], args: [`for i in {1..100}; do (exec 3<>/dev/tcp/127.0.0.1/${port}) 2>/dev/null && exit 0; sleep 0.1; done; exit 1`] }),
          absent: () => ({ command: ['/no/such/program'] }),
        },
        cleanUp: () => removeAll(dockerAt(dockerHost), dataDirId),
      };
    });
  }
}
