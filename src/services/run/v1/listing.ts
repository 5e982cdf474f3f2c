/** Lists of v1: by page (`limit`, `continue`) and by label, over one region or all. */
import { invalidArgument } from '../../../errors.ts';
import { decodePageToken, encodePageToken } from '../../../page-token.ts';
import { type LabelSelector, parseLabelSelector } from './label-selector.ts';
import { API_VERSION } from './objects.ts';

export interface ListRequest {
  readonly region: string;
  readonly parent: string;
  readonly limit: number;
  readonly continue: string;
  readonly labelSelector: string;
  readonly fieldSelector: string;
  readonly watch: boolean;
}

const BATCH = 500;
/** gcloud lists jobs without asking for pages, so a list without a limit is long; more comes with `continue`. */
const MAX_ITEMS = 10_000;

/** What a page begins after, in the order of the rows. */
export type After = readonly (string | number)[] | undefined;

/**
 * @param kind ties the token to this list, and names it: `Job`
 * @param read rows after the given one, in order @param keyOf what a token holds of a row
 * @param toV1 the object, whose labels the selector is about
 * @throws INVALID_ARGUMENT
 */
export async function listObjects<Row, Item extends { readonly metadata?: { readonly labels?: { [key: string]: string } } }>(
  kind: string,
  request: ListRequest,
  list: {
    read(after: After, limit: number, selector: LabelSelector): Promise<readonly Row[]>;
    keyOf(row: Row): readonly (string | number)[];
    toV1(row: Row): Item;
  },
): Promise<{ apiVersion: string; kind: string; metadata: { continue: string }; items: Item[] }> {
  if (request.fieldSelector !== '') throw invalidArgument('field_selector', 'is not supported.');
  if (request.watch) throw invalidArgument('watch', 'is not supported.');
  if (request.limit < 0) throw invalidArgument('limit', `must not be negative, but is ${request.limit}.`);
  const selector = parseLabelSelector(request.labelSelector);
  const query = [kind, request.region, request.parent, request.labelSelector];
  const most = request.limit === 0 ? MAX_ITEMS : Math.min(request.limit, MAX_ITEMS);
  const items: Item[] = [];
  let after: After = decodePageToken(query, request.continue);
  for (;;) {
    const rows = await list.read(after, BATCH, selector);
    for (const row of rows) {
      const item = list.toV1(row);
      if (!selector.matches(item.metadata?.labels ?? {})) continue;
      // One more than the page holds proves that there is a next page.
      if (items.length === most) return answer(kind, items, encodePageToken(query, after ?? []));
      items.push(item);
      after = list.keyOf(row);
    }
    const last = rows.at(-1);
    if (rows.length < BATCH || last === undefined) return answer(kind, items, '');
    after = list.keyOf(last);
  }
}

/** With `metadata` always: gcloud cannot do without it. */
function answer<Item>(kind: string, items: Item[], token: string) {
  return { apiVersion: API_VERSION, kind: `${kind}List`, metadata: { continue: token }, items };
}
