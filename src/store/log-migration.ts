/** Takes over what earlier versions of the program kept: lines by their attempt, and the audit trail in a table of its own. Once, at the first start of this one. */
import type { DatabaseSync } from 'node:sqlite';
import { sourceHead } from './log-append.ts';
import type { LogDatabase } from './log-database.ts';
import type { AuditedPermission, LogSource, LogSplit } from './log-entry.ts';
import type { LogExtras } from './log-line.ts';

/** @param open makes the tables of today, and the database on them @returns what `open` made */
export function migrateLogs(raw: DatabaseSync, version: number, home: string, open: () => LogDatabase): LogDatabase {
  raw.exec('BEGIN IMMEDIATE');
  try {
    raw.exec(`ALTER TABLE entries RENAME TO old_entries; ALTER TABLE audit RENAME TO old_audit; ALTER TABLE sources RENAME TO old_sources;
      DROP INDEX entries_project; DROP INDEX entries_job; DROP INDEX entries_execution; DROP INDEX audit_principal; UPDATE cursors SET splits = json_object('splits', json(splits)) WHERE splits IS NOT NULL`);
    const database = open();
    raw.exec('INSERT INTO sources (id, attempt_id, update_time) SELECT id, attempt_id, update_time FROM old_sources');
    moveLines(raw, database);
    moveAudit(raw, database, version, home);
    database.settle();
    raw.exec('DROP TABLE old_entries; DROP TABLE old_audit; DROP TABLE old_sources; COMMIT');
    return database;
  } catch (error) {
    if (raw.isTransaction) raw.exec('ROLLBACK');
    raw.close();
    throw error;
  }
}

function moveLines(raw: DatabaseSync, database: LogDatabase): void {
  const sources = new Map(
    raw
      .prepare('SELECT id, body FROM old_sources')
      .all()
      .map((row) => [Number(row['id']), String(row['body'])]),
  );
  const rows = raw.prepare('SELECT * FROM old_entries ORDER BY id');
  rows.setReadBigInts(true);
  for (const row of rows.iterate()) {
    // All JSON here is what the earlier version wrote itself.
    const source = JSON.parse(sources.get(Number(row['source'])) ?? 'null') as LogSource | null;
    if (source === null) continue;
    const { labels, ...extras } = (typeof row['extras'] === 'string' ? JSON.parse(row['extras']) : {}) as LogExtras & { labels?: Readonly<Record<string, string>> };
    database.write(
      [
        {
          head: sourceHead(source, String(row['container']), row['stream'] === 'stdout' ? 'stdout' : 'stderr', Number(row['severity']), labels),
          timeNs: BigInt(String(row['time_ns'])),
          kind: row['kind'] === 'json' ? 'json' : 'text',
          payload: String(row['payload']),
          ...(typeof row['insert_id'] === 'string' ? { insertId: row['insert_id'] } : {}),
          ...(Object.keys(extras).length === 0 ? {} : { extras }),
          ...(typeof row['split'] === 'string' ? { split: JSON.parse(row['split']) as LogSplit } : {}),
        },
      ],
      Number(row['receive_time']),
    );
  }
}

function moveAudit(raw: DatabaseSync, database: LogDatabase, version: number, home: string): void {
  for (const row of raw.prepare('SELECT * FROM old_audit ORDER BY id').iterate()) {
    const resource = String(row['resource']);
    const project = /\/(projects\/[^/]+)/.exec(resource)?.[1];
    const status = String(row['status']);
    database.audit.insert(
      [
        {
          parent: project ?? home,
          // It was not asked then whether Google would have shown it.
          log: 'calls',
          timeMicros: Number(row['time']),
          principal: String(row['principal']),
          delegation: version < 2 ? [] : (JSON.parse(String(row['delegation'])) as string[]),
          service: /^\/\/([^/]+)/.exec(resource)?.[1] ?? '',
          method: String(row['method']),
          resource,
          permissions: JSON.parse(String(row['permissions'])) as AuditedPermission[],
          status,
          // Its number was not kept; the name is in the metadata.
          code: status === 'OK' ? 0 : 2,
          message: status === 'OK' ? '' : status,
          latencyMs: Number(row['latency_ms']),
          requestId: String(row['request_id']),
          door: String(row['door']),
          peer: '',
          userAgent: '',
        },
      ],
      Number(row['time']),
    );
  }
}
