/** The shapes that cross between the log store, its worker and its readers. */
import type { Micros } from '../timestamp.ts';
import type { LogExtras } from './log-line.ts';

/** Which attempt lines came from. */
export interface LogSource {
  readonly projectId: string;
  readonly location: string;
  readonly job: string;
  readonly jobUid?: string;
  readonly execution: string;
  readonly executionUid: string;
  readonly task: string;
  readonly taskIndex: number;
  /** 0-based. */
  readonly attempt: number;
  readonly attemptId: string;
  readonly labels: Readonly<Record<string, string>>;
}

export interface LogLine {
  /** `''`: the platform's own line about the attempt. */
  readonly container: string;
  readonly stream: 'stdout' | 'stderr';
  readonly timeNs: bigint;
  readonly text: string;
  /** More of the same line follows in the next one of this stream. */
  readonly partial?: boolean;
}

/** By container: the engine's time of the last line kept, and how many lines of exactly that time are kept. */
export type LogCursor = Readonly<Record<string, { readonly timeNs: bigint; readonly count: number }>>;

/** What all entries of a stream have in common; the streams are few, so that a filter on these looks at them and not at entries. */
export interface LogHead {
  /** `projects/ID`, `folders/N`, `organizations/N`. */
  readonly parent: string;
  /** Not encoded: `run.googleapis.com/stdout`. */
  readonly logId: string;
  readonly resourceType: string;
  readonly resourceLabels: Readonly<Record<string, string>>;
  readonly labels: Readonly<Record<string, string>>;
  /** google.logging.type.LogSeverity */
  readonly severity: number;
}

/** An entry as it is handed in. */
export interface NewLogEntry {
  readonly head: LogHead;
  readonly timeNs: bigint;
  /** Absent: one is made. Entries of one log with the same id and time are one entry. */
  readonly insertId?: string;
  /** `proto`: a message with its `@type`, in JSON. */
  readonly kind: 'text' | 'json' | 'proto';
  /** The text, or a JSON object. */
  readonly payload: string;
  readonly extras?: LogExtras;
  /** A line that came in pieces: which piece, from 0, and an id that they share. `total`: of how many, where that is known. */
  readonly split?: LogSplit;
}
export interface LogSplit {
  readonly uid: string;
  readonly index: number;
  readonly total?: number;
}

export interface LogEntry extends NewLogEntry {
  /** Rises with arrival. */
  readonly id: number;
  readonly receiveTime: Micros;
  readonly insertId: string;
  readonly extras: LogExtras;
}

/** What a filter says of an entry. Text is compared without regard to case, as Cloud Logging does, but by regular expressions. */
export type LogCondition =
  | { readonly op: 'and' | 'or'; readonly all: readonly LogCondition[] }
  | { readonly op: 'not'; readonly of: LogCondition }
  | { readonly op: 'const'; readonly value: boolean }
  | { readonly op: 'compare'; readonly field: LogField; readonly comparison: Comparison; readonly value: string }
  /** Every word and phrase somewhere in the field, or in the entry. */
  | { readonly op: 'search'; readonly field: LogField; readonly query: string }
  /** @see https://docs.cloud.google.com/logging/docs/view/logging-query-language#ip-in-net */
  | { readonly op: 'net'; readonly field: LogField; readonly cidr: string }
  /** A part of all entries, the same one each time, by the field's value. */
  | { readonly op: 'sample'; readonly field: LogField; readonly fraction: number };
export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>=' | ':' | '=~' | '!~';

/** `any`: the values of all fields. `severity` and times compare as numbers, and are named in words and RFC 3339 elsewhere. */
export type LogField =
  | {
      readonly name: 'parent' | 'logName' | 'logId' | 'resourceType' | 'insertId' | 'trace' | 'spanId' | 'traceSampled' | 'severity' | 'timeNs' | 'receiveTimeNs' | 'text' | 'any';
    }
  | { readonly name: 'resourceLabel' | 'label'; readonly key: string }
  /** With the path below them; empty: the whole. */
  | { readonly name: 'json' | 'proto' | 'resourceLabels' | 'labels' | 'httpRequest' | 'operation' | 'sourceLocation' | 'split'; readonly path: readonly string[] }
  | { readonly name: 'cast'; readonly of: LogField; readonly type: CastType }
  /** The first group of the expression, or where it has none all of the match. */
  | { readonly name: 'extract'; readonly of: LogField; readonly pattern: string };
/** `SECONDS`: of a duration as JSON writes it, `1.5s`. */
export type CastType = 'STRING' | 'INT64' | 'FLOAT64' | 'BOOL' | 'SECONDS';

export interface LogQuery {
  readonly parents: readonly string[];
  readonly where?: LogCondition;
  /** Logs that the caller may not see, as their parent and id. */
  readonly hidden?: readonly string[];
  readonly order: 'asc' | 'desc';
  readonly pageSize: number;
}

/** The place of an entry in its order. */
export interface LogPosition {
  readonly timeNs: bigint;
  readonly id: number;
}

/** What came after an entry, in the order of arrival. */
export interface TailQuery extends Pick<LogQuery, 'parents' | 'where' | 'hidden'> {
  /** The last entry that was looked at; undefined: the newest there is. */
  readonly afterId: number | undefined;
  /** What arrived later is for the next time. */
  readonly untilMicros: Micros;
  /** Further entries are counted alone. */
  readonly most: number;
}
export interface TailPart {
  /** In the order of their times. */
  readonly entries: readonly LogEntry[];
  readonly suppressed: number;
  readonly lastId: number;
  /** Whether the time was up before all was looked at. */
  readonly more: boolean;
  /** Whether there are entries that came too late for this time. */
  readonly later: boolean;
}

export type AuditLogId = 'activity' | 'data_access' | 'policy' | 'system_event' | 'calls';
export interface AuditEntry {
  /** Whose log it belongs to, `projects/ID`. */
  readonly parent: string;
  readonly log: AuditLogId;
  readonly timeMicros: Micros;
  /** Policy member, or empty where nobody was proven. */
  readonly principal: string;
  /** Members on whose behalf the principal's token was made, who asked first. */
  readonly delegation: readonly string[];
  /** The API's host. */
  readonly service: string;
  readonly method: string;
  readonly resource: string;
  readonly permissions: readonly AuditedPermission[];
  /** Name of the google.rpc.Code, and its number; the sentence is empty where it succeeded. */
  readonly status: string;
  readonly code: number;
  readonly message: string;
  readonly latencyMs: number;
  readonly requestId: string;
  /** `rest`, `grpc`. */
  readonly door: string;
  /** Address and program of the caller. */
  readonly peer: string;
  readonly userAgent: string;
  /** What else is to stand in the message's `metadata`. */
  readonly metadata?: Readonly<Record<string, string | boolean>>;
}
export interface AuditedPermission {
  readonly permission: string;
  readonly resource: string;
  readonly granted: boolean;
  /** About whom, where not about the caller. */
  readonly member?: string;
}

export interface LogRetention {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}
