/** The three policy methods, the same for projects, folders, organizations, tag keys and tag values in every version of the API. */
import { notFound } from '../../errors.ts';
import type { GetIamPolicyRequest, SetIamPolicyRequest, TestIamPermissionsRequest } from '../../gen/google/iam/v1/iam_policy_pb.js';
import type { Policy } from '../../gen/google/iam/v1/policy_pb.js';
import type { RoleCatalogue } from '../../policy/catalogue.ts';
import type { ConstraintChecks } from '../../policy/constraint-checks.ts';
import type { OrgPolicies } from '../../policy/org-policy.ts';
import type { Db, Store } from '../../store/database.ts';
import { findFolder } from '../../store/folders.ts';
import { findOrganization } from '../../store/organizations.ts';
import { findProject } from '../../store/projects.ts';
import { findTagKey, findTagValue } from '../../store/tags.ts';
import { getPolicy, setPolicy, testPermissions } from '../iam-policy.ts';
import type { Call, Check } from '../service.ts';
import { type NodeKind, type NodeName, nodeResource, parseNode } from './names.ts';

export interface ResourceManagerDeps {
  readonly store: Store;
  /** Where given, `setIamPolicy` warns of roles that are kept but not evaluated. */
  readonly catalogue?: Pick<RoleCatalogue, 'role'>;
  readonly orgPolicies: Pick<OrgPolicies, 'isEnforced'>;
  /** What organization policies say about new grants; without it nothing is refused. */
  readonly constraints?: Pick<ConstraintChecks, 'grants'>;
}

interface PolicyMethod<Request, Response> {
  readonly access: { readonly checks: (request: Request) => readonly Check[] };
  handle(request: Request, call: Call): Promise<Response>;
}
export interface NodePolicyMethods {
  readonly getIamPolicy: PolicyMethod<GetIamPolicyRequest, Policy>;
  readonly setIamPolicy: PolicyMethod<SetIamPolicyRequest, Policy>;
  readonly testIamPermissions: {
    readonly access: { readonly authenticated: true; readonly why: string };
    handle(request: TestIamPermissionsRequest, call: Call): Promise<{ permissions: string[] }>;
  };
}

const PLACE = { projects: 'project', folders: 'folder', organizations: 'organization', tagKeys: 'tag', tagValues: 'tag' } as const;

/** @param bare the request's `resource` is the id alone (projects of v1) */
export function nodePolicyMethods(
  { store, catalogue, constraints }: Pick<ResourceManagerDeps, 'store' | 'catalogue' | 'constraints'>,
  kind: NodeKind,
  bare = false,
): NodePolicyMethods {
  const nameOf = (resource: string): NodeName => parseNode(bare ? `${kind}/${resource}` : resource, [kind], 'resource');
  return {
    getIamPolicy: {
      access: { checks: ({ resource }) => [nodeCheck(`resourcemanager.${kind}.getIamPolicy`, nameOf(resource))] },
      handle: async (request, call) => getPolicy(store, await storedResource(store.read, nameOf(request.resource)), request, catalogue, call),
    },
    setIamPolicy: {
      access: { checks: ({ resource }) => [nodeCheck(`resourcemanager.${kind}.setIamPolicy`, nameOf(resource))] },
      async handle(request, call) {
        const name = nameOf(request.resource);
        const resource = await storedResource(store.read, name);
        return setPolicy(
          store,
          request,
          { resource, where: PLACE[kind], check: nodeCheck(`resourcemanager.${kind}.setIamPolicy`, name), ensure: (db) => storedResource(db, name), catalogue, constraints },
          call,
        );
      },
    },
    testIamPermissions: {
      access: { authenticated: true, why: 'Says only what the caller itself may do; a resource that does not exist answers like one on which it may do nothing.' },
      handle: async ({ resource, permissions }, call) => ({ permissions: await testPermissions(nodeResource(nameOf(resource)), permissions, call) }),
    },
  };
}

export function nodeCheck(permission: string, name: NodeName): Check {
  return { permission, resource: nodeResource(name) };
}

/** The id that a policy's name has, by whichever the node is known. */
const STORED: { readonly [kind in NodeKind]: (db: Db, id: string) => Promise<string | undefined> } = {
  projects: async (db, id) => (await findProject(db, id))?.project_id,
  folders: async (db, id) => (await findFolder(db, id))?.number,
  organizations: async (db, id) => (await findOrganization(db, id))?.number,
  tagKeys: async (db, id) => (await findTagKey(db, id))?.number,
  tagValues: async (db, id) => (await findTagValue(db, id))?.number,
};

/** The full name that the policy is stored by. @throws NOT_FOUND */
async function storedResource(db: Db, { kind, id }: NodeName): Promise<string> {
  const known = await STORED[kind](db, id);
  if (known === undefined) throw notFound(`Resource '${kind}/${id}' was not found.`);
  return nodeResource({ kind, id: known });
}
