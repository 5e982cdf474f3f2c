/**
 * WriteLogEntries: what callers hand in becomes entries of the store. All of a request is judged before any of it is kept; with `partial_success` each
 * entry by itself. Limits: https://docs.cloud.google.com/logging/quotas
 *
 * Deviation: any resource type is taken; entries may be written to logs of any name but those of the audit trail.
 */
import { create, type MessageShape, toBinary, toJson } from '@bufbuild/protobuf';
import { AnySchema } from '@bufbuild/protobuf/wkt';
import { ApiError, invalidArgument, isApiError } from '../../errors.ts';
import { HttpRequestSchema } from '../../gen/google/logging/type/http_request_pb.js';
import { type LogEntry, LogEntryOperationSchema, LogEntrySchema, LogEntrySourceLocationSchema } from '../../gen/google/logging/v2/log_entry_pb.js';
import { type WriteLogEntriesPartialErrors, WriteLogEntriesPartialErrorsSchema, type WriteLogEntriesRequest } from '../../gen/google/logging/v2/logging_pb.js';
import { toRpcStatus } from '../../rpc-status.ts';
import type { NewLogEntry } from '../../store/log-entry.ts';
import type { LogExtras } from '../../store/log-line.ts';
import type { LogStore } from '../../store/log-store.ts';
import type { Micros } from '../../timestamp.ts';
import type { Call } from '../service.ts';
import { PAYLOAD_TYPES } from './entries.ts';
import { checkOf, existing, type FindProject, isAuditLog, type LogName, logNameOf } from './log-parents.ts';

const MAX_ENTRIES = 1000;
const MAX_ENTRY_BYTES = 256 * 1024;
const MAX_LABELS = 64;
const MAX_LABEL_KEY = 512;
const MAX_LABEL_VALUE = 64 * 1024;
const MAX_INSERT_ID = 512;
const SEVERITIES: ReadonlySet<number> = new Set([0, 100, 200, 300, 400, 500, 600, 700, 800]);
const DAY_NS = 86_400_000_000_000n;
const TYPE_URL = 'type.googleapis.com/';

/** The log of an entry. @throws INVALID_ARGUMENT */
function logOf(request: WriteLogEntriesRequest, index: number): LogName {
  const own = request.entries[index]?.logName ?? '';
  if (own === '' && request.logName === '')
    throw invalidArgument(`entries[${index}].log_name`, 'neither the entry nor the request names a log, for example projects/my-project/logs/my-log.');
  return own === '' ? logNameOf(request.logName, 'log_name') : logNameOf(own, `entries[${index}].log_name`);
}

/** Every log that is written to, each parent once. With `partial_success` the caller is asked about each entry later. @throws INVALID_ARGUMENT */
export function writeChecks(request: WriteLogEntriesRequest) {
  if (request.partialSuccess) return [];
  const parents = new Map(request.entries.map((_, index) => logOf(request, index)).map((log) => [`${log.kind}/${log.id}`, log]));
  return [...parents.values()].map((log) => checkOf(log, 'logging.logEntries.create'));
}

export interface WriteDeps {
  readonly logs: Pick<LogStore, 'write'>;
  readonly findProject: FindProject;
}

/** @throws INVALID_ARGUMENT, PERMISSION_DENIED, NOT_FOUND; with `partial_success` for one of the entries that were left out, the others being kept */
export async function writeEntries(request: WriteLogEntriesRequest, call: Call, { logs, findProject }: WriteDeps): Promise<void> {
  if (request.entries.length === 0) throw invalidArgument('entries', 'at least one entry is needed.');
  if (request.entries.length > MAX_ENTRIES) throw invalidArgument('entries', `at most ${MAX_ENTRIES} entries are taken at once.`);
  const failures = new Map<number, ApiError>();
  const parents = new Map<string, Promise<string>>();
  const parentOf = (log: LogName): Promise<string> => {
    const key = `${log.kind}/${log.id}`;
    const known = parents.get(key);
    if (known !== undefined) return known;
    const asked = (async () => {
      if (request.partialSuccess) await call.authorize(checkOf(log, 'logging.logEntries.create'));
      return existing(log, findProject);
    })();
    parents.set(key, asked);
    return asked;
  };
  const now = call.now();
  const kept: NewLogEntry[] = [];
  let untimely = 0;
  for (const [index, entry] of request.entries.entries()) {
    try {
      const log = logOf(request, index);
      const made = toEntry(entry, index, { request, log, parent: await parentOf(log), now });
      if (isTimely(made.timeNs, now)) kept.push(made);
      else untimely++;
    } catch (error) {
      if (!isApiError(error) || !request.partialSuccess) throw error;
      failures.set(index, error);
    }
  }
  if (untimely > 0) call.warn(`${untimely} entries were not kept: their timestamps are more than 30 days in the past or 24 hours in the future.`);
  if (!request.dryRun && kept.length > 0) await logs.write(kept, call.signal);
  if (failures.size > 0) throw partialFailure(failures, failures.size === request.entries.length);
}

function partialFailure(failures: ReadonlyMap<number, ApiError>, isAll: boolean): ApiError {
  const [first] = [...failures.values()];
  if (first === undefined) throw new Error('no entry failed');
  // "Failed requests for which no entries are written will not include per-entry errors."
  if (isAll) return first;
  const errors: MessageShape<typeof WriteLogEntriesPartialErrorsSchema> = create(WriteLogEntriesPartialErrorsSchema, {
    logEntryErrors: Object.fromEntries([...failures].map(([index, error]) => [index, toRpcStatus(error)])),
  } satisfies Partial<WriteLogEntriesPartialErrors>);
  const packed = { typeUrl: `${TYPE_URL}${errors.$typeName}`, value: toBinary(WriteLogEntriesPartialErrorsSchema, errors) };
  return new ApiError(first.status, first.message, [...first.details, { type: 'google.protobuf.Any', value: packed }], first);
}

/** Others are not ingested, and that is no error: google/logging/v2/log_entry.proto. */
function isTimely(timeNs: bigint, now: Micros): boolean {
  const received = BigInt(now) * 1000n;
  return timeNs <= received + DAY_NS && timeNs >= received - 30n * DAY_NS;
}

interface Context {
  readonly request: WriteLogEntriesRequest;
  readonly log: LogName;
  readonly parent: string;
  readonly now: Micros;
}

function toEntry(entry: LogEntry, index: number, { request, log, parent, now }: Context): NewLogEntry {
  const field = (name: string): string => `entries[${index}].${name}`;
  if (isAuditLog(log.logId)) throw invalidArgument(field('log_name'), `${log.logId} is an audit log: the control plane alone writes to it.`);
  const bytes = toBinary(LogEntrySchema, entry).length;
  if (bytes > MAX_ENTRY_BYTES) throw invalidArgument(`entries[${index}]`, `Log entry with size ${kilobytes(bytes)} exceeds maximum size of ${kilobytes(MAX_ENTRY_BYTES)}.`);
  const resource = entry.resource ?? request.resource;
  if (resource === undefined || resource.type === '') throw invalidArgument(field('resource.type'), 'a monitored resource is needed, for example {"type": "global"}.');
  if (!SEVERITIES.has(entry.severity)) throw invalidArgument(field('severity'), `${entry.severity} is no google.logging.type.LogSeverity.`);
  if (entry.insertId.length > MAX_INSERT_ID) throw invalidArgument(field('insert_id'), `must have at most ${MAX_INSERT_ID} characters.`);
  const labels = { ...request.labels, ...entry.labels };
  checkLabels(labels, field('labels'));
  checkLabels(resource.labels, field('resource.labels'));
  const project: Readonly<Record<string, string>> = parent.startsWith('projects/') ? { project_id: parent.slice('projects/'.length) } : {};
  const extras = extrasOf(entry);
  return {
    head: { parent, logId: log.logId, resourceType: resource.type, resourceLabels: { ...project, ...resource.labels }, labels, severity: entry.severity },
    // Entries without a time of their own keep their order.
    timeNs: entry.timestamp === undefined ? BigInt(now) * 1000n + BigInt(index % 1000) : entry.timestamp.seconds * 1_000_000_000n + BigInt(entry.timestamp.nanos),
    ...(entry.insertId === '' ? {} : { insertId: entry.insertId }),
    ...payloadOf(entry, field),
    ...(Object.keys(extras).length === 0 ? {} : { extras }),
    ...(entry.split === undefined ? {} : { split: { uid: entry.split.uid, index: entry.split.index, total: entry.split.totalSplits } }),
  };
}

function kilobytes(bytes: number): string {
  return `${(bytes / 1024).toFixed(1)}K`;
}

function checkLabels(labels: Readonly<Record<string, string>>, field: string): void {
  const all = Object.entries(labels);
  if (all.length > MAX_LABELS) throw invalidArgument(field, `at most ${MAX_LABELS} labels are taken, but there are ${all.length}.`);
  for (const [key, value] of all) {
    if (key.length > MAX_LABEL_KEY) throw invalidArgument(field, `the key ${JSON.stringify(key.slice(0, 50))}... is longer than ${MAX_LABEL_KEY} characters.`);
    if (Buffer.byteLength(value) > MAX_LABEL_VALUE) throw invalidArgument(field, `the value of ${JSON.stringify(key)} is longer than ${kilobytes(MAX_LABEL_VALUE)}.`);
  }
}

function payloadOf({ payload }: LogEntry, field: (name: string) => string): Pick<NewLogEntry, 'kind' | 'payload'> {
  switch (payload.case) {
    case 'textPayload':
      return { kind: 'text', payload: payload.value };
    case 'jsonPayload':
      return { kind: 'json', payload: JSON.stringify(payload.value) };
    case 'protoPayload':
      try {
        return { kind: 'proto', payload: JSON.stringify(toJson(AnySchema, payload.value, { registry: PAYLOAD_TYPES })) };
      } catch (error) {
        throw invalidArgument(
          field('proto_payload'),
          `${JSON.stringify(payload.value.typeUrl)} is not taken: ${error instanceof Error ? error.message : 'it cannot be read'}. Supported is ${TYPE_URL}google.cloud.audit.AuditLog.`,
        );
      }
    case undefined:
      // Google takes an entry without a payload as an empty text.
      return { kind: 'text', payload: '' };
  }
}

function extrasOf({ trace, spanId, traceSampled, httpRequest, operation, sourceLocation }: LogEntry): LogExtras {
  return {
    ...(trace === '' ? {} : { trace }),
    ...(spanId === '' ? {} : { spanId }),
    ...(traceSampled ? { traceSampled } : {}),
    ...(httpRequest === undefined ? {} : { httpRequest: toJson(HttpRequestSchema, httpRequest) }),
    ...(operation === undefined ? {} : { operation: toJson(LogEntryOperationSchema, operation) }),
    ...(sourceLocation === undefined ? {} : { sourceLocation: toJson(LogEntrySourceLocationSchema, sourceLocation) }),
  };
}
