/** The first schema. A migration that has shipped is never edited: add the next one. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `CREATE TABLE organizations (number TEXT PRIMARY KEY, display_name TEXT NOT NULL, create_time INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE folders (number TEXT PRIMARY KEY, parent TEXT NOT NULL, display_name TEXT NOT NULL, create_time INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE projects (project_id TEXT PRIMARY KEY, number TEXT NOT NULL UNIQUE, parent TEXT, display_name TEXT NOT NULL, labels TEXT NOT NULL, state TEXT NOT NULL,
     create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, delete_time INTEGER, etag TEXT NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE service_accounts (unique_id TEXT PRIMARY KEY, email TEXT NOT NULL, project_id TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL,
     oauth2_client_id TEXT NOT NULL, disabled INTEGER NOT NULL, etag TEXT NOT NULL, create_time INTEGER NOT NULL, delete_time INTEGER) STRICT, WITHOUT ROWID`,
  `CREATE UNIQUE INDEX service_accounts_email ON service_accounts (email) WHERE delete_time IS NULL`,
  `CREATE INDEX service_accounts_project ON service_accounts (project_id, email)`,
  `CREATE TABLE policies (resource TEXT PRIMARY KEY, body BLOB NOT NULL, etag TEXT NOT NULL, update_time INTEGER NOT NULL) STRICT`,
  `CREATE TABLE access_tokens (hash BLOB PRIMARY KEY, member TEXT NOT NULL, scopes TEXT NOT NULL, issue_time INTEGER NOT NULL, expire_time INTEGER) STRICT, WITHOUT ROWID`,
  `CREATE INDEX access_tokens_expire ON access_tokens (expire_time) WHERE expire_time IS NOT NULL`,
  `CREATE TABLE signing_keys (kid TEXT PRIMARY KEY, private_jwk TEXT NOT NULL, create_time INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE TABLE jobs (uid TEXT PRIMARY KEY, name TEXT NOT NULL, project_id TEXT NOT NULL, location TEXT NOT NULL, body BLOB NOT NULL, generation INTEGER NOT NULL,
     reconciling INTEGER NOT NULL, operation TEXT, create_time INTEGER NOT NULL, delete_time INTEGER) STRICT`,
  `CREATE UNIQUE INDEX jobs_name ON jobs (name) WHERE delete_time IS NULL`,
  `CREATE INDEX jobs_list ON jobs (project_id, location, create_time DESC, uid)`,
  `CREATE INDEX jobs_reconciling ON jobs (reconciling) WHERE reconciling = 1`,
  `CREATE TABLE executions (uid TEXT PRIMARY KEY, name TEXT NOT NULL, job TEXT NOT NULL, job_uid TEXT NOT NULL, project_id TEXT NOT NULL, location TEXT NOT NULL, body BLOB NOT NULL,
     phase TEXT NOT NULL, cancel_requested INTEGER NOT NULL, delete_requested INTEGER NOT NULL, operation TEXT NOT NULL, lease_owner TEXT, lease_expire_time INTEGER,
     create_time INTEGER NOT NULL, completion_time INTEGER, delete_time INTEGER) STRICT`,
  `CREATE UNIQUE INDEX executions_name ON executions (name) WHERE delete_time IS NULL`,
  `CREATE INDEX executions_job ON executions (job, create_time DESC, uid)`,
  `CREATE INDEX executions_list ON executions (project_id, location, create_time DESC, uid)`,
  `CREATE INDEX executions_open ON executions (create_time) WHERE phase <> 'done'`,
  `CREATE TABLE tasks (uid TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, execution_uid TEXT NOT NULL, task_index INTEGER NOT NULL, body BLOB NOT NULL, state TEXT NOT NULL,
     attempt INTEGER NOT NULL, attempt_create_time INTEGER, attempt_start_time INTEGER, stop_cause TEXT) STRICT`,
  `CREATE UNIQUE INDEX tasks_execution ON tasks (execution_uid, task_index)`,
  `CREATE INDEX tasks_state ON tasks (execution_uid, state, task_index)`,
  `CREATE TABLE task_leases (address TEXT PRIMARY KEY, attempt_id TEXT NOT NULL, task_uid TEXT NOT NULL, execution_uid TEXT NOT NULL, service_account TEXT NOT NULL,
     project_id TEXT NOT NULL, location TEXT NOT NULL, create_time INTEGER NOT NULL, release_time INTEGER) STRICT, WITHOUT ROWID`,
  `CREATE INDEX task_leases_attempt ON task_leases (attempt_id)`,
  `CREATE TABLE operations (name TEXT PRIMARY KEY, project_id TEXT NOT NULL, location TEXT NOT NULL, body BLOB NOT NULL, done INTEGER NOT NULL, target TEXT NOT NULL,
     create_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX operations_list ON operations (project_id, location, create_time DESC, name)`,
  `CREATE INDEX operations_open ON operations (target) WHERE done = 0`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
