/** Pages of lists that are sorted by creation time, newest first, as those of jobs and executions. */
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';
import { DELETED_KEPT_MICROS, type NewestFirstCursor } from '../../store/jobs.ts';
import type { Micros } from '../../timestamp.ts';

export const DEFAULT_PAGE = 100;
export const MAX_PAGE = 1000;

export interface ListRequest {
  readonly parent: string;
  readonly pageSize: number;
  readonly pageToken: string;
  readonly showDeleted: boolean;
}
/** What a store function of a list takes beside its place. */
export interface Window {
  readonly after?: NewestFirstCursor;
  readonly limit: number;
  readonly deletedSince?: Micros;
}

/** Of deleted resources those are shown that have not expired. */
export function deletedSince(showDeleted: boolean, now: Micros): { readonly deletedSince?: Micros } {
  return showDeleted ? { deletedSince: now - DELETED_KEPT_MICROS } : {};
}

/** @param kind ties the token to this list @throws INVALID_ARGUMENT for a token of another one */
export async function listPage<R extends { readonly uid: string; readonly create_time: Micros }>(
  kind: string,
  request: ListRequest,
  now: Micros,
  read: (window: Window) => Promise<R[]>,
): Promise<{ readonly rows: readonly R[]; readonly nextPageToken: string }> {
  const size = pageSize(request.pageSize, DEFAULT_PAGE, MAX_PAGE);
  const query = [kind, request.parent, request.showDeleted];
  const [createTime, uid] = decodePageToken(query, request.pageToken) ?? [];
  const after = typeof createTime === 'number' && typeof uid === 'string' ? { after: { createTime, uid } } : {};
  // One more than asked for tells whether there is a next page.
  const rows = await read({ ...after, ...deletedSince(request.showDeleted, now), limit: size + 1 });
  const last = rows.length > size ? rows[size - 1] : undefined;
  return { rows: rows.slice(0, size), nextPageToken: last === undefined ? '' : encodePageToken(query, [last.create_time, last.uid]) };
}
