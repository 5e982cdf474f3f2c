/** What finds an operation of Cloud Run, before anything else of it is loaded: its names and paths. */
import { parseName } from '../../resource-name.ts';
import type { OperationsOutline } from '../service.ts';

const ONE = '/v2/{name=projects/*/locations/*/operations/*}';

export const RUN_OPERATIONS: OperationsOutline = {
  /** @param name of an operation, or the parent of a list */
  owns: (name) => parseName(['projects', 'locations', 'operations'], name) !== undefined || parseName(['projects', 'locations'], name) !== undefined,
  methods: {
    GetOperation: [`GET ${ONE}`],
    ListOperations: ['GET /v2/{name=projects/*/locations/*}/operations'],
    DeleteOperation: [`DELETE ${ONE}`],
    WaitOperation: [`POST ${ONE}:wait *`],
    CancelOperation: [`POST ${ONE}:cancel *`],
  },
};
