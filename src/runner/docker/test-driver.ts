/** For the tests of this folder: drivers on a real engine, attempts in one line, and a broom. */
import { randomUUID } from 'node:crypto';
import Docker from 'dockerode';
import type { AttemptExit, AttemptSpec, ContainerSpec, Driver, DriverInfo, LogCursor, LogLine, TaskListeners } from '../driver.ts';
import { until } from '../until.ts';
import { createDockerDriver, type DockerDriverOptions, type Log } from './driver.ts';
import { applyRules, firewallObstacle } from './firewall.ts';
import { LABEL_CONTAINER, LABEL_OWNER, networkName, scopeOf } from './labels.ts';

export const silentLog: Log = { debug: () => undefined, info: () => undefined, warn: () => undefined, error: () => undefined };

export function dockerAt(dockerHost: string): Docker {
  return new Docker({ socketPath: dockerHost.slice('unix://'.length), host: undefined });
}

/** Everything of a data directory, whatever a test did to the driver. */
export async function removeAll(docker: Docker, dataDirId: string): Promise<void> {
  const filters = { label: [`${LABEL_OWNER}=${dataDirId}`] };
  const containers = await docker.listContainers({ all: true, filters });
  // Sandboxes last: Podman keeps a container whose network another one is in.
  for (const isMember of [true, false])
    await Promise.all(
      containers.filter(({ Labels }) => LABEL_CONTAINER in Labels === isMember).map((container) => docker.getContainer(container.Id).remove({ force: true, v: true })),
    );
  const { Volumes: volumes } = await docker.listVolumes({ filters });
  await Promise.all((volumes ?? []).map((volume) => docker.getVolume(volume.Name).remove()));
  await docker
    .getNetwork(networkName(scopeOf(dataDirId)))
    .remove()
    .catch(() => undefined);
  if ((await firewallObstacle()) === undefined) await applyRules(scopeOf(dataDirId), undefined);
}

export interface TestDriver {
  readonly driver: Driver;
  readonly info: DriverInfo;
  readonly dataDirId: string;
  readonly exits: AttemptExit[];
  readonly leased: Set<string>;
  /** Containers by name, each a shell script or more. */
  attempt(containers: Readonly<Record<string, string | Partial<ContainerSpec>>>, more?: Partial<AttemptSpec>): AttemptSpec;
  /** Starts it, and waits for its end. */
  run(spec: AttemptSpec): Promise<AttemptExit>;
  exitOf(id: string): Promise<AttemptExit>;
  read(id: string, from?: LogCursor): Promise<LogLine[]>;
}

export async function openTestDriver(
  image: string,
  options: Partial<DockerDriverOptions> & Pick<DockerDriverOptions, 'dockerHost'>,
  open: { readonly keep?: ReadonlySet<string>; readonly listeners?: Partial<TaskListeners>; readonly leased?: Set<string> } = {},
): Promise<TestDriver> {
  const dataDirId = options.dataDirId ?? `test-${randomUUID()}`;
  const driver = createDockerDriver({ log: silentLog, ...options, dataDirId });
  const exits: AttemptExit[] = [];
  const leased = open.leased ?? new Set<string>();
  const info = await driver.open({
    keep: open.keep ?? new Set(),
    listener: { exited: (exit) => exits.push(exit), started: () => undefined, available: () => undefined },
    listeners: { metadata: (socket) => socket.destroy(), api: (socket) => socket.destroy(), isLeased: (address) => leased.has(address), ...open.listeners },
  });
  const { pinned } = await driver.resolveImage(image, new AbortController().signal);
  const exitOf = async (id: string): Promise<AttemptExit> => {
    await until(() => exits.some((exit) => exit.id === id), `the exit of ${id}`);
    const exit = exits.find((candidate) => candidate.id === id);
    if (exit === undefined) throw new Error('unreachable');
    return exit;
  };
  return {
    driver,
    info,
    dataDirId,
    exits,
    leased,
    exitOf,
    attempt(containers, more = {}) {
      const address = info.network?.kind === 'address' ? [...info.network.pool()].find((candidate) => !leased.has(candidate)) : undefined;
      if (address !== undefined) leased.add(address);
      return {
        id: `${randomUUID()}-0`,
        labels: { job: 'test' },
        containers: Object.entries(containers).map(([name, what]) => ({
          name,
          image: pinned,
          command: ['/bin/sh', '-c'],
          args: typeof what === 'string' ? [what] : [],
          env: [],
          cpuMillis: 500,
          memoryBytes: 128 * 2 ** 20,
          mounts: [],
          dependsOn: [],
          ...(typeof what === 'string' ? {} : what),
        })),
        volumes: [],
        hosts: [],
        interceptGoogle: true,
        ...(address === undefined ? {} : { address }),
        ...more,
      };
    },
    async run(spec) {
      await driver.start(spec);
      return exitOf(spec.id);
    },
    async read(id, from = {}) {
      const lines: LogLine[] = [];
      for await (const line of driver.logs(id, from, new AbortController().signal)) lines.push(line);
      return lines;
    },
  };
}
