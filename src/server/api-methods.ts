/** From the name of an RPC to the service and the descriptor behind it: loads the API where nobody wanted it before. */
import { createRegistry, type DescFile, type DescMethod, type Registry } from '@bufbuild/protobuf';
import type { AnyService, Api } from '../services/service.ts';

export interface ApiMethod {
  readonly service: AnyService;
  readonly method: DescMethod;
  /** Message types that may stand in an Any of this API, for JSON. */
  readonly registry: Registry;
}

export interface ApiMethods {
  /** @throws what loading the API throws */
  load(api: Api, typeName: string, rpc: string): Promise<ApiMethod>;
}

/** @param always files whose messages may stand in an Any of every API (the details of errors, the nothing that a deletion answers with) */
export function createApiMethods(always: readonly DescFile[]): ApiMethods {
  const registries = new WeakMap<Api, Registry>();
  return {
    async load(api, typeName, rpc) {
      const services = await api.load();
      const service = services.find(({ desc }) => desc.typeName === typeName);
      const method = service?.desc.methods.find(({ name }) => name === rpc);
      if (service === undefined || method === undefined) throw new Error(`${api.host} was loaded without ${typeName}.${rpc}`);
      const registry = registries.get(api) ?? createRegistry(...services.flatMap(({ desc, anyOf = [] }) => [desc.file, ...desc.file.dependencies, ...anyOf]), ...always);
      registries.set(api, registry);
      return { service, method, registry };
    },
  };
}
