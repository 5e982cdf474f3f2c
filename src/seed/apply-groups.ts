/** The groups of a seed: each is made or brought to what is declared; declared members replace the group's. */
import { checkMember } from '../services/groups/group-names.ts';
import { findLoop } from '../services/groups/nesting.ts';
import type { Db, Tx } from '../store/database.ts';
import { deleteGroupMembers, findGroup, insertGroup, insertGroupMembers, listGroupMembers, updateGroup } from '../store/groups.ts';
import { findOrganization, listOrganizations } from '../store/organizations.ts';
import { isUnknownServiceAccount } from '../store/service-accounts.ts';
import type { Micros } from '../timestamp.ts';
import { type Seed, SeedError } from './seed.ts';

type DeclaredGroup = Seed['groups'][number];

/** @throws SeedError */
export async function applyGroups(tx: Tx, groups: readonly DeclaredGroup[], now: Micros): Promise<void> {
  for (const [i, group] of groups.entries()) await applyGroup(tx, group, `groups[${i}]`, now);
  // Only when all are there: on the way a group may seem to be in itself that will not be.
  for (const [i, { email }] of groups.entries()) {
    const way = await findLoop(tx.db, email);
    if (way !== undefined) throw fault(`groups[${i}].members`, `group ${email} would be in itself: ${way.join(' > ')}. Take one of them out`);
  }
}

async function applyGroup(tx: Tx, group: DeclaredGroup, place: string, now: Micros): Promise<void> {
  const before = await findGroup(tx.db, group.email);
  const parent = await organizationOf(tx.db, group, before?.parent, place);
  if (before !== undefined && before.parent !== parent)
    throw fault(
      `${place}.organization`,
      `group ${group.email} is one of ${before.parent} in this data directory. Write organization: ${before.parent.slice('organizations/'.length)}`,
    );
  const texts = { display_name: group.displayName ?? before?.display_name ?? '', description: group.description ?? before?.description ?? '' };
  const row = before ?? (await insertGroup(tx.db, { email: group.email, parent, ...texts, create_time: now, update_time: now }));
  const isChanged = await setMembers(tx.db, group, place);
  if (before === undefined || isChanged) tx.touch('groups');
  if (isChanged || row.display_name !== texts.display_name || row.description !== texts.description) await updateGroup(tx.db, { ...row, ...texts, update_time: now });
}

/** @returns whether any came or went */
async function setMembers(db: Db, { email, members }: DeclaredGroup, place: string): Promise<boolean> {
  if (members === undefined) return false;
  const wanted = new Set(members.map(checkMember));
  const before = await listGroupMembers(db, email);
  const known = new Set(before);
  for (const member of wanted) {
    const account = member.startsWith('serviceAccount:') ? member.slice('serviceAccount:'.length) : undefined;
    if (account !== undefined && !known.has(member) && (await isUnknownServiceAccount(db, account)))
      throw fault(`${place}.members`, `${member} does not exist. Declare it under serviceAccounts`);
  }
  const removed = await deleteGroupMembers(
    db,
    email,
    before.filter((member) => !wanted.has(member)),
  );
  const added = await insertGroupMembers(db, email, [...wanted]);
  return removed.length + added.length > 0;
}

/** The declared one; else the one that it is of already, the one whose display name is the address's domain, or the only one. */
async function organizationOf(db: Db, group: DeclaredGroup, known: string | undefined, place: string): Promise<string> {
  if (group.organization !== undefined) {
    if ((await findOrganization(db, group.organization)) === undefined)
      throw fault(`${place}.organization`, `organization ${group.organization} does not exist. Declare it under organizations`);
    return `organizations/${group.organization}`;
  }
  if (known !== undefined) return known;
  const all = await listOrganizations(db, { limit: 1000 });
  const domain = group.email.slice(group.email.indexOf('@') + 1);
  const found = all.find((organization) => organization.display_name === domain) ?? (all.length === 1 ? all[0] : undefined);
  if (found === undefined)
    throw fault(
      place,
      all.length === 0
        ? `group ${group.email} needs an organization, and there is none. Declare one under organizations`
        : `there are several organizations, and none is called ${domain}. Write organization: NUMBER for group ${group.email}`,
    );
  return `organizations/${found.number}`;
}

function fault(place: string, what: string): SeedError {
  return new SeedError(`The seed cannot be applied: ${place}: ${what}.`);
}
