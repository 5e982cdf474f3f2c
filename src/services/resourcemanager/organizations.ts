/** Organizations, v3 and v1 (which gcloud calls): the same rows in two shapes. They come from the seed. */
import type { MessageInitShape } from '@bufbuild/protobuf';
import { notFound } from '../../errors.ts';
import {
  Organization_State,
  Organizations as OrganizationsV3,
  type OrganizationSchema as OrganizationV3Schema,
} from '../../gen/google/cloud/resourcemanager/v3/organizations_pb.js';
import {
  Organization_LifecycleState,
  Organizations as OrganizationsV1,
  type OrganizationSchema as OrganizationV1Schema,
} from '../../gen/google/cloudresourcemanager/v1/organizations_pb.js';
import { customerId } from '../../policy/constraint-grants.ts';
import type { Db } from '../../store/database.ts';
import { findOrganization, listOrganizations, type OrganizationRow } from '../../store/organizations.ts';
import { toTimestamp } from '../../timestamp.ts';
import { parseFilter } from '../list-filter.ts';
import { type AnyService, type Call, defineService } from '../service.ts';
import { nodeResource, parseNode } from './names.ts';
import { nodeCheck, nodePolicyMethods, type ResourceManagerDeps } from './node-policies.ts';
import { visiblePage } from './visible-page.ts';
import { plainDenied, v3Denied } from './words.ts';

const SEARCH_ACCESS = { authenticated: true, why: 'Shows only the organizations on which the caller has resourcemanager.organizations.get.' } as const;

export function createOrganizationsV3Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof OrganizationsV3>({
    desc: OrganizationsV3,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: false,
    denied: v3Denied,
    methods: {
      ...nodePolicyMethods(deps, 'organizations'),
      getOrganization: {
        access: { checks: ({ name }) => [nodeCheck('resourcemanager.organizations.get', parseNode(name, ['organizations']))] },
        handle: async ({ name }) => toV3(await getOrganization(deps.store.read, name)),
      },
      searchOrganizations: {
        access: SEARCH_ACCESS,
        async handle({ query, pageSize, pageToken }, call) {
          const page = await search(deps.store.read, { filter: query, parameter: 'query', pageSize, pageToken }, call);
          return { organizations: page.rows.map(toV3), nextPageToken: page.nextPageToken };
        },
      },
    },
  });
}

export function createOrganizationsV1Service(deps: ResourceManagerDeps): AnyService {
  return defineService<typeof OrganizationsV1>({
    desc: OrganizationsV1,
    host: 'cloudresourcemanager.googleapis.com',
    legacyErrors: true,
    denied: plainDenied,
    methods: {
      ...nodePolicyMethods(deps, 'organizations'),
      getOrganization: {
        access: { checks: ({ name }) => [nodeCheck('resourcemanager.organizations.get', parseNode(name, ['organizations']))] },
        handle: async ({ name }) => toV1(await getOrganization(deps.store.read, name)),
      },
      searchOrganizations: {
        access: SEARCH_ACCESS,
        async handle({ filter, pageSize, pageToken }, call) {
          const page = await search(deps.store.read, { filter, parameter: 'filter', pageSize, pageToken }, call);
          return { organizations: page.rows.map(toV1), nextPageToken: page.nextPageToken };
        },
      },
    },
  });
}

function search(db: Db, request: { readonly filter: string; readonly parameter: string; readonly pageSize: number; readonly pageToken: string }, call: Call) {
  const filter = parseFilter(request.filter, ['domain', 'displayName'], request.parameter);
  return visiblePage<OrganizationRow>({
    query: ['organizations:search', request.filter],
    request,
    read: (after, limit) => listOrganizations(db, { limit, ...(after === undefined ? {} : { after }) }),
    keyOf: (row) => row.number,
    // An organization is displayed by its domain, so both fields are the same.
    isVisible: (row) =>
      filter(() => row.display_name) && call.isAllowed({ permission: 'resourcemanager.organizations.get', resource: nodeResource({ kind: 'organizations', id: row.number }) }),
  });
}

async function getOrganization(db: Db, name: string): Promise<OrganizationRow> {
  const row = await findOrganization(db, parseNode(name, ['organizations']).id);
  if (row === undefined) throw notFound(`Organization '${name}' was not found.`);
  return row;
}

function toV3(row: OrganizationRow): MessageInitShape<typeof OrganizationV3Schema> {
  const createTime = toTimestamp(row.create_time);
  return {
    name: `organizations/${row.number}`,
    displayName: row.display_name,
    state: Organization_State.ACTIVE,
    createTime,
    updateTime: createTime,
    owner: { case: 'directoryCustomerId', value: customerId(row.number) },
  };
}
function toV1(row: OrganizationRow): MessageInitShape<typeof OrganizationV1Schema> {
  return { name: `organizations/${row.number}`, displayName: row.display_name, creationTime: toTimestamp(row.create_time), lifecycleState: Organization_LifecycleState.ACTIVE };
}
