/**
 * The contract between the reconciling loop and whatever runs containers. A driver knows attempts, never jobs, tokens or the
 * store; the loop knows no engine. One attempt = one try of one task: one or more containers that share a network namespace
 * and nothing with other attempts. Every driver passes `driverContract` (runner/driver-contract.ts) unchanged.
 */

/** Names one attempt for good: `TASK_UID-ATTEMPT`, `[a-z0-9-]`, at most 63 characters. The engine's objects carry it as a label. */
export type AttemptId = string;

export interface ContainerSpec {
  /** Unique in the attempt, a DNS label. */
  readonly name: string;
  /** What `resolveImage` answered: the image pinned to its content. */
  readonly image: string;
  /** Replaces the image's entrypoint; empty keeps it. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly { readonly name: string; readonly value: string }[];
  readonly workingDir?: string;
  /** Thousandths of a CPU. */
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  readonly mounts: readonly { readonly volume: string; readonly path: string; readonly subPath?: string }[];
  /** Containers of this attempt that must have started (their startup probe, if any, passed) before this one. */
  readonly dependsOn: readonly string[];
  readonly startupProbe?: Probe;
}

export interface Probe {
  readonly initialDelayMs: number;
  readonly timeoutMs: number;
  readonly periodMs: number;
  readonly failureThreshold: number;
  readonly check:
    | { readonly kind: 'tcp'; readonly port: number }
    | { readonly kind: 'http'; readonly port: number; readonly path: string; readonly headers: readonly { name: string; value: string }[] }
    | { readonly kind: 'grpc'; readonly port: number; readonly service: string };
}

export interface VolumeSpec {
  readonly name: string;
  /** Empty at the start, shared by the attempt's containers, gone with it. */
  readonly kind: 'emptyDir';
  readonly medium: 'memory' | 'disk';
  readonly sizeBytes?: number;
}

/** Files that are there before the first container starts and cannot be changed: secrets. On no disk, and gone with the attempt. */
export interface FilesVolume {
  readonly name: string;
  readonly files: readonly {
    /** Within the volume; may have folders. */
    readonly path: string;
    readonly mode: number;
    readonly data: Uint8Array;
  }[];
}

export interface AttemptSpec {
  readonly id: AttemptId;
  /** Shown on the engine's objects for people: job, execution, task index, attempt. */
  readonly labels: Readonly<Record<string, string>>;
  readonly containers: readonly ContainerSpec[];
  readonly volumes: readonly VolumeSpec[];
  /** Mounted by their names, as volumes are. A driver whose `noFiles` says why it has none is never given any. */
  readonly files?: readonly FilesVolume[];
  /** The address that the loop leased from `DriverInfo.network`; absent where the driver has no network of its own. */
  readonly address?: string;
  /** Names in the containers' hosts file beside those that the driver adds itself. */
  readonly hosts: readonly { readonly name: string; readonly address: string }[];
  /** Whether Google's names lead this attempt here (`TaskListeners.google`), where the driver can bring that about. */
  readonly interceptGoogle: boolean;
}

/** How an attempt ended, or that it was lost. Reported once for each attempt, as often as asked for through `attempts`. */
export interface AttemptExit {
  readonly id: AttemptId;
  /** 0 to 255 of the container that decided the outcome; absent where a signal ended it or it never started. */
  readonly exitCode?: number;
  readonly signal?: number;
  readonly cause: 'exited' | 'outOfMemory' | 'startFailed' | 'probeFailed' | 'lost';
  /** For `startFailed`, `probeFailed` and `lost`: the engine's reason, for people. */
  readonly message?: string;
  /** Milliseconds since the epoch, by the engine's clock. */
  readonly startedAtMs?: number;
  readonly finishedAtMs: number;
}

export interface AttemptState {
  readonly id: AttemptId;
  readonly state: 'created' | 'running' | 'exited';
  readonly startedAtMs?: number;
  /** Set when `state` is `exited`. */
  readonly exit?: AttemptExit;
}

export interface LogLine {
  readonly container: string;
  readonly stream: 'stdout' | 'stderr';
  /** Nanoseconds since the epoch as the engine recorded them; never decreasing within one container. */
  readonly timeNs: bigint;
  /** Without its line end. A line longer than `MAX_LINE_BYTES` comes in pieces, all but the last with `partial`. */
  readonly text: string;
  readonly partial?: boolean;
}
export const MAX_LINE_BYTES = 256 * 1024;

/** Where reading stopped: the time of the last line that was kept, and how many lines of exactly that time were kept, by container. */
export type LogCursor = Readonly<Record<string, { readonly timeNs: bigint; readonly count: number }>>;

export interface ResolvedImage {
  /** What ContainerSpec.image takes; stays valid when the tag moves. */
  readonly pinned: string;
  /** `sha256:...`, shown as `NAME@sha256:...` on the execution. */
  readonly digest: string;
  /** `amd64`, `arm64`, ... and `linux`. */
  readonly architecture: string;
  readonly os: string;
  /** Ports that the image says it listens on (`8080/tcp`). */
  readonly exposedPorts: readonly string[];
  readonly source: 'local' | 'mapped' | 'pulled';
}

/** Why an image cannot be had. `message` is the engine's, for the log. */
export class ImageError extends Error {
  override readonly name = 'ImageError';
  readonly kind: 'missing' | 'unauthorized' | 'unavailable';
  constructor(kind: 'missing' | 'unauthorized' | 'unavailable', message: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
  }
}

export interface DriverInfo {
  /** For people: engine, version, socket. */
  readonly description: string;
  /** What one attempt can be given at most; more is clamped by the loop, with a warning. */
  readonly cpuMillis: number;
  readonly memoryBytes: number;
  /** How tasks are told apart and reach the metadata server; undefined where there is none (fake). */
  readonly network?: TaskNetwork;
  /** Why Google's names do not lead tasks here; absent where they do, and where nobody asked for it. */
  readonly googleObstacle?: string;
  /** Why attempts cannot have `files` here, as a clause; absent where they can. */
  readonly noFiles?: string;
  /** Things that a person should know about this engine here: a limit that it does not enforce, say. */
  readonly warnings: readonly string[];
}

export type TaskNetwork =
  /** Every attempt has an address of its own on a bridge of ours; the metadata server answers at its real names and knows the task by its source address. */
  | {
      readonly kind: 'address';
      readonly gateway: string /** Addresses that may be leased, in order. */;
      readonly pool: () => Iterable<string> /** The API for containers, `http://ADDRESS:PORT`; absent where `open` was given no listeners. */;
      readonly apiUrl?: string;
    }
  /** No means for the above: each attempt gets a random host name (128 bits), and is told apart by `Host`. */
  | {
      readonly kind: 'hostname' /** Where containers reach us: the name that they resolve, or the address. */;
      readonly reachableAt: string /** The metadata server's port there, for `GCE_METADATA_HOST`. */;
      readonly metadataPort?: number;
      readonly apiUrl?: string;
    };

/** What the driver binds for us inside the tasks' network. The handlers are given by main.ts; the driver only says where they listen. */
export interface TaskListeners {
  /** The metadata server (plain HTTP). */
  readonly metadata: (socket: import('node:net').Socket) => void;
  /** The API, for containers. */
  readonly api: (socket: import('node:net').Socket) => void;
  /** Whether this source address holds a lease now; connections of others are dropped before a byte is read. */
  readonly isLeased: (address: string) => boolean;
  /** Absent where Google's names are to lead tasks where they lead anybody. */
  readonly google?: GoogleNames;
}

/** What makes an unmodified program in a task come to `TaskListeners.api` when it calls a Google API by its name. */
export interface GoogleNames {
  /** @param name in lower case, no dot at the end */
  readonly isGoogle: (name: string) => boolean;
  /** The certificate that tasks must trust, PEM; made when it is first wanted. */
  readonly authority: () => Promise<string>;
}

export interface DriverListener {
  exited(exit: AttemptExit): void;
  /** The first container of an attempt runs. @param startedAtMs milliseconds since the epoch */
  started(id: AttemptId, startedAtMs: number): void;
  /** The engine went away (`false`) or came back (`true`); while it is away nothing is started and nothing is called lost. */
  available(available: boolean, reason: string): void;
}

export interface Driver {
  readonly name: string;
  /**
   * Connects, prepares the network, and removes what this data directory left behind and `keep` does not name.
   * @throws Error with a sentence that says what is missing and how to get it
   */
  open(options: { readonly keep: ReadonlySet<AttemptId>; readonly listener: DriverListener; readonly listeners?: TaskListeners }): Promise<DriverInfo>;
  /**
   * A local image first, then the user's mapping, then a pull.
   * @param reference as the user wrote it, or `NAME@DIGEST` with a digest that this driver answered before: an execution keeps that form, and it means the same content after a restart
   * @throws ImageError
   */
  resolveImage(reference: string, signal: AbortSignal): Promise<ResolvedImage>;
  /** Starts an attempt, and answers once its first container runs or the attempt is known to have failed (which `exited` tells). Idempotent by id: one that already runs, or has ended, is left as it is. */
  start(attempt: AttemptSpec): Promise<void>;
  /** SIGTERM to all containers, SIGKILL after `graceMs`. Answers at once; the end arrives through `exited`. */
  stop(id: AttemptId, graceMs: number): Promise<void>;
  /** Everything of this data directory, running or ended, for adoption after a restart. */
  attempts(): Promise<readonly AttemptState[]>;
  /** Lines from the cursor on, in order within a container, until the attempt's output has ended or the signal is aborted. */
  logs(id: AttemptId, from: LogCursor, signal: AbortSignal): AsyncIterable<LogLine>;
  /** Forgets an ended attempt and all that it left. Called after its exit and its logs are kept. Idempotent. */
  remove(id: AttemptId): Promise<void>;
  /** Lets go of the engine and takes back listeners and network rules; running containers go on where `keepRunning`, else they are killed. */
  close(options: { readonly keepRunning: boolean }): Promise<void>;
}
