/** Secrets of Secret Manager and their versions. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `CREATE TABLE secrets (name TEXT PRIMARY KEY, uid TEXT NOT NULL, project_id TEXT NOT NULL, location TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL,
     create_time INTEGER NOT NULL, expire_time INTEGER, last_version INTEGER NOT NULL) STRICT`,
  `CREATE INDEX secrets_place ON secrets (project_id, location, name)`,
  `CREATE INDEX secrets_expiry ON secrets (expire_time) WHERE expire_time IS NOT NULL`,
  `CREATE TABLE secret_versions (secret TEXT NOT NULL, version INTEGER NOT NULL, body BLOB NOT NULL, destroy_at INTEGER, key_id TEXT, wrapped_key BLOB, ciphertext BLOB,
     PRIMARY KEY (secret, version)) STRICT`,
  `CREATE INDEX secret_versions_destruction ON secret_versions (destroy_at) WHERE destroy_at IS NOT NULL`,
  `CREATE INDEX secret_versions_key ON secret_versions (key_id) WHERE key_id IS NOT NULL`,
  // Served here from now on, and so enabled in the projects that are there already.
  `INSERT OR IGNORE INTO enabled_services SELECT project_id, 'secretmanager.googleapis.com', create_time FROM projects`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
