/** Groups, roles that are not in the catalogue, deny policies, tags and liens. */
import { type Kysely, sql } from 'kysely';

const STATEMENTS = [
  `CREATE TABLE groups (email TEXT PRIMARY KEY, parent TEXT NOT NULL, uid TEXT NOT NULL, display_name TEXT NOT NULL, description TEXT NOT NULL, etag TEXT NOT NULL,
     create_time INTEGER NOT NULL, update_time INTEGER NOT NULL) STRICT, WITHOUT ROWID`,
  `CREATE INDEX groups_parent ON groups (parent, email)`,
  `CREATE TABLE group_members (group_email TEXT NOT NULL, member TEXT NOT NULL, PRIMARY KEY (group_email, member)) STRICT, WITHOUT ROWID`,
  `CREATE INDEX group_members_member ON group_members (member)`,
  `CREATE TABLE roles (name TEXT PRIMARY KEY, parent TEXT NOT NULL, title TEXT NOT NULL, description TEXT NOT NULL, stage TEXT NOT NULL, permissions TEXT NOT NULL, etag TEXT NOT NULL,
     create_time INTEGER NOT NULL, update_time INTEGER NOT NULL, delete_time INTEGER) STRICT`,
  `CREATE INDEX roles_parent ON roles (parent, name)`,
  `CREATE TABLE deny_policies (name TEXT PRIMARY KEY, resource TEXT NOT NULL, uid TEXT NOT NULL, body BLOB NOT NULL, etag TEXT NOT NULL, create_time INTEGER NOT NULL,
     update_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX deny_policies_resource ON deny_policies (resource, name)`,
  `CREATE TABLE tag_keys (number TEXT PRIMARY KEY, parent TEXT NOT NULL, short_name TEXT NOT NULL, namespaced_name TEXT NOT NULL UNIQUE, description TEXT NOT NULL, purpose TEXT NOT NULL,
     etag TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX tag_keys_parent ON tag_keys (parent, number)`,
  `CREATE TABLE tag_values (number TEXT PRIMARY KEY, key_number TEXT NOT NULL, short_name TEXT NOT NULL, namespaced_name TEXT NOT NULL UNIQUE, description TEXT NOT NULL,
     etag TEXT NOT NULL, create_time INTEGER NOT NULL, update_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX tag_values_key ON tag_values (key_number, number)`,
  `CREATE TABLE tag_bindings (resource TEXT NOT NULL, key_number TEXT NOT NULL, value_number TEXT NOT NULL, create_time INTEGER NOT NULL, PRIMARY KEY (resource, key_number)) STRICT, WITHOUT ROWID`,
  `CREATE INDEX tag_bindings_value ON tag_bindings (value_number)`,
  `CREATE TABLE tag_holds (name TEXT PRIMARY KEY, value_number TEXT NOT NULL, holder TEXT NOT NULL, origin TEXT NOT NULL, help_link TEXT NOT NULL, create_time INTEGER NOT NULL,
     UNIQUE (value_number, holder, origin)) STRICT`,
  `CREATE TABLE liens (name TEXT PRIMARY KEY, parent TEXT NOT NULL, restrictions TEXT NOT NULL, reason TEXT NOT NULL, origin TEXT NOT NULL, create_time INTEGER NOT NULL) STRICT`,
  `CREATE INDEX liens_parent ON liens (parent, name)`,
  `ALTER TABLE folders ADD COLUMN state TEXT NOT NULL DEFAULT 'ACTIVE'`,
  `ALTER TABLE folders ADD COLUMN update_time INTEGER NOT NULL DEFAULT 0`,
  `ALTER TABLE folders ADD COLUMN delete_time INTEGER`,
  `ALTER TABLE folders ADD COLUMN etag TEXT NOT NULL DEFAULT ''`,
  `UPDATE folders SET update_time = create_time, etag = 'W/"' || lower(hex(randomblob(8))) || '"'`,
  `CREATE INDEX folders_parent ON folders (parent, number)`,
  `CREATE INDEX projects_parent ON projects (parent, project_id)`,
  `ALTER TABLE organizations ADD COLUMN secure_by_default INTEGER NOT NULL DEFAULT 0`,
];

export async function up(db: Kysely<unknown>): Promise<void> {
  for (const statement of STATEMENTS) await sql.raw(statement).execute(db);
}
