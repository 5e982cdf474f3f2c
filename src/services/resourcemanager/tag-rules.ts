/** What tag keys and tag values share: their names, texts and masks, how a namespaced name is looked up, and what a change of either leaves behind. */
import { randomBytes } from 'node:crypto';
import { aborted, invalidRequest } from '../../errors.ts';
import type { Db } from '../../store/database.ts';
import { findProject } from '../../store/projects.ts';
import type { Check } from '../service.ts';
import { nodeCheck } from './node-policies.ts';

/** Source: the comment on TagKey.short_name in google/cloud/resourcemanager/v3/tag_keys.proto. */
const SHORT_NAME = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const MAX_DESCRIPTION = 256;

/** @throws INVALID_ARGUMENT */
export function checkTagTexts({ shortName, description }: { readonly shortName: string; readonly description: string }, field: 'tag_key' | 'tag_value'): void {
  if (!SHORT_NAME.test(shortName))
    throw invalidRequest(
      `${field}.short_name: ${JSON.stringify(shortName)} must be 1 to 63 letters, digits, dashes, underscores and dots, and begin and end with a letter or digit.`,
      [{ field: `${field}.short_name`, description: 'must be 1 to 63 letters, digits, -, _ and .' }],
    );
  checkDescription(description, field);
}

function checkDescription(description: string, field: string): void {
  if (description.length > MAX_DESCRIPTION)
    throw invalidRequest(`${field}.description: must have at most ${MAX_DESCRIPTION} characters, but has ${description.length}.`, [
      { field: `${field}.description`, description: `at most ${MAX_DESCRIPTION} characters` },
    ]);
}

/** Without a mask, everything that can be changed. @returns the new description @throws INVALID_ARGUMENT, ABORTED for an etag that is not the row's */
export function changedDescription(
  row: { readonly description: string; readonly etag: string },
  given: { readonly description: string; readonly etag: string },
  paths: readonly string[],
  field: 'tag_key' | 'tag_value',
): string {
  for (const path of paths)
    if (path !== 'description' && path !== 'etag' && path !== '*')
      throw invalidRequest(`update_mask: ${JSON.stringify(path)} cannot be updated. Only description and etag can.`, [
        { field: 'update_mask', description: `${path} cannot be updated` },
      ]);
  refuseStaleTag(row.etag, given.etag);
  if (paths.length > 0 && !paths.includes('description') && !paths.includes('*')) return row.description;
  checkDescription(given.description, field);
  return given.description;
}

/** @param given empty: whichever it is @throws ABORTED */
export function refuseStaleTag(current: string, given: string): void {
  if (given !== '' && given !== current) throw aborted(`The etag ${JSON.stringify(given)} is not the current one: the tag was changed meanwhile. Read it again, and retry.`);
}

/** Eight bytes, as Google's are of about that length; callers may only compare them. */
export function newTagEtag(): string {
  return randomBytes(8).toString('base64');
}

/**
 * A namespaced name as it is stored: `ORGANIZATION_NUMBER/key[/value]` or `PROJECT_ID/key[/value]`; a project's number becomes its id.
 * @param parts 2 of a key, 3 of a value @throws INVALID_ARGUMENT
 */
export async function storedNamespacedName(db: Db, name: string, parts: 2 | 3, field: string): Promise<string> {
  const [namespace = '', ...rest] = name.split('/');
  if (namespace === '' || rest.length !== parts - 1 || rest.includes('')) {
    const form = parts === 2 ? 'PARENT/KEY' : 'PARENT/KEY/VALUE';
    throw invalidRequest(`${field}: ${JSON.stringify(name)} is not a namespaced name. Write ${form}, where PARENT is an organization's number or a project's id.`, [
      { field, description: `must be ${form}` },
    ]);
  }
  const project = /^\d+$/.test(namespace) ? await findProject(db, namespace) : undefined;
  return [project?.project_id ?? namespace, ...rest].join('/');
}

/** A check on what was asked for by its namespaced name; one that there is not is denied in the same words. */
export function namespacedCheck(permission: string, kind: 'tagKeys' | 'tagValues', number: string | undefined, asked: string): Check {
  // No key or value has the number 0.
  return { ...nodeCheck(permission, { kind, id: number ?? '0' }), asked };
}
