/** What finds an operation on a pool or provider, before anything else of the API is loaded: its names and paths. */
import type { OperationsOutline } from '../service.ts';

const POOL = 'projects/*/locations/*/workloadIdentityPools/*';

export const POOL_OPERATIONS: OperationsOutline = {
  owns: (name) => /^projects\/[^/]+\/locations\/[^/]+\/workloadIdentityPools\/[^/]+(?:\/providers\/[^/]+)?\/operations\/[^/]+$/.test(name),
  methods: { GetOperation: [`GET /v1/{name=${POOL}/operations/*}`, `GET /v1/{name=${POOL}/providers/*/operations/*}`] },
};
