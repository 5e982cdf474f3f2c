/** An API that is served, declared by names alone: what finds its requests comes from the table of the protos' services, the rest is loaded when it is wanted. */
import { SERVICES, type ServiceName } from '../gen/services.js';
import type { AnyService, Api, OperationsOutline, ServiceOutline } from '../services/service.ts';

const OPERATIONS = 'google.longrunning.Operations';

export interface ApiDeclaration {
  /** `run.googleapis.com`. */
  readonly host: string;
  /** Full names of the services in the protos; each is given by `load`, which gives no other. */
  readonly serves: readonly Exclude<ServiceName, typeof OPERATIONS>[];
  /** Where the API has operations: `load` gives google.longrunning.Operations as well. */
  readonly operations?: OperationsOutline;
  /** A version of before by which clients still call the same methods, with the same messages: `['v2', 'v2beta']`. */
  readonly formerly?: readonly [version: string, former: string];
  /** Imports the API's folder and makes its services. */
  load(): Promise<readonly AnyService[]>;
}

export function defineApi(declaration: ApiDeclaration): Api {
  const { host, serves, operations, formerly } = declaration;
  const declared: ServiceOutline[] = serves.map((typeName) => ({ typeName, methods: SERVICES[typeName] }));
  if (operations !== undefined) declared.push({ typeName: OPERATIONS, methods: { ...SERVICES[OPERATIONS], ...operations.methods }, owns: operations.owns });
  const services = formerly === undefined ? declared : declared.map((service) => ({ ...service, methods: withFormer(service.methods, formerly) }));
  let loading: Promise<readonly AnyService[]> | undefined;
  return {
    host,
    services,
    load() {
      loading ??= declaration.load().then(
        (loaded) => requireDeclared(host, services, loaded),
        (error: unknown) => {
          loading = undefined;
          throw error;
        },
      );
      return loading;
    },
  };
}

/** Each binding of the version, and the same under the former one. */
function withFormer(methods: ServiceOutline['methods'], [version, former]: readonly [string, string]): ServiceOutline['methods'] {
  const both = (bindings: readonly string[]) => [
    ...bindings,
    ...bindings.filter((each) => each.includes(` /${version}/`)).map((each) => each.replace(` /${version}/`, ` /${former}/`)),
  ];
  return Object.fromEntries(Object.entries(methods).map(([rpc, bindings]) => [rpc, both(bindings)]));
}

/** A declaration that says something else than the code is a mistake of ours; the tests load every API. */
function requireDeclared(host: string, services: readonly ServiceOutline[], loaded: readonly AnyService[]): readonly AnyService[] {
  const names = (list: readonly string[]) => list.toSorted().join(', ');
  const declared = names(services.map(({ typeName }) => `${host} ${typeName}`));
  const made = names(loaded.map((service) => `${service.host} ${service.desc.typeName}`));
  if (declared !== made) throw new Error(`compose/services.ts declares ${declared}, but what is loaded is ${made}`);
  return loaded;
}
