/** The custom roles of a seed: each is made or brought to what is declared, a deleted one restored. */
import type { RoleCatalogue } from '../policy/catalogue.ts';
import { createKnownPermissions } from '../services/iam/known-permissions.ts';
import { parseRoleParent } from '../services/iam/role-names.ts';
import { checkPermissions, checkRoleTexts } from '../services/iam/role-rules.ts';
import type { Tx } from '../store/database.ts';
import { findOrganization } from '../store/organizations.ts';
import { findProject } from '../store/projects.ts';
import { findRole, insertRole, newRoleEtag, updateRole } from '../store/roles.ts';
import type { Micros } from '../timestamp.ts';
import { type Seed, SeedError } from './seed.ts';

/** @throws SeedError where there is no such project or organization, ApiError for a role that breaks a rule */
export async function applyRole(tx: Tx, declared: Seed['roles'][number], catalogue: Pick<RoleCatalogue, 'role' | 'roles'>, now: Micros): Promise<void> {
  const [holder = '', id = ''] = declared.name.split('/roles/');
  const parent = parseRoleParent(holder);
  const key = parent.kind === 'projects' ? (await findProject(tx.db, parent.id))?.project_id : (await findOrganization(tx.db, parent.id))?.number;
  if (key === undefined) throw new SeedError(`The seed cannot be applied: role ${declared.name} is in ${holder}, which does not exist. Declare it under ${parent.kind}.`);
  const stored = `${parent.kind}/${key}`;
  const before = await findRole(tx.db, `${stored}/roles/${id}`);
  const permissions = [...new Set(declared.includedPermissions)].sort();
  const content = { title: declared.title ?? before?.title ?? '', description: declared.description ?? before?.description ?? '', stage: declared.stage, permissions };
  checkRoleTexts(content);
  checkPermissions(content, parent, createKnownPermissions(catalogue));
  const columns = { ...content, permissions: JSON.stringify(permissions) };
  if (before === undefined)
    await insertRole(tx.db, { name: `${stored}/roles/${id}`, parent: stored, ...columns, etag: newRoleEtag(), create_time: now, update_time: now, delete_time: null });
  else {
    const isSame = before.delete_time === null && (['title', 'description', 'stage', 'permissions'] as const).every((field) => before[field] === columns[field]);
    if (isSame) return;
    await updateRole(tx.db, { ...before, ...columns, etag: newRoleEtag(), update_time: now, delete_time: null });
  }
  tx.touch('policies');
}
