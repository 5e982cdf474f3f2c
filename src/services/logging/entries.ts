/** A kept entry in the shape of Cloud Logging. */
import { create, createRegistry, fromJson, type JsonObject, type JsonValue, type MessageInitShape } from '@bufbuild/protobuf';
import { type Any, AnySchema, type Duration, DurationSchema, file_google_protobuf_any, file_google_protobuf_struct, TimestampSchema } from '@bufbuild/protobuf/wkt';
import { file_google_cloud_audit_audit_log } from '../../gen/google/cloud/audit/audit_log_pb.js';
import type { HttpRequestSchema } from '../../gen/google/logging/type/http_request_pb.js';
import type { LogSeverity } from '../../gen/google/logging/type/log_severity_pb.js';
import type { LogEntryOperationSchema, LogEntrySchema, LogEntrySourceLocationSchema } from '../../gen/google/logging/v2/log_entry_pb.js';
import type { LogEntry } from '../../store/log-entry.ts';
import { toTimestamp } from '../../timestamp.ts';

type Fields = Readonly<Record<string, unknown>>;

/** Files of the messages that may be a protoPayload, or stand in one. */
export const PAYLOAD_FILES = [file_google_cloud_audit_audit_log, file_google_protobuf_struct, file_google_protobuf_any];
export const PAYLOAD_TYPES = createRegistry(...PAYLOAD_FILES);

export function toLogEntry(entry: LogEntry): MessageInitShape<typeof LogEntrySchema> {
  const { head, extras, split } = entry;
  return {
    logName: `${head.parent}/logs/${encodeURIComponent(head.logId)}`,
    resource: { type: head.resourceType, labels: { ...head.resourceLabels } },
    payload: toPayload(entry),
    timestamp: create(TimestampSchema, { seconds: floorDiv(entry.timeNs), nanos: Number(entry.timeNs - floorDiv(entry.timeNs) * 1_000_000_000n) }),
    receiveTimestamp: toTimestamp(entry.receiveTime),
    // Both are google.logging.type.LogSeverity.
    severity: head.severity as LogSeverity,
    insertId: entry.insertId,
    labels: { ...head.labels },
    trace: extras.trace ?? '',
    spanId: extras.spanId ?? '',
    traceSampled: extras.traceSampled ?? false,
    ...(isFields(extras.httpRequest) ? { httpRequest: toHttpRequest(extras.httpRequest) } : {}),
    ...(isFields(extras.sourceLocation) ? { sourceLocation: toSourceLocation(extras.sourceLocation) } : {}),
    ...(isFields(extras.operation) ? { operation: toOperation(extras.operation) } : {}),
    ...(split === undefined ? {} : { split: { uid: split.uid, index: split.index, totalSplits: split.total ?? 0 } }),
  };
}

function floorDiv(ns: bigint): bigint {
  const seconds = ns / 1_000_000_000n;
  return seconds * 1_000_000_000n > ns ? seconds - 1n : seconds;
}

function toPayload({ kind, payload }: LogEntry): MessageInitShape<typeof LogEntrySchema>['payload'] {
  if (kind === 'text') return { case: 'textPayload', value: payload };
  // Whoever wrote it made sure that it is an object, and a message of ours where it is one.
  if (kind === 'json') return { case: 'jsonPayload', value: JSON.parse(payload) as JsonObject };
  return { case: 'protoPayload', value: toAny(JSON.parse(payload) as JsonValue) };
}

function toAny(json: JsonValue): Any {
  return fromJson(AnySchema, json, { registry: PAYLOAD_TYPES, ignoreUnknownFields: true });
}

// A container wrote these objects: what is not of the right type is left out.
function toHttpRequest(from: Fields): MessageInitShape<typeof HttpRequestSchema> {
  const latency = toDuration(from['latency']);
  return {
    requestMethod: text(from['requestMethod']),
    requestUrl: text(from['requestUrl']),
    requestSize: whole(from['requestSize']),
    status: int32(from['status']),
    responseSize: whole(from['responseSize']),
    userAgent: text(from['userAgent']),
    remoteIp: text(from['remoteIp']),
    serverIp: text(from['serverIp']),
    referer: text(from['referer']),
    protocol: text(from['protocol']),
    cacheHit: from['cacheHit'] === true,
    cacheLookup: from['cacheLookup'] === true,
    cacheValidatedWithOriginServer: from['cacheValidatedWithOriginServer'] === true,
    cacheFillBytes: whole(from['cacheFillBytes']),
    ...(latency === undefined ? {} : { latency }),
  };
}
function toSourceLocation(from: Fields): MessageInitShape<typeof LogEntrySourceLocationSchema> {
  return { file: text(from['file']), line: whole(from['line']), function: text(from['function']) };
}
function toOperation(from: Fields): MessageInitShape<typeof LogEntryOperationSchema> {
  return { id: text(from['id']), producer: text(from['producer']), first: from['first'] === true, last: from['last'] === true };
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null;
}
function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
function int32(value: unknown): number {
  const number = Number(value);
  return Number.isInteger(number) && Math.abs(number) < 2 ** 31 ? number : 0;
}
function whole(value: unknown): bigint {
  const number = typeof value === 'string' || typeof value === 'number' ? Number(value) : 0;
  return Number.isSafeInteger(number) ? BigInt(number) : 0n;
}
function toDuration(value: unknown): Duration | undefined {
  const match = typeof value === 'string' ? /^(\d{1,9})(?:\.(\d{1,9}))?s$/.exec(value) : null;
  return match === null ? undefined : create(DurationSchema, { seconds: BigInt(match[1] ?? 0), nanos: Number((match[2] ?? '').padEnd(9, '0')) });
}
