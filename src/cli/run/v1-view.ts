/**
 * Jobs, executions and tasks as Cloud Run v1 shows them, for the scripts that were written for gcloud: `--format="value(metadata.name)"`,
 * `--filter="status.conditions.type:Ready"`. The CLI speaks v2; where the keys of a format, a filter or an order are v1's, what they are read from is v1.
 */
import type { Api } from '../api.ts';
import type { ListFlags } from '../command.ts';
import { failure } from '../failure.ts';
import { type Format, printResource } from '../format.ts';
import { arranged, showList, showRows, type TableColumn } from '../listing.ts';
import type { Session } from '../session.ts';
import { runV1 } from './export.ts';
import { shortName } from './shapes.ts';

interface V1Object {
  readonly metadata?: { readonly name?: string; readonly selfLink?: string };
}

const V1_KEY = /(?:^|[\s(,~!-])(?:metadata|spec|status|apiVersion|kind)(?=$|[.\s(,)[:=<>!~])/;
const NAME = /^projects\/([^/]+)\/locations\/([^/]+)\/jobs\/[^/]+(?:\/(executions)\/[^/]+(?:\/(tasks)\/[^/]+)?)?$/;

function isV1Format(format: Format | undefined): boolean {
  return format !== undefined && [...format.columns.map(({ key }) => key), ...format.flatten].some((key) => V1_KEY.test(key));
}

/** Prints what `--format` asks for of a resource, in v1's shape where its keys are v1's. @param resource of v2, with its whole name */
export async function printRunResource(session: Session, format: Format, resource: { readonly name?: string }): Promise<void> {
  if (!isV1Format(format)) return printResource(session.terminal, format, resource);
  const [, project = '', region = '', executions, tasks] = NAME.exec(resource.name ?? '') ?? [];
  if (region === '') throw failure(`The keys of ${JSON.stringify(session.flags.format)} are those of Cloud Run v1, and what was answered has no name to read it by.`);
  const path = `namespaces/${project}/${tasks ?? executions ?? 'jobs'}/${shortName(resource.name)}`;
  await printResource(session.terminal, format, await (await session.api()).get(runV1(region), path));
}

/** Where a list is. */
export interface ListPlace {
  /** What v1 calls them. */
  readonly kind: 'jobs' | 'executions' | 'tasks';
  readonly project: string;
  readonly region: string;
  /** Which of them, in v1's label selectors; all where absent. */
  readonly selector?: string;
}

/**
 * Shows a list of v2 resources as `showList` does, or what v1's keys say of them.
 * @param items all that the command found @param none what to tell a person where there is nothing
 */
export async function showRunList<T extends { readonly name?: string }>(
  session: Session<ListFlags>,
  place: ListPlace,
  items: readonly T[],
  columns: readonly TableColumn<T>[],
  none: string,
): Promise<void> {
  const { flags, format } = session;
  const isUri = flags.uri === true;
  if (!isUri && !isV1Format(format) && ![flags.filter, flags.sortBy].some((text) => text !== undefined && V1_KEY.test(text))) return showList(session, items, columns, none);
  const byName = new Map(items.map((item) => [shortName(item.name), item]));
  const found = (await listV1(await session.api(), place)).filter(({ metadata }) => byName.has(metadata?.name ?? ''));
  if (isUri) {
    for (const { metadata } of arranged(found, flags)) session.terminal.print(`https://${place.region}-run.googleapis.com${metadata?.selfLink ?? ''}`);
    return;
  }
  if (isV1Format(format)) return showList(session, found, [], none);
  const shown = arranged(found, flags).flatMap(({ metadata }) => byName.get(metadata?.name ?? '') ?? []);
  await showRows(session, shown, columns, none);
}

async function listV1(api: Api, { kind, project, region, selector }: ListPlace): Promise<V1Object[]> {
  const found: V1Object[] = [];
  let next: string | undefined;
  do {
    const page: { items?: V1Object[]; metadata?: { continue?: string } } = await api.get(runV1(region), `namespaces/${project}/${kind}`, {
      limit: 1000,
      ...(selector === undefined ? {} : { labelSelector: selector }),
      ...(next === undefined ? {} : { continue: next }),
    });
    found.push(...(page.items ?? []));
    next = page.metadata?.continue || undefined;
  } while (next !== undefined);
  return found;
}
