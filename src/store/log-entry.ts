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

export interface LogEntry {
  /** Rises with arrival. */
  readonly id: number;
  readonly timeNs: bigint;
  readonly receiveTime: Micros;
  readonly source: LogSource;
  readonly container: string;
  readonly stream: LogStream;
  /** google.logging.type.LogSeverity */
  readonly severity: number;
  readonly insertId: string;
  readonly kind: 'text' | 'json';
  /** The text, or a JSON object. */
  readonly payload: string;
  readonly extras: LogExtras;
  /** Set for a line that came in pieces: which piece, from 0, and an id that they share. */
  readonly split?: { readonly uid: string; readonly index: number };
}
export type LogStream = 'stdout' | 'stderr' | 'system';

/** A condition on entries that is not cheap to index; evaluated row by row. Text is compared without regard to case, as Cloud Logging does. */
export type LogCondition =
  | { readonly op: 'and' | 'or'; readonly all: readonly LogCondition[] }
  | { readonly op: 'not'; readonly of: LogCondition }
  | { readonly op: 'const'; readonly value: boolean }
  | { readonly op: 'compare'; readonly field: LogField; readonly comparison: Comparison; readonly value: string };
export type Comparison = '=' | '!=' | '<' | '<=' | '>' | '>=' | ':';
/** `label`, `json`: with the key, or the path of keys. `any`: a word anywhere in the entry. `severity` and `timeNs` compare as numbers. */
export type LogField =
  | {
      readonly name:
        | 'project'
        | 'location'
        | 'job'
        | 'execution'
        | 'taskIndex'
        | 'attempt'
        | 'attemptId'
        | 'container'
        | 'stream'
        | 'text'
        | 'insertId'
        | 'trace'
        | 'spanId'
        | 'severity'
        | 'timeNs'
        | 'receiveTimeNs'
        | 'any';
    }
  | { readonly name: 'label'; readonly key: string }
  | { readonly name: 'json'; readonly path: readonly string[] };

export interface LogQuery {
  readonly projectIds: readonly string[];
  readonly location?: string;
  readonly job?: string;
  readonly execution?: string;
  readonly taskIndex?: number;
  readonly minSeverity?: number;
  readonly textContains?: string;
  /** Inclusive, nanoseconds. */
  readonly fromNs?: bigint;
  /** Exclusive, nanoseconds. */
  readonly toNs?: bigint;
  readonly where?: LogCondition;
  readonly order: 'asc' | 'desc';
  readonly pageSize: number;
}

/** The place of an entry in its order. */
export interface LogPosition {
  readonly timeNs: bigint;
  readonly id: number;
}

export interface AuditEntry {
  readonly timeMicros: Micros;
  /** Policy member, or empty where nobody was proven. */
  readonly principal: string;
  /** Members on whose behalf the principal's token was made, who asked first. */
  readonly delegation: readonly string[];
  readonly method: string;
  readonly resource: string;
  readonly permissions: readonly { readonly permission: string; readonly resource: string; readonly granted: boolean; readonly member?: string }[];
  /** Name of the google.rpc.Code. */
  readonly status: string;
  readonly latencyMs: number;
  readonly requestId: string;
  /** `rest`, `grpc`. */
  readonly door: string;
}

export interface AuditQuery {
  readonly principal?: string;
  readonly method?: string;
  readonly resourcePrefix?: string;
  readonly permission?: string;
  readonly granted?: boolean;
  readonly fromMicros?: Micros;
  readonly toMicros?: Micros;
  /** Newest first; entries older than this id. */
  readonly beforeId?: number;
  readonly pageSize: number;
}

export interface LogRetention {
  readonly maxAgeMs: number;
  readonly maxBytes: number;
}
