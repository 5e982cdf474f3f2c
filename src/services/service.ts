/**
 * The contract between doors and services. A service declares, per RPC, who may call and what happens; the doors decode,
 * `server/dispatch` authenticates, authorises, audits and shapes errors. A service never sees HTTP, gRPC or a token.
 * Adding an API is one folder under services/ and one entry in compose/services.ts: see docs/add-an-api.md.
 */
import type {
  DescFile,
  DescMessage,
  DescMethod,
  DescMethodBiDiStreaming,
  DescMethodServerStreaming,
  DescMethodUnary,
  DescService,
  MessageInitShape,
  MessageShape,
} from '@bufbuild/protobuf';
import type { Principal } from '../identity/principal.ts';
import type { Micros } from '../timestamp.ts';

/** One permission on one resource; a denial of any refuses the call. */
export interface Check {
  readonly permission: string;
  /** Full resource name to decide on, `//run.googleapis.com/projects/p/locations/l/jobs/j`; the project may be an id or a number. */
  readonly resource: string;
  /** The name as the caller asked for it, for the denial's words; without it, `resource` less its `//host/`. */
  readonly asked?: string;
  /** Where a policy is to be set: the roles that this would grant or revoke, for conditions on `iam.googleapis.com/modifiedGrantsByRole`. */
  readonly modifiedGrantsByRole?: readonly string[];
}

/** A check with the name that a denial shows. */
export interface AskedCheck extends Check {
  readonly asked: string;
}

/** Who may call: everybody, any authenticated caller, or whoever passes all checks. `why` is read by the coverage test's report. */
export type Access<I extends DescMessage> =
  | { readonly public: true; readonly why: string }
  | { readonly authenticated: true; readonly why: string }
  | { readonly checks: (request: MessageShape<I>, look: Lookup) => readonly Check[] | Promise<readonly Check[]> };

/** What a check may look up because the request alone does not say it. Never throws NotFound: authorisation comes before existence. */
export interface Lookup {
  /** @param project id, number or `-`; @param key e-mail or unique id. Full resource name of the account where it is known, deleted ones by their unique id included. */
  serviceAccount(project: string, key: string): Promise<string | undefined>;
}

export interface Log {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** The one context of a call. */
export interface Call {
  readonly principal: Principal;
  /**
   * Extra checks beside the effect, `iam.serviceAccounts.actAs` above all.
   * @param member about whom, where not about the caller: a link of a delegation chain @throws PERMISSION_DENIED with the remedy, in the service's wording unless `message` gives another
   */
  authorize(check: Check, message?: string, member?: string): Promise<void>;
  /** The same question without an error, for testIamPermissions and for lists that show only what the caller may see. */
  isAllowed(check: Check): Promise<boolean>;
  /** The same question about somebody else (the service agent). @param member policy member */
  isMemberAllowed(member: string, check: Check): Promise<boolean>;
  /** Something that the caller should know and that is no error (a role kept but not evaluated): sent as a response header, shown by the CLI. */
  warn(message: string): void;
  /** Aborted when the caller hangs up or its deadline passes; for handlers that wait. */
  readonly signal: AbortSignal;
  readonly log: Log;
  now(): Micros;
}

export interface Unary<I extends DescMessage, O extends DescMessage> {
  readonly access: Access<I>;
  handle(request: MessageShape<I>, call: Call): Promise<MessageInitShape<O>>;
}
/** Of a stream of requests the first is the request; what comes after it is not read. */
export interface ServerStream<I extends DescMessage, O extends DescMessage> {
  readonly access: Access<I>;
  /** Ends when the caller's signal is aborted, at the latest. */
  handleStream(request: MessageShape<I>, call: Call): AsyncIterable<MessageInitShape<O>>;
}

export type MethodFor<M extends DescMethod> =
  M extends DescMethodUnary<infer I, infer O>
    ? Unary<I, O>
    : M extends DescMethodServerStreaming<infer I, infer O>
      ? ServerStream<I, O>
      : M extends DescMethodBiDiStreaming<infer I, infer O>
        ? ServerStream<I, O>
        : never;

/** One entry per RPC in the proto; a method we do not serve says so by name. A forgotten RPC, or one without `access`, does not compile. */
export type Methods<S extends DescService> = { readonly [K in keyof S['method']]: MethodFor<S['method'][K]> | 'unimplemented' };

export interface Service<S extends DescService> {
  readonly desc: S;
  /** The API's host, `run.googleapis.com`. Regional hosts (`us-central1-run.googleapis.com`) lead here as well. */
  readonly host: string;
  readonly methods: Methods<S>;
  /** The words of a denial in this API. `check.asked` is always set. */
  denied(check: AskedCheck): string;
  /** Whether the JSON error envelope carries the legacy list `errors[]` (recorded for IAM and Resource Manager v1, not for Cloud Run). */
  readonly legacyErrors: boolean;
  /** How REST speaks here: `oauth` takes forms beside JSON and answers errors as `{error, error_description}` (RFC 6749 section 5.2). Google's JSON envelope where absent. */
  readonly dialect?: 'oauth';
  /** Scopes of a token, any of which opens this API; where absent those of the proto (google.api.oauth_scopes), else cloud-platform and, for reading, cloud-platform.read-only. */
  readonly scopes?: readonly string[];
  /** Files whose messages may stand in an Any of this API, beside those of its proto. */
  readonly anyOf?: readonly DescFile[];
}

/** A service with its types forgotten, as the doors handle it. */
export interface AnyService extends Omit<Service<DescService>, 'methods'> {
  readonly methods: { readonly [method: string]: AnyMethod | 'unimplemented' };
}
export interface AnyMethod {
  readonly access: Access<DescMessage>;
  handle?(request: MessageShape<DescMessage>, call: Call): Promise<MessageInitShape<DescMessage>>;
  handleStream?(request: MessageShape<DescMessage>, call: Call): AsyncIterable<MessageInitShape<DescMessage>>;
}

/** Checks a service against its proto at compile time, and forgets the types for the doors. */
export function defineService<S extends DescService>(service: Service<S>): AnyService {
  // Every method was checked against its own descriptor by the parameter's type; the wider type only forgets.
  return service;
}

/** A service of a proto that we serve no method of: each answers UNIMPLEMENTED by its own name. */
export function unimplementedService(desc: DescService, host: string): AnyService {
  return {
    desc,
    host,
    legacyErrors: false,
    denied: (check) => `Permission '${check.permission}' denied.`,
    methods: Object.fromEntries(desc.methods.map((method) => [method.localName, 'unimplemented' as const])),
  };
}

/**
 * An API before it is loaded: what finds the request that is for it. Its services, and the descriptors that they bring, are loaded by the
 * first request that wants one, so that a start takes no longer for every API that is served.
 */
export interface Api {
  /** `run.googleapis.com`. */
  readonly host: string;
  readonly services: readonly ServiceOutline[];
  /** The services themselves, loaded once. A failure is of who asked; the next one tries again. */
  load(): Promise<readonly AnyService[]>;
}

/** A service by its names, without a descriptor. */
export interface ServiceOutline {
  /** `google.cloud.run.v2.Jobs`. */
  readonly typeName: string;
  /** RPC (`GetJob`) -> its bindings, each `VERB PATH` or `VERB PATH BODY` in the syntax of google.api.HttpRule; BODY is `*` or the name of a field. */
  readonly methods: { readonly [rpc: string]: readonly string[] };
  /** Tells which API a request belongs to where several share one gRPC service (google.longrunning.Operations): the operation's or parent's name. */
  owns?(name: string): boolean;
}

/** google.longrunning.Operations as one API has it. Its proto leaves the paths to each API. */
export interface OperationsOutline extends Pick<Required<ServiceOutline>, 'owns'> {
  readonly methods: { readonly [rpc in 'GetOperation' | 'ListOperations' | 'DeleteOperation' | 'WaitOperation' | 'CancelOperation']?: readonly string[] };
}
