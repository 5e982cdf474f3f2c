/**
 * The tables, as Kysely sees them. Times are microseconds since the epoch; `body` columns hold a message of the public API in
 * protobuf binary, and the columns beside it are what queries need (never a second truth that can drift: they are written together).
 */
import type { Generated } from 'kysely';
import type { Micros } from '../timestamp.ts';

export interface OrganizationsTable {
  number: string;
  display_name: string;
  create_time: Micros;
  /** 1: declared to have the baseline of organization policies that Google gives new organizations. */
  secure_by_default: Generated<0 | 1>;
}
export interface FoldersTable {
  number: string;
  /** `organizations/N` or `folders/N`. */
  parent: string;
  display_name: string;
  create_time: Micros;
  state: Generated<'ACTIVE' | 'DELETE_REQUESTED'>;
  update_time: Generated<Micros>;
  delete_time: Generated<Micros | null>;
  etag: Generated<string>;
}
export interface ProjectsTable {
  project_id: string;
  number: string;
  /** `organizations/N`, `folders/N`, or null. */
  parent: string | null;
  display_name: string;
  /** JSON object. */
  labels: string;
  state: 'ACTIVE' | 'DELETE_REQUESTED';
  create_time: Micros;
  update_time: Micros;
  delete_time: Micros | null;
  etag: string;
}
export interface ServiceAccountsTable {
  /** 21 digits. */
  unique_id: string;
  email: string;
  project_id: string;
  display_name: string;
  description: string;
  oauth2_client_id: string;
  disabled: 0 | 1;
  etag: string;
  create_time: Micros;
  delete_time: Micros | null;
}
/** Allow policies by full resource name (`//run.googleapis.com/projects/p/locations/l/jobs/j`, projects by id). */
export interface PoliciesTable {
  resource: string;
  /** google.iam.v1.Policy without its etag. */
  body: Uint8Array;
  etag: string;
  update_time: Micros;
}
export interface AccessTokensTable {
  /** SHA-256 of the token. The token itself is never stored. */
  hash: Uint8Array;
  member: string;
  /** JSON array. */
  scopes: string;
  issue_time: Micros;
  /** Null: never (the owner's token, refresh tokens). */
  expire_time: Micros | null;
  /** JSON array of policy members: on whose behalf it was made, who asked first. */
  delegation: Generated<string>;
  /** SHA-256 of the refresh token that it was made from: the two are revoked together. */
  grant_hash: Generated<Uint8Array | null>;
}
export interface SigningKeysTable {
  kid: string;
  /** JSON Web Key, private part included. The database file is 0600. */
  private_jwk: string;
  create_time: Micros;
}
/** Small facts about this data directory (its instance id, the digest of the last seed). */
export interface SettingsTable {
  key: string;
  value: string;
}
export interface JobsTable {
  uid: string;
  /** `projects/ID/locations/L/jobs/J`; unique among those not deleted. */
  name: string;
  project_id: string;
  location: string;
  /** google.cloud.run.v2.Job */
  body: Uint8Array;
  generation: number;
  /** 1 while the loop owes the job a look (image to resolve, deletion to finish). */
  reconciling: 0 | 1;
  /** The operation that ends when the reconciliation does. */
  operation: string | null;
  create_time: Micros;
  delete_time: Micros | null;
}
export interface ExecutionsTable {
  uid: string;
  name: string;
  job: string;
  job_uid: string;
  project_id: string;
  location: string;
  /** google.cloud.run.v2.Execution */
  body: Uint8Array;
  /** pending: no task started yet. done: all tasks are terminal and the body says so. */
  phase: 'pending' | 'running' | 'done';
  cancel_requested: 0 | 1;
  /** 1: containers are to be stopped, and the row then counts as deleted. */
  delete_requested: 0 | 1;
  /** The operation of RunJob; and those of cancel and delete that wait for the end. */
  operation: string;
  /** Who drives it, and until when. A lease that has run out may be taken by anybody. */
  lease_owner: string | null;
  lease_expire_time: Micros | null;
  create_time: Micros;
  completion_time: Micros | null;
  delete_time: Micros | null;
}
export interface TasksTable {
  uid: string;
  /** Execution's name and `/tasks/EXECUTION-taskN`. */
  name: string;
  execution_uid: string;
  task_index: number;
  /** google.cloud.run.v2.Task */
  body: Uint8Array;
  state: 'pending' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  /** 0-based number of the current or last attempt. */
  attempt: number;
  /** When the current attempt was handed to the driver, and when its container ran. */
  attempt_create_time: Micros | null;
  attempt_start_time: Micros | null;
  /** Why SIGTERM was sent: its exit is then read as that, not as a failure of the container. */
  stop_cause: 'timeout' | 'cancel' | 'delete' | null;
}
/** Which attempt holds which address of the tasks' network (or host name); the metadata server knows a task by this row alone. */
export interface TaskLeasesTable {
  /** IPv4 address, or random host name. */
  address: string;
  attempt_id: string;
  task_uid: string;
  execution_uid: string;
  /** e-mail of the attempt's service account. */
  service_account: string;
  project_id: string;
  location: string;
  create_time: Micros;
  /** When the attempt ended: from then on the address gets nothing, and is not leased again for a while. */
  release_time: Micros | null;
}
export interface OperationsTable {
  name: string;
  project_id: string;
  location: string;
  /** google.longrunning.Operation */
  body: Uint8Array;
  done: 0 | 1;
  /** Full name of what it is about, for authorisation and lists. */
  target: string;
  create_time: Micros;
}
/** Groups are resources of ours: Google keeps them in Cloud Identity. */
export interface GroupsTable {
  /** Lower case. */
  email: string;
  /** `organizations/N`. */
  parent: string;
  /** 21 digits: a later group of the same address has another. */
  uid: string;
  display_name: string;
  description: string;
  etag: string;
  create_time: Micros;
  update_time: Micros;
}
export interface GroupMembersTable {
  group_email: string;
  /** Policy member in normal form; `group:` nests. */
  member: string;
}
/** Custom roles, and roles that were imported because the catalogue lacks them. */
export interface RolesTable {
  /** `projects/ID/roles/R`, `organizations/N/roles/R`, or `roles/R` for an imported one. */
  name: string;
  /** `projects/ID`, `organizations/N`, or empty for an imported one. */
  parent: string;
  title: string;
  description: string;
  /** ALPHA, BETA, GA, DEPRECATED, DISABLED, EAP. A role that is DISABLED grants nothing. */
  stage: string;
  /** JSON array, sorted. */
  permissions: string;
  etag: string;
  create_time: Micros;
  update_time: Micros;
  /** A deleted role grants nothing; it can be undeleted for seven days. */
  delete_time: Micros | null;
}
/** google.iam.v2 deny policies by name (`policies/ATTACHMENT/denypolicies/ID`, attachment URL-encoded, projects by id). */
export interface DenyPoliciesTable {
  name: string;
  /** Full name of the project, folder or organization that it is attached to, as allow policies are stored by. */
  resource: string;
  uid: string;
  /** google.iam.v2.Policy without its etag. */
  body: Uint8Array;
  etag: string;
  create_time: Micros;
  update_time: Micros;
}
export interface TagKeysTable {
  /** The N of `tagKeys/N`. */
  number: string;
  /** `organizations/N` or `projects/NUMBER`. */
  parent: string;
  short_name: string;
  /** `ORG_NUMBER/SHORT` or `PROJECT_ID/SHORT`. */
  namespaced_name: string;
  description: string;
  /** Name of google.cloud.resourcemanager.v3.Purpose, with its data as JSON where it has some: `{"purpose":"GCE_FIREWALL","data":{}}`; empty where none. */
  purpose: string;
  etag: string;
  create_time: Micros;
  update_time: Micros;
}
export interface TagValuesTable {
  /** The N of `tagValues/N`. */
  number: string;
  key_number: string;
  short_name: string;
  /** The key's namespaced name, `/` and the short name. */
  namespaced_name: string;
  description: string;
  etag: string;
  create_time: Micros;
  update_time: Micros;
}
/** What is bound to a resource itself; what it inherits is not stored. One value per key. */
export interface TagBindingsTable {
  /** Full resource name as policies are stored by: projects by id. */
  resource: string;
  key_number: string;
  value_number: string;
  create_time: Micros;
}
/** What keeps a tag value from being deleted beside its bindings. */
export interface TagHoldsTable {
  /** `tagValues/N/tagHolds/ID`. */
  name: string;
  value_number: string;
  /** Full resource name of what uses the value. */
  holder: string;
  origin: string;
  help_link: string;
  create_time: Micros;
}
export interface LiensTable {
  /** `liens/ID`. */
  name: string;
  /** `projects/NUMBER`. */
  parent: string;
  /** JSON array of permissions. */
  restrictions: string;
  reason: string;
  origin: string;
  create_time: Micros;
}
export interface ServiceAccountKeysTable {
  /** 40 hex digits. */
  id: string;
  account_unique_id: string;
  /** X.509 certificate, or public key for one that was uploaded as that, in PEM. */
  public_pem: string;
  /** Names of google.iam.admin.v1 enums: ServiceAccountKeyOrigin, ListServiceAccountKeysRequest.KeyType, ServiceAccountKeyAlgorithm. */
  origin: string;
  type: string;
  algorithm: string;
  disabled: 0 | 1;
  disable_reason: string;
  create_time: Micros;
  valid_after_time: Micros;
  /** Null: never (Google says 9999-12-31, which no number of microseconds holds here). */
  valid_before_time: Micros | null;
  /** Only of system-managed keys, which sign for signBlob and signJwt: a user's private key is never kept. */
  private_jwk: string | null;
}
/** Pools and providers of workload identity federation, by name with the project's number. */
export interface WorkloadIdentityTable {
  name: string;
  parent: string;
  /** The message of the API. */
  body: Uint8Array;
  etag: string;
  create_time: Micros;
  delete_time: Micros | null;
}
/** Organization policies, v1 and v2 alike. */
export interface OrgPoliciesTable {
  /** `organizations/N`, `folders/N`, `projects/NUMBER`. */
  resource: string;
  /** `iam.disableServiceAccountCreation`, `custom.x`. */
  constraint_id: string;
  /** google.cloud.orgpolicy.v2.Policy */
  body: Uint8Array;
  etag: string;
  update_time: Micros;
}
export interface CustomConstraintsTable {
  /** `organizations/N/customConstraints/custom.x`. */
  name: string;
  parent: string;
  /** google.cloud.orgpolicy.v2.CustomConstraint */
  body: Uint8Array;
  update_time: Micros;
}
/** APIs that a project has enabled (serviceusage). */
export interface EnabledServicesTable {
  project_id: string;
  /** `run.googleapis.com`. */
  service: string;
  enable_time: Micros;
}
/** Secrets of Secret Manager. One whose `expire_time` has come does not exist any more, swept or not. */
export interface SecretsTable {
  /** `projects/ID/secrets/S` or `projects/ID/locations/L/secrets/S`. */
  name: string;
  /** Tells a secret from its successor of the same name: what was encrypted for the one does not decrypt for the other. */
  uid: string;
  project_id: string;
  /** Empty for a global one. */
  location: string;
  /** google.cloud.secretmanager.v1.Secret without name and etag. */
  body: Uint8Array;
  etag: string;
  create_time: Micros;
  expire_time: Micros | null;
  /** Number of the newest version that was ever added; 0: none. */
  last_version: number;
}
export interface SecretVersionsTable {
  /** Name of the secret. */
  secret: string;
  version: number;
  /** google.cloud.secretmanager.v1.SecretVersion without name. */
  body: Uint8Array;
  /** When a destruction that was asked for takes place. */
  destroy_at: Micros | null;
  /** Which key-encryption key wrapped the data key; null once destroyed, with the two after it. */
  key_id: string | null;
  wrapped_key: Uint8Array | null;
  ciphertext: Uint8Array | null;
}

export interface Database {
  organizations: OrganizationsTable;
  folders: FoldersTable;
  projects: ProjectsTable;
  service_accounts: ServiceAccountsTable;
  policies: PoliciesTable;
  access_tokens: AccessTokensTable;
  signing_keys: SigningKeysTable;
  settings: SettingsTable;
  jobs: JobsTable;
  executions: ExecutionsTable;
  tasks: TasksTable;
  task_leases: TaskLeasesTable;
  operations: OperationsTable;
  groups: GroupsTable;
  group_members: GroupMembersTable;
  roles: RolesTable;
  deny_policies: DenyPoliciesTable;
  tag_keys: TagKeysTable;
  tag_values: TagValuesTable;
  tag_bindings: TagBindingsTable;
  tag_holds: TagHoldsTable;
  liens: LiensTable;
  service_account_keys: ServiceAccountKeysTable;
  workload_identity_pools: WorkloadIdentityTable;
  workload_identity_providers: WorkloadIdentityTable;
  org_policies: OrgPoliciesTable;
  custom_constraints: CustomConstraintsTable;
  enabled_services: EnabledServicesTable;
  secrets: SecretsTable;
  secret_versions: SecretVersionsTable;
}
