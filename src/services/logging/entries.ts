/** A kept line in the shape that Cloud Logging gives entries of Cloud Run jobs (recorded: resource, labels, log names, insertId). */
import { create, type JsonObject, type MessageInitShape } from '@bufbuild/protobuf';
import { type Duration, DurationSchema, TimestampSchema } from '@bufbuild/protobuf/wkt';
import type { HttpRequestSchema } from '../../gen/google/logging/type/http_request_pb.js';
import type { LogSeverity } from '../../gen/google/logging/type/log_severity_pb.js';
import type { LogEntryOperationSchema, LogEntrySchema, LogEntrySourceLocationSchema } from '../../gen/google/logging/v2/log_entry_pb.js';
import type { LogEntry } from '../../store/log-entry.ts';
import { toTimestamp } from '../../timestamp.ts';
import { LOG_IDS } from './filter.ts';

type Fields = Readonly<Record<string, unknown>>;

export function toLogEntry(entry: LogEntry): MessageInitShape<typeof LogEntrySchema> {
  const { source, extras } = entry;
  return {
    logName: `projects/${source.projectId}/logs/${LOG_IDS[entry.stream]}`,
    resource: { type: 'cloud_run_job', labels: { job_name: source.job, location: source.location, project_id: source.projectId } },
    // `parseLine` made sure that it is an object.
    payload: entry.kind === 'text' ? { case: 'textPayload', value: entry.payload } : { case: 'jsonPayload', value: JSON.parse(entry.payload) as JsonObject },
    timestamp: create(TimestampSchema, { seconds: entry.timeNs / 1_000_000_000n, nanos: Number(entry.timeNs % 1_000_000_000n) }),
    receiveTimestamp: toTimestamp(entry.receiveTime),
    // Both are google.logging.type.LogSeverity.
    severity: entry.severity as LogSeverity,
    insertId: entry.insertId,
    labels: {
      ...source.labels,
      ...extras.labels,
      instanceId: source.attemptId,
      'run.googleapis.com/execution_name': source.execution,
      'run.googleapis.com/task_attempt': String(source.attempt),
      'run.googleapis.com/task_index': String(source.taskIndex),
      ...(entry.container === '' ? {} : { container_name: entry.container }),
    },
    trace: extras.trace ?? '',
    spanId: extras.spanId ?? '',
    traceSampled: extras.traceSampled ?? false,
    ...(isFields(extras.httpRequest) ? { httpRequest: toHttpRequest(extras.httpRequest) } : {}),
    ...(isFields(extras.sourceLocation) ? { sourceLocation: toSourceLocation(extras.sourceLocation) } : {}),
    ...(isFields(extras.operation) ? { operation: toOperation(extras.operation) } : {}),
    ...(entry.split === undefined ? {} : { split: entry.split }),
  };
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
