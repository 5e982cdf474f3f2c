/** For the tests of Resource Manager: an organization, a folder and a project on a real store, and calls that the real engine decides about. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { create, createRegistry, type JsonObject, toJson } from '@bufbuild/protobuf';
import { file_google_protobuf_empty } from '@bufbuild/protobuf/wkt';
import { file_google_cloud_resourcemanager_v2_folders } from '../../gen/google/cloud/resourcemanager/v2/folders_pb.js';
import { file_google_cloud_resourcemanager_v3_folders } from '../../gen/google/cloud/resourcemanager/v3/folders_pb.js';
import { file_google_cloud_resourcemanager_v3_projects } from '../../gen/google/cloud/resourcemanager/v3/projects_pb.js';
import { file_google_cloud_resourcemanager_v3_tag_bindings } from '../../gen/google/cloud/resourcemanager/v3/tag_bindings_pb.js';
import { file_google_cloud_resourcemanager_v3_tag_holds } from '../../gen/google/cloud/resourcemanager/v3/tag_holds_pb.js';
import { file_google_cloud_resourcemanager_v3_tag_keys } from '../../gen/google/cloud/resourcemanager/v3/tag_keys_pb.js';
import { file_google_cloud_resourcemanager_v3_tag_values } from '../../gen/google/cloud/resourcemanager/v3/tag_values_pb.js';
import { file_google_cloudresourcemanager_v1_projects } from '../../gen/google/cloudresourcemanager/v1/projects_pb.js';
import { PolicySchema } from '../../gen/google/iam/v1/policy_pb.js';
import { OperationSchema } from '../../gen/google/longrunning/operations_pb.js';
import { createAuthorizer } from '../../policy/authorizer.ts';
import { loadCatalogue } from '../../policy/catalogue.ts';
import { openStore, type Store } from '../../store/database.ts';
import { insertFolder } from '../../store/folders.ts';
import { createPolicySource } from '../../store/hierarchy.ts';
import { insertOrganization } from '../../store/organizations.ts';
import { updatePolicy } from '../../store/policies.ts';
import { callUnary, createFakeCall, createFakeClock, type Decide, type FakeCall, type FakeClock } from '../fake-call.ts';
import type { AnyService } from '../service.ts';
import { createProject } from './create-project.ts';
import { createResourceManagerServices } from './resource-manager.ts';

export const OWNER = 'user:owner@example.com';
const OWNER_ROLES = ['roles/owner', 'roles/resourcemanager.folderAdmin', 'roles/resourcemanager.organizationAdmin', 'roles/resourcemanager.projectCreator'];
const CATALOGUE = loadCatalogue();
const REGISTRY = createRegistry(
  file_google_cloud_resourcemanager_v2_folders,
  file_google_cloud_resourcemanager_v3_folders,
  file_google_cloud_resourcemanager_v3_projects,
  file_google_cloud_resourcemanager_v3_tag_bindings,
  file_google_cloud_resourcemanager_v3_tag_holds,
  file_google_cloud_resourcemanager_v3_tag_keys,
  file_google_cloud_resourcemanager_v3_tag_values,
  file_google_cloudresourcemanager_v1_projects,
  file_google_protobuf_empty,
);

export interface ResourceManagerFixture {
  readonly store: Store;
  readonly clock: FakeClock;
  readonly services: readonly AnyService[];
  /** Constraints that are enforced everywhere. */
  readonly enforced: Set<string>;
  readonly decide: Decide;
  /** The call of the last `run`. */
  lastCall(): FakeCall;
  /** @param rpc `v1.Projects.getProject`, by the end of the service's name; as the owner unless `member` says otherwise */
  // Each method's own message type is lost behind AnyService; the tests read plain JSON-like fields.
  // oxlint-disable-next-line typescript/no-explicit-any
  run(rpc: string, request: Record<string, unknown>, member?: string): Promise<any>;
  /** `run` for what answers with an operation. @returns the finished operation's response as JSON, read by its name as a client would */
  // oxlint-disable-next-line typescript/no-explicit-any
  finish(rpc: string, request: Record<string, unknown>, member?: string): Promise<any>;
  /** Binds a role to a member on a full resource name. */
  grant(resource: string, role: string, member: string): Promise<void>;
  close(): Promise<void>;
}

export async function openResourceManager(): Promise<ResourceManagerFixture> {
  const dir = mkdtempSync(join(tmpdir(), 'crm-'));
  const store = await openStore(dir);
  const clock = createFakeClock();
  const enforced = new Set<string>();
  const orgPolicies = { isEnforced: async (constraint: string) => enforced.has(constraint) };
  const services = createResourceManagerServices({ store, catalogue: CATALOGUE, orgPolicies });
  const authorizer = createAuthorizer({ source: createPolicySource(store.read), catalogue: CATALOGUE });
  const decide: Decide = async (member, { permission, resource }) => {
    authorizer.invalidate();
    return (await authorizer.decide({ member, permission, resource })).allowed;
  };
  let lastCall = createFakeCall();
  const run: ResourceManagerFixture['run'] = async (rpc, request, member = OWNER) => {
    const dot = rpc.lastIndexOf('.');
    const service = services.find(({ desc }) => desc.typeName.endsWith(rpc.slice(0, dot)));
    if (service === undefined) throw new Error(`no service ${rpc}`);
    lastCall = createFakeCall({ member, clock, decide });
    return callUnary(service, rpc.slice(dot + 1), request, lastCall, { serviceAccount: async () => undefined });
  };
  const grant: ResourceManagerFixture['grant'] = async (resource, role, member) => {
    await store.write((tx) => updatePolicy(tx.db, resource, create(PolicySchema, { bindings: [{ role, members: [member] }] }), clock.now()));
  };
  await store.write(async (tx) => {
    await insertOrganization(tx.db, { number: '111111111111', display_name: 'example.com', create_time: 1 });
    await insertFolder(tx.db, { number: '222222222222', parent: 'organizations/111111111111', display_name: 'team', create_time: 1 });
    await createProject(tx, { projectId: 'demo', number: '123456789012', parent: 'folders/222222222222', displayName: 'demo', labels: {} }, clock.now());
    const bindings = OWNER_ROLES.map((role) => ({ role, members: [OWNER] }));
    await updatePolicy(tx.db, '//cloudresourcemanager.googleapis.com/organizations/111111111111', create(PolicySchema, { bindings }), clock.now());
  });
  return {
    store,
    clock,
    services,
    enforced,
    decide,
    lastCall: () => lastCall,
    run,
    async finish(rpc, request, member) {
      const first = await run(rpc, request, member);
      const polled = first.name === '' ? first : await run('longrunning.Operations.getOperation', { name: first.name }, member);
      // An operation is an object in JSON.
      return (toJson(OperationSchema, polled, { registry: REGISTRY }) as JsonObject)['response'];
    },
    grant,
    async close() {
      await store.close();
      rmSync(dir, { recursive: true });
    },
  };
}
