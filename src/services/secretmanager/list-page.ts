/** Pages of lists that may be filtered, with the size of the whole. */
import { decodePageToken, encodePageToken, pageSize } from '../../page-token.ts';

/** Source: the comments on `page_size` in google/cloud/secretmanager/v1/service.proto; what the server chooses is for the server. */
const MAX_PAGE = 25_000;
const DEFAULT_PAGE = 1000;
const BATCH = 1000;

export interface Page<Item> {
  readonly items: readonly Item[];
  readonly nextPageToken: string;
  readonly totalSize: number;
}

/**
 * @param read items after a key (undefined: from the first), in the list's order
 * @param matches undefined: all of them
 * @param count how many there are in all, asked where nothing is filtered
 */
export async function listPage<Item>(options: {
  readonly query: readonly unknown[];
  readonly request: { readonly pageSize: number; readonly pageToken: string };
  readonly read: (after: string | undefined, limit: number) => Promise<readonly Item[]>;
  readonly keyOf: (item: Item) => string;
  readonly matches: ((item: Item) => boolean) | undefined;
  readonly count: () => Promise<number>;
}): Promise<Page<Item>> {
  const { query, request, read, keyOf, matches, count } = options;
  const size = pageSize(request.pageSize, DEFAULT_PAGE, MAX_PAGE);
  const [start] = decodePageToken(query, request.pageToken) ?? [];
  const after = start === undefined ? undefined : String(start);
  const found = matches === undefined ? await read(after, size + 1) : await readMatching(read, keyOf, matches, undefined);
  const from = matches === undefined || after === undefined ? 0 : found.findIndex((item) => keyOf(item) === after) + 1;
  const items = found.slice(from, from + size);
  const last = found.length > from + size ? items.at(-1) : undefined;
  return { items, nextPageToken: last === undefined ? '' : encodePageToken(query, [keyOf(last)]), totalSize: matches === undefined ? await count() : found.length };
}

async function readMatching<Item>(
  read: (after: string | undefined, limit: number) => Promise<readonly Item[]>,
  keyOf: (item: Item) => string,
  matches: (item: Item) => boolean,
  start: string | undefined,
): Promise<readonly Item[]> {
  const found: Item[] = [];
  let after = start;
  for (;;) {
    const batch = await read(after, BATCH);
    found.push(...batch.filter(matches));
    const last = batch.at(-1);
    if (last === undefined || batch.length < BATCH) return found;
    after = keyOf(last);
  }
}
