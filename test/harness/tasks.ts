/** Tasks that run nothing, but have an address or a host name as real ones do, so that a test can ask the metadata server in their place. */
import { once } from 'node:events';
import { request } from 'node:http';
import { type AddressInfo, createServer } from 'node:net';
import type { AttemptSpec, Driver, DriverInfo, TaskListeners } from '../../src/runner/driver.ts';
import { createFakeDriver, type FakeDriver } from '../../src/runner/fake/driver.ts';

export interface Reply {
  readonly status: number;
  readonly body: string;
}

export interface TasksDriver extends Driver {
  readonly fake: FakeDriver;
  /** Asks the metadata server as the task of this attempt. @param path below `/computeMetadata/v1/` */
  ask(attempt: AttemptSpec, path: string): Promise<Reply>;
}

/** The fake driver, on loopback: there each address of 127.0.0.0/8 is one that a task may have. */
export function createTasksDriver(kind: 'address' | 'hostname'): TasksDriver {
  const fake = createFakeDriver();
  let listeners: TaskListeners | undefined;
  const server = createServer((socket) => {
    if (kind === 'address' && listeners?.isLeased(socket.remoteAddress ?? '') !== true) socket.destroy();
    else listeners?.metadata(socket);
  });
  // A listening TCP server's address is an object.
  const port = () => (server.address() as AddressInfo).port;
  return {
    ...fake,
    fake,
    async open(options) {
      ({ listeners } = options);
      server.listen(0, '127.0.0.1');
      await once(server, 'listening');
      const network: DriverInfo['network'] =
        kind === 'address'
          ? { kind, gateway: '127.0.0.1', pool: () => Array.from({ length: 20 }, (_, index) => `127.0.5.${index + 1}`) }
          : { kind, reachableAt: '127.0.0.1', metadataPort: port() };
      return { ...(await fake.open(options)), network };
    },
    async close(options) {
      server.close();
      await fake.close(options);
    },
    ask(attempt, path) {
      const host = attempt.containers[0]?.env.find(({ name }) => name === 'GCE_METADATA_HOST')?.value;
      return new Promise((resolve, reject) => {
        const asked = request(
          {
            host: '127.0.0.1',
            port: port(),
            path: `/computeMetadata/v1/${path}`,
            headers: { 'Metadata-Flavor': 'Google', ...(host === undefined ? {} : { Host: host }) },
            agent: false,
            ...(attempt.address === undefined ? {} : { localAddress: attempt.address }),
          },
          (response) => {
            let body = '';
            response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
            response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
          },
        );
        asked.on('error', reject);
        asked.end();
      });
    },
  };
}
