/** What finds an operation on a deny policy, before anything else of it is loaded: its names and paths. */
import type { OperationsOutline } from '../service.ts';
import { isDenyOperation } from './deny-names.ts';

export const DENY_POLICY_OPERATIONS: OperationsOutline = {
  owns: isDenyOperation,
  methods: { GetOperation: ['GET /v2/{name=policies/*/*/*/operations/*}'] },
};
