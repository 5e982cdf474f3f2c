/** Tags and workload identity pools of a project as HCL for the google provider. */
import { attribute, hclBlock, itemsOf, maybe, Raw } from './export-hcl.ts';
import { type JsonRecord, nameOf, type Snapshot, textOf, without } from './export-read.ts';
import { isList, isRecord } from './json.ts';

type Names = (type: string, wanted: string) => string;

/** A tag of the project's own, and what it is bound to; of an organization's tags a comment says that they are bound, for they are not the project's to make. */
export function tagResources({ tagKeys, tagBindings, projects }: Snapshot, names: Names): string[] {
  const id = projects[0]?.id ?? '';
  const written: string[] = [];
  const values = new Map<string, string>();
  for (const key of tagKeys.filter((each) => nameOf(each).startsWith(`${id}/`))) {
    const shortName = nameOf(key).slice(id.length + 1);
    const local = names('google_tags_tag_key', shortName);
    const { description, purpose, purposeData } = key;
    written.push(
      hclBlock(`resource "google_tags_tag_key" "${local}"`, [
        attribute('parent', `projects/${id}`),
        attribute('short_name', shortName),
        ...itemsOf(present({ description, purpose, purposeData })),
      ]),
    );
    for (const value of isList(key['values']) ? key['values'].filter(isRecord) : []) {
      const valueLocal = names('google_tags_tag_value', `${shortName}_${textOf(value['shortName'])}`);
      values.set(`${nameOf(key)}/${textOf(value['shortName'])}`, valueLocal);
      written.push(hclBlock(`resource "google_tags_tag_value" "${valueLocal}"`, [attribute('parent', new Raw(`google_tags_tag_key.${local}.id`)), ...itemsOf(value)]));
    }
  }
  for (const { resource, tagValue } of tagBindings) {
    const local = values.get(textOf(tagValue));
    if (local === undefined)
      written.push(`# ${JSON.stringify(tagValue)} is bound to ${textOf(resource)}: its organization has it, and a google_tags_tag_binding needs its number there.\n`);
    else
      written.push(
        hclBlock(`resource "google_tags_tag_binding" "${names('google_tags_tag_binding', local)}"`, [
          attribute('parent', new Raw('"//cloudresourcemanager.googleapis.com/projects/${data.google_project.project.number}"')),
          attribute('tag_value', new Raw(`google_tags_tag_value.${local}.id`)),
        ]),
      );
  }
  return written;
}

export function poolResources({ workloadIdentityPools, projects }: Snapshot, names: Names): string[] {
  const project = attribute('project', projects[0]?.id ?? '');
  return workloadIdentityPools.flatMap((pool) => {
    const id = nameOf(pool).split('/').at(-1) ?? '';
    const local = names('google_iam_workload_identity_pool', id);
    const providers = isList(pool['providers']) ? pool['providers'].filter(isRecord) : [];
    return [
      hclBlock(`resource "google_iam_workload_identity_pool" "${local}"`, [project, attribute('workload_identity_pool_id', id), ...itemsOf(without(pool, ['name', 'providers']))]),
      ...providers.map((provider) =>
        hclBlock(`resource "google_iam_workload_identity_pool_provider" "${names('google_iam_workload_identity_pool_provider', `${id}_${textOf(provider['id'])}`)}"`, [
          project,
          attribute('workload_identity_pool_id', new Raw(`google_iam_workload_identity_pool.${local}.workload_identity_pool_id`)),
          ...maybe('workload_identity_pool_provider_id', textOf(provider['id'])),
          ...itemsOf(without(provider, ['id'])),
        ]),
      ),
    ];
  });
}

function present(record: { readonly [key: string]: JsonRecord[string] | undefined }): JsonRecord {
  return Object.fromEntries(Object.entries(record).flatMap(([key, value]) => (value === undefined ? [] : [[key, value] as const])));
}
