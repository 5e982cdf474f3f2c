/**
 * Composition root: the only file that builds the whole program. Reads top to bottom as the program is made: state, the front (policy,
 * services, doors, metadata server), which is loaded when somebody asks, listener, runner. Everything below main gets what it needs as
 * arguments and imports nothing upwards. What this file imports, every start waits for.
 */

import { join } from 'node:path';

import { createDriver } from './compose/driver.ts';
import { createFrontDoor } from './compose/front-door.ts';
import { createLazyFront } from './compose/lazy-front.ts';
import { measureRunner } from './compose/measure-runner.ts';
import { isNewStore, readSeed } from './compose/read-seed.ts';
import { finishRotation } from './compose/secret-keys.ts';
import { openState, startHousekeeping, type Undo } from './compose/state.ts';
import type { Config } from './config.ts';
import { unavailable } from './errors.ts';
import { isGoogleName } from './identity/front-names.ts';
import { ensureOwnerToken } from './identity/owner-token.ts';
import { createTokens } from './identity/tokens.ts';
import type { Driver, DriverInfo, TaskListeners } from './runner/driver.ts';
import { createLeaseTable } from './runner/lease-table.ts';
import { createRunner, type Runner } from './runner/loop.ts';
import type { AuditEntry } from './server/dispatch.ts';
import { type Listener, listen } from './server/listen.ts';
import { createLogger } from './server/logger.ts';
import { createMetrics } from './server/metrics.ts';
import { announce, retract, writePrivate } from './server/status-file.ts';
import type { StatusFacts } from './services/control/control.ts';
import type { Api, Log } from './services/service.ts';
import { accessTokenStore } from './store/access-tokens.ts';
import { findSetting, updateSetting } from './store/settings.ts';
import { systemClock } from './timestamp.ts';
import { version } from './version.ts';

/** A running control plane. */
export interface RunningServer {
  /** `http://127.0.0.1:8787`, no slash at the end. */
  readonly url: string;
  /** Holds the owner's token, mode 0600. */
  readonly tokenFile: string;
  /** Everything that is served, for tools that walk the APIs. */
  apis(): Promise<readonly Api[]>;
  /** Ends requests and lets go of the engine; with `killOnStop` running containers are killed, else the next start adopts them. */
  close(): Promise<void>;
}

const OWNER_TOKEN_FILE = 'owner-token';
const SHUTDOWN_GRACE_MS = 5000;

export interface ServerOptions {
  readonly log?: Log;
  /** Instead of the one that the configuration names. */
  readonly driver?: Driver;
  /** Where audit entries go instead of the logs; for measures. */
  readonly audit?: (entry: AuditEntry) => void;
}

/**
 * Starts the control plane and answers once it serves.
 * @throws Error with a sentence for people where it cannot: port taken, no engine, data directory in use, seed not readable
 */
export async function startServer(config: Config, options: ServerOptions = {}): Promise<RunningServer> {
  const log = options.log ?? createLogger({ level: config.logLevel, format: config.logFormat });
  const undo: Undo = [];
  const close = async (): Promise<void> => {
    for (const step of undo.splice(0).reverse()) await step();
  };
  try {
    return { ...(await build(config, log, options, undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(config: Config, log: Log, options: ServerOptions, undo: Undo): Promise<Omit<RunningServer, 'close'>> {
  const startTime = systemClock.now();
  const seed = await readSeed(config);
  const { store, logs, openLogs, instanceId, keyring } = await openState(config, log, undo);
  retract(config);
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  undo.push(startHousekeeping(store, tokens, log));
  const metrics = createMetrics();
  const leases = createLeaseTable();
  const driver = options.driver ?? (await createDriver(config, instanceId, seed, log, process.env));
  const names = new Set([config.host.toLowerCase(), ...config.allowedHost.map((name) => name.toLowerCase())]);
  // What knows the others only when all are built: status reads the runner, the runner's network serves the door.
  const late: { runner?: Runner; listener?: Listener; facts?: StatusFacts } = {};
  const door = createFrontDoor({ config, names, log, ownPort: () => late.listener?.port });
  const front = createLazyFront({
    config,
    store,
    logs,
    tokens,
    names,
    leases,
    keyring,
    metrics,
    log,
    ...(options.audit === undefined ? {} : { audit: options.audit }),
    ownPort: () => late.listener?.port,
    isReady: () => late.runner?.status().available === true,
    authority: async () => (await door.certificates()).certificate,
    status() {
      const now = late.runner?.status();
      if (late.facts === undefined || now === undefined) throw unavailable('The server is starting.');
      return { ...late.facts, runningAttempts: now.attempts, openExecutions: now.executions, driver: { ...late.facts.driver, available: now.available } };
    },
  });
  undo.push(() => front.close());
  if (seed !== undefined || (await isNewStore(store))) await (await front.open()).seed(seed, process.env);
  // What is wrong with one is said now, not to the first who calls.
  if (Object.keys(config.upstreams).length > 0) await front.open();
  if (config.anonymousAs.length > 0) await (await front.open()).checkAnonymity();
  const tokenFile = join(config.dataDir, OWNER_TOKEN_FILE);
  const last = { find: () => findSetting(store.read, 'owner-token'), update: (hash: string) => store.write(({ db }) => updateSetting(db, 'owner-token', hash)) };
  await ensureOwnerToken({ file: tokenFile, owner: config.owner, tokens, store: accessTokenStore(store), write: writePrivate, last });
  const listeners: TaskListeners = {
    metadata: (socket) => front.metadata(socket),
    api: (socket) => (late.listener === undefined ? socket.destroy() : late.listener.connect(socket)),
    isLeased: (address) => leases.isLeased(address),
    ...(config.noTaskGoogleNames ? {} : { google: { isGoogle: isGoogleName, authority: async () => (await door.certificates()).certificate } }),
  };
  late.listener = await listen({ host: config.host, port: config.port, handler: front.handler, door });
  undo.push(() => late.listener?.close(SHUTDOWN_GRACE_MS));
  if (Object.keys(config.identities).length > 0) {
    const { announceGoogleAccounts } = await import('./compose/google.ts');
    await announceGoogleAccounts({ config, env: process.env, names, ownPort: late.listener.port, store, log });
  }
  const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${late.listener.port}`;
  let forTasks: { apiUrl?: string | undefined; metadataPort?: number | undefined } = {};
  late.runner = createRunner({
    store,
    driver,
    clock: systemClock,
    log,
    logs,
    leases,
    listeners,
    secrets: {
      check: async (user, reference) => (await front.open()).secrets.check(user, reference),
      read: async (user, reference) => (await front.open()).secrets.read(user, reference),
    },
    instanceId,
    apiUrl: () => forTasks.apiUrl,
    metadataPort: () => forTasks.metadataPort,
    realAccounts: new Set(Object.keys(config.identities)),
    limits: { strictResources: config.strictResources, ...(config.maxRunningAttempts === 0 ? {} : { maxAttempts: config.maxRunningAttempts }) },
  });
  const info = await late.runner.start();
  undo.push(() => late.runner?.stop({ keepRunning: !config.killOnStop }));
  if (info.network !== undefined) forTasks = { apiUrl: info.network.apiUrl, metadataPort: info.network.kind === 'hostname' ? info.network.metadataPort : undefined };
  if (forTasks.apiUrl !== undefined) names.add(new URL(forTasks.apiUrl).hostname);
  late.facts = {
    version: version(),
    project: config.project,
    url,
    startTime,
    dataDir: config.dataDir,
    pid: process.pid,
    anonymousAs: config.anonymousAs[0] ?? '',
    runningAttempts: 0,
    openExecutions: 0,
    taskGoogleNames: sayGoogleNames(config, info),
    driver: { name: driver.name, description: info.description, warnings: info.warnings, available: true },
  };
  measureRunner(metrics, late.runner, logs);
  undo.push(() => retract(config));
  announce(config, { url, tokenFile, pid: process.pid });
  if (info.network !== undefined) log.info({}, `Google's API names lead tasks ${late.facts.taskGoogleNames}.`);
  log.info({ url, driver: driver.name, dataDir: config.dataDir }, `actas ${version()} serves on ${url} (${info.description})`);
  // Not part of the start, but soon wanted.
  setImmediate(() => {
    front.warmUp();
    void finishRotation(store, keyring, log);
    openLogs().catch((error: unknown) => log.error({ err: error }, 'The database of logs cannot be opened.'));
  });
  return { url, tokenFile, apis: async () => (await front.open()).apis };
}

/** Where Google's API names lead tasks, in words. */
function sayGoogleNames(config: Config, info: DriverInfo): string {
  if (config.noTaskGoogleNames) return 'not here (--no-task-google-names)';
  if (info.network === undefined) return 'nowhere: this driver runs no containers';
  return info.googleObstacle === undefined ? 'here' : `not here: ${info.googleObstacle}`;
}
