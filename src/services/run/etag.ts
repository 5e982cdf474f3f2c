import { aborted } from '../../errors.ts';
import { lastId } from '../../resource-name.ts';
import { etagTime } from '../../store/jobs.ts';

/**
 * A caller's etag must be the current one; none is always right.
 * Deviation: elsewhere it was seen that the real service takes an etag on delete, run and cancel without comparing it. The proto says that it detects conflicts, and so it does here.
 * @throws ABORTED in the words recorded for services, whose versions are times in microseconds
 */
export function refuseStale(current: { readonly name: string; readonly etag: string }, etag: string): void {
  if (etag === '' || etag === current.etag) return;
  throw aborted(
    `Conflict for resource '${lastId(current.name)}': version '${etagTime(etag) ?? etag}' was specified but current version is '${etagTime(current.etag) ?? current.etag}'.`,
  );
}
