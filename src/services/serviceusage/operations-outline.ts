/** What finds an operation of Service Usage, before anything else of it is loaded: its names and paths. */
import type { OperationsOutline } from '../service.ts';

/** With the number of the project that it was about; `noop` is Google's for what was so already. */
const OWN = /^operations\/(?:ac[fa]t?\.p2-\d{1,20}-[0-9a-f-]{36}|noop\.DONE_OPERATION)$/;

export const SERVICE_USAGE_OPERATIONS: OperationsOutline = {
  owns: (name) => OWN.test(name),
  methods: { GetOperation: ['GET /v1/{name=operations/*}'] },
};
