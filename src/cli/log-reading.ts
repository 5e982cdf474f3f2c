/** Reads log entries through the Logging API, by pages or as they arrive. */
import { type Api, LOGGING } from './api.ts';

export interface LogEntry {
  readonly logName?: string;
  readonly timestamp?: string;
  readonly severity?: string;
  readonly insertId?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly resource?: { readonly type?: string; readonly labels?: Readonly<Record<string, string>> };
  readonly textPayload?: string;
  readonly jsonPayload?: Readonly<Record<string, unknown>>;
  readonly protoPayload?: Readonly<Record<string, unknown>>;
}

/** Which entries: of these projects, folders or organizations, by a filter in the Logging query language. */
export interface LogRange {
  readonly resourceNames: readonly string[];
  readonly filter: string;
}

interface Page {
  readonly entries?: readonly LogEntry[];
  readonly nextPageToken?: string;
}

const PAGE_SIZE = 1000;

/** At most `limit`, in the order asked for. */
export async function readLogEntries(api: Api, range: LogRange, options: { readonly order: 'asc' | 'desc'; readonly limit?: number }): Promise<LogEntry[]> {
  const entries: LogEntry[] = [];
  const limit = options.limit ?? Number.POSITIVE_INFINITY;
  let pageToken: string | undefined;
  do {
    const body = {
      ...range,
      orderBy: `timestamp ${options.order}`,
      pageSize: Math.min(PAGE_SIZE, limit - entries.length),
      ...(pageToken === undefined ? {} : { pageToken }),
    };
    const page: Page = await api.send<Page>('POST', LOGGING, 'entries:list', body);
    entries.push(...(page.entries ?? []));
    pageToken = page.nextPageToken || undefined;
  } while (pageToken !== undefined && entries.length < limit);
  return entries.slice(0, limit);
}

interface Tail {
  readonly entries?: readonly LogEntry[];
  readonly suppressionInfo?: readonly { readonly reason?: string; readonly suppressedCount?: number }[];
}

export interface FollowOptions {
  readonly signal: AbortSignal;
  /** How long the server holds entries to put them in order. */
  readonly windowSeconds: number;
  /** Entries from this time on that are there already come first, RFC 3339. */
  readonly since?: string;
  /** Told of what the server left out. */
  suppressed(count: number): void;
}

/** Entries as they arrive, each once, in groups; begins anew where the server ends a session for its age. */
export async function* followLogEntries(api: Api, range: LogRange, options: FollowOptions): AsyncGenerator<readonly LogEntry[]> {
  const { signal } = options;
  const body = { ...range, bufferWindow: `${options.windowSeconds}s` };
  let { since } = options;
  const seen = new Set<string>();
  while (!signal.aborted) {
    let isOpen = false;
    try {
      for await (const answer of api.stream<Tail>(LOGGING, 'entries:tail', body, signal)) {
        // From the first answer on nothing is missed, so what was there before is asked for now.
        if (!isOpen && since !== undefined) yield await missed(api, range, since, seen);
        isOpen = true;
        for (const { suppressedCount = 0 } of answer.suppressionInfo ?? []) options.suppressed(suppressedCount);
        const fresh = (answer.entries ?? []).filter((entry) => !seen.has(keyOf(entry)));
        since = fresh.at(-1)?.timestamp ?? since;
        if (fresh.length > 0) yield fresh;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof Error) || !error.message.includes('maximum duration of a tail session')) throw error;
    }
  }
}

async function missed(api: Api, range: LogRange, since: string, seen: Set<string>): Promise<readonly LogEntry[]> {
  const filter = `timestamp>=${JSON.stringify(since)}${range.filter === '' ? '' : ` AND (${range.filter})`}`;
  const before = (await readLogEntries(api, { ...range, filter }, { order: 'asc' })).filter((entry) => !seen.has(keyOf(entry)));
  for (const entry of before) seen.add(keyOf(entry));
  return before;
}

function keyOf(entry: LogEntry): string {
  return `${entry.timestamp ?? ''} ${entry.insertId ?? ''} ${entry.logName ?? ''}`;
}
