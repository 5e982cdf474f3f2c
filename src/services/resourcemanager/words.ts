/** The words of a denial, by version of the API. */
import type { AskedCheck } from '../service.ts';

/** v3 names the full resource. Source: the emulation of this API in the Config Connector repository, after recordings. */
export function v3Denied({ permission, resource, asked }: AskedCheck): string {
  const host = /^\/\/[^/]+\//.exec(resource)?.[0] ?? '';
  return `Permission '${permission}' denied on resource '${host}${asked}' (or it may not exist).`;
}

/** v1 and v2 name nothing. Source: https://github.com/GoogleCloudPlatform/community/issues/1339 */
export function plainDenied(): string {
  return 'The caller does not have permission';
}
