/** What housekeeping looks for (retention.ts) without walking through the tables. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `CREATE INDEX jobs_deleted ON jobs (delete_time) WHERE delete_time IS NOT NULL`,
  `CREATE INDEX executions_deleted ON executions (delete_time) WHERE delete_time IS NOT NULL`,
  `CREATE INDEX operations_done ON operations (create_time) WHERE done = 1`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
