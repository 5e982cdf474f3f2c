/**
 * Tags that a secret is created with: `tags` of the request maps a key (`tagKeys/N`, or `PARENT/SHORT_NAME`) to a value (`tagValues/N`, or its short name).
 * They are bound to the secret like any others, and shown by the API of tags alone (input only in the proto).
 */
import { invalidRequest } from '../../errors.ts';
import type { Db } from '../../store/database.ts';
import { listAncestors } from '../../store/hierarchy.ts';
import { findProject } from '../../store/projects.ts';
import { findTagKey, findTagValue, insertTagBinding, type TagKeyRow, type TagValueRow } from '../../store/tags.ts';
import type { Micros } from '../../timestamp.ts';
import type { Call } from '../service.ts';
import type { StoredPlace } from './names.ts';

type Tags = readonly (readonly [key: string, value: string])[];

/** Whoever may tag the secret and use the value may. Asked by the names as they came, known or not. @throws PERMISSION_DENIED */
export async function authorizeTags(db: Db, tags: Tags, resource: string, call: Call): Promise<void> {
  if (tags.length === 0) return;
  await call.authorize({ permission: 'secretmanager.secrets.createTagBinding', resource });
  for (const [key, value] of tags) {
    const found = await findTag(db, key, value);
    // A value that does not exist grants nothing to anybody: it answers as one that the caller may not use.
    const name = found === undefined ? 'tagValues/0' : `tagValues/${found.value.number}`;
    await call.authorize({ permission: 'resourcemanager.tagValueBindings.create', resource: `//cloudresourcemanager.googleapis.com/${name}` });
  }
}

/** @returns whether there were any @throws INVALID_ARGUMENT for a tag that does not exist, or is not of what the secret is in */
export async function bindTags(db: Db, tags: Tags, resource: string, place: StoredPlace, now: Micros): Promise<boolean> {
  for (const [key, value] of tags) {
    const found = await findTag(db, key, value);
    const project = await findProject(db, place.projectId);
    const above = [`projects/${place.projectNumber}`, ...(await listAncestors(db, project?.parent ?? null))];
    if (found === undefined || !above.includes(found.key.parent))
      throw invalidRequest(`secret.tags: There is no tag ${key}: ${value} that could be bound in project ${place.projectId}.`, [
        { field: 'secret.tags', description: `${key}: ${value}` },
      ]);
    await insertTagBinding(db, { resource, key_number: found.key.number, value_number: found.value.number, create_time: now });
  }
  return tags.length > 0;
}

async function findTag(db: Db, key: string, value: string): Promise<{ readonly key: TagKeyRow; readonly value: TagValueRow } | undefined> {
  const found = await findTagKey(db, key.replace(/^tagKeys\//, ''));
  if (found === undefined) return undefined;
  const bound = await findTagValue(db, value.startsWith('tagValues/') ? value.slice('tagValues/'.length) : `${found.namespaced_name}/${value}`);
  return bound?.key_number === found.number ? { key: found, value: bound } : undefined;
}
