/** What recorded exchanges with Google Cloud need, to be replayed here. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** One session was recorded in another organization than the rest, on a project of it that had a tag already. */
export const TWO_ORGANIZATIONS = `
organizations:
  - { number: "111111111111", displayName: example.com }
  - { number: "999999999999", displayName: other.example }
folders:
  - { number: "222222222222", displayName: team, parent: organizations/111111111111 }
projects:
  - { id: demo, number: "123456789012", parent: folders/222222222222 }
  - { id: recorded-elsewhere, number: "938492827514", parent: organizations/999999999999 }
policies:
  - { resource: organizations/111111111111, bindings: &owner [{ role: roles/owner, members: ["user:owner@example.com"] }, { role: roles/resourcemanager.projectCreator, members: ["user:owner@example.com"] }, { role: roles/iam.denyAdmin, members: ["user:owner@example.com"] }] }
  - { resource: organizations/999999999999, bindings: *owner }
`;
/** The recorder put a placeholder for that organization's number everywhere but in namespaced names. */
const UNREPLACED = '406172723981';
const PLACEHOLDER = ['$', '{otherOrganizationID}'].join('');

/** @param session lines of exchanges */
export function inOtherOrganization(session: string): string {
  return session.replaceAll(UNREPLACED, PLACEHOLDER);
}

/** A seed as a file, and the way to remove it. */
export function writeSeed(seed: object): { readonly file: string; remove(): void } {
  const directory = mkdtempSync(join(tmpdir(), 'transcripts-'));
  const file = join(directory, 'seed.json');
  writeFileSync(file, JSON.stringify(seed));
  return { file, remove: () => rmSync(directory, { recursive: true }) };
}
