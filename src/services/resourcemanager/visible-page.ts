/** A page of what the caller may see, out of a list of everything: rows are read in order until enough of them passed. */
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';

const BATCH = 200;
/** Reading on for a page that hardly anything passes would hold up others; the token lets the caller go on. */
const MAX_READ = 5000;

export interface VisiblePage<Row> {
  readonly rows: Row[];
  readonly nextPageToken: string;
}

/**
 * @param query what must not change between pages
 * @param read rows after the given key, in the order of `keyOf`
 * @returns at most the page's size of rows; fewer, with a token, where little of what was read is visible
 */
export async function visiblePage<Row>(options: {
  readonly query: readonly unknown[];
  readonly request: { readonly pageSize: number; readonly pageToken: string };
  readonly read: (after: string | undefined, limit: number) => Promise<readonly Row[]>;
  readonly keyOf: (row: Row) => string;
  readonly isVisible: (row: Row) => boolean | Promise<boolean>;
}): Promise<VisiblePage<Row>> {
  const { query, read, keyOf, isVisible } = options;
  const limit = pageSize(options.request.pageSize, 100, 500);
  const start = decodePageToken(query, options.request.pageToken)?.[0];
  let after = start === undefined ? undefined : String(start);
  const rows: Row[] = [];
  for (let seen = 0; seen < MAX_READ; seen += BATCH) {
    const batch = await read(after, BATCH);
    for (const row of batch) {
      if (await isVisible(row)) {
        // One more than the page holds proves that there is a next page.
        if (rows.length === limit) return { rows, nextPageToken: encodePageToken(query, [after ?? '']) };
        rows.push(row);
      }
      after = keyOf(row);
    }
    if (batch.length < BATCH) return { rows, nextPageToken: '' };
  }
  return { rows, nextPageToken: encodePageToken(query, [after ?? '']) };
}
