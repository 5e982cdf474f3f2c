/**
 * The REST door: finds the RPC for a verb, host and path from the `google.api.http` options of the protos, decodes JSON into its
 * request as Google does, and writes its answer or error as JSON.
 *
 * Must not know: what any RPC does. Everything it serves it learns from descriptors.
 */
import { randomUUID } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { type DescMethod, fromJson, type JsonValue, type Message, type Registry, toJson } from '@bufbuild/protobuf';
import { ApiError, cancelled, internal, invalidRequest, isApiError, STATUS } from '../errors.ts';
import { StatusSchema } from '../gen/google/rpc/status_pb.js';
import { toRpcStatus } from '../rpc-status.ts';
import type { AnyService, Api, Log } from '../services/service.ts';
import type { ApiMethod, ApiMethods } from './api-methods.ts';
import type { Dispatch, Transport } from './dispatch.ts';
import { hangUpSignal } from './hang-up.ts';
import { checkJson } from './json-check.ts';
import { createJsonText, type JsonText, jsonBytes } from './json-text.ts';
import { isForm, oauthAnswer, oauthParameters } from './oauth.ts';
import { applyFields, parseFields } from './partial-response.ts';
import type { PeerOf } from './peer.ts';
import { assignPath, type JsonObject, mergeQuery, type SystemParameters, systemParameters } from './query-params.ts';
import { sendStream } from './rest-stream.ts';
import { createRoutes, type Match, type Route } from './routes.ts';

/** Google's limit for JSON requests. */
export const MAX_BODY_BYTES = 10 * 1024 * 1024;

export interface RestDoor {
  /** @param host which API is meant, or undefined where only the path can tell */
  handle(request: IncomingMessage, response: ServerResponse, target: { host: string | undefined; region: string | undefined; path: string; query: URLSearchParams }): Promise<void>;
}

/** A route whose API is loaded. */
interface Loaded extends ApiMethod {
  readonly texts: JsonText;
}

/** @param registry of the messages that an error may carry */
export function createRestDoor(apis: readonly Api[], methods: ApiMethods, dispatch: Dispatch, registry: Registry, peerOf: PeerOf, log: Log): RestDoor {
  const routes = createRoutes(apis);
  const texts = new WeakMap<Registry, JsonText>();
  const loaded = new WeakMap<Route, Loaded>();
  const load = async (route: Route): Promise<Loaded> => {
    const method = await methods.load(route.api, route.service.typeName, route.rpc);
    const text = texts.get(method.registry) ?? createJsonText(method.registry);
    texts.set(method.registry, text);
    const made = { ...method, texts: text };
    loaded.set(route, made);
    return made;
  };
  return {
    async handle(request, response, target) {
      const warnings: string[] = [];
      const transport: Transport = {
        door: 'rest',
        authorization: request.headers.authorization,
        peer: peerOf(request),
        userAgent: request.headers['user-agent'],
        signal: hangUpSignal(request, response),
        warn: (message) => warnings.push(message),
      };
      let parameters: SystemParameters = { prettyPrint: true, enumsAsNumbers: false, fields: undefined };
      let legacy = false;
      let dialect: AnyService['dialect'];
      let isKnown = false;
      let known: Registry | undefined;
      try {
        const match = routes.find(request.method ?? '', target);
        const { service, method, registry: types, texts: text } = loaded.get(match.route) ?? (await load(match.route));
        legacy = service.legacyErrors;
        known = types;
        dialect = service.dialect;
        // Refused in the words of the API that is meant, so not before it is known.
        parameters = systemParameters(target.query);
        const mask = parameters.fields === undefined ? undefined : parseFields(parameters.fields);
        isKnown = true;
        const read = async (): Promise<Message> => {
          checkRegion(target.region, match);
          const body = await readBody(request, response, dialect);
          if (dialect !== 'oauth') return decode(match, method, target.query, body, types);
          return decode(match, method, oauthParameters(method, target.query, request, body), isForm(request) ? '' : body, types);
        };
        if (method.methodKind !== 'unary')
          return await sendStream(response, dispatch.stream(service, method, read, transport), method.output, types, (error) => errorJson(asApiError(error, log), legacy, types));
        const answer = await dispatch.unary(service, method, read, transport);
        const body =
          mask === undefined
            ? text.bytes(method.output, answer, parameters)
            : jsonBytes(applyFields(mask, toJson(method.output, answer, { registry: types, enumAsInteger: parameters.enumsAsNumbers })), parameters.prettyPrint);
        send(response, 200, body, warnings);
      } catch (error) {
        const shaped = asApiError(error, log);
        if (!isKnown) dispatch.refused(shaped, transport);
        if (dialect === 'oauth') {
          const { http, json } = oauthAnswer(shaped);
          send(response, http, jsonBytes(json, parameters.prettyPrint), warnings);
        } else sendError(response, shaped, { prettyPrint: parameters.prettyPrint, legacy, warnings, registry: known ?? registry });
      }
    },
  };
}

/** A regional host serves its own region alone. Google answers 501 without saying why. Deviation: we say why. */
function checkRegion(region: string | undefined, { route, variables }: Match): void {
  if (region === undefined) return;
  for (const value of variables.values()) {
    const location = /(?:^|\/)locations\/([^/]+)/.exec(value)?.[1];
    if (location !== undefined && location !== region && location !== '-')
      throw new ApiError(
        'UNIMPLEMENTED',
        `Operation is not implemented, or supported, or enabled. The host is that of ${region}, but the path names location ${location}: use https://${location}-${route.api.host} or https://${route.api.host}.`,
      );
  }
}

function decode({ route, variables }: Match, method: DescMethod, query: URLSearchParams, text: string, registry: Registry): Message {
  const desc = method.input;
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

async function readBody(request: IncomingMessage, response: ServerResponse, dialect: AnyService['dialect']): Promise<string> {
  if (request.method === 'GET') {
    request.resume();
    return '';
  }
  checkContent(request, dialect);
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

/** Before a byte of the body is read. A form of a foreign page can leave the body empty, but not the content type; where OAuth wants forms, nothing in one but its own token proves anything. */
function checkContent(request: IncomingMessage, dialect: AnyService['dialect']): void {
  const { headers } = request;
  const type = headers['content-type'];
  if (type !== undefined && !(dialect === 'oauth' && isForm(request)) && !/^application\/(?:[\w.+-]+\+)?json\b/i.test(type)) throw notJson(JSON.stringify(type));
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
  if (shaped.message.startsWith('Request had insufficient')) response.setHeader('WWW-Authenticate', 'Bearer realm="https://accounts.google.com/", error="insufficient_scope"');
  if (shaped.status === 'UNAUTHENTICATED')
    response.setHeader('WWW-Authenticate', `Bearer realm="https://accounts.google.com/"${shaped.message.startsWith('Request is missing') ? '' : ', error="invalid_token"'}`);
  send(response, STATUS[shaped.status].http, jsonBytes(errorJson(shaped, options.legacy, options.registry), options.prettyPrint), options.warnings);
}

function errorJson(shaped: ApiError, legacy: boolean, registry: Registry): object {
  const { http, reason } = STATUS[shaped.status];
  // A Status of ours is always an object in JSON.
  const json = toJson(StatusSchema, toRpcStatus(shaped), { registry }) as { details?: unknown };
  const errors = legacy ? { errors: [{ message: shaped.message, domain: 'global', reason }] } : {};
  const details = json.details === undefined ? {} : { details: json.details };
  return { error: { code: http, message: shaped.message, ...errors, status: shaped.status, ...details } };
}
