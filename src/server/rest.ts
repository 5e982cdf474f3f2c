/**
 * The REST door: finds the RPC for a verb, host and path from the `google.api.http` options of the protos, decodes JSON into its
 * request as Google does, and writes its answer or error as JSON.
 *
 * Must not know: what any RPC does. Everything it serves it learns from descriptors.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { create, createRegistry, type DescFile, type DescMethod, fromJson, getOption, hasOption, type JsonValue, type Message, type Registry, toJson } from '@bufbuild/protobuf';
import { ApiError, cancelled, internal, invalidRequest, isApiError, notFound, STATUS, toRpcStatus } from '../errors.ts';
import { http as httpOption } from '../gen/google/api/annotations_pb.js';
import type { HttpRule } from '../gen/google/api/http_pb.js';
import { StatusSchema } from '../gen/google/rpc/status_pb.js';
import type { AnyService, HttpBinding, Log } from '../services/service.ts';
import type { Dispatch, Transport } from './dispatch.ts';
import { compilePath, type PathMatcher } from './http-rule.ts';
import { checkJson } from './json-check.ts';
import { createJsonText, jsonBytes } from './json-text.ts';
import { applyFields, parseFields } from './partial-response.ts';
import type { PeerOf } from './peer.ts';
import { assignPath, type JsonObject, mergeQuery, type SystemParameters, systemParameters } from './query-params.ts';

/** Google's limit for JSON requests. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

interface Route {
  readonly verb: string;
  readonly path: PathMatcher;
  readonly body: string;
  readonly service: AnyService;
  readonly method: DescMethod;
}

export interface RestDoor {
  /** @param host which API is meant, or undefined where only the path can tell */
  handle(request: IncomingMessage, response: ServerResponse, target: { host: string | undefined; region: string | undefined; path: string; query: URLSearchParams }): Promise<void>;
  /** Hosts that some service answers for. */
  readonly hosts: ReadonlySet<string>;
}

export function createRestDoor(services: readonly AnyService[], dispatch: Dispatch, registry: Registry, peerOf: PeerOf, log: Log): RestDoor {
  const routes = services.flatMap(routesOf);
  // The most particular first: a plain `*` would take a `:verb`, or a literal such as `namespaced`, for a part of the name.
  routes.sort((a, b) => Number(/:\w+$/.test(b.path.template)) - Number(/:\w+$/.test(a.path.template)) || wildcards(a) - wildcards(b));
  const texts = createJsonText(registry);
  const byHost = Map.groupBy(routes, (route) => route.service.host);
  return {
    hosts: new Set(byHost.keys()),
    async handle(request, response, target) {
      const warnings: string[] = [];
      const abort = new AbortController();
      // Only a caller that goes away early: aborting costs more than the rest of a short answer.
      response.once('close', () => response.writableFinished || abort.abort());
      const transport: Transport = {
        door: 'rest',
        authorization: request.headers.authorization,
        peer: peerOf(request),
        userAgent: request.headers['user-agent'],
        signal: abort.signal,
        warn: (message) => warnings.push(message),
      };
      let parameters: SystemParameters = { prettyPrint: true, enumsAsNumbers: false, fields: undefined };
      let legacy = false;
      let isKnown = false;
      try {
        parameters = systemParameters(target.query);
        const mask = parameters.fields === undefined ? undefined : parseFields(parameters.fields);
        const { route, variables } = find(routes, byHost, request.method ?? '', target);
        legacy = route.service.legacyErrors;
        isKnown = true;
        const read = async (): Promise<Message> => {
          checkRegion(target.region, variables, route);
          return decode(route, variables, target.query, await readBody(request, response), registry);
        };
        const answer = await dispatch.unary(route.service, route.method, read, transport);
        const body =
          mask === undefined
            ? texts.bytes(route.method.output, answer, parameters)
            : jsonBytes(applyFields(mask, toJson(route.method.output, answer, { registry, enumAsInteger: parameters.enumsAsNumbers })), parameters.prettyPrint);
        send(response, 200, body, warnings);
      } catch (error) {
        const shaped = asApiError(error, log);
        if (!isKnown) dispatch.refused(shaped, transport);
        sendError(response, shaped, { prettyPrint: parameters.prettyPrint, legacy, warnings, registry });
      }
    },
  };
}

function routesOf(service: AnyService): Route[] {
  return service.desc.methods.flatMap((method) => {
    const own = service.http?.[method.localName];
    const bindings: readonly HttpBinding[] = own ?? (hasOption(method, httpOption) ? bindingsOf(getOption(method, httpOption)) : []);
    return bindings.map((binding) => ({
      verb: binding.verb,
      path: compilePath(binding.path),
      body: binding.body ?? '',
      service,
      method,
    }));
  });
}

function wildcards(route: Route): number {
  return route.path.template.split('*').length;
}

function bindingsOf(rule: HttpRule): HttpBinding[] {
  // No API of ours has one; the next that does will say so at start.
  if (rule.responseBody !== '') throw new Error('google.api.HttpRule.response_body is not served');
  const { pattern } = rule;
  const rest = rule.additionalBindings.flatMap(bindingsOf);
  if (pattern.case === undefined || pattern.case === 'custom') return rest;
  // The names of the oneof's cases are the verbs in lower case (google/api/http.proto).
  const verb = pattern.case.toUpperCase() as HttpBinding['verb'];
  return [{ verb, path: pattern.value, body: rule.body }, ...rest];
}

function find(
  all: readonly Route[],
  byHost: ReadonlyMap<string, readonly Route[]>,
  verb: string,
  target: { host: string | undefined; path: string },
): { route: Route; variables: ReadonlyMap<string, string> } {
  const candidates = target.host === undefined ? all : (byHost.get(target.host) ?? []);
  const found: { route: Route; variables: ReadonlyMap<string, string> }[] = [];
  const otherVerbs = new Set<string>();
  for (const route of candidates) {
    const variables = route.path.match(target.path);
    if (variables === undefined) continue;
    if (route.verb !== verb) otherVerbs.add(route.verb);
    else if (!found.some((f) => f.route.service.host === route.service.host)) found.push({ route, variables });
  }
  const [first, second] = found;
  if (first === undefined) {
    const where = target.host ?? 'this server';
    const hint = otherVerbs.size > 0 ? ` The path exists for ${[...otherVerbs].sort().join(', ')}.` : '';
    throw notFound(`Method not found: ${verb} ${target.path} is no method of ${where}.${hint}`);
  }
  if (second !== undefined)
    throw notFound(
      `Method not found: ${verb} ${target.path} could mean ${found.map((f) => f.route.service.host).join(' or ')}. Name the API in the Host header, or put it before the path: /${first.route.service.host}${target.path}`,
    );
  return first;
}

/** A regional host serves its own region alone. Google answers 501 without saying why. Deviation: we say why. */
function checkRegion(region: string | undefined, variables: ReadonlyMap<string, string>, route: Route): void {
  if (region === undefined) return;
  for (const value of variables.values()) {
    const location = /(?:^|\/)locations\/([^/]+)/.exec(value)?.[1];
    if (location !== undefined && location !== region && location !== '-')
      throw new ApiError(
        'UNIMPLEMENTED',
        `Operation is not implemented, or supported, or enabled. The host is that of ${region}, but the path names location ${location}: use https://${location}-${route.service.host} or https://${route.service.host}.`,
      );
  }
}

function decode(route: Route, variables: ReadonlyMap<string, string>, query: URLSearchParams, text: string, registry: Registry): Message {
  const desc = route.method.input;
  let json: JsonObject = {};
  let skip: string | undefined;
  if (text !== '' && route.body !== '') {
    const body = parse(text);
    if (route.body === '*') {
      if (typeof body !== 'object' || body === null || Array.isArray(body))
        throw invalidRequest('Invalid JSON payload received. The body must be an object.', [{ field: '', description: 'must be an object' }]);
      json = { ...body };
    } else {
      skip = route.body;
      json = { [desc.fields.find((f) => f.name === route.body)?.jsonName ?? route.body]: body };
    }
  } else if (text.trim() !== '' && text.trim() !== '{}')
    throw invalidRequest(`Invalid JSON payload received. ${route.verb} ${route.path.template} takes no body.`, [{ field: '', description: 'no body is expected' }]);
  for (const [field, value] of variables) assignPath(desc, json, field, value);
  mergeQuery(desc, query, json, skip);
  checkJson(desc, json);
  spellMasks(desc, json);
  try {
    // Checked above to be JSON of the message's form.
    return fromJson(desc, json as JsonValue, { registry });
  } catch (error) {
    throw invalidRequest(`Invalid JSON payload received. ${error instanceof Error ? error.message : ''}`.trim());
  }
}

/** Field masks come in both spellings (recorded), `display_name` and `displayName`; protobuf-es reads the second alone. */
function spellMasks(desc: DescMethod['input'], json: JsonObject): void {
  for (const field of desc.fields) {
    if (field.fieldKind !== 'message' || field.message.typeName !== 'google.protobuf.FieldMask') continue;
    for (const key of [field.jsonName, field.name]) {
      const mask = json[key];
      if (typeof mask === 'string') json[key] = mask.replace(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
    }
  }
}

function parse(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    throw invalidRequest(`Invalid JSON payload received. ${error instanceof Error ? error.message : 'It cannot be parsed.'}`);
  }
}

async function readBody(request: IncomingMessage, response: ServerResponse): Promise<string> {
  if (request.method === 'GET') {
    request.resume();
    return '';
  }
  checkContent(request);
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of request) {
      // Node's HTTP server hands out Buffers unless an encoding was set.
      const buffer = chunk as Buffer;
      size += buffer.length;
      if (size > MAX_BODY_BYTES) {
        // The rest is not read: the connection ends with the answer.
        if (request.httpVersionMajor === 1) response.setHeader('Connection', 'close');
        throw invalidRequest(`Request payload size exceeds the limit: ${MAX_BODY_BYTES} bytes.`);
      }
      chunks.push(buffer);
    }
  } catch (error) {
    if (!isApiError(error) && request.destroyed) throw cancelled('The caller went away.');
    throw error;
  }
  if (size > 0 && request.headers['content-type'] === undefined) throw notJson('missing');
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.concat(chunks));
  } catch {
    throw invalidRequest('Invalid JSON payload received. The body is not UTF-8.');
  }
}

/** Before a byte of the body is read. A form of a foreign page can leave the body empty, but not the content type. */
function checkContent({ headers }: IncomingMessage): void {
  const type = headers['content-type'];
  if (type !== undefined && !/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) throw notJson(JSON.stringify(type));
  const encoding = headers['content-encoding'] ?? 'identity';
  if (encoding !== 'identity')
    throw invalidRequest(`content-encoding: must be identity, but is ${JSON.stringify(encoding)}.`, [{ field: 'content-encoding', description: 'must be identity' }]);
}

function notJson(what: string): ApiError {
  return invalidRequest(`content-type: must be application/json, but is ${what}.`, [{ field: 'content-type', description: 'must be application/json' }]);
}

function send(response: ServerResponse, status: number, body: Buffer, warnings: readonly string[]): void {
  if (response.destroyed || response.headersSent) return;
  response.statusCode = status;
  response.setHeader('Content-Type', 'application/json; charset=UTF-8');
  response.setHeader('Content-Length', body.length);
  response.setHeader('Cache-Control', 'private');
  response.setHeader('X-Content-Type-Options', 'nosniff');
  response.setHeader('X-Frame-Options', 'SAMEORIGIN');
  if (warnings.length > 0)
    response.setHeader(
      'X-Actas-Warning',
      warnings.map((w) => encodeURIComponent(w)),
    );
  response.end(body);
}

/** What a door throws beside ApiError is a bug of that door: an id for the caller, the cause for the log. */
export function asApiError(error: unknown, log: Log): ApiError {
  if (isApiError(error)) return error;
  const requestId = randomUUID();
  log.error({ requestId, err: error }, 'a door failed');
  return internal(requestId);
}

/** The error envelope of Google's JSON APIs. */
export function sendError(response: ServerResponse, shaped: ApiError, options: { prettyPrint: boolean; legacy: boolean; warnings: readonly string[]; registry: Registry }): void {
  const { code, http, reason } = STATUS[shaped.status];
  const status = create(StatusSchema, { ...toRpcStatus(shaped), code });
  // A Status of ours is always an object in JSON.
  const json = toJson(StatusSchema, status, { registry: options.registry }) as { details?: unknown };
  if (shaped.status === 'UNAUTHENTICATED')
    response.setHeader('WWW-Authenticate', `Bearer realm="https://accounts.google.com/"${shaped.message.startsWith('Request is missing') ? '' : ', error="invalid_token"'}`);
  const errors = options.legacy ? { errors: [{ message: shaped.message, domain: 'global', reason }] } : {};
  const details = json.details === undefined ? {} : { details: json.details };
  send(response, http, jsonBytes({ error: { code: http, message: shaped.message, ...errors, status: shaped.status, ...details } }, options.prettyPrint), options.warnings);
}

/** All message types that may stand in an Any of ours, for JSON. */
export function registryOf(services: readonly AnyService[], extra: readonly DescFile[]): Registry {
  return createRegistry(...services.map((service) => service.desc.file), ...extra);
}
