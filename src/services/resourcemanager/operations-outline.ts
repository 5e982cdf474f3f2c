/** What finds an operation of Resource Manager, before anything else of it is loaded: its names and paths. */
import type { OperationsOutline } from '../service.ts';

/** The kinds of `project-operations.ts`. */
const OWN = /^operations\/(?:cp|up|dp|ud|pc)\.\d{1,20}$/;

export const RESOURCE_MANAGER_OPERATIONS: OperationsOutline = {
  owns: (name) => OWN.test(name),
  methods: { GetOperation: ['GET /v3/{name=operations/*}', 'GET /v1/{name=operations/*}'] },
};
