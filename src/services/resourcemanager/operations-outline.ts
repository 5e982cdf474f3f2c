/** What finds an operation of Resource Manager, before anything else of it is loaded: its names and paths. */
import type { OperationsOutline } from '../service.ts';

/** A letter for the change and one for what was changed, as `operations.ts` has them. */
const OWN = /^operations\/(?:pc|[cumdr][pf]|ud|[cud][kv]|[cd]h)\.\d{1,20}$/;

export const RESOURCE_MANAGER_OPERATIONS: OperationsOutline = {
  owns: (name) => OWN.test(name),
  methods: { GetOperation: ['GET /v3/{name=operations/*}', 'GET /v1/{name=operations/*}'] },
};
