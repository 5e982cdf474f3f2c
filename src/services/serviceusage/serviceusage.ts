/**
 * Service Usage v1: which services a project has enabled, enough for gcloud and Terraform. What is served here is enabled from the start.
 * Deviation: that a service is disabled is kept and shown, but its API goes on answering.
 * Must not know: what the services do.
 */
import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { type Any, anyPack } from '@bufbuild/protobuf/wkt';
import { ApiError, failedPrecondition, invalidRequest, notFound } from '../../errors.ts';
import { type ServiceSchema, State } from '../../gen/google/api/serviceusage/v1/resources_pb.js';
import {
  BatchEnableServicesResponseSchema,
  DisableServiceResponseSchema,
  EnableServiceResponseSchema,
  ServiceUsage,
} from '../../gen/google/api/serviceusage/v1/serviceusage_pb.js';
import type { Operation } from '../../gen/google/longrunning/operations_pb.js';
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import type { Db, Store } from '../../store/database.ts';
import { deleteEnabledService, insertEnabledServices, listEnabledServices } from '../../store/enabled-services.ts';
import { findProject, type ProjectRow } from '../../store/projects.ts';
import { type AnyService, type Call, type Check, defineService, type Methods } from '../service.ts';
import { createOperationsService, idleOperation, recordOperation } from './operations.ts';
import { SERVICE_NAMES, titleOf } from './service-catalogue.ts';
import { usageDenied } from './words.ts';

/** Source: the comments of google/api/serviceusage/v1/serviceusage.proto. */
const MAX_BATCH_ENABLE = 20;
const MAX_BATCH_GET = 30;

type UsageMethods = Methods<typeof ServiceUsage>;
interface UsageDeps {
  readonly store: Store;
}

/** Service Usage, its operations among it. */
export function createServiceUsageServices(deps: UsageDeps): readonly AnyService[] {
  const usage = defineService<typeof ServiceUsage>({
    desc: ServiceUsage,
    host: 'serviceusage.googleapis.com',
    legacyErrors: false,
    denied: usageDenied,
    methods: { ...reads(deps), ...changes(deps) },
  });
  return [usage, createOperationsService(deps)];
}

function reads({ store }: UsageDeps): Pick<UsageMethods, 'getService' | 'listServices' | 'batchGetServices'> {
  return {
    getService: {
      access: { checks: ({ name }) => [serviceCheck('get', name)] },
      async handle({ name }) {
        const { project, service } = parseService(name);
        const row = await getProject(store.read, project);
        requireKnown([service]);
        return toService(row, service, await listEnabledServices(store.read, row.project_id));
      },
    },
    listServices: {
      access: { checks: ({ parent }) => [containerCheck('list', parent)] },
      handle: (request) => list(store.read, request),
    },
    batchGetServices: {
      access: { checks: ({ parent, names }) => (names.length === 0 ? [containerCheck('get', parent)] : names.map((name) => serviceCheck('get', name))) },
      async handle({ parent, names }) {
        const row = await getProject(store.read, parseContainer(parent));
        if (names.length > MAX_BATCH_GET) throw tooMany('names', MAX_BATCH_GET, names.length);
        for (const name of names)
          if ((await getProject(store.read, parseService(name).project)).number !== row.number)
            throw invalidRequest(`names: ${JSON.stringify(name)} is not a service of ${parent}.`, [{ field: 'names', description: `must begin with ${parent}` }]);
        const services = names.map((name) => parseService(name).service);
        requireKnown(services);
        const enabled = await listEnabledServices(store.read, row.project_id);
        return { services: services.map((service) => toService(row, service, enabled)) };
      },
    },
  };
}

function changes({ store }: UsageDeps): Pick<UsageMethods, 'enableService' | 'disableService' | 'batchEnableServices'> {
  return {
    enableService: {
      access: { checks: ({ name }) => [serviceCheck('enable', name)] },
      handle({ name }, call) {
        const { project, service } = parseService(name);
        return enable(store, project, [service], call, (services) => {
          const [only] = services;
          return anyPack(EnableServiceResponseSchema, create(EnableServiceResponseSchema, only === undefined ? {} : { service: only }));
        });
      },
    },
    batchEnableServices: {
      access: {
        checks: ({ parent, serviceIds }) =>
          serviceIds.length === 0 ? [containerCheck('enable', parent)] : serviceIds.map((id) => serviceCheck('enable', `${parent}/services/${id}`)),
      },
      handle({ parent, serviceIds }, call) {
        if (serviceIds.length === 0 || serviceIds.length > MAX_BATCH_ENABLE) throw tooMany('service_ids', MAX_BATCH_ENABLE, serviceIds.length);
        return enable(store, parseContainer(parent), serviceIds, call, (services) =>
          anyPack(BatchEnableServicesResponseSchema, create(BatchEnableServicesResponseSchema, { services: [...services] })),
        );
      },
    },
    disableService: {
      access: { checks: ({ name }) => [serviceCheck('disable', name)] },
      handle: ({ name }, call) =>
        store.write(async (tx) => {
          const { project, service } = parseService(name);
          const row = await getProject(tx.db, project);
          requireKnown([service]);
          if (!(await deleteEnabledService(tx.db, row.project_id, service)))
            throw failedPrecondition(`Service '${service}' is not enabled in project '${row.number}', and so cannot be disabled.`, {
              type: 'services',
              subject: service,
              description: 'is not enabled',
            });
          const response = create(DisableServiceResponseSchema, { service: toService(row, service, new Set()) });
          const about = [`projects/${row.number}/services/${service}`];
          return recordOperation(tx.db, { projectNumber: row.number, about, response: anyPack(DisableServiceResponseSchema, response) }, call.now());
        }),
    },
  };
}

/** All of them or none. @returns what changed nothing as Google's idle operation */
function enable(
  store: Store,
  project: string,
  services: readonly string[],
  call: Call,
  respond: (services: readonly MessageInitShape<typeof ServiceSchema>[]) => Any,
): Promise<Operation> {
  return store.write(async (tx) => {
    const row = await getProject(tx.db, project);
    requireKnown(services);
    const before = await listEnabledServices(tx.db, row.project_id);
    const missing = services.filter((service) => !before.has(service));
    await insertEnabledServices(tx.db, row.project_id, missing, call.now());
    const response = respond(services.map((service) => toService(row, service, new Set(services))));
    if (missing.length === 0) return idleOperation(response);
    const about = missing.map((service) => `projects/${row.number}/services/${service}`);
    return recordOperation(tx.db, { projectNumber: row.number, about, response }, call.now());
  });
}

async function list(db: Db, request: { readonly parent: string; readonly filter: string; readonly pageSize: number; readonly pageToken: string }) {
  const row = await getProject(db, parseContainer(request.parent));
  const wanted = parseState(request.filter);
  const enabled = await listEnabledServices(db, row.project_id);
  const query = ['services', row.project_id, request.filter];
  const limit = pageSize(request.pageSize, 50, 200);
  const after = String(decodePageToken(query, request.pageToken)?.[0] ?? '');
  const found = SERVICE_NAMES.filter((service) => service > after && (wanted === undefined || enabled.has(service) === wanted));
  const shown = found.slice(0, limit);
  return {
    services: shown.map((service) => toService(row, service, enabled)),
    nextPageToken: found.length > limit ? encodePageToken(query, [shown.at(-1) ?? '']) : '',
  };
}

/** `state:ENABLED` or `state:DISABLED`: all that the API's filters offer. @returns whether enabled; undefined: both @throws INVALID_ARGUMENT */
function parseState(filter: string): boolean | undefined {
  if (filter.trim() === '') return undefined;
  const state = /^\s*state\s*[:=]\s*"?(ENABLED|DISABLED)"?\s*$/.exec(filter)?.[1];
  if (state === undefined)
    throw invalidRequest(`filter: ${JSON.stringify(filter)} cannot be read. Write state:ENABLED or state:DISABLED.`, [
      { field: 'filter', description: 'must be state:ENABLED or state:DISABLED' },
    ]);
  return state === 'ENABLED';
}

function serviceCheck(verb: string, name: string): Check {
  parseService(name);
  return { permission: `serviceusage.services.${verb}`, resource: `//serviceusage.googleapis.com/${name}` };
}
function containerCheck(verb: string, parent: string): Check {
  parseContainer(parent);
  return { permission: `serviceusage.services.${verb}`, resource: `//serviceusage.googleapis.com/${parent}` };
}

/** @returns the project's id or number @throws INVALID_ARGUMENT */
function parseContainer(parent: string): string {
  const project = /^projects\/([a-z0-9][a-z0-9.:-]{0,62})$/.exec(parent)?.[1];
  if (project === undefined)
    throw invalidRequest(`parent: ${JSON.stringify(parent)} is not a project. Write projects/PROJECT_ID.`, [{ field: 'parent', description: 'must be projects/PROJECT_ID' }]);
  return project;
}

/** @throws INVALID_ARGUMENT */
function parseService(name: string): { project: string; service: string } {
  const { project, service } = /^projects\/(?<project>[a-z0-9][a-z0-9.:-]{0,62})\/services\/(?<service>[a-z0-9][a-z0-9.-]{0,99})$/.exec(name)?.groups ?? {};
  if (project === undefined || service === undefined)
    throw invalidRequest(
      `name: ${JSON.stringify(name)} is not a service of a project. Write projects/PROJECT_ID/services/SERVICE, for example projects/demo/services/run.googleapis.com.`,
      [{ field: 'name', description: 'must be projects/PROJECT_ID/services/SERVICE' }],
    );
  return { project, service };
}

/** In Google's words, which do not tell what there is not from what may not be seen. */
function requireKnown(services: readonly string[]): void {
  const unknown = services.filter((service) => titleOf(service) === undefined);
  if (unknown.length === 0) return;
  throw new ApiError('PERMISSION_DENIED', `Not found or permission denied for service(s): ${unknown.join(', ')}.`, [
    {
      type: 'google.rpc.ErrorInfo',
      value: { reason: 'SERVICE_CONFIG_NOT_FOUND_OR_PERMISSION_DENIED', domain: 'serviceusage.googleapis.com', metadata: { services: unknown.join(',') } },
    },
  ]);
}

function tooMany(field: string, most: number, given: number): ApiError {
  return invalidRequest(`${field}: must name 1 to ${most} services, but names ${given}.`, [{ field, description: `1 to ${most} services` }]);
}

async function getProject(db: Db, key: string): Promise<ProjectRow> {
  const row = await findProject(db, key);
  if (row === undefined || row.state !== 'ACTIVE') throw notFound(`Project '${key}' not found or deleted.`);
  return row;
}

function toService({ number }: ProjectRow, service: string, enabled: ReadonlySet<string>): MessageInitShape<typeof ServiceSchema> {
  return {
    name: `projects/${number}/services/${service}`,
    parent: `projects/${number}`,
    config: { name: service, title: titleOf(service) ?? service },
    state: enabled.has(service) ? State.ENABLED : State.DISABLED,
  };
}
