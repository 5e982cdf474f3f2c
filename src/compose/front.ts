/**
 * What answers: the API's door with all that stands behind it, and the tasks' metadata server. Most of the program's code is here, and
 * nobody needs it before a first request, so `lazy-front.ts` loads it then: a start does not wait for it.
 */

import type { Config } from '../config.ts';
import { createFindGoogleCaller } from '../identity/application-default.ts';
import { createGoogleTokens } from '../identity/google-tokens.ts';
import type { Tokens } from '../identity/tokens.ts';
import { createMetadataServer, type MetadataServer } from '../metadata/server.ts';
import type { LeaseTable } from '../runner/lease-table.ts';
import type { SecretReader } from '../runner/task-secrets.ts';
import type { Seed } from '../seed/seed.ts';
import { createApiDoor } from '../server/api-door.ts';
import { type AuditEntry, createDispatch } from '../server/dispatch.ts';
import type { Handler } from '../server/listen.ts';
import type { Metrics } from '../server/metrics.ts';
import { createPeers } from '../server/peer.ts';
import type { StatusFacts } from '../services/control/control.ts';
import type { Api, Log } from '../services/service.ts';
import type { Store } from '../store/database.ts';
import type { LogStore } from '../store/log-store.ts';
import type { SecretKeyring } from '../store/secret-keyring.ts';
import { systemClock } from '../timestamp.ts';
import { refuseWideAnonymity } from './anonymity.ts';
import { dispatchDeps } from './dispatch.ts';
import { leadsHere } from './google.ts';
import { googleAudit } from './google-audit.ts';
import { createIdentity, taskLookup } from './identity.ts';
import { createMintPermission } from './minting.ts';
import { createPolicy } from './policy.ts';
import { createApis } from './services.ts';
import { createTaskSecrets } from './task-secrets.ts';
import { createUpstreams } from './upstreams.ts';

/** What a start has made before anybody asks. */
export interface FrontParts {
  readonly config: Config;
  readonly store: Store;
  readonly logs: LogStore;
  readonly tokens: Tokens;
  /** Under which this server may be addressed, without ports; more may join while it serves. */
  readonly names: ReadonlySet<string>;
  readonly leases: LeaseTable;
  /** What payloads of secrets are encrypted under. */
  readonly keyring: SecretKeyring;
  readonly metrics: Metrics;
  readonly log: Log;
  /** The port of the server's own listener, once it is bound. */
  /** Where audit entries go instead of the logs. */
  readonly audit?: (entry: AuditEntry) => void;
  ownPort(): number | undefined;
  /** @throws UNAVAILABLE before it serves */
  status(): StatusFacts;
  /** Whether containers can be started now. */
  isReady(): boolean;
  /** The certificate of the front door's authority, PEM. */
  authority(): Promise<string>;
}

export interface Front {
  readonly apis: readonly Api[];
  readonly handler: Handler;
  readonly metadata: MetadataServer;
  /** Reads secrets as the accounts of jobs. */
  readonly secrets: SecretReader;
  /** Applies what a data directory holds at its start. @param env where payloads of secrets may be named from @throws Error for what cannot be applied */
  seed(seed: Seed | undefined, env?: Readonly<Record<string, string | undefined>>): Promise<void>;
  /** @throws Error where `--anonymous-as` would lend too much */
  checkAnonymity(): Promise<void>;
}

export function createFront(parts: FrontParts): Front {
  const { config, store, logs, names, leases, metrics, log } = parts;
  const identity = createIdentity(store, names, parts.tokens, config);
  const { authorizer, catalogue, orgPolicies } = createPolicy(store, logs, `projects/${config.project}`);
  const deps = dispatchDeps({ config, store, logs, identity, authorizer, catalogue, metrics, log, audit: parts.audit });
  const dispatch = createDispatch(deps);
  const limits = {
    ...(config.maxJobs === 0 ? {} : { jobsPerRegion: config.maxJobs }),
    ...(config.maxRunningExecutions === 0 ? {} : { runningExecutionsPerRegion: config.maxRunningExecutions }),
  };
  const apis = createApis({ store, logs, keyring: parts.keyring, catalogue, authorizer, orgPolicies, identity, limits, issuesTokens: config.issueTokens }, () => parts.status());
  const metadata = createMetadataServer({
    lookup: taskLookup(store, leases, identity.accounts, config.identities),
    tokens: identity.tokens,
    idTokens: identity.idTokens,
    isActive: async (email) => (await identity.accounts.get(email)).active,
    canMint: createMintPermission({ store, authorizer, orgPolicies }),
    google: createGoogleTokens({ findCaller: createFindGoogleCaller((url) => leadsHere(url, names, parts.ownPort())), clock: systemClock }),
    onGoogleToken: googleAudit(logs, systemClock),
    log,
  });
  const handler = createApiDoor({
    names,
    apis,
    upstreams: createUpstreams(config, new Set(apis.map(({ host }) => host)), log),
    dispatch,
    keys: identity.keys,
    metrics,
    log,
    peerOf: createPeers(() => parts.ownPort()),
    anonymousAs: config.anonymousAs[0],
    isReady: () => parts.isReady(),
    authority: () => parts.authority(),
  });
  return {
    apis,
    handler,
    metadata,
    secrets: createTaskSecrets({ store, logs, authorizer, keyring: parts.keyring }),
    seed: async (seed, env = {}) => (await import('./seed-on-start.ts')).seedOnStart(config, seed, store, apis, deps, env),
    checkAnonymity: () => refuseWideAnonymity(config, store, authorizer, log),
  };
}
