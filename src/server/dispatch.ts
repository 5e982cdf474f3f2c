/**
 * The one way into a service. Both doors decode a request into the same message and call `unary`; dispatch authenticates,
 * authorises from the method's declared access, runs the handler, writes the audit entry, counts, and shapes errors, so that no
 * handler can forget any of it. Order: who are you (401), may you (403), does it exist and is it valid (the handler).
 *
 * Must not know: HTTP, gRPC, any concrete service, the store.
 */
import { randomUUID } from 'node:crypto';
import { create, type DescMethod, type Message } from '@bufbuild/protobuf';
import { type ApiError, cancelled, internal, isApiError, permissionDenied, STATUS, type StatusName, unauthenticated, unimplemented } from '../errors.ts';
import type { Authentication } from '../identity/authenticator.ts';
import type { Principal } from '../identity/principal.ts';
import type { Authorizer, Decision } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { remedyFor } from '../policy/remedy.ts';
import type { AnyMethod, AnyService, Call, Check, Log, Lookup } from '../services/service.ts';
import type { Clock, Micros } from '../timestamp.ts';

/** What a door knows about a request beside the message. */
export interface Transport {
  readonly door: 'rest' | 'grpc' | 'internal';
  /** The `Authorization` header as it came. */
  readonly authorization: string | undefined;
  readonly peer: string;
  readonly userAgent: string | undefined;
  readonly signal: AbortSignal;
  /** Collects what `Call.warn` says, for the answer's headers. */
  warn(message: string): void;
}

/** One permission that was asked about, as the audit trail keeps it. */
export interface AuditedCheck {
  readonly permission: string;
  readonly resource: string;
  readonly granted: boolean;
}
export interface AuditEntry {
  readonly time: Micros;
  readonly requestId: string;
  readonly door: Transport['door'];
  readonly peer: string;
  readonly userAgent: string | undefined;
  /** Policy member; undefined where nobody was recognised. */
  readonly principal: string | undefined;
  readonly service: string;
  /** Full RPC name, `google.cloud.run.v2.Jobs.GetJob`. */
  readonly method: string;
  readonly checks: readonly AuditedCheck[];
  readonly status: StatusName | 'OK';
  readonly latencyMs: number;
}

export interface DispatchDeps {
  authenticate(token: string): Authentication | Promise<Authentication>;
  /** Set by `--anonymous-as`: who a caller without a token is. */
  readonly anonymous?: Principal;
  readonly authorizer: Authorizer;
  readonly catalogue: RoleCatalogue;
  readonly look: Lookup;
  readonly clock: Clock;
  readonly log: Log;
  audit(entry: AuditEntry): void;
}

export interface Dispatch {
  /** @throws ApiError, never anything else */
  unary(service: AnyService, method: DescMethod, request: Message, transport: Transport): Promise<Message>;
  /** For the few documents outside any RPC that need a caller (metrics). @throws UNAUTHENTICATED */
  authenticate(service: string, method: string, transport: Transport): Promise<Principal>;
}

export function createDispatch(deps: DispatchDeps): Dispatch {
  const identify = async (service: string, method: string, transport: Transport): Promise<Principal> => {
    const token = bearer(transport.authorization);
    if (token === undefined) {
      if (deps.anonymous !== undefined && transport.authorization === undefined) return deps.anonymous;
      throw unauthenticated(transport.authorization === undefined ? 'CREDENTIALS_MISSING' : 'ACCESS_TOKEN_TYPE_UNSUPPORTED', { service, method });
    }
    const found = await deps.authenticate(token);
    if ('refused' in found) throw unauthenticated(found.refused, { service, method });
    return found.principal;
  };

  return {
    authenticate: identify,
    async unary(service, method, request, transport) {
      const started = performance.now();
      const time = deps.clock.now();
      const requestId = randomUUID();
      const name = `${service.desc.typeName}.${method.name}`;
      const checks: AuditedCheck[] = [];
      let principal: Principal | undefined;
      let status: StatusName | 'OK' = 'OK';
      try {
        const definition = service.methods[method.localName];
        if (definition === undefined) throw new Error(`${name} has no definition`);
        if (definition === 'unimplemented') {
          principal = await identify(service.host, name, transport);
          throw unimplemented(name);
        }
        if (!('public' in definition.access)) principal = await identify(service.host, name, transport);
        const call = createCall(deps, service, principal ?? NOBODY, transport, { requestId, name }, checks);
        if ('checks' in definition.access) for (const check of await definition.access.checks(request, deps.look)) await call.authorize(check);
        return create(method.output, await run(definition, request, call, name));
      } catch (error) {
        const shaped = shape(error, deps.log, { requestId, method: name }, transport.signal);
        status = shaped.status;
        throw shaped;
      } finally {
        deps.audit({ time, requestId, door: transport.door, peer: transport.peer, userAgent: transport.userAgent, principal: principal?.member, service: service.host, method: name, checks, status, latencyMs: performance.now() - started });
      }
    },
  };
}

const NOBODY: Principal = { member: 'allUsers', email: '', kind: 'user', anonymous: true };

async function run(definition: AnyMethod, request: Message, call: Call, name: string) {
  if (definition.handle === undefined) throw unimplemented(`${name} (a stream)`);
  return definition.handle(request, call);
}

function createCall(deps: DispatchDeps, service: AnyService, principal: Principal, transport: Transport, about: { requestId: string; name: string }, audited: AuditedCheck[]): Call {
  const decide = async (member: string, check: Check, record: boolean): Promise<Decision> => {
    const decision = await deps.authorizer.decide({ member, permission: check.permission, resource: check.resource });
    if (record) audited.push({ permission: check.permission, resource: check.resource, granted: decision.allowed });
    if (!decision.allowed && decision.unevaluatedRoles.length > 0) deps.log.warn({ ...about, member, permission: check.permission, resource: check.resource, notEvaluated: decision.unevaluatedRoles }, 'a binding that might have granted this was not evaluated');
    return decision;
  };
  return {
    principal,
    signal: transport.signal,
    log: deps.log,
    now: () => deps.clock.now(),
    warn: (message) => transport.warn(message),
    async authorize(check, message) {
      const { allowed } = await decide(principal.member, check, true);
      if (allowed) return;
      throw denial(service, principal, check, deps.catalogue, message);
    },
    isAllowed: async (check) => (await decide(principal.member, check, false)).allowed,
    isMemberAllowed: async (member, check) => (await decide(member, check, false)).allowed,
  };
}

/** The words depend on the request, the permission and the catalogue alone: the same to the byte whether the resource exists or not. */
function denial(service: AnyService, principal: Principal, check: Check, catalogue: RoleCatalogue, message: string | undefined): ApiError {
  const bare = check.resource.replace(/^\/\/[^/]+\//, '');
  const asked = check.asked ?? bare;
  // The remedy is for the name as it was asked for, not for what a look-up found.
  const named = `${check.resource.slice(0, check.resource.length - bare.length)}${asked.replace(/^\/\/[^/]+\//, '')}`;
  return permissionDenied(message ?? service.denied({ ...check, asked }), { permission: check.permission, resource: asked, domain: service.host }, remedyFor({ member: principal.member, permission: check.permission, resource: named }, catalogue));
}

/** A thrown value as the wire may see it. What is no ApiError is a bug: it gets an id here and its cause chain in the log. */
function shape(error: unknown, log: Log, about: { requestId: string; method: string }, signal: AbortSignal): ApiError {
  if (isApiError(error)) {
    if (STATUS[error.status].http >= 500) log.warn({ ...about, err: error }, error.message);
    return error;
  }
  if (signal.aborted) return cancelled('The caller went away.');
  log.error({ ...about, err: error }, 'a handler failed');
  return internal(about.requestId);
}

function bearer(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^bearer +([^\s]{1,16384})$/i.exec(header)?.[1];
}
