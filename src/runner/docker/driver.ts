/**
 * The driver on a container engine that speaks Docker's API: Docker, rootless Docker, Docker Desktop, Podman. It hides engines, images, networks and
 * containers behind the contract of runner/driver.ts.
 * Invariants: everything that we make on the engine carries our data directory's label, and nothing without it is touched; exits come from the engine's
 * events; a task has its own address on a bridge of ours (or, without root, a host name of its own); it shares nothing with other tasks.
 * It must not know jobs, executions, tokens or the store.
 *
 * One file each: endpoint (which engine), images and credentials, task-network with bridge, subnet, firewall, task-listeners and relay, podman, task-names (name-server, name-forwarder, name-message) and
 * trust-image (trust-files, image-files, java-store), by which Google's names lead tasks here, lifecycle with attempt and outcome (an
 * attempt's containers), container-options (the limits), engine-events, logs with log-frames, probe, pause-image.
 */
import type Docker from 'dockerode';
import type { AttemptId, AttemptSpec, Driver, DriverInfo, DriverListener, LogCursor, LogLine, TaskListeners } from '../driver.ts';
import { ImageError } from '../driver.ts';
import { when } from './attempt.ts';
import type { Flavour, Naming } from './container-options.ts';
import { type Connection, connect, type Environment } from './endpoint.ts';
import { ignoring, isStatus, outputOf, removeAttemptObjects } from './engine-calls.ts';
import { type EventFeed, followEvents } from './engine-events.ts';
import { createImages, type Images } from './images.ts';
import { LABEL_ATTEMPT, LABEL_OWNER, scopeOf } from './labels.ts';
import { Lifecycle } from './lifecycle.ts';
import { followAll, type LogSource } from './logs.ts';
import { readServer } from './name-forwarder.ts';
import { ensurePauseImage } from './pause-image.ts';
import { podmanUlimits } from './podman.ts';
import { containerPlace, rootlessPodmanPlace } from './relay-place.ts';
import { createSecretFiles, type SecretFiles, secretFilesRoot, whyNoFiles } from './secret-files.ts';
import { type OpenNetwork, openNetwork } from './task-network.ts';
import { createTrustImages, type TrustImages } from './trust-image.ts';

/** The shape of services/service.ts's Log. */
export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export interface DockerDriverOptions {
  /** Names the data directory for good, `[A-Za-z0-9._-]+`: what carries it on the engine is ours. */
  readonly dataDirId: string;
  /** The engine's address; without it DOCKER_HOST, the docker context, or the first socket that answers. */
  readonly dockerHost?: string;
  /** Reference -> local image, path of an archive, or a mirror's reference. */
  readonly images?: Readonly<Record<string, string>>;
  /** The process environment, for DOCKER_HOST, contexts, credentials and their helpers. */
  readonly environment?: Environment;
  readonly log: Log;
  /** For tests, and for hosts where the choice is wrong: `address` and `relay` fail where they cannot be had. */
  readonly forceNetwork?: 'address' | 'relay' | 'hostname';
  /** Whom tasks' names are asked of, but for Google's: `ADDRESS` or `ADDRESS:PORT`. Default: those of the machine where the engine runs. */
  readonly nameServers?: readonly string[];
  /** Of what a relay is made where one is needed. Default: `actas`, if the engine has it. */
  readonly relayImage?: string;
}

/** What stands between `open` and `close`. */
interface Session {
  readonly connection: Connection;
  readonly lifecycle: Lifecycle;
  readonly images: Images;
  readonly network: OpenNetwork;
  readonly events: EventFeed;
  readonly trust: TrustImages | undefined;
  readonly isPodman: boolean;
}

interface SystemInfo {
  readonly NCPU: number;
  readonly MemTotal: number;
  readonly Architecture: string;
  readonly OSType: string;
  readonly KernelVersion?: string;
  readonly CgroupVersion?: string;
  /** `name=rootless` among them. */
  readonly SecurityOptions?: readonly string[];
  /** Podman's word for the same. */
  readonly Rootless?: boolean;
}

/** How long a reader of logs waits before it looks again by itself: the events wake it earlier. */
const LOG_RETRY_MS = 500;
/** For the image that was named for a relay, where it has to be pulled: the start waits for it. */
const RELAY_PULL_MS = 120_000;

export function createDockerDriver(options: DockerDriverOptions): Driver {
  const scope = scopeOf(options.dataDirId);
  const naming: Naming = { dataDirId: options.dataDirId, scope, filesRoot: secretFilesRoot(scope, options.environment ?? {}) };
  const files = createSecretFiles(naming.filesRoot);
  let session: Session | undefined;
  const opened = (): Session => {
    if (session === undefined) throw new Error('The Docker driver is not open.');
    return session;
  };
  return {
    name: 'docker',
    async open(request) {
      if (session !== undefined) throw new Error('The Docker driver is open already.');
      const connection = await connect(options.environment ?? {}, options.dockerHost);
      try {
        await files.sweep(request.keep);
        const begun = await beginSession(options, naming, connection, { ...request, listener: endingFiles(files, request.listener, options.log) });
        session = begun.session;
        return begun.info;
      } catch (error) {
        connection.close();
        throw error;
      }
    },
    async resolveImage(reference, signal) {
      try {
        const image = await opened().images.resolve(reference, signal);
        // Begun before an attempt waits for it; where it fails, that attempt tries again and says why.
        opened()
          .trust?.of(image.pinned)
          .catch(() => undefined);
        return image;
      } catch (error) {
        if (error instanceof ImageError || signal.aborted) throw error;
        throw new ImageError('unavailable', error instanceof Error ? error.message : String(error), error);
      }
    },
    start: async (attempt: AttemptSpec) => opened().lifecycle.start(await files.place(attempt)),
    async stop(id, graceMs) {
      opened().lifecycle.stop(id, graceMs);
    },
    attempts: async () => opened().lifecycle.states(),
    logs: (id, from, signal) => readLogs(opened(), id, from, signal),
    async remove(id) {
      await opened().lifecycle.remove(id);
      await files.remove(id);
    },
    async close({ keepRunning }) {
      const closing = session;
      if (closing === undefined) return;
      session = undefined;
      closing.images.close();
      await closing.events.close();
      let isNeeded = keepRunning;
      try {
        // Bridge and rules stay for containers that go on, and for nothing else. An engine that cannot be asked may hold some.
        isNeeded = keepRunning && (await closing.lifecycle.states().catch(() => [undefined])).some((attempt) => attempt?.state !== 'exited');
        await closing.lifecycle.close(!keepRunning);
        if (!keepRunning) await closing.trust?.remove();
      } finally {
        await closing.network.close({ keepRunning: isNeeded });
        closing.connection.close();
      }
    },
  };
}

/** What an attempt had in files goes when it has ended, not when it is forgotten. */
function endingFiles(files: SecretFiles, listener: DriverListener, log: Log): DriverListener {
  return {
    started: (id, startedAtMs) => listener.started(id, startedAtMs),
    available: (available, reason) => listener.available(available, reason),
    exited(exit) {
      // Tried again when the attempt is removed.
      files.remove(exit.id).catch((error: unknown) => log.warn({ attempt: exit.id, err: error }, 'The files of an ended attempt could not be removed yet.'));
      listener.exited(exit);
    },
  };
}

async function beginSession(
  options: DockerDriverOptions,
  naming: Naming,
  connection: Connection,
  request: { readonly keep: ReadonlySet<AttemptId>; readonly listener: DriverListener; readonly listeners?: TaskListeners },
): Promise<{ session: Session; info: DriverInfo }> {
  const { docker, endpoint } = connection;
  const [version, info] = await Promise.all([docker.version(), docker.info()]);
  // The Engine API's SystemInfo; dockerode gives it no type.
  const {
    NCPU: cpus,
    MemTotal: memory,
    Architecture: architecture,
    OSType: os,
    KernelVersion: kernel,
    CgroupVersion: cgroupVersion,
    SecurityOptions: security = [],
    Rootless: rootless,
  } = info as SystemInfo;
  const isRootless = rootless === true || security.includes('name=rootless');
  if (os !== 'linux') throw new Error(`The container engine at ${endpoint.url} runs ${os} containers; actas needs Linux containers.`);
  // Podman names itself among the components; they are missing on old engines.
  const components: readonly { readonly Name: string }[] = (version as { Components?: { Name: string }[] }).Components ?? [];
  const podman = components.some((component) => component.Name.startsWith('Podman'));
  const isLocal = endpoint.url.startsWith('unix://');
  const flavour: Flavour = { podman, ulimits: podman ? await podmanUlimits(isLocal) : [] };
  let pause: Promise<void> | undefined;
  const ensurePause = () => {
    pause ??= ensurePauseImage(docker, architecture).catch((error: unknown) => {
      pause = undefined;
      throw error;
    });
    return pause;
  };
  await sweep(docker, naming, request.keep, options.log);
  const images = createImages({ docker, environment: options.environment ?? {}, mapping: options.images ?? {}, log: options.log });
  const network = await openNetwork({
    docker,
    naming,
    isLocal,
    flavour,
    ensurePause,
    isRootless,
    async relayPlace() {
      if (!podman) return containerPlace(docker, naming, await findRelayImage(docker, images, options.relayImage));
      if (isRootless && isLocal) return rootlessPodmanPlace(options.environment ?? {});
      throw new Error("a relay's container cannot be spoken with through Podman, whose streams of attached containers stay silent");
    },
    log: options.log,
    nameServers: (options.nameServers ?? []).flatMap((server) => readServer(server) ?? []),
    ...(request.listeners === undefined ? {} : { listeners: request.listeners }),
    ...(options.forceNetwork === undefined ? {} : { force: options.forceNetwork }),
  });
  const { listener } = request;
  const authority = network.nameServer === undefined ? undefined : request.listeners?.google?.authority;
  const trust = authority === undefined ? undefined : createTrustImages({ docker, naming, authority, log: options.log });
  const lifecycle = new Lifecycle({
    docker,
    naming,
    listener,
    log: options.log,
    flavour,
    surroundings: network,
    ensurePause,
    ...(trust === undefined ? {} : { trust }),
    ...(network.dial === undefined ? {} : { dial: network.dial }),
  });
  const events = followEvents(
    docker,
    naming.dataDirId,
    {
      event: (event) => lifecycle.handle(event),
      resync: () => lifecycle.resync(),
      available: (available, reason) => listener.available(available, reason),
    },
    { podman },
  );
  try {
    await events.ready;
  } catch (error) {
    await events.close();
    await network.close({ keepRunning: true });
    throw error;
  }
  const noFiles = whyNoFiles(naming.filesRoot, { isLocal, kernel });
  return {
    session: { connection, lifecycle, images, network, events, trust, isPodman: podman },
    info: {
      description: `${podman ? 'Podman' : 'Docker'} ${version.Version} at ${endpoint.url} (${endpoint.from})`,
      cpuMillis: cpus * 1000,
      memoryBytes: memory,
      network: network.network,
      ...(network.googleObstacle === undefined ? {} : { googleObstacle: network.googleObstacle }),
      ...(noFiles === undefined ? {} : { noFiles }),
      warnings: [
        ...(podman ? podmanWarnings(version.Version, cgroupVersion) : []),
        ...network.warnings,
        ...(isRootless && cgroupVersion === '1' ? ['This engine enforces no limits of CPU and memory: it is rootless, and control groups are of version 1.'] : []),
        'The size limit of an emptyDir volume on disk is not enforced by this engine.',
      ],
    },
  };
}

/** What `docker build -t actas .` makes. */
const RELAY_IMAGE = 'actas';

/** @throws Error that says how to get one */
async function findRelayImage(docker: Docker, images: Images, named: string | undefined): Promise<string> {
  if (named !== undefined) return (await images.resolve(named, AbortSignal.timeout(RELAY_PULL_MS))).pinned;
  const known = await docker.getImage(RELAY_IMAGE).inspect().catch(ignoring(404));
  if (known !== undefined) return known.Id;
  throw new Error(
    `there is no image "${RELAY_IMAGE}" to make a relay of (\`docker build -t ${RELAY_IMAGE} .\` in a clone of the project makes it; or name one with --relay-image)`,
  );
}

/** What Podman's Docker API does not give us, in words. */
function podmanWarnings(version: string, cgroupVersion: string | undefined): readonly string[] {
  return [
    `Podman ${version} tells the times of log lines in whole seconds only.`,
    ...(cgroupVersion === '1'
      ? ['With control groups of version 1 Podman does not tell that memory ran out: such a task is seen to end by a signal, or with an exit code of its own.']
      : []),
  ];
}

/** Removes what this data directory left and nobody wants: attempts that are not kept, volumes without one, networks of another name. */
async function sweep(docker: Docker, naming: Naming, keep: ReadonlySet<AttemptId>, log: Log): Promise<void> {
  const filters = { label: [`${LABEL_OWNER}=${naming.dataDirId}`] };
  const [containers, { Volumes: volumes }] = await Promise.all([docker.listContainers({ all: true, filters }), docker.listVolumes({ filters })]);
  const found = new Set([...containers, ...(volumes ?? [])].map((object) => object.Labels[LABEL_ATTEMPT] ?? ''));
  const orphans = [...found].filter((id) => id !== '' && !keep.has(id));
  if (orphans.length > 0) log.info({ attempts: orphans }, 'Removing containers that an earlier run of this data directory left behind.');
  await Promise.all(orphans.map((id) => removeAttemptObjects(docker, naming, id)));
}

async function* readLogs(session: Session, id: AttemptId, from: LogCursor, signal: AbortSignal): AsyncGenerator<LogLine> {
  const { docker } = session.connection;
  const attempt = session.lifecycle.find(id);
  if (attempt === undefined) return;
  const names = attempt.plan?.containers.map((container) => container.name) ?? [...attempt.members.keys()];
  const gone = () => attempt.removing;
  const sources = names.map((container): LogSource => {
    const member = () => attempt.members.get(container);
    const hasRun = () => ['running', 'exited'].includes(member()?.state ?? 'absent');
    const isOver = () => member()?.state === 'exited' || attempt.exit !== undefined || gone();
    return {
      container,
      isOver,
      ...(session.isPodman ? { notBeforeNs: () => BigInt(attempt.startedAtMs ?? 0) * 1_000_000n } : {}),
      async ready(stop) {
        if (!(await when(attempt, () => hasRun() || isOver(), stop))) return false;
        // The engine would keep a reader of a container that never ran waiting for ever.
        return member()?.dockerId !== undefined && member()?.exit?.cause !== 'startFailed' && hasRun() && !gone();
      },
      async connect(stop) {
        const dockerId = member()?.dockerId;
        if (dockerId === undefined) throw new Error('The container is gone.');
        // Podman cuts the end off the output of a container that has ended where it is asked to follow it; what it cuts off one that ends meanwhile is read again.
        return buffers(await outputOf(docker, dockerId, { follow: !session.isPodman || !isOver(), signal: stop }));
      },
      async recover(error, stop) {
        if (isStatus(error, 404) || gone()) return false;
        const retry = AbortSignal.any([stop, AbortSignal.timeout(LOG_RETRY_MS)]);
        await when(attempt, isOver, retry);
        return !stop.aborted && !gone();
      },
    };
  });
  yield* followAll(sources, from, signal);
}

/** A response as the bytes that it is: no encoding was set on it. */
async function* buffers(stream: NodeJS.ReadableStream): AsyncGenerator<Buffer> {
  for await (const chunk of stream) yield Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk, 'latin1');
}
