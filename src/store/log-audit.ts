/** Audit entries, in the logs database: who asked for what, and whether it was granted. Synchronous, on the worker thread alone. */
import type { DatabaseSync, SQLInputValue } from 'node:sqlite';
import type { AuditEntry, AuditQuery } from './log-entry.ts';

export interface AuditRecord extends AuditEntry {
  /** Rises with arrival. */
  readonly id: number;
}

export interface AuditTable {
  insert(entries: readonly AuditEntry[]): void;
  /** Newest first. */
  list(query: AuditQuery): AuditRecord[];
}

/** @param raw a database with the schema of `log-database.ts` */
export function createAuditTable(raw: DatabaseSync): AuditTable {
  const insert = raw.prepare(
    'INSERT INTO audit (time, principal, method, resource, permissions, status, latency_ms, request_id, door, delegation) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
  );
  return {
    insert(entries) {
      for (const entry of entries)
        insert.run(
          entry.timeMicros,
          entry.principal,
          entry.method,
          entry.resource,
          JSON.stringify(entry.permissions),
          entry.status,
          entry.latencyMs,
          entry.requestId,
          entry.door,
          JSON.stringify(entry.delegation),
        );
    },
    list(query) {
      const clauses = ['1'];
      const values: SQLInputValue[] = [];
      const add = (clause: string, ...more: SQLInputValue[]): void => {
        clauses.push(clause);
        values.push(...more);
      };
      if (query.principal !== undefined) add('principal = ?', query.principal);
      if (query.method !== undefined) add('method = ?', query.method);
      if (query.resourcePrefix !== undefined) add('substr(resource, 1, length(?)) = ?', query.resourcePrefix, query.resourcePrefix);
      if (query.fromMicros !== undefined) add('time >= ?', query.fromMicros);
      if (query.toMicros !== undefined) add('time < ?', query.toMicros);
      if (query.beforeId !== undefined) add('id < ?', query.beforeId);
      if (query.permission !== undefined || query.granted !== undefined) {
        const each = [...(query.permission === undefined ? [] : [`value ->> 'permission' = ?`]), ...(query.granted === undefined ? [] : [`value ->> 'granted' = ?`])];
        add(
          `EXISTS (SELECT 1 FROM json_each(permissions) WHERE ${each.join(' AND ')})`,
          ...(query.permission === undefined ? [] : [query.permission]),
          ...(query.granted === undefined ? [] : [query.granted ? 1 : 0]),
        );
      }
      const rows = raw.prepare(`SELECT * FROM audit WHERE ${clauses.join(' AND ')} ORDER BY id DESC LIMIT ?`).all(...values, Math.max(1, Math.min(1000, query.pageSize)));
      return rows.map((row) => ({
        id: Number(row['id']),
        timeMicros: Number(row['time']),
        principal: String(row['principal']),
        method: String(row['method']),
        resource: String(row['resource']),
        // Written by `insert` alone.
        permissions: JSON.parse(String(row['permissions'])) as AuditEntry['permissions'],
        status: String(row['status']),
        latencyMs: Number(row['latency_ms']),
        requestId: String(row['request_id']),
        door: String(row['door']),
        delegation: JSON.parse(String(row['delegation'])) as AuditEntry['delegation'],
      }));
    },
  };
}
