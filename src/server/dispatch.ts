/**
 * The one way into a service. Both doors decode a request into the same message and call `unary`; dispatch authenticates,
 * authorises from the method's declared access, runs the handler, writes the audit entry, counts, and shapes errors, so that no
 * handler can forget any of it. Order: who are you (401), may you (403), does it exist and is it valid (the handler).
 *
 * Must not know: HTTP, gRPC, any concrete service, the store.
 */
import { randomUUID } from 'node:crypto';
import { create, type DescMethod, type Message } from '@bufbuild/protobuf';
import { type ApiError, cancelled, forbidden, insufficientScopes, internal, isApiError, permissionDenied, type StatusName, unauthenticated, unimplemented } from '../errors.ts';
import type { Authentication } from '../identity/authenticator.ts';
import type { Principal } from '../identity/principal.ts';
import type { Authorizer, Decision } from '../policy/authorizer.ts';
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { remedyFor } from '../policy/remedy.ts';
import type { AnyMethod, AnyService, Call, Check, Log, Lookup } from '../services/service.ts';
import type { Clock, Micros } from '../timestamp.ts';
import type { Peer } from './peer.ts';
import { createScopeRule } from './scopes.ts';

/** What a door knows about a request beside the message. */
export interface Transport {
  readonly door: 'rest' | 'grpc' | 'internal';
  /** The `Authorization` header as it came. */
  readonly authorization: string | undefined;
  readonly peer: Peer;
  readonly userAgent: string | undefined;
  /** Aborted when nobody waits for the answer any more; an ApiError as its reason says why (a deadline). */
  readonly signal: AbortSignal;
  /** Collects what `Call.warn` says, for the answer's headers. */
  warn(message: string): void;
}

/** One permission that was asked about, as the audit trail keeps it. */
export interface AuditedCheck {
  readonly permission: string;
  readonly resource: string;
  readonly granted: boolean;
  /** About whom it was asked, where not about the caller. */
  readonly member?: string;
}
export interface AuditEntry {
  readonly time: Micros;
  readonly requestId: string;
  readonly door: Transport['door'];
  /** Address of the caller. */
  readonly peer: string;
  readonly userAgent: string | undefined;
  /** Policy member; undefined where nobody was recognised. */
  readonly principal: string | undefined;
  /** On whose behalf the principal's token was made: members, who asked first. Empty where the principal itself called. */
  readonly delegation: readonly string[];
  readonly service: string;
  /** Full RPC name, `google.cloud.run.v2.Jobs.GetJob`. */
  readonly method: string;
  readonly checks: readonly AuditedCheck[];
  readonly status: StatusName | 'OK';
  /** Of the error; empty where there is none. */
  readonly message: string;
  /** Whether an organization policy refused it. */
  readonly isPolicyViolation: boolean;
  readonly latencyMs: number;
}

export interface DispatchDeps {
  /** @param host of the API that is called: a token that a key signed names it */
  authenticate(token: string, host: string): Authentication | Promise<Authentication>;
  /** Set by `--anonymous-as`: who a caller of this machine is without a token; containers always need one. */
  readonly anonymous?: { readonly principal: Principal; readonly maySetPolicies: boolean };
  readonly authorizer: Authorizer;
  readonly catalogue: RoleCatalogue;
  readonly look: Lookup;
  readonly clock: Clock;
  readonly log: Log;
  audit(entry: AuditEntry): void;
}

/** A call of an API that is served elsewhere, or nowhere. */
export interface ForeignCall extends Refuser {
  /** For the audit trail and the metrics: of a table, never a caller's own words. */
  readonly method: string;
  /** @param held the token's scopes; undefined: everything */
  isOpen(held: readonly string[] | undefined): boolean;
  /** Asks `call.authorize` for everything that the call needs, then answers. @returns the status that the caller was answered with */
  answer(call: Call): Promise<StatusName | 'OK'>;
}
/** In whose name, and in whose words, a call is refused. */
type Refuser = Pick<AnyService, 'host' | 'denied'>;

export interface Dispatch {
  /**
   * @param read makes the request; asked only once the caller is known, so that nobody else makes us read and decode a body
   * @throws ApiError, never anything else
   */
  unary(service: AnyService, method: DescMethod, read: () => Message | Promise<Message>, transport: Transport): Promise<Message>;
  /**
   * The same for a method that answers with a stream. Its audit entry is written when the stream begins.
   * @param read makes the request, the first where there are several @throws ApiError, never anything else
   */
  stream(service: AnyService, method: DescMethod, read: () => Message | Promise<Message>, transport: Transport): AsyncGenerator<Message>;
  /** The same for a call of an API that no service here has: whoever answers it gets a caller who is known. @throws ApiError, never anything else */
  foreign(called: ForeignCall, transport: Transport): Promise<void>;
  /** Audits what a door refused before it knew of a method: a foreign host or page, a method that does not exist. */
  refused(error: ApiError, transport: Omit<Transport, 'warn' | 'signal'>): void;
  /** For the few documents outside any RPC that need a caller (metrics). @throws UNAUTHENTICATED */
  authenticate(service: string, method: string, transport: Transport): Promise<Principal>;
}

export function createDispatch(deps: DispatchDeps): Dispatch {
  const scopes = createScopeRule();
  const identify = async (service: string, method: string, transport: Transport): Promise<Principal> => {
    const token = bearer(transport.authorization);
    if (token === undefined) {
      if (deps.anonymous !== undefined && transport.peer.isLocal && transport.authorization === undefined) return deps.anonymous.principal;
      throw unauthenticated(transport.authorization === undefined ? 'CREDENTIALS_MISSING' : 'ACCESS_TOKEN_TYPE_UNSUPPORTED', { service, method });
    }
    const found = await deps.authenticate(token, service);
    if ('refused' in found) throw unauthenticated(found.refused, { service, method });
    return found.principal;
  };

  /** Whatever happens in a call, there is one audit entry of it, and its errors have one shape. */
  const guard = async <T>(refuser: Refuser, name: string, transport: Transport, body: (attempt: Attempt) => Promise<T>): Promise<T> => {
    const started = performance.now();
    const time = deps.clock.now();
    const requestId = randomUUID();
    const checks: AuditedCheck[] = [];
    let principal: Principal | undefined;
    let status: StatusName | 'OK' = 'OK';
    let refusal: ApiError | undefined;
    try {
      return await body({
        identify: async () => (principal = await identify(refuser.host, name, transport)),
        call: () => createCall(deps, refuser, principal ?? NOBODY, transport, { requestId, name }, checks),
        answered: (given) => (status = given),
      });
    } catch (error) {
      const shaped = shape(error, deps.log, { requestId, method: name }, transport.signal);
      status = shaped.status;
      refusal = shaped;
      throw shaped;
    } finally {
      deps.audit({
        time,
        requestId,
        door: transport.door,
        peer: transport.peer.address,
        userAgent: transport.userAgent,
        principal: principal?.member,
        delegation: principal?.delegation ?? [],
        service: refuser.host,
        method: name,
        checks,
        status,
        message: refusal?.message ?? '',
        isPolicyViolation: refusal !== undefined && isPolicyViolation(refusal),
        latencyMs: performance.now() - started,
      });
    }
  };

  /** Who are you, and may you. */
  const admit = async (
    service: AnyService,
    method: DescMethod,
    read: () => Message | Promise<Message>,
    attempt: Attempt,
  ): Promise<{ definition: AnyMethod; request: Message; call: Call }> => {
    const name = nameOf(service, method);
    const definition = service.methods[method.localName];
    if (definition === undefined) throw new Error(`${name} has no definition`);
    if (definition === 'unimplemented') {
      await attempt.identify();
      throw unimplemented(name);
    }
    if (!('public' in definition.access)) {
      const principal = await attempt.identify();
      if (!scopes.isOpen(service, method, principal.scopes)) throw insufficientScopes({ service: service.host, method: name });
    }
    const request = await read();
    const call = attempt.call();
    if ('checks' in definition.access) for (const check of await definition.access.checks(request, deps.look)) await call.authorize(check);
    return { definition, request, call };
  };

  return {
    authenticate: identify,
    refused(error, transport) {
      deps.audit({
        time: deps.clock.now(),
        requestId: randomUUID(),
        door: transport.door,
        peer: transport.peer.address,
        userAgent: transport.userAgent,
        principal: undefined,
        delegation: [],
        service: '',
        method: NO_METHOD,
        checks: [],
        status: error.status,
        message: error.message,
        isPolicyViolation: false,
        latencyMs: 0,
      });
    },
    unary: (service, method, read, transport) =>
      guard(service, nameOf(service, method), transport, async (attempt) => {
        const { definition, request, call } = await admit(service, method, read, attempt);
        if (definition.handle === undefined) throw new Error(`${nameOf(service, method)} answers with a stream`);
        return create(method.output, await definition.handle(request, call));
      }),
    async *stream(service, method, read, transport) {
      const name = nameOf(service, method);
      const answers = await guard(service, name, transport, async (attempt) => {
        const { definition, request, call } = await admit(service, method, read, attempt);
        if (definition.handleStream === undefined) throw new Error(`${name} does not answer with a stream`);
        return definition.handleStream(request, call);
      });
      try {
        for await (const answer of answers) yield create(method.output, answer);
      } catch (error) {
        throw shape(error, deps.log, { requestId: randomUUID(), method: name }, transport.signal);
      }
    },
    async foreign(called, transport) {
      await guard(called, called.method, transport, async (attempt) => {
        const principal = await attempt.identify();
        if (!called.isOpen(principal.scopes)) throw insufficientScopes({ service: called.host, method: called.method });
        attempt.answered(await called.answer(attempt.call()));
      });
    },
  };
}

/** One call on its way: what is learned of it goes into its audit entry. */
interface Attempt {
  /** @throws UNAUTHENTICATED */
  identify(): Promise<Principal>;
  call(): Call;
  /** Where the answer was made elsewhere. */
  answered(status: StatusName | 'OK'): void;
}

/** In the audit trail and the metrics, where a request reached no method. */
export const NO_METHOD = 'none';
const NOBODY: Principal = { member: 'allUsers', email: '', kind: 'user', anonymous: true };

function nameOf(service: AnyService, method: DescMethod): string {
  return `${service.desc.typeName}.${method.name}`;
}

function createCall(deps: DispatchDeps, service: Refuser, principal: Principal, transport: Transport, about: { requestId: string; name: string }, audited: AuditedCheck[]): Call {
  const decide = async (member: string, check: Check, record: boolean): Promise<Decision> => {
    const { permission, resource, modifiedGrantsByRole } = check;
    // What else names the caller (a federated identity's attributes) names nobody else.
    const sets = member === principal.member ? principal.sets : undefined;
    const asked = await deps.authorizer.decide({ member, sets, permission, resource, modifiedGrantsByRole, time: deps.clock.now() });
    const decision = isTooMuchFor(principal, member, check, deps.anonymous) ? { ...asked, allowed: false } : asked;
    if (record) audited.push({ permission, resource, granted: decision.allowed, ...(member === principal.member ? {} : { member }) });
    const { unevaluatedRoles: notEvaluated, failedConditions } = decision;
    if (!decision.allowed && notEvaluated.length > 0)
      deps.log.warn({ ...about, member, permission, resource, notEvaluated }, 'a binding that might have granted this was not evaluated');
    if (failedConditions !== undefined)
      deps.log.warn({ ...about, member, permission, resource, failedConditions }, 'a condition could not be evaluated, so its binding granted nothing');
    return decision;
  };
  return {
    principal,
    signal: transport.signal,
    log: deps.log,
    now: () => deps.clock.now(),
    warn: (message) => transport.warn(message),
    async authorize(check, message, member = principal.member) {
      const { allowed } = await decide(member, check, true);
      if (allowed) return;
      if (isTooMuchFor(principal, member, check, deps.anonymous))
        throw forbidden(
          'A caller without a token cannot set IAM policies, roles or groups, nor get credentials of service accounts here. Call with a token, or repeat --anonymous-as at the start of the server.',
        );
      throw denial(service, member, check, deps.catalogue, message);
    },
    isAllowed: async (check) => (await decide(principal.member, check, false)).allowed,
    isMemberAllowed: async (member, check) => (await decide(member, check, false)).allowed,
  };
}

/**
 * What changes who may do what: policies, and what they mean (roles, groups, tags, constraints, identities from outside); and what makes a name that
 * nobody proved one that is proven: credentials of accounts.
 */
const HANDS_OUT = new RegExp(
  [
    String.raw`\.setIamPolicy$`,
    String.raw`^(?:iam\.roles|iam\.denypolicies|actas\.groups)\.(?:create|update|delete|undelete)$`,
    String.raw`^orgpolicy\.(?:policy|policies|customConstraints)\.(?:set|create|update|delete)$`,
    String.raw`^iam\.googleapis\.com/workloadIdentityPool(?:s|Providers)\.(?:create|update|undelete)$`,
    String.raw`^resourcemanager\.tagValueBindings\.`,
    String.raw`^iam\.serviceAccountKeys\.create$`,
    String.raw`^iam\.serviceAccounts\.(?:getAccessToken|getOpenIdToken|signBlob|signJwt|implicitDelegation)$`,
  ].join('|'),
);

/** A name that nobody proved must not hand out roles or credentials, whatever it was granted since the start, unless that was asked for twice. */
function isTooMuchFor(principal: Principal, member: string, check: Check, anonymous: DispatchDeps['anonymous']): boolean {
  return principal.anonymous === true && member === principal.member && HANDS_OUT.test(check.permission) && anonymous?.maySetPolicies !== true;
}

/** The words depend on the request, the permission and the catalogue alone: the same to the byte whether the resource exists or not. */
function denial(service: Refuser, member: string, check: Check, catalogue: RoleCatalogue, message: string | undefined): ApiError {
  const bare = check.resource.replace(/^\/\/[^/]+\//, '');
  const asked = check.asked ?? bare;
  // The remedy is for the name as it was asked for, not for what a look-up found.
  const named = `${check.resource.slice(0, check.resource.length - bare.length)}${asked.replace(/^\/\/[^/]+\//, '')}`;
  return permissionDenied(
    message ?? service.denied({ ...check, asked }),
    { permission: check.permission, resource: asked, domain: service.host },
    remedyFor({ member, permission: check.permission, resource: named }, catalogue),
  );
}

/** What is our own trouble; that we do not serve something, or that a caller's deadline was short, is not. */
const OURS: ReadonlySet<StatusName> = new Set(['UNKNOWN', 'INTERNAL', 'UNAVAILABLE', 'DATA_LOSS']);

/** A thrown value as the wire may see it. What is no ApiError is a bug: it gets an id here and its cause chain in the log. */
function shape(error: unknown, log: Log, about: { requestId: string; method: string }, signal: AbortSignal): ApiError {
  if (signal.aborted && (!isApiError(error) || error.status === 'CANCELLED')) return isApiError(signal.reason) ? signal.reason : cancelled('The caller went away.');
  if (isApiError(error)) {
    if (OURS.has(error.status)) log.warn({ ...about, err: error }, error.message);
    return error;
  }
  log.error({ ...about, err: error }, 'a handler failed');
  return internal(about.requestId);
}

function isPolicyViolation({ status, details }: ApiError): boolean {
  return (
    status === 'FAILED_PRECONDITION' &&
    details.some(
      (detail) =>
        (detail.type === 'google.rpc.ErrorInfo' && detail.value.reason === 'CUSTOM_ORG_POLICY_VIOLATION') ||
        (detail.type === 'google.rpc.PreconditionFailure' && detail.value.violations.some(({ type }) => type.startsWith('constraints/'))),
    )
  );
}

function bearer(header: string | undefined): string | undefined {
  return header === undefined ? undefined : /^bearer +([^\s]{1,16384})$/i.exec(header)?.[1];
}
