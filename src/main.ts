/**
 * Composition root: the only file that builds the whole program. Reads top to bottom as the program is made: state, identity, policy,
 * services, doors, tasks' network, runner. Everything below main gets what it needs as arguments and imports nothing upwards.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, fromJson } from '@bufbuild/protobuf';
import type { Logger } from 'pino';
import type { Config } from './config.ts';
import { failedPrecondition, unavailable } from './errors.ts';
import { TagBindings } from './gen/google/cloud/resourcemanager/v3/tag_bindings_pb.js';
import { TagHolds } from './gen/google/cloud/resourcemanager/v3/tag_holds_pb.js';
import { TagKeys } from './gen/google/cloud/resourcemanager/v3/tag_keys_pb.js';
import { TagValues } from './gen/google/cloud/resourcemanager/v3/tag_values_pb.js';
import { Builds } from './gen/google/cloud/run/v2/build_pb.js';
import { Instances } from './gen/google/cloud/run/v2/instance_pb.js';
import { Jobs, JobSchema, UpdateJobRequestSchema } from './gen/google/cloud/run/v2/job_pb.js';
import { Revisions } from './gen/google/cloud/run/v2/revision_pb.js';
import { Services } from './gen/google/cloud/run/v2/service_pb.js';
import { WorkerPools } from './gen/google/cloud/run/v2/worker_pool_pb.js';
import { ConfigServiceV2 } from './gen/google/logging/v2/logging_config_pb.js';
import { MetricsServiceV2 } from './gen/google/logging/v2/logging_metrics_pb.js';
import { file_google_rpc_error_details } from './gen/google/rpc/error_details_pb.js';
import { type AccountStatuses, createAccountStatuses } from './identity/account-status.ts';
import { createAuthenticator } from './identity/authenticator.ts';
import { createIdTokens } from './identity/id-tokens.ts';
import { parsePrincipal, type Principal } from './identity/principal.ts';
import { createSigningKeys, discoveryDocument } from './identity/signing-keys.ts';
import { createTokens, type Tokens } from './identity/tokens.ts';
import { createMetadataServer, type TaskIdentity } from './metadata/server.ts';
import { type Authorizer, createAuthorizer } from './policy/authorizer.ts';
import { loadCatalogue, type RoleCatalogue } from './policy/catalogue.ts';
import { createDockerDriver } from './runner/docker/driver.ts';
import type { Driver, TaskListeners } from './runner/driver.ts';
import { createFakeDriver } from './runner/fake/driver.ts';
import { createLeaseTable, type LeaseTable } from './runner/lease-table.ts';
import { createRunner, type Runner } from './runner/loop.ts';
import { applySeed } from './seed/apply.ts';
import { defaultSeed, parseSeed, type Seed, SeedError } from './seed/seed.ts';
import { createAddressing } from './server/address.ts';
import { type AuditEntry, createDispatch, type Dispatch, type DispatchDeps } from './server/dispatch.ts';
import { createDoor, type Document } from './server/door.ts';
import { createGrpcDoor } from './server/grpc.ts';
import { type Handler, listen, type Listener } from './server/listen.ts';
import { createLogger } from './server/logger.ts';
import { createMetrics, type Metrics } from './server/metrics.ts';
import { createRestDoor, registryOf } from './server/rest.ts';
import { createControlService, type StatusFacts } from './services/control/control.ts';
import { createIamService } from './services/iam/iam.ts';
import { createLoggingService } from './services/logging/logging.ts';
import { createResourceManagerServices } from './services/resourcemanager/resource-manager.ts';
import { createRunServices } from './services/run/run.ts';
import { type AnyService, unimplementedService } from './services/service.ts';
import { accessTokenStore } from './store/access-tokens.ts';
import { lockDataDir } from './store/data-dir-lock.ts';
import { openStore, type Store } from './store/database.ts';
import { createPolicySource } from './store/hierarchy.ts';
import { type LogStore, openLogStore } from './store/log-store.ts';
import { listOrganizations } from './store/organizations.ts';
import { findProject, listProjects } from './store/projects.ts';
import { findServiceAccount, findServiceAccountName, isServiceAccountActive } from './store/service-accounts.ts';
import { findSetting, updateSetting } from './store/settings.ts';
import { signingKeyStore } from './store/signing-keys.ts';
import { type Micros, systemClock } from './timestamp.ts';

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

// package.json has a version, or npm would not have installed it.
export const VERSION: string = (JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version;

const OWNER_TOKEN_FILE = 'owner-token';
/** Where the CLI looks for a running control plane of a data directory. */
const SERVER_FILE = 'server.json';
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
  const seed = readSeed(config);
  const state = await openState(config, log, undo);
  const { store, logs, instanceId } = state;
  const identity = createIdentity(store);
  undo.push(startHousekeeping(identity.tokens, log));
  const { authorizer, catalogue } = createPolicy(store);
  const metrics = createMetrics();
  const deps = dispatchDeps({ config, store, logs, identity, authorizer, catalogue, metrics, log });
  const dispatch = createDispatch(deps);

  const leases = createLeaseTable();
  const driver = givenDriver ?? createDriver(config, instanceId, seed, log);
  // The three that know each other only when all are built: status reads the runner, the runner's network serves the door.
  const late: { runner?: Runner; listener?: Listener; facts?: StatusFacts } = {};
  const services = createServices({ store, logs, catalogue, identity }, () => {
    const now = late.runner?.status();
    if (late.facts === undefined || now === undefined) throw unavailable('The server is starting.');
    return { ...late.facts, runningAttempts: now.attempts, openExecutions: now.executions, driver: { ...late.facts.driver, available: now.available } };
  });
  await seedOnStart(config, seed, store, services, deps);
  await refuseWideAnonymity(config, store, authorizer, log);
  const tokenFile = await ownerToken(config, store, identity.tokens);

  const metadata = createMetadataServer({ lookup: taskLookup(store, leases, identity.accounts), tokens: identity.tokens, idTokens: identity.idTokens, isActive: async (email) => (await identity.accounts.get(email)).active, log });
  undo.push(() => metadata.close());
  const listeners: TaskListeners = { metadata: (socket) => metadata.serve(socket), api: (socket) => (late.listener === undefined ? socket.destroy() : late.listener.connect(socket)), isLeased: (address) => leases.isLeased(address) };
  const names = new Set([config.host.toLowerCase(), ...config.allowedHost.map((name) => name.toLowerCase())]);
  const handler = createApiDoor({ names, config, services, dispatch, identity, metrics, log, isReady: () => late.runner?.status().available === true });
  late.listener = await listen({ host: config.host, port: config.port, handler });
  const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${late.listener.port}`;
  undo.push(() => late.listener?.close(SHUTDOWN_GRACE_MS));

  let forTasks: { apiUrl?: string | undefined; metadataPort?: number | undefined } = {};
  late.runner = createRunner({
    store, driver, clock: systemClock, log, logs, leases, listeners, instanceId, apiUrl: () => forTasks.apiUrl, metadataPort: () => forTasks.metadataPort,
    limits: { strictResources: config.strictResources, ...(config.maxRunningAttempts === 0 ? {} : { maxAttempts: config.maxRunningAttempts }) },
  });
  const info = await late.runner.start();
  undo.push(() => late.runner?.stop({ keepRunning: !config.killOnStop }));
  if (info.network !== undefined) forTasks = { apiUrl: info.network.apiUrl, metadataPort: info.network.kind === 'hostname' ? info.network.metadataPort : undefined };
  if (forTasks.apiUrl !== undefined) names.add(new URL(forTasks.apiUrl).hostname);
  late.facts = {
    version: VERSION, project: config.project, url, startTime, dataDir: config.dataDir, pid: process.pid, anonymousAs: config.anonymousAs[0] ?? '', runningAttempts: 0, openExecutions: 0,
    driver: { name: driver.name, description: info.description, warnings: info.warnings, available: true },
  };
  measureRunner(metrics, late.runner, logs);
  announce(config, url, tokenFile, undo);
  log.info({ url, driver: driver.name, dataDir: config.dataDir }, `actas ${VERSION} serves on ${url} (${info.description})`);
  return { url, tokenFile, services };
}

/** @throws SeedError */
function readSeed(config: Config): Seed | undefined {
  if (config.seed === undefined) return undefined;
  try {
    return parseSeed(readFileSync(config.seed, 'utf8'), config.seed);
  } catch (error) {
    if (error instanceof SeedError) throw error;
    throw new Error(`The seed ${config.seed} cannot be read: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
  }
}

async function openState(config: Config, log: Logger, undo: Undo): Promise<{ store: Store; logs: LogStore; instanceId: string }> {
  const lock = lockDataDir(config.dataDir);
  undo.push(() => lock.release());
  const store = await openStore(config.dataDir);
  undo.push(() => store.close());
  const logs = await openLogStore(config.dataDir, { retention: { maxAgeMs: config.logRetention, maxBytes: config.logMaxSize }, onError: (error) => log.error({ err: error }, 'the log store failed') });
  undo.push(() => logs.close());
  return { store, logs, instanceId: await instanceOf(store) };
}

function createDriver(config: Config, instanceId: string, seed: Seed | undefined, log: Logger): Driver {
  if (config.driver === 'fake') return createFakeDriver({ stateDir: join(config.dataDir, 'fake') });
  return createDockerDriver({ dataDirId: instanceId, environment: process.env, images: { ...seed?.images, ...config.images }, log, ...(config.taskNetwork === 'auto' ? {} : { forceNetwork: config.taskNetwork }) });
}

function dispatchDeps(parts: { config: Config; store: Store; logs: LogStore; identity: Identity; authorizer: Authorizer; catalogue: RoleCatalogue; metrics: Metrics; log: Logger }): DispatchDeps {
  const { config, store, logs, identity, authorizer, catalogue, metrics, log } = parts;
  const [anonymous] = config.anonymousAs;
  return {
    authenticate: createAuthenticator(identity),
    ...(anonymous === undefined ? {} : { anonymous: { ...parsePrincipal(anonymous), anonymous: true } }),
    authorizer,
    catalogue,
    look: { serviceAccount: (project, key) => findServiceAccountName(store.read, project, key) },
    clock: systemClock,
    log,
    audit(entry: AuditEntry) {
      metrics.observe(entry);
      logs.audit({ timeMicros: entry.time, principal: entry.principal ?? '', method: entry.method, resource: entry.checks[0]?.resource ?? '', permissions: entry.checks, status: entry.status, latencyMs: entry.latencyMs, requestId: entry.requestId, door: entry.door });
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

interface Identity {
  readonly tokens: Tokens;
  readonly idTokens: ReturnType<typeof createIdTokens>;
  readonly keys: ReturnType<typeof createSigningKeys>;
  readonly accounts: AccountStatuses;
}

function createIdentity(store: Store): Identity {
  const tokens = createTokens({ store: accessTokenStore(store), clock: systemClock });
  const keys = createSigningKeys({ store: signingKeyStore(store), clock: systemClock });
  const accounts = createAccountStatuses(async (email) => ({ active: await isServiceAccountActive(store.read, email), uniqueId: (await findServiceAccount(store.read, email))?.unique_id }));
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
    return { attemptId: lease.attemptId, serviceAccount: { email: lease.serviceAccount, uniqueId: account.uniqueId ?? '' }, projectId: lease.projectId, projectNumber: project?.number ?? '', location: lease.location, instanceId: lease.attemptId };
  };
}

/** Forgets what nobody needs any more. @returns stops */
function startHousekeeping(tokens: Tokens, log: Logger): () => void {
  const timer = setInterval(() => {
    tokens.deleteExpired().catch((error: unknown) => log.warn({ err: error }, 'expired tokens were not removed'));
  }, 3_600_000).unref();
  return () => clearInterval(timer);
}

/** A name for this data directory that outlives restarts: containers carry it, so that each control plane knows its own. */
async function instanceOf(store: Store): Promise<string> {
  return store.write(async ({ db }) => {
    const known = await findSetting(db, 'instance');
    if (known !== undefined) return known;
    const made = randomBytes(6).toString('hex');
    await updateSetting(db, 'instance', made);
    return made;
  });
}

/** The owner's token: made at the first start, or when its file is gone or no longer good. @returns the file's path */
async function ownerToken(config: Config, store: Store, tokens: Tokens): Promise<string> {
  const file = join(config.dataDir, OWNER_TOKEN_FILE);
  if (existsSync(file)) {
    chmodSync(file, 0o600);
    const verified = await tokens.verify(readFileSync(file, 'utf8').trim());
    if (verified?.administrator === true && verified.member === config.owner) return file;
  }
  const { token } = await tokens.mint({ member: config.owner, lifetimeMs: null, administrator: true });
  writePrivate(file, `${token}\n`);
  await store.write(({ db }) => updateSetting(db, 'owner', config.owner));
  return file;
}

/** Tells the CLI, and whoever waits for the ready file, that we serve. */
function announce(config: Config, url: string, tokenFile: string, undo: Undo): void {
  const server = join(config.dataDir, SERVER_FILE);
  writePrivate(server, `${JSON.stringify({ url, pid: process.pid })}\n`);
  undo.push(() => rmSync(server, { force: true }));
  if (config.readyFile !== undefined) writePrivate(config.readyFile, `${JSON.stringify({ url, tokenFile })}\n`);
}

/** Whole or not at all, and never readable by others in between. */
function writePrivate(file: string, text: string): void {
  const draft = `${file}.${process.pid}.tmp`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}

/** Every API, a line each. */
function createServices({ store, logs, catalogue, identity }: { store: Store; logs: LogStore; catalogue: RoleCatalogue; identity: Identity }, status: () => StatusFacts): readonly AnyService[] {
  return [
    ...createRunServices({ store, catalogue }),
    ...[Services, Revisions, WorkerPools, Instances, Builds].map((desc) => unimplementedService(desc, 'run.googleapis.com')),
    createIamService({ store, catalogue }),
    ...createResourceManagerServices({ store, catalogue }),
    ...[TagKeys, TagValues, TagBindings, TagHolds].map((desc) => unimplementedService(desc, 'cloudresourcemanager.googleapis.com')),
    createLoggingService({ logs, findProjectId: async (project) => (await findProject(store.read, project))?.project_id }),
    ...[ConfigServiceV2, MetricsServiceV2].map((desc) => unimplementedService(desc, 'logging.googleapis.com')),
    createControlService({ mint: (principal) => mintFor(principal, identity), status }),
  ];
}

/** A token for anybody whom the owner names; an account's belongs to the account of now, not to a later one of the same name. */
async function mintFor({ member, email, kind }: Principal, { tokens, accounts }: Identity): Promise<{ token: string; expireTime: Micros | null }> {
  if (kind === 'user') return tokens.mint({ member });
  const { active, uniqueId } = await accounts.get(email);
  if (!active) throw failedPrecondition(`Service account ${email} does not exist or is disabled: it cannot have a token.`);
  return tokens.mint({ member, ...(uniqueId === undefined ? {} : { uniqueId }) });
}

/** What a data directory holds at its start: the seed's declarations, or organization, folder and project of the default. Applied once each. */
async function seedOnStart(config: Config, seed: Seed | undefined, store: Store, services: readonly AnyService[], deps: DispatchDeps): Promise<void> {
  const isNew = (await listOrganizations(store.read, { limit: 1 })).length === 0 && (await listProjects(store.read, { limit: 1 })).length === 0;
  if (seed === undefined && !isNew) return;
  // A seed is the word of whoever owns the data directory: its jobs go the way of every request, but nobody's policy can refuse them.
  const trusted = createDispatch({ ...deps, authenticate: () => ({ principal: parsePrincipal(config.owner) }), authorizer: { decide: () => ({ allowed: true, unevaluatedRoles: [] }), invalidate: () => undefined }, audit: () => undefined });
  const jobs = services.find((service) => service.desc.typeName === Jobs.typeName);
  if (jobs === undefined) throw new Error('the Cloud Run jobs service is missing');
  await applySeed(seed ?? defaultSeed(config.owner), {
    store,
    clock: systemClock,
    async applyJob(name, job) {
      const request = create(UpdateJobRequestSchema, { job: fromJson(JobSchema, { ...job, name }), allowMissing: true });
      await trusted.unary(jobs, Jobs.method.updateJob, request, { door: 'internal', authorization: 'Bearer seed', peer: '', userAgent: undefined, signal: new AbortController().signal, warn: (message) => deps.log.warn({ job: name }, message) });
    },
  });
}

const SET_POLICY = { projects: 'resourcemanager.projects.setIamPolicy', organizations: 'resourcemanager.organizations.setIamPolicy' };

/** `--anonymous-as` lends a name to anybody who can reach the port: on loopback alone, and for one who may set IAM policies only when asked for twice. @throws Error */
async function refuseWideAnonymity(config: Config, store: Store, authorizer: Authorizer, log: Logger): Promise<void> {
  const [member, again] = config.anonymousAs;
  if (member === undefined) return;
  if (!['127.0.0.1', '::1', 'localhost'].includes(config.host)) throw new Error(`--anonymous-as is for loopback alone, but --host is ${config.host}. Leave one of them out.`);
  if (again !== undefined && again !== member) throw new Error(`--anonymous-as takes one principal; ${member} and ${again} were given.`);
  const organizations = await listOrganizations(store.read, { limit: 1000 });
  const projects = await listProjects(store.read, { limit: 1000 });
  const questions = [
    ...organizations.map(({ number }) => ({ permission: SET_POLICY.organizations, resource: `//cloudresourcemanager.googleapis.com/organizations/${number}` })),
    ...projects.map(({ project_id }) => ({ permission: SET_POLICY.projects, resource: `//cloudresourcemanager.googleapis.com/projects/${project_id}` })),
  ];
  for (const question of questions)
    if (again === undefined && (await authorizer.decide({ member, ...question })).allowed) throw new Error(`--anonymous-as ${member}: this principal may set IAM policies (${question.resource.replace(/^.*\.com\//, '')}), so every program on this machine could give itself any role. Repeat the flag if that is what you want.`);
  log.warn({ anonymousAs: member }, `ANONYMOUS ACCESS: callers without a token are taken for ${member}`);
}

interface ApiDoorDeps {
  /** Names under which this server may be addressed; the tasks' gateway is added when it is known. */
  readonly names: ReadonlySet<string>;
  readonly config: Config;
  readonly services: readonly AnyService[];
  readonly dispatch: Dispatch;
  readonly identity: Identity;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Whether containers can be started now. */
  isReady(): boolean;
}

function createApiDoor({ names, config, services, dispatch, identity, metrics, log, isReady }: ApiDoorDeps): Handler {
  const registry = registryOf(services, [file_google_rpc_error_details]);
  const rest = createRestDoor(services, dispatch, registry, log);
  const json = 'application/json; charset=UTF-8';
  const documents: readonly Document[] = [
    { path: '/healthz', type: 'text/plain', authenticated: false, body: async () => ({ text: 'ok\n' }) },
    { path: '/readyz', type: 'text/plain', authenticated: false, body: async () => (isReady() ? { text: 'ok\n' } : { status: 503, text: 'the container engine is not reachable\n' }) },
    { path: '/metrics', type: 'text/plain; version=0.0.4; charset=utf-8', authenticated: true, body: async () => ({ text: await metrics.text() }) },
    { path: '/oauth2/v3/certs', host: 'www.googleapis.com', type: json, authenticated: false, body: async () => ({ text: JSON.stringify(await identity.keys.jwks()) }) },
    { path: '/oauth2/v1/certs', host: 'www.googleapis.com', type: json, authenticated: false, body: async () => ({ text: JSON.stringify(await identity.keys.certificates()) }) },
    { path: '/.well-known/openid-configuration', host: 'accounts.google.com', type: json, authenticated: false, body: async () => ({ text: JSON.stringify(discoveryDocument('https://www.googleapis.com')) }) },
  ];
  const hosts = new Set([...rest.hosts, ...documents.flatMap((document) => (document.host === undefined ? [] : [document.host]))]);
  return createDoor({
    addressing: createAddressing(hosts, names),
    rest,
    grpc: createGrpcDoor(services, dispatch, log),
    documents,
    registry,
    log,
    anonymousAs: config.anonymousAs[0],
    async authenticate(request) {
      await dispatch.authenticate('actas.internal', 'metrics', { door: 'rest', authorization: request.headers.authorization, peer: request.socket.remoteAddress ?? '', userAgent: request.headers['user-agent'], signal: new AbortController().signal, warn: () => undefined });
    },
  });
}
