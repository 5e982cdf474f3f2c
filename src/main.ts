/**
 * Composition root: the only file that builds the whole program. Reads top to bottom as the program is made: state, identity, policy,
 * services, doors, tasks' network, runner. Everything below main gets what it needs as arguments and imports nothing upwards.
 */
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromJson } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { unavailable } from './errors.ts';
import { JobSchema, Jobs, UpdateJobRequestSchema } from './gen/google/cloud/run/v2/job_pb.js';
import { type AccountStatuses, createAccountStatuses } from './identity/account-status.ts';
import { createAuthenticator } from './identity/authenticator.ts';
import { createIdTokens } from './identity/id-tokens.ts';
import { issueToken } from './identity/issue.ts';
import { ensureOwnerToken } from './identity/owner-token.ts';
import { parsePrincipal } from './identity/principal.ts';
import { createSigningKeys } from './identity/signing-keys.ts';
import { createTokens, type Tokens } from './identity/tokens.ts';
import { createMetadataServer, type TaskIdentity } from './metadata/server.ts';
import { type Authorizer, createAuthorizer } from './policy/authorizer.ts';
import { loadCatalogue, type RoleCatalogue } from './policy/catalogue.ts';
import { findSettablePolicy } from './policy/policy-setter.ts';
import type { Driver, TaskListeners } from './runner/driver.ts';
import { createFakeDriver } from './runner/fake/driver.ts';
import { createLeaseTable, type LeaseTable } from './runner/lease-table.ts';
import { createRunner, type Runner } from './runner/loop.ts';
import type { Seed } from './seed/seed.ts';
import { createApiDoor } from './server/api-door.ts';
import { type AuditEntry, createDispatch, type DispatchDeps } from './server/dispatch.ts';
import { type Listener, listen } from './server/listen.ts';
import { createLogger } from './server/logger.ts';
import { createMetrics, type Metrics } from './server/metrics.ts';
import { createPeers } from './server/peer.ts';
import { announce, retract, writePrivate } from './server/status-file.ts';
import { createControlService, type StatusFacts } from './services/control/control.ts';
import { createIamService } from './services/iam/iam.ts';
import { createLoggingService } from './services/logging/logging.ts';
import { createResourceManagerServices } from './services/resourcemanager/resource-manager.ts';
import { createRunServices } from './services/run/run.ts';
import type { AnyService } from './services/service.ts';
import { createUnservedServices } from './services/unserved.ts';
import { accessTokenStore } from './store/access-tokens.ts';
import { lockDataDir } from './store/data-dir-lock.ts';
import { openStore, type Store } from './store/database.ts';
import { listFolders } from './store/folders.ts';
import { createPolicySource } from './store/hierarchy.ts';
import { type LogStore, startLogStore } from './store/log-store.ts';
import { listOrganizations } from './store/organizations.ts';
import { findProject, listProjects } from './store/projects.ts';
import { deleteExpired } from './store/retention.ts';
import { findServiceAccount, findServiceAccountName, isServiceAccountActive } from './store/service-accounts.ts';
import { findSetting, updateSetting } from './store/settings.ts';
import { signingKeyStore } from './store/signing-keys.ts';
import { systemClock } from './timestamp.ts';
import { version } from './version.ts';

/** A running control plane. */
export interface RunningServer {
  /** `http://127.0.0.1:8787`, no slash at the end. */
  readonly url: string;
  /** Holds the owner's token, mode 0600. */
  readonly tokenFile: string;
  /** Everything that is served, for tools that walk the API. */
  readonly services: readonly AnyService[];
  /** Ends requests and lets go of the engine; with `killOnStop` running containers are killed, else the next start adopts them. */
  close(): Promise<void>;
}

const OWNER_TOKEN_FILE = 'owner-token';
const SHUTDOWN_GRACE_MS = 5000;

export interface ServerOptions {
  readonly log?: Logger;
  /** Instead of the one that the configuration names. */
  readonly driver?: Driver;
}

/** Steps that undo what was built, run last to first. */
type Undo = (() => Promise<void> | void)[];

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
    return { ...(await build(config, log, options.driver, undo)), close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function build(config: Config, log: Logger, givenDriver: Driver | undefined, undo: Undo): Promise<Omit<RunningServer, 'close'>> {
  const startTime = systemClock.now();
  const seed = await readSeed(config);
  const { store, logs, logsOpened, instanceId } = await openState(config, log, undo);
  retract(config);
  const identity = createIdentity(store);
  undo.push(startHousekeeping(store, identity.tokens, log));
  const { authorizer, catalogue } = createPolicy(store);
  const metrics = createMetrics();
  const deps = dispatchDeps({ config, store, logs, identity, authorizer, catalogue, metrics, log });
  const dispatch = createDispatch(deps);

  const leases = createLeaseTable();
  const driver = givenDriver ?? (await createDriver(config, instanceId, seed, log));
  // The three that know each other only when all are built: status reads the runner, the runner's network serves the door.
  const late: { runner?: Runner; listener?: Listener; facts?: StatusFacts } = {};
  const services = createServices({ store, logs, catalogue, identity }, () => {
    const now = late.runner?.status();
    if (late.facts === undefined || now === undefined) throw unavailable('The server is starting.');
    return { ...late.facts, runningAttempts: now.attempts, openExecutions: now.executions, driver: { ...late.facts.driver, available: now.available } };
  });
  await seedOnStart(config, seed, store, services, deps);
  await refuseWideAnonymity(config, store, authorizer, log);
  const tokenFile = join(config.dataDir, OWNER_TOKEN_FILE);
  const last = { find: () => findSetting(store.read, 'owner-token'), update: (hash: string) => store.write(({ db }) => updateSetting(db, 'owner-token', hash)) };
  await ensureOwnerToken({ file: tokenFile, owner: config.owner, tokens: identity.tokens, store: accessTokenStore(store), write: writePrivate, last });

  const metadata = createMetadataServer({
    lookup: taskLookup(store, leases, identity.accounts),
    tokens: identity.tokens,
    idTokens: identity.idTokens,
    isActive: async (email) => (await identity.accounts.get(email)).active,
    log,
  });
  undo.push(() => metadata.close());
  const listeners: TaskListeners = {
    metadata: (socket) => metadata.serve(socket),
    api: (socket) => (late.listener === undefined ? socket.destroy() : late.listener.connect(socket)),
    isLeased: (address) => leases.isLeased(address),
  };
  const names = new Set([config.host.toLowerCase(), ...config.allowedHost.map((name) => name.toLowerCase())]);
  const handler = createApiDoor({
    names,
    services,
    dispatch,
    keys: identity.keys,
    metrics,
    log,
    peerOf: createPeers(() => late.listener?.port),
    anonymousAs: config.anonymousAs[0],
    isReady: () => late.runner?.status().available === true,
  });
  late.listener = await listen({ host: config.host, port: config.port, handler });
  const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${late.listener.port}`;
  undo.push(() => late.listener?.close(SHUTDOWN_GRACE_MS));

  let forTasks: { apiUrl?: string | undefined; metadataPort?: number | undefined } = {};
  late.runner = createRunner({
    store,
    driver,
    clock: systemClock,
    log,
    logs,
    leases,
    listeners,
    instanceId,
    apiUrl: () => forTasks.apiUrl,
    metadataPort: () => forTasks.metadataPort,
    limits: { strictResources: config.strictResources, ...(config.maxRunningAttempts === 0 ? {} : { maxAttempts: config.maxRunningAttempts }) },
  });
  await logsOpened;
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
    driver: { name: driver.name, description: info.description, warnings: info.warnings, available: true },
  };
  measureRunner(metrics, late.runner, logs);
  undo.push(() => retract(config));
  announce(config, { url, tokenFile, pid: process.pid });
  log.info({ url, driver: driver.name, dataDir: config.dataDir }, `actas ${version()} serves on ${url} (${info.description})`);
  return { url, tokenFile, services };
}

/** @throws SeedError */
async function readSeed(config: Config): Promise<Seed | undefined> {
  if (config.seed === undefined) return undefined;
  const { parseSeed, SeedError } = await import('./seed/seed.ts');
  try {
    return parseSeed(readFileSync(config.seed, 'utf8'), config.seed);
  } catch (error) {
    if (error instanceof SeedError) throw error;
    throw new Error(`The seed ${config.seed} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function openState(config: Config, log: Logger, undo: Undo): Promise<{ store: Store; logs: LogStore; logsOpened: Promise<void>; instanceId: string }> {
  const lock = lockDataDir(config.dataDir);
  undo.push(() => lock.release());
  // Its thread starts while all else is built.
  const { logs, opened } = startLogStore(config.dataDir, {
    retention: { maxAgeMs: config.logRetention, maxBytes: config.logMaxSize },
    onError: (error) => log.error({ err: error }, 'the log store failed'),
  });
  // A failure elsewhere may come first; build waits for it.
  opened.catch(() => undefined);
  undo.push(() => logs.close());
  const store = await openStore(config.dataDir);
  undo.push(() => store.close());
  return { store, logs, logsOpened: opened, instanceId: await instanceOf(store) };
}

async function createDriver(config: Config, instanceId: string, seed: Seed | undefined, log: Logger): Promise<Driver> {
  if (config.driver === 'fake') return createFakeDriver({ stateDir: join(config.dataDir, 'fake') });
  // Loaded when it is wanted: the engine's client is a third of all that this program loads.
  const { createDockerDriver } = await import('./runner/docker/driver.ts');
  return createDockerDriver({
    dataDirId: instanceId,
    environment: process.env,
    images: { ...seed?.images, ...config.images },
    log,
    ...(config.taskNetwork === 'auto' ? {} : { forceNetwork: config.taskNetwork }),
  });
}

function dispatchDeps(parts: {
  config: Config;
  store: Store;
  logs: LogStore;
  identity: Identity;
  authorizer: Authorizer;
  catalogue: RoleCatalogue;
  metrics: Metrics;
  log: Logger;
}): DispatchDeps {
  const { config, store, logs, identity, authorizer, catalogue, metrics, log } = parts;
  const [anonymous, again] = config.anonymousAs;
  return {
    authenticate: createAuthenticator(identity),
    ...(anonymous === undefined ? {} : { anonymous: { principal: { ...parsePrincipal(anonymous), anonymous: true }, maySetPolicies: again !== undefined } }),
    authorizer,
    catalogue,
    look: { serviceAccount: (project, key) => findServiceAccountName(store.read, project, key) },
    clock: systemClock,
    log,
    audit(entry: AuditEntry) {
      metrics.observe(entry);
      logs.audit({
        timeMicros: entry.time,
        principal: entry.principal ?? '',
        method: entry.method,
        resource: entry.checks[0]?.resource ?? '',
        permissions: entry.checks,
        status: entry.status,
        latencyMs: entry.latencyMs,
        requestId: entry.requestId,
        door: entry.door,
      });
    },
  };
}

function measureRunner(metrics: Metrics, runner: Runner, logs: LogStore): void {
  metrics.gauge('actas_attempts_running', 'Attempts of tasks that are alive.', () => runner.status().attempts);
  metrics.gauge('actas_executions_open', 'Executions that this control plane drives.', () => runner.status().executions);
  metrics.gauge('actas_attempts_started_total', 'Attempts started since the start.', () => runner.status().counters.attemptsStarted);
  metrics.gauge('actas_engine_available', '1 while the container engine can be reached.', () => Number(runner.status().available));
  metrics.gauge('actas_audit_dropped_total', 'Audit entries that could not be kept.', () => logs.stats().auditDropped);
}

type Identity = ReturnType<typeof createIdentity>;

function createIdentity(store: Store) {
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  const keys = createSigningKeys({ store: signingKeyStore(store), clock: systemClock });
  const accounts = createAccountStatuses(async (email) => ({
    active: await isServiceAccountActive(store.read, email),
    uniqueId: (await findServiceAccount(store.read, email))?.unique_id,
  }));
  // A project's deletion ends its accounts as well.
  store.onCommit('serviceAccounts', () => accounts.invalidate());
  store.onCommit('hierarchy', () => accounts.invalidate());
  return { tokens, keys, accounts, idTokens: createIdTokens({ keys, clock: systemClock }) };
}

function createPolicy(store: Store) {
  const catalogue = loadCatalogue();
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue });
  store.onCommit('policies', () => authorizer.invalidate());
  store.onCommit('hierarchy', () => authorizer.invalidate());
  return { catalogue, authorizer };
}

/** The task behind a connection to the metadata server: by its leased address, or by its random host name. */
function taskLookup(store: Store, leases: LeaseTable, accounts: AccountStatuses) {
  return async (connection: { readonly remoteAddress: string; readonly host: string | undefined }): Promise<TaskIdentity | undefined> => {
    const lease = leases.lookup(connection.remoteAddress) ?? (connection.host === undefined ? undefined : leases.lookup(connection.host.replace(/:\d+$/, '')));
    if (lease === undefined) return undefined;
    const project = await findProject(store.read, lease.projectId);
    const account = await accounts.get(lease.serviceAccount);
    return {
      attemptId: lease.attemptId,
      serviceAccount: { email: lease.serviceAccount, uniqueId: account.uniqueId ?? '' },
      projectId: lease.projectId,
      projectNumber: project?.number ?? '',
      location: lease.location,
      instanceId: lease.attemptId,
    };
  };
}

/** Forgets what nobody needs any more. @returns stops */
function startHousekeeping(store: Store, tokens: Tokens, log: Logger): () => void {
  const timer = setInterval(() => {
    for (const work of [tokens.deleteExpired(), deleteExpired(store, systemClock.now())])
      work.catch((error: unknown) => log.warn({ err: error }, 'what has expired was not removed'));
  }, 3_600_000).unref();
  return () => clearInterval(timer);
}

/** A name for this data directory that outlives restarts: containers carry it, so that each control plane knows its own. */
async function instanceOf(store: Store): Promise<string> {
  const known = await findSetting(store.read, 'instance');
  if (known !== undefined) return known;
  const made = randomBytes(6).toString('hex');
  await store.write(({ db }) => updateSetting(db, 'instance', made));
  return made;
}

/** Every API, a line each. */
function createServices(
  { store, logs, catalogue, identity }: { store: Store; logs: LogStore; catalogue: RoleCatalogue; identity: Identity },
  status: () => StatusFacts,
): readonly AnyService[] {
  return [
    ...createRunServices({ store, catalogue }),
    createIamService({ store, catalogue }),
    ...createResourceManagerServices({ store, catalogue }),
    createLoggingService({ logs, findProjectId: async (project) => (await findProject(store.read, project))?.project_id }),
    createControlService({ mint: (principal) => issueToken(principal, identity), status }),
    ...createUnservedServices(),
  ];
}

/** What a data directory holds at its start: the seed's declarations, or organization, folder and project of the default. Applied once each. */
async function seedOnStart(config: Config, seed: Seed | undefined, store: Store, services: readonly AnyService[], deps: DispatchDeps): Promise<void> {
  const isNew = (await listOrganizations(store.read, { limit: 1 })).length === 0 && (await listProjects(store.read, { limit: 1 })).length === 0;
  if (seed === undefined && !isNew) return;
  const [{ applySeed }, { defaultSeed }] = await Promise.all([import('./seed/apply.ts'), import('./seed/seed.ts')]);
  // A seed is the word of whoever owns the data directory: its jobs go the way of every request, but nobody's policy can refuse them.
  const trusted = createDispatch({
    ...deps,
    authenticate: () => ({ principal: parsePrincipal(config.owner) }),
    authorizer: { decide: () => ({ allowed: true, unevaluatedRoles: [] }), invalidate: () => undefined },
    audit: () => undefined,
  });
  const jobs = services.find((service) => service.desc.typeName === Jobs.typeName);
  if (jobs === undefined) throw new Error('the Cloud Run jobs service is missing');
  await applySeed(seed ?? defaultSeed(config.owner), {
    store,
    clock: systemClock,
    async applyJob(name, job) {
      const request = create(UpdateJobRequestSchema, { job: fromJson(JobSchema, { ...job, name }), allowMissing: true });
      await trusted.unary(jobs, Jobs.method.updateJob, () => request, {
        door: 'internal',
        authorization: 'Bearer seed',
        peer: { address: '', isLocal: true },
        userAgent: undefined,
        signal: new AbortController().signal,
        warn: (message) => deps.log.warn({ job: name }, message),
      });
    },
  });
}

/** `--anonymous-as` lends a name to every program of this machine: for one who may set IAM policies only when asked for twice. @throws Error */
async function refuseWideAnonymity(config: Config, store: Store, authorizer: Authorizer, log: Logger): Promise<void> {
  const [member, again] = config.anonymousAs;
  if (member === undefined) return;
  const organizations = (await listOrganizations(store.read, { limit: 1000 })).map(({ number }) => number);
  const folders = (await listFolders(store.read, { limit: 1000 })).map(({ number }) => number);
  const projects = (await listProjects(store.read, { limit: 1000 })).map(({ project_id }) => project_id);
  const settable = again === undefined ? await findSettablePolicy(authorizer, member, { organizations, folders, projects }) : undefined;
  if (settable !== undefined)
    throw new Error(
      `--anonymous-as ${member}: this principal may set IAM policies (${settable.permission} on ${settable.resource}), so every program on this machine could give itself any role. Repeat the flag if that is what you want.`,
    );
  log.warn({ anonymousAs: member }, `ANONYMOUS ACCESS: callers without a token are taken for ${member}`);
}
