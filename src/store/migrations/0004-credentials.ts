/** Keys of service accounts, workload identity pools and their providers, and what organization policies say. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `CREATE TABLE service_account_keys (id TEXT PRIMARY KEY, account_unique_id TEXT NOT NULL, public_pem TEXT NOT NULL, origin TEXT NOT NULL, type TEXT NOT NULL, algorithm TEXT NOT NULL,
     disabled INTEGER NOT NULL, disable_reason TEXT NOT NULL, create_time INTEGER NOT NULL, valid_after_time INTEGER NOT NULL, valid_before_time INTEGER,
     private_jwk TEXT) STRICT`,
  `CREATE INDEX service_account_keys_account ON service_account_keys (account_unique_id, create_time)`,
  `ALTER TABLE access_tokens ADD COLUMN delegation TEXT NOT NULL DEFAULT '[]'`,
  `ALTER TABLE access_tokens ADD COLUMN grant_hash BLOB`,
  `CREATE INDEX access_tokens_grant ON access_tokens (grant_hash) WHERE grant_hash IS NOT NULL`,
  `CREATE TABLE workload_identity_pools (name TEXT PRIMARY KEY, parent TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL, create_time INTEGER NOT NULL, delete_time INTEGER) STRICT`,
  `CREATE INDEX workload_identity_pools_parent ON workload_identity_pools (parent, name)`,
  `CREATE TABLE workload_identity_providers (name TEXT PRIMARY KEY, parent TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL, create_time INTEGER NOT NULL, delete_time INTEGER) STRICT`,
  `CREATE INDEX workload_identity_providers_parent ON workload_identity_providers (parent, name)`,
  `CREATE TABLE org_policies (resource TEXT NOT NULL, constraint_id TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL, update_time INTEGER NOT NULL, PRIMARY KEY (resource, constraint_id)) STRICT`,
  `CREATE TABLE custom_constraints (name TEXT PRIMARY KEY, parent TEXT NOT NULL, body BLOB NOT NULL, update_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX custom_constraints_parent ON custom_constraints (parent, name)`,
  `CREATE TABLE enabled_services (project_id TEXT NOT NULL, service TEXT NOT NULL, enable_time INTEGER NOT NULL, PRIMARY KEY (project_id, service)) STRICT, WITHOUT ROWID`,
  // What is served here is enabled in every project from the start (enabled-services.ts); these began before that was kept.
  `INSERT INTO enabled_services SELECT project_id, value, create_time FROM projects, json_each('["cloudresourcemanager.googleapis.com", "iam.googleapis.com",
     "iamcredentials.googleapis.com", "logging.googleapis.com", "orgpolicy.googleapis.com", "policytroubleshooter.googleapis.com", "run.googleapis.com",
     "serviceusage.googleapis.com", "sts.googleapis.com"]')`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
